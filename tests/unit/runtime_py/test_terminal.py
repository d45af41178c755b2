"""What others wrote is shown on a terminal, never obeyed."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.terminal import printable, printable_json

_DIRECTION = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\rb\nc\td\x7f", "a\\rb\\nc\\td\\x7f"),
        ("kitchen\u202egnp", "kitchen\\u202egnp"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("half \ud83d", "half \\ud83d"),
        ("k\u00fcche \u0939\u093f\u0902\u0926\u0940 \U0001f469\u200d\U0001f4bb [bold]", None),
    ],
)
def test_controls_are_shown_and_letters_stay(text: str, shown: str | None) -> None:
    assert printable(text) == (text if shown is None else shown)


def test_a_message_keeps_its_lines() -> None:
    assert printable("one\n\x1btwo\r\n", lines=True) == "one\n\\x1btwo\\r\n"


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "L", "M", "N", "P", "S", "Z"])))
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    shown.encode()
    for character in shown:
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in _DIRECTION
    assert printable(shown) == shown
    if shown == text:
        assert not any(unicodedata.category(each) == "Cc" for each in text)


@given(st.dictionaries(st.text(), st.text()))
def test_a_json_document_says_the_same_and_holds_no_controls(document: dict[str, str]) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=2)
    safe = printable_json(text)
    assert json.loads(safe) == document
    assert all(unicodedata.category(each) != "Cc" or each == "\n" for each in safe)
    assert printable_json(safe) == safe
