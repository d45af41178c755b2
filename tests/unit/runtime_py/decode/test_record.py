"""Values with named fields: what a frozen dataclass would do, they do, and `dataclasses` is not imported for it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys

import pytest

from runtime_py.decode.answers import Alternative, Parse, Slot
from runtime_py.decode.record import Record


@dataclasses.dataclass(frozen=True, slots=True)
class _Slot:
    """What `Slot` would be as a dataclass."""

    label: str
    text: str
    start: int
    end: int
    score: float | None = dataclasses.field(default=None, compare=False)
    value: object = None


ARGUMENTS = ("time", "at seven", 8, 16)
PARSE = Parse(
    "alarm", 0.5, (Slot(*ARGUMENTS),), "wake me at seven", False, 4, alternatives=(Alternative("music", 0.25),)
)


def test_it_is_what_a_dataclass_would_be() -> None:
    mine, theirs = Slot(*ARGUMENTS, score=0.5), _Slot(*ARGUMENTS, score=0.5)
    assert dataclasses.is_dataclass(mine)
    assert dataclasses.is_dataclass(Slot)
    assert dataclasses.asdict(mine) == dataclasses.asdict(theirs)
    for one, other in zip(dataclasses.fields(Slot), dataclasses.fields(_Slot), strict=True):
        assert (one.name, one.default, one.compare, one.init) == (other.name, other.default, other.compare, other.init)
    changed = dataclasses.replace(mine, start=9)
    assert type(changed) is Slot
    assert dataclasses.asdict(changed) == dataclasses.asdict(dataclasses.replace(theirs, start=9))
    assert Slot.__match_args__ == _Slot.__match_args__  # type: ignore[attr-defined]
    assert [field.name for field in dataclasses.fields(Parse)] == list(Parse.names)
    assert set(Parse.names) == set(Parse.__slots__)
    assert dataclasses.replace(PARSE, words=5).words == 5


def test_fields_are_compared_but_for_those_that_are_not() -> None:
    assert Slot(*ARGUMENTS, score=0.5) == Slot(*ARGUMENTS)
    assert hash(Slot(*ARGUMENTS, score=0.5)) == hash(Slot(*ARGUMENTS))
    for index in range(4):
        other = list(ARGUMENTS)
        other[index] = "x" if index < 2 else 7
        assert Slot(*other) != Slot(*ARGUMENTS)  # type: ignore[arg-type]
    assert Slot(*ARGUMENTS) != ARGUMENTS
    assert Alternative("a", 0.5) != Alternative("a", 0.25)
    assert dataclasses.replace(PARSE) == PARSE
    assert {PARSE: 1}[dataclasses.replace(PARSE)] == 1


def test_fields_cannot_be_changed_and_copies_are_equal() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="assign to field 'intent'"):
        PARSE.intent = "music"
    with pytest.raises(dataclasses.FrozenInstanceError, match="delete field 'intent'"):
        del PARSE.intent
    with pytest.raises(AttributeError):
        PARSE.other = 1  # type: ignore[attr-defined]
    for made in (copy.copy(PARSE), copy.deepcopy(PARSE), pickle.loads(pickle.dumps(PARSE))):
        assert made == PARSE
        assert made.slots[0].score is PARSE.slots[0].score
    assert repr(Alternative("a", 0.5)) == "Alternative(intent='a', score=0.5)"
    assert isinstance(PARSE, Record)
    match PARSE.slots[0]:
        case Slot("time", text):
            assert text == "at seven"
        case _:
            pytest.fail("no match by position")


def test_dataclasses_are_not_imported() -> None:
    code = (
        "import sys, runtime_py.decode.answers, runtime_py.native.package_parser\n"
        "print({'dataclasses', 'inspect', 'platform'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
