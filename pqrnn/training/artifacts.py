"""What a training run writes into its folder: state, log, learning curves and checkpoint."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from pqrnn.checkpoint import Facts, read_facts, read_revision, save_checkpoint
from pqrnn.dataset.encoded import EncodedDataset, measure_lengths
from pqrnn.distributed import is_leader
from pqrnn.errors import DivergenceError, TrainingError
from pqrnn.model.network import Network
from pqrnn.recipes.settings import TrainingConfig
from pqrnn.run_folder import CURVES, FACTS, GOLDEN_TEXTS, LOG, STATE, WEIGHTS
from pqrnn.seeding import make_random
from pqrnn.training.plots import plot_curves
from pqrnn.training.resume import TrainingState, load_state, read_progress, save_state
from pqrnn.training.run_settings import Difference, RunSettings, compare_settings
from pqrnn.training.step import TrainingStep
from runtime_py.atomic_files import write_atomic
from runtime_py.decode.labels import Labels

_CHANGEABLE = ("training.epochs", "training.patience")
_DRAW_SECONDS = 20.0  # drawing takes longer than an epoch of a small parser
_OTHER = "; choose another --out, or --restart to throw it away"


class RunArtifacts:
    """The files of a run. Every process reads them, the leader alone writes.

    Attributes:
        best: The network that is kept so far; None before there is one.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder where it does not exist."""
        self._folder = folder
        self._drawn = time.monotonic()
        self.best: nn.Module | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, network: nn.Module) -> None:
        """Keep a copy of a network as the best one so far."""
        self.best = copy.deepcopy(network)

    def take_up(self, step: TrainingStep, progress: TrainingState) -> TrainingState:
        """Put the saved state back, and return its progress; without a state return `progress`.

        What a kill left of a file that was being written is removed.

        Raises:
            TrainingError: the state is damaged or does not fit.
        """
        if is_leader():
            _remove_scraps(self._folder)
        state = self._folder / STATE
        if not state.is_file():
            return progress
        if read_progress(state).keeps_weights:
            self.keep(step.average)
        return load_state(state, self._modules(step), step.optimizer)

    def save(self, step: TrainingStep, progress: TrainingState) -> None:
        """Write the state."""
        if is_leader():
            with self._writing():
                save_state(self._folder / STATE, progress, self._modules(step), step.optimizer)

    @contextmanager
    def explain_failures(self, progress: TrainingState, config: TrainingConfig) -> Iterator[None]:
        """Say where a step that fails leaves the run, and what to do about it."""
        try:
            yield
        except DivergenceError as error:
            ways = f"--restart with a lower --learning-rate (now {config.learning_rate:g}) begins anew"
            if (self._folder / STATE).is_file() and progress.keeps_weights:
                ways = f"--finish keeps the best of the {progress.epoch} epochs before, {ways}"
            raise DivergenceError(f"{self._folder}: {error}, so the run stops; {ways}") from error

    def write_log(self, log: list[dict[str, Any]]) -> None:
        """Write the log, and the learning curves where nobody has drawn them for a while."""
        if is_leader():
            with self._writing():
                write_atomic(self._folder / LOG, "".join(json.dumps(line) + "\n" for line in log).encode())
                if time.monotonic() - self._drawn >= _DRAW_SECONDS:
                    plot_curves(log, self._folder / CURVES)
                    self._drawn = time.monotonic()

    def finish(
        self,
        settings: RunSettings,
        progress: TrainingState,
        labels: Labels,
        metrics: dict[str, Any],
        dataset: EncodedDataset,
        early: bool,
        complete: Callable[[Facts[Any], Network], Facts[Any]] | None = None,
    ) -> dict[str, Any]:
        """Write learning curves and checkpoint, remove the state, and return the scores that were written.

        Args:
            settings: What the run is about.
            progress: Where it ended.
            labels: Labels of the parser.
            metrics: Its development scores.
            dataset: The training utterances.
            early: Whether a person ended the run before its last epoch.
            complete: Changes the facts before they are written (`pqrnn.training.continuation`).
        """
        if not is_leader():
            return metrics
        facts: Facts[Any] = Facts(
            config=settings.model,
            labels=labels,
            data=settings.data,
            revision=read_revision(),
            training={
                **settings.as_dict(),
                "best_epoch": progress.best_epoch,
                "settings": progress.settings,
                **({"changes": progress.changes} if progress.changes else {}),
                **({"ended_early": progress.epoch} if early else {}),
                **settings.record,
            },
            metrics=metrics,
            lengths=measure_lengths(dataset),
            golden_texts=_choose_golden(dataset, settings.config.seed),
        )
        assert isinstance(self.best, Network)
        if complete is not None:
            facts = complete(facts, self.best)
        with self._writing():
            if progress.log:
                plot_curves(progress.log, self._folder / CURVES)
            save_checkpoint(self._folder, self.best, facts)
        (self._folder / STATE).unlink()
        return facts.metrics

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say where something cannot be written, and what is there still."""
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"{self._folder}: cannot be written ({error.strerror or error}); what was written before is whole: "
                "make room, and the same command goes on from there"
            ) from error

    def _modules(self, step: TrainingStep) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"model": step.model, "average": step.average}
        return modules if self.best is None else {**modules, "best": self.best}


def find_finished(folder: Path, settings: RunSettings) -> Facts[Any] | None:
    """Return the facts of a finished run with these settings, None where there is something to do.

    Raises:
        TrainingError: The folder holds a finished run with other settings, or an unfinished one with settings that
            cannot change under way.
    """
    if (folder / FACTS).is_file():
        facts = read_facts(folder, type(settings.model))
        if facts.training.get("settings") != settings.fingerprint():
            differences = compare_settings(_describe_finished(facts), settings)
            raise TrainingError(f"{folder}: holds a parser that was trained {_with_others(differences)}{_OTHER}")
        return facts
    state = folder / STATE
    if state.is_file():
        adopt_settings(folder, read_progress(state), settings)
    return None


def check_finishable(folder: Path) -> None:
    """Refuse to end what is not there.

    Raises:
        TrainingError: The folder holds no unfinished run, or one without an epoch that could be kept.
    """
    state = folder / STATE
    if not state.is_file():
        raise TrainingError(f"{folder}: holds no unfinished run, so there is nothing to --finish")
    if not read_progress(state).keeps_weights:
        raise TrainingError(
            f"{folder}: no epoch of this run is done yet, so there is none to keep: go on without --finish until "
            "there is"
        )


def adopt_settings(folder: Path, progress: TrainingState, settings: RunSettings) -> list[Difference]:
    """Let an unfinished run go on with these settings; return those that change.

    Args:
        folder: Folder of the run, for errors.
        progress: Where the run is; its settings become these.
        settings: What is asked for.

    Raises:
        TrainingError: With the names of the settings that cannot change under way.
    """
    fingerprint, described = settings.fingerprint(), progress.described
    same = progress.settings == fingerprint
    changed = [] if same or described is None else compare_settings(described, settings)
    if not same:
        if described is None:
            raise TrainingError(
                f"{folder}: holds an unfinished run with other settings or data, of a version that did not keep their "
                f"names{_OTHER}"
            )
        fixed = [one for one in changed if one.path not in _CHANGEABLE]
        if fixed or not changed:
            raise TrainingError(
                f"{folder}: holds an unfinished run {_with_others(fixed)}; only --epochs, --patience and --threads may "
                f"change under way{_OTHER}"
            )
        if settings.config.epochs <= progress.epoch:
            raise TrainingError(
                f"{folder}: holds an unfinished run of which {progress.epoch} epochs are done, so --epochs "
                f"{settings.config.epochs} cannot be reached: --finish ends it and keeps the best of them{_OTHER}"
            )
        progress.changes.append({"step": progress.step, **{one.path: [one.before, one.now] for one in changed}})
    progress.settings, progress.described = fingerprint, settings.describe()
    return changed


def _describe_finished(facts: Facts[Any]) -> dict[str, Any]:
    """Return the settings of a finished run by name, as `RunSettings.describe` does."""
    training = facts.training
    described = {"model": msgspec.to_builtins(facts.config), "training": training, "data": facts.data}
    return described | ({"distillation": training["distillation"]} if "distillation" in training else {})


def _with_others(differences: Sequence[Difference]) -> str:
    """Return "with other settings or data", and which."""
    named = f" ({'; '.join(one.text for one in differences)})" if differences else ""
    return f"with other settings or data{named}"


def discard(folder: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for name in (FACTS, WEIGHTS, LOG, CURVES, STATE):
        (folder / name).unlink(missing_ok=True)
    _remove_scraps(folder)


def _remove_scraps(folder: Path) -> None:
    """Remove files that `write_atomic` had not finished when it was killed."""
    for name in (FACTS, WEIGHTS, LOG, CURVES, STATE):
        path = folder / name
        for scrap in path.parent.glob(f".{path.name}.*"):
            if re.fullmatch(r"[0-9a-f]{8}", scrap.name.rpartition(".")[2]):
                scrap.unlink(missing_ok=True)


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
