"""The settings of `pqrnn budget`: how the parts of a transformer are searched for the best ones at every cost."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pqrnn.recipes.settings import Settings, Share, option


class SearchConfig(Settings, frozen=True, kw_only=True):
    """The evolutionary search of Kim and Cho 2021 (arXiv:2010.07003, section 3.4)."""

    most: Annotated[
        int, Meta(ge=1, le=32), option("Budgets that are kept, the whole network among them, at most.", "--most")
    ] = 6
    iterations: Annotated[
        int,
        Meta(ge=0),
        option("Generations after the first; 30 in the paper, whose networks have 12 layers.", "--iterations"),
    ] = 12
    population: Annotated[
        int,
        Meta(ge=1),
        option("Parts that the search begins with: the whole, the smallest, and others drawn.", "--population"),
    ] = 20
    mutations: Annotated[int, Meta(ge=0), option("Parts of a generation that are changed.", "--mutations")] = 15
    crossovers: Annotated[
        int, Meta(ge=0), option("Parts of a generation that are the mean of two.", "--crossovers")
    ] = 15
    mutated: Annotated[Share, option("Probability with which a layer of a part that is changed changes.")] = 0.5
    length_drop: Annotated[
        Share | None,
        option(
            "Largest share of the words left that a layer may drop; by default what the parser was trained with.",
            "--length-drop",
        ),
    ] = None
    skip: Annotated[
        bool, option("Also search parts that leave layers out, where the parser was trained with such.", "--skip")
    ] = True
    seed: Annotated[int, option("Seed of everything random.", "--seed")] = 0


class BudgetRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn budget`: the parts of a trained transformer that are best for what they cost."""

    search: SearchConfig = SearchConfig()
