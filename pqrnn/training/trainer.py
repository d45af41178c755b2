"""Training of a parser or a teacher: a plain PyTorch loop that a kill at any step cannot harm.

Whatever is random in a step is drawn from the seed and the step's number, never from what ran before. A run that is
taken up again therefore computes the very same steps and ends in the same weights, on the same machine, PyTorch and
number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pqrnn.augmentation.misspelling import Misspeller
from pqrnn.augmentation.restyling import Restyler
from pqrnn.augmentation.slot_swap import SlotSwap
from pqrnn.data.examples import Example
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.dataset.encoded import encode_examples
from pqrnn.dataset.labels import list_labels
from pqrnn.dataset.segmented import SegmentedExamples, segment_examples
from pqrnn.distillation.loading import NetworkConfig, make_network
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.distributed import all_gather, broadcast, is_leader, process_rank
from pqrnn.errors import TrainingError
from pqrnn.model.network import Network, WordTable
from pqrnn.recipes.settings import ProjectionConfig, TrainingConfig
from pqrnn.seeding import make_random
from pqrnn.training.artifacts import RunArtifacts, adopt_settings, check_finishable, discard, find_finished
from pqrnn.training.batches import TrainingBatches
from pqrnn.training.config import learning_rate
from pqrnn.training.continuation import Continuation
from pqrnn.training.reporting import TrainingOutcome, TrainingReporter
from pqrnn.training.resume import TrainingState
from pqrnn.training.run_settings import RunSettings, hash_weights
from pqrnn.training.scorer import Scorer, rewrite_all
from pqrnn.training.scores import choosing_score
from pqrnn.training.signals import Signals
from pqrnn.training.step import TrainingStep
from runtime_py.decode.labels import Labels

_SAVE_SECONDS = 60.0


def train(
    folder: Path,
    training: Sequence[Example],
    development: Sequence[Example],
    model_config: NetworkConfig,
    config: TrainingConfig,
    *,
    objective: DistillationObjective | None = None,
    initial: Mapping[str, Tensor] | None = None,
    continuation: Continuation | None = None,
    source: dict[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
    stop_after: int | None = None,
) -> TrainingOutcome:
    """Train a parser, or go on where an earlier call with the same settings was stopped.

    Args:
        folder: Folder for checkpoint, log, learning curves and state.
        training: Utterances to learn; `pqrnn.dataset.segmented.SegmentedExamples` are not segmented again.
        development: Utterances that decide which epoch is kept, and when to stop.
        model_config: Shape of the network.
        config: Settings of the training.
        objective: A teacher's answers about the same training utterances; without them only the labels are learned.
        initial: Weights to start from, as the network's `state_dict`, and to end with if nothing that is learned is as
            good on the development set; without them they are drawn from the seed.
        continuation: What is taken over from the parser that `initial` comes from, where further labels are learned.
        source: Where the data came from, kept in the checkpoint.
        record: What else the checkpoint keeps of how it was made, such as the recipe; it does not decide the result.
        restart: Whether an earlier run in `folder` is thrown away.
        finish: Whether an unfinished run in `folder` ends where it is: its best epoch is kept, nothing is learned.
        reporter: Object that is told of progress.
        stop_after: Step after which `KeyboardInterrupt` is raised without saving: a kill, for tests.

    Raises:
        TrainingError: no data, answers about other data, weights of another shape, `folder` holds a run with other
            settings, nothing there can be finished, or the loss is no number any more.
    """
    if not training or not development:
        raise TrainingError(
            f"nothing to learn from: {len(training)} training and {len(development)} development utterances"
        )
    if restart and finish:
        raise TrainingError("--restart throws the run away that --finish is to end: give one of them")
    if config.threads:
        torch.set_num_threads(config.threads)
    projection = getattr(model_config, "projection", ProjectionConfig())
    segmented = segment_examples(training, projection.version)
    development = segment_examples(development, projection.version)
    data = {**(source or {}), "train": fingerprint_examples(training), "dev": fingerprint_examples(development)}
    labels = None if continuation is None else continuation.labels
    if objective is not None:
        data["lessons"] = objective.store.digest
        labels = labels or list_labels(segmented)
        objective.check(len(training), labels)
    if initial is not None:
        data["initial"] = hash_weights(initial)
    if continuation is not None and continuation.masks is not None:
        data["initial"] += ", of which new labels learn"
    settings = RunSettings(model_config, config, data, objective, record or {})
    if restart and is_leader():
        discard(folder)
    broadcast(None)  # nobody looks into the folder before the leader has cleared it
    finished = find_finished(folder, settings)
    if finished is not None:
        return TrainingOutcome(folder, finished.metrics, "was finished")
    if finish:
        check_finishable(folder)
    run = _Run(settings, labels or list_labels(segmented), segmented, development, initial, continuation)
    progress = TrainingState(settings=settings.fingerprint(), described=settings.describe())
    return run.finish(folder, progress, reporter or TrainingReporter(), stop_after, finish)


class _Run:
    """One run: the network, its data, and the loop over them."""

    def __init__(
        self,
        settings: RunSettings,
        labels: Labels,
        training: SegmentedExamples,
        development: Sequence[Example],
        initial: Mapping[str, Tensor] | None,
        continuation: Continuation | None,
    ) -> None:
        config, objective = settings.config, settings.objective
        self.settings, self.labels, self.continuation = settings, labels, continuation
        self.has_start = initial is not None and continuation is None
        torch.manual_seed(config.seed)
        model = make_network(settings.model, labels)
        if initial is not None:
            _start_from(model, initial)
        if continuation is not None:
            continuation.freeze(model)
        self.table = model.make_table()
        with torch.inference_mode():
            self.dataset = encode_examples(training, self.table, labels.intents, labels.tags)
            misspell = _make_misspeller(model, self.table, training, config.seed) if config.misspell else None
            held_out = encode_examples(development, self.table, labels.intents, labels.tags)
            restyle = (
                Restyler([*training.words, *held_out.examples.words], labels.tags, model.projection, self.table)
                if config.restyle and (objective is None or objective.follows_rewriting)
                else None
            )
            rewritten = rewrite_all(held_out, restyle) if restyle is not None else []
        utterances = self.dataset.utterances
        languages = [each.language for each in utterances]
        variants = [[each] for each in utterances] if objective is None else objective.gather(self.table, languages)
        self.batches = TrainingBatches(
            variants, config, SlotSwap(utterances, labels.tags), misspell, objective, restyle
        )
        self.total = self.batches.per_epoch * config.epochs
        self.step = TrainingStep(model, self.table, config, self.total, objective)
        self.scorer = Scorer(
            held_out,
            labels,
            self.table,
            rewritten,
            weighed=continuation is not None,
            smallest=None if self.step.sandwich is None else self.step.sandwich.smallest,
        )

    def finish(
        self,
        folder: Path,
        progress: TrainingState,
        reporter: TrainingReporter,
        stop_after: int | None,
        early: bool,
    ) -> TrainingOutcome:
        """Run all epochs that are left, or none if it is to end early, and write the result."""
        artifacts = RunArtifacts(folder)
        progress = artifacts.take_up(self.step, progress)
        changed = adopt_settings(folder, progress, self.settings)
        if len(set(all_gather(progress.step))) > 1:
            raise TrainingError(
                f"{folder}: the processes find different states there; on several machines it has to be a folder that "
                "all share"
            )
        for one in changed:
            reporter.note(f"goes on from step {progress.step} with another setting: {one.text}")
        reporter.start(self.total, progress.step, self._describe())
        with Signals() as signals:
            if self.has_start and progress.start is None:
                self._score_start(progress, artifacts)
            try:
                early = early or self._loop(progress, artifacts, reporter, signals, stop_after)
            except KeyboardInterrupt:
                if stop_after is None:
                    with signals.hold():
                        artifacts.save(self.step, progress)
                raise
            all_done = progress.epoch == self.settings.config.epochs
            labels, metrics = self.scorer.choose(artifacts.best if isinstance(artifacts.best, Network) else None)
            reporter.note(_describe_weights(labels))
            complete = None if self.continuation is None else self.continuation.complete
            early = early and not all_done
            metrics = artifacts.finish(self.settings, progress, labels, metrics, self.dataset, early, complete)
        ended = "done" if all_done else "ended early" if early else "early stop"
        return TrainingOutcome(folder, metrics, ended)

    def _loop(
        self,
        progress: TrainingState,
        artifacts: RunArtifacts,
        reporter: TrainingReporter,
        signals: Signals,
        stop_after: int | None,
    ) -> bool:
        """Learn until the last epoch, until patience ends, or until a signal asks for the end: say whether one did."""
        config, saved = self.settings.config, time.monotonic()
        while progress.epoch < config.epochs and not progress.is_hopeless(config.patience):
            for number, indices in self.batches.remaining(progress.epoch, progress.step):
                rng = make_random(config.seed, "step", number)
                torch.manual_seed(rng.getrandbits(48) + process_rank())
                utterances = self.batches.draw(indices, rng)
                # Whole: norms see the batch long before the weights change, and a step that is done again must not
                # find any of it.
                with signals.hold(), artifacts.explain_failures(progress, config):
                    loss = self.step(number, utterances, progress)
                reporter.step(number + 1, loss)
                if stop_after is not None and progress.step >= stop_after:
                    raise KeyboardInterrupt
                if signals.poll() and progress.keeps_weights:
                    return True
                if time.monotonic() - saved > _SAVE_SECONDS:
                    artifacts.save(self.step, progress)
                    saved = time.monotonic()
            self._end_epoch(progress, artifacts, signals)
            reporter.epoch(progress.log[-1])
            artifacts.save(self.step, progress)
            saved = time.monotonic()
            if signals.poll():
                return True
        return False

    def _score_start(self, progress: TrainingState, artifacts: RunArtifacts) -> None:
        """Score the weights that the run begins with: they are kept if nothing that is learned is as good."""
        scores = self.scorer(self.step.average)
        progress.start, progress.best = scores, choosing_score(scores)
        artifacts.keep(self.step.average)

    def _end_epoch(self, progress: TrainingState, artifacts: RunArtifacts, signals: Signals) -> None:
        """Score the average of the weights, and note the epoch in one piece."""
        scores = self.scorer(self.step.average)
        rate = learning_rate(self.settings.config, progress.step - 1, self.total)
        with signals.hold():
            if progress.end_epoch(scores, self.batches.per_epoch, rate, always=self.continuation is not None):
                artifacts.keep(self.step.average)
            artifacts.write_log(progress.log)

    def _describe(self) -> str:
        labels, held_out = self.labels, self.scorer.dataset
        return (
            f"{len(self.dataset.examples)} training and {len(held_out.examples)} development utterances, "
            f"{len(labels.intents)} intents, {len(self.scorer.decoder.scheme.slots)} slots, "
            f"{len(self.table)} distinct words, {self.step.model.parameters_count():,} parameters\n"
            f"training: {self.dataset.report.describe()}\ndevelopment: {held_out.report.describe()}"
        )


def _describe_weights(labels: Labels) -> str:
    weights = labels.frame_weights
    if not weights:
        return "there are no slots, so the largest logit is the intent"
    far = "any" if weights.margin is None else f"{weights.margin:g}"
    return (
        f"weights chosen on development data: prior of frames {weights.prior:g}, penalty of a slot that never "
        f"came with its intent {weights.penalty:g}, margin of intents {far}"
    )


def _start_from(model: Network, weights: Mapping[str, Tensor]) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(f"the weights to start from are of another shape, or for other labels: {error}") from error


def _make_misspeller(model: Network, table: WordTable, training: SegmentedExamples, seed: int) -> Misspeller:
    words = [word for text in training.words for word in text]
    return Misspeller(words, model.projection, table, make_random(seed, "misspell", 0))
