"""MTOP: tab-separated, in the official eight columns or in the ``spans`` form with offsets in code points.

Official (Li et al. 2021): id, intent, slots, utterance, domain, locale, decoupled form, tokens as JSON. Its slot
offsets count UTF-8 bytes. ``spans``: status (ok, ambiguous, overlap), intent, slots, utterance, domain, locale, nested
form. Its slot offsets count code points. In both, slots are ``start:end:LABEL`` with commas between them, only those of
the top level, and the end is exclusive. Labels keep their ``IN:`` and ``SL:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.formats.base import DataFormat, Row, check_slot, check_text
from pqrnn.data.locales import normalise_locale
from pqrnn.data.offsets import number_code_points
from pqrnn.data.textfile import TextFile

_SLOT = re.compile(r"(\d{1,9}):(\d{1,9}):([^,\t]+)")
_STATES = ("ok", "ambiguous", "overlap")
_OFFICIAL_COLUMNS = "8 tab-separated columns (id, intent, slots, utterance, domain, locale, decoupled form, tokens)"
_SPANS_COLUMNS = "7 tab-separated columns (status, intent, slots, utterance, domain, locale, nested form)"


def _recognise(_name: str, head: Sequence[str]) -> bool:
    columns = head[0].split("\t")
    official = len(columns) == 8 and columns[0] not in _STATES and columns[1].startswith("IN:")
    return official or (len(columns) == 7 and columns[0] in _STATES)


def _read(file: TextFile) -> Iterator[Row]:
    width = next((line.count("\t") + 1 for line in file.lines if line), 8)
    official = width == 8
    expected = _OFFICIAL_COLUMNS if official else _SPANS_COLUMNS
    if width not in {7, 8}:
        raise file.error(0, f"{width} tab-separated columns", f"{_OFFICIAL_COLUMNS}, or {_SPANS_COLUMNS}")
    locales: dict[str, str] = {}
    for number, line in enumerate(file.lines):
        if not line:
            continue
        with file.guard_row():
            columns = line.split("\t")
            if len(columns) != width:
                raise file.error(number, f"{len(columns)} tab-separated columns", expected)
            state, intent, slots, text, _, locale, _ = columns[:7]
            if not official and state not in _STATES:
                states = ", ".join(_STATES)
                raise file.error(number, f"status {state!r}", f"{expected}, where the status is one of {states}")
            if not intent:
                raise file.error(number, "an empty intent", expected)
            check_text(file, number, text)
            if locale not in locales:
                locales[locale] = normalise_locale(locale) or file.locale
            parsed = _parse_slots(file, number, slots, text, official=official) if slots else ()
            yield Row(Example(text, intent, parsed, locales[locale], file.locate(number)))


def _parse_slots(file: TextFile, number: int, written: str, text: str, *, official: bool) -> tuple[SlotSpan, ...]:
    points = number_code_points(text) if official else None
    slots = []
    for piece in written.split(","):
        found = _SLOT.fullmatch(piece)
        if found is None:
            raise file.error(number, f"slot {piece!r}", "slots as start:end:LABEL, with commas between them")
        start, end, label = int(found[1]), int(found[2]), found[3]
        if points is not None:
            start, end = _convert(file, number, points, start, end, label)
        slot = SlotSpan(label, start, end)
        check_slot(file, number, text, slot)
        slots.append(slot)
    return tuple(slots)


def _convert(file: TextFile, number: int, points: Sequence[int], start: int, end: int, label: str) -> tuple[int, int]:
    """Turn byte offsets into code-point offsets."""
    expected = "offsets in UTF-8 bytes, each at the beginning of a character or at the end of the text"
    if not 0 <= start <= end < len(points):
        raise file.error(
            number, f"slot {label!r} from byte {start} to {end} in a text of {len(points) - 1} bytes", expected
        )
    if points[start] < 0 or points[end] < 0:
        raise file.error(
            number,
            f"slot {label!r} from byte {start} to {end} begins or ends inside a character",
            expected,
            "offsets in code points are the `spans` form, with 7 columns",
        )
    return points[start], points[end]


FORMAT = DataFormat("mtop", "MTOP, 8 official tab-separated columns, or 7 with code-point offsets", _recognise, _read)
