"""The built-in home-control set: the same intents and slots in each language, and what it draws is what was written."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter, defaultdict
from functools import cache

import pytest

from pqrnn.data.examples import Example
from pqrnn.data.grammar import Grammar, GrammarError, load_grammar
from pqrnn.data.grammar.analysis import references
from pqrnn.data.grammar.nodes import ListRef
from pqrnn.data.grammar.splits import split_key
from pqrnn.data.home import home_grammar_path, home_locales, load_home_examples

LOCALES = ("de", "en", "es", "fr", "hi", "th")
_SCRIPTS = {"hi": "DEVANAGARI", "th": "THAI"}


@cache
def _load(locale: str) -> Grammar:
    return load_grammar(home_grammar_path(locale))


@cache
def _sample(locale: str) -> tuple[Example, ...]:
    return tuple(_load(locale).sample(2000, 11))


def _lists_by_label(grammar: Grammar) -> dict[str, set[str]]:
    """Return which lists fill each slot: those that a sentence or a rule refers to (a list in a list is no slot)."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in (*(sentence.node for sentence in grammar.sentences), *grammar.definitions.rules.values()):
        for reference in references(node):
            if isinstance(reference, ListRef):
                found[reference.label].add(reference.name)
    return found


def test_the_six_languages_are_there() -> None:
    assert home_locales() == LOCALES
    assert [_load(locale).locale for locale in LOCALES] == list(LOCALES)


def test_every_language_has_the_same_intents_with_the_same_slots() -> None:
    english = _load("en").labels_by_intent()
    assert len(english) >= 25
    assert len(_load("en").labels) >= 15
    for locale in LOCALES:
        assert dict(_load(locale).labels_by_intent()) == dict(english), locale


def test_the_manual_tells_the_numbers() -> None:
    text = home_grammar_path("en").with_name("README.md").read_text(encoding="utf-8")
    grammar = _load("en")
    assert f"{len(grammar.intents)} intents\nand {len(grammar.labels)} slots" in text


@pytest.mark.parametrize("locale", LOCALES)
def test_a_language_is_rich(locale: str) -> None:
    grammar = _load(locale)
    assert grammar.unused == ()
    assert min(Counter(sentence.intent for sentence in grammar.sentences).values()) >= 6
    assert len({(sentence.intent, sentence.template) for sentence in grammar.sentences}) == len(grammar.sentences)
    assert min(grammar.count(intent) for intent in grammar.intents) >= 500
    assert grammar.count() > 10**10
    for label, names in _lists_by_label(grammar).items():
        values = {value for name in names for value in itertools.islice(grammar.values(name), 1000)}
        assert len(values) >= 8, label


@pytest.mark.parametrize("locale", LOCALES)
def test_every_slot_is_a_value_of_one_of_its_lists(locale: str) -> None:
    grammar = _load(locale)
    needed: dict[str, set[str]] = defaultdict(set)
    for example in _sample(locale):
        end = 0
        for slot in example.slots:
            assert end <= slot.start < slot.end <= len(example.text)
            end = slot.end
            needed[slot.label].add(example.text[slot.start : slot.end])
    lists = _lists_by_label(grammar)
    assert set(needed) == set(grammar.labels)
    for label, slices in needed.items():
        assert slices <= {value for name in lists[label] for value in grammar.values(name)}, label


@pytest.mark.parametrize("locale", [locale for locale in LOCALES if locale != "th"])
def test_slots_begin_and_end_with_a_word(locale: str) -> None:
    # A boundary between two letters could not be written as one tag a word. Thai has a token per grapheme.
    for example in _sample(locale):
        for offset in {offset for slot in example.slots for offset in (slot.start, slot.end)} - {0, len(example.text)}:
            kinds = [unicodedata.category(char) for char in example.text[offset - 1 : offset + 1]]
            assert not all(kind[0] in "LM" for kind in kinds), example
            assert kinds != ["Nd", "Nd"], example


@pytest.mark.parametrize("locale", LOCALES)
def test_the_script_is_the_languages_own(locale: str) -> None:
    letters = Counter(
        unicodedata.name(char).split()[0]
        for example in _sample(locale)
        for char in example.text
        if unicodedata.category(char)[0] in "LM"
    )
    assert letters[_SCRIPTS.get(locale, "LATIN")] > 0.97 * letters.total()


def test_thai_is_written_without_spaces_between_words() -> None:
    spaces = sum(example.text.count(" ") for example in _sample("th"))
    assert spaces < 0.05 * sum(len(example.text) for example in _sample("th"))
    assert sum(" " not in example.text for example in _sample("th")) > 0.4 * len(_sample("th"))


@pytest.mark.parametrize("locale", LOCALES)
def test_one_text_has_one_meaning(locale: str) -> None:
    meanings: dict[str, set[object]] = defaultdict(set)
    for example in itertools.islice(_load(locale).draw(3), 6000):
        meanings[example.text].add((example.intent, example.slots))
        assert example.text == " ".join(example.text.split(" ")).strip()
        assert not set("[](){}<>|\\_") & set(example.text), example
    assert {text: found for text, found in meanings.items() if len(found) > 1} == {}


@pytest.mark.parametrize("locale", LOCALES)
def test_the_splits(locale: str) -> None:
    parts = {
        split: load_home_examples(split, locale, count)
        for split, count in (("train", 3000), ("dev", 400), ("test", 400))
    }
    keys = {split: {split_key(example.text) for example in part} for split, part in parts.items()}
    assert {split: len(part) for split, part in parts.items()} == {"train": 3000, "dev": 400, "test": 400}
    assert not (keys["train"] & keys["dev"] or keys["train"] & keys["test"] or keys["dev"] & keys["test"])
    assert {example.intent for example in parts["train"]} == set(_load(locale).intents)
    assert {slot.label for example in parts["train"] for slot in example.slots} == set(_load(locale).labels)
    assert load_home_examples("test", locale, 400) == parts["test"] != load_home_examples("test", locale, 400, seed=1)


def test_languages_by_name() -> None:
    english = load_home_examples("dev", "en", 20)
    assert load_home_examples("dev", "en-US", 20) == english
    assert load_home_examples("dev", "en,de", 20) == english + load_home_examples("dev", "de", 20)
    assert Counter(example.locale for example in load_home_examples("dev", None, 20)) == dict.fromkeys(LOCALES, 20)
    assert english[0].source.startswith("en.toml:")
    with pytest.raises(GrammarError, match="no locale 'it'; expected one of de, en, es, fr, hi, th"):
        load_home_examples("dev", "it")
