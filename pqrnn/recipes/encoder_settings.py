"""The settings of task-agnostic distillation (`pqrnn distill-encoder`)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pqrnn.recipes.settings import AUTO, ModelConfig, Settings, Share, TransformerConfig, Weight, option

_OBJECTIVES = ("mha", "hs", "od")
_MAPPINGS = ("last", "last-k", "uniform", "uniform-consecutive", "uniform-last")


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


class ObjectiveConfig(Settings, frozen=True, kw_only=True):
    """What of the teacher is learned."""

    objective: Annotated[
        str,
        option(
            "What is learned: `mha` (relations of queries, keys and values, MiniLMv2), `hs` (hidden states), or `od` "
            "(the teacher's guesses of hidden words).",
            "--objective",
        ),
    ] = "mha"
    mapping: Annotated[
        str,
        option(
            "Which of the teacher's layers `hs` learns from: `last`, `last-k`, `uniform`, `uniform-consecutive`, or "
            "`uniform-last`.",
            "--mapping",
        ),
    ] = "uniform-last"
    last_k: Annotated[int, Meta(ge=1), option("Layers that the mapping `last-k` takes.", "--last-k")] = 2
    teacher_layer: Annotated[
        int,
        Meta(ge=0),
        option("The teacher's layer whose relations `mha` learns, from 1; 0 is the last.", "--teacher-layer"),
    ] = 0
    relation_heads: Annotated[
        int,
        Meta(ge=0),
        option(
            "Relation heads of `mha`, a divisor of both widths; 0 takes the most that divide both, up to 48.",
            "--relation-heads",
        ),
    ] = 0
    hidden_share: Annotated[
        Share, option("Share of the words that are hidden for `od`, at least one of each text.", "--hidden-share")
    ] = 0.15
    head_steps: Annotated[
        int,
        Meta(ge=1),
        option(
            "Steps in which a teacher that cannot guess hidden words learns it for `od`; the teacher itself stays as "
            "it is.",
            "--head-steps",
        ),
    ] = 500

    def __post_init__(self) -> None:
        """Refuse names that are none.

        Raises:
            ValueError: The objective or the mapping is unknown.
        """
        _check("objective", self.objective, _OBJECTIVES)
        _check("mapping", self.mapping, _MAPPINGS)


class StudentConfig(Settings, frozen=True, kw_only=True):
    """What the student reads, and how it begins."""

    input: Annotated[
        str,
        option(
            "What the student reads: `words` (our projection: bytes to states, no tokenizer) or `subwords` (the "
            "teacher's tokenizer).",
            "--input",
        ),
    ] = "words"
    prune: Annotated[
        bool, option("Keep only the subwords that the texts use, and single characters of their scripts.", "--prune")
    ] = True
    initial: Annotated[
        str,
        option(
            "How a student of subwords begins: `random`, `embeddings` (the teacher's, or their principal components), "
            "or `layers` (of a teacher of the same width).",
            "--initial",
        ),
    ] = "random"
    layers_from: Annotated[
        str,
        option("Which layers it begins with: `lower` (the first ones) or `uniform` (every so many).", "--layers-from"),
    ] = "lower"

    def __post_init__(self) -> None:
        """Refuse names that are none.

        Raises:
            ValueError: One of them is unknown.
        """
        _check("input", self.input, ("words", "subwords"))
        _check("initial", self.initial, ("random", "embeddings", "layers"))
        _check("layers_from", self.layers_from, ("lower", "uniform"))


class EncoderTrainingConfig(Settings, frozen=True, kw_only=True):
    """One run of task-agnostic distillation: a budget of steps, whatever the objective."""

    steps: Annotated[int, Meta(ge=1), option("Steps of the optimizer.", "--steps")] = 4000
    batch: Annotated[int, Meta(ge=1), option("Texts in a step.", "--batch")] = 64
    learning_rate: Annotated[
        float, Meta(gt=0.0), option("Highest learning rate of AdamW, reached after the warm-up.", "--learning-rate")
    ] = 1e-3
    warmup: Annotated[int, Meta(ge=0), option("Steps over which the learning rate rises, at most a tenth of all.")] = (
        200
    )
    weight_decay: Annotated[Weight, option("Weight decay of matrices.")] = 0.01
    clip: Annotated[float, Meta(gt=0.0), option("Largest norm of the gradient.")] = 1.0
    longest: Annotated[int, Meta(ge=1), option("Most words of a piece that a text is cut into.", "--longest")] = 48
    seed: Annotated[int, option("Seed of everything random.", "--seed")] = 0
    precision: Annotated[
        str, option("Precision of matrix products: `float32`, `bfloat16`, or `auto`.", "--precision")
    ] = AUTO
    threads: Annotated[int, Meta(ge=0), option("CPU threads; 0 leaves PyTorch's default.", "--threads")] = 0

    def __post_init__(self) -> None:
        """Refuse an unknown precision.

        Raises:
            ValueError: The precision is unknown.
        """
        _check("precision", self.precision, ("float32", "bfloat16", AUTO))


class DistillEncoderRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn distill-encoder`: a small encoder from a large one and texts without labels."""

    objective: ObjectiveConfig = ObjectiveConfig()
    student: StudentConfig = StudentConfig()
    model: ModelConfig = ModelConfig(network="transformer", layers=3, dropout=0.1, transformer=TransformerConfig())
    training: EncoderTrainingConfig = EncoderTrainingConfig()
