"""Parts of a transformer in a package: which there are, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pqrnn.model.macs import mean_macs
from runtime_py.package_format.manifest import Bucket, Budget, Golden

if TYPE_CHECKING:
    from pqrnn.checkpoint import Facts
    from pqrnn.model.length_config import LengthConfig
    from pqrnn.model.network import Network

WHOLE = "whole"


class Part(NamedTuple):
    """One part of the network.

    Attributes:
        lengths: What each layer passes on.
        macs: Mean MACs of a training text in its bucket, whose rows it costs, however few words it has.
        share: The same as a share of the whole network's.
        exact_match: Exact match on the development split, as a fraction of 1.
    """

    lengths: LengthConfig
    macs: int
    share: float
    exact_match: float

    def describe(self, name: str, golden: Golden | None) -> Budget:
        """Return what the manifest says of it, with its self-test vectors."""
        kept, skipped = list(self.lengths.kept), list(self.lengths.skipped)
        return Budget(
            name=name,
            macs=self.macs,
            share=self.share,
            exact_match=self.exact_match,
            kept=kept,
            skipped=skipped,
            golden=golden,
        )


def choose_parts(network: Network, facts: Facts[Any], buckets: Sequence[Bucket]) -> dict[str, Part]:
    """Return the parts of a checkpoint's budgets that are worth functions of their own, by name and rising cost.

    The whole network is the last one; nothing is returned where there is no other. A part that costs no less than a
    better one does in these buckets is left out. A name is the share of the whole network's MACs in thousandths.

    Args:
        network: The network.
        facts: Those of the checkpoint.
        buckets: Length buckets of the package.
    """
    if not facts.budgets:
        return {}
    rows = _rows_of_texts(facts.lengths, buckets)
    costs = [round(mean_macs(network.count_macs, rows.items(), each.lengths)) for each in facts.budgets]
    whole = max(costs)
    found: dict[str, Part] = {}
    best = -1.0
    for cost, each in sorted(zip(costs, facts.budgets, strict=True), key=lambda pair: (pair[0], -pair[1].exact_match)):
        part = Part(each.lengths, cost, round(cost / whole, 4), each.exact_match)
        if each.lengths.is_full:
            continue
        if cost < whole and each.exact_match > best and (name := f"part{round(1000 * cost / whole)}") not in found:
            found[name], best = part, each.exact_match
    if not found:
        return {}
    full = next(each for each in facts.budgets if each.lengths.is_full)
    return {**found, WHOLE: Part(full.lengths, whole, 1.0, full.exact_match)}


def smaller_parts(parts: Mapping[str, Part]) -> dict[str, LengthConfig]:
    """Return the parts that have functions of their own beside those of the whole network."""
    return {name: part.lengths for name, part in parts.items() if name != WHOLE}


def _rows_of_texts(lengths: Sequence[tuple[int, int, int]], buckets: Sequence[Bucket]) -> dict[int, int]:
    """Return how many training texts run in each bucket, by its words; one in the last where none is known."""
    rows: dict[int, int] = {}
    for words, size, times in lengths:
        bucket = next((each for each in buckets if each.words >= words and each.bytes >= size), buckets[-1])
        rows[bucket.words] = rows.get(bucket.words, 0) + times
    return rows or {buckets[-1].words: 1}
