"""Everything a training run needs to go on after a kill, in one file that is replaced atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pqrnn.errors import TrainingError
from runtime_py.atomic_files import write_atomic

_HEAD = "progress"


class TrainingState(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Where a run is.

    Attributes:
        settings: fingerprint of everything that decides the result: a state of other settings is not taken up.
        step: optimiser steps done.
        epoch: epochs finished.
        best: highest development exact match so far.
        best_epoch: the latest epoch that had it, which is kept; 0 for the weights that the run began with.
        improved_epoch: the first epoch that had it, from which patience counts.
        loss_sum: sum of the losses of the epoch under way.
        log: a record for each finished epoch.
        start: development scores of the weights that the run began with, where they were given.
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
        with safe_open(path, "pt") as file:
            return msgspec.json.decode(file.metadata()[_HEAD], type=TrainingState)
    except (OSError, SafetensorError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise TrainingError(
            f"{path}: not a training state that this version can go on from ({error}); use --restart to begin anew"
        ) from error


def load_state(path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> TrainingState:
    """Put a saved state back into modules and optimiser, and return its progress.

    Raises:
        TrainingError: the file is damaged or does not fit.
    """
    progress = read_progress(path)
    with safe_open(path, "pt") as file:
        tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}
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
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"{path}: does not fit this model ({error}); use --restart to begin anew") from error
    return progress
