"""Training of a student or a teacher: a plain PyTorch loop that a kill at any step cannot harm.

Whatever is random in a step is drawn from the seed and the step's number, never from what ran before, so a run that is
taken up again computes the very same steps and ends in the same weights (on the same machine, PyTorch and number of
threads).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save
from torch import Tensor, nn

from pqrnn.augmentation.misspelling import Misspeller
from pqrnn.augmentation.slot_swap import SlotSwap
from pqrnn.checkpoint import Facts, read_facts, read_revision, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.dataset.collate import collate
from pqrnn.dataset.encoded import EncodedDataset, EncodedUtterance, encode_examples, measure_lengths
from pqrnn.dataset.labels import list_labels
from pqrnn.distillation.loading import NetworkConfig, make_network
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.distributed import (
    all_gather,
    all_reduce,
    broadcast,
    is_leader,
    process_rank,
    share_items,
    world_size,
    wrap_network,
)
from pqrnn.errors import TrainingError
from pqrnn.evaluation.frames import frame_of_example
from pqrnn.evaluation.metrics import score_frames
from pqrnn.evaluation.prediction import predict_encoded
from pqrnn.model.int8 import AMAX_BEFORE
from pqrnn.model.losses import Totals, joint_loss
from pqrnn.model.network import Network
from pqrnn.model.retired_options import add_retired_options
from pqrnn.recipes.settings import ModelConfig, TrainingConfig
from pqrnn.run_folder import CURVES, FACTS, GOLDEN_TEXTS, LOG, STATE, WEIGHTS
from pqrnn.seeding import make_random
from pqrnn.training.config import learning_rate
from pqrnn.training.optimizer import group_parameters, update_average
from pqrnn.training.plots import plot_curves
from pqrnn.training.reporting import TrainingOutcome, TrainingReporter
from pqrnn.training.resume import TrainingState, load_state, read_progress, save_state
from pqrnn.training.signals import postpone_interrupts
from runtime_py.atomic_files import write_atomic

_WINDOW = 50  # batches that are sorted by length together
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
    source: dict[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
    restart: bool = False,
    reporter: TrainingReporter | None = None,
    stop_after: int | None = None,
) -> TrainingOutcome:
    """Train a parser, or go on where an earlier call with the same settings was stopped.

    Args:
        folder: where everything is written: checkpoint, log, picture, state.
        training: what is learned.
        development: what decides which epoch is kept, and when to stop.
        model_config: shape of the network.
        config: settings.
        objective: a teacher's lessons about the same training utterances; without them only the labels are learned.
        initial: weights to start from, as the network's `state_dict`, and to end with if nothing that is learned is as
            good on the development set; without them they are drawn from the seed.
        source: where the data came from, kept in the checkpoint.
        record: what else the checkpoint keeps of how it was made, such as the recipe; it does not decide the result.
        restart: throw an earlier run in `folder` away.
        reporter: is told of progress.
        stop_after: raise `KeyboardInterrupt` after this step without saving: a kill, for tests.

    Raises:
        TrainingError: no data, lessons of other data, weights of another shape, or `folder` holds a run with other
            settings.
    """
    if not training or not development:
        raise TrainingError(
            f"nothing to learn from: {len(training)} training and {len(development)} development utterances"
        )
    if config.threads:
        torch.set_num_threads(config.threads)
    data = {**(source or {}), "train": fingerprint_examples(training), "dev": fingerprint_examples(development)}
    if objective is not None:
        data["lessons"] = objective.lessons.digest
        objective.check(len(training), list_labels(training))
    if initial is not None:
        data["initial"] = _digest(initial)
    settings = _fingerprint(model_config, config, data, objective)
    if restart and is_leader():
        discard(folder)
    broadcast(None)  # nobody looks into the folder before the leader has cleared it
    finished = _check_folder(folder, settings, type(model_config))
    if finished is not None:
        return TrainingOutcome(folder, finished.metrics, "was finished")
    run = _Run(
        folder,
        training,
        development,
        model_config,
        config,
        data,
        settings,
        reporter or TrainingReporter(),
        objective,
        initial,
        record or {},
    )
    return run.finish(stop_after)


class _Run:
    """One run: corpora, model, optimiser and the loop over them."""

    def __init__(
        self,
        folder: Path,
        training: Sequence[Example],
        development: Sequence[Example],
        model_config: NetworkConfig,
        config: TrainingConfig,
        data: dict[str, Any],
        settings: str,
        reporter: TrainingReporter,
        objective: DistillationObjective | None,
        initial: Mapping[str, Tensor] | None,
        record: Mapping[str, Any],
    ) -> None:
        self.record = record
        self.folder, self.config, self.data, self.settings, self.reporter = folder, config, data, settings, reporter
        self.model_config = model_config
        self.labels = list_labels(training)
        self.decoder = self.labels.decoder()
        torch.manual_seed(config.seed)
        self.model = make_network(model_config, self.labels)
        if initial is not None:
            try:
                self.model.load_state_dict(initial)
            except RuntimeError as error:
                raise TrainingError(
                    f"the weights to start from are of another shape, or for other labels: {error}"
                ) from error
        self.average = copy.deepcopy(self.model).eval()
        self.table = self.model.make_table()
        with torch.inference_mode():
            self.training = encode_examples(
                training, self.model.projection, self.table, self.labels.intents, self.labels.tags
            )
            self.misspell = self._make_misspeller() if config.misspell else None
            self.development = encode_examples(
                development, self.model.projection, self.table, self.labels.intents, self.labels.tags
            )
        self.objective = objective
        self.rows = [[row] for row in self.training.rows] if objective is None else objective.gather(self.table)
        self.gold = [frame_of_example(example) for example in self.development.examples]
        self.swap = SlotSwap(self.training.rows, self.labels.tags)
        self.optimizer = torch.optim.AdamW(
            group_parameters(self.model, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self.batches = math.ceil(len(self.rows) / config.batch)
        self.total = self.batches * config.epochs
        self.progress = TrainingState(settings=settings)
        self.begun = initial is not None
        self.learner = wrap_network(self.model, self.table)
        self.modules: dict[str, nn.Module] = {"model": self.model, "average": self.average}

    def finish(self, stop_after: int | None) -> TrainingOutcome:
        """Run all epochs that are left and write the result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_up()
        self.reporter.start(self.total, self.progress.step, self._describe())
        progress, saved = self.progress, time.monotonic()
        if self.begun and progress.start is None:
            self._judge_start()
        try:
            while progress.epoch < self.config.epochs and not self._is_hopeless():
                for number, rows in self._remaining_batches():
                    self._learn(number, rows)
                    if stop_after is not None and progress.step >= stop_after:
                        raise KeyboardInterrupt
                    if time.monotonic() - saved > _SAVE_SECONDS:
                        self._save()
                        saved = time.monotonic()
                self._end_epoch()
                self._save()
                saved = time.monotonic()
        except KeyboardInterrupt:
            if stop_after is None:
                self._save()
            raise
        if is_leader():
            self._write_checkpoint()
            (self.folder / STATE).unlink()
        return TrainingOutcome(
            self.folder, broadcast(self._metrics()), "early stop" if progress.epoch < self.config.epochs else "done"
        )

    def _take_up(self) -> None:
        state = self.folder / STATE
        if state.is_file():
            if read_progress(state).best >= 0.0:
                self.modules["best"] = copy.deepcopy(self.average)
            self.progress = load_state(state, self.modules, self.optimizer)
        if len(set(all_gather(self.progress.step))) > 1:
            raise TrainingError(
                f"{self.folder}: the processes find different states there; on several machines it has to be a folder that all share"
            )

    def _is_hopeless(self) -> bool:
        return bool(self.config.patience) and self.progress.epoch - self.progress.improved_epoch >= self.config.patience

    def _learn(self, number: int, rows: Sequence[int]) -> None:
        """One optimiser step on the training rows `rows`; `number` is the step's, from 0."""
        config = self.config
        rng = make_random(config.seed, "step", number)
        torch.manual_seed(rng.getrandbits(48) + process_rank())
        self.model.train()
        chosen = [
            self._augment(
                self.rows[row][0] if self.objective is None else self.objective.choose(self.rows[row], rng), rng
            )
            for row in rows
        ]
        share = share_items(chosen)
        totals = Totals(len(share.all) / world_size(), sum(row.intent >= 0 for row in share.all) / world_size())
        batch = collate(share.items)
        rate = learning_rate(config, number, self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
            encoding = self.learner(batch.words, batch.mask)
        loss = joint_loss(
            encoding.intent, encoding.tags, batch.intents, batch.tags, config.smoothing, config.intent_weight, totals
        )
        if self.objective is not None:
            loss = self.objective.blend(loss, encoding, share.items, batch.mask, totals)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        with torch.no_grad():
            value = all_reduce(loss.detach()).item() / world_size()
        with postpone_interrupts():
            self.optimizer.step()
            # The average begins short, so that the first weights are soon forgotten.
            update_average(self.average, self.model, min(config.average, (1 + number) / (10 + number)))
            self.progress.step = number + 1
            self.progress.loss_sum += value
        self.reporter.step(number + 1, value)

    def _augment(self, row: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        if self.config.swap and row.logit_index < 0:  # stored logits are about the very words
            row = self.swap(row, self.config.swap, rng)
        if self.misspell is not None:
            row = self.misspell(row, self.config.misspell, rng)
        return row

    def _remaining_batches(self) -> Iterator[tuple[int, list[int]]]:
        """Batches of the epoch under way that were not learned yet:

        (step number, training rows), of similar length within a batch.
        """
        first = self.progress.epoch * self.batches
        rng = make_random(self.config.seed, "epoch", self.progress.epoch)
        order = list(range(len(self.rows)))
        rng.shuffle(order)
        size = self.config.batch
        batches = []
        for start in range(0, len(order), size * _WINDOW):
            window = sorted(order[start : start + size * _WINDOW], key=lambda row: len(self.rows[row][0].words))
            batches += [window[place : place + size] for place in range(0, len(window), size)]
        rng.shuffle(batches)
        for place in range(self.progress.step - first, len(batches)):
            yield first + place, batches[place]

    def _judge_start(self) -> None:
        """Score the weights that the run begins with: they are kept if nothing that is learned is as good."""
        scores = broadcast(self._score() if is_leader() else {})
        self.progress.start, self.progress.best = scores, scores["exact_match"]["value"]
        self.modules["best"] = copy.deepcopy(self.average)

    def _end_epoch(self) -> None:
        # The leader alone decides what is best: other machines might round differently.
        scores = broadcast(self._score() if is_leader() else {})
        with postpone_interrupts():
            self._note_epoch(scores)
        self.reporter.epoch(self.progress.log[-1])

    def _score(self) -> dict[str, Any]:
        return score_frames(
            self.gold, predict_encoded(self.average, self.decoder, self.development, self.table)
        ).as_dict()

    def _note_epoch(self, scores: dict[str, Any]) -> None:
        progress = self.progress
        progress.epoch += 1
        record = {
            "epoch": progress.epoch,
            "step": progress.step,
            "loss": round(progress.loss_sum / self.batches, 5),
            "learning_rate": learning_rate(self.config, progress.step - 1, self.total),
            "dev": scores,
        }
        progress.loss_sum = 0.0
        progress.log.append(record)
        score = scores["exact_match"]["value"]
        if score > progress.best:
            progress.improved_epoch = progress.epoch
        if score >= progress.best:  # of equals the later one: it has seen more
            progress.best, progress.best_epoch = score, progress.epoch
            self.modules["best"] = copy.deepcopy(self.average)
        if is_leader():
            write_atomic(self.folder / LOG, "".join(json.dumps(line) + "\n" for line in progress.log).encode())
            plot_curves(progress.log, self.folder / CURVES)

    def _save(self) -> None:
        if is_leader():
            save_state(self.folder / STATE, self.progress, self.modules, self.optimizer)

    def _metrics(self) -> dict[str, Any]:
        progress = self.progress
        return {"dev": progress.log[progress.best_epoch - 1]["dev"] if progress.best_epoch else progress.start}

    def _write_checkpoint(self) -> None:
        facts: Facts[Any] = Facts(
            config=self.model_config,
            labels=self.labels,
            data=self.data,
            revision=read_revision(),
            training={
                **msgspec.to_builtins(self.config),
                **(
                    {
                        "distillation": msgspec.to_builtins(self.objective.config),
                        "teachers": self.objective.lessons.index.teachers,
                    }
                    if self.objective
                    else {}
                ),
                "best_epoch": self.progress.best_epoch,
                "settings": self.settings,
                **self.record,
            },
            metrics=self._metrics(),
            lengths=measure_lengths(self.training),
            golden_texts=_choose_golden(self.training, self.config.seed),
        )
        best = self.modules["best"]
        assert isinstance(best, Network)
        save_checkpoint(self.folder, best, facts)

    def _make_misspeller(self) -> Misspeller:
        raw = [example.text.encode() for example in self.training.examples]
        words = [text[start:end] for text, spans in zip(raw, self.training.spans, strict=True) for start, end in spans]
        return Misspeller(words, self.model.projection, self.table, make_random(self.config.seed, "misspell", 0))

    def _describe(self) -> str:
        labels = self.labels
        return (
            f"{len(self.training.rows)} training and {len(self.development.rows)} development utterances, {len(labels.intents)} intents, "
            f"{len(self.decoder.scheme.slots)} slots, {len(self.table)} distinct words, {self.model.parameters_count():,} parameters\n"
            f"training: {self.training.report.describe()}\ndevelopment: {self.development.report.describe()}"
        )


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights and their names, which are those of before: runs of then remain valid."""
    named = {re.sub(r"\bamax$", AMAX_BEFORE, name): value for name, value in weights.items()}
    return hashlib.sha256(save(named)).hexdigest()


def _fingerprint(
    model: NetworkConfig, config: TrainingConfig, data: dict[str, Any], objective: DistillationObjective | None
) -> str:
    shape = msgspec.to_builtins(model)
    decisive = [
        add_retired_options(shape) if isinstance(model, ModelConfig) else shape,
        {k: v for k, v in msgspec.to_builtins(config).items() if k != "threads"},
        data["train"],
        data["dev"],
    ]
    if objective is not None:
        decisive += [msgspec.to_builtins(objective.config), data["lessons"]]
    if "initial" in data:
        decisive.append(data["initial"])
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _check_folder(folder: Path, settings: str, kind: type[NetworkConfig]) -> Facts[Any] | None:
    """Return the facts of a finished run with these settings, None where there is something to do."""
    other = "with other settings or data; choose another --out, or --restart to throw it away"
    if (folder / FACTS).is_file():
        facts = read_facts(folder, kind)
        if facts.training.get("settings") != settings:
            raise TrainingError(f"{folder}: holds a parser that was trained {other}")
        return facts
    state = folder / STATE
    if state.is_file() and read_progress(state).settings != settings:
        raise TrainingError(f"{folder}: holds an unfinished run {other}")
    return None


def discard(folder: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for name in (FACTS, WEIGHTS, LOG, CURVES, STATE):
        (folder / name).unlink(missing_ok=True)


def _choose_golden(corpus: EncodedDataset, seed: int) -> list[str]:
    """Choose training texts of many lengths and intents, to be replayed on every compiled variant."""
    order = list(range(len(corpus.examples)))
    make_random(seed, "golden", 0).shuffle(order)
    kinds: set[tuple[str, int]] = set()
    chosen: list[str] = []
    for row in order:
        kind = (corpus.examples[row].intent, len(corpus.spans[row]) // 4)
        if kind not in kinds and len(chosen) < GOLDEN_TEXTS:
            kinds.add(kind)
            chosen.append(corpus.examples[row].text)
    return chosen
