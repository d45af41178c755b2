"""Every format: a good file as it exists in the wild, and what a wrong one is told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from pqrnn.data import Example, SlotSpan, load_examples
from pqrnn.data.formats import BY_NAME, FORMATS
from pqrnn.data.loader import guess_format
from pqrnn.errors import DataFormatError

pytestmark = pytest.mark.unit

TOKENS = '{"tokens":["x"],"tokenSpans":[{"start":0,"length":1}]}'


class Good(NamedTuple):
    """One file and the texts, intents and (label, slot text) pairs in it."""

    format: str
    name: str
    content: str
    expected: list[tuple[str, str, list[tuple[str, str]]]]


GOOD = [
    Good(
        "jsonl",
        "rows.jsonl",
        '{"text": "wake me at seven", "intent": "set", '
        '"slots": [{"start": 11, "end": 16, "label": "time", "text": "seven"}], "id": 7}\n'
        '\n{"text": "a\u2028b\u0085 \U0001f600 stop", "intent": "stop", '
        '"slots": [{"start": 5, "end": 6, "label": "face"}]}',
        [
            ("wake me at seven", "set", [("time", "seven")]),
            ("a\u2028b\x85 \U0001f600 stop", "stop", [("face", "\U0001f600")]),
        ],
    ),
    Good(
        "mtop",
        "test.txt",
        f"1\tIN:PLAY\t0:4:SL:WHO,5:11:SL:ALBUM\tZoë bläst 8\tmusic\ten_XX\t[IN:PLAY ]\t{TOKENS}\n"
        f"2\tIN:STOP\t\tstop\u2028it\tmusic\ten_XX\t[IN:STOP ]\t{TOKENS}",
        [("Zoë bläst 8", "IN:PLAY", [("SL:WHO", "Zoë"), ("SL:ALBUM", "bläst")]), ("stop\u2028it", "IN:STOP", [])],
    ),
    Good(
        "mtop",
        "test.tsv",
        "ok\tIN:PLAY\t0:3:SL:WHO,4:9:SL:ALBUM\tZoë bläst 8\tmusic\ten_XX\t[IN:PLAY ]\n"
        "overlap\tIN:X\t0:2:SL:A,0:2:SL:B\tab\tm\ten_XX\t[IN:X ]\n",
        [
            ("Zoë bläst 8", "IN:PLAY", [("SL:WHO", "Zoë"), ("SL:ALBUM", "bläst")]),
            ("ab", "IN:X", [("SL:A", "ab"), ("SL:B", "ab")]),
        ],
    ),
    Good(
        "massive",
        "en-US.jsonl",
        '{"id": "0", "locale": "en-US", "partition": "test", "intent": "alarm_set", '
        '"utt": "wake me at five am", "annot_utt": "wake me at [time : five am]"}\n'
        '{"id": "1", "locale": "en-US", "partition": "test", "intent": "x", '
        '"utt": "go  to rome now", "annot_utt": "go to [ place : rome] now "}\n'
        '{"id": "2", "locale": "en-US", "partition": "test", "intent": "x", '
        '"utt": "no slots: none", "annot_utt": "no slots: none"}\n',
        [
            ("wake me at five am", "alarm_set", [("time", "five am")]),
            ("go  to rome now", "x", [("place", "rome")]),
            ("no slots: none", "x", []),
        ],
    ),
    Good(
        "massive",
        "test.jsonl",
        '{"intent": "x", "utt": "five to five", "annot_utt": "five to [time : five]", "slots": [[8, 12, "time"]]}\n'
        '{"intent": "x", "utt": "a b", "slots": []}\n',
        [("five to five", "x", [("time", "five")]), ("a b", "x", [])],
    ),
    Good(
        "bio",
        "test.txt",
        "at:O 9:B-time ::I-time 15pm:I-time http://x:O a:I-place b:B-place d:I-when e:I-y:O c:B-SL:X <=> set/alarm\n"
        "stop:O <=> stop",
        [
            (
                "at 9 : 15pm http://x a b d e:I-y c",
                "set/alarm",
                [("time", "9 : 15pm"), ("place", "a"), ("place", "b"), ("when", "d"), ("SL:X", "c")],
            ),
            ("stop", "stop", []),
        ],
    ),
    Good(
        "conll",
        "de.test.conll",
        "# id: 1\n# text-en: is it cold?\n# text: Ist's kalt?\n# intent: weather/find\n"
        "1\tIst\tweather/find\tO\n2\t's\tweather/find\tO\n3\tkalt\tweather/find\tB-weather/attribute\n4\t?\tweather/find\tO\n"
        "\n# id = 2\n# text = heute\n# intent = weather/find\n1\theute\tweather/find\tB-datetime\n"
        "\n\n# intent stop\n1\tAlarm\tstop\tI-what\n2\tdrei\tstop\tI-what\n3\t#\tstop\tB-what\n",
        [
            ("Ist's kalt?", "weather/find", [("weather/attribute", "kalt")]),
            ("heute", "weather/find", [("datetime", "heute")]),
            ("Alarm drei #", "stop", [("what", "Alarm drei"), ("what", "#")]),
        ],
    ),
    Good(
        "conll",
        "test.conll",
        "wake alarm O\nme alarm B-who\n\n# text: something else\nstop off O",
        [("wake me", "alarm", [("who", "me")]), ("stop", "off", [])],
    ),
    Good(
        "conll",
        "test.conll",
        "# a file's head\n\n# intent: x\n# text: wake up me\nwake\tO\nme\tB-who\n"
        "\n# intent: x\n# text: wake me up\nwake\tO\nme\tB-who\n"
        "\n# intent: x\n# text: #me\n#\tO\nme\tB-who\n\n# intent: x\n1\tB-n\n2\tI-n",
        [("wake me", "x", [("who", "me")])] * 2 + [("#me", "x", [("who", "me")]), ("1 2", "x", [("n", "1 2")])],
    ),
    Good(
        "clinc150",
        "data.json",
        json.dumps({"val": [["is it, or not", "yes"]], "oos_val": [["[what]", "oos"]], "train": []}, indent=2),
        [("is it, or not", "yes", []), ("[what]", "oos", [])],
    ),
    Good("clinc150", "data.json", '{"test":[["a b","c"],["d","e"]]}', [("a b", "c", []), ("d", "e", [])]),
]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("case", GOOD, ids=[f"{case.format}-{case.name}" for case in GOOD])
def test_good_files(tmp_path: Path, case: Good, newline: str, packed: bool) -> None:
    raw = ("\ufeff" + case.content.replace("\n", newline)).encode()
    path = tmp_path / (case.name + ".gz" if packed else case.name)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert guess_format(path) is BY_NAME[case.format]
    for spec in (str(path), f"{case.format}:{path}"):
        rows = load_examples(spec, split="all")
        assert [(row.text, row.intent, _slots(row)) for row in rows] == case.expected


def _slots(row: Example) -> list[tuple[str, str]]:
    return [(slot.label, row.text[slot.start : slot.end]) for slot in row.slots]


def test_massive_slots_keep_their_place_where_a_value_is_repeated_or_spaced(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    rows = [
        {"utt": "five to five", "annot_utt": "[a : five] to [b : five]"},
        {"utt": "five  to five", "annot_utt": "[a : five] to [b : five]"},
        {"utt": "x ", "annot_utt": "[a : ] x"},
        {"utt": "x", "annot_utt": "x [a : ]"},
    ]
    path.write_text("\n".join(json.dumps(row | {"intent": "i"}) for row in rows), encoding="utf-8")
    assert [row.slots for row in load_examples(str(path), split="all")] == [
        (SlotSpan("a", 0, 4), SlotSpan("b", 8, 12)),
        (SlotSpan("a", 0, 4), SlotSpan("b", 9, 13)),
        (SlotSpan("a", 0, 0),),
        (SlotSpan("a", 1, 1),),
    ]


def test_seq_in_seq_out_label(tmp_path: Path) -> None:
    folder = tmp_path / "snips" / "valid"
    folder.mkdir(parents=True)
    (folder / "seq.in").write_text("add  me\xa0too to mine \nstop\n", encoding="utf-8")
    (folder / "seq.out.gz").write_bytes(gzip.compress(b"O B-who O I-list \nO\n"))
    (folder / "label").write_text("Add\nStop", encoding="utf-8")
    expected = [("add me\xa0too to mine", "Add", [("who", "me\xa0too"), ("list", "mine")]), ("stop", "Stop", [])]
    for spec in (
        tmp_path,
        tmp_path / "snips",
        folder,
        folder / "seq.in",
        f"seq:{tmp_path}",
        f"seq:{folder / 'seq.in'}",
    ):
        rows = load_examples(str(spec), split="dev")
        assert [(row.text, row.intent, _slots(row)) for row in rows] == expected
        assert rows[1].source.endswith("seq.in:2")


class Bad(NamedTuple):
    """One file, the line that is wrong, and what the message must say of it."""

    format: str
    content: str
    line: int | None
    found: str
    expected: str


SPANS = "ok\tIN:A\t@\tdas Gerät aus\tmusic\tde_XX\t[IN:A ]"
OFFICIAL = "1\tIN:A\t@\tdas Gerät aus\tmusic\tde_XX\t[IN:A ]\t" + TOKENS
ROW = '{"text": "go", "intent": "x"}\n'
UTT = '{"utt": "go", "intent": "x", "slots": []}\n'

BAD = [
    Bad("jsonl", ROW + '{"text": "go", "intent": "x"', 2, "not JSON: Expecting ',' delimiter at column 29", '"text"'),
    Bad("jsonl", ROW + '["go", "x"]', 2, "a JSON list", "an object"),
    Bad("jsonl", ROW + "\n" + '{"txt": "go", "intent": "x"}', 3, "no 'text'; the keys are 'txt', 'intent'", '"text"'),
    Bad("jsonl", '{"text": "go", "intent": 3}', 1, "'intent' is 3", "string"),
    Bad("jsonl", '{"text": "go", "intent": " "}', 1, "'intent' is ' '", "not blank"),
    Bad("jsonl", '{"text": "\u2028", "intent": "x"}', 1, "'text' is", "not blank"),
    Bad(
        "jsonl",
        '{"text": "a\\ud83d", "intent": "x"}',
        1,
        "lone surrogate U+D83D at character 1",
        "whole Unicode characters",
    ),
    Bad("jsonl", '{"text": "a", "intent": "x\\udc00"}', 1, "lone surrogate U+DC00", "whole Unicode characters"),
    Bad("jsonl", '{"text": "go", "intent": "x", "slots": {}}', 1, '"slots" is {}', '"start": 0'),
    Bad("jsonl", '{"text": "go", "intent": "x", "slots": [[0, 2, "a"]]}', 1, "slot [0, 2, 'a']", '"start": 0'),
    Bad(
        "jsonl",
        '{"text": "go", "intent": "x", "slots": [{"start": 0, "end": true, "label": "a"}]}',
        1,
        "True",
        "code points",
    ),
    Bad(
        "jsonl",
        '{"text": "gö", "intent": "x", "slots": [{"start": 0, "end": 3, "label": "a"}]}',
        1,
        "from 0 to 3 in a text of 2",
        "end <= 2",
    ),
    Bad(
        "jsonl",
        '{"text": "go", "intent": "x", "slots": [{"start": 2, "end": 1, "label": "a"}]}',
        1,
        "from 2 to 1",
        "start <= end",
    ),
    Bad(
        "jsonl",
        '{"text": "go", "intent": "x", "slots": [{"start": 0, "end": 1, "label": ""}]}',
        1,
        "without a label",
        "a label",
    ),
    Bad(
        "jsonl",
        '{"text": "für 8", "intent": "x", "slots": [{"start": 5, "end": 5, "label": "n", "text": "8"}]}',
        1,
        "says '8', but ''",
        "same text",
    ),
    Bad("jsonl", '{"text": "go", "intent": "x", "split": "exam"}', 1, "split 'exam'", "train, dev, test"),
    Bad("jsonl", "[" * 100_000, 1, "not usable JSON", "an object"),
    Bad(
        "mtop",
        SPANS.replace("@", "4:9:SL:B") + "\n" + "ok\tIN:A\t\ttext",
        2,
        "4 tab-separated columns",
        "7 tab-separated columns",
    ),
    Bad(
        "mtop",
        OFFICIAL.replace("@", "") + "\n" + SPANS.replace("@", ""),
        2,
        "7 tab-separated columns",
        "8 tab-separated columns",
    ),
    Bad("mtop", "a\tb", 1, "2 tab-separated columns", "8 tab-separated columns"),
    Bad(
        "mtop",
        SPANS.replace("@", "") + "\n" + SPANS.replace("@", "").replace("ok", "fine"),
        2,
        "status 'fine'",
        "ok, ambiguous, overlap",
    ),
    Bad("mtop", SPANS.replace("@", "").replace("IN:A\t", "\t", 1), 1, "an empty intent", "intent"),
    Bad("mtop", SPANS.replace("@", "").replace("das Gerät aus", " "), 1, "an empty utterance", "visible character"),
    Bad("mtop", SPANS.replace("@", "4-9-SL:B"), 1, "slot '4-9-SL:B'", "start:end:LABEL"),
    Bad("mtop", SPANS.replace("@", "4:14:SL:B"), 1, "from 4 to 14 in a text of 13 code points", "end <= 13"),
    Bad(
        "mtop",
        OFFICIAL.replace("@", "4:8:SL:B"),
        1,
        "from byte 4 to 8 begins or ends inside a character",
        "UTF-8 bytes",
    ),
    Bad("mtop", OFFICIAL.replace("@", "4:15:SL:B"), 1, "from byte 4 to 15 in a text of 14 bytes", "UTF-8 bytes"),
    Bad("massive", UTT + '{"utt": "go"}', 2, "no 'intent'", "annot_utt"),
    Bad("massive", UTT + '{"utt": "go", "intent": "x"}', 2, "no 'annot_utt'", "annot_utt"),
    Bad(
        "massive",
        UTT + '{"utt": "go home", "intent": "x", "annot_utt": "go [place : rome]"}',
        2,
        "'go rome', \"utt\" is 'go home'",
        "says the same",
    ),
    Bad(
        "massive",
        '{"utt": "go", "intent": "x", "slots": [{"start": 0}]}',
        1,
        "slot {'start': 0}",
        '[[start, end, "label"]',
    ),
    Bad("massive", '{"utt": "go", "intent": "x", "slots": "none"}', 1, "\"slots\" is 'none'", '[[start, end, "label"]'),
    Bad("massive", '{"utt": "go", "intent": "x", "slots": [[0, 9, "a"]]}', 1, "from 0 to 9", "end <= 2"),
    Bad("massive", '{"utt": "go", "intent": "x", "slots": [], "partition": 3}', 1, "split 3", "train, dev, test"),
    Bad("bio", "a:O <=> x\nb:O x", 2, "no <=> in the line", "<=> intent"),
    Bad("bio", "a:O <=> x\nb:O <=> ", 2, "an empty intent", "<=> intent"),
    Bad("bio", "a:O b <=> x", 1, "'b'", "O, B-label or I-label"),
    Bad("bio", "a:O b:T-time <=> x", 1, "'b:T-time'", "O, B-label or I-label"),
    Bad("bio", "a:O :O <=> x", 1, "':O'", "word:tag"),
    Bad("bio", "a:O <=> x\n<=> x", 2, "an empty utterance", "visible character"),
    Bad("conll", "# intent: x\n1\ta\tx\tO\n2\tb\tO\n", 3, "3 columns", "4, as in the utterance's first line"),
    Bad("conll", "# intent: x\n1\ta\tx\tO\n\n# intent: x\nb\n", 5, "one column only: 'b'", "number, word, intent, tag"),
    Bad("conll", "# intent: x\n1\ta\tx\tO\n2\tb\tx\tT-y\n", 3, "tag 'T-y'", "O, B-label or I-label"),
    Bad("conll", "# intent: x\n1\ta\tx\tO\n2\t\tx\tO\n", 3, "an empty word", "number, word, intent, tag"),
    Bad("conll", "# intent: x\na\tO\n\nb\tO\n", 4, "an utterance without an intent", "# intent: name"),
    Bad("conll", "# intent: x\na\tO\n\na y O\nb z O\n", 5, "the intents 'y' and 'z'", "one intent"),
    Bad("conll", "# intent: x\na\tO\n\n# intent: y\n", 4, "comments without words", "number, word, intent, tag"),
    Bad("clinc150", '{\n"train": [\n["a", "b"],\n["c"]]}', 4, "the row ['c']", "[text, intent]"),
    Bad("clinc150", '{\n"train": [["a", "b"]],\n"test": [\n[" ", "b"]]}', 4, "an empty utterance", "visible character"),
    Bad("clinc150", '{\n"train": [["a", "b"]],\n"domains": [["c", "d"]]}', 3, "the key 'domains'", '"oos_test"'),
    Bad("clinc150", '{\n"train": [["a", "b"]\n["c", "d"]]}', 3, "where ',' belongs", '"oos_test"'),
    Bad("clinc150", '{"train": [\n["a", "b"],\n["c", d]]}', 3, "not JSON: Expecting value at column 7", '"oos_test"'),
    Bad("clinc150", '{"train": {"a": "b"}}', 1, "where '[' belongs", '"oos_test"'),
    Bad("clinc150", '{\n"train": [["a", "b"]]', 2, "'' where ',' belongs", '"oos_test"'),
]


@pytest.mark.parametrize("case", BAD, ids=[f"{case.format}-{index}" for index, case in enumerate(BAD)])
def test_wrong_files_say_where_what_and_what_was_expected(tmp_path: Path, case: Bad) -> None:
    path = tmp_path / "data.train.txt"
    path.write_text(case.content, encoding="utf-8")
    _check(case, path, f"{case.format}:{path}")


def _check(case: Bad, path: Path, spec: str) -> None:
    with pytest.raises(DataFormatError) as caught:
        load_examples(spec, split="train")
    message = str(caught.value)
    assert message.startswith(f"{path}: " if case.line is None else f"{path}:{case.line}: ")
    found, _, expected = message.partition("; expected ")
    assert case.found in found
    assert case.expected in expected
    assert (caught.value.file, caught.value.line) == (str(path), case.line)


@pytest.mark.parametrize(
    ("words", "tags", "intents", "name", "line", "found", "expected"),
    [
        ("a b\nc", "O O\nO", "x", "label", 2, "the file ends here", "same number of lines"),
        ("a b", "O O\nO", "x\ny", "seq.in", 2, "seq.out has 2 lines", "same number of lines"),
        ("c\na b", "O\nO", "x\ny", "seq.out", 2, "1 tags", "2 tags, one for each word"),
        ("c\na b", "O\nO X", "x\ny", "seq.out", 2, "tag 'X'", "O, B-label or I-label"),
        ("c\n ", "O\n ", "x\ny", "seq.in", 2, "an empty utterance", "visible character"),
        ("c\na", "O\nO", "x\n ", "label", 2, "an empty intent", "one intent"),
    ],
)
def test_wrong_seq_files(
    tmp_path: Path, words: str, tags: str, intents: str, name: str, line: int, found: str, expected: str
) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    for file, content in (("seq.in", words), ("seq.out", tags), ("label", intents)):
        (folder / file).write_text(content, encoding="utf-8")
    _check(Bad("seq", "", line, found, expected), folder / name, str(tmp_path))


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_bytes_that_are_not_utf8(tmp_path: Path, each: object) -> None:
    name = getattr(each, "name", "")
    path = tmp_path / "train" / "seq.in"
    path.parent.mkdir()
    path.write_bytes("à\nb".encode() + b"\xe9t\xe9\n")
    _check(Bad(name, "", 2, "byte 0xe9 at byte 2 of the line is not UTF-8", "UTF-8 text"), path, f"{name}:{path}")


@pytest.mark.parametrize("cut", [5, 40, -3])
def test_damaged_gzip(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress("".join(f'{{"text": "go {n}", "intent": "x"}}\n' for n in range(99)).encode())[:cut])
    _check(Bad("jsonl", "", None, "damaged gzip file", "whole gzip file"), path, f"jsonl:{path}")


def test_an_error_survives_a_process_boundary() -> None:
    import pickle

    error = DataFormatError("f.txt", 3, "a thing", "another", "a hint")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "f.txt:3: a thing; expected another (a hint)"
    assert (again.file, again.line) == ("f.txt", 3)
