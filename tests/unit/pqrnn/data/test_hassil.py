"""Sentences of Home Assistant as training data, judged by `hassil` itself."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hassil.intents import Intents
from hassil.recognize import recognize_all
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pqrnn.cli.data import data_app
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.grammar import split_of
from pqrnn.data.hassil import load_hassil, load_hassil_examples
from pqrnn.data.hassil.noise import CHANGES, Wording, change_sentence, join_words, split_words
from pqrnn.data.hassil.sources import home_languages, read_home
from pqrnn.data.hassil.values import list_values
from pqrnn.data.loader import available_splits
from pqrnn.errors import DataFormatError, DataNotFoundError

_OWN = """
language: en
intents:
  SetMood:
    data:
      - sentences:
          - "<make> [the] {area} (feel|look) {mood}"
          - "(set;{mood} mood;[in the ]{area})"
      - sentences: ["[please] volume (to|at) {level}[ percent]", "{0..3:count} knocks"]
        slots: {domain: media_player, exact: true}
      - sentences: ["switch {name} on"]
        requires_context: {domain: light}
      - sentences: ["who is {here}", "<make> it {here}"]
        expansion_rules: {make: "keep"}
        lists: {here: {values: [inside, {in: "out[side]", out: away}]}}
      - sentences: ["note {thing} down"]
lists:
  mood: {values: [{in: "(cosy|cozy)", out: warm}, bright]}
  level: {range: {from: 0, to: 100, step: 10}}
  thing: {wildcard: true}
expansion_rules:
  make: "(make|let)"
skip_words: [please]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "custom_sentences" / "en"
    folder.mkdir(parents=True)
    (folder / "mood.yaml").write_text(_OWN, encoding="utf-8")
    return folder


def _reader(spec: str) -> Any:
    """Return what says which intents and slots hassil finds in a text."""
    data = load_hassil(spec)
    home = read_home(data.language)
    lists = dict(home.document["lists"]) if home else {}
    lists.pop("any")
    merged: dict[str, Any] = {**data.merged, "intents": {}}
    for file in data.files:
        merged["intents"] |= file.document.get("intents", {})
    merged["lists"] = {**lists, **merged.get("lists", {})}
    intents = Intents.from_dict(merged)

    def read(text: str) -> list[tuple[str, dict[str, str]]]:
        found = recognize_all(
            text, intents, skip_words=intents.skip_words, intent_context={"area": "here"}, language=data.language
        )
        return [
            (result.intent.name, {each.name: each.text.strip() for each in result.entities_list if each.text.strip()})
            for result in found
        ]

    return read


def _slots(example: Example) -> dict[str, str]:
    return {slot.label: example.text[slot.start : slot.end] for slot in example.slots}


@pytest.mark.parametrize("spec", ["own", "hi"])
def test_hassil_reads_every_sentence_as_what_it_was_drawn_for(spec: str, own: Path) -> None:
    spec = str(own) if spec == "own" else spec
    read = _reader(spec)
    rows = load_hassil_examples(spec, "train", count=50, noise=False)
    commands = [row for row in rows if row.intent != "none"]
    assert len(commands) > 35
    for row in commands:
        answers = [slots for name, slots in read(row.text) if name == row.intent.partition("(")[0]]
        assert _slots(row) in answers, row
    for row in rows:
        if row.intent == "none":
            assert not row.slots


def test_every_form_of_a_template_is_drawn(own: Path) -> None:
    grammar = load_hassil(str(own)).grammar
    drawn = [example for _, example in zip(range(3000), grammar.draw(1), strict=False)]
    texts = {example.text: example for example in drawn}
    by_intent = Counter(example.intent for example in drawn)
    assert set(by_intent) == {"SetMood", "SetMood(domain=media_player,exact=True)"}
    assert any(text.startswith("bright mood") for text in texts)  # permutations
    assert any("in the kitchen set" in text for text in texts)
    assert any(text.endswith("volume to seventy percent") for text in texts)  # ranges in words
    assert any(_slots(example).get("count") == "3" for example in drawn)  # a range within a sentence
    assert any(text == "keep it outside" for text in texts)  # rules and lists of a block
    assert not any("make it" in text or "let it" in text for text in texts)
    assert any(text.startswith("please ") for text in texts)


def test_names_are_those_of_the_domain_that_a_block_requires(own: Path) -> None:
    grammar = load_hassil(str(own)).grammar
    names = {
        _slots(example)["name"]
        for _, example in zip(range(2000), grammar.draw(2), strict=False)
        if "name" in _slots(example)
    }
    assert "desk lamp" in names
    assert not names & {"kettle", "front door", "thermostat", "Anna"}


def test_splits_share_no_text_and_the_same_seed_draws_the_same(own: Path) -> None:
    spec = f"hassil:{own}"
    assert available_splits(spec) == ("train", "dev", "test")
    rows = {split: load_hassil_examples(str(own), split, count=60) for split in ("train", "dev", "test")}
    for split, found in rows.items():
        assert {split_of(row.text) for row in found} <= {split}
        assert len({row.text for row in found}) == len(found)
        assert 0 < sum(row.intent == "none" for row in found) <= 6
        assert {row.locale for row in found} == {"en"}
    again = load_hassil_examples(str(own), "all", count=60)
    assert again == [row for found in rows.values() for row in found]
    assert load_hassil_examples(str(own), "test", count=60, seed=1) != rows["test"]


def test_own_sentences_and_those_of_the_package_are_one_data_set(own: Path) -> None:
    intents = load_hassil(f"en+{own}").grammar.intents
    assert "SetMood" in intents
    assert "HassTurnOn(domain=light)" in intents
    with pytest.raises(DataFormatError, match="the language 'en'"):
        load_hassil(f"hi+{own}")


def test_values_are_what_home_assistant_wants_for_the_words(own: Path) -> None:
    values = list_values(load_hassil(str(own)))
    assert values["mood"] == {"cosy": "warm", "cozy": "warm"}
    assert values["here"] == {"out": "away", "outside": "away"}
    assert values["level"]["seventy"] == 70
    assert "name" not in values


@pytest.mark.parametrize("language", home_languages())
def test_every_home_is_of_the_form_and_has_what_sentences_name(language: str) -> None:
    home = read_home(language)
    assert home is not None
    assert home.document["language"] == language
    assert set(home.document["lists"]) == {"area", "floor", "name", "any"}
    domains = {value["context"]["domain"] for value in home.document["lists"]["name"]["values"]}
    assert {"light", "switch", "fan", "cover", "lock", "climate", "media_player", "vacuum"} <= domains
    assert home.document["fillers"]
    assert home.document["articles"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("language: en\nintents:\n  A:\n    data:\n      - sentences: ['turn (on']\n", 5, "no sentence template"),
        ("language: en\nintents:\n  A:\n    data:\n      - sentences: ['go to {area']\n", 5, "no sentence template"),
        ("language: en\nintents:\n  A:\n    data:\n      - sentences: ['x <what>']\n", 5, "the rule <what>"),
        ("language: en\nintents:\n  A:\n    data:\n      - sentences: ['x {are}']\n", 5, "did you mean 'area'"),
        ("language: en\nintents:\n  A:\n    data:\n      - sentences: [7]\n", 5, "7 where a sentence"),
        ("language: en\nintents:\n  A:\n    data:\n      - sentences: x\n", 3, "without `sentences:`"),
        ("language: en\nintents:\n  A:\n    sentences: [x]\n", 3, "without `data:`"),
        ("language: en\nintents:\n  A: [x]\n", 3, "without `data:`"),
        ("language: en\nintents: [A]\n", 2, "intents that has no keys"),
        ("language: no\nintents: {}\n", 1, "in quotes"),
        ("language: en\nsentences: [x]\n", 2, "the key 'sentences'"),
        ("language: en\n  bad\n indent: [\n", None, "no YAML"),
        ("- a\n- b\n", None, "list"),
        ("language: en\nlists: {a: {vals: [x]}}\nintents: {A: {data: [{sentences: ['x {a}']}]}}\n", 3, "`values: […]`"),
        (
            "language: en\nlists: {a: {range: {from: 9, to: 1}}}\nintents: {A: {data: [{sentences: ['x {a}']}]}}\n",
            3,
            "list {a}",
        ),
        (
            "language: en\nexpansion_rules: {a: '<b>', b: '<a>'}\nintents: {A: {data: [{sentences: ['x <a>']}]}}\n",
            3,
            "itself",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    text: str, line: int | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataFormatError) as caught:
        load_hassil(str(path))
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    if line is not None:
        assert caught.value.line == line


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "name a language"),
        ("xx", "no sentences of this language|neither a language"),
        ("nowhere/at/all", "neither a language"),
        ("empty", "no YAML file"),
        ("unsaid", "says its language"),
        ("bare", "no sentences under"),
    ],
)
def test_what_is_not_there_is_said(spec: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "unsaid").write_text("intents: {}\n")
    (tmp_path / "bare").write_text("language: en\n")
    with pytest.raises(DataNotFoundError, match=said):
        load_hassil_examples(spec, "train", count=5)


def test_a_language_that_is_asked_for_has_to_be_that_of_the_sentences(own: Path) -> None:
    assert load_hassil_examples(str(own), "test", "en-US", count=5)
    with pytest.raises(DataNotFoundError, match="are in 'en', not in 'de'"):
        load_hassil_examples(str(own), "test", "de", count=5)


_WORDING = Wording(("please", "be so kind and"), frozenset({"the", "a"}))


@st.composite
def _examples(draw: st.DrawFn) -> Example:
    words = draw(st.lists(st.text("abcdeäß'", min_size=1, max_size=7), min_size=1, max_size=8))
    text = " ".join(words)
    bounds = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
    spans = [(a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=False) if text[a:b].strip() == text[a:b]]
    return Example(text, "intent", tuple(SlotSpan(f"s{n}", *span) for n, span in enumerate(spans)))


@settings(max_examples=60)
@given(_examples())
def test_words_put_together_are_the_sentence_with_its_slots(example: Example) -> None:
    assert join_words(split_words(example), example) == example


@settings(max_examples=60)
@given(_examples(), st.sampled_from(sorted(CHANGES)), st.integers(0, 9))
def test_a_changed_sentence_keeps_its_intent_and_all_of_its_slots(example: Example, name: str, seed: int) -> None:
    changed = change_sentence(example, CHANGES[name], _WORDING, random.Random(seed))
    if changed is None:
        return
    assert changed.text != example.text
    assert changed.intent == example.intent
    assert sorted(slot.label for slot in changed.slots) == sorted(slot.label for slot in example.slots)
    if name in ("filler", "missing articles", "other order"):
        assert _slots(changed) == _slots(example)
    assert "  " not in changed.text
    assert changed.text == changed.text.strip()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("filler", {"please dim the desk lamp now", "dim the desk lamp now please"}),
        ("missing articles", {"dim desk lamp now"}),
        ("other order", {"desk lamp now dim the", "now dim the desk lamp"}),
    ],
)
def test_changes_are_what_they_are_called(name: str, expected: set[str]) -> None:
    example = Example("dim the desk lamp now", "dim", (SlotSpan("name", 8, 17),))
    wording = Wording(("please",), frozenset({"the"}))
    made = {change_sentence(example, CHANGES[name], wording, random.Random(seed)) for seed in range(20)}
    assert {each.text for each in made if each} == expected


def test_what_a_home_cannot_say_is_left_out_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "language: en\nintents:\n  A:\n    data:\n      - sentences: ['arm {name}']\n"
        "        requires_context: {domain: alarm_panel}\n      - sentences: ['(go|run) (now|then)', '[silence]']\n"
    )
    grammar = load_hassil(str(path)).grammar
    assert [each.template for each in grammar.sentences] == ["(go|run) (now|then)"]
    said = CliRunner().invoke(data_app, ["show", f"hassil:{path}"]).output
    assert "no value of {name} is of the domain alarm_panel" in said
    assert "'[silence]': can be empty" in said
