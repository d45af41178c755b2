"""Settings of a training run."""

from __future__ import annotations

import math

import msgspec
import torch


class TrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a run.

    Attributes:
        epochs: passes over the data; the learning rate falls to zero over them along a cosine.
        batch: utterances a step.
        learning_rate: of AdamW at its highest, after `warmup` steps.
        weight_decay: on matrices only.
        clip: largest norm of the gradient.
        smoothing: label smoothing of the intent; beside a teacher's soft answers it only blurs, so `pqrnn distill` sets
            it to 0.
        intent_weight: of the intent's term in the loss on gold labels, against the sum over the tags.
        average: decay of the moving average of the weights, which is what is evaluated and kept.
        swap: share of slot values replaced by another value of the same slot.
        misspell: share of words replaced by a misspelling.
        patience: epochs without a better development score after which to stop; 0 never stops early.
        seed: of everything random.
        precision: of the matrix products in training, "float32" or "bfloat16" (weights, sums and everything else stay
            float32).
        threads: of PyTorch; 0 leaves its default.
    """

    epochs: int = 40
    batch: int = 64
    learning_rate: float = 3e-3
    warmup: int = 200
    weight_decay: float = 0.01
    clip: float = 5.0
    smoothing: float = 0.1
    intent_weight: float = 2.0
    average: float = 0.999
    swap: float = 0.3
    misspell: float = 0.03
    patience: int = 10
    seed: int = 0
    precision: str = "float32"
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuse what would be taken for something else.

        Raises:
            ValueError: the precision is unknown.
        """
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision must be 'float32' or 'bfloat16', not {self.precision!r}")


def choose_precision() -> str:
    """Return "bfloat16" where the processor multiplies it in hardware (several times as fast), else "float32"."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    """Return the rate of a step, from 0:

    linear up over `warmup` steps (a tenth of all, if that is less), times a half cosine down to zero (Loshchilov and
    Hutter, 1608.03983).
    """
    return (
        config.learning_rate
        * min(1.0, (step + 1) / max(min(config.warmup, total // 10), 1))
        * 0.5
        * (1.0 + math.cos(math.pi * step / total))
    )
