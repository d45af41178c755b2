"""A run that trains a span model: it goes on where it was stopped, and ends in the same weights."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import torch
from torch import Tensor

from pqrnn.checkpoint import read_revision
from pqrnn.data.questions.squad import Question
from pqrnn.errors import TrainingError
from pqrnn.questions.batches import SpanBatch, TrainingWindow, count_steps, cut_training, read_steps
from pqrnn.questions.checkpoint import (
    DATA,
    FORMAT,
    GoldenQuestion,
    SpanFacts,
    discard,
    find_finished,
    load_span_model,
    save_span_model,
)
from pqrnn.questions.model import SpanModel, span_distance, span_loss
from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe
from pqrnn.recipes.settings import AUTO, TrainingConfig
from pqrnn.run_folder import LOG, STATE
from pqrnn.seeding import make_random
from pqrnn.training.config import choose_precision, learning_rate
from pqrnn.training.optimizer import group_parameters
from pqrnn.training.reporting import TrainingReporter
from pqrnn.training.resume import TrainingState, load_state, save_state
from pqrnn.training.run_settings import hash_weights
from pqrnn.training.sandwich import draw_parts
from pqrnn.training.step_loop import Duties, begin_run, encode_log, end_record, find_progress, run_steps, take_step
from runtime_py.atomic_files import write_atomic

_SAVE_SECONDS = 60.0
_RECORDS = 40  # lines of the log in a run
_GOLDEN = 24


class SpanOutcome(NamedTuple):
    """What came of a run.

    Attributes:
        folder: Folder of the model.
        facts: What the folder says of it.
        ended: "done", "ended early" or "was finished".
    """

    folder: Path
    facts: SpanFacts
    ended: str


def run(
    folder: Path,
    questions: Sequence[Question],
    recipe: FinetuneQuestionsRecipe,
    *,
    source: Mapping[str, Any],
    initial: Path | None = None,
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
    stop_after: int | None = None,
) -> SpanOutcome:
    """Train a span model, or go on where an earlier call with the same settings was stopped.

    Args:
        folder: Folder of the model to be.
        questions: What is learned.
        recipe: All settings.
        source: Where the data came from, for people.
        initial: Folder of a model of the same encoder to begin with; None for the encoder and a new head.
        restart: Whether an earlier run in `folder` is thrown away.
        finish: Whether an unfinished run in `folder` ends where it is.
        reporter: Is told of progress.
        stop_after: Step after which `KeyboardInterrupt` is raised without saving: a kill, for tests.

    Raises:
        TeacherError: The encoder cannot be loaded, or cannot answer questions.
        DataError: There is nothing to learn from.
        CheckpointError: There is no model to begin with.
        TrainingError: `folder` holds a run with other settings, nothing there can be finished, or the loss is no number
            any more.
    """
    if restart and finish:
        raise TrainingError("--restart throws the run away that --finish is to end: give one of them")
    precision = choose_precision() if recipe.training.precision == AUTO else recipe.training.precision
    recipe = msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, precision=precision))
    model = make_model(recipe, initial)
    windows = cut_training(questions, model.make_reader())
    described = describe_run(model, windows, recipe)
    fingerprint = begin_run(described).settings
    if restart:
        discard(folder)
    found = find_finished(folder, fingerprint, described)
    if found is not None:
        return SpanOutcome(folder, found, "was finished")
    progress = find_progress(folder / STATE, folder, described, finish, DATA)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    made = _Run(folder, model, windows, recipe, reporter or TrainingReporter())
    early = made.learn(progress, finish, stop_after)
    more = {"initial": str(initial)} if initial is not None else {}
    facts = made.finish(progress, described, {**source, **more}, choose_golden(questions, recipe), early)
    return SpanOutcome(folder, facts, "ended early" if early else "done")


def make_model(recipe: FinetuneQuestionsRecipe, initial: Path | None) -> SpanModel:
    """Return the model that a run begins with.

    Raises:
        TeacherError: The encoder cannot be loaded, or cannot answer questions.
        CheckpointError: There is no model in `initial`.
        TrainingError: It is of another encoder, or one of both is in 8 bits.
    """
    if recipe.spans.precision != "float32":
        raise TrainingError("a model learns in float32: leave spans.precision, and `pqrnn quantize-questions` it then")
    torch.manual_seed(recipe.training.seed)
    model = SpanModel(recipe.spans)
    if initial is not None:
        known, facts = load_span_model(initial)
        if facts.config.encoder != recipe.spans.encoder:
            raise TrainingError(
                f"{initial}: is made of the encoder {facts.config.encoder!r}, and this run has "
                f"{recipe.spans.encoder!r}: give --encoder {facts.config.encoder}"
            )
        if facts.config.precision != "float32":
            raise TrainingError(
                f"{initial}: is in 8 bits, and learns no more; begin with the model that it was made of"
            )
        model.load_state_dict(known.state_dict())
    return model


class _Run:
    """One run: model, optimizer, and the loop over the steps."""

    def __init__(
        self,
        folder: Path,
        model: SpanModel,
        windows: Sequence[TrainingWindow],
        recipe: FinetuneQuestionsRecipe,
        reporter: TrainingReporter,
    ) -> None:
        config = recipe.training
        self.folder, self.model, self.windows, self.recipe, self.reporter = folder, model, windows, recipe, reporter
        self.total = count_steps(len(windows), config.batch, config.epochs)
        groups = group_parameters(model, config.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self._schedule = TrainingConfig(learning_rate=config.learning_rate, warmup=config.warmup)

    def learn(self, progress: TrainingState, finish: bool, stop_after: int | None) -> bool:
        """Run the steps that are left; say whether the run ended before the last of them."""
        config = self.recipe.training
        if progress.step:
            load_state(self.folder / STATE, {"model": self.model}, self.optimizer)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reporter.start(self.total, progress.step, self._tell())
        if finish:
            return progress.step < self.total
        padding = self.model.layout.padding
        steps = read_steps(
            self.windows, padding, seed=config.seed, size=config.batch, first=progress.step, last=self.total
        )
        run_steps(
            progress,
            self.total,
            steps,
            Duties(self.step, lambda: self._record(progress), lambda: self._save(progress)),
            self.reporter,
            every=max(self.total // _RECORDS, 1),
            save_seconds=_SAVE_SECONDS,
            stop_after=stop_after,
        )
        return progress.step < self.total

    def step(self, number: int, batch: SpanBatch) -> float:
        """Learn a batch and return its loss."""
        config = self.recipe.training
        self.model.train()
        return take_step(
            lambda: self._loss(number, batch),
            self.model.parameters(),
            self.optimizer,
            rate=learning_rate(self._schedule, number, self.total),
            precision=config.precision,
            clip=config.clip,
            where=f"{self.folder}: step {number + 1}",
        )

    def _loss(self, number: int, batch: SpanBatch) -> Tensor:
        """Return the loss of the whole network, or its mean with the distances of smaller parts (`draw_parts`)."""
        config = self.recipe.training
        whole = self.model(batch.tokens, batch.heads, batch.counts)
        loss = span_loss(whole, batch.inside, batch.first, batch.last)
        if not config.adaptive.enabled:
            return loss
        targets = type(whole)(*(logits.detach() for logits in whole))
        parts = draw_parts(self.model.layers, config.adaptive, config.seed, number)
        for part in parts:
            found = self.model(batch.tokens, batch.heads, batch.counts, part)
            loss = loss + span_distance(found, targets, batch.inside)
        return loss / (len(parts) + 1)

    def finish(
        self,
        progress: TrainingState,
        described: dict[str, Any],
        source: dict[str, Any],
        golden: list[GoldenQuestion],
        early: bool,
    ) -> SpanFacts:
        """Write the model and what is to be said of it, and remove the state."""
        self.model.eval()
        lengths = Counter(len(window.row) for window in self.windows)
        facts = SpanFacts(
            format=FORMAT,
            config=self.recipe.spans,
            parameters=self.model.parameters_count(),
            source=source,
            recipe=msgspec.to_builtins(self.recipe),
            steps=progress.step,
            loss=float(progress.log[-1]["loss"]) if progress.log else 0.0,
            lengths=sorted(lengths.items()),
            golden=golden,
            fingerprint=progress.settings,
            described=described,
            revision=read_revision(),
            ended_early=early,
        )
        try:
            save_span_model(self.folder, self.model, facts)
        except OSError as error:
            raise self._unwritable(error) from error
        (self.folder / STATE).unlink(missing_ok=True)
        return facts

    def _record(self, progress: TrainingState) -> None:
        end_record(progress)
        try:
            write_atomic(self.folder / LOG, encode_log(progress))
        except OSError as error:
            raise self._unwritable(error) from error

    def _save(self, progress: TrainingState) -> None:
        try:
            save_state(self.folder / STATE, progress, {"model": self.model}, self.optimizer)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> TrainingError:
        return TrainingError(
            f"{self.folder}: cannot be written ({error.strerror or error}); what was written before is whole: make "
            "room, and the same command goes on from there"
        )

    def _tell(self) -> str:
        count = sum(len(window.row) for window in self.windows)
        parts = ", with smaller parts" if self.recipe.training.adaptive.enabled else ""
        return (
            f"{len(self.windows):,} windows of {count / len(self.windows):.0f} subwords on average; an encoder of "
            f"{self.model.layers} layers, {self.model.parameters_count():,} parameters{parts}"
        )


def describe_run(
    model: SpanModel, windows: Sequence[TrainingWindow], recipe: FinetuneQuestionsRecipe
) -> dict[str, Any]:
    """Return all that decides the result, by name; `model` as the run begins with it."""
    settings = msgspec.to_builtins(recipe)
    del settings["training"]["threads"], settings["spans"]["precision"]  # the second came later, and is always one
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    digest = hashlib.sha256(repr(list(windows)).encode()).hexdigest()
    described = {"recipe": settings, "weights": hash_weights(weights), "windows": digest}
    return cast(dict[str, Any], json.loads(json.dumps(described)))  # as files have it: lists for tuples


def choose_golden(questions: Sequence[Question], recipe: FinetuneQuestionsRecipe) -> list[GoldenQuestion]:
    """Return a few questions, each about another context as long as there are enough."""
    by_context: dict[str, Question] = {}
    for question in questions:
        by_context.setdefault(question.context, question)
    some = list(by_context.values())
    rng = make_random(recipe.training.seed, "golden", 0)
    chosen = rng.sample(some, min(_GOLDEN, len(some)))
    return [GoldenQuestion(question.text, question.context) for question in chosen]
