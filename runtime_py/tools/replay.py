"""The program that shows what a variant answers on this machine, in an emulator, or as the self-test of a GPU.

    python -m runtime_py.tools.replay PACKAGE --target TARGET [--repeats 3] [--texts IN.npz] [--entries] [--out OUT.npz]
    [--no-preflight] [--native] [--budget NAME]

It replays the golden vectors and writes the outcome to standard output as one JSON document (`Replay`), whether the
answers are right or not. With ``--texts``, ``OUT.npz`` gets the answers to these texts as users get them; with
``--entries`` those of every entry to every text that it can hold, of these texts or else of the golden ones. The exit
code is 0 when everything ran, and 3 with the reason on standard error when the package cannot be run.
``--no-preflight`` loads code also where something that it needs is missing, to see what becomes of it.
``--native`` runs the native library for the target instead of the compiled module; it has no entries.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from runtime_py.decode.labels import Labels
from runtime_py.device.preflight import this_machine
from runtime_py.errors import ParserError
from runtime_py.execute.entry import EntryFunction
from runtime_py.native.package_parser import PackagedNativeParser
from runtime_py.package_format.golden import join_golden
from runtime_py.package_format.proofs import Parity
from runtime_py.parser import Parser
from runtime_py.tools.answers import AnswerSheet, EntryAnswers, load_texts, save_answers
from runtime_py.tools.check import AnyParser, check_parser
from runtime_py.tools.comparison import Deviation

CANNOT_RUN = 3


class Replay(Struct, frozen=True):
    """Outcome of a replay in one process.

    Attributes:
        target: Name of the variant that ran.
        parity: Outcome of the golden vectors.
        worst: The golden texts with the largest faults.
        device: The device that ran the code.
        architecture: Architecture of the process, which may be emulated.
        features: Features of the CPU, or the GPU, of the process, sorted.
        load_seconds: Time to load the package.
        seconds: Time of everything.
    """

    target: str
    parity: Parity
    worst: list[Deviation]
    device: str
    architecture: str
    features: list[str]
    load_seconds: float
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code."""
    options = _options(arguments)
    try:
        replay = run(
            options.package,
            options.target,
            options.repeats,
            options.texts,
            options.entries,
            options.out,
            options.preflight,
            options.native,
            options.budget,
        )
    except ParserError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return CANNOT_RUN
    sys.stdout.write(msgspec.json.encode(replay).decode() + "\n")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m runtime_py.tools.replay", description="Replay the golden vectors of a package."
    )
    parser.add_argument("package", type=Path)
    parser.add_argument("--target", required=True, help="the variant to run")
    parser.add_argument("--repeats", type=int, default=3, help="how often each golden text runs")
    parser.add_argument("--texts", type=Path, help="an archive with texts to answer as well")
    parser.add_argument("--entries", action="store_true", help="also answer with every entry by itself")
    parser.add_argument("--out", type=Path, help="where the answers go")
    parser.add_argument("--budget", help="the part of the network that answers, by name")
    parser.add_argument(
        "--no-preflight",
        dest="preflight",
        action="store_false",
        help="run code also where something is missing that it needs",
    )
    parser.add_argument("--native", action="store_true", help="run the native library for the target")
    options = parser.parse_args(arguments)
    if options.native and options.entries:
        parser.error("--entries asks functions that a native library lacks")
    if (options.texts is not None or options.entries) != (options.out is not None):
        parser.error("--out goes together with --texts or --entries")
    return options


def run(
    package: Path,
    target: str,
    repeats: int = 3,
    texts: Path | None = None,
    entries: bool = False,
    out: Path | None = None,
    preflight: bool = True,
    native: bool = False,
    budget: str | None = None,
) -> Replay:
    """Replay the golden vectors of a package; the arguments are those of the command line.

    Raises:
        ParserError: The package cannot be loaded or run, or the texts cannot be read.
    """
    begin = time.perf_counter()
    with warnings.catch_warnings():
        if not preflight:
            warnings.simplefilter("ignore")
        kind: type[AnyParser] = PackagedNativeParser if native else Parser
        parser = kind.load(
            package, variant=target, on_long="truncate", strict=preflight, self_test=False, budget=budget
        )
    loaded = time.perf_counter()
    with parser:
        result = check_parser(parser, repeats)
        if out is not None:
            asked = load_texts(texts) if texts is not None else parser.package.golden().texts
            save_answers(out, collect(parser, asked, whole=texts is not None, entries=entries))
        machine, gpu = this_machine(), parser.selection.gpu
        return Replay(
            target=target,
            parity=result.parity,
            worst=result.worst,
            device=parser.device,
            architecture=machine.architecture,
            features=sorted(machine.features if gpu is None else gpu.features),
            load_seconds=loaded - begin,
            seconds=time.perf_counter() - begin,
        )


def collect(parser: AnyParser, texts: Sequence[bytes], whole: bool = True, entries: bool = True) -> AnswerSheet:
    """Answer texts.

    Args:
        parser: A loaded package that cuts what is too long.
        texts: The texts, at least one.
        whole: Whether to answer as users are answered.
        entries: Whether to ask every entry.
    """
    outputs = [parser.logits(text) for text in texts] if whole else []
    answers = (
        join_golden(
            texts,
            [logits.intent for logits in outputs],
            [logits.tags for logits in outputs],
            [logits.spans for logits in outputs],
        )
        if whole
        else None
    )
    truncated = np.array([logits.truncated for logits in outputs], np.bool_)
    return AnswerSheet(
        tuple(texts),
        answers,
        truncated,
        tuple(_ask(entry, texts, parser.manifest.labels) for entry in parser.entries) if entries else (),
    )


def _ask(entry: EntryFunction, texts: Sequence[bytes], labels: Labels) -> EntryAnswers:
    fitting = [index for index, text in enumerate(texts) if len(text) <= entry.bytes]
    results = [entry.run(texts[index]) for index in fitting]
    kept = [outputs.count if 0 <= outputs.count <= entry.words else 0 for outputs in results]
    none = (
        np.zeros((0, len(labels.intents)), np.float32),
        np.zeros((0, len(labels.tags)), np.float32),
        np.zeros((0, 2), np.int32),
    )
    return EntryAnswers(
        entry=entry.bucket.entry,
        index=np.array(fitting, np.int32),
        count=np.array([outputs.count for outputs in results], np.int32),
        intent=np.concatenate([none[0], *(outputs.intent[None] for outputs in results)]),
        tags=np.concatenate([none[1], *(outputs.tags[:rows] for outputs, rows in zip(results, kept, strict=True))]),
        spans=np.concatenate([none[2], *(outputs.spans[:rows] for outputs, rows in zip(results, kept, strict=True))]),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
