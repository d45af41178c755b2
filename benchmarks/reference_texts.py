"""The parser, its teachers and the utterances that a benchmark of parity makes a reference of."""

from __future__ import annotations

import argparse
from pathlib import Path

from pqrnn.data.examples import Example
from pqrnn.data.loader import load_examples


def add_arguments(parser: argparse.ArgumentParser, texts: int) -> None:
    """Add the options that say what a reference is made of; `texts` is the default of `--texts`."""
    parser.add_argument("run", type=Path, help="folder of a trained parser")
    parser.add_argument("--teacher", type=Path, action="append", default=[], help="folder of what taught it")
    parser.add_argument("--data", required=True, help="labelled utterances")
    parser.add_argument("--lang", help="only these languages")
    parser.add_argument("--split", default="test")
    parser.add_argument(
        "--texts", type=int, default=texts, help="about so many utterances, evenly taken (default %(default)s; 0: all)"
    )
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")


def read_examples(arguments: argparse.Namespace) -> list[Example]:
    """Return the utterances that the options name."""
    examples = load_examples(arguments.data, split=arguments.split, locale=arguments.lang)
    return examples[:: max(len(examples) // arguments.texts, 1)] if arguments.texts else examples
