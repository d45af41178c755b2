"""What settings mean on this machine and at a step: the precision, and the learning rate."""

from __future__ import annotations

import math

import msgspec
import torch

from pqrnn.recipes.settings import AUTO, TrainingConfig


def choose_precision() -> str:
    """Return "bfloat16" where the processor multiplies it in hardware (several times as fast), else "float32"."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"


def resolve_precision(config: TrainingConfig) -> TrainingConfig:
    """Return the settings with the precision "auto" replaced by what is fast here."""
    return msgspec.structs.replace(config, precision=choose_precision()) if config.precision == AUTO else config


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    """Return the learning rate of a step, counted from 0.

    It rises linearly over `warmup` steps (a tenth of all, if that is less), and falls along a half cosine to zero
    (Loshchilov and Hutter 2017, arXiv:1608.03983).
    """
    return (
        config.learning_rate
        * min(1.0, (step + 1) / max(min(config.warmup, total // 10), 1))
        * 0.5
        * (1.0 + math.cos(math.pi * step / total))
    )
