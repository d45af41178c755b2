"""Runs that count steps and keep their last weights: where one goes on, its loop, and one step of its optimizer."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from pqrnn.errors import DivergenceError, TrainingError
from pqrnn.recipes.differences import name_differences
from pqrnn.training.reporting import TrainingReporter
from pqrnn.training.resume import TrainingState, read_progress
from pqrnn.training.signals import Signals

Batch = TypeVar("Batch")


class Duties(NamedTuple):
    """What a loop has done for it.

    Attributes:
        learn: Learns a batch, given the number of the step from 0, and returns its loss.
        record: Writes a record of the progress.
        save: Writes all that the run needs to go on.
    """

    learn: Callable[[int, Any], float]
    record: Callable[[], None]
    save: Callable[[], None]


def begin_run(described: dict[str, Any]) -> TrainingState:
    """Return where a run is before its first step, with the fingerprint of all that decides its result."""
    fingerprint = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
    return TrainingState(settings=fingerprint, described=described)


def find_progress(
    state: Path, folder: Path, described: dict[str, Any], finish: bool, data: tuple[str, ...]
) -> TrainingState:
    """Return where the unfinished run of a folder is, or the start of one.

    Args:
        state: The file of its state, which need not exist.
        folder: Its folder, for errors.
        described: All that decides the result, by name.
        finish: Whether the run is to end where it is.
        data: Names of what is known by its digest alone.

    Raises:
        TrainingError: It has other settings, or there is nothing to finish.
    """
    wanted = begin_run(described)
    if not state.is_file():
        if finish:
            raise TrainingError(f"{folder}: holds no unfinished run, so there is nothing to --finish")
        return wanted
    progress = read_progress(state)
    if progress.settings != wanted.settings:
        named = "; ".join(name_differences(progress.described or {}, described, data))
        raise TrainingError(
            f"{folder}: holds an unfinished run with other settings or data ({named}); choose another --out, or "
            "--restart to throw it away"
        )
    return progress


def run_steps(
    progress: TrainingState,
    total: int,
    steps: Iterator[tuple[int, Batch]],
    duties: Duties,
    reporter: TrainingReporter,
    *,
    every: int,
    save_seconds: float,
    stop_after: int | None = None,
) -> None:
    """Run the steps that are left; a stop, a kill or a full disk loses at most what came after the last save.

    Args:
        progress: Where the run is; it is kept up to date.
        total: Steps of the whole run.
        steps: The batches that are left, with the numbers of their steps.
        duties: What is done at a step.
        reporter: Is told of every step.
        every: Steps from one record to the next; there is one at the end, too.
        save_seconds: Seconds from one save to the next.
        stop_after: Step after which `KeyboardInterrupt` is raised without saving: a kill, for tests.
    """
    saved = time.monotonic()
    with Signals() as signals:
        try:
            for step, batch in steps:
                with signals.hold():  # a step and its record are whole: the log of a run that goes on is the same
                    loss = duties.learn(step, batch)
                    progress.step, progress.loss_sum = step + 1, progress.loss_sum + loss
                    if progress.step % every == 0 or progress.step == total:
                        duties.record()
                reporter.step(progress.step, loss)
                if stop_after is not None and progress.step >= stop_after:
                    raise KeyboardInterrupt
                ends = signals.poll() or progress.step == total
                # Also at the end: a kill while the result is being written leaves a run that can go on.
                if time.monotonic() - saved > save_seconds or ends:
                    duties.save()
                    saved = time.monotonic()
                if ends:
                    break
        except KeyboardInterrupt:
            if stop_after is None:
                with signals.hold():
                    duties.save()
            raise


def end_record(progress: TrainingState, **more: Any) -> None:
    """Append the mean loss since the record before to the log, and what else is known."""
    before = progress.log[-1]["step"] if progress.log else 0
    loss = round(progress.loss_sum / (progress.step - before), 7)
    progress.log.append({"step": progress.step, "loss": loss, **more})
    progress.loss_sum = 0.0


def encode_log(progress: TrainingState) -> bytes:
    """Return the log as JSON lines."""
    return "".join(json.dumps(line) + "\n" for line in progress.log).encode()


def take_step(
    loss: Callable[[], Tensor],
    parameters: Iterable[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    *,
    rate: float,
    precision: str,
    clip: float,
    where: str,
) -> float:
    """Learn from a batch and return its loss.

    Args:
        loss: Computes it.
        parameters: What is learned.
        optimizer: Changes them; a group's rate is its `scale`, where it has one, times `rate`.
        rate: Learning rate.
        precision: Precision of matrix products, "float32" or "bfloat16".
        clip: Largest norm of the gradient.
        where: How an error calls the run and the step.

    Raises:
        DivergenceError: The loss or its gradient is no finite number.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        found = loss()
    optimizer.zero_grad(set_to_none=True)
    found.backward()
    norm = float(nn.utils.clip_grad_norm_(parameters, clip))
    value = float(found.detach())
    if not math.isfinite(value) or not math.isfinite(norm):
        raise DivergenceError(
            f"{where}: the loss is {value}, its gradient {norm}, at a learning rate of {rate:.2g}, so the run stops; "
            "--restart with a lower --learning-rate begins anew"
        )
    optimizer.step()
    return value
