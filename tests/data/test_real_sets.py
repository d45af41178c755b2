"""The real data sets, read by the loader and checked against what they say of themselves in another way."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from oracles import squad
from seqeval.metrics.sequence_labeling import get_entities

from pqrnn.data import Example, SlotSpan, available_splits, load_examples
from pqrnn.data.alignment import Reason, normalise_slots, write_tags
from pqrnn.data.loader import guess_format
from pqrnn.data.questions.scoring import score_answers
from pqrnn.data.questions.squad import read_squad

pytestmark = pytest.mark.data

SPLITS = ("train", "dev", "test")
ROWS: dict[tuple[str, str | None], tuple[int, int, int]] = {
    ("mtop/spans", "en"): (15667, 2235, 4386),
    ("mtop/spans", "de"): (13424, 1815, 3549),
    ("mtop/spans", "es"): (10934, 1527, 2998),
    ("mtop/spans", "fr"): (11815, 1577, 3193),
    ("mtop/spans", "hi"): (11357, 2027, 2798),
    ("mtop/spans", "th"): (10759, 1671, 2765),
    **{("massive", locale): (11514, 2033, 2974) for locale in ("en-US", "de-DE", "es-ES", "fr-FR", "hi-IN", "th-TH")},
    ("snips", None): (13084, 700, 700),
    ("facebook_multilingual", "en"): (30521, 4181, 8621),
    ("facebook_multilingual", "es"): (3617, 1983, 3043),
    ("facebook_multilingual", "th"): (2156, 1235, 1692),
    ("clinc150", None): (15100, 3100, 5500),
}


def _read_raw(path: Path) -> list[str]:
    """Return a file's lines, without the loader."""
    return gzip.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")


def _cut(example: Example) -> Counter[tuple[str, str]]:
    return Counter((slot.label, example.text[slot.start : slot.end]) for slot in example.slots)


@pytest.mark.parametrize(("name", "locale"), ROWS, ids=lambda value: str(value))
def test_row_counts(data_root: Path, name: str, locale: str | None) -> None:
    spec = str(data_root / name)
    assert available_splits(spec, locale=locale) == SPLITS
    counted = [load_examples(spec, split=split, locale=locale) for split in SPLITS]
    assert tuple(map(len, counted)) == ROWS[name, locale]
    if locale:
        assert {row.locale for rows in counted for row in rows} == {locale}


@pytest.mark.parametrize(
    ("name", "locale", "intents", "labels"),
    [
        ("mtop/spans", "en", 113, 75),
        ("massive", "en", 60, 55),
        ("snips", None, 7, 39),
        ("facebook_multilingual", "en", 12, 16),
        ("clinc150", None, 151, 0),
    ],
)
def test_label_counts(data_root: Path, name: str, locale: str | None, intents: int, labels: int) -> None:
    rows = [row for split in SPLITS for row in load_examples(str(data_root / name), split=split, locale=locale)]
    assert len({row.intent for row in rows}) == intents
    assert len({slot.label for row in rows for slot in row.slots}) == labels


class _Nested:
    """Read MTOP's bracketed form without anything of the loader.

    Returned are the intent, and each top slot's label and words.
    """

    def __init__(self, form: str) -> None:
        self.intent = ""
        self.slots: list[tuple[str, str, bool]] = []  # label, words without spaces, whether it holds an intent
        label, words, nested, depth = "", "", False, 0
        for token in form.split(" "):
            if re.match(r"\[(IN|SL):", token):
                depth += 1
                if depth == 1:
                    self.intent = token[1:]
                elif depth == 2:
                    label, words, nested = token[1:], "", False
                else:
                    nested = True
            elif token == "]":
                depth -= 1
                if depth == 1:
                    self.slots.append((label, words, nested))
            elif depth > 1:
                words += token
        assert depth == 0


# Rows where the nested form and the spans file say the same of every slot without an inner intent, and where they do
# not even name the same slots. In English the others are values that occur twice, of which SOURCE.md says "leftmost
# taken"; in the other languages the two forms also differ in capitals.
AGREEMENT = {
    "en": (22273, 0),
    "de": (17942, 703),
    "es": (15046, 83),
    "fr": (16061, 85),
    "hi": (15974, 179),
    "th": (15034, 124),
}


@pytest.mark.parametrize("locale", AGREEMENT)
def test_mtop_slots_agree_with_the_nested_form(data_root: Path, locale: str) -> None:
    folder = data_root / "mtop" / "spans" / locale
    same = other_labels = 0
    for split, name in zip(SPLITS, ("train", "eval", "test"), strict=True):
        rows = load_examples(str(folder), split=split)
        for line, row in zip(_read_raw(folder / f"{name}.tsv.gz"), rows, strict=True):
            nested = _Nested(line.split("\t")[6])
            assert row.intent == nested.intent
            if Counter(slot.label for slot in row.slots) != Counter(label for label, _, _ in nested.slots):
                other_labels += 1
                continue
            wanted = Counter((label, words) for label, words, inner in nested.slots if not inner)
            found = Counter((label, "".join(text.split())) for label, text in _cut(row).elements())
            same += not wanted - found
    assert (same, other_labels) == AGREEMENT[locale]


def test_official_mtop_agrees_with_the_spans_form(data_root: Path) -> None:
    differing = []
    for split in ("dev", "test"):
        official = load_examples(str(data_root / "mtop" / "official_8col_en"), split=split)
        spans = load_examples(str(data_root / "mtop" / "spans"), split=split, locale="en")
        assert [(row.text, row.intent, row.locale) for row in official] == [
            (row.text, row.intent, row.locale) for row in spans
        ]
        differing += [
            (row.text, _cut(row) - _cut(other))
            for row, other in zip(official, spans, strict=True)
            if row.slots != other.slots
        ]
    # A value that begins with a repeated word: the spans file took the first word alone.
    assert differing == [
        ("Play OneRepublic's Baby On Baby album.", {("SL:MUSIC_ALBUM_TITLE", "Baby On Baby"): 1}),
        ("How do you cook Peruvian Cau Cau", {("SL:RECIPES_DISH", "Cau Cau"): 1}),
    ]


def test_official_mtop_byte_offsets_meet_its_own_tokens(data_root: Path) -> None:
    path = data_root / "mtop" / "official_8col_en" / "test.txt.gz"
    beyond_ascii = 0
    for line, row in zip(_read_raw(path), load_examples(str(path), split="test"), strict=True):
        tokens = json.loads(line.split("\t")[7])
        starts = {span["start"]: token for span, token in zip(tokens["tokenSpans"], tokens["tokens"], strict=True)}
        for written, slot in zip(filter(None, line.split("\t")[2].split(",")), row.slots, strict=True):
            first = starts[int(written.split(":")[0])]
            assert row.text[slot.start :].lower().startswith(first.lower())
            beyond_ascii += not row.text[: slot.end].isascii()
    assert beyond_ascii > 0


@pytest.mark.parametrize("locale", ["en-US", "de-DE", "es-ES", "fr-FR", "hi-IN", "th-TH"])
def test_massive_annotations_say_the_same_as_its_slots(data_root: Path, tmp_path: Path, locale: str) -> None:
    """The official files have no ``slots``; without them the annotated text must give the very same examples."""
    path = data_root / "massive" / locale / "train.jsonl.gz"
    stripped = [{key: value for key, value in json.loads(line).items() if key != "slots"} for line in _read_raw(path)]
    official = tmp_path / f"{locale}.jsonl"
    official.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in stripped), encoding="utf-8")
    with_slots = load_examples(str(path), split="train")
    without = load_examples(str(official), split="train")
    assert [(row.text, row.intent, row.slots, row.locale) for row in without] == [
        (row.text, row.intent, row.slots, row.locale) for row in with_slots
    ]
    assert sum(len(row.slots) for row in without) > 10_000


def test_massive_rows_are_parallel(data_root: Path) -> None:
    one, other = (
        load_examples(f"massive:{data_root / 'massive'}", split="test", locale=locale) for locale in ("en", "th")
    )
    assert [row.intent for row in one] == [row.intent for row in other]


@pytest.mark.parametrize("split", SPLITS)
def test_snips_slots_are_seqevals_entities(data_root: Path, split: str) -> None:
    folder = data_root / "snips" / split
    rows = load_examples(str(data_root / "snips"), split=split)
    lines = zip(rows, *(_read_raw(folder / f"{name}.gz") for name in ("seq.in", "seq.out", "label")), strict=True)
    for row, words, tags, intent in lines:
        tokens = words.split()
        assert (row.text, row.intent) == (" ".join(tokens), intent)
        wanted = [(label, " ".join(tokens[first : last + 1])) for label, first, last in get_entities(tags.split())]
        assert [(slot.label, row.text[slot.start : slot.end]) for slot in row.slots] == wanted


@pytest.mark.parametrize("locale", ["en", "es", "th"])
def test_bio_slots_are_seqevals_entities(data_root: Path, locale: str) -> None:
    path = data_root / "facebook_multilingual" / "bio" / locale / "test.txt.gz"
    for line, row in zip(_read_raw(path), load_examples(str(path), split="test"), strict=True):
        tagged, intent = line.split(" <=> ")
        tokens, tags = zip(*(item.rsplit(":", 1) for item in tagged.split(" ")), strict=True)
        assert (row.text, row.intent) == (" ".join(tokens), intent)
        wanted = [(label, " ".join(tokens[first : last + 1])) for label, first, last in get_entities(list(tags))]
        assert [(slot.label, row.text[slot.start : slot.end]) for slot in row.slots] == wanted


def test_clinc150_is_the_same_as_a_plain_parse(data_root: Path) -> None:
    path = data_root / "clinc150" / "data_full.json.gz"
    raw = json.loads(gzip.decompress(path.read_bytes()))
    lines = _read_raw(path)
    for split, name in zip(SPLITS, ("train", "val", "test"), strict=True):
        rows = load_examples(str(data_root / "clinc150"), split=split)
        assert sorted((row.text, row.intent) for row in rows) == sorted(map(tuple, raw[name] + raw[f"oos_{name}"]))
        assert sum(row.intent == "oos" for row in rows) == len(raw[f"oos_{name}"])
        for row in rows[::500]:
            # The source is the line on which the row begins: its text stands on the next one.
            assert json.loads(lines[int(row.source.rpartition(":")[2])].strip().rstrip(",")) == row.text


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("mtop/official_8col_en/test.txt.gz", "mtop"),
        ("mtop/spans/hi/eval.tsv.gz", "mtop"),
        ("massive/th-TH/dev.jsonl.gz", "massive"),
        ("snips/train/seq.in.gz", "seq"),
        ("facebook_multilingual/bio/es/valid.txt.gz", "bio"),
        ("clinc150/data_full.json.gz", "clinc150"),
        ("squad/dev-v1.1.json.gz", None),
        ("snips/train/seq.out.gz", None),
        ("clinc150/domains.json", None),
        ("mtop/LICENSE.txt", None),
    ],
)
def test_formats_are_guessed(data_root: Path, path: str, name: str | None) -> None:
    found = guess_format(data_root / path)
    assert (found and found.name) == name


def test_gold_slots_that_overlap_are_kept_and_counted(data_root: Path) -> None:
    """SOURCE.md marks the overlapping rows; words as runs of anything but white space are enough to see them."""
    folder = data_root / "mtop" / "spans" / "de"
    for split, name in zip(SPLITS, ("train", "eval", "test"), strict=True):
        rows = load_examples(str(folder), split=split)
        marked = [line.startswith("overlap\t") for line in _read_raw(folder / f"{name}.tsv.gz")]
        outcomes = [write_tags(row.text, row.slots, _split_bytes(row.text)) for row in rows]
        assert [outcome is Reason.OVERLAP for outcome in outcomes] == marked
        assert all(len(row.slots) > 1 for row, overlapping in zip(rows, marked, strict=True) if overlapping)


def _split_bytes(text: str) -> list[tuple[int, int]]:
    return [
        (len(text[: word.start()].encode()), len(text[: word.end()].encode())) for word in re.finditer(r"\S+", text)
    ]


def test_white_space_at_the_edges_of_gold_slots_is_left_out(data_root: Path) -> None:
    rows = load_examples(str(data_root / "mtop" / "spans"), split="test", locale="th")
    changed = [(row, normalise_slots(row.text, row.slots)) for row in rows]
    changed = [(row, slots) for row, slots in changed if set(slots) != set(row.slots)]
    assert changed
    for row, slots in changed:
        for slot in slots:
            inner = row.text[slot.start : slot.end]
            assert inner == inner.strip(" \u200b")
            assert any(
                other.label == slot.label and other.start <= slot.start <= slot.end <= other.end for other in row.slots
            )


def test_slots_lie_in_their_texts(data_root: Path) -> None:
    rows = load_examples(str(data_root / "mtop" / "spans"), split="all")
    assert len(rows) == sum(sum(counts) for (name, _), counts in ROWS.items() if name == "mtop/spans")
    assert all(0 <= slot.start < slot.end <= len(row.text) for row in rows for slot in row.slots)
    assert isinstance(rows[0].slots[0], SlotSpan)


def test_questions_of_squad_are_those_of_the_official_file_and_answer_themselves(data_root: Path) -> None:
    questions = read_squad(data_root / "squad" / "dev-v1.1.json.gz")
    assert len(questions) == 10570
    assert len({question.context for question in questions}) == 2067
    first = {question.id: question.answers[0].text for question in questions}
    assert score_answers(questions, first) == (1.0, 1.0, 10570, 0)


def test_how_people_agree_on_squad_is_scored_as_the_rules_say_it_in_another_way(data_root: Path) -> None:
    questions = [each for each in read_squad(data_root / "squad" / "dev-v1.1.json.gz")[::20] if len(each.answers) > 1]
    others = [replace(each, answers=(each.answers[0], *each.answers[2:])) for each in questions]
    second = {each.id: each.answers[1].text for each in questions}
    found = score_answers(others, second)
    pairs = [(second[each.id], [answer.text for answer in each.answers]) for each in others]
    assert found.exact_match == pytest.approx(sum(squad.exact_match(*pair) for pair in pairs) / len(pairs))
    assert found.f1 == pytest.approx(sum(squad.f1(*pair) for pair in pairs) / len(pairs))
    assert 0.5 < found.exact_match < found.f1 < 1.0
