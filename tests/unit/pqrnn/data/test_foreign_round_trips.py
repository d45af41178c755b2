"""Any utterance, written as another tool would write it, is read with the same words, intent and slots."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.data import load_examples

pytestmark = pytest.mark.unit

# A text as pieces: what is said, and the label of the slot that it is, or "".
Pieces = list[tuple[str, str]]

# Words without the characters that the formats mark with, and without white space but for single spaces.
_WORD = st.text(st.characters(categories=["L", "Nd", "So"]), min_size=1, max_size=6)
_LABEL = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@st.composite
def _pieces(draw: st.DrawFn) -> Pieces:
    made = [(draw(_WORD), "")]
    for _ in range(draw(st.integers(0, 4))):
        words = " ".join(draw(st.lists(_WORD, min_size=1, max_size=3)))
        made += [(" ", ""), (words, draw(st.one_of(st.just(""), _LABEL)))]
    return made


def _text(pieces: Pieces) -> str:
    return "".join(piece for piece, _ in pieces)


def _spans(pieces: Pieces, measure: Callable[[str], int] = len) -> list[tuple[int, int, str]]:
    found, position = [], 0
    for piece, label in pieces:
        if label:
            found.append((position, position + measure(piece), label))
        position += measure(piece)
    return found


def _count_utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _rasa_marks(pieces: Pieces) -> str:
    return "".join(f"[{piece}]({label})" if label else piece for piece, label in pieces)


def _rasa_yaml(pieces: Pieces) -> str:
    return f"nlu:\n- intent: go\n  examples: |\n    - {_rasa_marks(pieces)}\n"


def _rasa_dicts(pieces: Pieces) -> str:
    marked = "".join(f"[{piece}]{json.dumps({'entity': label})}" if label else piece for piece, label in pieces)
    return f"## intent:go\n- {marked}\n"


def _rasa_json(pieces: Pieces) -> str:
    entities = [{"start": start, "end": end, "entity": label} for start, end, label in _spans(pieces)]
    row = {"text": _text(pieces), "intent": "go", "entities": entities}
    return json.dumps({"rasa_nlu_data": {"common_examples": [row]}})


def _snips_json(pieces: Pieces) -> str:
    data = [{"text": piece, **({"entity": label} if label else {})} for piece, label in pieces]
    return json.dumps({"go": [{"data": data}]}, ensure_ascii=False)


def _snips_yaml(pieces: Pieces) -> str:
    marked = "".join(f"[{label}:thing]({piece})" if label else piece for piece, label in pieces)
    return f"type: intent\nname: go\nutterances:\n  - {marked}\n"


def _top(pieces: Pieces) -> str:
    form = "".join(f"[SL:{label} {piece} ]" if label else piece for piece, label in pieces)
    return f"{_text(pieces)}\t[IN:go {form} ]\n"


def _label_studio(pieces: Pieces) -> str:
    result: list[object] = [
        {"type": "labels", "value": {"start": start, "end": end, "labels": [label]}}
        for start, end, label in _spans(pieces, _count_utf16)
    ]
    result.append({"type": "choices", "value": {"choices": ["go"]}})
    return json.dumps([{"data": {"text": _text(pieces)}, "annotations": [{"result": result}]}])


def _array(pieces: Pieces) -> str:
    return json.dumps([{"text": _text(pieces), "intent": "go", "entities": _spans(pieces)}], indent=1)


def _table(pieces: Pieces) -> str:
    written = io.StringIO(newline="")
    csv.writer(written).writerows([("text", "intent", "entities"), (_text(pieces), "go", json.dumps(_spans(pieces)))])
    return written.getvalue()


_WRITERS = {
    "rasa yaml": ("rasa", _rasa_yaml),
    "rasa markdown": ("rasa", _rasa_dicts),
    "rasa json": ("rasa", _rasa_json),
    "snips json": ("snips-nlu", _snips_json),
    "snips yaml": ("snips-nlu", _snips_yaml),
    "top": ("top", _top),
    "label studio": ("label-studio", _label_studio),
    "array": ("json-array", _array),
    "table": ("csv", _table),
}


@given(_pieces(), st.sampled_from(sorted(_WRITERS)))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, pieces: Pieces, writer: str) -> None:
    name, write = _WRITERS[writer]
    path = tmp_path_factory.mktemp("trip") / "rows.txt"
    path.write_bytes(write(pieces).encode())
    (row,) = load_examples(f"{name}:{path}", split="all")
    assert (row.text, row.intent.removeprefix("IN:")) == (_text(pieces), "go")
    found = [(slot.start, slot.end, slot.label.removeprefix("SL:")) for slot in row.slots]
    assert found == _spans(pieces)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.sampled_from(sorted(_WRITERS)))
def test_no_content_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: str, writer: str) -> None:
    from pqrnn.errors import DataError

    name, write = _WRITERS[writer]
    path = tmp_path_factory.mktemp("trip") / "rows.txt"
    good = write([("go", ""), (" ", ""), ("home", "to")])
    for text in (content, good[: len(good) // 2] + content, good + content, good.replace("home", content)):
        path.write_bytes(text.encode())
        for spec in (f"{name}:{path}", f"{name}:{path}?skip-bad-rows", str(path)):
            try:
                load_examples(spec, split="all")
            except DataError as error:
                assert str(path) in str(error)
