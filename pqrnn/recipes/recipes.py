"""One recipe for each verb that learns, and one for `pqrnn build`: sections of settings with the verb's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from pqrnn.recipes.budget_settings import BudgetRecipe
from pqrnn.recipes.encoder_settings import DistillEncoderRecipe
from pqrnn.recipes.extend_settings import ExtendRecipe
from pqrnn.recipes.finishing_settings import CompileConfig, GoalConfig, ParityConfig, QuantizationConfig
from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe
from pqrnn.recipes.settings import (
    AUTO,
    DistillationConfig,
    ModelConfig,
    Settings,
    Share,
    TeacherConfig,
    TrainingConfig,
    TransferConfig,
    option,
)

Kind = TypeVar("Kind", bound=msgspec.Struct)

UNKNOWN = "not kept by the version that trained it"
"""The key under which `recipe_of_run` names sections that it cannot know."""

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


class RoundRecipe(Settings, frozen=True, kw_only=True):
    """One round of distillation in a build: the parser has the shape that `train.model` of the build says."""

    dropout: Annotated[Share, option("Share of the channels of layer inputs dropped in training.")] = 0.2
    transfer: TransferConfig = TransferConfig()
    distillation: DistillationConfig = DistillationConfig()
    training: TrainingConfig = TrainingConfig(epochs=60, smoothing=0.0, patience=0, precision=AUTO)


# The intent generalizes better from gold labels with smoothing than from softened answers, slots from the answers.
_FURTHER_ROUND = RoundRecipe(
    dropout=0.3,
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
        tuple[RoundRecipe, ...],
        Meta(max_length=9),
        option("Rounds of distillation; each goes on from the parser of the round before."),
    ] = (RoundRecipe(), _FURTHER_ROUND)
    seeds: Annotated[
        tuple[int, ...],
        Meta(min_length=1, max_length=9),
        option("Seeds of the last round, whose parsers are averaged."),
    ] = (1, 2)
    quantize: QuantizeRecipe = QuantizeRecipe()
    compile: CompileConfig = CompileConfig()
    goals: GoalConfig = GoalConfig()
    parity: ParityConfig = ParityConfig()


def recipe_of_round(build: BuildRecipe, position: int, seed: int | None = None) -> DistillRecipe:
    """Return what `pqrnn distill` is given for a round of a build.

    Args:
        build: The recipe of the build.
        position: Which round, from 0.
        seed: Seed of the run; None takes that of the round.
    """
    chosen = build.rounds[position]
    training = chosen.training if seed is None else msgspec.structs.replace(chosen.training, seed=seed)
    return DistillRecipe(
        model=msgspec.structs.replace(build.train.model, dropout=chosen.dropout),
        transfer=chosen.transfer,
        distillation=chosen.distillation,
        training=training,
    )


def with_threads(build: BuildRecipe, threads: int) -> BuildRecipe:
    """Return the recipe with so many CPU threads in every stage."""

    def limited(recipe: Any) -> Any:
        return msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, threads=threads))

    quantization = msgspec.structs.replace(build.quantize.quantization, threads=threads)
    return msgspec.structs.replace(
        build,
        train=limited(build.train),
        finetune=limited(build.finetune),
        rounds=tuple(limited(one) for one in build.rounds),
        quantize=msgspec.structs.replace(build.quantize, quantization=quantization),
    )


def with_relation_heads(recipe: DistillRecipe) -> DistillRecipe:
    """Return the recipe with relations kept in the logit store where they are learned from."""
    if not recipe.distillation.relation_weight or recipe.transfer.relation_heads:
        return recipe
    transfer = msgspec.structs.replace(recipe.transfer, relation_heads=RELATION_HEADS)
    return msgspec.structs.replace(recipe, transfer=transfer)


VERBS: dict[str, msgspec.Struct] = {
    "budget": BudgetRecipe(),
    "build": BuildRecipe(),
    "distill": DistillRecipe(),
    "distill-encoder": DistillEncoderRecipe(),
    "extend": ExtendRecipe(),
    "finetune": FinetuneRecipe(),
    "finetune-questions": FinetuneQuestionsRecipe(),
    "quantize": QuantizeRecipe(),
    "train": TrainRecipe(),
}
"""The verbs that learn, and their default recipes."""


def recipe_of_run(facts: Any) -> tuple[msgspec.Struct, dict[str, Any]]:
    """Return what a run used, and where that is known from.

    Runs of before recipes kept the shape of the network, the settings of training and the weights of distillation, but
    not the settings of the transfer set.

    Args:
        facts: Those of its checkpoint (`pqrnn.checkpoint.Facts`).
    """
    kept = facts.training.get("recipe")
    more = {key: facts.training[key] for key in ("teachers", "averaged", "quantized") if key in facts.training}
    if kept is not None:
        recipe = msgspec.convert(kept["settings"], type(VERBS[kept["verb"]]))
        return recipe, {"verb": kept["verb"], **more}
    training = settings_in(facts.training, TrainingConfig)
    if isinstance(facts.config, TeacherConfig):
        return FinetuneRecipe(teacher=facts.config, training=training), {"verb": "finetune", **more}
    if "distillation" not in facts.training:
        return TrainRecipe(model=facts.config, training=training), {"verb": "train", **more}
    recipe = DistillRecipe(
        model=facts.config,
        distillation=settings_in(facts.training["distillation"], DistillationConfig),
        training=training,
    )
    return recipe, {"verb": "distill", UNKNOWN: ["transfer"], **more}


def settings_in(values: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """Return the values that are settings of a kind, by the names that files have."""
    names = {field.encode_name for field in msgspec.structs.fields(kind)}
    return msgspec.convert({name: value for name, value in values.items() if name in names}, kind)
