"""Code for machines that are not here.

What the checks see in it, with real modules, right ones and ones with each fault that they are for.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tiny_package import BUCKETS, module_text

import compile.verify.static_checks
from compile.lowering.iree_compile import STRIP_FLAGS, compile_module, target_flags
from compile.lowering.processor import Processor, resolve_processor
from compile.support.errors import VerificationError
from compile.verify.binaries import find_elves, find_shaders
from compile.verify.static_checks import (
    check_machine_code,
    check_pages,
    check_shaders,
    find_objdump,
    shader_features,
    uses_subgroups,
)
from targets import registry

NAMES = ("linux-armv7-neon", "linux-riscv64", "linux-riscv64-v", "linux-aarch64-dotprod")
needs_objdump = pytest.mark.skipif(find_objdump() is None, reason="llvm-objdump (Debian: llvm) is not installed")

# Enough arithmetic on floats for vectors and, in the exponential, fused products.
PRODUCT = """
func.func @f(%a: tensor<8x16xf32>, %b: tensor<16x8xf32>, %c: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %r = linalg.matmul ins(%a, %b : tensor<8x16xf32>, tensor<16x8xf32>) outs(%c : tensor<8x8xf32>) -> tensor<8x8xf32>
  %e = math.exp %r : tensor<8x8xf32>
  return %e : tensor<8x8xf32>
}
"""


def processor_of(name: str) -> Processor:
    target = registry().get(name)
    return resolve_processor(target, flags_of(name))


def flags_of(name: str) -> tuple[str, ...]:
    target = registry().get(name)
    return target_flags(target, registry().family(target))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code")
    (path / "product.mlir").write_text(PRODUCT)
    return path


@pytest.fixture(scope="module")
def codes(folder: Path) -> dict[str, bytes]:
    return {
        name: build(folder, flags_of(name)) for name in (*NAMES, "linux-x86_64-v2", "vulkan", "vulkan-mali-valhall")
    }


def build(folder: Path, flags: tuple[str, ...]) -> bytes:
    return compile_module(folder / "product.mlir", folder / "product.vmfb", flags).path.read_bytes()


@pytest.mark.parametrize(
    ("name", "seen"), [(NAMES[0], "32-bit ELF for arm"), *((name, "64-bit ELF for ") for name in NAMES[1:])]
)
def test_right_code_passes_and_what_was_seen_is_said(name: str, seen: str, codes: dict[str, bytes]) -> None:
    said = check_machine_code(codes[name], processor_of(name))
    assert said.startswith(seen)
    assert "no undefined symbols" in said
    if find_objdump() is not None:
        assert "instructions, none beyond" in said


def test_what_cannot_be_read_is_said(codes: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not disassembled: no disassembler" in check_machine_code(
        codes["linux-x86_64-v2"], processor_of("linux-x86_64-v2")
    )
    monkeypatch.setattr(compile.verify.static_checks, "find_objdump", lambda: None)
    assert check_machine_code(codes[NAMES[1]], processor_of(NAMES[1])).endswith(
        "not disassembled: llvm-objdump is not installed"
    )


def test_code_for_another_machine_fails(codes: dict[str, bytes]) -> None:
    with pytest.raises(
        VerificationError, match="64-bit little-endian ELF for machine 243, expected 32-bit little-endian for 40"
    ):
        check_machine_code(codes["linux-riscv64"], processor_of("linux-armv7-neon"))
    with pytest.raises(VerificationError, match="holds no machine code"):
        check_machine_code(codes["vulkan"], processor_of("linux-armv7-neon"))
    with pytest.raises(VerificationError, match="holds no SPIR-V"):
        check_shaders(codes["linux-riscv64"])


def test_vectors_on_a_board_without_them_fail(codes: dict[str, bytes]) -> None:
    with pytest.raises(VerificationError, match=r"needs v, .*which the target does not promise"):
        check_machine_code(codes["linux-riscv64-v"], processor_of("linux-riscv64"))


@needs_objdump
@pytest.mark.parametrize(
    ("name", "lacking", "instruction"),
    [
        ("linux-riscv64-v", "v", "vset"),
        ("linux-riscv64", "f d", "fsd|fsw|fld|flw"),
        ("linux-armv7-neon", "vfp4", "vfma"),
    ],
)
def test_the_instructions_themselves_show_a_missing_feature(
    name: str, lacking: str, instruction: str, codes: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the file's own account, which is looked at before, says nothing of it."""
    whole = processor_of(name)
    monkeypatch.setattr(compile.verify.static_checks, "_faults", lambda *_: [])
    features = tuple(feature for feature in whole.features if feature not in lacking.split())
    assert len(features) < len(whole.features)
    with pytest.raises(VerificationError, match=r"instructions that .* lacks") as caught:
        check_machine_code(codes[name], Processor(whole.triple, whole.cpu, features))
    assert any(word in caught.value.diagnostics for word in instruction.split("|")), caught.value.diagnostics


def test_armv7_without_fused_products_is_refused(codes: dict[str, bytes]) -> None:
    whole = processor_of("linux-armv7-neon")
    with pytest.raises(VerificationError, match="does not promise vfp4"):
        check_machine_code(codes["linux-armv7-neon"], Processor(whole.triple, whole.cpu, ("neon", "vfp3")))


def test_the_unwinding_symbol_that_no_loader_has_is_found(folder: Path) -> None:
    """What happens without the flag that leaves debug information out."""
    flags = tuple(flag for flag in flags_of("linux-armv7-neon") if flag != "--iree-llvmcpu-debug-symbols=false")
    assert len(flags) == len(flags_of("linux-armv7-neon")) - 1
    with pytest.raises(
        VerificationError, match="undefined symbols, which the runtime's loader refuses: __aeabi_unwind_cpp_pr0"
    ):
        check_machine_code(build(folder, flags), processor_of("linux-armv7-neon"))


def test_a_cut_file_fails(codes: dict[str, bytes]) -> None:
    code = codes["linux-riscv64"]
    start = code.index(b"\x7fELF")
    with pytest.raises(VerificationError, match="damaged"):
        check_machine_code(code[: start + 500], processor_of("linux-riscv64"))
    other = bytearray(code)
    struct.pack_into("<H", other, start + 18, 62)
    with pytest.raises(VerificationError, match="machine 62"):
        check_machine_code(bytes(other), processor_of("linux-riscv64"))


def test_pages_of_64_kilobytes_suffice_for_64_bit_arm(codes: dict[str, bytes]) -> None:
    code, processor = codes["linux-aarch64-dotprod"], processor_of("linux-aarch64-dotprod")
    check_pages(code, processor)
    assert {elf.alignment for elf in find_elves(code)} == {1 << 16}
    start = code.index(b"\x7fELF")
    table, size = (struct.unpack_from(form, code, start + offset)[0] for form, offset in (("<Q", 32), ("<H", 54)))
    loaded = next(at for at in range(start + table, len(code), size) if struct.unpack_from("<I", code, at)[0] == 1)
    narrow = bytearray(code)
    struct.pack_into("<Q", narrow, loaded + 48, 4096)
    with pytest.raises(VerificationError, match="aligned to 4096 bytes"):
        check_pages(bytes(narrow), processor)
    check_pages(codes["linux-x86_64-v2"], processor_of("linux-x86_64-v2"))  # whose pages are of 4 KB everywhere


def test_all_entries_of_a_whole_parser_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "tiny.mlir").write_text(module_text(BUCKETS))
    code = compile_module(tmp_path / "tiny.mlir", tmp_path / "tiny.vmfb", flags_of("linux-riscv64")).path.read_bytes()
    assert len(find_elves(code)) == 1
    assert "instructions" in check_machine_code(code, processor_of("linux-riscv64")) or find_objdump() is None


def test_shaders_tell_what_they_need(codes: dict[str, bytes], tmp_path: Path) -> None:
    assert all(shader.version <= (1, 6) for shader in find_shaders(codes["vulkan"]))
    assert shader_features(codes["vulkan"]) == shader_features(codes["vulkan-mali-valhall"]) == frozenset()
    assert check_shaders(codes["vulkan"]).endswith("optional features: none")
    (tmp_path / "wide.mlir").write_text(
        "func.func @f(%a: tensor<64xi64>, %b: tensor<64xi64>) -> tensor<64xi64> {\n"
        "  %r = arith.muli %a, %b : tensor<64xi64>\n  return %r : tensor<64xi64>\n}\n"
    )
    flags = ("--iree-hal-target-device=vulkan", "--iree-vulkan-target=llvmpipe", *STRIP_FLAGS)
    wide = compile_module(tmp_path / "wide.mlir", tmp_path / "wide.vmfb", flags).path.read_bytes()
    assert shader_features(wide) == {"shaderInt64"}


@pytest.mark.parametrize(
    ("target", "among_lanes"), [("valhall4", True), ("adreno", True), ("vp_android_baseline_2022", False)]
)
def test_code_that_works_among_the_lanes_of_a_subgroup_is_seen(tmp_path: Path, target: str, among_lanes: bool) -> None:
    (tmp_path / "sum.mlir").write_text(
        "func.func @f(%a: tensor<4x256xf32>, %r: tensor<4xf32>) -> tensor<4xf32> {\n"
        "  %s = linalg.reduce { arith.addf } ins(%a : tensor<4x256xf32>) outs(%r : tensor<4xf32>) dimensions = [1]\n"
        "  return %s : tensor<4xf32>\n}\n"
    )
    flags = ("--iree-hal-target-device=vulkan", f"--iree-vulkan-target={target}", *STRIP_FLAGS)
    code = compile_module(tmp_path / "sum.mlir", tmp_path / "sum.vmfb", flags).path.read_bytes()
    assert find_shaders(code)
    assert uses_subgroups(code) == among_lanes
