"""What a labelled utterance is."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_TEXT = 4096
"""Bytes of the longest utterance that is read: what finds its words takes memory with the square of its length."""


@dataclass(frozen=True, slots=True)
class SlotSpan:
    """A labelled piece of a text.

    Attributes:
        label: The slot's type, as the data names it.
        start: The first code point, counted from 0.
        end: The code point after the last one.
    """

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance with its intent and its slots.

    Attributes:
        text: The utterance.
        intent: Its intent, as the data names it.
        slots: Its slots, in the order of the data; they may overlap where the data says so.
        locale: Language and region as ``en`` or ``en-US``; empty where the data does not say.
        source: Where it was read, as ``file:line``, for messages. Not part of what the example means.
    """

    text: str
    intent: str
    slots: tuple[SlotSpan, ...] = ()
    locale: str = ""
    source: str = ""
