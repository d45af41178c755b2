"""Decoding: tag repair against seqeval, byte offsets against Unicode's table of sequences, results and their forms."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from runtime_py.decode.answers import Parse, Slot, encode_text
from runtime_py.decode.decoder import Decoder, code_point_span, cut_bytes, find_tail, softmax
from runtime_py.decode.tags import TagScheme

TAGS = ("O", "B-a", "I-a", "B-b", "I-b", "B-c", "I-c")


@given(st.lists(st.integers(0, len(TAGS) - 1), max_size=12))
def test_spans_follow_seqeval_outside_its_strict_mode(tag_ids: list[int]) -> None:
    expected = [(label, first, last + 1, 0) for label, first, last in get_entities([TAGS[i] for i in tag_ids])]
    assert [tuple(span) for span in TagScheme(TAGS).spans(tag_ids)] == expected


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("I-a I-a O", [("a", 0, 2)]),
        ("O I-a B-a", [("a", 1, 2), ("a", 2, 3)]),
        ("B-a I-b I-b", [("a", 0, 1), ("b", 1, 3)]),
        ("B-a B-a I-a", [("a", 0, 1), ("a", 1, 3)]),
        ("O O", []),
        ("", []),
    ],
)
def test_repair_rule(tags: str, spans: list[tuple[str, int, int]]) -> None:
    assert [tuple(span) for span in TagScheme(TAGS).spans([TAGS.index(tag) for tag in tags.split()])] == [
        (*span, 0) for span in spans
    ]


def test_a_slot_with_a_tag_for_the_ends_of_words_counts_once() -> None:
    assert TagScheme(["O", "B-b", "I-b", "B-a", "I-a", "B2-b", "B3-b"]).slots == ["a", "b"]


def test_labels_may_hold_hyphens_and_any_order() -> None:
    scheme = TagScheme(["I-date-time", "O", "B-date-time"])
    assert [tuple(span) for span in scheme.spans([2, 0, 1, 0])] == [("date-time", 0, 2, 0), ("date-time", 3, 4, 0)]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=4), st.integers(0, 2)), min_size=1, max_size=5))
def test_a_tail_begins_so_many_code_points_before_the_end_of_its_word(words: list[tuple[str, int]]) -> None:
    tags = ("O", "B-a", "B2-a")
    text, spans, expected, end = "", [], [], 0
    for word, tag in words:
        word = word.encode("utf-8", "replace").decode()
        spans.append((len((text).encode()), len((text + word).encode())))
        if tag:
            start = end + (max(len(word) - 2, 0) if tag == 2 else 0)
            expected.append((start, end + len(word)))
        text += word + " "
        end = len(text)
    raw = text.encode()
    parse = Decoder(["i"], tags).parse(
        text, raw, np.zeros(1, np.float32), one_hot([tag for _, tag in words], 3), np.array(spans, np.int32)
    )
    assert [(slot.start, slot.end) for slot in parse.slots] == expected


@pytest.mark.parametrize(
    ("raw", "points", "byte"),
    [(b"a\xff\xe0\xa0b", 1, 4), (b"a\xff\xe0\xa0b", 2, 2), (b"a\xff\xe0\xa0b", 3, 1), (b"ab", 0, 0), (b"ab", 5, 0)],
)
def test_tails_of_invalid_bytes(raw: bytes, points: int, byte: int) -> None:
    assert find_tail(raw, 0, len(raw), points) == byte


@pytest.mark.parametrize("tag", ["", "B-", "X-a", "B", "o", "B0-a", "I2-a", "B100-a"])
def test_a_tag_of_another_form_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        TagScheme(["O", tag])


# Table 3-7 of the Unicode standard: the ranges of each byte of a well-formed sequence.
TAIL = (0x80, 0xBF)
WELL_FORMED = (
    ((0x00, 0x7F),),
    ((0xC2, 0xDF), TAIL),
    ((0xE0, 0xE0), (0xA0, 0xBF), TAIL),
    ((0xE1, 0xEC), TAIL, TAIL),
    ((0xED, 0xED), (0x80, 0x9F), TAIL),
    ((0xEE, 0xEF), TAIL, TAIL),
    ((0xF0, 0xF0), (0x90, 0xBF), TAIL, TAIL),
    ((0xF1, 0xF3), TAIL, TAIL, TAIL),
    ((0xF4, 0xF4), (0x80, 0x8F), TAIL, TAIL),
)


def units(raw: bytes) -> list[tuple[int, int]]:
    """Byte ranges of the code points of ``raw``: whole characters, and maximal parts of invalid sequences."""
    found = []
    start = 0
    while start < len(raw):
        longest = 1
        for sequence in WELL_FORMED:
            matching = 0
            for byte, (low, high) in zip(raw[start:], sequence, strict=False):
                if not low <= byte <= high:
                    break
                matching += 1
            longest = max(longest, matching)
        found.append((start, start + longest))
        start += longest
    return found


PIECES = [
    "aé ก😀".encode(),
    b" ",
    "é".encode(),
    "ก".encode(),
    b"\x80",
    b"\xe0",
    b"\xe0\xa0",
    b"\xf0\x9f\x98",
    b"\xff",
    b"\xc0",
]
mixed_bytes = st.one_of(
    st.binary(max_size=24),
    st.text(max_size=12).map(str.encode),
    st.lists(st.sampled_from(PIECES), max_size=10).map(b"".join),
)


@given(mixed_bytes)
@example(b"\xe2\x82A")
@example(b"\xf0\x9f\x98\xe0\xa0\x80")
@example("\ufffd\ufffd".encode())
def test_the_oracle_of_units_agrees_with_python(raw: bytes) -> None:
    pieces = [raw[start:end].decode("utf-8", "replace") for start, end in units(raw)]
    assert "".join(pieces) == raw.decode("utf-8", "replace")
    assert len(units(raw)) == len(raw.decode("utf-8", "replace"))


@given(mixed_bytes, st.data())
def test_byte_ranges_become_the_code_points_that_they_touch(raw: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    touched = [index for index, (first, last) in enumerate(units(raw)) if first < end and last > start]
    got = code_point_span(raw, start, end)
    if start == end:
        assert got[0] == got[1]
    else:
        assert got == (touched[0], touched[-1] + 1)


@given(mixed_bytes, st.integers(0, 30))
def test_cut_is_the_longest_prefix_between_two_characters(raw: bytes, limit: int) -> None:
    bounds = [0, *(end for _, end in units(raw) if end <= limit)]
    assert cut_bytes(raw, limit) == raw[: max(bounds)]


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=12))
def test_any_string_keeps_its_positions(text: str) -> None:
    shown, raw = encode_text(text)
    assert len(shown) == len(text)
    assert raw.decode() == shown
    assert all(a == b or b == "\ufffd" for a, b in zip(text, shown, strict=True))


def test_bytes_are_shown_as_python_replaces_them() -> None:
    assert encode_text(b"a\xff\xe2\x82b") == ("a\ufffd\ufffdb", b"a\xff\xe2\x82b")
    assert encode_text(bytearray(b"a\x00b")) == ("a\x00b", b"a\x00b")
    with pytest.raises(TypeError, match="int"):
        encode_text(3)  # type: ignore[arg-type]


def test_softmax_survives_large_logits() -> None:
    got = softmax(np.array([[1e4, 1e4], [-1e4, 0.0]], np.float32))
    np.testing.assert_array_equal(got, np.array([[0.5, 0.5], [0.0, 1.0]], np.float32))


def one_hot(ids: list[int], width: int) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[ids]


def test_a_parse_cuts_slots_out_of_text_in_any_script() -> None:
    decoder = Decoder(["alarm", "music"], ["O", "B-time", "I-time"])
    text = "réveille 😀 à sept heures"
    raw = text.encode()
    words = ["réveille", "😀", "à", "sept", "heures"]
    starts = [raw.index(word.encode()) for word in words]
    spans = np.array([[start, start + len(word.encode())] for start, word in zip(starts, words, strict=True)], np.int32)
    parse = decoder.parse(text, raw, np.array([2.0, 0.0], np.float32), one_hot([0, 1, 0, 1, 2], 3), spans)
    assert parse.intent == "alarm"
    assert parse.score == pytest.approx(1 / (1 + np.exp(-2.0)), rel=1e-6)
    assert parse.slots == (Slot("time", "😀", 9, 10), Slot("time", "sept heures", 13, 24))
    assert all(text[slot.start : slot.end] == slot.text for slot in parse.slots)
    assert parse.words == 5


def test_an_empty_text_has_an_intent_and_no_slots() -> None:
    decoder = Decoder(["a", "b"], ["O", "B-x"])
    no_tags, no_spans = np.zeros((0, 2), np.float32), np.zeros((0, 2), np.int32)
    parse = decoder.parse("", b"", np.array([0.0, 3.0], np.float32), no_tags, no_spans)
    assert (parse.intent, parse.slots, parse.words) == ("b", (), 0)


def test_results_show_and_serialise() -> None:
    parse = Parse("alarm_set", 0.9912, (Slot("time", "seven", 11, 16),), "wake me at seven", False, 4)
    assert repr(parse) == "Parse(intent='alarm_set', score=0.99, slots=[Slot('time', 'seven', 11, 16)])"
    assert json.loads(json.dumps(parse.to_dict())) == {
        "text": "wake me at seven",
        "intent": "alarm_set",
        "score": 0.9912,
        "slots": [{"label": "time", "text": "seven", "start": 11, "end": 16}],
        "words": 4,
        "truncated": False,
        "calibrated": False,
        "outcome": "parsed",
    }
    assert "truncated=True" in repr(Parse("a", 1.0, (), "", True, 0))
    with pytest.raises(AttributeError):
        parse.intent = "other"  # type: ignore[misc]
