"""The tags of words, and how they say where slots are."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_TAG = re.compile(r"(I|B([1-9][0-9]?)?)-(.+)", re.DOTALL)


class WordSpan(NamedTuple):
    """A labelled run of words.

    Attributes:
        label: Name of the slot.
        start: Index of the first word.
        end: Index of the word after the last.
        tail: How many last code points of the first word belong to the run; 0 if all of them do.
    """

    label: str
    start: int
    end: int
    tail: int = 0


def split_tag(tag: str) -> tuple[bool, int, str]:
    """Take a tag apart.

    Returns:
        Whether the tag begins a slot, how many last code points of its word belong to the slot (0 if the whole word
        does), and the label of the slot ("" outside of slots).

    Raises:
        ValueError: It is of no known form.
    """
    if tag == "O":
        return False, 0, ""
    parts = _TAG.fullmatch(tag)
    if parts is None:
        raise ValueError(
            f"tag {tag!r} is neither 'O' nor 'B-label' nor 'I-label' nor 'B2-label' (of the word's last two characters)"
        )
    return parts[1] != "I", int(parts[2] or 0), parts[3]


class TagScheme:
    """The tag list of a model, prepared for decoding."""

    __slots__ = ("begins", "labels", "outside", "tags", "tails")

    def __init__(self, tags: Sequence[str]) -> None:
        """Prepare the tags.

        Args:
            tags: ``O``, ``B-label``, ``I-label``, and ``B2-label`` where a slot begins two code points before the end
                of its word (``recuérda|me``), in the order of the logits.

        Raises:
            ValueError: A tag is of another form.
        """
        self.tags = tuple(tags)
        parts = [split_tag(tag) for tag in self.tags]
        self.begins: tuple[bool, ...] = tuple(begins for begins, _, _ in parts)
        self.tails: tuple[int, ...] = tuple(tail for _, tail, _ in parts)
        self.labels: tuple[str, ...] = tuple(label for _, _, label in parts)
        self.outside = self.tags.index("O") if "O" in self.tags else -1

    @property
    def slots(self) -> list[str]:
        """The slots' labels, sorted, each once."""
        return sorted(set(self.labels) - {""})

    def spans(self, tag_ids: Sequence[int]) -> list[WordSpan]:
        """Turn one tag per word into labelled runs of words.

        ``B-x`` always starts a run; ``I-x`` goes on with a run of the same label, and starts one where there is none
        (after ``O``, at the start, or after another label). This is the repair of conlleval, and of seqeval outside
        its strict mode.

        Args:
            tag_ids: Indices into the tag list, one per word.

        Returns:
            The runs from left to right; they do not overlap.
        """
        spans: list[WordSpan] = []
        label, start, tail = "", 0, 0
        for position, tag_id in enumerate(tag_ids):
            current = self.labels[tag_id]
            if label and (current != label or self.begins[tag_id]):
                spans.append(WordSpan(label, start, position, tail))
                label = ""
            if current and not label:
                label, start, tail = current, position, self.tails[tag_id]
        if label:
            spans.append(WordSpan(label, start, len(tag_ids), tail))
        return spans
