"""SQuAD 1.1 (Rajpurkar et al. 2016, arXiv:1606.05250): questions whose answer is a span of a paragraph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pqrnn.data.textfile import read_lines
from pqrnn.errors import DataFormatError
from runtime_py.bounded_files import shorten
from runtime_py.json_errors import JSON_ERRORS

_EXPECTED = 'SQuAD 1.1: {"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}'


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of a context.

    Attributes:
        text: The span.
        start: Its first code point in the context, from 0.
    """

    text: str
    start: int

    @property
    def end(self) -> int:
        """The code point after the last one."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context.

    Attributes:
        id: Its id, by which predictions name it.
        text: The question.
        context: The text that answers it; questions about one paragraph share it.
        answers: What people gave as the answer, at least one; some agree.
        title: Title of the article.
    """

    id: str
    text: str
    context: str
    answers: tuple[Answer, ...]
    title: str = ""


class _Answer(msgspec.Struct):
    text: str
    answer_start: int


class _Question(msgspec.Struct):
    id: str
    question: str
    answers: list[_Answer]
    is_impossible: bool = False


class _Paragraph(msgspec.Struct):
    context: str
    qas: list[_Question]


class _Article(msgspec.Struct):
    paragraphs: list[_Paragraph]
    title: str = ""


class _File(msgspec.Struct):
    data: list[_Article]


def read_squad(path: str | Path) -> list[Question]:
    """Read a file of SQuAD 1.1, plain or gzip, in its order.

    Raises:
        DataNotFoundError: The file cannot be opened.
        DataFormatError: It is damaged, no SQuAD 1.1, has an id twice, or an answer that is not where it says.
    """
    path = Path(path)
    try:
        content = msgspec.json.decode("\n".join(read_lines(path).lines), type=_File)
    except JSON_ERRORS as error:
        raise DataFormatError(path, None, shorten(error), _EXPECTED) from error
    questions = list(_questions(path, content))
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise DataFormatError(path, None, f"the id {question.id!r} twice", "an id for each question")
        seen.add(question.id)
    if not questions:
        raise DataFormatError(path, None, "no question", _EXPECTED)
    return questions


def _questions(path: Path, content: _File) -> Iterator[Question]:
    for article in content.data:
        for paragraph in article.paragraphs:
            for each in paragraph.qas:
                if each.is_impossible or not each.answers:
                    found = f"question {each.id!r} without an answer"
                    raise DataFormatError(path, None, found, "at least one", "SQuAD 2.0 has such questions, 1.1 none")
                answers = tuple(Answer(answer.text, answer.answer_start) for answer in each.answers)
                for answer in answers:
                    _check(path, each.id, paragraph.context, answer)
                yield Question(each.id, each.question, paragraph.context, answers, article.title)


def _check(path: Path, name: str, context: str, answer: Answer) -> None:
    there = context[max(answer.start, 0) : max(answer.end, 0)]
    if answer.start < 0 or not answer.text or there != answer.text:
        raise DataFormatError(
            path,
            None,
            f"question {name!r}: the answer {shorten(answer.text)!r} at {answer.start}, where the context has "
            f"{shorten(there)!r}",
            "an answer that stands in the context where it says, counted in code points",
        )
