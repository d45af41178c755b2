"""Budgets of a package: which part of the network serves one, and a package as that part alone has it."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from runtime_py.errors import BudgetMissingError
from runtime_py.package_format.manifest import Budget, Manifest
from runtime_py.package_format.package import Package

BudgetChoice = float | str
"""A share of the whole network's MACs up to 1, more than 1 as a number of MACs, or the name of a budget."""


def read_budget(text: str) -> BudgetChoice:
    """Return what a person wrote: a number where it is one, else a name."""
    try:
        return float(text)
    except ValueError:
        return text


class Costed(Protocol):
    """A part of a network with its cost and its quality, as `Budget` has them."""

    @property
    def name(self) -> str:
        """Name of the part."""

    @property
    def macs(self) -> int:
        """Multiplications."""

    @property
    def share(self) -> float:
        """The same as a share of the whole network's."""

    @property
    def exact_match(self) -> float:
        """Exact match on development data."""


Offered = TypeVar("Offered", bound=Costed)


def choose_budget(budgets: Sequence[Offered], wanted: BudgetChoice, where: str = "the package") -> Offered:
    """Return the most accurate part that costs at most so much; of equals the cheapest.

    Args:
        budgets: Budgets of a manifest.
        wanted: What it may cost, or its name.
        where: How an error message calls the package.

    Raises:
        BudgetMissingError: The package has no budgets, none of that name, or none that costs so little.
        ValueError: The number is none, or not above 0.
    """
    if not budgets:
        raise BudgetMissingError(
            f"{where}: has no budgets: it answers by its whole network. Compile a transformer that `pqrnn budget` was "
            "run for."
        )
    offered = ", ".join(f"{each.name} ({each.share:.0%}, {each.macs:,} MACs)" for each in budgets)
    if isinstance(wanted, str):
        for each in budgets:
            if each.name == wanted:
                return each
        raise BudgetMissingError(f"{where}: has no budget {wanted!r}; it has: {offered}.")
    if not wanted > 0:
        raise ValueError(f"budget is {wanted}, expected a share up to 1, a number of MACs above 1, or a name")
    affordable = [each for each in budgets if (each.share if wanted <= 1 else each.macs) <= wanted]
    if not affordable:
        what = f"{wanted:.0%} of the whole network" if wanted <= 1 else f"{wanted:,.0f} MACs"
        raise BudgetMissingError(f"{where}: no part costs at most {what}; it has: {offered}.")
    return max(affordable, key=lambda each: (each.exact_match, -each.macs))


def manifest_of_part(manifest: Manifest, budget: Budget) -> Manifest:
    """Return a manifest as one budget has it: its functions and vectors in the place of the whole network's.

    Certificates are of the whole network and are left out. The digest stays that of the file.
    """
    if budget.golden is None:
        return manifest
    return msgspec.structs.replace(
        manifest,
        buckets=[bucket.of_part(budget.name) for bucket in manifest.buckets],
        golden=budget.golden,
        variants=[msgspec.structs.replace(variant, certificates=[]) for variant in manifest.variants],
        budgets=[],
    )


def package_of_part(package: Package, budget: Budget) -> Package:
    """Return a package as one budget has it (`manifest_of_part`)."""
    return dataclasses.replace(package, manifest=manifest_of_part(package.manifest, budget))
