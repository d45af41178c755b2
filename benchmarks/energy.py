"""A proxy for the energy of a call: executed instructions and bytes of weights, each at a published price.

The prices are those of Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, for 45 nm at
0.9 V. Newer processes take less of each; the relation of bytes from memory to instructions, which the proxy is for, has
only grown since. It is no measurement of a board.
"""

from __future__ import annotations

_INSTRUCTION = 70e-12  # J: fetching, decoding and control; the operation itself adds less than a tenth
_CACHE_BYTE = 100e-12 / 8  # J: 8 bytes out of a cache of 1 MB
_MEMORY_BYTE = 1.95e-9 / 8  # J: 8 bytes out of DRAM, the middle of 1.3 to 2.6 nJ
_MICRO = 1e6


def call_energy(instructions: int, weights: int, *, cold: bool) -> float:
    """Return the proxy in microjoules.

    Args:
        instructions: Instructions that the call executes.
        weights: Bytes of weights that it reads once.
        cold: Whether they come from memory, as in the first call for minutes, and not from a cache.
    """
    return _MICRO * (instructions * _INSTRUCTION + weights * (_MEMORY_BYTE if cold else _CACHE_BYTE))
