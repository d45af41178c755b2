"""From tokens to numbers, ordinals, shares, durations, temperatures and money."""

from collections.abc import Sequence
from typing import NamedTuple

from runtime_py.values.readings import Reading, tidy
from runtime_py.values.scanning import Language, Token

Tokens = Sequence[Token]

FRACTIONS = {"half": 0.5, "quarter": 0.25, "three_quarters": 0.75}
_BEFORE = {"plus_half": 0.5, "plus_quarter": 0.25, "minus_quarter": -0.25}
CURRENCIES = ("USD", "EUR", "GBP", "INR", "THB", "CHF", "JPY", "MXN")
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
MONTHS = {"month": 1, "year": 12}
_UNITS = (*SECONDS, *MONTHS)


class Span(NamedTuple):
    """A duration: months have no fixed length, so they are counted apart.

    Attributes:
        seconds: Seconds, and days as seconds.
        months: Months.
    """

    seconds: float
    months: float


def fraction(token: Token) -> float | None:
    """Return what a half or a quarter is of one; None for anything else."""
    return next((share for tag, share in FRACTIONS.items() if token.has(tag)), None)


def take_quantity(tokens: Tokens, start: int, language: Language) -> tuple[float, int] | None:
    """Return the number that begins at a token, and the index behind it."""
    if start < len(tokens) and tokens[start].has("minus"):
        found = take_quantity(tokens, start + 1, language)
        return None if found is None else (-found[0], found[1])
    if start >= len(tokens):
        return None
    first = tokens[start]
    before = next((share for tag, share in _BEFORE.items() if first.has(tag)), None)
    if before is not None:
        found = take_quantity(tokens, start + 1, language)
        if found is not None:
            return found[0] + before, found[1]
        return (1 + before, start + 1) if before < 0.5 else None  # a quarter to one, or past it
    if (share := fraction(first)) is not None:
        return share, start + 1
    if not first.has("number") or first.has("calendar"):
        return None
    value, end = first.value, start + 1
    if end < len(tokens) and first.digits and tokens[end].has("number") and not tokens[end].digits:
        if not language.numbers.is_scale(tokens[end].value):
            return value, end
        return value * tokens[end].value, end + 1
    return _take_rest(tokens, value, end)


def _take_rest(tokens: Tokens, value: float, end: int) -> tuple[float, int]:
    """Take decimals, halves and quarters behind a number."""
    if end + 1 < len(tokens) and tokens[end].has("point") and tokens[end + 1].has("number"):
        digits, at = "", end + 1
        while at < len(tokens) and tokens[at].has("number") and tokens[at].value >= 0:
            digits += f"{tokens[at].value:.0f}"
            at += 1
        return float(f"{value:.0f}.{digits}"), at
    if end < len(tokens) and (share := fraction(tokens[end])) is not None:
        return value * share, end + 1  # three quarters, one half
    if end + 1 < len(tokens) and tokens[end].has("and") and (share := fraction(tokens[end + 1])) is not None:
        return value + share, end + 2
    return value, end


def read_number(tokens: Tokens, language: Language) -> list[Reading]:
    """Return the number that tokens are, if they are one."""
    found = take_quantity(tokens, 0, language)
    return [Reading("number", tidy(found[0]))] if found is not None and found[1] == len(tokens) else []


def read_ordinal(tokens: Tokens, language: Language) -> list[Reading]:
    """Return the ordinal that tokens are, if they are one."""
    if tokens and tokens[0].has("ordinal_before", "day_of_month"):
        tokens = tokens[1:]
    if len(tokens) == 1 and tokens[0].has("ordinal", "number") and tokens[0].value == int(tokens[0].value) > 0:
        return [Reading("ordinal", int(tokens[0].value))]
    return []


def read_percent(tokens: Tokens, language: Language) -> list[Reading]:
    """Return a share of a hundred: with or without the word, or as a half or a quarter."""
    said = [token for token in tokens if not token.has("percent", "percent_of")]
    found = take_quantity(said, 0, language)
    if found is None or found[1] != len(said):
        return []
    whole = len(said) == len(tokens) and any(fraction(token) is not None for token in said)
    return [Reading("percent", tidy(found[0] * 100 if whole else found[0]))]


def read_temperature(tokens: Tokens, language: Language, region: str) -> list[Reading]:
    """Return a temperature; where no unit was said, in those that the language's countries use."""
    below = any(token.has("below_zero") for token in tokens)
    units = [unit for tag, unit in (("celsius", "°C"), ("fahrenheit", "°F")) if any(token.has(tag) for token in tokens)]
    rest = [token for token in tokens if not token.has("below_zero", "zero_from", "celsius", "fahrenheit")]
    found = take_quantity(rest, 0, language)
    if found is None or len(units) > 1:
        return []
    value, end = found
    if end < len(rest) and rest[end].has("degree"):
        end += 1
        end += end + 1 < len(rest) and rest[end].has("and")
        if end < len(rest) and (share := fraction(rest[end])) is not None:
            value, end = value + share, end + 1
    if end != len(rest):
        return []
    if not units:
        units = ["°F"] if region == "us" else ["°C", "°F"] if language.code == "en" and not region else ["°C"]
    return [Reading("temperature", tidy(-value if below else value), unit=unit) for unit in units]


def read_money(tokens: Tokens, language: Language) -> list[Reading]:
    """Return an amount of money."""
    codes = [code for token in tokens for code in CURRENCIES if token.has(code)]
    at = next((index for index, token in enumerate(tokens) if token.has(*CURRENCIES)), None)
    if at is None or len(codes) != 1:
        return []
    before, after = tokens[:at], tokens[at + 1 :]
    if not before:
        found = take_quantity(after, 0, language)
        if found is None and not after:
            found = (1.0, 0)  # a dollar
        if found is None or found[1] != len(after):
            return []
        return [Reading("money", tidy(found[0]), unit=codes[0])]
    found = take_quantity(before, 0, language)
    if found is None or found[1] != len(before):
        return []
    value = found[0]
    if after and after[0].has("and"):
        after = after[1:]
    if after and after[-1].has("cent"):
        after = after[:-1]
    if after:
        cents = take_quantity(after, 0, language)
        if cents is None or cents[1] != len(after) or not 0 <= cents[0] < 100:
            return []
        value += cents[0] if after[0].has(*FRACTIONS) else cents[0] / 100
    return [Reading("money", tidy(value), unit=codes[0])]


def take_span(tokens: Tokens, start: int, language: Language) -> tuple[Span, int] | None:
    """Return the duration that begins at a token, and the index behind it."""
    seconds = months = 0.0
    at, last = start, ""
    while at < len(tokens):
        begin = at + (bool(last) and tokens[at].has("and"))
        if begin < len(tokens) and tokens[begin].has("clock_time") and "h" in tokens[begin].text:
            seconds += tokens[begin].value * 60
            at = begin + 1 + (begin + 1 < len(tokens) and tokens[begin + 1].has("minute"))
            last = "minute"
            continue
        found = take_quantity(tokens, begin, language)
        value, end = found if found is not None else (1.0, begin)
        unit = next((unit for unit in _UNITS if end < len(tokens) and tokens[end].has(unit)), "")
        if not unit:
            if found is None or last not in ("hour", "minute") or end != len(tokens):
                break
            unit = "minute" if last == "hour" else "second"  # "une heure trente"
            end -= 1
        end += 1
        share_at = end + (end < len(tokens) and tokens[end].has("and"))
        if share_at < len(tokens) and (share := fraction(tokens[share_at])) is not None:
            following = tokens[share_at + 1] if share_at + 1 < len(tokens) else None
            if following is None or not following.has(*_UNITS):
                value, end = value + share, share_at + 1
        if value < 0:
            break
        seconds, months = seconds + value * SECONDS.get(unit, 0), months + value * MONTHS.get(unit, 0)
        at, last = end, unit
    return (Span(seconds, months), at) if last else None


def read_duration(tokens: Tokens, language: Language) -> list[Reading]:
    """Return the duration that tokens are, if they are one."""
    found = take_span(tokens, 0, language)
    if found is None or found[1] != len(tokens) or found[0].months != int(found[0].months):
        return []
    return [Reading("duration", show_span(found[0]))]


def show_span(span: Span) -> str:
    """Return a duration in ISO 8601, in years, months, days, hours, minutes and seconds."""
    years, months = divmod(int(span.months), 12)
    minutes, seconds = divmod(tidy(span.seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    dates = "".join(f"{count}{unit}" for count, unit in ((years, "Y"), (months, "M"), (days, "D")) if count)
    seconds = tidy(seconds)
    times = "".join(f"{count}{unit}" for count, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if count)
    return f"P{dates}T{times}" if times else f"P{dates}" if dates else "PT0S"
