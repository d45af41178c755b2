"""Checks before code is loaded: architecture, CPU features, GPU, and the version of the IREE runtime.

IREE compares the architecture only: code that uses an instruction which the CPU lacks kills the process, and a module
of another compiler version fails with an internal message. So both are compared here, with the manifest, and the answer
names what is missing.
"""

import platform
import re
import struct
import subprocess
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_py.device.machine_code import FOUND, find_features
from runtime_py.errors import RuntimeMismatchError, UnsupportedTargetError
from runtime_py.package_format.manifest import ANY, VULKAN, Manifest, Producer, Variant, VulkanNeeds

if TYPE_CHECKING:
    from runtime_py.device.vulkan import VulkanDevice

LOCAL_DEVICES = ("local-sync", "local-task")

_ARCHITECTURES = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "arm64": "aarch64",
    "i686": "i386",
    "i586": "i386",
    "armv8l": "armv7l",
    "arm": "armv7l",
}

# Linux's names in /proc/cpuinfo that differ from LLVM's; the others are equal after '_' becomes '-'.
_X86_NAMES = {
    "3dnowprefetch": "prfchw",
    "abm": "lzcnt",
    "amx_bf16": "amx-bf16",
    "amx_fp16": "amx-fp16",
    "amx_int8": "amx-int8",
    "amx_tile": "amx-tile",
    "avx512_4fmaps": "avx5124fmaps",
    "avx512_4vnniw": "avx5124vnniw",
    "avx512_bf16": "avx512bf16",
    "avx512_bitalg": "avx512bitalg",
    "avx512_fp16": "avx512fp16",
    "avx512_vbmi2": "avx512vbmi2",
    "avx512_vnni": "avx512vnni",
    "avx512_vp2intersect": "avx512vp2intersect",
    "avx512_vpopcntdq": "avx512vpopcntdq",
    "avx_ifma": "avxifma",
    "avx_ne_convert": "avxneconvert",
    "avx_vnni": "avxvnni",
    "avx_vnni_int8": "avxvnniint8",
    "avx_vnni_int16": "avxvnniint16",
    "bmi1": "bmi",
    "fpu": "x87",
    "lahf_lm": "sahf",
    "pclmulqdq": "pclmul",
    "pni": "sse3",
    "rdrand": "rdrnd",
    "sha_ni": "sha",
    "sse4_1": "sse4.1",
    "sse4_2": "sse4.2",
}
# What LLVM counts as features of its own and every CPU with the other one has.
_X86_IMPLIED = {"sse4.2": ("crc32",), "fxsr": ("mmx",), "avx512f": ("evex512",), "lm": ("64bit",)}
# What `iree-cpuinfo` does not tell of an x86 CPU, though every one with the others has it (the levels of the x86-64
# psABI).
_X86_UNTOLD = {
    ("sse4.2",): ("crc32", "cx16", "popcnt", "sahf"),
    ("avx",): ("xsave",),
    ("avx2", "fma"): ("bmi", "bmi2", "lzcnt", "movbe"),
}

# Bits of AT_HWCAP and AT_HWCAP2 in the auxiliary vector (Linux, asm/hwcap.h of arm64), with LLVM's names.
_ARM64_HWCAP = {
    0: "fp-armv8",
    1: "neon",
    3: "aes",
    6: "sha2",
    7: "crc",
    8: "lse",
    12: "rdm",
    13: "jsconv",
    14: "complxnum",
    15: "rcpc",
    16: "ccpp",
    17: "sha3",
    19: "sm4",
    20: "dotprod",
    22: "sve",
    23: "fp16fml",
    24: "dit",
    25: "lse2",
    26: "rcpc-immo",
    27: "flagm",
    28: "ssbs",
    29: "sb",
    30: "pauth",
}
_ARM64_HALF = (1 << 9) | (1 << 10)  # scalar and vector half precision; LLVM has one name for both
_ARM64_HWCAP2 = {
    0: "ccdp",
    1: "sve2",
    2: "sve2-aes",
    4: "sve2-bitperm",
    5: "sve2-sha3",
    6: "sve2-sm4",
    7: "altnzcv",
    8: "frintts",
    10: "f32mm",
    11: "f64mm",
    13: "i8mm",
    14: "bf16",
    16: "rand",
    17: "bti",
    18: "mte",
    23: "sme",
    36: "sve2p1",
    37: "sme2",
}
_AT_HWCAP, _AT_HWCAP2 = 16, 26


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts of the machine that decide which code it can run.

    Attributes:
        architecture: The architecture as target triples spell it: ``x86_64``, ``aarch64``.
        features: CPU features in LLVM's spelling.
        cpu: The name of the CPU for people; may be empty.
        runtime: Version of the installed IREE runtime.
        drivers: Names of the devices that the runtime was built with.
    """

    architecture: str
    features: frozenset[str]
    cpu: str
    runtime: str
    drivers: tuple[str, ...]


@cache
def this_machine() -> Machine:
    """Look at this machine, once per process."""
    from iree.runtime import HalDriver
    from iree.runtime.version import VERSION

    architecture = normal_architecture(platform.machine())
    cpuinfo = _read(Path("/proc/cpuinfo")).decode("utf-8", "replace")
    return Machine(
        architecture=architecture,
        features=cpu_features(architecture, cpuinfo, _read(Path("/proc/self/auxv"))),
        cpu=cpu_name(cpuinfo) or platform.processor(),
        runtime=VERSION,
        drivers=tuple(HalDriver.query()),
    )


def normal_architecture(name: str) -> str:
    """Return an architecture as target triples spell it."""
    lower = name.lower()
    return _ARCHITECTURES.get(lower, lower)


def cpu_features(architecture: str, cpuinfo: str, auxv: bytes) -> frozenset[str]:
    """Return the CPU's features in LLVM's spelling.

    Args:
        architecture: The architecture as target triples spell it.
        cpuinfo: Content of ``/proc/cpuinfo``, empty where there is none.
        auxv: Content of ``/proc/self/auxv``, empty where there is none. An emulator of user programs fills it for the
            emulated CPU.

    Returns:
        The features; from the runtime's own ``iree-cpuinfo`` where Linux's files say nothing.
    """
    features: frozenset[str] = frozenset()
    if architecture in ("x86_64", "i386"):
        features = x86_features(cpuinfo)
    elif architecture == "aarch64":
        features = arm64_features(auxv)
    elif architecture == "riscv64":
        features = riscv_features(cpuinfo)
    return features or _probed_features()


def x86_features(cpuinfo: str) -> frozenset[str]:
    """Return LLVM's names of the flags that every listed x86 core has."""
    lines = re.findall(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    if not lines:
        return frozenset()
    flags = set.intersection(*(set(line.split()) for line in set(lines)))
    features = {_X86_NAMES.get(flag, flag.replace("_", "-")) for flag in flags}
    for cause, implied in _X86_IMPLIED.items():
        if cause in features:
            features.update(implied)
    return frozenset(features)


def arm64_features(auxv: bytes) -> frozenset[str]:
    """Return LLVM's names of the bits that the kernel reports for 64-bit ARM."""
    values = dict(struct.iter_unpack("<QQ", auxv[: len(auxv) // 16 * 16]))
    first, second = values.get(_AT_HWCAP, 0), values.get(_AT_HWCAP2, 0)
    features = {name for bit, name in _ARM64_HWCAP.items() if first >> bit & 1}
    features.update(name for bit, name in _ARM64_HWCAP2.items() if second >> bit & 1)
    if first & _ARM64_HALF == _ARM64_HALF:
        features.add("fullfp16")
    if "frintts" in features:
        features.add("fptoint")  # the same under LLVM's older name
    return frozenset(features)


def riscv_features(cpuinfo: str) -> frozenset[str]:
    """Return the extensions that every listed RISC-V core has (``m``, ``v``, ``zba``)."""
    cores = [set(_split_isa(isa)) for isa in re.findall(r"^isa\s*:\s*(rv\S+)", cpuinfo, re.MULTILINE)]
    return frozenset(set.intersection(*cores)) if cores else frozenset()


def _split_isa(isa: str) -> Iterable[str]:
    single, *named = isa.lower().split("_")
    letters = re.sub(r"^rv\d+", "", single)
    return [*letters.replace("g", "imafd"), *named]


def cpu_name(cpuinfo: str) -> str:
    """Return the CPU's name for people from ``/proc/cpuinfo``, or an empty text."""
    match = re.search(r"^(?:model name|Model|uarch)\s*:\s*(\S.*)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else ""


def describe_processor() -> str:
    """Return what this machine's processor is called, for people; the runtime is not asked."""
    cpuinfo = _read(Path("/proc/cpuinfo")).decode("utf-8", "replace")
    return cpu_name(cpuinfo) or platform.processor() or normal_architecture(platform.machine())


def _probed_features() -> frozenset[str]:
    """Ask the ``iree-cpuinfo`` that comes with the runtime, as on macOS and Windows."""
    import iree._runtime_libs

    folder = Path(next(iter(iree._runtime_libs.__path__)))
    tool = folder / ("iree-cpuinfo.exe" if sys.platform == "win32" else "iree-cpuinfo")
    try:
        output = subprocess.run([str(tool)], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    told = {parts[0] for line in output.splitlines() if len(parts := line.split()) == 2 and parts[1] == "1"}
    return frozenset(told.union(*(untold for causes, untold in _X86_UNTOLD.items() if told.issuperset(causes))))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def missing_features(features: Iterable[str], machine: Machine) -> list[str]:
    """Return the features that the machine lacks, in order."""
    return sorted(feature for feature in features if feature not in machine.features)


def why_not(variant: Variant, machine: Machine) -> str | None:
    """Return why a machine cannot run a variant, or None when it can.

    For a variant for GPUs, this loads their drivers.
    """
    if variant.vulkan is not None:
        return find_gpu(variant, machine)[1] or None
    if variant.device not in LOCAL_DEVICES:
        return f"it runs on a {variant.device} device, which this version of pqrnn does not drive"
    if variant.device not in machine.drivers:
        return f"the installed IREE runtime has no {variant.device} device"
    if variant.triple == ANY:
        return None
    architecture = normal_architecture(variant.triple.split("-")[0])
    if architecture != machine.architecture:
        return f"it is for {architecture}, this machine is {machine.architecture}"
    missing = missing_features(variant.features, machine)
    if missing:
        return f"this CPU{f' ({machine.cpu})' if machine.cpu else ''} lacks {', '.join(missing)}"
    return None


def find_gpu(variant: Variant, machine: Machine) -> tuple["VulkanDevice | None", str]:
    """Return the GPU that can run a variant for GPUs, or None and the reason."""
    if VULKAN not in machine.drivers:
        return None, f"the installed IREE runtime has no {VULKAN} device"
    from runtime_py.device import vulkan  # only where it is needed: a start on the CPU is quicker without

    return vulkan.find_device(variant.vulkan or VulkanNeeds(), vulkan.vulkan_devices())


def check_code(code: Any, variant: Variant, machine: Machine, where: str) -> None:
    """Compare what machine code itself shows of its needs with the machine, whatever the manifest lists.

    Only features that the manifest does not list and the machine lacks are looked for, so it costs nothing where there
    are none.

    Args:
        code: The module.
        variant: What the manifest says of it.
        machine: The machine.
        where: How error messages call the module.

    Raises:
        UnsupportedTargetError: The code would kill the process.
    """
    lacking = [
        feature
        for feature in FOUND.get(machine.architecture, ())
        if feature not in machine.features and feature not in variant.features
    ]
    if not lacking or variant.vulkan is not None or variant.triple == ANY:
        return
    if used := find_features(code, machine.architecture, lacking):
        raise UnsupportedTargetError(
            f"{where}: its code uses {', '.join(sorted(used))}, which this CPU lacks and the manifest does not list. "
            "Compile the package again."
        )


def check_runtime(manifest: Manifest, machine: Machine, where: str = "package", strict: bool = True) -> None:
    """Compare the compiler that made the package with the installed runtime: major and minor version have to be equal.

    Args:
        manifest: The package's manifest.
        machine: The machine with the runtime.
        where: How error messages call the package.
        strict: Whether to refuse; otherwise a difference is a warning.

    Raises:
        RuntimeMismatchError: They differ; the message says what to install.
    """
    check_producer(manifest.producer, machine, where, strict)


def check_producer(producer: Producer, machine: Machine, where: str = "package", strict: bool = True) -> None:
    """Do what `check_runtime` does, with what a manifest says of who made the package."""
    compiler = producer.iree_compiler
    if _release(compiler) == _release(machine.runtime):
        return
    message = (
        f"{where}: was compiled by iree-base-compiler {compiler}, the installed iree-base-runtime is "
        f"{machine.runtime}. Install the matching one: pip install 'iree-base-runtime=={_release(compiler)}.*' - or "
        "compile the package again."
    )
    if strict:
        raise RuntimeMismatchError(message)
    warnings.warn(message, stacklevel=4)


def _release(version: str) -> str:
    match = re.match(r"(\d+)\.(\d+)", version)
    return f"{match[1]}.{match[2]}" if match else version
