"""Several processes that learn or label together, as `torchrun` starts them, on PyTorch's own engine.

A process alone is a team of one.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

from pqrnn.errors import TeamError

Value = TypeVar("Value")
Item = TypeVar("Item")

# One process may work alone for long (it evaluates, or labels a last shard). When another one dies, torchrun ends all:
# nobody waits for the dead.
_PATIENCE = timedelta(hours=6)
_PARTING = timedelta(seconds=20)
_GONE = re.compile(r"gloo|[Cc]onnection|peer|store|[Tt]imed out|[Tt]imeout")


def join_process_group() -> None:
    """Join the other processes for good, where `torchrun` set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.

    Otherwise, and the second time, nothing happens.

    Raises:
        TeamError: the others cannot be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or _is_distributed():
        return
    # Its functions take the group of the moment as their default. An optimizer's first step imports it, and if there is
    # a group by then, nothing ever frees it again: its threads live on until the process tears itself down around them.
    import torch.distributed.nn.functional

    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise TeamError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the other processes cannot be reached: {error}; start "
            "all by torchrun"
        ) from error
    atexit.register(leave_process_group)


def leave_process_group(*, failed: bool = False) -> None:
    """Part from the other processes, for good; alone, and the second time, nothing happens.

    A process that closes its connections while another still uses them brings that one down, so all wait for each
    other. And none may reach the end of the interpreter with the threads of the connections alive: such a thread that
    drops the last reference to a tensor of Python's then aborts the process.

    Args:
        failed: Whether this process has to tell the others by its absence, instead of waiting for them.
    """
    if not _is_distributed():
        return
    gc.collect()
    if not failed:
        with suppress(ValueError, RuntimeError):  # another one died, and torchrun tells of it
            distributed.monitored_barrier(timeout=_PARTING)
    distributed.destroy_process_group()


@contextmanager
def process_group() -> Iterator[None]:
    """Join the other processes for a block, and part in order at its end.

    A stop is the same step's in all of them; after any other error nobody waits.

    Raises:
        TeamError: the others cannot be reached.
    """
    join_process_group()
    failed = True
    try:
        yield
        failed = False
    except (KeyboardInterrupt, SystemExit):
        failed = False
        raise
    finally:
        leave_process_group(failed=failed)


@contextmanager
def _together() -> Iterator[None]:
    """Say in plain words that another process is gone."""
    try:
        yield
    except RuntimeError as error:  # gloo has no class of its own
        if not isinstance(error, distributed.DistError) and not _GONE.search(str(error)):
            raise
        raise TeamError(
            f"process {process_rank()} of {world_size()}: another one has ended or cannot be reached any more "
            f"({str(error).splitlines()[0]}); the same command on all of them goes on from the last state"
        ) from error


def world_size() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if _is_distributed() else 1


def process_rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _is_distributed() else 0


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def is_leader() -> bool:
    """Say whether this process is the one that writes files and speaks."""
    return process_rank() == 0


def broadcast(value: Value) -> Value:
    """Return the leader's value, in every process. All have to call it."""
    return all_gather(value)[0]


def all_gather(value: Value) -> list[Value]:
    """Return every process's value, by rank. All have to call it."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    with _together():
        distributed.all_gather_object(values, value)
    return values


def any_process(*flags: bool) -> tuple[bool, ...]:
    """Say of each flag whether it is set in one process at least. All have to call it."""
    if world_size() == 1:
        return flags
    counts = torch.tensor(flags, dtype=torch.int32)
    with _together():
        distributed.all_reduce(counts)
    return tuple(count > 0 for count in counts.tolist())


def all_reduce(value: Tensor) -> Tensor:
    """Return the sum over all processes. Gradients flow to every process's part. All have to call it."""
    if world_size() == 1:
        return value
    total: Tensor = _Sum.apply(value)
    return total


@torch.no_grad()
def broadcast_weights(network: nn.Module) -> None:
    """Give a network the leader's weights and buffers, in every process. All have to call it."""
    if world_size() > 1:
        with _together():
            for tensor in network.state_dict().values():
                distributed.broadcast(tensor, 0)


@torch.no_grad()
def average_gradients(network: nn.Module) -> None:
    """Replace every gradient of a network by its mean over all processes. All have to call it.

    A parameter that only some processes used has a zero gradient in the others, one that nobody used keeps none.
    Everything is summed at once and waited for, in an order that never changes: nothing is under way when a step ends,
    and a run that goes on after a stop rounds as one that was never stopped.
    """
    if world_size() == 1:
        return
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    used = torch.tensor([float(parameter.grad is not None) for parameter in trained])
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in trained]
    flat = torch.cat([used, *(gradient.reshape(-1) for gradient in gradients)]).div_(world_size())
    with _together():
        distributed.all_reduce(flat)
    counts, *means = flat.split([len(trained), *(parameter.numel() for parameter in trained)])
    for parameter, count, mean in zip(trained, counts.tolist(), means, strict=True):
        parameter.grad = mean.view_as(parameter) if count > 0.0 else None


class _Sum(torch.autograd.Function):
    """A sum over processes with its gradient.

    The sum depends on every process's part, so the gradient of a part is the sum of the gradients that all processes
    have for the sum.
    """

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        with _together():
            distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        with _together():
            distributed.all_reduce(total)
        return total


class Share(NamedTuple):
    """This process's part of a step.

    Attributes:
        items: Items that this process learns.
        all: Items that all processes learn, in every process the same.
    """

    items: list[Any]
    all: list[Any]


def share_items(items: Sequence[Item]) -> Share:
    """Return every n-th item for a team of n.

    Of fewer items than processes each process gets all: their mean is the same.
    """
    whole = list(items) if len(items) >= world_size() else list(items) * world_size()
    return Share(whole[process_rank() :: world_size()], whole)
