"""A parser in 8 bits on machines that are not this one: GPUs that cannot store 8 bits, and ARM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from makers.packages import WIDE_BUCKETS, write_small_run

from compile.emulation.runner import Runner
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which no rounding is undecided: vectors are stored in coarser steps otherwise."""
    return write_small_run(tmp_path_factory.mktemp("run"), "int8", seed=8)


@pytest.mark.parametrize(
    ("target", "kind", "cpu", "lanes"),
    [
        ("vulkan", "lavapipe", "", 8),  # stores no 8 bits
        ("vulkan-videocore-vii", "lavapipe", "", 16),
        ("linux-aarch64", "qemu-aarch64", "cortex-a53", 0),
        ("linux-aarch64-dotprod", "qemu-aarch64", "cortex-a76", 0),
    ],
)
def test_integers_are_those_of_pytorch_there_too(
    target: str, kind: str, cpu: str, lanes: int, run: Path, tmp_path: Path, emulated: Callable[..., Runner]
) -> None:
    emulated(kind, cpu, lanes)
    outcome = compile_checkpoint(run, tmp_path / "small.pqrnn", [target], CompileOptions(buckets=WIDE_BUCKETS))
    (variant,) = outcome.manifest.variants
    assert variant.parity is not None
    assert variant.parity.passed
    assert variant.parity.emulator
    # All texts of the small model are settled: one other integer would change a logit a thousand times as much.
    assert max(variant.parity.intent_max_abs, variant.parity.tags_max_abs) < 1e-5
