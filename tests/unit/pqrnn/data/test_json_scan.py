"""JSON documents part by part: as strict as the standard parser, and every part with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.data import load_examples
from pqrnn.data.formats.json_scan import Part, scan_json
from pqrnn.data.textfile import TextFile, split_lines
from pqrnn.errors import DataFormatError

pytestmark = pytest.mark.unit

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def _scan(text: str, depth: int) -> list[Part]:
    file = TextFile(Path("x.json"), split_lines(text))
    return list(scan_json(file, lambda path: len(path) < depth, "a document"))


def _get(document: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


@given(_VALUES, st.integers(0, 4), st.sampled_from([None, 0, 2]))
def test_parts_are_those_of_the_document(document: Any, depth: int, indent: int | None) -> None:
    written = json.dumps(document, indent=indent)
    lines = written.split("\n")
    for part in _scan(written, depth):
        assert _get(document, part.path) == part.value
        assert json.dumps(part.value, indent=indent).split("\n")[0].strip() in lines[part.line]
    if depth == 0:
        assert [part.value for part in _scan(written, 0)] == [document]


@given(_VALUES, st.integers(0, 3), st.data())
def test_what_the_standard_parser_refuses_is_refused(document: Any, depth: int, data: st.DataObject) -> None:
    written = json.dumps(document, indent=data.draw(st.sampled_from([None, 1])))
    position = data.draw(st.integers(0, len(written)))
    cut = data.draw(st.integers(0, 2))
    changed = written[:position] + data.draw(st.sampled_from(["", ",", "]", "}", "{", '"', " x", ":", "1"]))
    changed += written[position + cut :]
    try:
        json.loads(changed)
        fine = True
    except ValueError:
        fine = False
    try:
        _scan(changed, depth)
    except DataFormatError:
        assert not fine
    else:
        assert fine


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ('{"train": [["a", "b"]]}\n{"test": []}', 2, "'{\"test\": []}' after the end of the document"),
        ('{"train": [["a", "b"]]} }', 1, "after the end"),
        ('{"train": [["a", "b"],]}', 1, "not JSON"),
        ('{"train": [["a", "b"]],}', 1, "where a key in double quotes belongs"),
        ('{"train": [["a", "b"]], 1: []}', 1, "where a key in double quotes belongs"),
        ('{"train":\n[["a", "b"], ' + "[" * 100_000 + "]}", 2, "not usable JSON"),
        ('{"train": [["a", "b"], ' + "1" * 5000 + "]}", 1, "not usable JSON"),
        ('{"train": [["a", "b"], ["c", 1' + "0" * 4000 + "]]}", 1, "the row"),
        ('{"train": [["a", "b"], ["c", " "]]}', 1, "the row ['c', ' ']"),
        ('{"train": [["a", "b"], ["c", "\\ud800"]]}', 1, "the lone surrogate"),
        ('[["a", "b"]]', 1, "'0'"),
        ("3", 1, "where '{' belongs"),
    ],
)
def test_clinc150_is_read_as_others_read_it(tmp_path: Path, content: str, line: int, said: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataFormatError) as caught:
        load_examples(f"clinc150:{path}", split="train")
    assert caught.value.line == line
    assert said in caught.value.found
    assert len(str(caught.value)) < 1000
