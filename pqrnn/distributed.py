"""Several processes that learn or label together, as `torchrun` starts them, on PyTorch's own engine.

A process alone is a team of one.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pqrnn.errors import TrainingError
from pqrnn.model.network import Encoding, Network, WordTable

Value = TypeVar("Value")
Item = TypeVar("Item")

# One process may work alone for long (it evaluates, or labels a last shard). When another one dies, torchrun ends all:
# nobody waits for the dead.
_PATIENCE = timedelta(hours=6)
_PARTING = timedelta(seconds=20)


def join_process_group() -> None:
    """Join the other processes for good, where `torchrun` set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.

    Otherwise, and the second time, nothing happens.

    Raises:
        TrainingError: the others cannot be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or _is_distributed():
        return
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise TrainingError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the other processes cannot be reached: {error}; start "
            "all by torchrun"
        ) from error
    atexit.register(_leave_process_group)


def _leave_process_group() -> None:
    """Part when all are done.

    A process that closes its connections while another still uses them can bring that one down.
    """
    gc.collect()  # learners that an exception kept alive hold on to the group
    with suppress(ValueError, RuntimeError):  # another one died, and torchrun tells of it
        distributed.monitored_barrier(timeout=_PARTING)
    distributed.destroy_process_group()


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
    distributed.all_gather_object(values, value)
    return values


def any_process(*flags: bool) -> tuple[bool, ...]:
    """Say of each flag whether it is set in one process at least. All have to call it."""
    if world_size() == 1:
        return flags
    counts = torch.tensor(flags, dtype=torch.int32)
    distributed.all_reduce(counts)
    return tuple(count > 0 for count in counts.tolist())


def all_reduce(value: Tensor) -> Tensor:
    """Return the sum over all processes. Gradients flow to every process's part. All have to call it."""
    if world_size() == 1:
        return value
    total: Tensor = _Sum.apply(value)
    return total


class _Sum(torch.autograd.Function):
    """A sum over processes with its gradient.

    The sum depends on every process's part, so the gradient of a part is the sum of the gradients that all processes
    have for the sum.
    """

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
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


class Learner(nn.Module):
    """A network as the training step calls it.

    In a team its gradients are the mean over all processes (`DistributedDataParallel`).
    """

    def __init__(self, network: Network, table: WordTable) -> None:
        """`table`: of the network, with all words that will be met."""
        super().__init__()
        self.network, self.table = network, table

    def forward(self, words: Tensor, mask: Tensor) -> Encoding:
        """As `Network.encode_words`."""
        return self.network.encode_words(self.table, words, mask)


def wrap_network(network: Network, table: WordTable) -> nn.Module:
    """Return a `Learner` for this process, which shares its gradients where there is a team.

    Buffers are not sent around: the statistics of norms are those of the whole team's batch in every process already.
    """
    learner = Learner(network, table)
    if world_size() == 1:
        return learner
    # Not every step uses all: a batch of single words has no neighbours, and pre-trained encoders come with a pooler
    # that nobody asks.
    return DistributedDataParallel(learner, forward_sync_buffers=False, find_unused_parameters=True)
