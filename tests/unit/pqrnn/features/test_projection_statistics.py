"""The word features look like independent draws with P(0) = 1/2 and P(+1) = P(-1) = 1/4.

Nothing here is random: words and features are always the same. The bounds say how far true draws would stray, and are
so wide that they would pass it more than 999 times in 1000; a bias or a correlation of one or two hundredths goes past
them.
"""

from __future__ import annotations

import math
import random

import numpy as np
import numpy.typing as npt
import pytest
from oracles.projection import hash_string

from pqrnn.features.projection import Projection
from pqrnn.features.word_table import WordFeatures
from pqrnn.recipes.settings import ProjectionConfig

CONFIG = ProjectionConfig()
OWN = CONFIG.word_features
Matrix = npt.NDArray[np.float64]


def make_words(count: int, alphabet: str = "abcdefghijklmnopqrstuvwxyz", longest: int = 10) -> list[str]:
    """Distinct words of 3 to `longest` letters, always the same."""
    draw = random.Random(1)
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(draw.choices(alphabet, k=draw.randint(3, longest)))] = None
    return list(words)


def project(words: list[str], config: ProjectionConfig = CONFIG) -> Matrix:
    table = WordFeatures(Projection(config))
    table.index(word.encode() for word in words)
    return table.table.numpy().astype(np.float64)


@pytest.fixture(scope="module")
def features() -> Matrix:
    """Of 20,000 distinct words: [20000, F]."""
    return project(make_words(20_000))


def correlate(rows: Matrix) -> Matrix:
    """Correlations of all pairs of rows, times the square root of their length.

    They are standard normal for independent rows.
    """
    size = len(rows)
    found: Matrix = np.asarray(np.corrcoef(rows))[np.triu_indices(size, 1)] * math.sqrt(rows.shape[1])
    return found


def assert_standard_normal(values: Matrix, most: float) -> None:
    """Hold the largest value below `most`, and the mean square at 1 within four standard deviations.

    True draws exceed `most` once in 1000 times or less.
    """
    assert np.abs(values).max() < most
    assert np.square(values).mean() == pytest.approx(1.0, abs=max(4 * math.sqrt(2 / values.size), 0.02))


@pytest.mark.slow
def test_shares_are_a_half_and_two_quarters(features: Matrix) -> None:
    own = features[:, :OWN]
    for value, share in ((0, 0.5), (1, 0.25), (-1, 0.25)):
        deviation = math.sqrt(share * (1 - share) / own.size)
        assert (own == value).mean() == pytest.approx(share, abs=4 * deviation)


def test_every_column_has_these_shares(features: Matrix) -> None:
    """Chi-square with two degrees of freedom per column.

    512 of them stay below 30 but for 2 in 10,000, and their sum is normal (mean 1024, sd 45).
    """
    own = features[:, :OWN]
    counts = np.stack([(own == value).sum(0) for value in (-1, 0, 1)])
    expected = np.array([[0.25], [0.5], [0.25]]) * len(own)
    statistic = (np.square(counts - expected) / expected).sum(0)
    assert statistic.max() < 30
    assert statistic.sum() == pytest.approx(2 * OWN, abs=4 * math.sqrt(4 * OWN))


def test_every_word_has_these_shares(features: Matrix) -> None:
    """Zeros and the sum of a word's 512 features, in standard deviations.

    The largest of 20,000 true draws exceeds 5.5 once in 1000.
    """
    own = features[:, :OWN]
    zeros = ((own == 0).sum(1) - OWN / 2) / math.sqrt(OWN / 4)
    total = own.sum(1) / math.sqrt(OWN / 2)
    for values in (zeros, total):
        assert_standard_normal(values, 5.5)


def test_columns_do_not_correlate(features: Matrix) -> None:
    """130,816 pairs, of which the largest exceeds 6 sd once in 4,000."""
    assert_standard_normal(correlate(features[:, :OWN].T), 6.0)


def test_distinct_words_do_not_correlate(features: Matrix) -> None:
    """4.5 million pairs, of which the largest exceeds 6.5 sd once in 3,000."""
    assert_standard_normal(correlate(features[:3000, :OWN]), 6.5)


def test_words_that_differ_in_a_letter_or_in_the_order_do_not_correlate() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    near = [f"ala{a}{b}" for a in letters for b in letters] + [f"{a}larm{b}" for a in letters for b in letters]
    swapped = [
        "".join(order)
        for order in dict.fromkeys(tuple(random.Random(seed).sample("reminder", 8)) for seed in range(1000))
    ]
    assert_standard_normal(correlate(project(near)[:, :OWN]), 6.5)
    assert_standard_normal(correlate(project(swapped)[:, :OWN]), 6.5)


@pytest.mark.slow
def test_no_column_is_constant_or_stands_twice(features: Matrix) -> None:
    """The columns of n-grams included, and neither is one the negative of another."""
    columns = features.T[features.T.std(1) > 0]
    assert len(columns) == CONFIG.features
    normal = columns * columns[np.arange(len(columns)), (columns != 0).argmax(1)][:, None]
    assert len(np.unique(normal, axis=0)) == CONFIG.features


def test_ngram_part_is_independent_of_the_word_part(features: Matrix) -> None:
    cross = np.asarray(np.corrcoef(features.T))[:OWN, OWN:] * math.sqrt(len(features))
    assert_standard_normal(cross.ravel(), 6.0)


def test_clipped_ngram_sums_are_zero_less_often_than_word_features(features: Matrix) -> None:
    """The clipped part is ternary, but not with P(0) = 1/2.

    A sum of k numbers is rarely zero. Measured 0.163 for words of 3 to 10 letters.
    """
    ngram = features[:, OWN:]
    assert set(np.unique(ngram)) == {-1.0, 0.0, 1.0}
    assert (ngram == 0).mean() == pytest.approx(0.163, abs=0.005)
    assert (ngram == 1).mean() == pytest.approx((ngram == -1).mean(), abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [make_words(200_000), [str(number) for number in range(200_000)], make_words(200_000, alphabet="ab", longest=20)],
    ids=["letters", "numbers", "two letters"],
)
def test_hashes_collide_as_rarely_as_true_draws(words: list[str]) -> None:
    """200,000 distinct words have 4.7 collisions in 32 bits on average; 18 or more come once in half a million."""
    assert len(words) - len({hash_string(word) for word in words}) < 18
