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
from compile.target_bench.module_parts import read_launches
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


LAUNCH = "  vm.call.variadic @hal.command_buffer.dispatch segments[0, 10](%r7, %r6)\n"
PROGRAM = f"""
vm.func @fn0(%r0: !vm.ref<?>) -> (!vm.ref<?>) {{
{LAUNCH}{LAUNCH}  vm.return %R7
}}
vm.func @parse_4$async(%r0: !vm.ref<?>) -> (!vm.ref<?>) {{
  CALL
  vm.call @hal.fence.create(%r3, %i26)
}}
vm.func @parse_4(%r0: !vm.ref<?>) -> (!vm.ref<?>) {{
  %r0, %r2 = vm.call @module:1(%R0, %R1, %r3)
}}
vm.func @__init() -> () {{
INIT
}}
"""


@pytest.mark.parametrize(
    ("call", "init"),
    [
        ("%r0 = vm.call @module:0(%r5, %r7, %r4)", ""),  # recorded anew by every call
        ("%r0 = vm.call @module.fn0(%r5)", ""),
        (
            "%r4 = vm.global.load.ref .refs[3] : !hal.command_buffer",  # recorded once
            "  %r0 = vm.call @module:0()\n  vm.global.store.ref %R0, .refs[3] : !hal.command_buffer",
        ),
        (f"{LAUNCH}{LAUNCH}", ""),
    ],
)
def test_launches_are_counted_wherever_they_are_recorded(call: str, init: str) -> None:
    program = PROGRAM.replace("CALL", call).replace("INIT", init)
    assert read_launches(program, ["parse_4"]) == {"parse_4": 2}


def test_a_recording_that_is_not_there_is_said() -> None:
    program = PROGRAM.replace("CALL", "%r4 = vm.global.load.ref .refs[3] : !hal.command_buffer").replace("INIT", "")
    with pytest.raises(BenchError, match="cannot tell which launches parse_4 replays"):
        read_launches(program, ["parse_4"])


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
