"""Contexts that are longer than what an encoder reads: overlapping windows, and the best span over all of them.

As BERT's own `run_squad.py` does (Devlin et al. 2019, arXiv:1810.04805): windows begin a stride apart, and of a token
that several have, the one with the most context on both sides counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime_py.questions.limits import LONGEST_ANSWER, STRIDE


class Window(NamedTuple):
    """A piece of a context.

    Attributes:
        start: Its first token in the context.
        length: Number of its tokens.
    """

    start: int
    length: int


class Span(NamedTuple):
    """An answer.

    Attributes:
        first: Its first token in the context.
        last: Its last token in the context.
        score: The sum of its logits.
    """

    first: int
    last: int
    score: float


def cut_windows(tokens: int, room: int, stride: int = STRIDE) -> list[Window]:
    """Return windows that cover a context; one for a context that fits, or that is empty.

    Args:
        tokens: Tokens of the context.
        room: Tokens that a window may have.
        stride: Tokens from one window to the next.

    Raises:
        ValueError: A window has no room, or a stride would leave tokens out.
    """
    if not 1 <= stride <= room:
        raise ValueError(f"a stride of {stride} with room for {room} tokens: expected 1 to {room}")
    windows = [Window(0, min(tokens, room))]
    while windows[-1].start + windows[-1].length < tokens:
        start = windows[-1].start + stride
        windows.append(Window(start, min(tokens - start, room)))
    return windows


def owners(tokens: int, windows: Sequence[Window]) -> NDArray[np.intp]:
    """Return for every token of a context the window in which it has most context, int [tokens].

    That is the smaller number of tokens before and after it in the window; a hundredth of the window's length decides
    between equals, and then the first window.
    """
    positions = np.arange(tokens)
    contexts = np.full((len(windows), tokens), -np.inf)
    for number, window in enumerate(windows):
        inside = (positions >= window.start) & (positions < window.start + window.length)
        before, after = positions - window.start, window.start + window.length - 1 - positions
        contexts[number, inside] = (np.minimum(before, after) + 0.01 * window.length)[inside]
    return contexts.argmax(0)


def find_span(
    starts: Sequence[NDArray[Any]],
    ends: Sequence[NDArray[Any]],
    windows: Sequence[Window],
    longest: int = LONGEST_ANSWER,
) -> Span | None:
    """Return the span with the largest sum of logits: within one window, which owns its first token.

    Args:
        starts: For each window, the logits of its tokens to begin the answer, float [length].
        ends: The same for the end.
        windows: The windows.
        longest: Tokens of an answer, at most.

    Returns:
        The span, the first of equals; None where the context has no tokens.

    Raises:
        ValueError: Logits are not those of these windows.
    """
    tokens = max((window.start + window.length for window in windows), default=0)
    owner, best = owners(tokens, windows) if tokens else np.zeros(0, np.intp), None
    for number, (start, end, window) in enumerate(zip(starts, ends, windows, strict=True)):
        if start.shape != (window.length,) or end.shape != (window.length,):
            raise ValueError(
                f"logits of {start.shape} and {end.shape} for a window of {window.length} tokens: expected as many"
            )
        own = np.flatnonzero(owner[window.start : window.start + window.length] == number)
        for reach in range(min(longest, window.length)):
            firsts = own[own + reach < window.length]
            if not len(firsts):
                continue
            sums = start[firsts].astype(np.float64) + end[firsts + reach]
            found = int(sums.argmax())
            first = window.start + int(firsts[found])
            span = Span(first, first + reach, float(sums[found]))
            if best is None or (-span.score, span.first, span.last) < (-best.score, best.first, best.last):
                best = span
    return best
