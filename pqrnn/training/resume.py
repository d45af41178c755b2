"""Everything a training run needs to go on after a kill, in one file that is replaced atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pqrnn.errors import TrainingError
from pqrnn.training.scores import choosing_score
from pqrnn.weight_files import LARGEST_WEIGHTS, read_header
from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import check_regular, shorten
from runtime_py.json_errors import JSON_ERRORS

_HEAD = "progress"


class TrainingState(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Where a run is.

    Attributes:
        settings: Fingerprint of everything that decides the result; a state of other settings is not taken up.
        step: Optimiser steps done.
        epoch: Epochs finished.
        best: Highest development score so far that an epoch is chosen by.
        best_epoch: The latest epoch that had it, which is kept; 0 for the weights that the run began with.
        improved_epoch: The first epoch that had it, from which patience counts.
        loss_sum: Sum of the losses of the epoch under way.
        log: A record for each finished epoch.
        start: Development scores of the weights that the run began with, where they were given.
        described: The settings by name (`RunSettings.describe`); None in a state of an earlier version.
        changes: Settings that were changed under way: the steps done before, and both values by name.
    """

    settings: str
    step: int = 0
    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    improved_epoch: int = 0
    loss_sum: float = 0.0
    log: list[dict[str, Any]] = msgspec.field(default_factory=list)
    start: dict[str, Any] | None = None
    described: dict[str, Any] | None = None
    changes: list[dict[str, Any]] = msgspec.field(default_factory=list)

    @property
    def keeps_weights(self) -> bool:
        """Whether there are weights to keep: those of an epoch, or those that the run began with."""
        return self.best >= 0.0

    def is_hopeless(self, patience: int) -> bool:
        """Say whether the score has not improved for `patience` epochs; a patience of 0 never ends."""
        return bool(patience) and self.epoch - self.improved_epoch >= patience

    def end_epoch(self, scores: dict[str, Any], steps: int, rate: float, *, always: bool = False) -> bool:
        """Count an epoch and append its record to the log.

        Args:
            scores: Development scores after it.
            steps: Steps of an epoch.
            rate: Learning rate of its last step.
            always: Whether its weights are kept whatever epochs before were like.

        Returns:
            Whether no epoch before was better, so that its weights are to be kept.
        """
        self.epoch += 1
        self.log.append(
            {
                "epoch": self.epoch,
                "step": self.step,
                "loss": round(self.loss_sum / steps, 5),
                "learning_rate": rate,
                "dev": scores,
            }
        )
        self.loss_sum = 0.0
        score = choosing_score(scores)
        if score > self.best:
            self.improved_epoch = self.epoch
        if score < self.best and not always:
            return False
        self.best, self.best_epoch = score, self.epoch  # of equals the later one: it has seen more
        return True


def save_state(
    path: Path, progress: TrainingState, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer
) -> None:
    """Write modules, optimiser moments and progress."""
    tensors = {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{number}.{key}": value for key, value in moments.items()})
    write_atomic(
        path,
        save(
            {key: value.detach().clone() for key, value in tensors.items()},
            {_HEAD: msgspec.json.encode(progress).decode()},
        ),
    )


def read_progress(path: Path) -> TrainingState:
    """Read the progress alone.

    Raises:
        TrainingError: the file is damaged or of another version.
    """
    try:
        read_header(path, check_regular(path, LARGEST_WEIGHTS))
        with safe_open(path, "pt") as file:
            return msgspec.json.decode(file.metadata()[_HEAD], type=TrainingState)
    except (OSError, SafetensorError, KeyError, TypeError, *JSON_ERRORS, ValueError) as error:
        raise TrainingError(
            f"{path}: not a training state that this version can go on from ({shorten(error)}); "
            "use --restart to begin anew"
        ) from error


def load_state(path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> TrainingState:
    """Put a saved state back into modules and optimiser, and return its progress.

    Raises:
        TrainingError: the file is damaged or does not fit.
    """
    progress = read_progress(path)
    tensors: dict[str, Tensor] = load_file(path)
    try:
        for name, module in modules.items():
            prefix = f"{name}."
            module.load_state_dict(
                {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            )
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, number, kind = key.split(".")
                moments.setdefault(int(number), {})[kind] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    except (RuntimeError, ValueError, KeyError) as error:
        said = " ".join(shorten(error).split())
        raise TrainingError(f"{path}: does not fit this model ({said}); use --restart to begin anew") from error
    return progress
