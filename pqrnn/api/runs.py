"""What the functions that learn share: data, one training run, and what a checkpoint keeps of its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pqrnn.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    from pqrnn.data.training_data import TrainingData
    from pqrnn.recipes.settings import ModelConfig, TrainingConfig
    from pqrnn.training.reporting import TrainingOutcome, TrainingReporter

PathLike = str | Path

_SAID = 2  # of what is probably wrong with data, the gravest; `pqrnn data show` has all of it


def check_shape(model: ModelConfig) -> None:
    """Refuse a shape of which there is no parser.

    Raises:
        TrainingError: With the reason.
    """
    from pqrnn.model.parser import ParserModel

    try:
        ParserModel(model, intents=1, tags=1)
    except ValueError as error:
        raise TrainingError(f"these settings do not make a parser: {error}") from error


def load_data(
    data: str,
    dev: str | None,
    lang: str | None,
    dev_share: float,
    reporter: TrainingReporter | None,
    version: int | None = None,
) -> TrainingData:
    """Return training and development utterances; the reporter is told how they were split and what is wrong there.

    `version` is that of the projection which says what the words of the training utterances are.
    """
    from pqrnn.data.lint import lint_examples
    from pqrnn.data.training_data import load_training_data
    from pqrnn.dataset.segmented import segment_examples

    loaded = load_training_data(data, dev=dev, lang=lang, dev_share=dev_share)
    if reporter is not None:
        gravest = lint_examples({"train": loaded.training, "dev": loaded.development})[:_SAID]
        for text in (*loaded.note.splitlines(), *(finding.text for finding in gravest)):
            reporter.note(text)
    return loaded._replace(training=segment_examples(loaded.training, version))  # once, for all that need the words


def run_training(
    out: PathLike,
    data: TrainingData,
    model: Any,
    config: TrainingConfig,
    *,
    source: Mapping[str, Any],
    record: Mapping[str, Any],
    objective: Any = None,
    initial: Mapping[str, Tensor] | None = None,
    continuation: Any = None,
    restart: bool,
    finish: bool = False,
    reporter: TrainingReporter | None,
) -> TrainingOutcome:
    """Train a network, as one of the processes that `torchrun` started where it did (`pqrnn.training.trainer`)."""
    from pqrnn.distributed import join_process_group
    from pqrnn.training.config import resolve_precision
    from pqrnn.training.trainer import train

    join_process_group()
    return train(
        Path(out),
        data.training,
        data.development,
        model,
        resolve_precision(config),
        objective=objective,
        initial=initial,
        continuation=continuation,
        source=dict(source),
        record=dict(record),
        restart=restart,
        finish=finish,
        reporter=reporter,
    )


def record_recipe(verb: str, recipe: msgspec.Struct, **more: Any) -> dict[str, Any]:
    """Return what a checkpoint keeps of how it was made, for `pqrnn recipe show RUN`."""
    return {"recipe": {"verb": verb, "settings": msgspec.to_builtins(recipe), **more}}
