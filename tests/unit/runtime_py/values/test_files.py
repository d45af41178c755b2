"""Files that say what slots hold."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from runtime_py.decode.answers import Parse, Slot
from runtime_py.errors import ValuesError
from runtime_py.values.files import ValuesFile, add_values, load_values, read_now
from runtime_py.values.names import Value
from runtime_py.values.normalising import Normaliser
from runtime_py.values.parsing import KnownNames, ValueParser, choose_kinds, make_normaliser
from runtime_py.values.readings import Normalised, number_in_digits

_TOML = """
locale = "de"
zone = "Europe/Berlin"
[kinds]
level = "percent"
[names]
area = ["Küche", "Bad"]
[names.device]
"light.k1" = ["Lampe", "Leselampe"]
[texts.level]
"ganz hell" = 100
gedimmt = 20.5
"""
SLOTS = ("SL:DATE_TIME", "level", "Area", "other-time")


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "values"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_holds_names_texts_and_kinds(tmp_path: Path) -> None:
    file = load_values(_file(tmp_path, _TOML))
    assert (file.locale, file.zone, file.kinds) == ("de", "Europe/Berlin", {"level": "percent"})
    assert file.names == {"area": ["Küche", "Bad"], "device": {"light.k1": ["Lampe", "Leselampe"]}}
    assert file.texts == {"level": {"ganz hell": 100, "gedimmt": 20.5}}


def test_a_table_of_texts_and_a_grammar_are_such_files(tmp_path: Path) -> None:
    assert load_values(_file(tmp_path, ' {"a": {"b": 1, "c": "d"}}')).texts == {"a": {"b": 1, "c": "d"}}
    grammar = (
        'locale = "en"\n[kinds]\nlevel = "percent"\n[lists]\nlevel = ["half"]\n[intents]\ndim = ["dim to {level}"]\n'
    )
    assert load_values(_file(tmp_path, grammar)) == ValuesFile(locale="en", kinds={"level": "percent"})


@pytest.mark.parametrize(
    "text",
    ["[", "[]", "{", '{"a": 1}', '{"a": {"b": []}}', "names = 3", "[kinds]\na = 'colour'", "[names]\na = 'b'", "x = 1",
     "[names.a]\nb = []", "\0"],
)  # fmt: skip
def test_a_file_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValuesError, match=r"values: .*Expected TOML"):
        load_values(_file(tmp_path, text))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValuesError, match="No such file"):
        load_values(tmp_path / "nowhere")
    (tmp_path / "latin").write_bytes(b"locale = '\xff'")
    with pytest.raises(ValuesError, match="Expected TOML"):
        load_values(tmp_path / "latin")


def test_well_known_slots_have_kinds_and_others_are_told() -> None:
    assert choose_kinds(False, SLOTS) == {}
    assert choose_kinds(True, SLOTS) == {"SL:DATE_TIME": "date_time", "level": "percent"}
    told = choose_kinds({"date_time": None, "other-time": "time", "AREA": "number"}, SLOTS)
    assert told == {"level": "percent", "other-time": "time", "Area": "number"}
    with pytest.raises(ValuesError, match="'room' is no slot"):
        choose_kinds({"room": "number"}, SLOTS)


def test_a_language_is_given_or_that_of_the_package() -> None:
    assert make_normaliser("", "mtop-de", None, None).locale == "de"
    assert make_normaliser("fr-CH", "mtop-de", None, None).locale == "fr-CH"
    with pytest.raises(ValuesError, match=r"kitchen: .*--locale en"):
        make_normaliser("", "kitchen", None, None)


class _Fake:
    """A parser that finds a slot in every word."""

    class manifest:  # noqa: N801
        name = "fake-en"

        class labels:  # noqa: N801
            tags = ("O", "B-level", "I-level", "B-area", "I-area")

    def __call__(self, text: str, *, alternatives: int = 0) -> Parse:
        words = text.split()
        slots = tuple(Slot("level" if word[0].isdigit() else "area", word, 0, 0) for word in words)
        return Parse("dim", 0.9, slots, text, False, len(words))


def test_slots_of_a_known_kind_have_their_readings() -> None:
    parser = ValueParser(_Fake(), {}, normaliser=Normaliser("en"), kinds={"level": "percent"})  # type: ignore[arg-type]
    level, area = parser("50% kitchen").to_dict()["slots"]
    assert level["value"] == {"kind": "percent", "readings": [{"kind": "percent", "value": 50}]}
    assert "value" not in area


def test_a_known_name_goes_before_a_reading_and_a_reading_before_nothing() -> None:
    parser = ValueParser(_Fake(), {"level": {7: ["50%"]}}, normaliser=Normaliser("en"), kinds={"level": "percent"})  # type: ignore[arg-type]
    known, read, neither = parser.resolve(_Fake()("50% 30% 9x")).slots
    assert known.value == Value(7, "50%", "exact")
    assert isinstance(read.value, Normalised)
    assert str(read.value) == "30"
    assert isinstance(neither.value, Value)
    assert str(neither.value) == "unresolved, nearest 50%"


def test_options_that_would_do_nothing_are_refused() -> None:
    parser = _Fake()
    assert add_values(parser) is parser  # type: ignore[arg-type, comparison-overlap]
    for options in ({"locale": "de"}, {"zone": "Europe/Berlin"}, {"now": "2026-11-25"}):
        with pytest.raises(ValuesError, match="--normalise"):
            add_values(parser, **options)  # type: ignore[arg-type]
    assert read_now("2026-11-25T10:00") == datetime(2026, 11, 25, 10)
    with pytest.raises(ValuesError, match="'noon' is no time"):
        read_now("noon")


def test_texts_are_found_folded_and_favour_nothing() -> None:
    texts = {"level": {"Voll  aufgedreht": 100, "Straße": "road"}, "of_another": {"x": 1}}
    known = KnownNames({"area": ["Bad"]}, _Fake.manifest.labels.tags, texts)
    parse = Parse(
        "a", 0.9, tuple(Slot("level", text, 0, 0) for text in ("voll aufgedreht", "STRASSE", "Strasze")), "", False, 0
    )
    assert [slot.value and slot.value.id for slot in known.resolve(parse).slots] == [100, "road", None]  # type: ignore[union-attr]
    tags = np.zeros((1, 5), np.float32)
    assert not known.favour(tags, np.array([[0, 7]], np.int32), "Straße".encode()).any()
    assert known.favour(tags, np.array([[0, 3]], np.int32), b"bad").any()


def test_a_text_that_is_stated_helps_where_no_name_is_found() -> None:
    known = KnownNames({"level": ["dim"]}, _Fake.manifest.labels.tags, {"level": {"full": 100}})
    parse = Parse("a", 0.9, tuple(Slot("level", text, 0, 0) for text in ("dim", "full", "blue")), "", False, 0)
    assert [str(slot.value) for slot in known.resolve(parse).slots] == ["dim", "100", "unresolved, nearest dim"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("40 %", 40),
        ("-3", -3),
        ("21,5°", 21.5),
        ("21.5 °C", 21.5),
        ("7°F", 7),
        ("3 lamps", None),
        ("x2", None),
        ("", None),
    ],
)
def test_digits_are_numbers_without_a_library(text: str, number: float | None) -> None:
    assert number_in_digits(text) == number
