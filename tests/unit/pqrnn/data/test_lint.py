"""What `data show` finds wrong with data that are well formed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.data import Example, SlotSpan
from pqrnn.data.grammar import parse_grammar
from pqrnn.data.lint import FEWEST_ROWS, lint_examples, lint_grammar

pytestmark = pytest.mark.unit


def _rows(intent: str, *texts: str, slots: tuple[SlotSpan, ...] = ()) -> list[Example]:
    return [Example(text, intent, slots, "", f"f:{number}") for number, text in enumerate(texts, 1)]


def _many(intent: str) -> list[Example]:
    return _rows(intent, *(f"{intent} {number}" for number in range(FEWEST_ROWS)))


def _find(kind: str, **splits: list[Example]) -> list[str]:
    return [each.text for each in lint_examples(splits) if each.kind == kind]


def test_good_data_have_no_findings() -> None:
    assert lint_examples({"train": [*_many("a"), *_many("b")], "dev": _many("a"), "test": _many("b")}) == []


def test_labels_that_training_does_not_have() -> None:
    dev = _rows("new", "go there", "go home", slots=(SlotSpan("place", 3, 5),))
    intents, slots = _find("never-learned", train=_many("a"), dev=dev, test=[*_rows("b", "x"), *_many("a")])
    assert intents == "intents in dev or test that no training row has, 2: 'b' (1 rows), 'new' (2 rows)"
    assert slots == "slots in dev or test that no training row has, 1: 'place' (2 rows)"
    assert _find("never-learned", all=_many("a")) == []


def test_texts_with_several_intents_whatever_their_case_and_composition() -> None:
    rows = [*_rows("a", "Öffne es", "x"), *_rows("b", "O\u0308FFNE  es "), *_rows("a", "öffne es")]
    (text,) = _find("two-intents", train=rows)
    assert text == "the same text under several intents, 1: 'öffne es' is a (f:1) and b (f:1)"
    assert _find("two-intents", train=_rows("a", "x"), test=_rows("b", "x"))


@pytest.mark.parametrize(
    "other", ["Light_On", "light on", "light-on", "lighton", "light_on ", "ｌight_on", "light\u00a0on"]
)
def test_labels_that_are_nearly_the_same(other: str) -> None:
    assert _find("near-labels", train=[*_many("light_on"), *_many(other)])
    slots = (SlotSpan("light_on", 0, 1), SlotSpan(other, 2, 3))
    (text,) = _find("near-labels", train=[*_many("a"), *_rows("a", "x y", slots=slots)])
    assert text.startswith("slots that differ in space, capitals or composition alone, 1: ")


def test_composed_and_decomposed_labels_can_be_told_apart_in_the_message() -> None:
    (text,) = _find("near-labels", train=[*_many("für"), *_many("fu\u0308r")])
    assert "'fu\\u0308r' and 'für'" in text


def test_intents_with_few_rows() -> None:
    (text,) = _find("few-rows", train=[*_many("a"), *_rows("b", "x", "y")], test=_many("b"))
    assert text == f"intents with fewer than {FEWEST_ROWS} rows to learn from, 1: 'b' (2)"


def test_slots_that_are_never_a_run_of_words() -> None:
    rows = _rows("a", "turn on", slots=(SlotSpan("cut", 1, 3), SlotSpan("whole", 5, 7)))
    rows += _rows("a", "turn on", slots=(SlotSpan("mixed", 1, 3),)) + _rows(
        "a", "on it", slots=(SlotSpan("mixed", 0, 2),)
    )
    words = [[(0, 4), (5, 7)], [(0, 4), (5, 7)], [(0, 2), (3, 5)]]
    findings = [each.text for each in lint_examples({"train": rows}, {"train": words}) if each.kind == "never-words"]
    assert findings == ["slots that are never a run of words, 1: 'cut' (1 times)"]


def test_the_gravest_come_first() -> None:
    rows = [*_rows("a", "x"), *_rows("b", "x"), *_rows("A", "y")]
    kinds = [each.kind for each in lint_examples({"train": rows, "dev": _rows("c", "z")})]
    assert kinds == ["two-intents", "never-learned", "near-labels", "few-rows"]


def test_only_a_few_cases_are_shown() -> None:
    rows = [row for number in range(40) for row in (*_rows("a", f"x{number}"), *_rows("b", f"x{number}"))]
    (text,) = _find("two-intents", train=rows)
    assert text.startswith("the same text under several intents, 40: ")
    assert text.endswith(" and 35 more")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", "z", "X"])), max_size=12))
def test_contradictions_are_counted_exactly(pairs: list[tuple[str, str]]) -> None:
    rows = [Example(text, intent) for intent, text in pairs]
    expected = sum(len({i for i, t in pairs if t.casefold() == text}) > 1 for text in ("x", "y", "z"))
    findings = [each for each in lint_examples({"train": rows}) if each.kind == "two-intents"]
    assert sum(each.count for each in findings) == expected


def test_sentences_that_a_grammar_makes_under_two_intents() -> None:
    small = parse_grammar('[intents]\non = ["light [on]"]\noff = ["light [off]", "dark"]\n', "mine.toml")
    (finding,) = lint_grammar(small)
    assert finding.text.startswith("mine.toml: the same text under several intents, 1: 'light' is on (mine.toml:2)")
    numbers = "[lists]\nn = [{ from = 1, to = 9999 }]\n[intents]\n"
    large = parse_grammar(numbers + 'a = "(set|put) it to {n} [please] [now]"\nb = "[set] it to (9|8|7|6|5|4|3|2|1)"\n')
    (finding,) = lint_grammar(parse_grammar(numbers + 'a = "{n} [a] [b] [c]"\nb = ["(1|2|3|4) [a] [b] [c]"]\n'))
    assert "of 50,000 drawn" in finding.text
    assert large.count() > 0
    assert lint_grammar(parse_grammar('[intents]\na = "x [y]"\nb = "z [y]"\n')) == []
