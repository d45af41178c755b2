"""Pre-flight: features as Linux reports them, the choice of a variant, and versions of compiler and runtime."""

import platform
import struct
import subprocess
import warnings
from pathlib import Path

import iree._runtime_libs
import pytest
from makers.runtime_fakes import fake_manifest, fake_variant

from runtime_py.device.preflight import (
    Machine,
    arm64_features,
    check_runtime,
    cpu_features,
    cpu_name,
    normal_architecture,
    riscv_features,
    this_machine,
    why_not,
    x86_features,
)
from runtime_py.errors import RuntimeMismatchError
from runtime_py.package_format.manifest import ANY, VulkanNeeds

HASWELL = Machine(
    "x86_64",
    frozenset(["avx", "avx2", "fma", "bmi", "bmi2"]),
    "Haswell",
    "3.13.0rc20261016",
    ("local-sync", "local-task"),
)

_FLAGS = "fpu sse sse2 pni ssse3 sse4_1 sse4_2 fxsr avx avx2 fma f16c bmi1 bmi2 abm avx512f avx512_vnni avx512_bf16"
CPUINFO_X86 = f"""processor\t: 0
model name\t: Some CPU @ 2 GHz
flags\t\t: {_FLAGS} amx_int8 sha_ni

processor\t: 1
model name\t: Some CPU @ 2 GHz
flags\t\t: {_FLAGS}
"""


def auxv(first: int, second: int) -> bytes:
    return struct.pack("<6Q", 16, first, 26, second, 0, 0)


def test_x86_flags_get_the_names_of_llvm_and_count_only_where_every_core_has_them() -> None:
    features = x86_features(CPUINFO_X86)
    assert {
        "x87",
        "sse3",
        "sse4.1",
        "sse4.2",
        "crc32",
        "avx2",
        "fma",
        "bmi",
        "lzcnt",
        "avx512f",
        "avx512vnni",
        "avx512bf16",
    } <= features
    assert not features & {"amx-int8", "sha"}
    assert x86_features("") == frozenset()
    assert cpu_name(CPUINFO_X86) == "Some CPU @ 2 GHz"


def test_arm64_capabilities_of_known_boards() -> None:
    # Bits as the kernel defines them: Cortex-A53 (Pi 3), Cortex-A76 (Pi 5), and one with int8 matrix products and SVE2.
    a53 = arm64_features(auxv(sum(1 << bit for bit in (0, 1, 2, 3, 4, 5, 6, 7, 11)), 0))
    assert a53 == {"fp-armv8", "neon", "aes", "sha2", "crc"}
    a76 = arm64_features(auxv(sum(1 << bit for bit in (0, 1, 7, 8, 9, 10, 12, 15, 20)), 0))
    assert a76 == {"fp-armv8", "neon", "crc", "lse", "fullfp16", "rdm", "rcpc", "dotprod"}
    assert {"sve", "sve2", "i8mm", "bf16"} <= arm64_features(auxv(1 << 22, (1 << 1) | (1 << 13) | (1 << 14)))
    assert "fullfp16" not in arm64_features(auxv(1 << 9, 0))
    assert arm64_features(b"") == frozenset()


def test_riscv_extensions() -> None:
    assert riscv_features("isa\t: rv64imafdcv_zicbom_zba\nisa\t: rv64gc_zba\n") == {"i", "m", "a", "f", "d", "c", "zba"}


def test_a_machine_without_those_files_asks_the_tool_of_the_runtime() -> None:
    folder = Path(next(iter(iree._runtime_libs.__path__)))
    lines = subprocess.run(
        [str(folder / "iree-cpuinfo")], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert cpu_features("other", "", b"") >= {
        line.split()[0] for line in lines if line.split()[1] == "1"
    }  # and what follows (test_runtime_probed)


@pytest.mark.skipif(platform.system() != "Linux", reason="compares Linux's view with the runtime's")
def test_this_machine_has_what_the_runtime_sees() -> None:
    seen_by_runtime = cpu_features("other", "", b"")
    assert seen_by_runtime
    assert seen_by_runtime <= this_machine().features
    assert this_machine().architecture == normal_architecture(platform.machine())
    assert "local-sync" in this_machine().drivers


@pytest.mark.parametrize(
    ("name", "normal"), [("AMD64", "x86_64"), ("arm64", "aarch64"), ("aarch64", "aarch64"), ("riscv64", "riscv64")]
)
def test_architectures_are_spelled_as_in_triples(name: str, normal: str) -> None:
    assert normal_architecture(name) == normal


def test_each_obstacle_is_named() -> None:
    assert why_not(fake_variant(), HASWELL) is None
    assert (
        why_not(fake_variant(features=["avx2", "avx512f", "avx512vnni"]), HASWELL)
        == "this CPU (Haswell) lacks avx512f, avx512vnni"
    )
    assert why_not(fake_variant(triple="aarch64-linux-gnu"), HASWELL) == "it is for aarch64, this machine is x86_64"
    assert why_not(fake_variant(triple=ANY, features=[]), HASWELL) is None
    assert "hip device, which this version of pqrnn does not drive" in str(why_not(fake_variant(device="hip"), HASWELL))
    assert "no vulkan device" in str(why_not(fake_variant(device="vulkan", vulkan=VulkanNeeds()), HASWELL))
    assert "no local-sync" in str(why_not(fake_variant(), Machine("x86_64", frozenset(), "", "3.13", ())))


@pytest.mark.parametrize("runtime", ["3.13.0", "3.13.0rc20261016", "3.13.7"])
def test_a_runtime_of_the_same_release_is_fine(runtime: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_runtime(fake_manifest(), Machine("x86_64", frozenset(), "", runtime, ()))


@pytest.mark.parametrize("runtime", ["3.12.0", "3.14.0rc1", "4.0.0", "unknown"])
def test_another_runtime_is_refused_with_what_to_install(runtime: str) -> None:
    machine = Machine("x86_64", frozenset(), "", runtime, ())
    with pytest.raises(RuntimeMismatchError, match=r"pip install 'iree-base-runtime==3\.13\.\*'"):
        check_runtime(fake_manifest(), machine)
    with pytest.warns(UserWarning, match=r"3\.13"):
        check_runtime(fake_manifest(), machine, strict=False)
