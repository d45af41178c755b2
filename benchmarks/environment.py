"""The machine and the versions that a measurement was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "pqrnn",
    "torch",
    "iree-base-compiler",
    "iree-base-runtime",
    "iree-turbine",
    "onnxruntime",
    "executorch",
    "ai-edge-litert",
    "litert-torch",
    "numpy",
)
_X86_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
_FLAGS = (*_X86_FLAGS, "asimd", "asimddp", "i8mm", "sve")


def describe_environment() -> dict[str, Any]:
    """Return processor, memory, system, load and versions, as far as the system tells."""
    facts, flags = _read_cpu(), cpu_flags()
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "cpu_flags": [flag for flag in _FLAGS if flag in flags],
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: installed for name in _PACKAGES if (installed := _version(name))},
    }


def cpu_flags() -> frozenset[str]:
    """Return the names of the processor's features as Linux gives them; none elsewhere."""
    facts = _read_cpu()
    return frozenset((facts.get("flags") or facts.get("Features") or "").split())


def _read_cpu() -> dict[str, str]:
    first = _read("/proc/cpuinfo").split("\n\n", 1)[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
