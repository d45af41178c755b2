"""The evolutionary search against brute force over a small space, and its steps by hand."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples

from pqrnn.evaluation.budget_search import Candidate, Space, pareto_front, search_front, thin_front
from pqrnn.model.length_config import LengthConfig, check_lengths, full_config, least_share
from pqrnn.recipes.budget_settings import SearchConfig

SPACE = Space(2, partial(least_share, drop=0.1), skip=True)


def cost(lengths: LengthConfig) -> float:
    before, total = 100, 0.0
    for layer, share in enumerate(lengths.kept):
        if layer not in lengths.skipped:
            total += 3 * before + before * before / 100 + 8 * share
        before = share
    return total


def quality(lengths: LengthConfig) -> float:
    """Words matter more in the second layer, with a dent that no gradient would pass."""
    first, second = (0 if layer in lengths.skipped else share for layer, share in enumerate(lengths.kept))
    return first**0.5 + 2.0 * second**0.7 - (5.0 if 91 <= first <= 93 else 0.0)


def everything(space: Space) -> list[LengthConfig]:
    found = []
    for skipped in ((), (0,), (1,)):
        for shares in itertools.product(range(1, 101), repeat=space.layers):
            if (part := space.repair(shares, skipped)).kept == shares:
                found.append(part)
    return found


def test_the_space_is_what_its_bounds_say() -> None:
    parts = everything(SPACE)
    assert len(set(parts)) == len(parts)
    both = sum(1 for first in range(90, 101) for second in range(1, 101) if least_share(first, 0.1) <= second <= first)
    assert len(parts) == both + 2 * 11  # with either layer left out the other one has 90 to 100 %
    for part in parts:
        check_lengths(part, 2)


def test_the_search_finds_the_front_of_brute_force_with_fewer_measurements() -> None:
    asked: Counter[LengthConfig] = Counter()

    def counted(lengths: LengthConfig) -> float:
        asked[lengths] += 1
        return quality(lengths)

    parts = everything(SPACE)
    wanted = pareto_front(Candidate(part, cost(part), quality(part)) for part in parts)
    config = SearchConfig(iterations=40, mutations=10, crossovers=5)
    found = search_front(SPACE, cost, counted, config, random.Random(0))
    assert max(asked.values()) == 1
    assert len(asked) < len(parts)
    assert {(each.cost, each.quality) for each in found} >= set(
        (each.cost, each.quality) for each in wanted[:1] + wanted[-1:]
    )
    area = _area(found, wanted[-1].cost)
    assert area <= _area(wanted, wanted[-1].cost)
    assert area > 0.999 * _area(wanted, wanted[-1].cost)
    long = search_front(SPACE, cost, quality, SearchConfig(iterations=300), random.Random(1))
    assert long == wanted


def _area(front: list[Candidate], limit: float) -> float:
    ends = [*(each.cost for each in front[1:]), limit]
    return sum(each.quality * (end - each.cost) for each, end in zip(front, ends, strict=True))


def test_the_same_seed_finds_the_same_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    config = SearchConfig(iterations=3)
    first = search_front(SPACE, cost, quality, config, random.Random(7), lambda done, total: told.append((done, total)))
    assert first == search_front(SPACE, cost, quality, config, random.Random(7))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_without_generations_the_whole_and_the_smallest_are_there() -> None:
    front = search_front(
        SPACE, cost, lambda part: cost(part), SearchConfig(iterations=0, population=2), random.Random(0)
    )
    assert [each.lengths for each in front] == [LengthConfig((90, 81)), full_config(2)]


@examples(200)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0, 1), st.booleans())
def test_steps_stay_within_the_space(seed: int, layers: int, drop: float, skip: bool) -> None:
    space, rng = Space(layers, partial(least_share, drop=drop), skip), random.Random(seed)
    one, other = space.draw(rng), space.draw(rng)
    for part in (one, other, space.mutate(one, rng, 0.7), space.cross(one, other, rng), space.smallest()):
        check_lengths(part, layers)
        assert skip or not part.skipped
        assert part == space.repair(part.kept, part.skipped)


def test_a_cross_is_the_mean_rounded_up() -> None:
    space = Space(3, partial(least_share, drop=0.9), skip=False)
    found = space.cross(LengthConfig((100, 51, 30)), LengthConfig((80, 40, 30)), random.Random(0))
    assert found == LengthConfig((90, 46, 30))


def test_a_mutation_without_a_share_changes_nothing_and_with_all_moves_between_neighbours() -> None:
    space, rng = Space(3, partial(least_share, drop=0.9), skip=False), random.Random(0)
    part = LengthConfig((80, 50, 20))
    assert space.mutate(part, rng, 0.0) == part
    first = {space.mutate(part, rng, 1.0).kept[0] for _ in range(300)}
    assert min(first) == 50 and max(first) == 100


def _candidates(pairs: list[tuple[float, float]]) -> list[Candidate]:
    return [Candidate(LengthConfig((100,)), *pair) for pair in pairs]


def test_a_front_by_hand() -> None:
    front = pareto_front(_candidates([(3, 5), (1, 2), (2, 2), (2, 4), (4, 4), (3, 6)]))
    assert [each[1:] for each in front] == [(1, 2), (2, 4), (3, 6)]


@examples(100)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 20)), min_size=1, max_size=9), st.integers(1, 5))
def test_the_kept_few_are_the_best_few(pairs: list[tuple[float, float]], most: int) -> None:
    front = pareto_front(_candidates(pairs))
    limit = 31.0
    found = thin_front(front, limit, most)
    assert 1 <= len(found) <= most
    best = max(
        _area(list(chosen), limit)
        for size in range(1, min(most, len(front)) + 1)
        for chosen in itertools.combinations(front, size)
    )
    assert _area(found, limit) == pytest.approx(best)


def test_of_nothing_nothing_is_kept() -> None:
    assert thin_front([], 1.0, 3) == []
