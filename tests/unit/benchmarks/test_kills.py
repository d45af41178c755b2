"""Kills at random moments: what is judged, and one stage of each way of writing."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from benchmarks.hostile.subjects import make_subject
from benchmarks.kills import ABSENT, STAGES, Fate, Stage, describe, kill_once, kill_stage, look, run_forked


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    make_subject(folder, b"no code " * 100)
    return folder


@pytest.mark.parametrize("name", ["checkpoint", "package", "lessons of a teacher", "certify"])
def test_what_was_killed_is_whole_or_absent_and_can_be_done_again(name: str, good: Path, tmp_path: Path) -> None:
    stage = next(stage for stage in STAGES if stage.name == name)
    for fate in kill_stage(stage, good, 1, random.Random(name), tmp_path):
        assert fate.found, fate.said
        assert fate.recovered, fate.said


def _write_halves(folder: Path) -> None:
    path = folder / "half"
    path.write_bytes(b"a")
    time.sleep(0.3)  # killed in here, by the test
    path.write_bytes(b"ab")


def _read_half(folder: Path) -> str:
    return (folder / "half").read_text()


def test_a_half_is_seen(good: Path, tmp_path: Path) -> None:
    stage = Stage("halves", _write_halves, _read_half)
    fate = kill_once(stage, good, {ABSENT, "ab"}, "ab", 0.15, tmp_path / "killed")
    assert fate is not None
    assert fate.recovered
    assert fate.found == (look(stage, tmp_path / "killed") == ABSENT) or not fate.found


def test_what_cannot_be_done_again_is_seen(good: Path, tmp_path: Path) -> None:
    def once(folder: Path) -> None:
        (folder / "lock").mkdir()  # a second run finds it, and fails
        time.sleep(60)

    stage = Stage("once", once, lambda folder: ABSENT)
    fate = kill_once(stage, good, {ABSENT}, "done", 0.5, tmp_path / "killed")
    assert fate is not None
    assert not fate.recovered


def test_a_stage_that_ends_in_time_is_not_counted(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "copy")
    assert run_forked(lambda: None, 60)[0] == 0
    assert (
        kill_once(Stage("quick", lambda folder: None, lambda folder: ""), good, set(), "", 60, tmp_path / "k") is None
    )


def test_rows_count_and_name_what_went_wrong() -> None:
    rows = describe({"a": [Fate(True, True)], "b": [Fate(False, True, "half"), Fate(True, True)]})
    assert [(row.metric, row.value, row.n) for row in rows] == [("all stages", 2, 3), ("a", 1, 1), ("b", 1, 2)]
    assert "half" in rows[2].note
