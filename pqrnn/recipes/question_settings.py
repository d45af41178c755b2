"""The settings of a model that answers questions from a text (`pqrnn finetune-questions`)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pqrnn.recipes.settings import AUTO, AdaptiveConfig, Settings, Share, Weight, option
from runtime_py.questions.limits import LONGEST, LONGEST_ANSWER, LONGEST_QUESTION, STRIDE

_Length = Meta(ge=1, le=1 << 14)


class SpanConfig(Settings, frozen=True, kw_only=True):
    """A pre-trained encoder with a head that finds the first and the last subword of an answer."""

    encoder: Annotated[
        str,
        option(
            "Pre-trained encoder of BERT's family: `minilm` (English, installed as a package), a folder in the Hugging "
            "Face layout, or an id on the Hugging Face hub.",
            "--encoder",
        ),
    ] = "minilm"
    longest: Annotated[int, _Length, option("Subwords of a window, with the question.", "--longest")] = LONGEST
    stride: Annotated[int, _Length, option("Subwords of the context from one window to the next.", "--stride")] = STRIDE
    longest_question: Annotated[
        int, _Length, option("Subwords of a question, at most; in training a longer one loses its end.")
    ] = LONGEST_QUESTION
    longest_answer: Annotated[int, _Length, option("Subwords of an answer, at most.")] = LONGEST_ANSWER
    dropout: Annotated[Share, option("Dropout before the head in training.")] = 0.1
    head_scale: Annotated[
        float, Meta(gt=0.0), option("Learning rate of the new head, relative to that of the encoder.")
    ] = 5.0
    train_embeddings: Annotated[
        bool,
        option("Train the embeddings of subwords as well; fixed ones keep what they know of words that the data lack."),
    ] = False
    precision: Annotated[
        str, option("Precision of the shipped model, `float32` or `int8`; `pqrnn quantize-questions` sets it.")
    ] = "float32"

    def __post_init__(self) -> None:
        """Refuse an unknown precision.

        Raises:
            ValueError: The precision is unknown.
        """
        if self.precision not in ("float32", "int8"):
            raise ValueError(f"precision must be float32 or int8, not {self.precision!r}")


class QuestionTrainingConfig(Settings, frozen=True, kw_only=True):
    """One run: the last weights are kept, so that no question of a development set decides anything."""

    epochs: Annotated[
        int,
        Meta(ge=1),
        option("Passes over the training data; the learning rate falls to zero over them along a cosine.", "--epochs"),
    ] = 3
    batch: Annotated[int, Meta(ge=1), option("Windows in an optimizer step.", "--batch")] = 16
    learning_rate: Annotated[
        float, Meta(gt=0.0), option("Highest learning rate of AdamW, reached after the warm-up.", "--learning-rate")
    ] = 2e-4
    warmup: Annotated[int, Meta(ge=0), option("Steps over which the learning rate rises, at most a tenth of all.")] = (
        200
    )
    weight_decay: Annotated[Weight, option("Weight decay of matrices.")] = 0.01
    clip: Annotated[float, Meta(gt=0.0), option("Largest norm of the gradient.")] = 1.0
    seed: Annotated[int, option("Seed of everything random.", "--seed")] = 0
    precision: Annotated[
        str, option("Precision of matrix products: `float32`, `bfloat16`, or `auto`.", "--precision")
    ] = AUTO
    threads: Annotated[int, Meta(ge=0), option("CPU threads; 0 leaves PyTorch's default.", "--threads")] = 0
    adaptive: AdaptiveConfig = AdaptiveConfig()

    def __post_init__(self) -> None:
        """Refuse an unknown precision.

        Raises:
            ValueError: The precision is unknown.
        """
        if self.precision not in ("float32", "bfloat16", AUTO):
            raise ValueError(f"precision must be float32, bfloat16 or {AUTO}, not {self.precision!r}")


class FinetuneQuestionsRecipe(Settings, frozen=True, kw_only=True):
    """`pqrnn finetune-questions`: a pre-trained encoder learns to find answers in texts."""

    spans: SpanConfig = SpanConfig()
    training: QuestionTrainingConfig = QuestionTrainingConfig()
