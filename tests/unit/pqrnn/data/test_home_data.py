"""The built-in home-control set: the same intents and slots in each language, and what it draws is what was written."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter, defaultdict
from functools import cache

import pytest

from pqrnn.data.examples import Example
from pqrnn.data.grammar import Grammar, GrammarError, load_grammar
from pqrnn.data.grammar.analysis import Analysis, references
from pqrnn.data.grammar.nodes import Choice, ListRef, Node, RuleRef, Sequence, Text
from pqrnn.data.grammar.splits import split_key
from pqrnn.data.home import home_grammar_path, home_locales, load_home_examples
from pqrnn.data.lint import lint_grammar

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


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_not_to_be_done_is_none_of_the_commands(locale: str) -> None:
    grammar = _load(locale)
    commands = {intent for intent in grammar.intents if intent != "none"}
    rules = {name.removeprefix("not_") for name in grammar.definitions.rules if name.startswith("not_")}
    assert rules == commands
    analysis = Analysis(grammar.definitions)
    for intent in commands:
        rule = grammar.definitions.rules[f"not_{intent}"]
        assert not analysis.labels(rule), intent
        assert analysis.count(rule) >= 6, intent
    reached: dict[str, set[str]] = defaultdict(set)
    for sentence in grammar.sentences:
        reached[sentence.intent] |= {each.name for each in references(sentence.node) if isinstance(each, RuleRef)}
    assert {f"not_{intent}" for intent in commands} <= reached["none"]
    assert not any(name.startswith("not_") for intent in commands for name in reached[intent])


# Of every kind of command a few, as people might say them.
_NEGATIONS = {
    "en": (
        "don't turn off the lights", "please do not open the garage", "never play that song", "no, don't mute the TV",
        "you don't have to lock the front door", "I don't want you to call mum", "don't set a timer for ten minutes",
        "there is no need to check the thermostat", "don't add milk to the shopping list", "don't do that",
    ),
    "de": (
        "schalte das Licht nicht aus", "bitte nicht die Garage öffnen", "du sollst das Licht nicht anmachen",
        "mach die Musik nicht lauter", "ruf Anna nicht an", "das Licht in der Küche nicht einschalten",
        "stell die Heizung nicht auf 22 Grad", "bitte lies die Einkaufsliste nicht vor", "mach das bitte nicht",
        "erinnere mich nicht daran",
    ),
    "es": (
        "no apagues la luz", "por favor no abras el garaje", "no hace falta subir la persiana", "no llames a mamá",
        "no quiero que pongas música", "no hay que cerrar con llave la puerta", "mejor no hagas nada",
        "no añadas leche a la lista", "no me digas la hora", "todavía no pongas una alarma para las siete",
    ),
    "fr": (
        "n'éteins pas la lumière", "il ne faut pas ouvrir le garage", "n'appelle pas maman", "ne monte pas le son",
        "surtout ne ferme pas les volets", "ne mets pas de réveil demain matin", "ne me dis pas l'heure",
        "n'ajoute pas de lait à la liste de courses", "merci de ne pas déverrouiller la porte", "ne fais pas ça",
    ),
    "hi": (
        "लाइट मत जलाओ", "गैराज मत खोलो", "टाइमर रद्द मत करो", "टीवी बंद न करें", "मम्मी को फोन मत करना",
        "आवाज़ बढ़ाने की ज़रूरत नहीं है", "समय मत बताओ", "पर्दे बंद मत कीजिए", "ऐसा मत करो",
        "दूध लिस्ट में शामिल मत करो",
    ),
    "th": (
        "อย่าปิดไฟ", "ไม่ต้องเปิดทีวีนะ", "ห้ามล็อกประตูหน้า", "อย่าเพิ่งเปิดเพลง", "ไม่ต้องโทรหาแม่ครับ", "อย่าเพิ่มเสียง",
        "ไม่ต้องตั้งนาฬิกาปลุกพรุ่งนี้", "กรุณาอย่าปิดม่านในห้องนอน", "อย่าทำแบบนั้น", "ไม่ต้องบอกเวลา",
    ),
}  # fmt: skip


def _to_pattern(node: Node, grammar: Grammar) -> str:
    """Return a regular expression for what a tree without lists makes, with white space left out."""
    match node:
        case Text(value):
            return re.escape("".join(value.split()))
        case Sequence(parts):
            return "".join(_to_pattern(part, grammar) for part in parts)
        case Choice(options):
            return f"(?:{'|'.join(_to_pattern(option, grammar) for option in options)})"
        case RuleRef(name):
            return _to_pattern(grammar.definitions.rules[name], grammar)
        case _:
            raise AssertionError(node)


@pytest.mark.parametrize("locale", LOCALES)
def test_negated_commands_as_people_say_them_are_made_for_none(locale: str) -> None:
    grammar = _load(locale)
    plain = [sentence for sentence in grammar.sentences if not _has_lists(sentence.node, grammar)]
    patterns = [(sentence.intent, re.compile(_to_pattern(sentence.node, grammar))) for sentence in plain]
    for text in _NEGATIONS[locale]:
        bare = "".join(text.split())
        assert {intent for intent, pattern in patterns if pattern.fullmatch(bare)} == {"none"}, text


def _has_lists(node: Node, grammar: Grammar) -> bool:
    return any(
        isinstance(each, ListRef) or _has_lists(grammar.definitions.rules[each.name], grammar)
        for each in references(node)
    )


@pytest.mark.parametrize("locale", LOCALES)
def test_negated_commands_are_made_often_enough_to_be_learned(locale: str) -> None:
    grammar = _load(locale)
    made = [row.intent for row in itertools.islice(grammar.draw(1), 5000)]
    assert 0.1 < made.count("none") / len(made) < 0.2
    negated = [sentence for sentence in grammar.sentences if sentence.intent == "none" and "<not_" in sentence.template]
    assert sum(sentence.weight for sentence in negated) >= len(grammar.intents) - 1


@pytest.mark.slow
@pytest.mark.parametrize("locale", LOCALES)
def test_no_sentence_is_made_under_two_intents(locale: str) -> None:
    assert lint_grammar(_load(locale)) == []


@pytest.mark.parametrize(
    ("locale", "sign"),
    [("en", "minus"), ("de", "minus"), ("fr", "moins"), ("es", "menos"), ("hi", "माइनस"), ("th", "ลบ")],
)
def test_a_sign_is_part_of_the_temperature(locale: str, sign: str) -> None:
    """What leaves it out turns the heating up."""
    found = [
        (row.text, row.text[slot.start : slot.end])
        for row in itertools.islice(_load(locale).draw(1), 6000)
        for slot in row.slots
        if row.intent == "climate_set" and slot.label == "temperature"
    ]
    signed = [value for _, value in found if value.strip().startswith((sign, "-"))]
    assert 0.02 < len(signed) / len(found) < 0.3
    assert not any(re.search(rf"({sign}\s*|\s-){re.escape(value)}", text) for text, value in found)
