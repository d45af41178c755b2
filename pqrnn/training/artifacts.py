"""What a training run writes into its folder: state, log, learning curves and checkpoint."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from torch import nn

from pqrnn.checkpoint import Facts, read_facts, read_revision, save_checkpoint
from pqrnn.dataset.encoded import EncodedDataset, measure_lengths
from pqrnn.distillation.loading import NetworkConfig
from pqrnn.distributed import is_leader
from pqrnn.errors import TrainingError
from pqrnn.model.network import Network
from pqrnn.run_folder import CURVES, FACTS, GOLDEN_TEXTS, LOG, STATE, WEIGHTS
from pqrnn.seeding import make_random
from pqrnn.training.plots import plot_curves
from pqrnn.training.resume import TrainingState, load_state, read_progress, save_state
from pqrnn.training.run_settings import RunSettings
from pqrnn.training.step import TrainingStep
from runtime_py.atomic_files import write_atomic
from runtime_py.decode.labels import Labels


class RunArtifacts:
    """The files of a run. Every process reads them, the leader alone writes.

    Attributes:
        best: The network that is kept so far; None before there is one.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder where it does not exist."""
        self._folder = folder
        self.best: nn.Module | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, network: nn.Module) -> None:
        """Keep a copy of a network as the best one so far."""
        self.best = copy.deepcopy(network)

    def take_up(self, step: TrainingStep, progress: TrainingState) -> TrainingState:
        """Put the saved state back, and return its progress; without a state return `progress`.

        Raises:
            TrainingError: the state is damaged or does not fit.
        """
        state = self._folder / STATE
        if not state.is_file():
            return progress
        if read_progress(state).best >= 0.0:
            self.keep(step.average)
        return load_state(state, self._modules(step), step.optimizer)

    def save(self, step: TrainingStep, progress: TrainingState) -> None:
        """Write the state."""
        if is_leader():
            save_state(self._folder / STATE, progress, self._modules(step), step.optimizer)

    def write_log(self, log: list[dict[str, Any]]) -> None:
        """Write log and learning curves."""
        if is_leader():
            write_atomic(self._folder / LOG, "".join(json.dumps(line) + "\n" for line in log).encode())
            plot_curves(log, self._folder / CURVES)

    def finish(self, settings: RunSettings, progress: TrainingState, labels: Labels, dataset: EncodedDataset) -> None:
        """Write the checkpoint, and remove the state."""
        if not is_leader():
            return
        facts: Facts[Any] = Facts(
            config=settings.model,
            labels=labels,
            data=settings.data,
            revision=read_revision(),
            training={
                **settings.as_dict(),
                "best_epoch": progress.best_epoch,
                "settings": progress.settings,
                **settings.record,
            },
            metrics=progress.metrics(),
            lengths=measure_lengths(dataset),
            golden_texts=_choose_golden(dataset, settings.config.seed),
        )
        assert isinstance(self.best, Network)
        save_checkpoint(self._folder, self.best, facts)
        (self._folder / STATE).unlink()

    def _modules(self, step: TrainingStep) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"model": step.model, "average": step.average}
        return modules if self.best is None else {**modules, "best": self.best}


def find_finished(folder: Path, fingerprint: str, kind: type[NetworkConfig]) -> Facts[Any] | None:
    """Return the facts of a finished run with these settings, None where there is something to do.

    Raises:
        TrainingError: the folder holds a run with other settings.
    """
    other = "with other settings or data; choose another --out, or --restart to throw it away"
    if (folder / FACTS).is_file():
        facts = read_facts(folder, kind)
        if facts.training.get("settings") != fingerprint:
            raise TrainingError(f"{folder}: holds a parser that was trained {other}")
        return facts
    state = folder / STATE
    if state.is_file() and read_progress(state).settings != fingerprint:
        raise TrainingError(f"{folder}: holds an unfinished run {other}")
    return None


def discard(folder: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for name in (FACTS, WEIGHTS, LOG, CURVES, STATE):
        (folder / name).unlink(missing_ok=True)


def _choose_golden(dataset: EncodedDataset, seed: int) -> list[str]:
    """Choose training texts of many lengths and intents, to be replayed on every compiled variant."""
    order = list(range(len(dataset.examples)))
    make_random(seed, "golden", 0).shuffle(order)
    kinds: set[tuple[str, int]] = set()
    chosen: list[str] = []
    for index in order:
        example = dataset.examples[index]
        kind = (example.intent, len(dataset.spans[index]) // 4)
        if kind not in kinds and len(chosen) < GOLDEN_TEXTS:
            kinds.add(kind)
            chosen.append(example.text)
    return chosen
