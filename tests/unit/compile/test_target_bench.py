"""What is measured of each variant: the parts that need neither a compiler nor an emulator."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from compile.target_bench import (
    BenchError,
    EntryFigures,
    TargetFigures,
    figures_tables,
    fixed_text,
    keep_documents,
    measure_module,
)
from runtime_py.package_format.manifest import Bucket


@pytest.mark.parametrize(("words", "size"), [(4, 32), (8, 64), (64, 512), (16, 24), (1, 4)])
def test_the_fixed_text_fills_a_bucket_and_fits(words: int, size: int) -> None:
    text = fixed_text(Bucket(words=words, bytes=size, entry="parse"))
    assert len(text.encode()) <= size
    longer = f"{text} "  # a word more would be too much of the one or of the other
    assert len(text.split()) == words or len(longer) + 2 > size
    assert text == fixed_text(Bucket(words=words, bytes=size, entry="other"))


def test_a_module_is_measured_by_its_parts(tmp_path: Path) -> None:
    module = tmp_path / "module.vmfb"
    with zipfile.ZipFile(module, "w") as archive:
        for name, size in (
            ("module.fb", 100),
            ("_const.bin", 2000),
            ("module_linked_embedded_elf_arm_64.so", 300),
            ("other_vulkan_spirv_fb.fb", 50),
        ):
            archive.writestr(name, b"x" * size)
    sizes = measure_module(module)
    assert (sizes.program, sizes.weights, sizes.code) == (100, 2000, 350)


def test_what_is_no_module_is_said(tmp_path: Path) -> None:
    (tmp_path / "module.vmfb").write_bytes(b"not a module")
    with pytest.raises(BenchError, match=r"module\.vmfb"):
        measure_module(tmp_path / "module.vmfb")


def entry(microseconds: list[float], instructions: int | None) -> EntryFigures:
    return EntryFigures("parse_4", 4, 32, "set an alarm", 9, microseconds, instructions, instructions, 1000)


def figures(name: str, runner: str, emulated: bool, entries: list[EntryFigures], notes: list[str]) -> TargetFigures:
    return TargetFigures(
        name,
        runner,
        emulated,
        notes,
        2450,
        350,
        2000,
        100,
        entries,
        {} if emulated else {"parse_4": {"benchmarks": [1]}},
    )


def test_tables_show_times_of_machines_and_instructions_of_emulators() -> None:
    native = figures("host", "this machine", False, [entry([3.0, 1.0, 2.0], None)], [])
    emulated = figures("board", "qemu", True, [entry([], 6018)], [])
    overview, first, second = figures_tables([native, emulated])
    assert overview[1] == ("target", "ran on", "module", "code", "weights")
    assert [row[0] for row in overview[2]] == ["host", "board"]
    assert first[2] == [("4 words, 32 bytes", "9", "1,000", "2 (1 to 3)")]
    assert not any("us" in column.split(",")[0].split() for column in second[1])
    assert second[2] == [("4 words, 32 bytes", "9", "6,018", "6,018", "1,000")]


def test_tables_say_why_something_was_not_run() -> None:
    overview, _ = figures_tables([figures("board", "", False, [entry([], None)], ["not run: no emulator"])])
    assert overview[1][-1] == "notes"
    assert overview[2][0][-1] == "not run: no emulator"


def test_documents_are_kept_by_target_and_entry(tmp_path: Path) -> None:
    keep_documents(
        [figures("host", "this machine", False, [], []), figures("board", "qemu", True, [], [])], tmp_path / "kept"
    )
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["host.parse_4.json"]
