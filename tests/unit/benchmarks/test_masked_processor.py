"""A program that does not see some features of the processor: it runs on, and all the others are there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.masked_processor import NEWER, build_trap, can_mask, mask_environment
from compile.emulation.cpuid import feature_bits, flags

_ASK = [sys.executable, "-m", "compile.emulation.cpuid"]


@pytest.mark.skipif(not can_mask(), reason="this processor cannot trap CPUID")
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_level_hides_what_is_newer_and_nothing_else(tmp_path: Path) -> None:
    environment = os.environ | mask_environment(build_trap(tmp_path), NEWER["x86-64-v3"])
    done = subprocess.run(_ASK, env=environment, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == set(flags()) - NEWER["x86-64-v3"]


def test_bits_are_those_of_the_manual() -> None:
    # Intel's Software Developer's Manual, volume 2A, CPUID: AVX512F is leaf 7 EBX bit 16, AVX512_VNNI is ECX bit 11.
    assert feature_bits({"avx512f", "avx512_vnni"}) == {(7, 0, 1): 1 << 16, (7, 0, 2): 1 << 11}
    with pytest.raises(ValueError, match="no known bit of CPUID: avx1024"):
        feature_bits({"avx2", "avx1024"})
