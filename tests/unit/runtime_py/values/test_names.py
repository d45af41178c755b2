"""Names that are known at run time: found however they are written, never guessed where that would be wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.decode.answers import Parse, Slot
from runtime_py.errors import ValuesError
from runtime_py.values.names import Names, edit_distance, fold, similarity
from runtime_py.values.parsing import KnownNames

HOUSE = Names(
    {
        "kid_2": ["kid-2"],
        "ab": ["A&B room"],
        "r12a": ["room 12a"],
        "r12b": ["room 12b"],
        "xo": ["Xochitl's room"],
        "lamp": ["reading light", "Leselampe", "lámpara de lectura", "lampe de lecture", "पढ़ने की बत्ती", "ไฟอ่านหนังสือ"],
        "kitchen": ["kitchen", "Küche", "cocina", "cuisine", "रसोई", "ห้องครัว"],
        "mother": ["Mother's room"],
        "müller": ["Müllers Büro"],
    }
)
TAGS = ("O", "B-SL:AREA", "I-SL:AREA", "B2-SL:AREA", "B-device", "I-device")


@pytest.mark.parametrize(
    ("text", "id", "how"),
    [
        ("kid-2", "kid_2", "exact"),
        ("Kid 2", "kid_2", "folded"),
        ("kid2", "kid_2", "folded"),
        ("ＫＩＤ－２", "kid_2", "folded"),
        ("a and b room", "ab", "folded"),
        ("A & B Room", "ab", "folded"),
        ("A und B room", "ab", "folded"),
        ("the a+b room", "ab", "folded"),
        ("room 12B", "r12b", "folded"),
        ("room 12 b", "r12b", "folded"),
        ("xochitl’s room", "xo", "folded"),
        ("Xochitl room", "xo", "folded"),
        ("the reading light", "lamp", "folded"),
        ("der Leselampe", "lamp", "folded"),
        ("lampara de lectura", "lamp", "folded"),
        ("la lámpara de lectura", "lamp", "folded"),
        ("KÜCHE", "kitchen", "folded"),
        ("Kuche", "kitchen", "folded"),
        ("रसोई", "kitchen", "exact"),
        ("मेरी रसोई", "kitchen", "folded"),
        ("ห้องครัว", "kitchen", "exact"),
        ("mullers buro", "müller", "folded"),
        ("raeding light", "lamp", "near"),
        ("kitchn", "kitchen", "near"),
        ("xochitel's room", "xo", "near"),
        ("ห้องครว", "kitchen", "near"),
        ("room 12c", None, "unresolved"),
        ("room 13a", None, "unresolved"),
        ("kid 3", None, "unresolved"),
        ("garage", None, "unresolved"),
        ("", None, "unresolved"),
        ("the", None, "unresolved"),
    ],
)
def test_names_are_found_as_people_write_them(text: str, id: str | None, how: str) -> None:
    found = HOUSE.resolve(text)
    assert (found.id, found.how) == (id, how)
    assert bool(found.nearest) == (how == "unresolved")


def test_what_is_not_found_names_the_nearest() -> None:
    assert HOUSE.resolve("room 12c").nearest[:2] == ("room 12a", "room 12b")
    assert Names([]).resolve("anything").nearest == ()


def test_a_name_of_two_things_is_not_guessed() -> None:
    found = Names({"one": ["lamp"], "two": ["Lamp"]}).resolve("LAMP")
    assert (found.id, found.nearest) == (None, ("lamp", "Lamp"))
    assert Names({"one": ["lamp"], "two": ["Lamp"]}).resolve("Lamp").id == "two"
    assert Names(["lamp 1a", "lump 1a"]).resolve("limp 1a").how == "unresolved"


def test_vowel_signs_are_letters() -> None:
    assert fold("रसोई") != fold("रसाई")
    assert fold("é") == fold("e")
    assert fold("ครัว") != fold("ครว")


@given(st.text(max_size=12), st.lists(st.text(min_size=1, max_size=8), max_size=5))
def test_every_name_resolves_to_itself_and_nothing_raises(text: str, names: list[str]) -> None:
    house = Names(names)
    assert all(house.resolve(name).id == name for name in names)
    found = house.resolve(text)
    assert (found.id is None) == (found.how == "unresolved")


@given(st.text(alphabet="abé", max_size=7), st.text(alphabet="abé", max_size=7))
def test_the_own_edit_distance_is_that_of_the_library(one: str, other: str) -> None:
    library = pytest.importorskip("rapidfuzz.distance").OSA
    assert edit_distance(one, other) == library.distance(one, other)
    assert 0.0 <= similarity(one, other) == similarity(other, one) <= 1.0


def test_a_known_name_makes_its_slot_more_probable() -> None:
    raw = b"light in kid-2 now"
    spans = np.array([[0, 5], [6, 8], [9, 12], [12, 13], [13, 14], [15, 18]], np.int32)
    tags = np.zeros((6, len(TAGS)), np.float32)
    known = KnownNames({"area": ["Kid 2", "kid"]}, TAGS)
    added = known.favour(tags, spans, raw, 3.0) - tags
    assert added[2, 1] == 3.0  # it begins
    assert (added[3:5, 2] == 3.0).all()  # and goes on; the longer of two names counts
    assert added.sum() == 9.0
    assert not tags.any()


def test_slots_say_what_they_stand_for() -> None:
    parse = Parse("on", 0.9, (Slot("SL:AREA", "Kid 2", 0, 5), Slot("other", "x", 6, 7)), "Kid 2 x", False, 2)
    known = KnownNames({"SL:AREA": {"area.kid": ["kid-2"]}, "device": ["lamp"]}, TAGS)
    area, other = known.resolve(parse).to_dict()["slots"]
    assert area["value"] == {"id": "area.kid", "name": "kid-2", "how": "folded"}
    assert "value" not in other


@pytest.mark.parametrize(
    ("values", "match"),
    [({"room": ["x"]}, r"'room' is no slot.*SL:AREA, device"), ({"area": "kitchen"}, "a list of names")],
)
def test_wrong_values_are_refused(values: dict[str, object], match: str) -> None:
    with pytest.raises(ValuesError, match=match):
        KnownNames(values, TAGS)  # type: ignore[arg-type]
