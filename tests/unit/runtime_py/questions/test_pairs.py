"""Questions and contexts in subwords: by hand, with a tokenizer of whole words and single letters."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace

from runtime_py.errors import InputError, InputTooLongError, PackageError
from runtime_py.package_format.tokenizer_file import load_tokenizer
from runtime_py.questions.answers import context_logits, find_answer
from runtime_py.questions.limits import LARGEST_CONTEXT
from runtime_py.questions.pairs import PairLayout, PairReader, find_tokens
from runtime_py.questions.windows import Window

WORDS = ["[UNK]", "who", "ran", "Ann", "Ben", "home", "é", "##s", "a"]
LAYOUT = PairLayout(first=(90,), between=(91, 92), last=(93,), context_type=1, longest=10, stride=2, longest_question=3)


def make_reader(layout: PairLayout = LAYOUT) -> PairReader:
    tokenizer = Tokenizer(WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(2)  # as the file of a sentence encoder has it
    return PairReader(load_tokenizer(tokenizer.to_str().encode(), "here"), layout)


def test_a_pair_by_hand() -> None:
    pair = make_reader().read("who ran", "é Ann  ran homes Ben a")
    assert pair.head == (90, 1, 2, 91, 92) and pair.tail == (93,)
    assert list(pair.context) == [6, 3, 2, 5, 7, 4, 8]
    assert list(pair.offsets) == [(0, 1), (2, 5), (7, 10), (11, 15), (15, 16), (17, 20), (21, 22)]
    assert pair.windows == [Window(0, 4), Window(2, 4), Window(4, 3)]
    assert [pair.row(window) for window in pair.windows] == [
        [90, 1, 2, 91, 92, 6, 3, 2, 5, 93],
        [90, 1, 2, 91, 92, 2, 5, 7, 4, 93],
        [90, 1, 2, 91, 92, 7, 4, 8, 93],
    ]


def test_an_answer_is_a_piece_of_the_context_with_its_offsets_and_a_probability() -> None:
    context = "é Ann  ran homes Ben a"
    pair = make_reader().read("who", context)
    assert [window.length for window in pair.windows] == [5, 5]
    rows = np.random.default_rng(0).normal(0, 1, (2, 2, 10)).astype(np.float32)
    rows[:, :, :4] = rows[:, :, 9:] = 50.0  # of question and ends: they must not count
    rows[0, 0, 4 + 1], rows[0, 1, 4 + 4] = 6.0, 5.0
    starts, ends = ([context_logits(pair, number, rows[number, side]) for number in range(2)] for side in range(2))
    found = find_answer(pair, context, starts, ends)
    assert (found.text, found.start, found.end) == ("Ann  ran homes", 2, 16)
    assert context[found.start : found.end] == found.text
    odds = [np.exp(np.concatenate(side).astype(np.float64)) for side in (starts, ends)]
    assert found.score == pytest.approx(np.exp(6.0) / odds[0].sum() * np.exp(5.0) / odds[1].sum(), rel=1e-6)
    assert find_answer(pair, context, starts, ends, longest=1).text != found.text


@pytest.mark.parametrize(
    ("question", "context", "said"),
    [
        ("", "Ann ran", "question is empty"),
        (" \n", "Ann ran", "question is empty"),
        ("who", "", "context is empty"),
        ("who", " \n\t", "context is empty"),
    ],
)
def test_nothing_to_read_is_refused(question: str, context: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_reader().read(question, context)


def test_what_is_too_long_is_refused_or_cut_where_training_asks_for_it() -> None:
    reader = make_reader()
    with pytest.raises(InputTooLongError, match=r"has 4 subwords, and a question has up to 3"):
        reader.read("who ran home Ann", "Ann")
    assert reader.read("who ran home Ann", "Ann", cut_question=True).head == (90, 1, 2, 5, 91, 92)
    with pytest.raises(InputTooLongError, match=r"1,048,577 characters"):
        reader.read("who", "a" * (LARGEST_CONTEXT + 1))


def test_lengths_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValueError, match="leave 2 for the context, less than the stride of 3"):
        PairLayout(first=(1,), between=(2,), last=(3,), longest=10, stride=3, longest_question=5)


@pytest.mark.parametrize(
    ("span", "tokens"),
    [((2, 5), (1, 1)), ((0, 22), (0, 6)), ((11, 16), (3, 4)), ((3, 4), (1, 1)), ((5, 7), None), ((14, 18), (3, 5))],
)
def test_subwords_of_a_span(span: tuple[int, int], tokens: tuple[int, int] | None) -> None:
    pair = make_reader().read("who", "é Ann  ran homes Ben a")
    assert find_tokens(pair.offsets, *span) == tokens


def test_another_context_is_cut_anew() -> None:
    reader = make_reader()
    assert list(reader.read("who", "Ann").context) == [3]
    assert list(reader.read("who", "Ben").context) == [4]
    assert list(reader.read("ran", "Ben").context) == [4]


def test_a_file_that_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(PackageError, match=r"here: the installed tokenizers cannot read it"):
        load_tokenizer(b"{}", "here")
