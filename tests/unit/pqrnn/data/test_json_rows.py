"""Keys of JSON lines that look like ours, the spans of others, and keys that are nobody's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pqrnn.data import Example, SlotSpan, load_examples
from pqrnn.data.reading import ReadReport
from pqrnn.errors import DataFormatError

pytestmark = pytest.mark.unit

_SPAN = {"start": 8, "end": 13, "label": "area"}


def _load(tmp_path: Path, *rows: dict[str, Any], report: ReadReport | None = None) -> list[Example]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": "go into there", "intent": "go"} | row) + "\n" for row in rows))
    return load_examples(str(path), split="all", report=report)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("slot", "slots"),
        ("Slots", "slots"),
        ("SLOTS", "slots"),
        ("slots ", "slots"),
        ("slosts", "slots"),
        ("labels", "slots"),
        ("label", "slots"),
        ("tags", "slots"),
        ("entity", "slots"),
        ("ner_tags", "slots"),
    ],
)
def test_keys_that_look_like_slots_are_refused(tmp_path: Path, key: str, meant: str) -> None:
    with pytest.raises(DataFormatError, match=rf"rows\.jsonl:2: the key '{key}' \(did you mean '{meant}'\?\)"):
        _load(tmp_path, {}, {key: [_SPAN]})


@pytest.mark.parametrize("key", ["entities", "spans"])
@pytest.mark.parametrize("value", [{"area": "there"}, "there", [["area", "there"]], [{"label": "area"}], [8]])
def test_spans_in_no_known_form_are_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(DataFormatError, match=rf"the key '{key}' \(did you mean 'slots'\?\)"):
        _load(tmp_path, {key: value})


@pytest.mark.parametrize(
    ("key", "meant", "value"),
    [
        ("language", "locale", "en"),
        ("lang", "locale", "en"),
        ("Locale", "locale", "en"),
        ("partition", "split", "train"),
        ("Split", "split", "train"),
    ],
)
def test_keys_that_look_like_others_of_ours_are_refused(tmp_path: Path, key: str, meant: str, value: str) -> None:
    with pytest.raises(DataFormatError, match=rf"the key '{key}' \(did you mean '{meant}'\?\)"):
        _load(tmp_path, {key: value})
    # Beside ours it is somebody else's, and so is one that says nothing.
    assert _load(tmp_path, {meant: value, key: "no matter"}, {key: None}, {key: ""})


@pytest.mark.parametrize("key", ["entities", "spans"])
@pytest.mark.parametrize(
    "value",
    [
        [{"start": 3, "end": 7, "label": "how"}, {"start": 8, "end": 13, "label": "area"}],
        [{"start": 3, "end": 7, "entity": "how", "value": "in"}, {"start": 8, "end": 13, "entity": "area", "value": 3}],
        [{"start": 3, "end": 7, "entity_group": "how", "score": 0.9}, {"start": 8, "end": 13, "type": "area"}],
        [[3, 7, "how"], [8, 13, "area"]],
    ],
    ids=["label", "rasa", "hugging face", "spacy"],
)
def test_spans_of_others_are_read(tmp_path: Path, key: str, value: object) -> None:
    (row,) = _load(tmp_path, {key: value})
    assert row.slots == (SlotSpan("how", 3, 7), SlotSpan("area", 8, 13))
    with pytest.raises(DataFormatError, match="one list of slots"):
        _load(tmp_path, {"slots": [_SPAN], key: value})


def test_spans_of_others_are_checked_like_ours(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="from 8 to 99 in a text of 13"):
        _load(tmp_path, {"entities": [{"start": 8, "end": 99, "entity": "area"}]})
    with pytest.raises(DataFormatError, match="says 'here', but 'there' stands"):
        _load(tmp_path, {"spans": [{"start": 8, "end": 13, "label": "area", "text": "here"}]})


def test_roles_of_entities_are_part_of_the_label(tmp_path: Path) -> None:
    (row,) = _load(tmp_path, {"entities": [{"start": 8, "end": 13, "entity": "area", "role": "to"}]})
    assert row.slots == (SlotSpan("area.to", 8, 13),)


def test_other_keys_are_counted_and_named(tmp_path: Path) -> None:
    report = ReadReport()
    for _ in range(2):  # reading the same again counts nothing twice
        rows = _load(tmp_path, {"id": 1, "intent_id": 4}, {"id": 2}, {"text_en": "x"}, {"slots": []}, report=report)
        assert len(rows) == 4
    assert report.keys == {"id": 2, "intent_id": 1, "text_en": 1}
    assert "'id' (2 rows), 'intent_id' (1 rows), 'text_en' (1 rows)" in report.describe_rest()


def test_massive_has_the_same_care(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"utt": "go", "intent": "x", "annot_utt": "go", "id": 1, "worker_id": 2, "note": "n"}
    path.write_text(json.dumps(row))
    report = ReadReport()
    load_examples(str(path), split="all", report=report)
    assert report.keys == {"note": 1}
    for key, meant in (("Slots", "slots"), ("lang", "locale"), ("split", "partition")):
        path.write_text(json.dumps(row | {key: "en"}))
        with pytest.raises(DataFormatError, match=rf"the key '{key}' \(did you mean '{meant}'\?\)"):
            load_examples(str(path), split="all")
    path.write_text(json.dumps(row | {"slots": [[True, 2, "a"]]}))
    with pytest.raises(DataFormatError, match="slot"):
        load_examples(str(path), split="all")


def test_words_with_a_tag_each_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for key in ("tags", "ner_tags", "slots"):
        row = {"tokens": ["go", "new", "york"], key: ["O", "B-to", "I-to"], "intent": "x", "id": 1}
        for content in (json.dumps(row), json.dumps([row], indent=1)):
            path.write_text(content)
            (read,) = load_examples(str(path), split="all")
            assert (read.text, read.slots) == ("go new york", (SlotSpan("to", 3, 11),))
    for tags, said in (([0, 1, 2], "instead of their numbers"), (["O"], "for 3 tokens"), ("O", "for 3 tokens")):
        path.write_text(json.dumps({"tokens": ["go", "new", "york"], "tags": tags, "intent": "x"}))
        with pytest.raises(DataFormatError, match=said):
            load_examples(str(path), split="all")
    path.write_text(json.dumps({"tokens": ["go", 3], "intent": "x"}))
    with pytest.raises(DataFormatError, match=r"tokens \['go', 3\]"):
        load_examples(str(path), split="all")


def test_numbers_of_labels_are_no_names(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=r"'intent' is 3; .*names of labels instead of their numbers"):
        _load(tmp_path, {"intent": 3})
