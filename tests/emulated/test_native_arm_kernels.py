"""Native parsers of 32-bit ARM with kernels of our own: PyTorch's numbers in QEMU, and no call into a library."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from makers.native_small import TOLERANCE, build_small

pytestmark = pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'")


# Without VFPv4 there is no fused multiply-add, so that only kernels spare a call for each number.
@pytest.mark.parametrize(("target", "bits"), [("linux-armv7-vfp3", 8), ("linux-armv7-neon", 4)])
def test_an_emulated_processor_has_the_numbers_of_pytorch(target: str, bits: int, tmp_path: Path) -> None:
    made, _ = build_small(tmp_path, target, bits)
    if not made.proof.machine:
        pytest.skip(made.proof.reason)
    assert made.proof.machine.startswith("qemu-arm ")
    assert made.proof.largest < TOLERANCE[bits]
    kernels = (tmp_path / "native" / target / "source" / "kernels.o").read_bytes()
    assert b"fmaf" not in kernels
    assert b"fmaxf" not in kernels
