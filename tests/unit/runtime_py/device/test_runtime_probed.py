"""CPU features where Linux's files do not tell them, as on Windows and macOS: from the runtime's own tool."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from runtime_py.device import preflight
from runtime_py.device.preflight import cpu_features, this_machine
from targets import shipped

_NAMES = [
    "sse3",
    "ssse3",
    "sse4.1",
    "sse4.2",
    "sse4a",
    "avx",
    "fma",
    "fma4",
    "xop",
    "f16c",
    "avx2",
    "avx512f",
    "avx512cd",
    "avx512vl",
    "avx512dq",
    "avx512bw",
    "avx512vnni",
    "amx-tile",
]


def probe(monkeypatch: pytest.MonkeyPatch, told: str) -> frozenset[str]:
    listing = "".join(f"{name:<20} {int(name in told.split())}\n" for name in _NAMES)

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "iree-cpuinfo" in command[0]
        return subprocess.CompletedProcess(command, 0, stdout=listing)

    monkeypatch.setattr(preflight.subprocess, "run", run)
    return cpu_features("x86_64", cpuinfo="", auxv=b"")


@pytest.mark.parametrize(
    ("told", "runs"),
    [
        ("sse3 ssse3", set()),
        ("sse3 ssse3 sse4.1 sse4.2", {"linux-x86_64-v2"}),
        ("sse3 ssse3 sse4.1 sse4.2 avx f16c avx2", {"linux-x86_64-v2"}),  # without FMA
        (
            "sse3 ssse3 sse4.1 sse4.2 avx f16c avx2 fma",
            {"linux-x86_64-v2", "linux-x86_64-v3", "windows-x86_64-v3", "macos-x86_64-v3"},
        ),
    ],
)
def test_a_level_is_neither_refused_nor_granted_for_what_the_tool_leaves_out(
    told: str, runs: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    features = probe(monkeypatch, told)
    levels = [shipped().get(name) for name in shipped().names() if "x86_64" in name and "vnni" not in name]
    assert {level.id for level in levels if set(level.features) <= features} == runs


def test_what_is_added_is_true_of_this_machine() -> None:
    architecture = this_machine().architecture
    assert cpu_features(architecture, cpuinfo="", auxv=b"") <= this_machine().features
