"""Numbers, depths and sizes that are made to break a reader, and files in other Unicode forms."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from pqrnn.data import load_examples
from pqrnn.data.grammar import GrammarError, load_grammar, parse_grammar
from pqrnn.data.specs import GRAMMAR, parse_spec
from pqrnn.data.textfile import ALWAYS_UNPACKED, LARGEST_RATIO
from pqrnn.errors import DataError, DataFormatError

pytestmark = pytest.mark.unit

_ROW = '{"text": "go", "intent": "x"}\n'
_DEEP = "[" * 700 + "]" * 700


def test_a_gzip_file_made_to_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl.gz"
    with gzip.open(path, "wb") as file:
        file.write(_ROW.encode())
        for _ in range(1 + ALWAYS_UNPACKED // (1 << 20)):
            file.write(b" " * (1 << 20))
    assert path.stat().st_size * LARGEST_RATIO < ALWAYS_UNPACKED
    with pytest.raises(
        DataFormatError, match=r"train\.jsonl\.gz: a gzip file of [\d,]+ bytes that unpacks to more than"
    ):
        load_examples(str(path), split="train")


def test_text_that_packs_well_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress(_ROW.encode() * 50_000))
    assert path.stat().st_size * LARGEST_RATIO < 50_000 * len(_ROW)
    assert len(load_examples(str(path), split="train")) == 50_000


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf16_with_its_mark_is_read(tmp_path: Path, encoding: str) -> None:
    mark = {"utf-16": b"", "utf-16-be": codecs.BOM_UTF16_BE, "utf-16-le": codecs.BOM_UTF16_LE}[encoding]
    raw = mark + "text\tintent\r\nüber allem 😀\tgo\r\n".encode(encoding)
    (tmp_path / "train.tsv").write_bytes(raw)
    (row,) = load_examples(str(tmp_path), split="train")
    assert row.text == "über allem 😀"
    (tmp_path / "train.tsv").write_bytes(raw[:-1])
    with pytest.raises(DataFormatError, match="damaged UTF-16"):
        load_examples(f"csv:{tmp_path / 'train.tsv'}", split="train")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mtop", "ok\tIN:A\t0:{big}:SL:B\tgo\tm\ten_XX\t[IN:A ]"),
        ("mtop", "1\tIN:A\t0:{big}:SL:B\tgo\tm\ten_XX\t[IN:A ]\tx"),
        ("jsonl", '{{"text": "go", "intent": "x", "slots": [{{"start": 0, "end": {big}, "label": "a"}}]}}'),
        ("jsonl", '{{"text": "go", "intent": {deep}}}'),
        ("jsonl", '{{"text": "go", "intent": "x", "slots": {deep}}}'),
        ("jsonl", '{{"text": "go", "intent": "x", "split": {deep}}}'),
        ("jsonl", '{{"text": "go", "intent": "x", "entities": {deep}}}'),
        ("massive", '{{"utt": "go", "intent": "x", "slots": [[0, {big}, "a"]]}}'),
        ("massive", '{{"utt": "go", "intent": "x", "slots": {deep}}}'),
        ("clinc150", '{{"train": [{deep}]}}'),
        ("json-array", '[{{"text": "go", "intent": {big}}}]'),
        ("csv", 'text,intent,slots\ngo,x,"{deep}"'),
        ("csv", "text,intent,slots\ngo,x,{big}"),
        ("conll", "# intent: x\n{big}\tgo\tx\tO\n{big}-{big}\ta\tx\tB-"),
        ("rasa", 'nlu:\n- intent: x\n  examples: |\n    - [go]{{"entity": {big}}}'),
        ("snips-nlu", '{{"x": [{{"data": {deep}}}]}}'),
        ("label-studio", '[{{"data": {{"text": "go"}}, "annotations": {deep}}}]'),
    ],
)
@pytest.mark.parametrize("digits", [20, 4000, 5000])
def test_large_numbers_and_deep_brackets_are_told_not_raised(
    tmp_path: Path, name: str, content: str, digits: int
) -> None:
    path = tmp_path / "rows.txt"
    for deep in (_DEEP, "[" * 50_000):
        path.write_text(content.format(big="9" * digits, deep=deep), encoding="utf-8")
        with pytest.raises(DataError) as caught:
            load_examples(f"{name}:{path}", split="all")
        assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "content",
    [
        "[intents]\na = [{ text = 'go', weight = " + "9" * 5000 + " }]",
        "[intents]\na = [{ text = 'go', weight = 0x" + "f" * 5000 + " }]",
        "locale = 0x" + "f" * 5000 + "\n[intents]\na = 'go'",
        "[lists]\nn = [{ from = 0, to = 0x" + "f" * 5000 + " }]\n[intents]\na = 'go {n}'",
        "[lists]\nn = [{ from = 0, to = " + "9" * 400 + " }]\n[intents]\na = 'go {n}'",
        "[lists]\nn = [{ from = 0, to = 9, step = " + "9" * 400 + " }]\n[intents]\na = 'go {n}'",
        "[intents]\na = " + "[" * 50_000,
        "[intents]\na = " + "[" * 900 + "'go'" + "]" * 900,
    ],
)
def test_grammars_tell_large_numbers_and_deep_brackets(content: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_grammar(content)
    assert str(caught.value).startswith("grammar:")


def test_a_grammar_that_is_deep_through_its_rules_is_refused() -> None:
    nested = "(" * 39 + "go<{}>" + ")" * 39
    rules = "".join(f'r{level} = "{nested.format(f"r{level + 1}")}"\n' for level in range(18))
    choices = "[intents]\na = '<r0>'\n"
    # Brackets around one thing are nothing; such around alternatives are as deep as they look.
    deep = rules.replace("go<", "[x|go<").replace(">)", ">])")
    fine, wrong = f'[rules]\n{rules}r18 = "on"\n{choices}', f'[rules]\n{deep}r18 = "on"\n{choices}'
    assert parse_grammar(fine).sample(1)
    wrong = wrong.replace("(", "[")
    wrong = wrong.replace(")", "]")
    with pytest.raises(GrammarError, match="nested"):
        parse_grammar(wrong)


@pytest.mark.parametrize("name", ["mine.toml", "mine.TOML", "mine.Toml"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_grammars_with_a_mark_or_a_name_in_capitals_are_read(tmp_path: Path, name: str, mark: str) -> None:
    path = tmp_path / name
    path.write_text(mark + 'locale = "en"\n[intents]\nstop = ["stop [it] [now] [please] [at once] [here]"]\n')
    assert parse_spec(str(path)).format == GRAMMAR
    assert load_grammar(path).intents == ("stop",)
    assert {row.intent for row in load_examples(str(path), split="train")} == {"stop"}


def test_messages_show_little_of_large_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "go", "intent": {"x" * 5000: ["y" * 5000] * 5000}}))
    with pytest.raises(DataFormatError) as caught:
        load_examples(str(path), split="all")
    assert len(str(caught.value)) < 1500


def test_a_sentence_of_a_grammar_that_is_too_long_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'[intents]\na = ["short (a|b|c|d|e|f|g|h) (1|2|3)"]\nb = ["{"long " * 900} (x|y|z)"]\n')
    with pytest.raises(GrammarError, match=r"mine\.toml:3 makes a sentence of 4,\d+ bytes, .* at most 4,096"):
        load_examples(str(path), split="all")


def test_a_number_of_a_column_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("go now\tx\n")
    for number in ("0", "0001" * 2000, "1000", "-1", "٣", "3"):
        with pytest.raises(DataError):
            load_examples(f"tsv:{path}?text-column={number}&intent-column=1", split="all")
