"""From tokens to dates and moments, counted from a reference time; calendar dates are read by `dateparser`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from runtime_py.values.clock import PARTS, read_clock
from runtime_py.values.quantities import Span, take_span
from runtime_py.values.readings import Kind, Reading
from runtime_py.values.scanning import WEEKDAYS, Language, Token

_DAYS = {
    "today": (0,),
    "tomorrow": (1,),
    "overmorrow": (2,),
    "yesterday": (-1,),
    "ereyesterday": (-2,),
    "day_beside": (1, -1),  # one word of Hindi is tomorrow and yesterday
    "day_beyond": (2, -2),
}
_BUDDHIST = 543
_YEARS = range(1900, 2200)


@dataclass(frozen=True)
class Day:
    """A date that is more or less exact.

    Attributes:
        date: The day, or the first one of the week, month or year.
        grain: ``day``, ``weekend``, ``week``, ``month`` or ``year``.
    """

    date: date
    grain: str = "day"

    def __str__(self) -> str:
        """Show it in ISO 8601, as far as it is known."""
        if self.grain == "weekend":
            return f"{self.date.isoformat()}/{(self.date + timedelta(days=1)).isoformat()}"
        if self.grain == "week":
            year, week, _ = self.date.isocalendar()
            return f"{year}-W{week:02}"
        return self.date.isoformat()[: {"month": 7, "year": 4}.get(self.grain)]


class MomentReader:
    """Reads dates, times of day and moments of one language, as they are meant at one time."""

    def __init__(self, language: Language, region: str, now: datetime, zone: tzinfo | None) -> None:
        """Take the language, its region in small letters or "", the reference time there, and its time zone."""
        self._language = language
        self._region = region
        self._now = now.replace(tzinfo=None)
        self._zone = zone

    def read(self, tokens: Sequence[Token], kind: Kind) -> list[Reading]:
        """Return the times of day, dates or moments that tokens may be.

        A time alone is a time of day for the kind ``time``, and else the next moment with that time.
        """
        tokens = tokens[1:] if tokens and tokens[0].has("to") else tokens  # to five, till Friday
        part = next((tag for token in tokens for tag in PARTS if token.has(tag)), "")
        rest = [token for token in tokens if not token.has(*PARTS)]
        if not part:
            if len(rest) == 1 and rest[0].has("now"):
                return [Reading("date_time", self._show(self._now)[0], grain="minute")]
            if later := self._read_later(rest):
                return later
        elif not rest and part != "midday":
            return [] if kind == "time" else self._with_part([Day(self._now.date())], part)
        if times := read_clock(rest, part, self._language):
            if kind == "time":
                return [Reading("time", f"{minutes // 60:02}:{minutes % 60:02}", grain="minute") for minutes in times]
            return self._tell(self._next(times))
        return self._read_both(rest, part)

    def _read_both(self, tokens: list[Token], part: str) -> list[Reading]:
        """Read a date with a time before or behind it, or without one."""
        for cut in range(len(tokens) + 1):
            for dates, times in ((tokens[:cut], tokens[cut:]), (tokens[cut:], tokens[:cut])):
                clocks = read_clock(times, part, self._language) if times else []
                if times and not clocks:
                    continue
                days = self._read_dates(dates)
                if not days:
                    continue
                if not clocks:
                    return self._with_part(days, part)
                if all(day.grain == "day" for day in days):
                    return self._tell(self._combine(days, clocks, part))
        return []

    def _with_part(self, days: list[Day], part: str) -> list[Reading]:
        return [Reading("date", str(day), grain=day.grain, part=part if day.grain == "day" else "") for day in days]

    def _combine(self, days: list[Day], clocks: list[int], part: str) -> list[datetime]:
        moments = []
        for day in days:
            for minutes in clocks:
                moment = datetime.combine(day.date, time(minutes // 60, minutes % 60))
                if part == "night" and minutes < 360 and day.date == self._now.date():
                    moment += timedelta(days=1)  # two tonight is after midnight
                moments.append(moment)
        today = self._now.date()
        ahead = [moment for moment in moments if moment.date() != today or moment >= self._now]
        return ahead or moments  # what is over today is not meant, where something else may be

    def _next(self, times: list[int]) -> list[datetime]:
        """Return the next moments with these times of day, the earliest first."""
        moments = []
        for minutes in times:
            moment = datetime.combine(self._now.date(), time(minutes // 60, minutes % 60))
            moments.append(moment if moment > self._now else moment + timedelta(days=1))
        return sorted(moments)

    def _tell(self, moments: list[datetime]) -> list[Reading]:
        """Return moments as readings; one that clocks show twice, when summer ends, is two."""
        shown: list[str] = []
        for moment in moments:
            for text in self._show(moment):
                if text not in shown:
                    shown.append(text)
        return [Reading("date_time", text, grain="minute") for text in shown]

    def _show(self, moment: datetime) -> list[str]:
        if self._zone is None:
            return [moment.isoformat(timespec="minutes")]
        both = [moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1)]
        # A time that clocks leave out, when summer begins, is that of a clock which was not set.
        kept = [each.astimezone(UTC).astimezone(self._zone) for each in both]
        if kept[0].replace(tzinfo=None) != moment:
            kept = kept[:1]
        return list(dict.fromkeys(each.isoformat(timespec="minutes") for each in kept))

    def _read_later(self, tokens: list[Token]) -> list[Reading]:
        """Read what is so long from now, or so long ago."""
        if len(tokens) > 1 and tokens[0].has("in") and tokens[-1].has("later"):
            tokens = tokens[:-1]  # in ten minutes from now
        if len(tokens) < 2:
            return []
        back = tokens[-1].has("ago") or tokens[0].has("ago")
        if tokens[0].has("in", "ago"):
            rest = tokens[1:]
        elif tokens[-1].has("in", "later", "ago"):
            rest = tokens[:-1]
        else:
            return []
        found = take_span(rest, 0, self._language)
        if found is None or found[1] != len(rest):
            return []
        span = Span(*(-part for part in found[0])) if back else found[0]
        try:
            day = _add_months(self._now.date(), span.months)
            if span.seconds % 86400 == 0:
                return [Reading("date", (day + timedelta(seconds=span.seconds)).isoformat(), grain="day")]
            moment = datetime.combine(day, self._now.time())
            if self._zone is None:
                return self._tell([moment + timedelta(seconds=span.seconds)])
            exact = moment.replace(tzinfo=self._zone).astimezone(UTC) + timedelta(seconds=span.seconds)
            return [Reading("date_time", exact.astimezone(self._zone).isoformat(timespec="minutes"), grain="minute")]
        except (OverflowError, ValueError):
            return []  # beyond the calendar

    def _read_dates(self, tokens: list[Token]) -> list[Day]:
        """Read a date without a time."""
        tokens = [token for token in tokens if not token.has("in")]
        if not tokens:
            return []
        today = self._now.date()
        if len(tokens) == 1:
            for tag, offsets in _DAYS.items():
                if tokens[0].has(tag):
                    return [Day(today + timedelta(days=offset)) for offset in offsets]
        return self._read_days_of_week(tokens) or self._read_period(tokens) or self._read_numbered(tokens)

    def _read_days_of_week(self, tokens: list[Token]) -> list[Day]:
        """Read a day of the week, or that of another week."""
        weekday = next((index for token in tokens for index, tag in enumerate(WEEKDAYS) if token.has(tag)), None)
        rest = [token for token in tokens if not token.has(*WEEKDAYS)]
        if weekday is None or len(rest) != len(tokens) - 1:
            return []
        if len(rest) == 2 and any(token.has("week") for token in rest) and (period := self._read_period(rest)):
            return [Day(period[0].date + timedelta(days=weekday))]
        return self._read_weekday(weekday, rest) if len(rest) < 2 else []

    def _read_numbered(self, tokens: list[Token]) -> list[Day]:
        """Read a day of the month, with or without the day of the week."""
        rest = [token for token in tokens if not token.has(*WEEKDAYS, "day_of_month")]
        numbers = ("ordinal", "number") if any(token.has("day_of_month") for token in tokens) else ("ordinal",)
        if len(rest) == 1 and rest[0].has(*numbers):
            return self._read_day_of_month(int(rest[0].value))
        return self._read_calendar(rest)

    def _read_weekday(self, weekday: int, beside: list[Token]) -> list[Day]:
        today = self._now.date()
        ahead = (weekday - today.weekday()) % 7
        coming = today + timedelta(days=ahead or 7)
        week = timedelta(days=7)
        if not beside or beside[0].has("this"):
            return [Day(coming)] if ahead else [Day(today), Day(coming)]
        if beside[0].has("next"):  # the coming one, or that of the next week: people differ
            return [Day(coming), Day(coming + week)]
        if beside[0].has("last"):
            return [Day(coming - week if ahead else today - week)]
        return []

    def _read_period(self, tokens: list[Token]) -> list[Day]:
        """Read this or the next week, weekend, month or year."""
        steps = {"next": 1, "this": 0, "last": -1}
        unit = next(
            (unit for unit in ("weekend", "week", "month", "year") if any(each.has(unit) for each in tokens)), ""
        )
        step = next((step for tag, step in steps.items() if any(each.has(tag) for each in tokens)), None)
        if not unit or len(tokens) != 1 + (step is not None) or (step is None and unit != "weekend"):
            return []
        today = self._now.date()
        monday = today - timedelta(days=today.weekday())
        if unit == "weekend":
            coming = monday + timedelta(days=5)
            weeks = {None: (0,), 0: (0,), 1: (0, 1), -1: (-1,)}[step]  # of the next one people differ
            return [Day(coming + timedelta(days=7 * week), unit) for week in weeks]
        if unit == "week":
            return [Day(monday + timedelta(days=7 * (step or 0)), unit)]
        first = today.replace(day=1) if unit == "month" else today.replace(month=1, day=1)
        return [Day(_add_months(first, (step or 0) * (1 if unit == "month" else 12)), unit)]

    def _read_day_of_month(self, number: int) -> list[Day]:
        """Return the next day with this number; months that lack it are passed over."""
        for months in range(12):
            first = _add_months(self._now.date().replace(day=1), months)
            try:
                day = first.replace(day=number)
            except ValueError:
                continue
            if day >= self._now.date():
                return [Day(day)]
        return []

    def _read_calendar(self, tokens: list[Token]) -> list[Day]:
        """Read a date of the calendar, whose numbers are digits by now, with the library."""
        if not any(token.has("calendar") or (token.has("word") and token.text[0].isalpha()) for token in tokens):
            return []
        numbers = [token for token in tokens if token.has("number", "ordinal") and not token.has("calendar")]
        if sum(token.value < 100 for token in numbers) > 1:
            return []  # a day, and something else than a year
        pieces = []
        for token in tokens:
            if token.has("calendar"):
                pieces.append(token.text)
            elif token.has("number", "ordinal"):
                if token.value != int(token.value) or token.value < 1:
                    return []
                pieces.append(str(self._common_year(int(token.value))))
            elif token.has("word"):
                pieces.append(token.text)
            elif token.has("filler", "month"):
                continue  # the month of May
            else:
                return []
        text = " ".join(pieces)
        if self._language.buddhist_years:
            text = _common_years(text)
        days = [day for order in self._orders(tokens) if (day := self._ask_library(text, order)) is not None]
        return list(dict.fromkeys(days))

    def _common_year(self, number: int) -> int:
        return number - _BUDDHIST if self._language.buddhist_years and number - _BUDDHIST in _YEARS else number

    def _orders(self, tokens: Sequence[Token]) -> tuple[str, ...]:
        """Return in which orders day, month and year may stand: in English, that depends on who writes."""
        if self._language.code != "en" or not any(token.has("calendar") for token in tokens):
            return ("DMY",) if self._language.code != "en" else ("MDY",)
        return ("MDY",) if self._region == "us" else ("DMY",) if self._region else ("MDY", "DMY")

    def _ask_library(self, text: str, order: str) -> Day | None:
        from dateparser.date import DateDataParser

        settings: dict[str, Any] = {
            "RELATIVE_BASE": self._now,
            "PREFER_DATES_FROM": "future",
            "PREFER_DAY_OF_MONTH": "first",
            "PARSERS": ["absolute-time"],
            "DATE_ORDER": order,
        }
        try:
            found = DateDataParser(languages=[self._language.code], settings=settings).get_date_data(text)
        except (ValueError, OverflowError, TypeError, RecursionError):
            return None  # the library was asked something odd
        moment = found.date_obj
        if moment is None or found.period not in ("day", "month") or (moment.hour, moment.minute) != (0, 0):
            return None
        return Day(moment.date(), found.period)


def _common_years(text: str) -> str:
    """Replace years of the Buddhist era within a date in digits."""
    import re

    def replace(match: re.Match[str]) -> str:
        year = int(match[0]) - _BUDDHIST
        return str(year) if year in _YEARS else match[0]

    return re.sub(r"(?<!\d)\d{4}(?!\d)", replace, text) if re.search(r"\d[./-]", text) else text


def _add_months(day: date, months: float) -> date:
    """Return the day so many months later, or the last one of its month."""
    if months != int(months):
        raise ValueError("half months have no length")
    index = day.year * 12 + day.month - 1 + int(months)
    year, month = divmod(index, 12)
    for last in (day.day, 30, 29, 28):
        if last <= day.day:
            try:
                return date(year, month + 1, last)
            except ValueError:
                if not 1 <= year <= 9999:
                    raise
    raise AssertionError("every month has 28 days")
