"""Features of a processor are read from machine code: a manifest that lists none does not hide them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.device.machine_code import ARM, FOUND, X86, find_features

# As an assembler writes them.
_PLAIN = bytes.fromhex("4883c408 0f58c1 660fefc0 83c504 c3 4989c4 89c5 48c7c501000000 0f28c4 90")
_AVX = bytes.fromhex("c5fc58c1 c5fc28d0 c5f877")  # vaddps ymm, vmovaps ymm, vzeroupper
_AVX2 = bytes.fromhex("c5fdefc0 c5f5fed0 c4c17dfec1")  # vpxor ymm, vpaddd ymm
_FMA = bytes.fromhex("c4e275b8c2 c4e26d98d9")  # vfmadd231ps, vfmadd132ps
_AVX512 = bytes.fromhex("62f17c4858c0 62f1754858ca 62f26d48b8d9")  # vaddps zmm, vfmadd231ps zmm
_SDOT = struct.pack("<2I", 0x4E829420, 0x6E829420)  # sdot v0.4s, v1.16b, v2.16b; udot
_SMMLA = struct.pack("<2I", 0x4E82A420, 0x6E82A420)
_ADD = struct.pack("<2I", 0x8B020020, 0x4E22D420)


def make_module(code: bytes, machine: int = 62, before: bytes = b"vmfb" * 9) -> bytes:
    """Return something around an ELF file with one executable segment."""
    header = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + struct.pack("<H", machine) + bytes(12)
    header += struct.pack("<Q", 64) + bytes(14) + struct.pack("<HH", 56, 1)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 128, 0, 0, len(code), len(code), 16)
    return before + (header.ljust(64, b"\0") + segment).ljust(128, b"\0") + code + b"behind"


@pytest.mark.parametrize(
    ("code", "features"),
    [
        (_PLAIN * 200, set()),
        ((_PLAIN + _AVX) * 200, {"avx"}),
        ((_PLAIN + _AVX + _AVX2) * 200, {"avx", "avx2"}),
        ((_PLAIN + _AVX + _FMA) * 200, {"avx", "fma"}),
        ((_PLAIN + _AVX512) * 200, {"avx512f"}),
        ((_PLAIN + _AVX + _AVX2 + _FMA + _AVX512) * 200, {"avx", "avx2", "fma", "avx512f"}),
    ],
)
def test_x86_code_says_what_it_needs(code: bytes, features: set[str]) -> None:
    assert find_features(make_module(code), X86, FOUND[X86]) == features
    assert find_features(make_module(code), X86, {"avx512f", "sse3"}) == features & {"avx512f"}


@pytest.mark.parametrize(
    ("code", "features"),
    [(_ADD * 200, set()), ((_ADD + _SDOT) * 50, {"dotprod"}), ((_SDOT + _SMMLA) * 50, {"dotprod", "i8mm"})],
)
def test_arm_code_says_what_it_needs(code: bytes, features: set[str]) -> None:
    assert find_features(make_module(code, 183), ARM, FOUND[ARM]) == features


def test_code_for_another_machine_is_passed_over() -> None:
    assert not find_features(make_module(_AVX512 * 200, machine=183), X86, FOUND[X86])
    assert not find_features(make_module(_AVX512 * 200), "riscv64", ("v", "avx512f"))
    assert find_features(make_module(b"") + make_module(_AVX512 * 200), X86, FOUND[X86])


@given(st.binary(max_size=400), st.integers(0, 300), st.binary(max_size=40))
def test_damaged_modules_have_no_features_and_no_error(code: bytes, place: int, noise: bytes) -> None:
    module = bytearray(make_module(code))
    module[place : place + len(noise)] = noise
    assert find_features(bytes(module), X86, FOUND[X86]) <= set(FOUND[X86])
    assert find_features(bytes(module), ARM, FOUND[ARM]) <= set(FOUND[ARM])


def test_random_bytes_are_no_vector_code() -> None:
    import random

    noise = random.Random(0).randbytes(200_000)
    assert not find_features(make_module(noise), X86, FOUND[X86])
    assert not find_features(make_module(noise, 183), ARM, FOUND[ARM])
