"""Memory of this process, as the system counts it."""

import sys
from pathlib import Path


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes, 0 where the system does not say."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Return the largest resident memory that this process ever had, in bytes, 0 where the system does not say."""
    return _status("VmHWM") or _peak_from_usage()


def _status(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def _peak_from_usage() -> int:
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
