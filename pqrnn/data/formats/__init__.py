"""The formats that labelled utterances are read from: one module each, registered here."""

from __future__ import annotations

from pqrnn.data.formats import (
    bio,
    clinc150,
    conll,
    json_array,
    jsonl,
    label_studio,
    massive,
    mtop,
    rasa,
    seq_in_out,
    snips_nlu,
    table,
    top,
)
from pqrnn.data.formats.base import DataFormat

# The first format that recognises a file wins, so the ones with the narrowest mark come first.
FORMATS: tuple[DataFormat, ...] = (
    seq_in_out.FORMAT,
    mtop.FORMAT,
    massive.FORMAT,
    clinc150.FORMAT,
    rasa.FORMAT,
    snips_nlu.FORMAT,
    label_studio.FORMAT,
    json_array.FORMAT,
    jsonl.FORMAT,
    bio.FORMAT,
    conll.FORMAT,
    top.FORMAT,
    table.FORMAT,
    table.PAIRS,
)

BY_NAME: dict[str, DataFormat] = {each.name: each for each in FORMATS}
