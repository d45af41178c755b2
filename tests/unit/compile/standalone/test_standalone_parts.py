"""A parser as C: what needs neither the compiler nor an emulator."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.lowering.buckets import make_buckets
from compile.standalone import toolchains
from compile.standalone.errors import StandaloneError, ToolchainError
from compile.standalone.schedule import ByteRange, Copy, Dispatch, Fill, Region, Result, Schedule, ScheduledEntry
from compile.standalone.step_tables import c_string
from compile.standalone.toolchains import choose_compiler, find_toolchain
from compile.standalone.writing import write_golden, write_sources
from runtime_py.package_format.golden import join_golden
from targets import registry

BUCKETS = make_buckets([(4, 32)])
WHOLE = ByteRange(Region.ARENA, 0, 4096)


def entry(words: int = 4) -> ScheduledEntry:
    results = tuple(
        Result(shape, WHOLE.part(start, 4 * int(np.prod(shape))))
        for shape, start in (((1, 2), 64), ((1, words, 3), 128), ((1, words, 2), 384), ((1,), 512))
    )
    steps = (
        Dispatch("first", (2, 1, 1), (7, 8), (WHOLE, WHOLE.part(64, 64))),
        Fill(WHOLE.part(0, 6), b"\x01\x02"),
        Copy(WHOLE.part(0, 8), WHOLE.part(8, 8)),
        Dispatch("second", (1, 1, 3), (7, 8), (WHOLE, WHOLE.part(64, 64))),
        Dispatch("first", (1, 1, 1), (), (WHOLE,)),
    )
    return ScheduledEntry("parse_4", WHOLE.part(0, 32), results, steps)


@given(st.text())
def test_a_c_string_holds_the_bytes_of_a_name(text: str) -> None:
    literal = c_string(text)
    assert "??" not in literal
    assert literal.isascii()
    assert ast.literal_eval(f"b{literal}") == text.encode()  # Python reads octal escapes of three digits as C does


@pytest.mark.parametrize(("offset", "length"), [(-1, 4), (0, 4097), (4096, 1), (4, -1)])
def test_a_range_does_not_reach_past_its_end(offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="of a range of 4096"):
        WHOLE.part(offset, length)
    assert WHOLE.part(64, 32).part(32, 0) == ByteRange(Region.ARENA, 96, 0)


def test_tables_name_each_kernel_once_and_share_what_is_equal(tmp_path: Path) -> None:
    schedule = Schedule((Fill(ByteRange(Region.STATE, 0, 64), b"\x00"),), (entry(),), (640, 64, 4096))
    write_sources(tmp_path, schedule, BUCKETS, ("a", "b"), ("O", "B-x", "I-x"), "module_query", "a */ name")
    tables = (tmp_path / "tables.c").read_text()
    assert tables.count('"first"') == tables.count('"second"') == 1
    assert "uint8_t arena[4096]" in tables
    assert "uint8_t state[64]" in tables
    rows = [line.strip() for line in tables.splitlines()]
    steps = rows[rows.index("const pqrnn_step pqrnn_steps[] = {") + 1 :][:5]
    # The state's fill comes first: range 0 and constant 0 are its own.
    assert steps == [
        "{0, 2, 2, 1, 1, {2, 1, 1}},",
        "{PQRNN_FILL, 1, 1, 3, 3, {1, 1, 1}},",
        "{PQRNN_COPY, 2, 0, 4, 4, {1, 1, 1}},",
        "{1, 2, 2, 1, 1, {1, 1, 3}},",
        "{0, 1, 0, 6, 4, {1, 1, 1}},",
    ]
    constants = rows[rows.index("static const uint32_t constants[] = {") + 1 :][:4]
    assert constants == ["0,", "7,", "8,", f"{0x02010201},"]
    assert "{32, 4, 0, 64, 128, 384, 512, 0, 5}," in rows
    header = (tmp_path / "parser.h").read_text()
    assert 'The parser "a * / name"' in header
    assert "#define PQRNN_KERNELS_QUERY module_query" in header


def test_results_that_are_not_those_of_the_call_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StandaloneError, match="parse_4: returns arrays of shapes"):
        write_sources(
            tmp_path,
            Schedule((), (entry(words=5),), (0, 0, 4096)),
            BUCKETS,
            ("a", "b"),
            ("O", "B-x", "I-x"),
            "query",
            "x",
        )
    assert not list(tmp_path.iterdir())


def test_golden_answers_are_written_as_the_check_reads_them(tmp_path: Path) -> None:
    tags = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 3), np.float32)]
    spans = [np.array([[0, 2], [3, 4]], np.int32), np.zeros((0, 2), np.int32)]
    golden = join_golden([b"ab c", b""], [np.array([1, 2], np.float32), np.array([3, 4], np.float32)], tags, spans)
    write_golden(tmp_path / "golden.bin", golden, 0.5)
    head = np.array([0.5], "<f4").tobytes()
    first = (
        np.array([4, 2], "<i4").tobytes()
        + b"ab c"
        + np.array([1, 2, *range(6)], "<f4").tobytes()
        + np.array([0, 2, 3, 4], "<i4").tobytes()
    )
    second = np.array([0, 0], "<i4").tobytes() + np.array([3, 4], "<f4").tobytes()
    assert (tmp_path / "golden.bin").read_bytes() == head + first + second


def test_every_processor_in_elf_has_a_c_compiler() -> None:
    known = registry()
    for name in known.names():
        target = known.get(name)
        if target.family == "cpu" and not any(system in target.triple for system in ("apple", "windows", "wasm")):
            assert choose_compiler(target).compiler.endswith("gcc"), name
        else:
            with pytest.raises(ToolchainError, match="cannot be written as C"):
                choose_compiler(target)
    assert "-mfpu=neon" in choose_compiler(known.get("beaglebone-black")).flags
    assert "-mfpu=neon-vfpv4" in choose_compiler(known.get("raspberry-pi-2")).flags


def test_a_missing_compiler_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchains.locations, "cross_compiler", lambda prefix: None)
    with pytest.raises(
        ToolchainError, match=r"arm-none-eabi-gcc is not installed \(Debian: apt-get install gcc-arm-none-eabi"
    ):
        find_toolchain(registry().get("cortex-m7"))
    with pytest.raises(
        ToolchainError,
        match=r"riscv64-linux-gnu-gcc is not installed \(run `make emulators`, "
        r"or on Debian: apt-get install gcc-riscv64",
    ):
        find_toolchain(registry().get("linux-riscv64"))
