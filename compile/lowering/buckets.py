"""Length buckets: the numbers of words and bytes that there is an entry for.

A text runs in the smallest entry that holds it, which computes all of its rows. The buckets follow from the lengths of
the training texts:

1. Candidates are 4 and the multiples of 8: the compiler's own matrix kernels work on rows in steps of 8 (16 with
   AVX-512, and narrower ones up to 8), so a size in between costs as much as the next one (seen with AVX-512: 12 words
   take 97 % of the time of 16). This project's kernels (`compile.kernels`) work on any number of rows, and a package in
   int8 of which some targets get them has the multiples of 4 as candidates.
2. Among all choices of at most `most` candidates, the last of them fixed, take the one with the fewest rows computed
   per training text (a dynamic programme). A bucket that saves less than `WORTH` of the rows is left out: each is some
   80 KB of code and a few seconds of compilation.
3. A bucket's bytes are the `COVERED` quantile over the texts that it is meant for, rounded up to 16, and never less
   than those of the bucket before. A text with few words and more bytes than that runs in a later bucket.
4. The last bucket is generous: 64 words and 512 bytes, either doubled where a training text has more (graphemes of Thai
   count as words).
5. Where all targets get a whole parser of kernels there is only the last bucket: these kernels compute only the words
   of a text, so that a text of 4 to 16 words takes 1 to 4 us more of 40 to 90 than in an entry of its own size, and an
   entry is 50 KB of code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from compile.support.errors import PlanError
from runtime_py.package_format.manifest import Bucket

LAST = (64, 512)
LONGEST = (128, 1024)
COVERED = 0.995
WORTH = 0.01
STEP, FINE_STEP = 8, 4
_BYTES_STEP = 16

Length = tuple[int, int, int]  # words, bytes, how many texts


def choose_buckets(lengths: Iterable[Length], most: int = 6, step: int = STEP) -> tuple[Bucket, ...]:
    """Choose buckets by the rule above.

    Args:
        lengths: Counts of the training texts, as [words, bytes, texts].
        most: Largest number of buckets.
        step: Step from one candidate to the next, a multiple of 4: `STEP`, or `FINE_STEP` for kernels that work on any
            number of rows.

    Raises:
        PlanError: `most` is less than 1, or a length is negative.
    """
    if most < 1:
        raise PlanError(f"{most} length buckets were asked for, expected at least 1")
    known = list(lengths)
    if any(min(length) < 0 for length in known):
        wrong = next(length for length in known if min(length) < 0)
        raise PlanError(f"a negative number among the lengths of the training texts: {wrong}")
    last = (
        LAST[0] if all(words <= LAST[0] for words, _, _ in known) else LONGEST[0],
        LAST[1] if all(size <= LAST[1] for _, size, _ in known) else LONGEST[1],
    )
    counts: dict[int, int] = {}
    for words, size, texts in known:
        if words <= last[0] and size <= last[1]:
            counts[words] = counts.get(words, 0) + texts
    return _with_bytes(_choose_words(counts, most, last[0], step), last, known)


def make_buckets(sizes: Sequence[tuple[int, int]]) -> tuple[Bucket, ...]:
    """Return buckets with the given numbers of words and bytes.

    Raises:
        PlanError: The sizes do not grow, a bucket has fewer than 2 words, or bytes that are no multiple of 4.
    """
    for words, size in sizes:
        if words < 2 or size < 4 or size % 4:
            raise PlanError(
                f"a bucket of {words} words and {size} bytes: expected at least 2 words, and a multiple of 4 as bytes"
            )
    for (words, size), (next_words, next_size) in itertools.pairwise(sizes):
        if not (words < next_words and size <= next_size):
            raise PlanError(
                f"a bucket of {next_words} words and {next_size} bytes after one of {words} and {size}: "
                "buckets have to grow"
            )
    if not sizes:
        raise PlanError("no length bucket at all")
    return tuple(Bucket(words=words, bytes=size, entry=f"parse_{words}") for words, size in sizes)


def _choose_words(counts: dict[int, int], most: int, last: int, step: int) -> list[int]:
    """Return the words of the chosen buckets.

    They are the best choice of one, two, ... buckets, as long as one bucket more is worth it.
    """
    candidates = sorted({4, *range(step, last, step)})
    chosen, cost = [last], _cost(last, counts)
    # The cheapest buckets that end in each candidate, and what they cost for the texts that they hold.
    best = {size: (_cost(size, counts), [size]) for size in candidates}
    while best and len(chosen) < most:
        better, sizes = min(
            (spent + _cost(last, counts, above=sizes[-1]), [*sizes, last]) for spent, sizes in best.values()
        )
        if cost - better <= WORTH * cost:
            break
        chosen, cost = sizes, better
        longer = {
            size: [
                (spent + _cost(size, counts, above=sizes[-1]), [*sizes, size])
                for spent, sizes in best.values()
                if sizes[-1] < size
            ]
            for size in candidates
        }
        best = {size: min(options) for size, options in longer.items() if options}
    return chosen


def _cost(size: int, counts: dict[int, int], above: int = -1) -> int:
    """Return the rows computed in a bucket for the texts of more than `above` words that it holds."""
    return size * sum(texts for words, texts in counts.items() if above < words <= size)


def _with_bytes(sizes: list[int], last: tuple[int, int], lengths: list[Length]) -> tuple[Bucket, ...]:
    pairs: list[tuple[int, int]] = []
    previous_words, previous_bytes = -1, _BYTES_STEP
    for words in sizes[:-1]:
        inside = sorted((size, texts) for count, size, texts in lengths if previous_words < count <= words)
        size = -(-_quantile(inside, COVERED) // _BYTES_STEP) * _BYTES_STEP
        previous_words, previous_bytes = words, min(max(size, previous_bytes), last[1])
        pairs.append((words, previous_bytes))
    return make_buckets([*pairs, last])


def _quantile(values: list[tuple[int, int]], share: float) -> int:
    """Return the smallest value that at least `share` of sorted (value, weight) pairs do not exceed; 0 for no pairs."""
    total, reached = sum(weight for _, weight in values), 0
    for value, weight in values:
        reached += weight
        if reached >= share * total:
            return value
    return 0
