"""Ids of words in CoNLL files as they really are, and what is a comment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqrnn.data import Example, load_examples
from pqrnn.errors import DataFormatError

pytestmark = pytest.mark.unit

_WORDS = (("call", "O"), ("me", "B-who"), ("cab", "B-what"))
_STYLES = {
    "from 0": ("0", "1", "2"),
    "from 7": ("7", "8", "9"),
    "with gaps": ("1", "4", "9"),
    "restarting": ("1", "1", "2"),
    "all the same": ("1", "1", "1"),
    "with a sentence": ("s1-1", "s1-2", "s1-3"),
    "with two numbers": ("1-1", "1-2", "1-3"),
    "with a letter": ("t.1", "t.2", "t.3"),
    "zero padded": ("01", "02", "03"),
}


def _load(tmp_path: Path, content: str) -> list[Example]:
    path = tmp_path / "test.conll"
    path.write_text(content, encoding="utf-8")
    return load_examples(f"conll:{path}", split="test")


def _slots(row: Example) -> list[tuple[str, str]]:
    return [(slot.label, row.text[slot.start : slot.end]) for slot in row.slots]


def _block(ids: tuple[str, ...], head: str, middle: str = "x\t") -> str:
    lines = [f"{number}\t{word}\t{middle}{tag}" for number, (word, tag) in zip(ids, _WORDS, strict=True)]
    return f"{head}\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("middle", ["x\t", ""], ids=["four columns", "three columns"])
@pytest.mark.parametrize("head", ["# intent: x", "# intent: x\n# text: call me cab"], ids=["no text", "text"])
@pytest.mark.parametrize("ids", _STYLES.values(), ids=_STYLES)
def test_ids_never_become_the_words(tmp_path: Path, ids: tuple[str, ...], head: str, middle: str) -> None:
    (row,) = _load(tmp_path, _block(ids, head, middle))
    assert (row.text, row.intent, _slots(row)) == ("call me cab", "x", [("who", "me"), ("what", "cab")])


def test_words_that_are_numbers_stay_words_among_others(tmp_path: Path) -> None:
    first = "call x O\nme x B-who"
    rows = _load(tmp_path, f"{first}\n\n5 x B-n\n7 x I-n\n\n{first}\n\n3 x O\n")
    assert [row.text for row in rows] == ["call me", "5 7", "call me", "3"]
    (row,) = _load(tmp_path, "# intent: x\n# text: 0 1\n0\tx\tO\n1\tx\tB-n\n")
    assert (row.text, _slots(row)) == ("0 1", [("n", "1")])


def test_a_first_column_without_an_id_among_ids_is_refused(tmp_path: Path) -> None:
    good = _block(("0", "1", "2"), "# intent: x")
    with pytest.raises(DataFormatError, match=r"test\.conll:12: 'one' in the first column; expected a number"):
        _load(tmp_path, f"{good}\n{good}\n" + _block(("one", "two", "three"), "# intent: x"))


def test_words_taken_apart_and_words_that_are_not_written(tmp_path: Path) -> None:
    rows = _load(
        tmp_path,
        "# intent: x\n# text = vámonos al mar\n1-2\tvámonos\t_\n1\tvamos\tB-go\n2\tnos\tI-go\n"
        "3-4\tal\t_\n3\ta\tO\n4\tel\tO\n4.1\tgran\tO\n5\tmar\tB-to\n"
        "\n# intent: y\n1-2\tdel\tB-of\n1\tde\tO\n2\tel\tO\n1\tmar\tI-of\n2\tazul\tI-of\n",
    )
    assert [(row.text, _slots(row)) for row in rows] == [
        ("vámonos al mar", [("go", "vámonos"), ("to", "mar")]),
        ("del mar azul", [("of", "del mar azul")]),
    ]
    with pytest.raises(DataFormatError, match=r":2: a word whose parts have the tags B-a, B-b"):
        _load(tmp_path, "# intent: x\n1-2\tdel\t_\n1\tde\tB-a\n2\tel\tB-b\n")


def test_an_utterance_without_a_word_that_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=r":2: an utterance of words that are not written"):
        _load(tmp_path, "# intent: x\n1.1\tgo\tx\tO\n")


def test_intents_of_words_taken_apart_come_from_their_parts(tmp_path: Path) -> None:
    (row,) = _load(tmp_path, "1-2\tdel\t_\t_\n1\tde\tgo\tO\n2\tel\tgo\tO\n3\tmar\tgo\tB-to\n")
    assert (row.text, row.intent, _slots(row)) == ("del mar", "go", [("to", "mar")])


@pytest.mark.parametrize("gap", ["\t", " "], ids=["tabs", "spaces"])
def test_hashtags_are_words(tmp_path: Path, gap: str) -> None:
    content = "# intent: eat\n#dinner B-tag\nnow O\n\n# a comment of several words\n# intent: x\n#lunch B-tag\n"
    lines = [line.replace(" ", gap) if line[-2:] in ("ag", " O") else line for line in content.split("\n")]
    rows = _load(tmp_path, "\n".join(lines))
    assert [(row.text, row.intent, _slots(row)) for row in rows] == [
        ("#dinner now", "eat", [("tag", "#dinner")]),
        ("#lunch", "x", [("tag", "#lunch")]),
    ]


def test_marks_of_documents_are_no_utterances(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- O O\n\ngo x O\nhome x B-to\n\n-DOCSTART- -X- -X- O\nstop y O\n"
    assert [row.text for row in _load(tmp_path, content)] == ["go home", "stop"]


_ID_STYLES = st.sampled_from(["{n}", "0{n}", "s{s}-{n}", "{s}.{n}", "{s}-{n}", "w_{n}"])


@given(
    st.lists(
        st.lists(st.sampled_from(["call", "me", "5", "1", "a-b", "#x", "2-3"]), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    ),
    _ID_STYLES,
    st.integers(0, 3),
)
def test_any_numbering_gives_the_same_words(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]], style: str, first: int
) -> None:
    blocks = [
        "# intent: x\n"
        + "".join(f"{style.format(n=n, s=s)}\t{word}\tx\tO\n" for n, word in enumerate(words, first + 10))
        for s, words in enumerate(texts, 1)
    ]
    path = tmp_path_factory.mktemp("conll") / "all.conll"
    path.write_text("\n".join(blocks), encoding="utf-8")
    assert [row.text for row in load_examples(str(path), split="all")] == [" ".join(words) for words in texts]
