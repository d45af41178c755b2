"""The limits of this machine on one thread: multiply-adds and bytes a second, and the shortest time that they allow.

The peak of a data type is the best that any implementation here reaches on products of matrices large enough to be
nothing but multiply-adds and small enough for the caches; PyTorch brings oneDNN and MKL. In float32 these do not use
the widest instructions on every processor that has them; a quarter of the peak in int8 is the limit where that is more,
since the instruction for int8 multiplies four times as many numbers as the one for float32, in registers of the same
width. That does not hold where int8 has tiles of its own (AMX): there both limits are what was measured. Bandwidth is
that of reading a block as large as the weights again and again (what a parser does), and of reading far more than any
cache holds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.environment import cpu_flags

_SECONDS = 1.0
_FLOAT_SIZES = ((256, 256, 256), (384, 384, 384), (512, 512, 512), (768, 768, 768), (64, 512, 2048))
_FAR = 256 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that were measured on one thread.

    Attributes:
        float32: Multiply-adds a second in float32.
        int8: Multiply-adds a second in int8, with sums in int32.
        near: Bytes a second from a block as large as the weights.
        far: Bytes a second from memory.
    """

    float32: float
    int8: float
    near: float
    far: float

    def compute(self, products: int, precision: str) -> float:
        """Return the seconds that so many multiply-adds take at least."""
        return products / (self.int8 if precision == "int8" else self.float32)

    def read(self, size: int) -> float:
        """Return the seconds that reading a block like the weights takes at least, again and again."""
        return size / self.near


def measure_limits(weight_bytes: int) -> Limits:
    """Measure the limits on the calling thread alone, which takes some ten seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # quantized tensors are to go from PyTorch
            integers, floats = _peak(_integer_products), _peak(_float_products)
            if not has_tiles():
                floats = max(floats, integers / 4)
            return Limits(floats, integers, _bandwidth(weight_bytes), _bandwidth(_FAR))
    finally:
        torch.set_num_threads(threads)


def has_tiles() -> bool:
    """Return whether this processor multiplies int8 in tiles (AMX), many times as fast as in its registers."""
    return "amx_int8" in cpu_flags()


def _peak(products: Callable[[int, int, int], list[Callable[[], object]]]) -> float:
    return max(m * k * n / _fastest(product) for m, k, n in _FLOAT_SIZES for product in products(m, k, n))


def _float_products(m: int, k: int, n: int) -> list[Callable[[], object]]:
    left, right, bias = torch.randn(m, k), torch.randn(k, n), torch.randn(n)
    out = torch.empty(m, n)
    return [lambda: torch.mm(left, right, out=out), lambda: torch.addmm(bias, left, right, out=out)]


def _integer_products(m: int, k: int, n: int) -> list[Callable[[], object]]:
    left = torch.randint(-127, 128, (m, k), dtype=torch.int8)
    right = torch.randint(-127, 128, (k, n), dtype=torch.int8)
    made: list[Callable[[], object]] = [lambda: torch._int_mm(left, right)]
    if "onednn" in torch.backends.quantized.supported_engines:
        # The form for inference: weights packed once, uint8 by int8 as the instruction has it, scaled back to uint8.
        torch.backends.quantized.engine = "onednn"
        value = torch._make_per_tensor_quantized_tensor((left.int() + 128).to(torch.uint8), 0.05, 128)
        weight = torch._make_per_tensor_quantized_tensor(right.t().contiguous(), 0.05, 0)
        packed = torch.ops.quantized.linear_prepack(weight, None)
        made.append(lambda: torch.ops.quantized.linear(value, packed, 1.0, 128))
    return made


def _bandwidth(size: int) -> float:
    """Return the bytes a second of the fastest reduction over a block of so many bytes."""
    block = torch.ones(max(size // 4, 1024))
    left, right = block.chunk(2) if len(block) % 2 == 0 else block[:-1].chunk(2)
    return max(block.numel() * 4 / _fastest(read) for read in (block.sum, lambda: torch.dot(left, right), block.amax))


def read_block(size: int) -> Callable[[], object]:
    """Return a function that reads its own block of so many bytes once, as quickly as PyTorch can."""
    block = torch.ones(max(size // 4, 1024))
    ways: list[Callable[[], object]] = [block.sum, block.amax]
    return min(ways, key=_fastest)


def _fastest(call: Callable[[], object]) -> float:
    best, end = float("inf"), time.perf_counter() + _SECONDS / 4
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best
