"""One recipe for each verb that learns, and one for `pqrnn build`: sections of settings with the verb's defaults."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from pqrnn.recipes.settings import (
    AUTO,
    CompileConfig,
    DistillationConfig,
    GoalConfig,
    ModelConfig,
    QuantizationConfig,
    Settings,
    TeacherConfig,
    TrainingConfig,
    TransferConfig,
    option,
)

RELATION_HEADS = 8  # divides the widths of the encoders and of students whose state is a multiple of 4


class TrainRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn train`: a parser from labelled utterances alone."""

    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig(precision=AUTO)


class FinetuneRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn finetune`: a pre-trained encoder becomes a teacher."""

    teacher: TeacherConfig = TeacherConfig()
    training: TrainingConfig = TrainingConfig(
        epochs=12,
        batch=32,
        learning_rate=2e-4,
        warmup=300,
        clip=1.0,
        average=0.998,
        patience=0,
        precision=AUTO,
    )


class DistillRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn distill`: a parser from labels and from the answers of teachers."""

    model: ModelConfig = ModelConfig(dropout=0.2)
    transfer: TransferConfig = TransferConfig()
    distillation: DistillationConfig = DistillationConfig()
    training: TrainingConfig = TrainingConfig(epochs=60, smoothing=0.0, patience=0, precision=AUTO)


class QuantizeRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn quantize`: a trained parser in 8 bits."""

    quantization: QuantizationConfig = QuantizationConfig()


_FURTHER_ROUND = DistillRecipe(
    model=ModelConfig(dropout=0.3),
    transfer=TransferConfig(variants=8, cross=0.4, drop=0.2, variant_misspell=0.03),
    distillation=DistillationConfig(soft_intent_weight=0.0),
    training=TrainingConfig(
        epochs=14, learning_rate=2e-3, intent_weight=6.7, smoothing=0.1, patience=0, precision=AUTO
    ),
)


class BuildRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn build`: from data to a proved package.

    The supervised parser is always trained: it is what a teacher has to beat, and what is kept where none does. With a
    teacher, every round of distillation goes on from the one before; the last round is run once for each of `seeds`,
    and with several of them their weights are averaged. What scores best on the development split is quantized,
    compiled and checked.
    """

    train: TrainRecipe = TrainRecipe()
    finetune: FinetuneRecipe = FinetuneRecipe()
    rounds: Annotated[
        tuple[DistillRecipe, ...],
        Meta(max_length=9),
        option("Rounds of distillation; each goes on from the parser of the round before."),
    ] = (DistillRecipe(), _FURTHER_ROUND)
    seeds: Annotated[
        tuple[int, ...],
        Meta(min_length=1, max_length=9),
        option("Seeds of the last round, whose parsers are averaged."),
    ] = (1, 2)
    quantize: QuantizeRecipe = QuantizeRecipe()
    compile: CompileConfig = CompileConfig()
    goals: GoalConfig = GoalConfig()


def with_relation_heads(recipe: DistillRecipe) -> DistillRecipe:
    """Return the recipe with relations kept in the logit store where they are learned from."""
    if not recipe.distillation.relation_weight or recipe.transfer.relation_heads:
        return recipe
    transfer = msgspec.structs.replace(recipe.transfer, relation_heads=RELATION_HEADS)
    return msgspec.structs.replace(recipe, transfer=transfer)
