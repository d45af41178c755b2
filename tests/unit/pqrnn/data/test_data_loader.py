"""Finding files, splits and languages; saying what was found where the wanted is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.data import available_splits, load_examples
from pqrnn.data.loader import DataSpec, parse_spec
from pqrnn.data.locales import find_locale, match_locale, normalise_locale
from pqrnn.data.splits import find_split
from pqrnn.data.textfile import split_lines
from pqrnn.errors import DataFormatError, DataNotFoundError

pytestmark = pytest.mark.unit


def _write(path: Path, *texts: str, **keys: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    extra = "".join(f', "{key}": "{value}"' for key, value in keys.items())
    path.write_text("".join(f'{{"text": "{text}", "intent": "x"{extra}}}\n' for text in texts), encoding="utf-8")
    return path


def _texts(spec: object, split: str, locale: str | None = None) -> list[str]:
    return [row.text for row in load_examples(str(spec), split=split, locale=locale)]


@pytest.mark.parametrize("dev", ["dev", "eval", "valid", "val", "validation"])
@pytest.mark.parametrize("layout", ["{}.jsonl", "{}/rows.jsonl", "set.{}.jsonl", "deep/er/{}/part-1.json", "en_{}.txt"])
def test_splits_are_told_by_files_or_folders(tmp_path: Path, layout: str, dev: str) -> None:
    _write(tmp_path / layout.format("train"), "a", "b")
    _write(tmp_path / layout.format(dev), "c")
    (tmp_path / "LICENSE.txt").write_text("All rights.", encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    _write(tmp_path / ".hidden" / "train.jsonl", "hidden")
    _write(tmp_path / "train.py", "code")
    assert available_splits(str(tmp_path)) == ("train", "dev")
    assert _texts(tmp_path, "train") == ["a", "b"]
    assert _texts(f"jsonl:{tmp_path}", "eval") == _texts(tmp_path, "dev") == ["c"]
    assert sorted(_texts(tmp_path, "all")) == ["a", "b", "c"]


def test_languages_are_told_by_files_folders_or_rows(tmp_path: Path) -> None:
    _write(tmp_path / "en-US" / "train.jsonl", "hello")
    _write(tmp_path / "de" / "train.jsonl", "hallo")
    _write(tmp_path / "fr.train.jsonl", "salut")
    _write(tmp_path / "gsw.train.jsonl", "sali")
    mixed = _write(tmp_path / "mixed" / "rows.jsonl", "hola", locale="es_XX")
    mixed.write_text(
        mixed.read_text() + '{"text": "ola", "intent": "x", "locale": "pt-BR"}\n{"text": "?", "intent": "x"}\n'
    )
    assert _texts(tmp_path, "train", "en") == ["hello"]
    assert _texts(tmp_path, "train", "de-AT") == ["hallo"]
    assert _texts(tmp_path, "train", "gsw") == ["sali"]
    assert sorted(_texts(tmp_path, "train", "fr, en")) == ["hello", "salut"]
    assert sorted(_texts(tmp_path, "train")) == ["hallo", "hello", "sali", "salut"]
    rows = load_examples(str(mixed), split="all")
    assert [row.locale for row in rows] == ["es", "pt-BR", ""]
    assert _texts(mixed, "all", "es") == ["hola"]
    assert _texts(tmp_path / "en-US", "train", "en") == ["hello"]
    assert {row.locale for row in load_examples(str(tmp_path), split="train")} == {"en-US", "de", "fr", "gsw"}


def test_rows_may_name_their_split(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    names = ("train", "validation", "test", "train")
    path.write_text("".join(f'{{"text": "{n}", "intent": "x", "split": "{name}"}}\n' for n, name in enumerate(names)))
    # The name of the folder that the user gave says nothing about what is in it.
    folder = tmp_path / "test"
    folder.mkdir()
    path = path.rename(folder / path.name)
    for spec in (path, folder, f"{folder}/"):
        assert available_splits(str(spec)) == ("train", "dev", "test")
        assert _texts(spec, "train") == ["0", "3"]
        assert _texts(spec, "dev") == ["1"]
        assert _texts(spec, "all") == ["0", "1", "2", "3"]


def test_the_name_of_a_file_weighs_more_than_its_rows(tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", "a", split="test")
    assert _texts(tmp_path, "train") == ["a"]
    with pytest.raises(DataNotFoundError, match="no test split"):
        load_examples(str(tmp_path), split="test")


def test_a_file_that_says_nothing_about_splits_is_not_divided(tmp_path: Path) -> None:
    path = _write(tmp_path / "mine.jsonl", "a")
    assert available_splits(str(path)) == ()
    assert _texts(path, "all") == ["a"]
    with pytest.raises(
        DataNotFoundError,
        match=r"mine\.jsonl: no test split; .*no file or row there names a split: use the split `all`",
    ):
        load_examples(str(path), split="test")


def test_what_is_missing_is_said_together_with_what_is_there(tmp_path: Path) -> None:
    _write(tmp_path / "en" / "train.jsonl", "a")
    _write(tmp_path / "de" / "dev.jsonl", "b")
    with pytest.raises(DataNotFoundError) as caught:
        load_examples(str(tmp_path), split="test", locale="en")
    message = str(caught.value)
    assert "no test split for the locale en" in message
    assert str(tmp_path / "en" / "train.jsonl") in message
    assert "splits are dev, train" in message
    assert "locales are de, en" in message
    with pytest.raises(DataNotFoundError, match="no train split for the locale th"):
        load_examples(str(tmp_path), split="train", locale="th")
    (tmp_path / "test.txt").write_text("what is this", encoding="utf-8")
    with pytest.raises(DataNotFoundError, match=r"in no known format, say which with format:PATH: .*test\.txt"):
        load_examples(str(tmp_path), split="test")
    # With a format named, the same file is read, and its first wrong line is told.
    with pytest.raises(DataFormatError, match=r"test\.txt:1: not JSON"):
        load_examples(f"jsonl:{tmp_path}", split="test")


def test_two_files_for_one_split_are_not_chosen_between(tmp_path: Path) -> None:
    first, second = _write(tmp_path / "a" / "test.jsonl", "a"), _write(tmp_path / "b" / "test.jsonl", "b")
    with pytest.raises(DataNotFoundError) as caught:
        load_examples(str(tmp_path), split="test")
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)
    assert _texts(tmp_path / "b", "test") == ["b"]
    assert _texts(first, "test") == ["a"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no data named"),
        ("nowhere", "nowhere: no such file or folder"),
        ("jsonl:nowhere", "nowhere: no such file or folder"),
        ("json:rows", "'json' is no data format, and there is no such path; formats are .*jsonl.*grammar, home"),
        ("empty", "holds no data files; expected files such as"),
        ("strange", "nothing there is in a known format. Looked at .*notes.txt.* Formats are .*massive: MASSIVE"),
        ("bio:strange", "nothing there is in the format 'bio'"),
        ("blank.jsonl", "nothing there is in a known format"),
    ],
)
def test_unusable_specifications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("strange").mkdir()
    Path("strange/notes.txt").write_text("notes\n")
    Path("blank.jsonl").write_text("\n\n")
    with pytest.raises(DataNotFoundError, match=message):
        load_examples(spec, split="train")


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="'exam' is no split; expected one of train, "):
        load_examples(str(_write(tmp_path / "a.jsonl", "a")), split="exam")


def test_specifications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd:name.jsonl").write_text("")
    assert parse_spec("mtop:a:b") == DataSpec("mtop", "a:b")
    assert parse_spec("a/b") == DataSpec("", "a/b")
    assert parse_spec("odd:name.jsonl") == DataSpec("", "odd:name.jsonl")
    assert parse_spec("C:\\data") == DataSpec("", "C:\\data")
    assert parse_spec("home") == DataSpec("home", "")
    assert parse_spec("home:en") == DataSpec("home", "en")
    assert parse_spec("./home") == DataSpec("", "./home")
    assert parse_spec("grammar:x.txt") == DataSpec("grammar", "x.txt")
    assert parse_spec("x.toml") == DataSpec("grammar", "x.toml")


@pytest.mark.parametrize(
    ("name", "locale"),
    [
        ("en", "en"),
        ("en-US", "en-US"),
        ("official_8col_en", "en"),
        ("de-st.test.conll", "de-st"),
        ("zh_TW.jsonl.gz", "zh-TW"),
        ("my_data", ""),
        ("train.tsv.gz", ""),
        ("seq.in.gz", ""),
        ("data_full.json", ""),
        ("xSID-0.4", ""),
        ("nap.valid.conll", "nap"),
    ],
)
def test_locales_in_names(name: str, locale: str) -> None:
    assert find_locale(name) == locale


def test_locales_match_by_language_and_by_region_where_both_have_one() -> None:
    assert normalise_locale("en_XX") == "en"
    assert normalise_locale("EN_us") == "en-US"
    assert normalise_locale("not a locale") == "not a locale"
    assert match_locale("en", "en-US") and match_locale("en-US", "en_XX") and match_locale("en-US", "en_us")
    assert not match_locale("en-US", "en-GB") and not match_locale("de", "en")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.tsv.gz", "train"),
        ("en.valid.conll", "dev"),
        ("Test-2", "test"),
        ("de.projectedTrain.conll", ""),
        ("latest", ""),
        ("all.txt", ""),
    ],
)
def test_splits_in_names(name: str, split: str) -> None:
    assert find_split(name) == split


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"))))
def test_lines_end_at_line_feeds_alone(lines: list[str]) -> None:
    lines = [line.removeprefix("\ufeff") for line in lines]
    for end in ("\n", "\r\n"):
        text = "".join(line + end for line in lines)
        assert split_lines(text) == tuple(lines)
    if lines and lines[-1]:
        assert split_lines("\n".join(lines)) == tuple(lines)


def test_loading_data_does_not_load_torch() -> None:
    code = (
        "import sys; import pqrnn.data, pqrnn.data.alignment, pqrnn.data.writer, pqrnn.data.fingerprint; "
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.slow
def test_grammar_files_and_the_built_in_set_are_loaded_in_the_same_way(tmp_path: Path) -> None:
    grammar = tmp_path / "mine.toml"
    grammar.write_text(
        'locale = "en"\n[intents]\nstop = ["stop", "halt [now]", "please (stop|halt)"]\n', encoding="utf-8"
    )
    for spec in (str(grammar), f"grammar:{grammar}"):
        assert available_splits(spec) == ("train", "dev", "test")
        rows = load_examples(spec, split="train")
        assert rows and {row.intent for row in rows} == {"stop"}
    assert load_examples("home:en", split="test") == load_examples("home", split="test", locale="en")
    assert {row.locale for row in load_examples("home:en", split="dev")} == {"en"}
