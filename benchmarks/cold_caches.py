"""Emptied caches: what a call meets that comes minutes after the last one, as the commands of a voice assistant do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_LEAST = 96 << 20  # bytes; where the system does not tell the size of its caches
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def last_level_bytes(caches: Path = _CACHES) -> int:
    """Return the size of the largest cache that the system names; 0 where it names none."""
    told = [path.read_text().strip() for path in caches.glob("index*/size")]
    return max((int(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else int(size) for size in told), default=0)


def make_emptier(least: int = _LEAST) -> Callable[[], None]:
    """Return a function that pushes everything out of the caches: it rewrites a block larger than the last of them.

    Args:
        least: The smallest size of that block in bytes.
    """
    block = np.zeros(max(least, last_level_bytes() * 5 // 4), np.uint8)

    def empty() -> None:
        nonlocal block
        block += 1

    return empty
