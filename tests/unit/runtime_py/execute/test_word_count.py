"""The guess at the word count against the program's own rule, as `pqrnn.features.projection` computes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_py.execute.word_count import guess_words

projection = pytest.importorskip("pqrnn.features.projection", reason="needs PyTorch")


@pytest.fixture(scope="module")
def rule() -> "projection.Projection":
    return projection.Projection(projection.ProjectionConfig(word_features=16, ngram_features=0, version=1))


@pytest.fixture(scope="module")
def present() -> "projection.Projection":
    return projection.Projection(projection.ProjectionConfig(word_features=16, ngram_features=0))


def exact(rule: "projection.Projection", text: str) -> int:
    raw = text.encode()
    utf8 = pytest.importorskip("pqrnn.features.utf8", reason="needs PyTorch")
    _, count = rule.segment(utf8.pack_texts([raw], max(4, -(-len(raw) // 4) * 4)), 4)
    return int(count[0])


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(max_codepoint=127), max_size=40))
def test_ascii_is_counted_exactly(rule: "projection.Projection", text: str) -> None:
    assert guess_words(text, text.encode()) == exact(rule, text)


@pytest.mark.parametrize(
    "text",
    [
        "réveille-moi à 7h30 demain, s'il te plaît !",
        "wecke mich übermorgen um sechs",
        "¿qué tiempo hará mañana?",
        "मुझे सुबह सात बजे जगाओ",
        "कृपया समय बदलकर शाम ६ बजे कर दें।",
        "ปลุกฉันตอนเจ็ดโมงเช้า",
        "ตั้งการเตือนความจำให้ทิ้งขยะ 15:00 น.",
        "明天早上七点叫醒我",
        "明日の朝7時に起こして",
        "내일 아침 일곱 시에 깨워줘",
        "разбуди меня завтра в семь",
        "أيقظني غدا في السابعة",
        "play some music 🎵 please 😀",
        "ពេល ព្រឹក",
    ],
)
def test_other_scripts_are_counted_exactly_in_usual_texts(rule: "projection.Projection", text: str) -> None:
    assert guess_words(text, text.encode()) == exact(rule, text)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(max_codepoint=127), max_size=40))
def test_marks_at_the_end_are_all_that_the_guess_counts_too_much(present: "projection.Projection", text: str) -> None:
    """From version 2 on they are no words. A guess that is too large costs little: the entry may be a longer one."""
    tail = text[len(text.rstrip(" \t\n\r\f\v.,:;!?" + "".join(map(chr, range(32))) + "\x7f")) :]
    marks = sum(tail.count(mark) for mark in ".,:;!?")
    guess, count = guess_words(text, text.encode()), exact(present, text)
    assert guess - marks <= count <= guess
