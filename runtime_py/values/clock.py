"""From tokens to times of day: half past six, halb sept, sept heures et demie, साढ़े छह बजे, หกโมงครึ่ง."""

from collections.abc import Sequence
from typing import NamedTuple

from runtime_py.values.quantities import fraction, take_quantity
from runtime_py.values.scanning import Language, Token

PARTS = ("am", "pm", "midday", "morning", "afternoon", "evening", "night")
_DAY = 24 * 60


class Clock(NamedTuple):
    """A time of day.

    Attributes:
        minutes: Minutes since midnight.
        exact: Whether it is that very time of the day's 24 hours, so that twelve hours later is not meant.
    """

    minutes: int
    exact: bool


def read_clock(tokens: Sequence[Token], part: str, language: Language) -> list[int]:
    """Return which times of day tokens may be, in minutes since midnight, the earliest first.

    Args:
        tokens: The tokens, without those of a part of the day.
        part: The part of the day that was said, or empty.
        language: The language.
    """
    if not tokens:
        return [720] if part == "midday" else []
    clock = _read(list(tokens), part, language)
    if clock is None:
        return []
    minutes, exact = clock.minutes % _DAY, clock.exact
    if exact:
        return [minutes]
    half_day = minutes % 720
    if part in ("am", "morning"):
        return [half_day]
    if part in ("pm", "midday", "afternoon", "evening"):
        return [half_day + 720]
    if part == "night":
        return [half_day if half_day < 360 else half_day + 720]
    return [half_day, half_day + 720]


def _read(tokens: list[Token], part: str, language: Language) -> Clock | None:
    if tokens and tokens[-1].has("clock_of_day"):  # Thai: 18.30 น.
        clock = _read(tokens[:-1], part, language)
        return clock and Clock(clock.minutes, True)
    for at, token in enumerate(tokens):
        if token.has("past", "to") and at and at + 1 < len(tokens):
            offset, base = _minutes(tokens[:at], language), _read(tokens[at + 1 :], part, language)
            if offset is None or base is None:
                return None
            return Clock(base.minutes + (offset if token.has("past") else -offset), base.exact)
    for tag, minutes in (("noon", 720), ("midnight", 0)):
        if tokens and tokens[0].has(tag):
            return _with_minutes(Clock(minutes, True), tokens[1:], language)
    return _read_hour(tokens, part, language)


def _read_hour(tokens: list[Token], part: str, language: Language) -> Clock | None:
    if not tokens:
        return None
    first, rest = tokens[0], tokens[1:]
    if first.has("clock_time"):
        exact = first.value >= 780 or first.value < 60 or first.text.startswith("0")
        rest = rest[1:] if rest and rest[0].has("clock") else rest
        return None if rest else Clock(int(first.value), exact)
    if first.has("dawn"):  # Thai: the hours after midnight
        return _read_dawn(rest, language)
    if (share := fraction(first)) is not None and rest:
        base = _read_hour(rest, part, language)
        if base is None or base.minutes % 60 or rest[0].has(*("clock_time", "clock")):
            return None
        if language.half_before_hour:
            return Clock(base.minutes - 60 + round(60 * share), base.exact)
        return Clock(base.minutes + 30, base.exact) if first.has("half") and language.code == "en" else None
    if first.has("clock") and part == "afternoon" and not language.spaces:  # Thai: one in the afternoon
        return _with_minutes(Clock(780, True), rest, language)
    if first.digits and first.has("number") and (dotted := _dotted(first.text)) is not None:
        rest = rest[1:] if rest and rest[0].has("clock") else rest
        return None if rest else Clock(dotted, dotted >= 780 or dotted < 60 or first.text.startswith("0"))
    return _read_hour_of(tokens, part, language)


def _read_hour_of(tokens: list[Token], part: str, language: Language) -> Clock | None:
    """Read an hour, which may have a half or a quarter before it, and what follows."""
    prefixed = tokens[0].has("plus_half", "plus_quarter", "minus_quarter")
    if not prefixed and not tokens[0].has("number"):
        return None
    if prefixed:
        found = take_quantity(tokens, 0, language)
        if found is None:
            return None
        hour, end = found
    else:
        hour, end = tokens[0].value, 1
    rest = tokens[end:]
    if not 0 <= hour <= 24 or round(hour * 60) != hour * 60:
        return None
    if hour >= 13 and not rest and language.code in ("en", "hi", "th"):
        return None  # a number alone; here nobody says "at fifteen"
    if len(rest) == 2 and rest[0].has("and") and rest[1].has("number") and (language.code != "es" or rest[1].digits):
        return None  # at five and six
    exact = hour >= 13 or hour == 0
    if rest and rest[0].has("after_six"):  # Thai: hours since six in the evening
        return _with_minutes(Clock(round(hour * 60) + 1080, True), rest[1:], language) if 1 <= hour <= 6 else None
    if rest and rest[0].has("clock"):
        if not language.spaces and not part and 6 <= hour < 12 and rest[0].text.startswith("โมง"):
            exact = True  # Thai: this word alone tells the hours of the morning
        rest = rest[1:]
    return _with_minutes(Clock(round(hour * 60), exact), rest, language)


def _read_dawn(rest: list[Token], language: Language) -> Clock | None:
    if not rest or not rest[0].has("number"):
        return None
    hour = rest[0].value
    if hour > 5 and hour % 10 == 0 and hour // 10 <= 5 and not rest[0].digits:
        # Written together, five and ten minutes are read as fifty.
        return _with_minutes(Clock(int(hour // 10) * 60, True), [rest[0]._replace(value=10.0), *rest[1:]], language)
    return _with_minutes(Clock(int(hour) * 60, True), rest[1:], language) if 1 <= hour <= 5 else None


def _with_minutes(clock: Clock, rest: list[Token], language: Language) -> Clock | None:
    """Return a full hour with the minutes that are said behind it."""
    if not rest:
        return clock
    sign = -1 if rest[0].has("minus") else 1
    if rest[0].has("and", "minus"):
        rest = rest[1:]
    minutes = _minutes(rest, language)
    if minutes is None or clock.minutes % 60 or not 0 <= minutes < 60:
        return None
    return Clock(clock.minutes + sign * minutes, clock.exact)


def _minutes(tokens: Sequence[Token], language: Language) -> int | None:
    """Return minutes that are said as a number, a half or a quarter of an hour."""
    if len(tokens) == 1 and (share := fraction(tokens[0])) is not None:
        return round(60 * share)
    if tokens and tokens[-1].has("minute"):
        tokens = tokens[:-1]
    if len(tokens) == 2 and all(token.has("number") for token in tokens) and tokens[0].value == 0:
        tokens = tokens[1:]  # six oh five
    if len(tokens) == 1 and tokens[0].has("number") and tokens[0].value == int(tokens[0].value):
        return int(tokens[0].value)
    return None


def _dotted(text: str) -> int | None:
    """Return the minutes since midnight of 18.30, or None."""
    hour, dot, minute = text.partition(".")
    if dot and len(minute) == 2 and hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60:
        return int(hour) * 60 + int(minute)
    return None
