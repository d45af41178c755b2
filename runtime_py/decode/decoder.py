"""From logits to a typed parse: pure functions, shared by the device and by the trainer's scoring.

Positions in a result are code points of ``Parse.text``. For bytes as input that text is
``raw.decode("utf-8", "replace")``, where one U+FFFD stands for each maximal part of an invalid sequence (the practice
that Unicode recommends, chapter 3.9, and that Python follows).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from runtime_py.decode.answers import Alternative, Parse, Slot
from runtime_py.decode.calibration import Calibration, judge, judge_slot, log_probabilities, rank_intents
from runtime_py.decode.frame_search import Frames
from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.tags import TagScheme, WordSpan

_LONGEST_TAIL = 64  # bytes that may be given up to end a cut text at a space


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities over the last axis, safe for large logits."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def code_point_span(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Turn a range of bytes into a range of code points of ``raw.decode("utf-8", "replace")``.

    A bound inside a character, or inside an invalid sequence, grows the range to the whole of it.

    Args:
        raw: The bytes, valid UTF-8 or not.
        start: First byte.
        end: Byte after the last one; an empty range gives an empty range.
    """
    # A prefix that ends inside a sequence decodes to one U+FFFD for the begun part, so counting prefixes needs no
    # table of boundaries.
    if end <= start:
        position = len(raw[:start].decode("utf-8", "replace"))
        return position, position
    return len(raw[: start + 1].decode("utf-8", "replace")) - 1, len(raw[:end].decode("utf-8", "replace"))


def find_tail(raw: bytes, start: int, end: int, points: int) -> int:
    """Return the byte at which the last ``points`` code points of ``raw[start:end]`` begin.

    It is ``start`` where the range has no more of them. The range begins and ends between two characters, as words do.
    """
    kept = len(raw[start:end].decode("utf-8", "replace")) - points
    if kept <= 0 or points <= 0:
        return start
    # Going back, the first prefix with so many characters ends between two: one that ends inside a character counts the
    # begun part.
    return next(bound for bound in range(end, start, -1) if len(raw[start:bound].decode("utf-8", "replace")) == kept)


def place_run(run: WordSpan, raw: bytes, spans: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return the span in bytes of a labelled run of words, where `spans` are those of all words."""
    start, end = spans[run.start][0], spans[run.end - 1][1]
    return (find_tail(raw, start, spans[run.start][1], run.tail) if run.tail else start), end


def cut_bytes(raw: bytes, limit: int) -> bytes:
    """Return the longest prefix of at most ``limit`` bytes that ends between two characters."""
    if len(raw) <= limit:
        return raw
    for end in range(limit, max(0, limit - 4), -1):
        # Between two characters, the one that holds the next byte has as many before it as the prefix holds.
        if code_point_span(raw, end, end + 1)[0] == len(raw[:end].decode("utf-8", "replace")):
            return raw[:end]
    return b""


def cut_text(raw: bytes, limit: int) -> bytes:
    """Return a prefix of at most ``limit`` bytes that ends between two characters.

    Where a space is near, it does not end inside a word.
    """
    head = cut_bytes(raw, limit)
    if head == raw or raw[len(head)] <= 0x20:
        return head
    space = head.rfind(b" ", max(0, len(head) - _LONGEST_TAIL))
    return head[:space] if space > 0 else head


class Decoder:
    """Turns the logits of one text into a ``Parse``."""

    __slots__ = ("_frames", "calibration", "intents", "scheme")

    def __init__(
        self,
        intents: Sequence[str],
        tags: Sequence[str],
        frames: Sequence[Sequence[int]] = (),
        counts: Sequence[Sequence[Sequence[int]]] = (),
        weights: FrameWeights | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Prepare the names.

        Args:
            intents: Names of the intents, in the order of the logits.
            tags: Names of the tags, in the order of the logits.
            frames: For each intent, indices of its slots in the sorted list of all slots' labels. Empty if every slot
                goes with every intent.
            counts: For each intent, how often it came with which slots (`runtime_py.decode.frame_search.Frames`).
                Empty if parses are not weighed by that.
            weights: How much frames and counts weigh; by default as for packages before schema 1.5.
            calibration: What turns logits into probabilities; without one a score is the softmax of the intent.
        """
        self.calibration = calibration
        self.intents = tuple(intents)
        self.scheme = TagScheme(tags)
        self._frames = Frames(self.scheme, frames, counts, weights)

    def parse(
        self,
        text: str,
        raw: bytes,
        intent: NDArray[np.float32],
        tags: NDArray[np.float32],
        spans: NDArray[np.int32],
        truncated: bool = False,
        alternatives: int = 0,
    ) -> Parse:
        """Decide on one text.

        Args:
            text: The text as code points; positions in the result refer to it.
            raw: The same text as bytes; ``spans`` refers to it.
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
            spans: Start and end byte of each word, int32 [words, 2].
            truncated: Whether the end of the text was left out.
            alternatives: How many of the most probable intents to name.
        """
        best, chosen = self.choose_tags(intent, tags)
        runs = self.scheme.spans(chosen)
        slots = self._slots(text, raw, runs, spans.tolist()) if runs else ()
        score, in_scope, calibration = 1.0 / float(np.exp(intent - intent[best]).sum()), None, self.calibration
        if calibration is not None:
            logarithms = log_probabilities(intent, tags, best, chosen)
            score, in_scope = judge(calibration, intent, logarithms)
            slots = tuple(
                replace(slot, score=judge_slot(calibration.slots, logarithms.tags, run.start, run.end))
                for slot, run in zip(slots, runs, strict=True)
            )
        named: tuple[Alternative, ...] = ()
        if alternatives:
            temperature = calibration.temperature if calibration is not None else 1.0
            ranked = rank_intents(intent, best, alternatives, temperature)
            named = tuple(Alternative(self.intents[index], share) for index, share in ranked)
        return Parse(
            self.intents[best],
            score,
            slots,
            text,
            truncated,
            len(tags),
            calibrated=calibration is not None,
            in_scope=in_scope,
            alternatives=named,
        )

    def decide(self, intent: NDArray[np.float32], tags: NDArray[np.float32]) -> tuple[int, list[WordSpan]]:
        """Return the index of the intent, and the slots as runs of words.

        Args:
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
        """
        best, chosen = self.choose_tags(intent, tags)
        return best, self.scheme.spans(chosen)

    def choose_tags(self, intent: NDArray[np.float32], tags: NDArray[np.float32]) -> tuple[int, list[int]]:
        """Return the index of the intent, and that of each word's tag.

        They are the best parse that is well-formed (`runtime_py.decode.frame_search`).

        Args:
            intent: Logits, float32 [intents].
            tags: Logits, float32 [words, tags].
        """
        return self._frames.decide(intent, tags)

    def _slots(self, text: str, raw: bytes, runs: list[WordSpan], spans: list[list[int]]) -> tuple[Slot, ...]:
        slots = []
        plain = len(text) == len(raw)
        for run in runs:
            start, end = place_run(run, raw, spans)
            if not plain:
                start, end = code_point_span(raw, start, end)
            slots.append(Slot(run.label, text[start:end], start, end))
        return tuple(slots)
