"""The evolutionary search for the parts of a transformer that are best for what they cost.

After Kim and Cho 2021 (arXiv:2010.07003, section 3.4): parts are changed and crossed, and those that no other part
beats in both cost and quality live on. Pure functions of a seeded generator and of what is measured; no PyTorch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from pqrnn.model.length_config import WHOLE, LengthConfig, full_config, least_share
from pqrnn.recipes.budget_settings import SearchConfig
from pqrnn.recipes.settings import AdaptiveConfig
from pqrnn.seeding import make_random

Measure = Callable[[LengthConfig], float]


class Candidate(NamedTuple):
    """A part that was measured.

    Attributes:
        lengths: The part.
        cost: What it costs, such as MACs of a text.
        quality: How good it is; more is better.
    """

    lengths: LengthConfig
    cost: float
    quality: float


class Space(NamedTuple):
    """The parts that are searched.

    Attributes:
        layers: Layers of the network.
        least: The smallest percent of words that may follow on another percent.
        skip: Whether layers may be left out.
    """

    layers: int
    least: Callable[[int], int]
    skip: bool

    def repair(self, shares: Sequence[int], skipped: Iterable[int]) -> LengthConfig:
        """Return the nearest part of this space, layer by layer from the first."""
        out = sorted(set(skipped)) if self.skip else []
        if len(out) == self.layers:
            out = out[1:]
        before, kept = WHOLE, []
        for layer, share in enumerate(shares):
            if layer not in out:
                before = min(max(share, self.least(before)), before)
            kept.append(before)
        return LengthConfig(tuple(kept), tuple(out))

    def smallest(self) -> LengthConfig:
        """Return the part that drops as many words as it may and leaves no layer out."""
        return self.repair([1] * self.layers, ())

    def draw(self, rng: random.Random) -> LengthConfig:
        """Draw a part: for each layer a uniform share of those allowed, and with probability 1/4 it is left out."""
        skipped = [layer for layer in range(self.layers) if self.skip and rng.random() < 0.25]
        shares, before = [], WHOLE
        for layer in range(self.layers):
            if layer not in skipped:
                before = rng.randint(self.least(before), before)
            shares.append(before)
        return self.repair(shares, skipped)

    def mutate(self, parent: LengthConfig, rng: random.Random, share: float) -> LengthConfig:
        """Change each layer with a probability: what it passes on, between its neighbours, or whether it is there."""
        kept, skipped = list(parent.kept), set(parent.skipped)
        for layer in range(self.layers):
            if rng.random() >= share:
                continue
            if self.skip and rng.random() < 1.0 / (2 * self.layers):
                skipped ^= {layer}
                continue
            before = kept[layer - 1] if layer else WHOLE
            after = kept[layer + 1] if layer + 1 < self.layers else 1
            kept[layer] = rng.randint(min(max(after, self.least(before)), before), before)
        return self.repair(kept, skipped)

    def cross(self, one: LengthConfig, other: LengthConfig, rng: random.Random) -> LengthConfig:
        """Return the mean of two parts, rounded up; whether a layer is left out comes from either."""
        kept = [-(-(mine + its) // 2) for mine, its in zip(one.kept, other.kept, strict=True)]
        skipped = [layer for layer in range(self.layers) if layer in rng.choice((one, other)).skipped]
        return self.repair(kept, skipped)


def pareto_front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that no other one beats, by rising cost and so by rising quality.

    Of several with equal cost and quality the first is kept.
    """
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda each: (each.cost, -each.quality)):
        if not front or candidate.quality > front[-1].quality:
            front.append(candidate)
    return front


def search_front(
    space: Space,
    cost: Measure,
    quality: Measure,
    config: SearchConfig,
    rng: random.Random,
    on_generation: Callable[[int, int], None] = lambda done, total: None,
) -> list[Candidate]:
    """Return the best parts that were met, as `pareto_front`. No part is measured twice.

    Args:
        space: The parts.
        cost: What a part costs.
        quality: How good a part is; this takes the time.
        config: Sizes of the search.
        rng: Generator.
        on_generation: Is told of generations done, and of all.
    """
    known: dict[LengthConfig, Candidate] = {}

    def measure(parts: Iterable[LengthConfig]) -> None:
        for part in parts:
            if part not in known:
                known[part] = Candidate(part, cost(part), quality(part))

    first = [full_config(space.layers), space.smallest()]
    measure([*first, *(space.draw(rng) for _ in range(config.population - len(first)))])
    for generation in range(config.iterations):
        on_generation(generation, config.iterations)
        parents = [candidate.lengths for candidate in pareto_front(known.values())]
        changed = [space.mutate(rng.choice(parents), rng, config.mutated) for _ in range(config.mutations)]
        crossed = [space.cross(rng.choice(parents), rng.choice(parents), rng) for _ in range(config.crossovers)]
        measure([*changed, *crossed])
    on_generation(config.iterations, config.iterations)
    return pareto_front(known.values())


def make_space(layers: int, trained: AdaptiveConfig, config: SearchConfig) -> Space:
    """Return the parts within the bounds of a search, or of the network's own training where it names none.

    Args:
        layers: Layers of the network.
        trained: How its parts were trained.
        config: Settings of the search.
    """
    drop = trained.length_drop if config.length_drop is None else config.length_drop
    skip = config.skip and (not trained.enabled or trained.layer_drop > 0.0)
    return Space(layers, partial(least_share, drop=drop), skip)


def find_best(
    space: Space,
    cost: Measure,
    quality: Measure,
    config: SearchConfig,
    on_generation: Callable[[int, int], None] = lambda done, total: None,
) -> list[Candidate]:
    """Return the few parts that serve budgets best, by rising cost, and last the whole network.

    Args:
        space: The parts.
        cost: What a part costs.
        quality: How good a part is; this takes the time.
        config: Sizes of the search, its seed, and how many parts are kept.
        on_generation: Is told of generations done, and of all.
    """
    front = search_front(space, cost, quality, config, make_random(config.seed, "budgets", 0), on_generation)
    whole = full_config(space.layers)
    limit = cost(whole)
    smaller = [candidate for candidate in front if candidate.cost < limit]
    chosen = thin_front(smaller, limit, config.most - 1) if config.most > 1 else []
    return [*chosen, Candidate(whole, limit, quality(whole))]


def thin_front(front: Sequence[Candidate], limit: float, most: int) -> list[Candidate]:
    """Return the few candidates of a front that serve budgets best: those with the largest mean quality.

    The mean is over budgets from 0 to `limit`, all equally likely; each is served by the best candidate that it can
    pay, and one that none can pay counts 0. Exact, by dynamic programming.

    Args:
        front: Candidates by rising cost and quality.
        limit: Largest budget, at least the cost of all.
        most: Number of candidates to keep, at most.
    """
    # best[k][i]: area up to the cost of candidate i, which is the k-th that is kept, and the one before it.
    count = len(front)
    best = [[0.0] * count]
    before: list[list[int]] = [[-1] * count]
    for _ in range(1, min(most, count)):
        areas, origins = [], []
        for i, candidate in enumerate(front):
            options = [(best[-1][j] + front[j].quality * (candidate.cost - front[j].cost), j) for j in range(i)] or [
                (float("-inf"), -1)
            ]
            area, origin = max(options)
            areas.append(area)
            origins.append(origin)
        best.append(areas)
        before.append(origins)
    totals = [
        (best[k][i] + front[i].quality * (limit - front[i].cost), -k, i) for k in range(len(best)) for i in range(count)
    ]
    if not totals:
        return []
    _, fewer, last = max(totals)
    chosen = []
    for k in range(-fewer, -1, -1):
        chosen.append(front[last])
        last = before[k][last]
    return chosen[::-1]
