"""A question and a context as an encoder reads them: subwords of both, in windows of limited length.

Training and packages read with this one module, so that both see the same subwords at the same positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from runtime_py.errors import InputError, InputTooLongError
from runtime_py.questions.limits import LARGEST_CONTEXT, LONGEST, LONGEST_ANSWER, LONGEST_QUESTION, STRIDE
from runtime_py.questions.windows import Window, cut_windows

_Ids = Annotated[tuple[Annotated[int, Meta(ge=0, lt=1 << 31)], ...], Meta(max_length=16)]
_Length = Annotated[int, Meta(ge=1, le=1 << 14)]


class PairLayout(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How question and context stand together in what an encoder reads.

    Attributes:
        first: Ids before the question, as ``[CLS]``.
        between: Ids between question and context, as ``[SEP]``.
        last: Ids after the context.
        padding: Id that fills a window up.
        context_type: Token type of the context and of what follows; what comes before has type 0.
        longest: Subwords of a window, with the question and what stands around both.
        stride: Subwords of the context from one window to the next.
        longest_question: Subwords of a question, at most.
        longest_answer: Subwords of an answer, at most.
    """

    first: _Ids
    between: _Ids
    last: _Ids
    padding: Annotated[int, Meta(ge=0, lt=1 << 31)] = 0
    context_type: Annotated[int, Meta(ge=0, le=1)] = 0
    longest: _Length = LONGEST
    stride: _Length = STRIDE
    longest_question: _Length = LONGEST_QUESTION
    longest_answer: _Length = LONGEST_ANSWER

    def __post_init__(self) -> None:
        """Refuse lengths that leave no room for a context.

        Raises:
            ValueError: Windows of the context would be shorter than the stride.
        """
        room = self.longest - self.longest_question - len(self.first) - len(self.between) - len(self.last)
        if room < self.stride:
            raise ValueError(
                f"windows of {self.longest} subwords with a question of up to {self.longest_question} leave {room} for "
                f"the context, less than the stride of {self.stride}: make windows longer, or the stride or the "
                "question shorter"
            )


class Pair(NamedTuple):
    """A question and a context in subwords.

    Attributes:
        head: Ids of the question with what stands before and after it.
        context: Ids of the context.
        offsets: First code point of each subword of the context, and the one after its last.
        tail: Ids after the context.
        windows: The windows of the context.
    """

    head: tuple[int, ...]
    context: Sequence[int]
    offsets: Sequence[tuple[int, int]]
    tail: tuple[int, ...]
    windows: list[Window]

    def row(self, window: Window) -> list[int]:
        """Return the ids of a window with the question before it."""
        return [*self.head, *self.context[window.start : window.start + window.length], *self.tail]


class PairReader:
    """Cuts questions and contexts.

    Attributes:
        layout: How they stand together.
    """

    def __init__(self, tokenizer: Any, layout: PairLayout) -> None:
        """Take a tokenizer of the library ``tokenizers`` (`load_tokenizer`), and how a pair is laid out."""
        self._tokenizer, self.layout = tokenizer, layout
        self._known: tuple[str, Sequence[int], Sequence[tuple[int, int]]] = ("", (), ())

    def read(self, question: str, context: str, *, cut_question: bool = False) -> Pair:
        """Cut a question and the context that is to answer it.

        Args:
            question: The question.
            context: The context.
            cut_question: Whether a question that is too long loses its end instead of being refused.

        Raises:
            InputError: One of them has nothing to read.
            InputTooLongError: The question has more subwords than the layout allows, or the context more than
                `LARGEST_CONTEXT` characters.
        """
        if not question.strip():
            raise InputError("the question is empty: ask something")
        if len(context) > LARGEST_CONTEXT:
            raise InputTooLongError(
                f"the context has {len(context):,} characters, and at most {LARGEST_CONTEXT:,} are read: give the part "
                "of it that is asked about"
            )
        layout = self.layout
        asked = self._tokenizer.encode(question, add_special_tokens=False).ids
        if len(asked) > layout.longest_question and not cut_question:
            raise InputTooLongError(
                f"the question has {len(asked)} subwords, and a question has up to {layout.longest_question}: ask "
                "shorter"
            )
        ids, offsets = self._cut_context(context)
        if not ids:
            raise InputError("the context is empty: there is no text that could answer the question")
        head = (*layout.first, *asked[: layout.longest_question], *layout.between)
        room = layout.longest - len(head) - len(layout.last)
        return Pair(head, ids, offsets, layout.last, cut_windows(len(ids), room, layout.stride))

    def _cut_context(self, context: str) -> tuple[Sequence[int], Sequence[tuple[int, int]]]:
        """Return ids and offsets of a context; those of the last one are kept, as many questions may be about it."""
        known = self._known
        if known[0] != context:
            found = self._tokenizer.encode(context, add_special_tokens=False)
            known = (context, found.ids, found.offsets)
            self._known = known  # in one step: another thread may be reading about another context
        return known[1], known[2]


def find_tokens(offsets: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """Return the first and the last subword that share a code point with a span of the context.

    Args:
        offsets: Code points of the subwords, as in `Pair`.
        start: First code point of the span.
        end: The code point after its last one.

    Returns:
        The positions, None where no subword does.
    """
    touching = [number for number, (first, after) in enumerate(offsets) if first < end and after > start]
    return (touching[0], touching[-1]) if touching else None
