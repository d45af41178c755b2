r"""Parity with the teacher for each target of a parser: here where this machine can run its code, else in an emulator.

    python -m benchmarks.parity RUN --teacher TEACHER --data DATA --lang en --work mtop-en \
        --target host --target raspberry-pi-4 --target raspberry-pi-5 --target vulkan

The parser is compiled for all targets into one package, and what student and teacher answer to the test split becomes a
reference. Each variant then answers the same texts (`pqrnn check --reference --certify`, with `--emulated` where it has
to be), and its certificate goes into the package. Rows are kept in `results/parity.json`: those of a work replace its
earlier ones.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reference_texts import add_arguments, read_examples
from benchmarks.results import keep_results, print_rows, tell_command
from compile.emulation.runner import RunnerNotFoundError, native_runner
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from compile.verify.elsewhere import find_emulator
from compile.verify.make_reference import make_reference
from pqrnn.evaluation.results import ResultRow
from runtime_py.package_format.package import open_package
from runtime_py.parity.reference_file import save_reference
from runtime_py.parity.steps import Figure
from runtime_py.tools.full_check import FullCheck, check_fully

NAME = "parity"
_SECONDS = 4 * 3600.0  # of an emulator, which takes up to a second a text


def main() -> None:
    """Compile, make the reference, check each target, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, texts=0)
    parser.add_argument("--work", required=True, help="name of the parser")
    parser.add_argument("--target", action="append", required=True, help="again for more")
    parser.add_argument("--out", type=Path, help="folder where package and reference stay; one there is used again")
    arguments = parser.parse_args()
    folder = arguments.out or Path(tempfile.mkdtemp(prefix="pqrnn-parity-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        package, reference = folder / f"{arguments.work}.pqrnn", folder / f"{arguments.work}.reference"
        if not package.exists():
            compile_checkpoint(arguments.run, package, arguments.target, CompileOptions())
        if not reference.exists():
            made = make_reference(
                arguments.run,
                arguments.teacher,
                read_examples(arguments),
                data=arguments.data,
                split=arguments.split,
                on_progress=_say,
            )
            save_reference(reference, made)
        rows = [
            row
            for variant in open_package(package).manifest.variants
            for row in describe(arguments.work, check(package, variant.target, reference))
        ]
    finally:
        if arguments.out is None:
            shutil.rmtree(folder, ignore_errors=True)
    if arguments.only_print:
        print_rows(NAME, rows)
    else:
        keep_results(NAME, rows, tell_command("benchmarks.parity"), replace_works={row.work for row in rows})


def check(package: Path, target: str, reference: Path) -> FullCheck:
    """Check a variant against a reference where it can run, and certify it if all is right."""
    variant = open_package(package).variant(target)
    try:
        native_runner(variant)
        machine = None
    except RunnerNotFoundError:
        machine = find_emulator(variant)
    _say(f"{target}: {machine.name if machine is not None else 'this machine'}")
    checked = check_fully(
        package, target, reference=reference, certified=True, seconds=_SECONDS, repeats=1, machine=machine
    )
    for failure in checked.failures:
        _say(f"{target}: {failure}")
    return checked


def describe(work: str, checked: FullCheck) -> Sequence[ResultRow]:
    """Return the rows of a checked variant; one that could not be run has none but that it did not pass."""
    parity = checked.parity
    where = checked.golden.parity.emulator or checked.golden.parity.machine
    name = f"{work}, {checked.golden.target}"
    passed = ResultRow(
        work=name, metric="certified", value=float(checked.certificate is not None), note=f"run by {where}"
    )
    if parity is None:
        return [passed]
    decisions, task = parity.decisions, parity.task
    rows = [
        passed,
        ResultRow(work=name, metric="intent flips", value=decisions.intent_flips, n=decisions.texts),
        ResultRow(work=name, metric="slot flips", value=decisions.slot_flips, n=decisions.texts),
    ]
    shares: dict[str, Figure | None] = {
        "exact match": task.exact_match,
        "exact match of the teacher": task.teacher_exact_match,
        "retention": task.retention,
        "agreement with the teacher": task.agreement,
    }
    rows += [
        ResultRow(work=name, metric=metric, value=figure.value, low=figure.low, high=figure.high, n=task.utterances)
        for metric, figure in shares.items()
        if figure is not None
    ]
    return rows


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
