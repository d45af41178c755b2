"""Texts of slots as numbers, times, durations, temperatures and money, in six languages."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unicode_rbnf import RbnfEngine

from runtime_py.errors import ValuesError
from runtime_py.values.normalising import Normaliser
from runtime_py.values.readings import KINDS, Kind
from runtime_py.values.scanning import LANGUAGES, fold_text

NOW = datetime(2026, 11, 25, 10)  # a Wednesday
HERE = Path(__file__).parent


_WORDS = [
    "half",
    "past",
    "seven",
    "noon",
    "7:30",
    "pm",
    "tomorrow",
    "next",
    "friday",
    "march",
    "3rd",
    "2027",
    "and",
    "a",
]
_WORDS += [
    "minus",
    "point",
    "in",
    "ten",
    "minutes",
    "ago",
    "$",
    "%",
    "°",
    "31/12",
    "9" * 20,
    "１",
    "½",
    "\u200b",
    "1e5",
]


def _say(text: str, kind: Kind, locale: str = "en", now: datetime = NOW, zone: str | None = None) -> list[str]:
    return [str(each) for each in Normaliser(locale, now=now, zone=zone).read(text, kind).readings]


def _rows(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("name", ["phrases.tsv", "phrases_held_out.tsv"])
def test_phrases_mean_what_people_mean_by_them(name: str, locale: str) -> None:
    rows = [row for row in _rows(name) if row[0] == locale]
    assert {kind for _, kind, _, _ in rows} == set(KINDS)
    reader = Normaliser(locale, now=NOW)
    wrong = [
        (kind, text, want, got)
        for _, kind, text, want in rows
        if (got := " ; ".join(map(str, reader.read(text, kind).readings))) != want  # type: ignore[arg-type]
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("text", "kind", "locale", "want"),
    [
        ("7 on May 18th", "date_time", "en", ["2027-05-18T07:00", "2027-05-18T19:00"]),
        ("a las 7 para el día 18 de mayo", "date_time", "es", ["2027-05-18T07:00", "2027-05-18T19:00"]),
        ("in 30 minutes from now", "date_time", "en", ["2026-11-25T10:30"]),
        ("half an hour ago", "date_time", "en", ["2026-11-25T09:30"]),
        ("for 10 minutes", "date_time", "en", ["PT10M"]),
        ("this weekend", "date", "en", ["2026-11-28/2026-11-29"]),
        ("nächstes Wochenende", "date", "de", ["2026-11-28/2026-11-29", "2026-12-05/2026-12-06"]),
        ("next week", "date", "en", ["2026-W49"]),
        ("en décembre", "date", "fr", ["2026-12"]),
        ("วันพุธสัปดาห์หน้า", "date", "th", ["2026-12-02"]),
        ("on Wednesday", "date", "en", ["2026-11-25", "2026-12-02"]),
        ("13 तारीख को", "date", "hi", ["2026-12-13"]),
        ("the 31st", "date", "en", ["2026-12-31"]),
        ("tomorrow morning", "date_time", "en", ["2026-11-26 morning"]),
        ("Freitagabend", "date_time", "de", ["2026-11-27 evening"]),
        ("Freitagabend um acht", "date_time", "de", ["2026-11-27T20:00"]),
        ("last night", "date_time", "en", ["2026-11-24 night"]),
        ("tonight at two", "date_time", "en", ["2026-11-26T02:00"]),
        ("this morning at eight", "date_time", "en", ["2026-11-25T08:00"]),
        ("now", "date_time", "en", ["2026-11-25T10:00"]),
        ("tomorrow at seven", "time", "en", ["2026-11-26T07:00", "2026-11-26T19:00"]),
        ("07:05", "time", "en", ["07:05"]),
        ("the second of May", "date", "en", ["2027-05-02"]),
        ("two seconds", "duration", "en", ["PT2S"]),
        ("the second", "ordinal", "en", ["2"]),
        ("einundzwanzig Komma null fünf", "number", "de", ["21.05"]),
        ("1.234.567,89", "number", "de", ["1234567.89"]),
        ("1,234,567.89", "number", "en", ["1234567.89"]),
        ("21.5", "number", "de", ["21.5"]),
        ("-3", "number", "en", ["-3"]),
        ("−3", "number", "fr", ["-3"]),
        ("septante-cinq", "number", "fr", ["75"]),
        ("zwei  Millionen", "number", "de", ["2000000"]),
        ("ＴＷＥＮＴＹ", "number", "en", ["20"]),
        ("पांच", "number", "hi", ["5"]),
        ("72", "temperature", "en-US", ["72 °F"]),
        ("72", "temperature", "en-GB", ["72 °C"]),
        ("03/04/2027", "date", "en-US", ["2027-03-04"]),
        ("03/04/2027", "date", "en-GB", ["2027-04-03"]),
        ("a dollar", "money", "en", ["1 USD"]),
    ],
)
def test_what_stands_beside_the_tables(text: str, kind: Kind, locale: str, want: list[str]) -> None:
    assert _say(text, kind, locale) == want


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("banana", "number"),
        ("", "number"),
        ("seven bananas", "number"),
        ("at five and six", "time"),
        ("25:00", "time"),
        ("at fifteen", "date_time"),
        ("every Monday", "date_time"),
        ("31/02/2027", "date"),
        ("15", "date"),
        ("in 999999999 years", "date_time"),
        ("1:30", "duration"),
        ("ten dollars twenty euros", "money"),
        ("five degrees celsius fahrenheit", "temperature"),
        ("0", "ordinal"),
        ("the lights", "percent"),
    ],
)
def test_what_cannot_be_read_as_a_whole_is_not_guessed(text: str, kind: Kind) -> None:
    assert _say(text, kind) == []


def test_moments_have_the_offset_of_their_zone() -> None:
    now = datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert _say("tomorrow at 7 pm", "date_time", now=now, zone="Europe/Berlin") == ["2026-11-26T19:00+01:00"]
    assert _say("tomorrow at 7 pm", "date_time", now=now) == ["2026-11-26T19:00+00:00"]
    assert _say("today", "date", now=datetime(2026, 11, 25, 23, tzinfo=UTC), zone="Asia/Bangkok") == ["2026-11-26"]
    reader = Normaliser("en", now=lambda: now + timedelta(days=1), zone=ZoneInfo("Asia/Kolkata"))
    assert str(reader.read("in ten minutes", "time")) == "2026-11-26T14:40+05:30"


def test_clocks_that_are_set_make_one_moment_or_two() -> None:
    october, march = datetime(2026, 10, 20, 10), datetime(2026, 3, 20, 10)
    both = ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"]
    assert _say("am 25. Oktober um 2:30 nachts", "date_time", "de", october, "Europe/Berlin") == both
    skipped = ["2026-03-29T03:30+02:00"]
    assert _say("am 29. März um 2:30 nachts", "date_time", "de", march, "Europe/Berlin") == skipped
    evening = datetime(2026, 10, 24, 23)
    assert _say("in zehn Stunden", "date_time", "de", evening, "Europe/Berlin") == ["2026-10-25T08:00+01:00"]


def test_a_reading_says_what_it_is_in_plain_types() -> None:
    read = Normaliser("en", now=NOW).read("tomorrow morning", "date_time")
    assert read.to_dict() == {
        "kind": "date_time",
        "readings": [{"kind": "date", "value": "2026-11-26", "grain": "day", "part": "morning"}],
    }
    assert Normaliser("en").read("21.5 °C", "temperature").to_dict()["readings"] == [
        {"kind": "temperature", "value": 21.5, "unit": "°C"}
    ]
    assert str(Normaliser("en").read("soon", "date_time")) == "no date time could be read"


def test_without_a_reference_time_it_is_that_of_the_call() -> None:
    before = datetime.now().date()
    (read,) = Normaliser("en").read("today", "date").readings
    assert before.isoformat() <= str(read.value) <= datetime.now().date().isoformat()


@pytest.mark.parametrize("locale", LANGUAGES)
def test_numbers_in_words_are_read_as_they_are_spelt(locale: str) -> None:
    engine, reader = RbnfEngine.for_language(locale), Normaliser(locale)

    @settings(max_examples=40, deadline=None)
    @given(st.one_of(st.integers(0, 2000), st.integers(0, 10**9)))
    def check(number: int) -> None:
        text = engine.format_number(number).text
        assert [each.value for each in reader.read(text, "number").readings] == [number], text

    check()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(_WORDS) | st.text(max_size=4), max_size=6).map(" ".join),
    st.sampled_from(LANGUAGES),
    st.sampled_from(KINDS),
)
def test_no_text_raises_and_every_reading_can_be_told(text: str, locale: str, kind: Kind) -> None:
    read = Normaliser(locale, now=NOW, zone="Europe/Berlin").read(text, kind)
    assert len({str(each) for each in read.readings}) == len(read.readings)
    assert all(isinstance(each.value, int | float | str) and str(each) for each in read.readings)
    assert (
        Normaliser(locale, now=NOW, zone="Europe/Berlin").read(f" {text.upper() if text.isascii() else text} ", kind)
        == read
    )


@given(st.text(max_size=20))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold_text(fold_text(text)) == fold_text(text)


def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValuesError, match="'it' cannot be normalised; languages are de, en"):
        Normaliser("it")
    with pytest.raises(ValuesError, match=r"'Mars/Base' is no time zone.*tzdata"):
        Normaliser("en", zone="Mars/Base")
    with pytest.raises(ValuesError, match="'colour' is no kind"):
        Normaliser("en").read("red", "colour")  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr("runtime_py.values.normalising.find_spec", lambda name: None)
    with pytest.raises(ValuesError, match=r"dateparser, unicode-rbnf.*pqrnn\[normalise\]"):
        Normaliser("en")
