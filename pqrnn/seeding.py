"""Random numbers that depend on what they are for, never on what was drawn before: what makes runs resumable."""

from __future__ import annotations

import hashlib
import random


def make_random(seed: int, purpose: str, number: int) -> random.Random:
    """Return a generator that depends on nothing else."""
    return random.Random(int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()[:8], "big"))
