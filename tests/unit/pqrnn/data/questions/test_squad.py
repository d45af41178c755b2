"""SQuAD's files: what is read, and how what is wrong is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pqrnn.data.questions.squad import Answer, Question, read_squad
from pqrnn.errors import DataFormatError, DataNotFoundError

CONTEXT = "In 2015 the 🦊 won."


def make(*questions: dict[str, Any], context: str = CONTEXT) -> dict[str, Any]:
    return {
        "version": "1.1",
        "data": [{"title": "Foxes", "paragraphs": [{"context": context, "qas": list(questions)}]}],
    }


def ask(name: str = "q1", text: str = "🦊", start: int = 12, **more: Any) -> dict[str, Any]:
    return {"id": name, "question": "Who won?", "answers": [{"text": text, "answer_start": start}], **more}


def write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_questions_in_their_order_plain_and_packed(tmp_path: Path) -> None:
    content = make(ask(), ask("q2", "2015", 3))
    wanted = [
        Question("q1", "Who won?", CONTEXT, (Answer("🦊", 12),), "Foxes"),
        Question("q2", "Who won?", CONTEXT, (Answer("2015", 3),), "Foxes"),
    ]
    assert read_squad(write(tmp_path / "dev.json", content)) == wanted
    packed = tmp_path / "dev.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(content, indent=1).encode()))
    assert read_squad(packed) == wanted
    assert wanted[0].answers[0].end == 13  # code points, not bytes or UTF-16


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"data": [{"paragraphs": [{"qas": []}]}]}, r"context"),
        ([1], r"Expected `object`"),
        (make(ask(), ask()), r"'q1' twice"),
        (make(), r"no question"),
        (make(ask(start=11)), r"'q1': the answer '🦊' at 11, where the context has ' '"),
        (make(ask(start=99)), r"at 99, where the context has ''"),
        (make(ask(start=-1)), r"at -1"),
        (make(ask(text="", start=3)), r"the answer ''"),
        (make({"id": "q1", "question": "?", "answers": []}), r"without an answer.*SQuAD 2.0"),
        (make(ask(is_impossible=True)), r"without an answer"),
        (make({"id": 1, "question": "?", "answers": []}), r"id"),
    ],
)
def test_what_is_wrong_is_named(content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=said) as caught:
        read_squad(write(tmp_path / "dev.json", content))
    assert str(caught.value).startswith(str(tmp_path / "dev.json"))


def test_what_is_no_json_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"data": [')
    with pytest.raises(DataFormatError, match=r"cut.json.*SQuAD 1.1"):
        read_squad(tmp_path / "cut.json")
    with pytest.raises(DataNotFoundError, match=r"nowhere.json"):
        read_squad(tmp_path / "nowhere.json")
