"""What other tools write: tables, JSON arrays, TOP, Rasa, snips-nlu, Label Studio, and other schemes of tags."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB2, IOBES, Entities

from pqrnn.data import Example, available_splits, load_examples
from pqrnn.data.formats import BY_NAME
from pqrnn.data.loader import guess_format
from pqrnn.data.reading import ReadReport
from pqrnn.errors import DataError, DataFormatError, DataNotFoundError

pytestmark = pytest.mark.unit

Short = tuple[str, str, list[tuple[str, str]]]

RASA_YAML = """version: "3.1"  # of the format
nlu:
# greetings
- intent: greet
  examples: |
    - hey
    - "hello"
- intent: "book flight"
  examples: |
    - from [Paris](city) to [Rome]{"entity": "city", "role": "to"}
    - [NYC]{"entity": "city", "value": "New York"} please
    - to [New York](city:NYC)
- synonym: NYC
  examples: |
    - new york
- lookup: city
  examples: |
    - Paris
- intent: faq/hours
  examples:
  - text: |
      when are you open
    metadata:
      tags:
        - a tag
  - text: "opening hours?"
  - hours
rules:
- rule: x
  steps:
  - intent: greet
  - action: utter_greet
"""
RASA_ROWS: list[Short] = [
    ("hey", "greet", []),
    ('"hello"', "greet", []),
    ("from Paris to Rome", "book flight", [("city", "Paris"), ("city.to", "Rome")]),
    ("NYC please", "book flight", [("city", "NYC")]),
    ("to New York", "book flight", [("city", "New York")]),
    ("when are you open", "faq/hours", []),
    ("opening hours?", "faq/hours", []),
    ("hours", "faq/hours", []),
]
RASA_JSON = {
    "rasa_nlu_data": {
        "common_examples": [
            {"text": "hey", "intent": "greet", "entities": []},
            {
                "text": "to Rome",
                "intent": "go",
                "entities": [{"start": 3, "end": 7, "value": "rome", "entity": "city"}],
            },
        ],
        "regex_features": [{"name": "zip", "pattern": "[0-9]{5}"}],
        "entity_synonyms": [],
    }
}
RASA_MD = """<!-- old -->
## intent:greet
- hey
* hi [Bob](name)

## synonym:Bob
- Robert

## intent:bye
- bye
"""
SNIPS_JSON = {
    "intents": {
        "turnOn": {
            "utterances": [
                {"data": [{"text": "on in the "}, {"text": "den", "entity": "room", "slot_name": "where"}]},
                {"data": [{"text": "lights on"}]},
            ]
        }
    },
    "entities": {"room": {"data": [{"value": "den", "synonyms": []}], "use_synonyms": True}},
    "language": "en",
}
SNIPS_YAML = """# entities first
---
type: entity
name: room
values:
  - den
---
type: intent
name: turnOn
slots:
  - name: where
    entity: room
utterances:
  - on in the [where:room](den)
  - "lights on"
  - 'off in the [where](den)'
"""
LABEL_STUDIO = [
    {
        "id": 1,
        "data": {"text": "😀 go to Rome"},
        "annotations": [
            {"was_cancelled": True, "result": []},
            {
                "result": [
                    {"type": "labels", "value": {"start": 9, "end": 13, "text": "Rome", "labels": ["city"]}},
                    {"type": "choices", "value": {"choices": ["go"]}},
                ]
            },
        ],
    }
]
TOP = (
    "How far is it?\tHow far is it ?\t[IN:GET_DISTANCE How far is [SL:DESTINATION it ] ? ]\n"
    "to my home\tto my home\t[IN:GO to [SL:DEST [IN:GET_HOME [SL:OWNER my ] home ] ] ]\n"
)
TOP2 = "domain\tutterance\tsemantic_parse\nalarm\twake me at 7\t[IN:SET wake me [SL:TIME at 7 ] ]\n"

CASES: dict[str, tuple[str, str, str, list[Short]]] = {
    "csv": ("csv", "a.csv", 'text,intent\n"go, now",x\n"say ""hi""\nto all",y\n', [
        ("go, now", "x", []), ('say "hi"\nto all', "y", [])]),
    "semicolons": ("csv", "a.csv", "Intent;Utterance;id\nx;go, now;1\n", [("go, now", "x", [])]),
    "excel": ("csv", "a.csv", "sep=;\n\ntext;intent\ngo, now;x\n", [("go, now", "x", [])]),
    "tabs": ("csv", "a.tsv", 'text\tcategory\n"go"" now"\tx\nsay "hi"\ty\n', [
        ('go" now', "x", []), ('say "hi"', "y", [])]),
    "csv with slots": ("csv", "a.csv",
        'text,intent,slots,lang\ngo home,x,"[{""start"": 3, ""end"": 7, ""label"": ""to""}]",en\ngo,x,,\n',
        [("go home", "x", [("to", "home")]), ("go", "x", [])]),
    "pairs": ("tsv", "a.txt", "wake me up\talarm\nstop\tstop\n", [("wake me up", "alarm", []), ("stop", "stop", [])]),
    "array": ("json-array", "a.json",
        json.dumps([{"text": "go home", "intent": "x", "slots": [{"start": 3, "end": 7, "label": "to"}]}], indent=1),
        [("go home", "x", [("to", "home")])]),
    "array of spans": ("json-array", "a.json",
        json.dumps([{"text": "go home", "intent": "x", "entities": [[3, 7, "to"]]}]),
        [("go home", "x", [("to", "home")])]),
    "array under a key": ("json-array", "a.json",
        json.dumps({"version": "1", "data": [{"text": "go", "intent": "x"}]}), [("go", "x", [])]),
    "array of a viewer": ("json-array", "a.json",
        json.dumps({"rows": [{"row_idx": 0, "row": {"text": "go", "intent": "x"}}]}), [("go", "x", [])]),
    "top": ("top", "a.tsv", TOP, [
        ("How far is it?", "IN:GET_DISTANCE", [("SL:DESTINATION", "it")]),
        ("to my home", "IN:GO", [("SL:DEST", "my home")])]),
    "topv2": ("top", "a.tsv", TOP2, [("wake me at 7", "IN:SET", [("SL:TIME", "at 7")])]),
    "forms alone": ("top", "a.txt", "[IN:SET wake me [SL:TIME at 7 ] ]\n", [
        ("wake me at 7", "IN:SET", [("SL:TIME", "at 7")])]),
    "rasa yaml": ("rasa", "nlu.yml", RASA_YAML, RASA_ROWS),
    "rasa json": ("rasa", "a.json", json.dumps(RASA_JSON, indent=2), [
        ("hey", "greet", []), ("to Rome", "go", [("city", "Rome")])]),
    "rasa markdown": ("rasa", "a.md", RASA_MD, [
        ("hey", "greet", []), ("hi Bob", "greet", [("name", "Bob")]), ("bye", "bye", [])]),
    "snips json": ("snips-nlu", "a.json", json.dumps(SNIPS_JSON), [
        ("on in the den", "turnOn", [("where", "den")]), ("lights on", "turnOn", [])]),
    "snips benchmark": ("snips-nlu", "a.json",
        json.dumps({"PlayMusic": [{"data": [{"text": "play "}, {"text": "Halo", "entity": "track"}]}]}, indent=2),
        [("play Halo", "PlayMusic", [("track", "Halo")])]),
    "snips yaml": ("snips-nlu", "a.yaml", SNIPS_YAML, [
        ("on in the den", "turnOn", [("where", "den")]), ("lights on", "turnOn", []),
        ("off in the den", "turnOn", [("where", "den")])]),
    "label studio": ("label-studio", "a.json", json.dumps(LABEL_STUDIO), [("😀 go to Rome", "go", [("city", "Rome")])]),
}  # fmt: skip


def _short(rows: list[Example]) -> list[Short]:
    return [
        (row.text, row.intent, [(slot.label, row.text[slot.start : slot.end]) for slot in row.slots]) for row in rows
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("case", CASES)
def test_what_others_write_is_read(tmp_path: Path, case: str, newline: str) -> None:
    name, file, content, expected = CASES[case]
    if case == "csv" and newline == "\r\n":
        expected = [("go, now", "x", []), ('say "hi"\nto all', "y", [])]
    path = tmp_path / file
    path.write_bytes(("\ufeff" + content.replace("\n", newline)).encode())
    assert guess_format(path) is BY_NAME[name]
    for spec in (str(path), f"{name}:{path}", str(tmp_path)):
        assert _short(load_examples(spec, split="all")) == expected


def test_lines_are_told(tmp_path: Path) -> None:
    path = tmp_path / "nlu.yml"
    path.write_text(RASA_YAML)
    rows = load_examples(str(path), split="all")
    lines = RASA_YAML.split("\n")
    for row in rows:
        assert row.text.split(" ")[-1].strip('"') in lines[int(row.source.rpartition(":")[2]) - 1]
    path = tmp_path / "rows.csv"
    path.write_text('text,intent\n"a\nb",x\nc d,y\n')
    assert [row.source[-2:] for row in load_examples(f"csv:{path}", split="all")] == [":2", ":4"]


def test_splits_and_languages_of_others(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps({split: [{"text": split, "intent": "x"}] for split in ("train", "validation", "test")}))
    assert available_splits(str(path)) == ("train", "dev", "test")
    assert load_examples(str(path), split="dev")[0].text == "validation"
    path = tmp_path / "rows.csv"
    path.write_text("text,intent,split,language\ngo,x,train,en_US\nstop,y,test,de\n")
    assert [(row.text, row.locale) for row in load_examples(str(path), split="train")] == [("go", "en-US")]
    path = tmp_path / "snips.json"
    path.write_text(json.dumps(SNIPS_JSON))
    assert {row.locale for row in load_examples(str(path), split="all")} == {"en"}


def test_columns_with_other_names_are_named_by_options(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text("id,phrase,topic\n1,go,x\n2,stop,y\n")
    with pytest.raises(DataNotFoundError, match=r"has 'id', 'phrase', 'topic': say which.*--text-column and --intent"):
        load_examples(str(tmp_path), split="train")
    with pytest.raises(DataFormatError, match=r"columns 'id', 'phrase', 'topic'.*--text-column"):
        load_examples(f"csv:{table}", split="train")
    report = ReadReport()
    spec = f"{tmp_path}?text-column=phrase&intent-column=topic"
    assert _short(load_examples(spec, split="train", report=report)) == [("go", "x", []), ("stop", "y", [])]
    assert report.keys == {"id": 2}
    with pytest.raises(DataError, match=r"has 'id', 'phrase', 'topic', but no 'phrases'"):
        load_examples(f"{tmp_path}?text-column=phrases&intent-column=topic", split="train")

    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"phrase": "go", "topic": "x"}\n')
    with pytest.raises(DataNotFoundError, match="has 'phrase', 'topic': say which"):
        load_examples(str(lines), split="all")
    for path in (lines, tmp_path / "rows.json"):
        path.write_text(f"[{lines.read_text()}]" if path.suffix == ".json" else lines.read_text())
        spec = f"{path}?text-column=phrase&intent-column=topic"
        assert _short(load_examples(spec, split="all")) == [("go", "x", [])]


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("greet\thello there\nbye\tsee you\nbye\tso long now\n")
    with pytest.raises(DataFormatError, match="if the intent comes first, say --text-column 2 --intent-column 1"):
        load_examples(str(path), split="all")
    rows = load_examples(f"{path}?text-column=2&intent-column=1", split="all")
    assert _short(rows)[0] == ("hello there", "greet", [])
    path = tmp_path / "rows.csv"
    path.write_text('1,"hello, you",greet\n2,see you,bye\n')
    rows = load_examples(f"{path}?text-column=2&intent-column=3", split="all")
    assert _short(rows) == [("hello, you", "greet", []), ("see you", "bye", [])]


@pytest.mark.parametrize(
    ("name", "content", "line", "found"),
    [
        ("csv", "text,intent\ngo,now,x\n", 2, "3 columns"),
        ("csv", "text,intent\ngo\n", 2, "1 columns"),
        ("csv", "text,intent\n,x\n", 2, "an empty text"),
        ("csv", "text,intent\ngo,\n", 2, "an empty intent"),
        ("csv", 'text,intent\ngo,x\n"go,x\nstop,y\n', 3, "no row of a table"),
        ("csv", 'text,intent\n"go" now,x\n', 2, "no row of a table"),
        ("csv", "text,intent,slots\ngo,x,none\n", 2, "slots 'none'"),
        ("tsv", "go now\tx\nstop\n", 2, "1 columns"),
        ("tsv", "go now\tx\nstop\ty\tz\n", 2, "3 columns"),
        ("json-array", '[{"text": "go", "intent": "x"},\n"go"]', 2, "the row 'go'"),
        ("json-array", '{"what": [{"text": "go", "intent": "x"}]}', 1, "a list under the key 'what'"),
        ("json-array", '[{"text": "go", "intent": "x"}]\n[]', 2, "after the end"),
        ("top", "go\t[IN:A go ]\ngo\t[IN:A go ] ]", 2, "outside of the form"),
        ("top", "go\t[IN:A go ]\ngo\t[IN:A go", 2, "1 brackets open"),
        ("top", "go\tgo", 1, "'go' outside of the form"),
        ("top", "go\t[SL:A go ]", 1, "no form"),
        ("top", "remind me to go\t[IN:A [SL:TODO go ] ]", 1, "are not those of 'remind me to go'"),
        ("rasa", "nlu:\n- intent: x\n  examples: |\n    - go\n    stop\n", 5, "'stop' without a hyphen"),
        ("rasa", "nlu:\n- intent:\n  examples: |\n    - go\n", 4, "an intent without a name"),
        ("rasa", "nlu:\n- intent: x\n  examples: [go]\n", 3, "examples '[go]'"),
        ("rasa", 'nlu:\n- intent: x\n  examples: |\n    - [go]{"role": "x"}\n', 4, '{"role": "x"}'),
        ("snips-nlu", '{"x": [{"data": [{"text": 3}]}]}', 1, "the utterance"),
        ("snips-nlu", "type: intent\nutterances:\n  - go\n", 3, "before the intent's name"),
        ("label-studio", '[{"data": {"text": "go"}, "annotations": []}]', 1, "without an annotation"),
        ("label-studio", '[{"data": {"x": "go"}, "annotations": []}]', 1, "no 'text' in the data"),
        ("label-studio", '[{"data": {"text": "go"}, "annotations": [{"result": []}]}]', 1, "0 choices"),
        (
            "label-studio",
            '[{"data": {"text": "go"}, "annotations": [{"result": [{"value": {"start": 0, "end": 1, "text": "go", '
            '"labels": ["a"]}}, {"value": {"choices": ["x"]}}]}]}]',
            1,
            "says 'go', but 'g' stands",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, name: str, content: str, line: int, found: str) -> None:
    path = tmp_path / "rows.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataFormatError) as caught:
        load_examples(f"{name}:{path}", split="all")
    assert (caught.value.line, found in caught.value.found) == (line, True), str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "word\tO\nother word\tB-x\n",  # words with tags
        "a\tb\tc\n",
        "one line of prose, and a comma\n",
        "text that has\tonly one\n\tgap\n",
        "".join(f"ein Satz {n}\ta sentence {n}\n" for n in range(30)),  # a translation
        '{"data": [{"title": "x", "text": "intent"}]}',
        "- a list\n- of things\n",
    ],
)
def test_other_files_are_not_taken_for_data(tmp_path: Path, content: str) -> None:
    for name in ("notes.txt", "notes.md", "notes.json", "notes.yml"):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        assert guess_format(path) is None


def test_in_a_folder_broad_formats_count_only_where_there_is_no_other(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "go", "intent": "x"}\n')
    (tmp_path / "train.csv").write_text("text,intent\nstop,y\n")
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "extra.jsonl").write_text('{"text": "more", "intent": "x"}\n')
    report = ReadReport()
    assert [row.text for row in load_examples(str(tmp_path), split="train", report=report)] == ["go"]
    said = report.describe_files()
    for name, reason in (
        ("train.csv", "format csv"),
        ("book.xlsx", ".xlsx is no data file"),
        ("notes.txt", "in no known format"),
        ("extra.jsonl", "names no split, as others do"),
    ):
        assert f"{tmp_path / name} ({reason})" in said
    assert "train.jsonl" not in said
    (tmp_path / "train.jsonl").unlink()
    (tmp_path / "extra.jsonl").unlink()
    assert [row.text for row in load_examples(str(tmp_path), split="train")] == ["stop"]
    (tmp_path / "train.csv").unlink()
    with pytest.raises(DataNotFoundError, match=r"Looked at .*notes\.txt.* Not looked at.*book\.xlsx"):
        load_examples(str(tmp_path), split="train")


def test_files_of_three_are_all_looked_at(tmp_path: Path) -> None:
    for name, content in (("seq.in", "go"), ("seq.out", "O"), ("label", "x")):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / name).write_text(content)
    report = ReadReport()
    load_examples(str(tmp_path), split="train", report=report)
    assert report.describe_files() == ""


def test_several_rasa_files_are_one_data_set(tmp_path: Path) -> None:
    for name in ("greet", "bye"):
        content = f"nlu:\n- intent: {name}\n  examples: |\n    - {name} now\n"
        (tmp_path / f"{name}.yml").write_text(content)
    (tmp_path / "domain.yml").write_text("intents:\n- greet\n")
    assert [row.text for row in load_examples(str(tmp_path), split="all")] == ["bye now", "greet now"]


_CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda cell: cell.strip())


@given(st.lists(st.tuples(_CELLS, _CELLS), min_size=1), st.sampled_from(",;|"))
def test_any_table_that_python_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows([("text", "intent"), *rows])
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    path.write_bytes(written.getvalue().encode())
    found = [(row.text, row.intent) for row in load_examples(f"csv:{path}", split="all")]
    assert found == [(text, intent.strip()) for text, intent in rows]


# Tags ------------------------------------------------------------------------------------------------------------


def _read_tags(folder: Path, tags: list[str]) -> list[tuple[str, int, int]]:
    """Return label, first word and last word of each slot."""
    words = [f"w{index}" for index in range(len(tags))]
    path = folder / "train.conll"
    path.write_text("# intent: x\n" + "".join(f"{w}\t{t}\n" for w, t in zip(words, tags, strict=True)))
    (row,) = load_examples(f"conll:{path}", split="train")
    return [
        (slot.label, int(found[0][1:]), int(found[-1][1:]))
        for slot in row.slots
        if (found := row.text[slot.start : slot.end].split(" "))
    ]


_LENGTHS = st.lists(st.tuples(st.sampled_from(["O", "a", "b-c", "x_y"]), st.integers(1, 3)), min_size=1, max_size=6)
_SCHEMES = {"bio": "BIIB", "iobes": "BIES", "bilou": "BILU", "bmes": "BMES"}


@given(_LENGTHS, st.sampled_from(sorted(_SCHEMES)), st.sampled_from("-_"))
def test_all_schemes_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, int]], scheme: str, hyphen: str
) -> None:
    begin, inside, end, single = _SCHEMES[scheme]
    tags, expected = [], []
    for label, length in pieces:
        if label == "O":
            tags += ["O"] * length
            continue
        expected.append((label, len(tags), len(tags) + length - 1))
        marks = single if length == 1 else begin + inside * (length - 2) + end
        tags += [f"{mark}{hyphen}{label}" for mark in marks]
    assert _read_tags(tmp_path_factory.mktemp("tags"), tags) == expected
    if hyphen == "-" and scheme != "bmes":
        kinds = {"bio": IOB2, "iobes": IOBES, "bilou": BILOU}
        reference = Entities([tags], kinds[scheme]).entities[0]
        assert [(each.tag, each.start, each.end - 1) for each in reference] == expected


@given(st.lists(st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b", "E-a", "S-a", "E-b", "S-b"]), max_size=8))
def test_slips_in_tags_are_read_as_the_common_scorer_reads_them(
    tmp_path_factory: pytest.TempPathFactory, tags: list[str]
) -> None:
    found = _read_tags(tmp_path_factory.mktemp("tags"), ["O", *tags])
    assert found == [tuple(each) for each in get_entities(["O", *tags])]


def test_tags_of_other_schemes_in_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("wake:O me:S-who at:B_time half:I_time past:L-time B-x:O <=> alarm\n")
    (row,) = load_examples(f"bio:{path}", split="all")
    assert _short([row]) == [("wake me at half past B-x", "alarm", [("who", "me"), ("time", "at half past")])]
