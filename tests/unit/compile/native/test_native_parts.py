"""Native parsers: what needs neither the compiler nor a C compiler."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.lowering.buckets import make_buckets
from compile.native import toolchains
from compile.native.errors import NoCompilerError
from compile.native.guessing import guess_ranges
from compile.native.header import write_header
from compile.native.processors import feature_macros
from compile.native.toolchains import find_compiler, system_of
from compile.native.writing import prefix_of, write_native
from compile.standalone.errors import StandaloneError
from compile.standalone.schedule import ByteRange, Dispatch, Region, Result, Schedule, ScheduledEntry
from runtime_py.decode.labels import Labels
from runtime_py.execute.word_count import guess_words
from targets import registry
from targets.isa import ARCHITECTURES

BUCKETS = make_buckets([(4, 32)])
LABELS = Labels(("a", "b"), ("O", "B-x", "I-x"))


def schedule(arena: int, words: int = 4) -> Schedule:
    whole = ByteRange(Region.ARENA, 0, arena)
    sizes = (((1, 2), 64), ((1, words, 3), 128), ((1, words, 2), 256), ((1,), 320))
    results = tuple(Result(shape, whole.part(start, 8)) for shape, start in sizes)
    return Schedule(
        (),
        (ScheduledEntry("parse_4", whole.part(0, 32), results, (Dispatch("k", (1, 1, 1), (), (whole,)),)),),
        (64, 0, arena),
    )


def written(folder: Path, arena: int, name: str = "small one") -> str:
    folder.mkdir()
    sources = write_native(
        folder, schedule(arena), b'\0a"\\?\xff' * 9, BUCKETS, LABELS, "query", name, "x86_64-linux", ["avx2"]
    )
    return sources.compiled[0].read_text()


@given(st.text(min_size=1))
def test_a_prefix_is_a_name_in_c(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z]\w*", prefix_of(name), re.ASCII)
    if re.fullmatch(r"[a-z][a-z0-9_]*", name):
        assert prefix_of(name) == name


def test_the_search_works_where_the_kernels_have_left_room(tmp_path: Path) -> None:
    tight, roomy = written(tmp_path / "tight", 384), written(tmp_path / "roomy", 4096)
    assert "free_offsets[] = {384}" in roomy
    assert "#define PQRNN_END_BYTES 0\n" in roomy
    # (4 + 1) words by a slot, outside, and one more; a slot's two numbers and its byte.
    assert f"#define PQRNN_END_BYTES {16 * (5 * 3 + 1 + 1)}\n" in tight
    assert '#define PQRNN_FEATURES "avx2"' in tight


def test_an_entry_that_returns_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StandaloneError, match="returns arrays of shapes"):
        write_native(tmp_path, schedule(4096, words=5), b"", BUCKETS, LABELS, "query", "x", "x86_64-linux", ())


def test_weights_are_the_bytes_of_a_string(tmp_path: Path) -> None:
    written(tmp_path / "c", 4096)
    text = (tmp_path / "c" / "small_one_weights.c").read_text()
    assert "small_one_weights[54 + 1] =" in text
    assert '"\\000a\\042\\134\\077\\377' in text
    assert "??" not in text


@pytest.mark.parametrize("compiler", ["gcc -std=c99", "gcc -std=c11", "g++ -std=c++11", "g++ -std=c++20"])
def test_headers_of_two_parsers_are_included_in_either_language(compiler: str, tmp_path: Path) -> None:
    program, *options = compiler.split()
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    for prefix in ("one", "two"):
        (tmp_path / f"{prefix}.h").write_text(write_header(prefix, "a */ name\nor two", BUCKETS[-1]))
    language = "c++" if program == "g++" else "c"
    code = '#include "one.h"\n#include "two.h"\n#include "one.h"\nint main(void) { return one_abi() != two_abi(); }\n'
    command = [
        program,
        *options,
        "-pedantic",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        "-I.",
        "-x",
        language,
        "-",
    ]
    done = subprocess.run(command, input=code, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_every_feature_of_a_target_can_be_asked_for() -> None:
    known = registry()
    for target in map(known.get, known.names()):
        if target.family == "cpu" and "wasm" not in target.triple and target.features:
            macros = feature_macros(target.triple, target.features)
            rows = re.findall(r"\{[\d, ]+\}", macros)
            # SSE4.2 brings CRC32; RISC-V's long names have no bit.
            hidden = {"crc32"} | {name for name in target.features if "riscv" in target.triple and len(name) > 1}
            assert len(rows) >= len(set(target.features) - hidden), target.id
    for name in ("x86_64", "aarch64", "arm"):
        triple = {"arm": "armv7a-unknown-linux"}.get(name, f"{name}-unknown-linux")
        asked = [feature for feature in ARCHITECTURES[name].features if feature_macros(triple, [feature])]
        assert len(asked) > 4
    assert feature_macros("x86_64-unknown-linux", []) == ""
    assert "FEATURE_STATE 230" in feature_macros("x86_64-unknown-linux", ["avx512f"])
    assert "FEATURE_STATE 6" in feature_macros("x86_64-unknown-linux", ["avx2"])
    assert "FEATURE_STATE 0" in feature_macros("x86_64-unknown-linux", ["sse4.2"])


def test_the_table_of_the_guess_is_that_of_python() -> None:
    rows = [tuple(int(part, 0) for part in row.split(", ")) for row in re.findall(r"\{([^}]*)\}", guess_ranges())]
    assert all(first <= last < following for (first, last, _), (following, _, _) in pairwise(rows))
    twice = {1: 2, 2: 1, 3: 0}
    for first, last, kind in rows:
        for point in {first, last, (first + last) // 2}:
            text = chr(point) * 2
            assert guess_words(text, text.encode()) == twice[kind], hex(point)


@pytest.mark.parametrize(
    ("name", "wanted", "suffix"),
    [
        ("linux-aarch64", "aarch64-linux-gnu.2.28", "libx.so"),
        ("linux-armv7-neon", "arm-linux-gnueabihf.2.28", "libx.so"),
        ("linux-riscv64", "riscv64-linux-gnu.2.28", "libx.so"),
        ("linux-x86_64-v3", "x86_64-linux-gnu.2.28", "libx.so"),
        ("android-aarch64", "aarch64-linux-musl", "libx.so"),
        ("macos-arm64", "aarch64-macos", "libx.dylib"),
        ("windows-x86_64-v3", "x86_64-windows-gnu", "x.dll"),
        ("webassembly", "wasm32-freestanding", "x.wasm"),
        ("host", f"{platform.machine()}-linux-gnu.2.28", "libx.so"),
    ],
)
def test_zig_is_told_the_target(name: str, wanted: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQRNN_CC", raising=False)
    monkeypatch.setattr(toolchains, "find_spec", lambda name: object())
    monkeypatch.setattr(toolchains, "_zig_version", lambda: "0")
    compiler = find_compiler(registry().get(name))
    assert compiler.command[compiler.command.index("-target") + 1] == wanted
    assert f"{compiler.shared_prefix}x{compiler.shared_suffix}" == suffix
    assert compiler.zig


def test_the_c_library_is_chosen_for_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQRNN_CC", raising=False)
    monkeypatch.setattr(toolchains, "find_spec", lambda name: object())
    monkeypatch.setattr(toolchains, "_zig_version", lambda: "0")
    known = registry()
    for name, libc, wanted in (
        ("linux-aarch64", "musl", "aarch64-linux-musl"),
        ("linux-armv7-neon", "musl", "arm-linux-musleabihf"),
        ("linux-x86_64-v3", "glibc:2.17", "x86_64-linux-gnu.2.17"),
    ):
        assert wanted in find_compiler(known.get(name), libc).command
    for name, libc in (("linux-aarch64", "uclibc"), ("linux-aarch64", "musl:1.2"), ("macos-arm64", "musl")):
        with pytest.raises(NoCompilerError, match="is no C library for it"):
            find_compiler(known.get(name), libc)


def test_a_compiler_that_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQRNN_CC", raising=False)
    monkeypatch.setattr(toolchains, "find_spec", lambda name: None)
    monkeypatch.setattr(toolchains.shutil, "which", lambda name: None)
    monkeypatch.setattr(toolchains.locations, "cross_compiler", lambda prefix: None)
    for name in ("host", "linux-riscv64", "macos-arm64", "webassembly"):
        with pytest.raises(NoCompilerError, match=r"pip install 'pqrnn\[native\]'"):
            find_compiler(registry().get(name))
    with pytest.raises(NoCompilerError, match="--libc needs zig"):
        find_compiler(registry().get("host"), "musl")
    monkeypatch.setenv("PQRNN_CC", "tcc -b")
    assert find_compiler(registry().get("host")).command == ("tcc", "-b")


def test_the_system_follows_from_the_triple() -> None:
    assert [
        system_of(triple)
        for triple in ("thumbv7em-none-eabihf", "aarch64-unknown-linux-android29", "wasm32-unknown-unknown")
    ] == ["none", "android", "web"]
