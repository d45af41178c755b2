r"""Hostile packages, checkpoints and reference files, and what each verb and function that reads them makes of them.

    python -m benchmarks.hostile_packages

Every kind (`benchmarks.hostile`) is made from a tiny good package, which is compiled for this machine, and given to
the readers of the hostile part: all functions of the Python API and all verbs of the board's command line. Of the large
command line, which reads by the same functions, every third kind takes the next verb; with `--all` every kind takes all
of them, which takes an hour. Rows are kept in `results/robustness.json`.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.hostile.archives import DECIDED, GOLDENS, REFERENCES
from benchmarks.hostile.checkpoints import CHECKPOINTS
from benchmarks.hostile.files import FILES
from benchmarks.hostile.judging import (
    READ,
    REFUSED,
    REPORTED,
    SLOW_VERBS,
    THROUGH,
    VERBS,
    Verdict,
    import_everything,
    judge,
    measure_size,
    run_reader,
)
from benchmarks.hostile.kinds import PACKAGE, READERS, REFERENCE, RUN, Kind
from benchmarks.hostile.manifests import MANIFESTS
from benchmarks.hostile.subjects import make_subject
from benchmarks.results import keep_results, print_rows, tell_command
from benchmarks.tiny_module import FLAGS, module_text
from pqrnn.evaluation.results import ResultRow

NAME = "robustness"
WORK = "hostile files"
KINDS: tuple[Kind, ...] = (*MANIFESTS, *GOLDENS, *DECIDED, *REFERENCES, *CHECKPOINTS, *FILES)
_GIVEN = {"reference": (REFERENCE,), "facts": (RUN,), "weights": (RUN,)}
_THIRD = 3
_LONG = ("bench", "report", "deploy", "compile")  # verbs that do much where they refuse nothing


def main() -> None:
    """Make the subject, judge all kinds, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=sorted(READERS), help="only kinds of this part")
    parser.add_argument("--all", action="store_true", help="give every kind to all verbs")
    parser.add_argument("--reader", action="append", choices=list(VERBS), help="only these readers")
    parser.add_argument("--only", help="only kinds whose name holds this")
    parser.add_argument("--module", type=Path, help="the compiled tiny module, where it is at hand")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    arguments = parser.parse_args()
    kinds = [
        kind
        for kind in KINDS
        if (not arguments.part or kind.part in arguments.part) and (arguments.only or "") in kind.name
    ]
    import_everything()
    code = arguments.module.read_bytes() if arguments.module else compile_tiny()
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="pqrnn-hostile-") as folder:
        good = Path(folder) / "good"
        good.mkdir()
        make_subject(good, code)
        for turn, kind in enumerate(kinds):
            readers = choose_readers(kind, None if arguments.all else turn)
            if arguments.reader:
                readers = tuple(reader for reader in choose_readers(kind) if reader in arguments.reader)
            for verdict in judge_kind(kind, good, Path(folder), readers):
                verdicts.append(verdict)
                if verdict.verdict == THROUGH:
                    print(f"! {kind.part:10} {kind.name[:70]:70} {verdict.reader:22} {verdict.why}", flush=True)
    gc.unfreeze()
    rows = describe(verdicts)
    if arguments.only_print or arguments.reader or len(kinds) < len(KINDS):
        print_rows(NAME, rows)
    else:
        keep_results(NAME, rows, tell_command("benchmarks.hostile_packages"), replace_works=[WORK])


def compile_tiny() -> bytes:
    """Compile the tiny module for this architecture."""
    from iree.compiler.tools import compile_str

    code = compile_str(module_text(), extra_args=list(FLAGS))
    assert code is not None
    return bytes(code)


def choose_readers(kind: Kind, turn: int | None = None) -> tuple[str, ...]:
    """Return the readers that a kind is given to: those of its part, but for long ones where they need refuse nothing.

    A package whose code or vectors are hostile is also inspected.

    Args:
        kind: The kind.
        turn: Its number: every third kind is given to the next verb of the large command line; None for all verbs.
    """
    readers = READERS[kind.part]
    if kind.part in ("golden", "decisions", "module"):
        readers = ("board inspect", "inspect", *readers)
    left = set(_LONG if kind.harmless else kind.reported) & set(_LONG)
    readers = tuple(reader for reader in readers if reader not in left)
    verbs = [reader for reader in readers if reader in SLOW_VERBS]
    taken = verbs if turn is None else verbs[turn // _THIRD % len(verbs) :][:1] if turn % _THIRD == 0 else []
    return tuple(reader for reader in readers if reader not in SLOW_VERBS or reader in taken)


def judge_kind(kind: Kind, good: Path, scratch: Path, readers: Sequence[str]) -> Iterator[Verdict]:
    """Make a kind from a copy of the good subject and judge every reader of it.

    Args:
        kind: The kind.
        good: Folder of the good subject.
        scratch: Folder in which the copy is made.
        readers: Names of readers.
    """
    copy = scratch / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(good, copy)
    kind.apply(copy)
    size = measure_size(copy, _GIVEN.get(kind.part, (PACKAGE,)))
    for reader in readers:
        yield judge(kind, reader, run_reader(VERBS[reader], copy, scratch), size)
        for made in ("report.html", "deployed", "averaged", "compiled.pqrnn"):
            path = copy / made
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)


def describe(verdicts: Sequence[Verdict]) -> list[ResultRow]:
    """Return the rows of a run: kinds and pairs of kind and reader, and what became of them."""
    through = dict.fromkeys(verdict.kind.name for verdict in verdicts if verdict.verdict == THROUGH)
    harmless = dict.fromkeys(verdict.kind.name for verdict in verdicts if verdict.kind.harmless)
    names = dict.fromkeys(verdict.kind.name for verdict in verdicts)
    counts = Counter(verdict.verdict for verdict in verdicts)
    must = [name for name in names if name not in harmless]
    rows = [
        ResultRow(
            work=WORK,
            metric="kinds refused",
            value=sum(name not in through for name in must),
            n=len(must),
            note="by every reader of the hostile part, in one line, with exit code 2, in time and memory"
            + (f"; not: {'; '.join(name for name in must if name in through)}" if through else ""),
        ),
        ResultRow(
            work=WORK,
            metric="kinds harmless",
            value=sum(name not in through for name in harmless),
            n=len(harmless),
            note="; ".join(harmless),
        ),
        ResultRow(
            work=WORK,
            metric="readings as they have to be",
            value=len(verdicts) - counts[THROUGH],
            n=len(verdicts),
            note="pairs of a kind and a verb or function that was given it",
        ),
    ]
    for verdict, metric in ((REFUSED, "readings refused"), (REPORTED, "readings reported"), (READ, "readings read")):
        rows.append(ResultRow(work=WORK, metric=metric, value=counts[verdict], n=len(verdicts)))
    for part in dict.fromkeys(verdict.kind.part for verdict in verdicts):
        here = dict.fromkeys(verdict.kind.name for verdict in verdicts if verdict.kind.part == part)
        rows.append(ResultRow(work=WORK, metric=f"kinds of {part}", value=len(here)))
    return rows


if __name__ == "__main__":
    main()
