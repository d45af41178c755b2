"""Several commands in one sentence: cut between them, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.commands import Rule, find_cuts, split_commands
from runtime_py.decode.answers import Parse, Slot

COMMANDS = {
    "turn off the lights": 0.9,
    "lock the door": 0.95,
    "play rock": 0.8,
    "remind me to buy bread": 0.9,
    "remind me to buy bread and butter": 0.9,
    "mach das Licht aus": 0.9,
    "mach die Tür zu": 0.9,
    "apaga la luz": 0.9,
    "cierra la puerta": 0.9,
    "éteins la lumière": 0.9,
    "ferme la porte": 0.9,
    "बत्ती बंद करो": 0.9,
    "दरवाज़ा बंद करो": 0.9,
    "ปิดไฟ": 0.9,
    "ล็อกประตู": 0.9,
}


def parse(text: str) -> Parse:
    """Know a few commands, and nothing else."""
    score = COMMANDS.get(text.strip().rstrip(".?!"), 0.05)
    return Parse("intent", score, (Slot("first", text[:1], 0, 1),) if text else (), text, False, len(text.split()))


def pieces(text: str) -> list[str]:
    return [each.text for each in split_commands(text, parse)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("turn off the lights and lock the door", ["turn off the lights", "lock the door"]),
        ("turn off the lights, and then lock the door", ["turn off the lights", "lock the door"]),
        ("turn off the lights AND THEN lock the door", ["turn off the lights", "lock the door"]),
        ("turn off the lights. lock the door.", ["turn off the lights", "lock the door."]),
        ("turn off the lights, lock the door, play rock", ["turn off the lights", "lock the door", "play rock"]),
        ("mach das Licht aus und dann mach die Tür zu", ["mach das Licht aus", "mach die Tür zu"]),
        ("apaga la luz y cierra la puerta", ["apaga la luz", "cierra la puerta"]),
        ("éteins la lumière et puis ferme la porte", ["éteins la lumière", "ferme la porte"]),
        ("बत्ती बंद करो और दरवाज़ा बंद करो", ["बत्ती बंद करो", "दरवाज़ा बंद करो"]),
        ("बत्ती बंद करो। दरवाज़ा बंद करो", ["बत्ती बंद करो", "दरवाज़ा बंद करो"]),
        ("ปิดไฟแล้วก็ล็อกประตู", ["ปิดไฟ", "ล็อกประตู"]),
        ("ปิดไฟและล็อกประตู", ["ปิดไฟ", "ล็อกประตู"]),
        ("remind me to buy bread and butter", ["remind me to buy bread and butter"]),
        ("play rock and roll", ["play rock and roll"]),
        ("turn off the lights and", ["turn off the lights and"]),
        ("and", ["and"]),
        ("", [""]),
        (
            "turn off the lights and remind me to buy bread and butter and lock the door",
            ["turn off the lights", "remind me to buy bread and butter", "lock the door"],
        ),
    ],
)
def test_sentences_are_cut_between_commands(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize("text", ["the sandy band", "Andy", "Hände", "version 2.5", "3.30", "éty", "कलऔर"])
def test_a_connective_is_a_word_of_its_own(text: str) -> None:
    assert find_cuts(text) == []


@given(st.text(alphabet="ab ,.;und&และ\n", max_size=40))
def test_pieces_lie_in_the_sentence_where_they_say(text: str) -> None:
    found = split_commands(text, parse, Rule(part=0.0, gain=-20.0))  # cuts wherever it can
    ends = 0
    for each in found:
        assert text[each.offset : each.offset + len(each.text)] == each.text
        assert each.offset >= ends
        ends = each.offset + len(each.text)
        assert all(each.text[slot.start : slot.end] == slot.text for slot in each.slots)


def test_a_part_has_to_be_more_probable_than_the_whole() -> None:
    scores = {"a and b": 0.9, "a": 0.92, "b": 0.91}
    told = {text: Parse("x", score, (), text, False, 1) for text, score in scores.items()}
    assert len(split_commands("a and b", told.__getitem__, Rule(part=0.25, gain=0.5))) == 1
    assert len(split_commands("a and b", told.__getitem__, Rule(part=0.25, gain=0.05))) == 2
    assert len(split_commands("a and b", told.__getitem__, Rule(part=0.95, gain=-9.0))) == 1


def test_many_connectives_cost_a_bounded_number_of_parses() -> None:
    asked = []

    def count(text: str) -> Parse:
        asked.append(text)
        return parse(text)

    split_commands("a and " * 500, count)
    assert len(asked) <= 28
