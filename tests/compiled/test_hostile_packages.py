"""Hostile files are refused in one line, in time and memory; the whole corpus is `benchmarks.hostile_packages`."""

from __future__ import annotations

import gc
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.hostile.judging import READ, REFUSED, REPORTED, THROUGH, Outcome, judge, run_reader
from benchmarks.hostile.kinds import READERS, Kind
from benchmarks.hostile.subjects import make_subject
from benchmarks.hostile_packages import KINDS, choose_readers, describe, judge_kind

# Those that take long to make are left to the benchmark, and every kind's first function of the Python API stands for
# its readers here.
_LARGE = ("000,000", "00,000", "MB", "MiB", "000 tags", "000 intents", "000,000 deep", "000 members")
_API = {
    "manifest": "Parser.load",
    "module": "Parser.load",
    "golden": "golden vectors",
    "decisions": "golden decisions",
    "reference": "load_reference",
    "facts": "load_checkpoint",
    "weights": "load_checkpoint",
}
_CHOSEN = [kind for kind in KINDS if not any(mark in kind.name for mark in _LARGE)][::4]


@pytest.fixture(scope="module")
def good(tiny_code: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    make_subject(folder, tiny_code)
    import pqrnn.checkpoint  # noqa: F401
    import runtime_py.parity.reference_file
    import runtime_py.parser  # noqa: F401  (so that the children need not)

    # As in `import_everything`: a collection in a child would go through all that earlier tests left in this process,
    # and what it touches would count as the memory of a reader.
    gc.collect()
    gc.freeze()
    yield folder
    gc.unfreeze()


def test_there_are_many_kinds_and_each_has_a_name_of_its_own() -> None:
    assert len(KINDS) >= 400
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert {kind.part for kind in KINDS} == set(READERS)
    assert len([kind for kind in KINDS if kind.harmless]) < len(KINDS) / 10


def test_the_good_subject_is_read_by_every_function(good: Path, tmp_path: Path) -> None:
    for part, reader in _API.items():
        kind = Kind("nothing", part, lambda folder: None, "nothing is wrong")
        assert [verdict.verdict for verdict in judge_kind(kind, good, tmp_path, [reader])] == [READ], reader


@pytest.mark.parametrize("kind", _CHOSEN, ids=lambda kind: kind.name[:60].encode("ascii", "backslashreplace").decode())
def test_a_hostile_file_is_refused(kind: Kind, good: Path, tmp_path: Path) -> None:
    (verdict,) = judge_kind(kind, good, tmp_path, [_API[kind.part]])
    assert verdict.verdict != THROUGH, verdict.why


@pytest.mark.parametrize(
    ("reader", "through"),
    [
        (lambda folder: bytearray(200 << 20).clear(), r"takes (19|20)\d MiB"),
        (lambda folder: os.kill(os.getpid(), 9), "ends with -9"),
        (lambda folder: {}["no"], "KeyError"),
        (lambda folder: sys.stdout.write("\x1b[31mred"), "shows a terminal"),
        (lambda folder: None, "read, exit code 0"),
    ],
)
def test_what_gets_through_is_seen(reader: Callable[[Path], object], through: str, good: Path, tmp_path: Path) -> None:
    kind = next(kind for kind in KINDS if kind.part == "manifest" and not kind.harmless)
    outcome = run_reader(reader, good, tmp_path)  # type: ignore[arg-type]
    verdict = judge(kind, "parse", outcome, 1 << 20)
    assert verdict.verdict == THROUGH
    assert re.search(through, verdict.why), verdict.why


def test_a_reader_that_hangs_is_killed(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.hostile.judging._HANG", 0.3)
    outcome = run_reader(lambda folder: time.sleep(60), good, tmp_path)
    assert (outcome.hung, outcome.code) == (True, -9)
    assert judge(KINDS[0], "parse", outcome, 1).why == "hangs"


def test_a_refusal_is_one_line_with_exit_code_2_in_time() -> None:
    kind = next(kind for kind in KINDS if not kind.harmless)
    refused = Outcome(2, "error: no\n", "", 0.1, 0)
    assert judge(kind, "parse", refused, 1).verdict == REFUSED
    for wrong in (
        refused._replace(said="error: no\nand more\n"),
        refused._replace(said="Usage: no\n"),
        refused._replace(seconds=1.5),
        refused._replace(code=1),
    ):
        assert judge(kind, "parse", wrong, 1).verdict == THROUGH, wrong
    assert judge(kind, "golden vectors", refused._replace(code=1), 1).verdict == REPORTED


def test_rows_count_kinds_and_name_those_that_got_through() -> None:
    kinds = [kind for kind in KINDS if not kind.harmless][:2]
    verdicts = [
        judge(kinds[0], "parse", Outcome(2, "error: no\n", "", 0.1, 0), 1),
        judge(kinds[1], "parse", Outcome(0, "", "", 0.1, 0), 1),
    ]
    rows = describe(verdicts)
    assert (rows[0].value, rows[0].n) == (1, 2)
    assert kinds[1].name in rows[0].note


def test_one_verb_of_the_command_line_is_taken_in_turn() -> None:
    kind = next(kind for kind in KINDS if kind.part == "manifest" and not kind.harmless)
    taken = [choose_readers(kind, turn) for turn in range(0, 24, 3)]
    assert set(READERS["manifest"]) == {reader for readers in taken for reader in readers}
    assert all("Parser.load" in readers and "board parse" in readers for readers in taken)
