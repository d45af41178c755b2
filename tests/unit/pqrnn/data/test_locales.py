"""Languages as BCP 47, in names of files and folders, in rows, and as they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.data import load_examples
from pqrnn.data.locales import choose_locales, find_locale, match_locale, normalise_locale
from pqrnn.data.reading import ReadReport
from pqrnn.errors import DataNotFoundError

pytestmark = pytest.mark.unit


def _write(path: Path, text: str, **keys: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text": text, "intent": "x", **keys}) + "\n")


def _texts(spec: Path, locale: str | None, split: str = "test") -> list[str]:
    return sorted(row.text for row in load_examples(str(spec), split=split, locale=locale))


@pytest.mark.parametrize(
    ("name", "locale"),
    [
        ("de-muc.test.conll", "de-muc"),
        ("de-ba.test.conll", "de-ba"),
        ("pt-br.jsonl", "pt-BR"),
        ("zh-Hant.jsonl", "zh-Hant"),
        ("zh-Hant-TW.jsonl", "zh-Hant-TW"),
        ("zh_Hant_TW.jsonl", "zh-Hant-TW"),
        ("sr-Latn", "sr-Latn"),
        ("es-419.tsv", "es-419"),
        ("train-de.jsonl", "de"),
        ("de-train.jsonl", "de"),
        ("test_en-US.jsonl", "en-US"),
        ("train_en_US.jsonl", "en-US"),
        ("sl-SL.jsonl", "sl-SL"),
        ("en_XX.tsv", "en"),
        # Not languages, though two or three letters long.
        ("qa", ""),
        ("ui", ""),
        ("xx.jsonl", ""),
        ("db-de", ""),
        ("new.jsonl", ""),
        ("my_go.jsonl", ""),
        ("test-dev", ""),
        ("data_v2", ""),
    ],
)
def test_names(name: str, locale: str) -> None:
    assert find_locale(name) == locale


@pytest.mark.parametrize(
    ("written", "normal"),
    [("DE-ba", "de-ba"), ("de_MUC", "de-muc"), ("ZH-hant-tw", "zh-Hant-TW"), ("en_xx", "en"), ("es-419", "es-419")],
)
def test_normal_forms(written: str, normal: str) -> None:
    assert normalise_locale(written) == normal


def test_matching() -> None:
    assert match_locale("zh-TW", "zh-Hant-TW") and match_locale("zh-Hant-TW", "zh") and match_locale("DE-BA", "de-ba")
    assert not match_locale("zh-TW", "zh-CN") and not match_locale("de-muc", "de-ba") and not match_locale("d", "de")


def test_exactly_what_was_asked_for_comes_first() -> None:
    there = ["de", "de-muc", "de-CH", "en-US", "en-GB"]
    assert choose_locales(["de"], there) == {"de"}
    assert choose_locales(["de-AT"], there) == {"de"}
    assert choose_locales(["en"], there) == {"en-US", "en-GB"}
    assert choose_locales(["de-ch", "en-GB"], there) == {"de-CH", "en-GB"}
    assert choose_locales(["sv"], there) == frozenset()


_TAGS = st.from_regex(r"[a-z]{2}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", fullmatch=True)


@given(_TAGS, _TAGS)
def test_matching_is_the_same_both_ways_and_survives_normal_forms(first: str, second: str) -> None:
    assert normalise_locale(normalise_locale(first)) == normalise_locale(first)
    assert match_locale(first, second) == match_locale(second, first)
    assert match_locale(first, first.replace("-", "_").upper())
    assert match_locale(first, first[:2])


def test_dialects_and_strange_names_do_not_answer_for_other_languages(tmp_path: Path) -> None:
    for name in ("de", "de-muc", "de-ba", "en", "qq"):
        _write(tmp_path / f"{name}.test.jsonl", name)
    assert _texts(tmp_path, "de") == ["de"]
    assert _texts(tmp_path, "de-muc") == ["de-muc"]
    assert _texts(tmp_path, "de-BA") == ["de-ba"]
    assert _texts(tmp_path, "en,de-muc") == ["de-muc", "en"]
    assert len(_texts(tmp_path, None)) == 5
    for asked in ("sv", "sv-SE", "qq"):
        with pytest.raises(DataNotFoundError, match=f"no test split for the locale {asked}.*locales are de, de-ba"):
            _texts(tmp_path, asked)
    with pytest.raises(DataNotFoundError, match="'english' is no code of a language"):
        _texts(tmp_path, "english")


def test_rows_that_say_no_language_are_left_out_where_others_say_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    _write(path, "hallo", locale="de")
    _write(path, "grüezi", locale="de_CH")
    _write(path, "hello", locale="en")
    _write(path, "?")
    report = ReadReport()
    assert [row.text for row in load_examples(str(path), split="all", locale="de", report=report)] == ["hallo"]
    assert report.unlabelled == 1
    assert "1 rows say no language" in report.describe_rest()
    with pytest.raises(DataNotFoundError, match="for the locale sv"):
        _texts(path, "sv", "all")


def test_data_that_never_say_their_language_are_taken_at_the_users_word(tmp_path: Path) -> None:
    _write(tmp_path / "test.jsonl", "hej")
    assert _texts(tmp_path, "sv") == _texts(tmp_path, None) == ["hej"]
