"""A parser for a microcontroller: an Arduino library that asks for nothing, and decides as Python does."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from makers.native import NAME, expect, write_tiny
from makers.native_small import TOLERANCE, build_small

from compile.native.arduino import write_arduino
from compile.native.building import build_native
from compile.native.proof import answer_texts, build_host
from compile.native.toolchains import find_compiler
from compile.standalone.errors import ToolchainError
from compile.standalone.toolchains import find_machine
from compile.verify.golden import TRICKY
from targets import registry

pytestmark = pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'")


# What the sketch asks of Arduino.
_ARDUINO = """
#include <stddef.h>
#include <string>
struct String {
  std::string held;
  const char *c_str() const { return held.c_str(); }
  unsigned length() const { return held.size(); }
  String substring(unsigned from, unsigned to) const { return {held.substr(from, to - from)}; }
};
struct {
  void begin(long) {}
  int available() { return 0; }
  String readStringUntil(char) { return {}; }
  void print(const char *) {}
  void println(const char *) {}
  void println(const String &) {}
} Serial;
"""


def test_a_trained_parser_becomes_one_whose_sketch_compiles(tmp_path: Path) -> None:
    made, _ = build_small(tmp_path, "cortex-m7", 8)
    if not made.proof.machine:
        pytest.skip(made.proof.reason)
    assert made.proof.machine.startswith("qemu-arm ")
    assert made.proof.largest < TOLERANCE[8]
    folder = tmp_path / "native" / "cortex-m7"
    assert set(made.variant.files) == {"cortex-m7/src/cortex-m7/libsmall.a"}
    if (compiler := shutil.which("g++")) is not None:
        sketch = tmp_path / "sketch.cpp"
        sketch.write_text(_ARDUINO + (folder / "examples" / "Parse" / "Parse.ino").read_text("utf-8"), "utf-8")
        command = [compiler, "-fsyntax-only", "-Wall", "-Werror", f"-I{folder / 'src'}", str(sketch)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_arduino_library_decides_as_python_does(tmp_path: Path) -> None:
    target, linux = registry().get("cortex-m7"), registry().get("linux-armv7-neon")
    try:
        machine, emulator = find_machine(linux, "max")
    except ToolchainError as error:
        pytest.skip(error.message)
    sources, kernels = write_tiny(tmp_path / "sources", target=target.id)
    compiler = find_compiler(target)
    folder = tmp_path / target.id
    folder.mkdir()
    built = build_native(sources, kernels, compiler, folder)
    assert built.shared is None
    made = write_arduino(folder, sources, built, NAME, target.cpu)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "library.properties",
        "src/tiny_one.h",
        "src/cortex-m7/libtiny_one.a",
        "examples/Parse/Parse.ino",
    }
    properties = dict(line.split("=", 1) for line in (folder / "library.properties").read_text("utf-8").splitlines())
    assert (properties["precompiled"], properties["ldflags"]) == ("full", "-ltiny_one")
    assert f"{sources.memory_bytes} bytes of RAM" in properties["paragraph"]
    assert f"memory[{sources.memory_bytes}]" in (folder / "examples" / "Parse" / "Parse.ino").read_text("utf-8")
    assert made.static is not None
    if (nm := shutil.which("nm")) is not None:  # what a board has to bring
        listed = subprocess.run([nm, made.static], capture_output=True, text=True, check=True).stdout
        defined = {line.split()[-1] for line in listed.splitlines() if " T " in line or " R " in line or " D " in line}
        asked = {line.split()[-1] for line in listed.splitlines() if " U " in line} - defined
        # By ARM's own ABI they have further names, which every C library for such boards has, too.
        assert {name for name in asked if not name.startswith(("tiny_one", "__aeabi_mem"))} <= {"memcpy", "memset"}
    host = build_host(sources, made.static, find_compiler(linux, "musl"), True, bare=True)
    texts = [*TRICKY, b"a b c d e f g h i", "é".encode() * 60]
    for answer, text in zip(answer_texts([*emulator, host], texts, machine, "--truncate"), texts, strict=True):
        wanted = expect(text)
        assert (answer["intent"], len(answer["words"])) == (wanted.intent, wanted.words)
        pieces = [text[slot["start"] : slot["end"]].decode("utf-8", "replace") for slot in answer["slots"]]
        assert pieces == [slot.text for slot in wanted.slots]
