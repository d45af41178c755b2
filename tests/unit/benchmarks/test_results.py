"""Kept results are of one form; `test_readme` holds the pages that show them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.results import keep_results, load_results, tell_command
from pqrnn.evaluation.results import ResultRow

_KEPT = sorted(path.stem for path in results.FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", _KEPT)
def test_kept_results_can_be_read_and_name_themselves(name: str) -> None:
    found = load_results(name)
    assert found.name == name
    assert found.rows
    assert found.command
    assert found.environment["versions"]
    assert not [
        part for command in found.command.split("\n") for part in shlex.split(command) if part.startswith("/")
    ], "a path of one machine"


def test_a_command_is_told_as_others_would_type_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["x", f"{Path.home()}/a package", "--work", "a b", "runs/c"])
    told = tell_command("benchmarks.size")
    assert told == "python -m benchmarks.size ~/'a package' --work 'a b' runs/c"


def test_rows_of_other_works_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    keep_results(
        "some", [ResultRow(work="a", metric="m", value=1.0), ResultRow(work="b", metric="m", value=2.0)], "first"
    )
    keep_results("some", [ResultRow(work="b", metric="m", value=3.0)], "second", replace_works=["b"])
    found = load_results("some")
    assert [(row.work, row.value) for row in found.rows] == [("a", 1.0), ("b", 3.0)]
    assert found.command == "first\nsecond"
    keep_results("some", [ResultRow(work="b", metric="m", value=5.0)], "run --work b --fast", replace_works=["b"])
    keep_results("some", [ResultRow(work="b", metric="m", value=6.0)], "run --work b", replace_works=["b"])
    assert load_results("some").command == "first\nsecond\nrun --work b"  # the faster one's rows are gone
    keep_results("some", [ResultRow(work="c", metric="m", value=4.0)], "third")
    assert [row.work for row in load_results("some").rows] == ["c"]
