"""More hosts of a native parser: Java on a JVM, Android's library, and the module that Swift imports."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from makers.native import CALIBRATION, compiler, expect, write_tiny

from compile.native.building import build_native
from compile.native.jvm import class_of, write_class
from compile.native.toolchains import find_compiler
from compile.native.writing import write_module_map
from compile.verify.golden import TRICKY
from runtime_py.decode.rejection import choose_rejection
from targets import registry

_zig = pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'")
_TEXTS = [*(text.decode("utf-8", "replace") for text in TRICKY), "", "wake me", "😀 ab 日本 é d", "x" * 70, "a " * 30]
# Each text in base64 becomes a line of JSON; the class is used as an application would use it.
_MAIN = r"""
import java.nio.charset.StandardCharsets;
import java.util.*;
import pqrnn.TinyOne;

public final class Main {
  static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char unit : text.toCharArray()) out.append(String.format("\\u%04x", (int) unit));
    return out.append('"').toString();
  }

  static String number(double value) { return Double.isNaN(value) ? "null" : Double.toString(value); }

  public static void main(String[] given) {
    try (TinyOne parser = new TinyOne(); TinyOne other = new TinyOne()) {
      parser.setMinScore(TinyOne.RECOMMENDED);
      for (String line : given) {
        String text = new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8);
        TinyOne.Answer answer = parser.parse(text, true, 3);
        StringJoiner slots = new StringJoiner(",", "[", "]"), ranked = new StringJoiner(",", "[", "]");
        for (TinyOne.Slot slot : answer.slots)
          slots.add("[" + quoted(slot.label) + "," + quoted(slot.text) + "," + number(slot.score) + "]");
        for (TinyOne.Alternative each : answer.alternatives)
          ranked.add("[" + quoted(each.intent) + "," + number(each.score) + "]");
        System.out.println("[" + quoted(answer.intent) + "," + number(answer.score) + "," + answer.calibrated + ","
            + number(answer.inScope) + "," + answer.rejected + "," + answer.truncated + "," + answer.words + ","
            + slots + "," + ranked + "]");
      }
      for (double least : new double[] {-2, 1.5, Double.NaN}) {
        try { parser.setMinScore(least); } catch (IllegalArgumentException error) { System.out.println("\"refused\""); }
      }
      try { other.parse("x".repeat(99)); } catch (IllegalArgumentException error) {
        System.out.println(quoted(error.getMessage()));
      }
      other.close();
      try { other.parse("a"); } catch (IllegalStateException error) { System.out.println(quoted(error.getMessage())); }
      for (int i = 0; i < 2000; ++i) parser.parse("a b c d", true, 9);  // references do not pile up
    }
  }
}
"""


def test_java_gives_what_python_gives(tmp_path: Path) -> None:
    if shutil.which("javac") is None or shutil.which("cc") is None:
        pytest.skip("there is no javac, or no C compiler: apt-get install default-jdk-headless gcc")
    sources, kernels = write_tiny(tmp_path / "c", calibration=CALIBRATION)
    built = build_native(sources, kernels, compiler(), tmp_path, java=True)
    assert built.shared is not None
    path = write_class(tmp_path / "java", sources, "tiny */ \\u0041\none")
    (tmp_path / "Main.java").write_text(_MAIN)
    options = ["-Xlint:all,-try", "-Werror", "-d", "classes"]
    subprocess.run(["javac", *options, str(path), "Main.java"], cwd=tmp_path, check=True)
    lines = [base64.b64encode(text.encode()).decode() for text in _TEXTS]
    command = ["java", "-Xcheck:jni", "-XX:TieredStopAtLevel=1", f"-Djava.library.path={tmp_path}", "-cp", "classes"]
    done = subprocess.run([*command, "Main", *lines], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    for answer, text in zip(said, _TEXTS, strict=False):
        intent, score, calibrated, in_scope, rejected, truncated, words, slots, ranked = answer
        wanted = choose_rejection("recommended", CALIBRATION, "").apply(expect(text, CALIBRATION, 3))
        assert (intent, calibrated, words) == (wanted.intent, True, wanted.words)
        assert (rejected, truncated) == (wanted.outcome == "rejected", wanted.truncated)
        assert [score, in_scope] == pytest.approx([wanted.score, wanted.in_scope], rel=1e-6)
        assert [slot[:2] for slot in slots] == [[slot.label, slot.text] for slot in wanted.slots]
        assert [slot[2] for slot in slots] == pytest.approx([slot.score for slot in wanted.slots], rel=1e-6)
        assert [name for name, _ in ranked] == [each.intent for each in wanted.alternatives]
        assert [share for _, share in ranked] == pytest.approx([each.score for each in wanted.alternatives], rel=1e-6)
    *refused, long, closed = said[len(_TEXTS) :]
    assert refused == ["refused"] * 3
    assert "more bytes or more words" in long
    assert closed == "the parser is closed"


def test_numbers_of_functions_are_those_of_javas_own_header(tmp_path: Path) -> None:
    javac = shutil.which("javac")
    header = Path(os.path.realpath(javac)).parents[1] / "include" / "jni.h" if javac else None
    if header is None or not header.is_file():
        pytest.skip("there is no jni.h: apt-get install default-jdk-headless")
    text = (Path(__file__).parents[2] / "compile" / "native" / "c" / "jni_abi.h").read_text()
    numbers = dict(re.findall(r"JNI_(\w+) = (\d+)", text))
    assert numbers.pop("ABORT_RELEASE") == "2"
    names = {name: "".join(part.capitalize() for part in name.split("_")) for name in numbers}
    checks = "".join(
        f"_Static_assert(offsetof(struct JNINativeInterface_, {names[name]}) == {number} * sizeof(void *), {chr(34)}"
        f"{name}{chr(34)});\n"
        for name, number in numbers.items()
    )
    (tmp_path / "check.c").write_text(
        f"#include <jni.h>\n#include <stddef.h>\n{checks}_Static_assert(JNI_ABORT == 2, {chr(34)}a{chr(34)});\n"
    )
    include = [f"-I{header.parent}", f"-I{header.parent / 'linux'}"]
    done = subprocess.run(["cc", *include, "-fsyntax-only", "check.c"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == ""
    assert len(numbers) > 10


@_zig
def test_androids_library_has_the_methods(tmp_path: Path) -> None:
    target = registry().get("android-aarch64")
    sources, kernels = write_tiny(tmp_path / "c", target=target.id)
    built = build_native(sources, kernels, find_compiler(target), tmp_path, java=True)
    assert built.shared is not None
    data = built.shared.read_bytes()
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[18:20], "little") == 183  # AArch64
    for method in ("open", "close", "setLeast", "parse"):
        assert f"\0Java_pqrnn_TinyOne_{method}\0".encode() in data
    # Nothing is asked for but what Android's C library has; no library is named that would have to be found.
    shown = subprocess.run(["readelf", "-W", "--dyn-syms", "-d", built.shared], capture_output=True, text=True)
    if shown.returncode == 0:
        asked = set(re.findall(r"GLOBAL DEFAULT +UND (\w+)", shown.stdout))
        assert asked <= {
            "malloc",
            "free",
            "memcpy",
            "memset",
            "memmove",
            "strcmp",
            "strlen",
            "strchr",
            "atoi",
            "getauxval",
        }
        assert "NEEDED" not in shown.stdout


@_zig
def test_a_module_for_swift_is_imported_by_clang(tmp_path: Path) -> None:
    sources, _ = write_tiny(tmp_path)
    write_module_map(tmp_path, sources)
    code = '#pragma clang module import tiny_one\n_Static_assert(PQRNN_NATIVE_TOO_LONG == 1, "code");\n'
    code += "int main(void) { struct tiny_one_parser *parser; return tiny_one_open(&parser); }\n"
    (tmp_path / "host.c").write_text(code)
    found = find_compiler(registry().get("linux-x86_64-v2"))
    options = ["-fmodules", "-fmodules-cache-path=cache", "-fmodule-map-file=module.modulemap", "-Werror", "-c"]
    done = subprocess.run(
        [*found.command, *options, "host.c", "-o", "host.o"],
        cwd=tmp_path,
        env=os.environ | dict(found.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert any((tmp_path / "cache").rglob("*.pcm"))  # it was a module, no inclusion


def test_a_class_is_named_after_the_parser() -> None:
    assert [class_of(name) for name in ("mtop_en", "p_2x", "home", "a__b_")] == ["MtopEn", "P2x", "Home", "AB"]
