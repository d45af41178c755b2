"""Of emulated variants only exact figures are reported: the same on every run, and never a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from foreign import cpu_code, cpu_package, vulkan_package
from msgspec.structs import replace
from tiny_package import BUCKETS

from compile.emulation import counting
from compile.emulation.counting import CountError, count_instructions
from compile.emulation.runner import Runner
from compile.target_bench import TargetFigures, bench_targets, figures_tables
from runtime_py.package_format.package import open_package, seal

Start = Callable[..., Runner]
TRIPLE = "aarch64-unknown-linux-gnu"


@pytest.fixture
def board(emulated: Start, tmp_path: Path) -> Path:
    """A package with one variant, for the real target `linux-aarch64`."""
    emulated("qemu-aarch64", "cortex-a53")
    path = tmp_path / "board.pqrnn"
    cpu_package(path, cpu_code(TRIPLE, "generic"), TRIPLE, ())
    rename(path, "linux-aarch64")
    return path


def rename(path: Path, target: str) -> None:
    manifest = open_package(path).manifest
    seal(path, replace(manifest, variants=[replace(manifest.variants[0], target=target)]))


def arguments(path: Path, entry: str, lanes: int) -> list[str]:
    module = path / "variants" / "generic" / "module.vmfb"
    return ["--device=local-sync", f"--module={module}", f"--function={entry}", f"--input=1x{lanes}xi32=1"]


@pytest.fixture
def countable() -> None:
    """Skip where instructions cannot be counted, with the reason."""
    from compile.emulation import locations

    if locations.counting_qemu() is None:
        pytest.skip("the emulator that counts is not installed: make emulators")
    try:
        counting._plugin()
    except CountError as error:
        pytest.skip(str(error))


def no_times(figures: TargetFigures) -> bool:
    columns = [column for _, names, _ in figures_tables([figures]) for column in names]
    return (
        not figures.benchmarks
        and not any(entry.microseconds for entry in figures.entries)
        and not any("median" in column for column in columns)
    )


def test_counts_are_exact_whatever_the_number_of_calls_and_the_processor(board: Path, countable: None) -> None:
    small, large = (arguments(board, bucket.entry, bucket.bytes // 4) for bucket in BUCKETS[:2])
    first = count_instructions(small, "cortex-a53")
    assert first.code == count_instructions(small, "cortex-a76").code
    assert 1000 < first.code < first.call
    assert count_instructions(large, "cortex-a53").code > 1.5 * first.code  # twice the bytes and words


def test_counting_block_by_block_equals_counting_one_by_one(board: Path, countable: None) -> None:
    small = arguments(board, BUCKETS[0].entry, BUCKETS[0].bytes // 4)
    blocks = counting._count(small, "cortex-a53", 2)
    singly = counting._count(small, "cortex-a53", 2, ["-singlestep"])
    assert blocks.code == singly.code
    assert blocks.call == pytest.approx(singly.call, rel=0.01)


def test_an_emulated_variant_has_counts_and_no_times(board: Path, countable: None) -> None:
    (figures,) = bench_targets(board, ["linux-aarch64"])
    assert figures.emulated
    assert figures.runner.startswith("qemu-aarch64")
    assert figures.notes == []
    assert no_times(figures)
    for entry in figures.entries:
        assert entry.instructions_code is not None
        assert entry.instructions_call is not None
        assert entry.peak_bytes is not None
        assert entry.instructions_code < entry.instructions_call
        assert entry.dispatches > 3
        assert entry.peak_bytes > entry.bytes


def test_without_the_counter_the_other_figures_remain(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compile.emulation import locations

    monkeypatch.setattr(locations, "counting_qemu", lambda: None)
    (figures,) = bench_targets(board, ["linux-aarch64"])
    assert figures.notes == [
        "instructions not counted: the emulator that counts is not installed: run `make emulators`"
    ]
    assert all(entry.instructions_code is None and entry.peak_bytes for entry in figures.entries)


def test_a_function_that_fails_is_not_counted(board: Path, countable: None) -> None:
    with pytest.raises(CountError, match="the benchmark"):
        count_instructions(arguments(board, BUCKETS[0].entry, 3), "cortex-a53")  # the entry takes another shape


def test_an_emulated_gpu_has_bytes_and_launches_and_no_times(emulated: Start, tmp_path: Path) -> None:
    emulated("lavapipe", lanes=8)
    path = tmp_path / "gpu.pqrnn"
    vulkan_package(path, "vp_android_baseline_2022", subgroup=0)
    rename(path, "vulkan")
    (figures,) = bench_targets(path, ["vulkan"])
    if not figures.emulated:
        pytest.skip(f"{figures.runner} ran it, which is no emulator")
    assert no_times(figures)
    assert figures.code_bytes > 500
    assert all(entry.dispatches > 0 and entry.peak_bytes for entry in figures.entries)
    assert figures.notes == [f"instructions are counted on aarch64 only, not on {figures.runner}"]
