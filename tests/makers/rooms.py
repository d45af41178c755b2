"""Utterances about lights in rooms, enough to be learned in seconds."""

from __future__ import annotations

from pqrnn.data.examples import Example, SlotSpan

ROOMS = ("kitchen", "hall", "living room", "cellar", "garage", "bedroom", "attic", "office")
_VERBS = (("switch on", "on"), ("turn off", "off"), ("dim", "dim"))


def make_rooms() -> list[Example]:
    """Three intents, one slot, 48 utterances."""
    made = []
    for verb, intent in _VERBS:
        for room in ROOMS:
            for pattern in ("{v} the {r} lights", "please {v} lights in the {r}"):
                text = pattern.format(v=verb, r=room)
                start = text.index(room)
                made.append(Example(text, intent, (SlotSpan("room", start, start + len(room)),)))
    return made
