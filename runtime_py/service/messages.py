"""What requests of the HTTP service hold, and how one that is wrong is answered."""

from typing import Annotated, Any, TypeVar

import msgspec

from runtime_py.decode.answers import Parse
from runtime_py.errors import InputTooLongError


class ParseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One text to parse."""

    text: str


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Texts to parse."""

    texts: Annotated[list[str], msgspec.Meta(min_length=1)]


RequestKind = TypeVar("RequestKind", ParseRequest, BatchRequest)


class SlotDocument(msgspec.Struct):
    """A slot; positions are code points of the text."""

    label: str
    text: str
    start: int
    end: int


class ParseDocument(msgspec.Struct):
    """The meaning of a text, as `pqrnn parse --json` prints it."""

    text: str
    intent: str
    score: float
    slots: list[SlotDocument]
    words: int
    truncated: bool


class CandidateDocument(msgspec.Struct):
    """An intent that can still win, and its probability, were this the whole text."""

    intent: str
    score: float


class PartialDocument(msgspec.Struct):
    """What the beginning of a text says: intents that can still win, the likeliest first.

    It is settled where the likeliest one is taken to have won.
    """

    text: str
    settled: bool
    candidates: list[CandidateDocument]


class Problem(msgspec.Struct):
    """What is wrong with a request: a word for programs, and a sentence for people."""

    code: str
    message: str


class ProblemDocument(msgspec.Struct):
    """The answer to a request that cannot be served."""

    error: Problem


class RequestError(Exception):
    """A request that cannot be served.

    Attributes:
        status: Status code of HTTP.
        code: A word for programs.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        """Keep what the answer says."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}


def problem_document(code: str, message: str) -> dict[str, Any]:
    """Return the body of an answer that says what is wrong."""
    return {"error": {"code": code, "message": message}}


def answer_document(answer: Parse | InputTooLongError) -> dict[str, Any]:
    """Return the answer to one text of a batch."""
    return problem_document("text_too_long", str(answer)) if isinstance(answer, Exception) else answer.to_dict()


def read_request(body: bytes, kind: type[RequestKind]) -> RequestKind:
    """Read the body of a request.

    Raises:
        RequestError: It is no JSON, or not of this form.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise RequestError(422, "invalid_request", f"{error}. {_EXPECTED[kind]}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, "invalid_json", f"the body is no JSON in UTF-8: {error}. {_EXPECTED[kind]}") from error


_EXPECTED = {
    ParseRequest: 'Expected {"text": "..."}.',
    BatchRequest: 'Expected {"texts": ["...", "..."]}.',
}
