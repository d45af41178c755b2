"""Labelled utterances: formats, loading, alignment with words. Never imports torch."""

from __future__ import annotations

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.loader import available_splits, load_examples

__all__ = ["Example", "SlotSpan", "available_splits", "load_examples"]
