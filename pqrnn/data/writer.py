"""Writing examples down in our own format."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pqrnn.data.examples import Example
from runtime_py.atomic_files import write_atomic


def write_jsonl(examples: Iterable[Example], path: str | os.PathLike[str]) -> int:
    """Write examples as our own JSON lines; packed with gzip where the name ends in ``.gz``.

    The file appears whole or not at all. Sources are not written: where a row was read is not part of it.

    Returns:
        The number of rows.

    Raises:
        OSError: The file cannot be written.
        UnicodeEncodeError: A text holds a lone surrogate, which UTF-8 cannot carry.
    """
    lines = [json.dumps(to_row(example), ensure_ascii=False) + "\n" for example in examples]
    raw = "".join(lines).encode()
    target = Path(path)
    # A time stamp would make two files of the same examples differ.
    write_atomic(target, gzip.compress(raw, mtime=0) if target.name.endswith(".gz") else raw)
    return len(lines)


def to_row(example: Example) -> dict[str, Any]:
    """Return an example as a row of our JSON lines."""
    slots = [{"start": slot.start, "end": slot.end, "label": slot.label} for slot in example.slots]
    row: dict[str, Any] = {"text": example.text, "intent": example.intent, "slots": slots}
    if example.locale:
        row["locale"] = example.locale
    return row
