"""The command line of a board: `pqrnn` in the wheel `pqrnn-runtime`, and `python -m runtime_py` anywhere.

It has verbs of the large command line, with the same words, options and JSON documents, on argparse: that needs no
further package, and a start costs little.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from runtime_py.service.options import add_services
from runtime_py.values.options import add_value_options

_NAME = "pqrnn"
_ADVICE = """examples:
  pqrnn parse home.pqrnn "turn off the kitchen lights"
  pqrnn parse home.pqrnn --json < commands.txt      one text a line, one JSON object a line
  pqrnn check home.pqrnn                            does it answer right on this machine? exit code 1 if not
  pqrnn check home.pqrnn --reference home.reference --min-retention 0.97      does it still parse as its teacher did?
  pqrnn bench home.pqrnn                            how fast, how large
  pqrnn inspect home.pqrnn                          what is in it, and which variant runs here
  pqrnn verify home.pqrnn --key home.pub            who signed it, and is it as it was signed? exit code 1 if not
  pqrnn apply home.pqrnn home-1-2.pqdelta           update it; 'apply --back' goes back to the one before
  pqrnn serve home.pqrnn                            answer over HTTP: curl, OpenAPI, Prometheus
  pqrnn wyoming home.pqrnn --language en            answer Home Assistant

exit codes: 0 good, 1 a check failed, 2 wrong use or an error that says what to do, 130 interrupted, 141 whoever read
the output has gone (as `head` does); of `check --reference`: 3 numbers, 4 decisions, 5 a goal of the task was missed.
In Python:  from runtime_py import Parser;  Parser.load("home.pqrnn")("turn off the kitchen lights")"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    from runtime_py.errors import OutputError, ParserError
    from runtime_py.streams import complain, flush_output, open_streams, output_exit_code

    open_streams()
    try:
        try:
            options = _read_options(sys.argv[1:] if arguments is None else list(arguments))
            code: int = options.run(options)
        finally:
            flush_output()
    except OutputError as error:
        return output_exit_code(error)
    except ParserError as error:
        complain(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    return code


def _read_options(arguments: list[str]) -> argparse.Namespace:
    """Read a command line.

    Options may stand before, between and after the texts, which argparse allows for a verb's own parser only.
    """
    parser, verbs = _make_parser()
    verb = verbs.get(arguments[0]) if arguments else None
    return verb.parse_intermixed_args(arguments[1:]) if verb else parser.parse_args(arguments)


def _make_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog=_NAME,
        description="Run a compiled parser package: text in, intent and slots out.",
        epilog=_ADVICE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the versions and leave")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    parse = _add_verb(
        verbs,
        "parse",
        _parse,
        "parse texts: intent and slots; with --json one JSON object a line",
        'pqrnn parse home.pqrnn "dim the bedroom lamp"',
    )
    parse.add_argument(
        "text", nargs="*", help="texts; none, or '-': one a line from standard input, which need not be valid UTF-8"
    )
    parse.add_argument(
        "--truncate",
        action="store_true",
        help="read what fits of a text that is too long, and say so, instead of refusing it",
    )

    parse.add_argument(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="auto",
        help="what to run on; `gpu` falls back to the processor and says so (default auto)",
    )
    parse.add_argument(
        "--engine",
        choices=("auto", "iree", "native"),
        default="auto",
        help="what runs it: IREE's runtime, the package's native library, or by default the library where it runs",
    )
    parse.add_argument(
        "--min-score",
        type=_share,
        metavar="P",
        help="reject parses of a smaller probability, or of the threshold that is `recommended` for the package",
    )
    parse.add_argument(
        "--alternatives", type=_whole, default=0, metavar="K", help="also name the K most probable intents"
    )
    parse.add_argument(
        "--budget",
        metavar="B",
        help="what an answer may cost: a share of the whole network's multiplications up to 1, more as their number, "
        "or the name of a budget",
    )
    parse.add_argument("--all", action="store_true", help="a text may hold several commands: parse each of them")
    add_value_options(parse)

    check = _add_verb(
        verbs,
        "check",
        _check,
        "check that a package answers on this machine as PyTorch did; exit code 1 if not",
        "pqrnn check home.pqrnn --repeats 10",
    )
    check.add_argument(
        "--repeats", type=_whole, default=3, metavar="N", help="how often the golden vectors are replayed (default 3)"
    )
    check.add_argument("--reference", metavar="FILE", help="compare with what student and teacher answered in PyTorch")
    check.add_argument("--min-retention", type=float, metavar="SHARE", help="least share of the teacher's exact match")
    check.add_argument("--max-flips", type=int, metavar="N", help="most texts decided otherwise than by the student")
    check.add_argument(
        "--max-drop", type=float, metavar="SHARE", help="most that exact match may be below the teacher's"
    )
    check.add_argument("--recipe", metavar="FILE", help="a TOML file with these goals in its table [parity]")
    check.add_argument(
        "--native", action="store_true", help="check the native library that runs here, and not a compiled module"
    )
    check.add_argument("--certify", action="store_true", help="add what was measured to the package, if all is right")
    check.add_argument(
        "--time-limit", type=_seconds, default=600.0, metavar="S", help="of code on a GPU, which may hang (default 600)"
    )

    bench = _add_verb(
        verbs,
        "bench",
        _bench,
        "measure a package on this machine: size, load, first call, steady state, memory",
        "pqrnn bench home.pqrnn --seconds 10",
    )
    bench.add_argument(
        "--seconds", type=_seconds, default=3.0, metavar="S", help="how long to measure the steady state (default 3)"
    )
    bench.add_argument(
        "--threads",
        type=_whole,
        default=1,
        metavar="N",
        help="1 runs on the calling thread, which is fastest for one text (default 1)",
    )

    _add_verb(
        verbs,
        "inspect",
        _inspect,
        "show what is in a package, without running it",
        "pqrnn inspect home.pqrnn --json",
        variant=False,
    )
    verify = _add_verb(
        verbs,
        "verify",
        _verify,
        "verify who signed a package, and that every file is as it was signed; exit code 1 if not",
        "pqrnn verify home.pqrnn --key home.pub",
        variant=False,
    )
    _add_key(verify, "a public key, as often as you like")
    verify.add_argument("--all", action="store_true", help="all of the keys have to have signed, not just one")
    apply = _add_verb(
        verbs,
        "apply",
        _apply,
        "apply an update to a package; if anything is wrong, it stays what it is",
        "pqrnn apply home.pqrnn home-1-2.pqdelta",
        variant=False,
    )
    apply.add_argument("update", nargs="?", help="the update, from 'pqrnn diff' on the workstation")
    _add_key(apply, "a public key that has to have signed it")
    apply.add_argument("--back", action="store_true", help="go back to the package before, PACKAGE.previous")
    add_services(verbs, _add_verb, _whole, _share)
    return parser, verbs.choices


def _add_key(verb: argparse.ArgumentParser, help: str) -> None:
    default = "by default $PQRNN_REQUIRE_SIGNATURE"
    verb.add_argument("--key", action="append", default=[], metavar="FILE", help=f"{help}; {default}")


def _add_verb(
    verbs: Any, name: str, run: Any, help: str, example: str, variant: bool = True
) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(
        name, help=help, description=help[0].upper() + help[1:] + ".", epilog=f"example:  {example}"
    )
    verb.set_defaults(run=run)
    verb.add_argument("package", help="a compiled package, the folder NAME.pqrnn")
    if variant:
        verb.add_argument(
            "--variant", metavar="NAME", help="a variant of the package by name; by default the best that runs here"
        )
    verb.add_argument("--json", action="store_true", help="print JSON instead of text")
    return verb


class _Version(argparse.Action):
    """Look the versions up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        for name in ("pqrnn-runtime", "pqrnn", "iree-base-runtime"):
            try:
                sys.stdout.write(f"{name} {version(name)}\n")
            except PackageNotFoundError:
                continue
        parser.exit()


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: expected at least 1")
    return number


def _share(text: str) -> Any:
    if text == "recommended":
        return text
    number = float(text)
    if not 0.0 <= number <= 1.0:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 0 to 1, or 'recommended'")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not number >= 0.1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 0.1")
    return number


def _parse(options: argparse.Namespace) -> int:
    from runtime_py.engines import Parser
    from runtime_py.package_format.budgets import read_budget
    from runtime_py.streams import texts_to_parse
    from runtime_py.tools.parse_texts import parse_texts
    from runtime_py.values.files import add_values

    with Parser.load(
        options.package,
        engine=options.engine,
        variant=options.variant,
        device=options.device,
        on_long="truncate" if options.truncate else "error",
        min_score=options.min_score,
        budget=None if options.budget is None else read_budget(options.budget),
    ) as parser:
        told = add_values(
            parser,
            path=options.values,
            normalise=options.normalise,
            locale=options.locale,
            zone=options.zone,
            now=options.now,
        )
        return parse_texts(told, texts_to_parse(options.text), options.json, options.alternatives, options.all)


def _check(options: argparse.Namespace) -> int:
    from pathlib import Path

    from runtime_py.parity.goals import read_goals
    from runtime_py.parity.tables import parity_tables
    from runtime_py.questions.kind import answers_questions
    from runtime_py.streams import complain, write_line
    from runtime_py.tools.full_check import check_fully
    from runtime_py.tools.presentation import check_table, full_check_document, json_text, plain_text

    if answers_questions(options.package):
        return _check_questions(options)
    goals = {name: getattr(options, name) for name in ("min_retention", "max_flips", "max_drop")}
    result = check_fully(
        options.package,
        options.variant,
        options.repeats,
        Path(options.reference) if options.reference is not None else None,
        read_goals(options.recipe, **goals),
        options.certify,
        options.time_limit,
        native=options.native,
    )
    if options.json:
        write_line(json_text(full_check_document(result)))
        return result.exit_code
    tables = parity_tables(result.parity) if result.parity is not None else []
    for table in (check_table(result.golden, result.certificate is not None), *tables):
        write_line(plain_text(table))
    for failure in result.failures:
        complain(f"failed: {failure}")
    return result.exit_code


def _check_questions(options: argparse.Namespace) -> int:
    from runtime_py.errors import InputError
    from runtime_py.questions.checking import check_questions, question_check_document, question_check_table
    from runtime_py.streams import write_line
    from runtime_py.tools.presentation import json_text, plain_text

    if options.reference is not None or options.recipe is not None or options.certify or options.native:
        raise InputError(
            f"{options.package}: answers questions, and is asked those in it: only --variant and --repeats apply"
        )
    result = check_questions(options.package, options.variant, options.repeats)
    if options.json:
        write_line(json_text(question_check_document(result)))
    else:
        write_line(plain_text(question_check_table(result)))
    return int(not result.passed)


def _bench(options: argparse.Namespace) -> int:
    from runtime_py.streams import write_line
    from runtime_py.tools.bench import benchmark_package
    from runtime_py.tools.presentation import bench_tables, json_text, plain_text

    result = benchmark_package(
        options.package, None, options.seconds, options.variant, options.threads, on_long="truncate"
    )
    for text in [json_text(result)] if options.json else map(plain_text, bench_tables(result)):
        write_line(text)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from runtime_py.errors import PackageError
    from runtime_py.streams import complain, write_line
    from runtime_py.tools.presentation import json_text
    from runtime_py.trust.verification import verify_package

    try:
        verified = verify_package(options.package, options.key, options.all)
    except PackageError as error:
        complain(f"failed: {error}")
        return 1
    write_line(json_text(verified) if options.json else str(verified))
    return 0


def _apply(options: argparse.Namespace) -> int:
    from runtime_py.errors import UpdateError
    from runtime_py.streams import write_line
    from runtime_py.tools.presentation import json_text
    from runtime_py.update.apply import apply_update, go_back

    keys = options.key or None
    if (options.update is None) != options.back:
        raise UpdateError("name an update to apply, or say --back to go back to the package before; not both.")
    applied = go_back(options.package, keys) if options.back else apply_update(options.package, options.update, keys)
    write_line(json_text(applied) if options.json else str(applied))
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from runtime_py.streams import complain, write_line
    from runtime_py.tools.inspect import inspect_package
    from runtime_py.tools.presentation import inspect_tables, json_text, plain_text

    facts = inspect_package(options.package)
    for text in [json_text(facts)] if options.json else map(plain_text, inspect_tables(facts)):
        write_line(text)
    if not options.json:
        for name in facts.damaged:
            complain(f"damaged: {name}")
        for name in facts.unlisted:
            complain(f"not in the manifest: {name}")
    return 1 if facts.damaged else 0
