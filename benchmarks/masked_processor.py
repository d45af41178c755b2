"""A Python program that sees an older processor: what all contenders choose from is the same, at this machine's speed.

    python -m benchmarks.masked_processor x86-64-v3 -m benchmarks.latency RUN PACKAGE --data DATA ...

Libraries choose their code by asking the processor (CPUID). Where the processor can trap that instruction
(`cpuid_fault` in /proc/cpuinfo), the answers lack the features that are newer than the level: nothing is emulated, and
times are those of that code on this machine. `/proc/cpuinfo` stays what it is, so compile for the level by name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from compile.emulation.cpuid import feature_bits

# What the level has not, in Linux's spelling: all that x86-64-v4 and later ones brought.
NEWER = {
    "x86-64-v3": frozenset(
        {
            "avx512f",
            "avx512dq",
            "avx512ifma",
            "avx512cd",
            "avx512bw",
            "avx512vl",
            "avx512vbmi",
            "avx512_vbmi2",
            "avx512_vnni",
            "avx512_bitalg",
            "avx512_vpopcntdq",
            "avx512_vp2intersect",
            "avx512_fp16",
            "avx512_bf16",
            "avx_vnni",
            "amx_bf16",
            "amx_tile",
            "amx_int8",
            "gfni",
            "vaes",
            "vpclmulqdq",
        }
    )
}
_SOURCE = Path(__file__).with_suffix(".c")


def can_mask() -> bool:
    """Return whether this processor can trap CPUID."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and "cpuid_fault" in cpuinfo.read_text("utf-8", "replace").split()


def build_trap(folder: Path) -> Path:
    """Compile what is preloaded into the program, into a folder.

    Raises:
        OSError: There is no C compiler.
        CalledProcessError: It failed.
    """
    library = folder / "masked_processor.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, _SOURCE], check=True)
    return library


def mask_environment(library: Path, features: Collection[str]) -> dict[str, str]:
    """Return the variables of a process that does not see some features.

    Args:
        library: What `build_trap` made.
        features: Names of features in Linux's spelling.
    """
    masks = (
        f"{leaf:x},{subleaf:x},{register:x},{bits:x};"
        for (leaf, subleaf, register), bits in feature_bits(features).items()
    )
    return {"LD_PRELOAD": str(library), "PQRNN_MASK": "".join(masks)}


def main() -> None:
    """Run Python with the arguments behind the level, and end as it does."""
    if len(sys.argv) < 3 or sys.argv[1] not in NEWER:
        raise SystemExit(f"{__doc__}\nlevels: {', '.join(NEWER)}")
    if not can_mask():
        raise SystemExit("this processor cannot trap CPUID: there is no cpuid_fault in /proc/cpuinfo")
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | mask_environment(build_trap(Path(folder)), NEWER[sys.argv[1]])
        raise SystemExit(subprocess.run([sys.executable, *sys.argv[2:]], env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
