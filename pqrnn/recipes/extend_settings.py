"""The settings of `pqrnn extend`: what is learned anew, what is kept, and in which shares."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pqrnn.recipes.settings import (
    AUTO,
    DistillationConfig,
    Settings,
    Share,
    TrainingConfig,
    TransferConfig,
    option,
)

_LEARNS = (AUTO, "all", "new")


class ExtensionConfig(Settings, frozen=True, kw_only=True):
    """How much of what a parser knew is said to it again, and which of its weights learn."""

    learns: Annotated[
        str,
        option(
            "Weights that learn: `all`; `new`, which are the rows of the heads for new intents and slots and nothing "
            "else; or `auto`, all where old texts are at hand.",
            "--learns",
        ),
    ] = AUTO
    old_texts: Annotated[
        int,
        Meta(ge=1),
        option("Old texts that are learned again, at most; an even part of more is taken.", "--old-texts"),
    ] = 2000
    new_share: Annotated[
        Share,
        option(
            "Share of the texts of an epoch that are new rows; few rows are repeated, each time as other variants.",
            "--new-share",
        ),
    ] = 0.15

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            ValueError: `learns` is unknown, or the share is none or everything.
        """
        if self.learns not in _LEARNS:
            raise ValueError(f"learns must be one of {', '.join(_LEARNS)}, not {self.learns!r}")
        if not 0.0 < self.new_share < 1.0:
            raise ValueError(f"new_share must be more than 0 and less than 1, not {self.new_share:g}")


class ExtendRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn extend`: a trained parser learns further commands and keeps what it knew."""

    extension: ExtensionConfig = ExtensionConfig()
    transfer: TransferConfig = TransferConfig(variants=2)
    distillation: DistillationConfig = DistillationConfig()
    training: TrainingConfig = TrainingConfig(
        epochs=4,
        learning_rate=5e-4,
        warmup=50,
        weight_decay=0.0,
        smoothing=0.0,
        average=0.99,
        patience=0,
        precision=AUTO,
    )
