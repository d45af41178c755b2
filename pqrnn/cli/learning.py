"""What the verbs that train share: loading data, running, telling how it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pqrnn.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from pqrnn.data.examples import Example
    from pqrnn.distillation.objective import DistillationObjective
    from pqrnn.model.config import ModelConfig
    from pqrnn.training.config import TrainingConfig
    from pqrnn.training.trainer import NetworkConfig


def make_config(precision: str, **settings: Any) -> TrainingConfig:
    """Return the settings of a run (`pqrnn.training.config.TrainingConfig`); the precision "auto" is what is fast here.

    Raises:
        TrainingError: a setting is out of its range.
    """
    from pqrnn.errors import TrainingError
    from pqrnn.training.config import TrainingConfig, choose_precision

    try:
        return TrainingConfig(precision=choose_precision() if precision == "auto" else precision, **settings)
    except ValueError as error:
        raise TrainingError(f"these settings do not make a parser: {error}") from error


def make_shape(features: int, ngram_features: int, **shape: Any) -> ModelConfig:
    """Return the shape of a parser (`pqrnn.model.config.ModelConfig`).

    Raises:
        TrainingError: there is no parser of that shape.
    """
    from pqrnn.errors import TrainingError
    from pqrnn.features.projection import ProjectionConfig
    from pqrnn.model.config import ModelConfig
    from pqrnn.model.parser import ParserModel

    try:
        projection = ProjectionConfig(word_features=features, ngram_features=ngram_features)
        model = ModelConfig(projection=projection, **shape)
        ParserModel(model, intents=1, tags=1)
    except ValueError as error:
        raise TrainingError(f"these settings do not make a parser: {error}") from error
    return model


def run_training(
    out: Path,
    data: tuple[list[Example], list[Example]],
    model: NetworkConfig,
    config: TrainingConfig,
    *,
    source: dict[str, Any],
    objective: DistillationObjective | None = None,
    initial: Mapping[str, Tensor] | None = None,
    restart: bool,
    json: bool,
) -> None:
    """Train, or go on, with a progress bar, and print the outcome; a stop by Ctrl-C is said and ends with status 130.

    Processes that `torchrun` started learn together, and the first one speaks.
    """
    from pqrnn.distributed import is_leader, join_process_group
    from pqrnn.training.trainer import train

    join_process_group()
    reporter = make_reporter(quiet=json or not is_leader())
    try:
        with reporter:
            outcome = train(
                out,
                *data,
                model,
                config,
                objective=objective,
                initial=initial,
                source=source,
                restart=restart,
                reporter=reporter,
            )
    except KeyboardInterrupt:
        typer.secho(
            f"stopped; what was learned is in {out}: the same command goes on from there", fg="yellow", err=True
        )
        raise typer.Exit(130) from None
    if not is_leader():
        return
    if json:
        print_json({"folder": str(outcome.folder), "ended": outcome.ended, "metrics": outcome.metrics})
    else:
        best = outcome.metrics["dev"]["exact_match"]
        typer.echo(
            f"{outcome.ended}: development exact match {best['value']:.2%} [{best['low']:.2%}, {best['high']:.2%}], in {outcome.folder}"
        )


def load_data(data: str, dev: str | None, lang: str | None) -> tuple[list[Example], list[Example]]:
    """Return training and development examples;

    of data without splits, every tenth text, chosen by its hash, is for development.
    """
    from pqrnn.data.grammar import split_examples
    from pqrnn.data.loader import available_splits, load_examples

    if available_splits(data, locale=lang):
        return load_examples(data, split="train", locale=lang), load_examples(dev or data, split="dev", locale=lang)
    everything = load_examples(data, split="all", locale=lang)
    if dev is not None:
        return everything, load_examples(dev, split="all", locale=lang)
    parts = split_examples(everything)
    typer.echo(
        f"{data} has no splits: {len(parts.dev)} of {len(everything)} utterances, chosen by a hash of their text, are kept for development",
        err=True,
    )
    return [*parts.train, *parts.test], list(parts.dev)


def make_reporter(*, quiet: bool) -> Any:
    """Return a `pqrnn.training.reporting.TrainingReporter` and context manager that draws a progress bar on the
    terminal, or says nothing.
    """
    from contextlib import AbstractContextManager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pqrnn.training.reporting import TrainingReporter

    class Bar(TrainingReporter, AbstractContextManager[Any]):
        def __init__(self) -> None:
            self.console = Console(stderr=True, quiet=quiet)
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.progress = Progress(*columns, console=self.console, disable=quiet, refresh_per_second=2)
            self.score = ""

        def __exit__(self, *_: object) -> None:
            self.progress.stop()

        def start(self, total: int, done: int, text: str) -> None:
            self.console.print(text, highlight=False)
            if done:
                self.console.print(f"going on at step {done}", highlight=False)
            self.task = self.progress.add_task("training", total=total, completed=done)
            self.progress.start()

        def step(self, done: int, loss: float) -> None:
            self.progress.update(self.task, completed=done, description=f"loss {loss:6.3f}{self.score}")

        def epoch(self, record: dict[str, Any]) -> None:
            dev = record["dev"]
            self.score = f"  dev exact match {dev['exact_match']['value']:.2%}"
            if not self.console.is_terminal:
                self.console.print(
                    f"epoch {record['epoch']}: loss {record['loss']:.3f}, dev exact match {dev['exact_match']['value']:.2%}, "
                    f"intent {dev['intent_accuracy']['value']:.2%}, slot F1 {dev['slot_f1']['value']:.2%}",
                    highlight=False,
                )

    return Bar()
