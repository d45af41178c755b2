"""Our own JSON lines, written and read back; and the fingerprint."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pqrnn.data import load_examples
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.data.writer import write_jsonl

pytestmark = pytest.mark.unit

VISIBLE = st.one_of(
    st.text(min_size=1),
    st.sampled_from(["a\u2028b", "x\r\n", "\x85y", "e\u0301 \U0001f600", "\xa0z", "\\\"'", "\ufeffbom"]),
).filter(lambda text: bool(text.strip()))


@st.composite
def examples(draw: st.DrawFn) -> Example:
    text = draw(VISIBLE)
    offsets = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(offsets, offsets), max_size=3))
    slots = tuple(SlotSpan(draw(VISIBLE), min(pair), max(pair)) for pair in pairs)
    return Example(text, draw(VISIBLE), slots, draw(st.sampled_from(["", "en", "en-US", "th"])))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(examples(), min_size=1, max_size=5), packed=st.booleans())
def test_jsonl_comes_back_as_it_was(tmp_path: Path, rows: list[Example], packed: bool) -> None:
    path = tmp_path / ("rows.jsonl.gz" if packed else "rows.jsonl")
    assert write_jsonl(rows, path) == len(rows)
    read = load_examples(str(path), split="all")
    assert [replace(row, source="") for row in read] == rows
    assert [row.source for row in read] == [f"{path}:{line}" for line in range(1, len(rows) + 1)]


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    rows = [Example("wake mé", "x", (SlotSpan("a", 0, 4),), "en", "elsewhere:7")]
    for name in ("a.jsonl", "b.jsonl", "a.jsonl.gz", "b.jsonl.gz"):
        write_jsonl(rows, tmp_path / name)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert (tmp_path / "a.jsonl.gz").read_bytes()[4:8] == bytes(4), "a time stamp in the gzip header"
    assert "wake mé" in (tmp_path / "a.jsonl").read_text(encoding="utf-8")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl([Example("old", "x")], path)
    with pytest.raises(UnicodeEncodeError):
        write_jsonl([Example("new", "x"), Example("\ud800", "x")], path)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(OSError):
        write_jsonl([Example("new", "x")], tmp_path / "folder.jsonl")
    assert [row.text for row in load_examples(str(path), split="all")] == ["old"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.jsonl", "rows.jsonl"]


ROWS = [
    Example("wake me", "alarm", (SlotSpan("who", 5, 7), SlotSpan("what", 0, 4)), "en", "a:1"),
    Example("stop", "stop", (), "en", "a:2"),
    Example("stop", "stop", (), "en", "a:3"),
]


def test_fingerprint_does_not_depend_on_where_and_in_which_order_rows_lie() -> None:
    moved = [replace(row, source="b:9", locale="en-US", slots=row.slots[::-1]) for row in ROWS]
    random.Random(1).shuffle(moved)
    assert fingerprint_examples(moved) == fingerprint_examples(ROWS)


@pytest.mark.parametrize(
    "other",
    [
        ROWS[:2],
        [*ROWS, ROWS[0]],
        [replace(ROWS[0], text="wake mo"), *ROWS[1:]],
        [replace(ROWS[0], intent="alarms"), *ROWS[1:]],
        [replace(ROWS[0], slots=ROWS[0].slots[:1]), *ROWS[1:]],
        [replace(ROWS[0], slots=(SlotSpan("who", 5, 6), ROWS[0].slots[1])), *ROWS[1:]],
        [replace(ROWS[0], slots=(SlotSpan("whom", 5, 7), ROWS[0].slots[1])), *ROWS[1:]],
    ],
)
def test_fingerprint_depends_on_everything_that_is_learned(other: list[Example]) -> None:
    assert fingerprint_examples(other) != fingerprint_examples(ROWS)


def test_fingerprint_is_the_same_for_ever() -> None:
    # Checkpoints keep it: a new value here means that old ones no longer match their data.
    assert fingerprint_examples(ROWS) == "fdb41b7275bc74c1ae04c7d097c47cd650c1bdbac5afc2ed934ccafd7518a94a"
