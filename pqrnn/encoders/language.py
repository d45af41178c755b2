"""A teacher that cannot guess hidden words learns it: a head on its frozen states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from pqrnn.encoders.batches import Reader
from pqrnn.encoders.teachers import EncoderTeacher, LanguageHead, load_language_head
from pqrnn.recipes.settings import TrainingConfig
from pqrnn.training.config import learning_rate
from pqrnn.weight_files import LARGEST_WEIGHTS
from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import check_regular

_BATCH = 64
_RATE, _WARMUP = 1e-3, 50


def make_guess(
    teacher: EncoderTeacher,
    guesses: Tensor,
    reader: Reader,
    steps: int,
    kept: Path,
    key: str,
    note: Callable[[str], None],
) -> Callable[[Tensor], Tensor]:
    """Return a function from the teacher's last states, float32[N, d], to its logits of some subwords, float32[N, V].

    Args:
        teacher: The teacher.
        guesses: Those subwords, int64[V], by the teacher's ids.
        reader: Texts, with hidden words, for a head that has to be trained.
        steps: Steps of that training.
        kept: File that such a head is kept in: a run that goes on does not train it again.
        key: What decides the head; one of something else is not taken.
        note: Is told which head it is.
    """
    own = load_language_head(teacher.name)
    if own is not None:
        note("the teacher guesses hidden words with the head that it was trained with")
        return lambda states: own(states)[:, guesses].float()
    head = LanguageHead(teacher.width, len(guesses), teacher.embeddings[guesses])
    if not _load(head, kept, key):
        note(f"the teacher has no head that guesses hidden words: one is trained on its frozen states, {steps} steps")
        loss = _train(head, teacher, guesses, reader, steps)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, save(head.state_dict(), {"key": key, "loss": f"{loss:.4f}"}))
        note(f"the teacher's head is trained: cross-entropy {loss:.2f} of the last steps")
    head.eval().requires_grad_(False)
    return lambda states: head(states)


def _load(head: LanguageHead, kept: Path, key: str) -> bool:
    try:
        check_regular(kept, LARGEST_WEIGHTS)
        with safe_open(kept, "pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return False
        head.load_state_dict(load_file(kept))
    except (OSError, SafetensorError, RuntimeError):
        return False
    return True


def _train(head: LanguageHead, teacher: EncoderTeacher, guesses: Tensor, reader: Reader, steps: int) -> float:
    """Train the head, and return the mean loss of the last tenth of the steps."""
    config = TrainingConfig(learning_rate=_RATE, warmup=_WARMUP)
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=0.0)
    columns = torch.full((len(teacher.embeddings),), -1)
    columns[guesses] = torch.arange(len(guesses))
    losses = []
    for step, reading in reader.steps(0, _BATCH, 0, steps):
        hidden = (((reading.shares > 0) & reading.hidden[..., None]).any(1)).nonzero(as_tuple=True)
        states = teacher.trace(reading.tokens).states[-1][hidden]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, steps)
        loss = functional.cross_entropy(head(states), columns[reading.originals[hidden]])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses[-max(steps // 10, 1) :]) / max(steps // 10, 1)
