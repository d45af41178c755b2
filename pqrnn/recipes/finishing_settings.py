"""Every setting of what comes after training: quantizing, compiling, and what a package has to reach."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pqrnn.recipes.settings import WEIGHT_BITS, Settings, Share, Weight, option


class QuantizationConfig(Settings, frozen=True, kw_only=True):
    """How a trained parser becomes one in 8 bits, or one whose weights have 4."""

    bits: Annotated[
        int,
        option(
            "Bits of a weight, 8 or 4: with 4 the parser takes half the bytes; activations have 8 bits either way.",
            "--bits",
        ),
    ] = 8
    epochs: Annotated[
        int,
        Meta(ge=0),
        option(
            "Passes over the training data in which the parser learns under the roundings that it will have; 0 "
            "quantizes it as it is, in seconds.",
            "--epochs",
        ),
    ] = 0
    learning_rate: Annotated[
        float, Meta(gt=0.0), option("Highest learning rate of AdamW in these passes.", "--learning-rate")
    ] = 3e-4
    seed: Annotated[int | None, option("Seed of everything random; by default that of the run.", "--seed")] = None
    threads: Annotated[int, Meta(ge=0), option("CPU threads; 0 leaves PyTorch's default.", "--threads")] = 0

    def __post_init__(self) -> None:
        """Refuse numbers of bits that no kernel reads.

        Raises:
            ValueError: With the numbers that there are.
        """
        if self.bits not in WEIGHT_BITS:
            raise ValueError(f"bits must be 8 or 4, not {self.bits}")


class CompileConfig(Settings, frozen=True, kw_only=True):
    """What a built parser is compiled for."""

    targets: Annotated[
        tuple[str, ...],
        option(
            "Targets to compile for (`pqrnn targets`); `host` is this machine only, `all` every one that can leave it."
        ),
    ] = ("host",)
    batch: Annotated[int, Meta(ge=1), option("Texts that the batched functions take; 1 leaves them out.")] = 1


class GoalConfig(Settings, frozen=True, kw_only=True):
    """What a built package has to reach on the development split; 0 asks for nothing."""

    exact_match: Annotated[Share, option("Least exact match of the package.")] = 0.0
    max_flips: Annotated[
        int, Meta(ge=0), option("Most intents and slots in which the package may differ from PyTorch.")
    ] = 0


class ParityConfig(Settings, frozen=True, kw_only=True):
    """What `pqrnn check --reference --recipe` asks of a package; what is left out asks for nothing."""

    min_retention: Annotated[Weight | None, option("Least exact match as a share of the teacher's.")] = None
    max_flips: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        option("Most texts decided otherwise than by the student; by default none, in 8 bits one of a thousand."),
    ] = None
    max_drop: Annotated[
        Share | None, option("Most that the exact match may be below the teacher's, as a share of 1.")
    ] = None
