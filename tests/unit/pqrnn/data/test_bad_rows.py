"""One bad row: how many more there are is said, and such rows can be left out."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.data import load_examples
from pqrnn.data.examples import LONGEST_TEXT
from pqrnn.data.reading import ReadReport
from pqrnn.data.training_data import load_training_data
from pqrnn.errors import DataError, DataFormatError, DataNotFoundError

pytestmark = pytest.mark.unit

_JSON_GOOD, _JSON_BAD = '{"text": "go", "intent": "x"}', '{"text": "go"}'
_MTOP = "ok\tIN:A\t\tgo\tmusic\tde_XX\t[IN:A ]"
# A file of each format: a good row, a bad one, what stands around them, and what stands between two of them.
FORMATS = {
    "jsonl": ("{}", "\n", _JSON_GOOD, _JSON_BAD),
    "massive": ("{}", "\n", '{"utt": "go", "intent": "x", "slots": []}', '{"utt": "go"}'),
    "mtop": ("{}", "\n", _MTOP, _MTOP.replace("ok", "fine")),
    "bio": ("{}", "\n", "go:O <=> x", "go <=> x"),
    "conll": ("{}", "\n\n", "# intent: x\ngo\tO", "# intent: x\ngo\tT-x"),
    "clinc150": ('{{"train": [\n{}\n]}}', ",\n", '["go", "x"]', '["go"]'),
    "json-array": ("[\n{}\n]", ",\n", _JSON_GOOD, _JSON_BAD),
    "csv": ("text,intent\n{}", "\n", "go,x", "go"),
    "tsv": ("{}", "\n", "go on\tx", "go on"),
    "top": ("{}", "\n", "go\t[IN:A go ]", "go\t[IN:A go"),
    "rasa": ("nlu:\n- intent: x\n  examples: |\n{}", "\n", "    - go", '    - [go]{"a": 1}'),
    "snips-nlu": (
        '{{"x": [\n{}\n]}}',
        ",\n",
        '{"data": [{"text": "go"}]}',
        '{"data": [{"txt": "go"}]}',
    ),
    "label-studio": (
        "[\n{}\n]",
        ",\n",
        '{"data": {"text": "go"}, "annotations": [{"result": [{"value": {"choices": ["x"]}}]}]}',
        '{"data": {"text": "go"}, "annotations": []}',
    ),
}


def _write(path: Path, name: str, rows: list[bool]) -> str:
    around, between, good, bad = FORMATS[name]
    path.write_text(around.format(between.join(good if fine else bad for fine in rows)), encoding="utf-8")
    return f"{name}:{path}"


@pytest.mark.parametrize("name", FORMATS)
def test_bad_rows_can_be_left_out(tmp_path: Path, name: str) -> None:
    spec = _write(tmp_path / "rows.txt", name, [True, False, True, False, False, True])
    report = ReadReport()
    rows = load_examples(f"{spec}?skip-bad-rows", split="all", report=report)
    assert len(rows) == 3
    assert report.wrong == 3
    assert report.describe_problems().startswith("3 wrong rows are left out (--skip-bad-rows):")
    assert f"{tmp_path / 'rows.txt'}:" in report.describe_problems()
    # Without it, the first one is told, with how many more there are and what to do.
    with pytest.raises(DataFormatError, match="2 more rows are wrong; --skip-bad-rows leaves such rows out"):
        load_examples(spec, split="all")
    spec = _write(tmp_path / "rows.txt", name, [True, False])
    with pytest.raises(DataFormatError, match="--skip-bad-rows leaves the row out"):
        load_examples(spec, split="all")


def test_every_format_but_that_of_three_files_is_tried_here() -> None:
    from pqrnn.data.formats import BY_NAME

    assert set(FORMATS) == set(BY_NAME) - {"seq"}


@given(st.sampled_from(sorted(FORMATS)), st.lists(st.booleans(), min_size=1, max_size=8))
def test_what_is_read_and_what_is_left_out_are_all(
    tmp_path_factory: pytest.TempPathFactory, name: str, rows: list[bool]
) -> None:
    spec = _write(tmp_path_factory.mktemp("rows") / "rows.txt", name, rows)
    report = ReadReport()
    if any(rows):
        assert len(load_examples(f"{spec}?skip-bad-rows", split="all", report=report)) == sum(rows)
        assert report.wrong == len(rows) - sum(rows)
    else:
        with pytest.raises(DataNotFoundError, match="wrong were left out"):
            load_examples(f"{spec}?skip-bad-rows", split="all")


def test_parallel_files(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    for name, content in (("seq.in", "a b\nc\nd"), ("seq.out", "O\nO\nB-x"), ("label", "x\ny\nz")):
        (folder / name).write_text(content)
    report = ReadReport()
    rows = load_examples(f"{tmp_path}?skip-bad-rows", split="train", report=report)
    assert ([row.text for row in rows], report.wrong) == (["c", "d"], 1)


def test_the_kinds_are_told_apart_over_all_files_of_a_folder(tmp_path: Path) -> None:
    for locale, bad in (("de", _JSON_BAD), ("en", "no json")):
        (tmp_path / locale).mkdir()
        (tmp_path / locale / "train.jsonl").write_text(f"{_JSON_GOOD}\n{bad}\n{bad}\n")
    with pytest.raises(DataFormatError) as caught:
        load_examples(f"jsonl:{tmp_path}", split="train")
    message = str(caught.value)
    assert f"{tmp_path}/de/train.jsonl:2: no 'intent'" in message
    assert "3 more rows are wrong" in message
    report = ReadReport()
    assert len(load_examples(f"{tmp_path}?skip-bad-rows", split="train", report=report)) == 2
    assert report.wrong == 4


def test_a_first_row_that_is_wrong_does_not_hide_the_format(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"# made by hand\n{_JSON_GOOD}\n")
    with pytest.raises(DataFormatError, match=r"rows\.jsonl:1: not JSON"):
        load_examples(str(path), split="all")
    assert len(load_examples(f"{path}?skip-bad-rows", split="all")) == 1


def test_lines_that_are_not_utf8_are_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(f"{_JSON_GOOD}\n".encode() + _JSON_GOOD.replace("go", "gö").encode("latin-1") + b"\n")
    report = ReadReport()
    assert len(load_examples(f"{path}?skip-bad-rows", split="all", report=report)) == report.wrong == 1
    path.write_bytes(path.read_bytes() * 3)
    with pytest.raises(DataFormatError, match=r"rows\.jsonl:2: byte 0xf6 .*2 more rows are wrong"):
        load_examples(str(path), split="all")


def test_what_is_wrong_with_a_whole_file_is_no_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('{"train": [["a", "b"]]} and more')
    with pytest.raises(DataFormatError, match="after the end"):
        load_examples(f"clinc150:{path}?skip-bad-rows", split="train")
    path.write_bytes(gzip.compress(b"x" * 9999)[:-9])
    with pytest.raises(DataFormatError, match="damaged gzip"):
        load_examples(f"clinc150:{path}?skip-bad-rows", split="train")


def test_rows_left_out_are_said_where_nobody_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{_JSON_GOOD}\n{_JSON_BAD}\n")
    with caplog.at_level(logging.WARNING):
        load_examples(f"{path}?skip-bad-rows", split="all")
    assert "1 wrong row is left out" in caplog.text


def test_training_says_what_was_left_out(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text(f"{_JSON_GOOD}\n{_JSON_BAD}\n")
    note = load_training_data(f"{tmp_path}?skip-bad-rows").note
    assert note.startswith("2 wrong rows are left out")


@pytest.mark.parametrize("name", FORMATS)
def test_a_text_that_is_too_long_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    around, between, good, _ = FORMATS[name]
    length = LONGEST_TEXT // 3  # of characters with three bytes
    for extra, refused in ((0, False), (1, True)):
        # The word `go` stands wherever the format repeats the text.
        text = "好" * (length + extra) + "a" * (LONGEST_TEXT - 3 * length)
        path = tmp_path / "rows.txt"
        row = good.replace("go on", "go") if name == "tsv" else good
        path.write_text(around.format(between.join((row, row.replace("go", text)))), encoding="utf-8")
        if not refused:
            assert len(load_examples(f"{name}:{path}", split="all")) == 2
            continue
        with pytest.raises(DataFormatError, match=r"rows\.txt:\d+: an utterance of 4,09[89] bytes.*at most 4,096"):
            load_examples(f"{name}:{path}", split="all")
        assert len(load_examples(f"{name}:{path}?skip-bad-rows", split="all")) == 1


def test_options_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(_JSON_GOOD)
    for option in ("skip", "skip-bad-rows=no", "text-column", "text-column=a&b=c"):
        with pytest.raises(DataNotFoundError, match="is no option of data; expected skip-bad-rows, text-column=NAME"):
            load_examples(f"{path}?{option}", split="all")
    strange = tmp_path / "what?skip-bad-rows"
    strange.write_text(json.dumps({"text": "a path that exists", "intent": "x"}))
    assert load_examples(str(strange), split="all")[0].text == "a path that exists"


@given(
    st.sampled_from(sorted(FORMATS)),
    st.binary(max_size=40)
    | st.sampled_from(["\ufeff", "\x00", "\u2028", "-1", "9" * 30, "{", "]", "\t", "\n\n"]).map(str.encode),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_no_bytes_end_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, name: str, inserted: bytes, where: float, cut: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.txt"
    spec = _write(path, name, [True, True, False, True])
    raw = path.read_bytes()
    position = int(where * len(raw))
    path.write_bytes(raw[:position] + inserted + raw[position + cut :])
    for each in (spec, f"{spec}?skip-bad-rows", str(path)):
        try:
            load_examples(each, split="all")
        except DataError as error:
            assert str(path) in str(error)
