"""Target files against the emulators.

A board's features are those of the emulated core, and a board that describes itself is seen right.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from foreign import script

from compile.emulation.runner import Runner, RunnerNotFoundError, emulated_machine, emulated_runner
from runtime_py.device.preflight import missing_features
from targets import Target, shipped
from targets.isa import ARCHITECTURES
from targets.schema import Preset, decode_target

Start = Callable[..., Runner]

AARCH64 = [name for name in shipped().names() if shipped().get(name).triple.startswith(("aarch64", "arm64"))]
# Chips may leave these out of a core, and QEMU's cores have them; no parser's code can contain them.
CRYPTOGRAPHY = {"aes", "sha2"}
DESCRIBE = """
import platform
from runtime_py.device.preflight import this_machine
from targets.board import processor_target
from targets.writing import encode_target
machine = this_machine()
print(encode_target(processor_target("board", platform.system(), machine.architecture, machine.features, machine.cpu)))
"""
DESCRIBE_GPU = """
import sys
sys.argv = ["pqrnn", "targets", "add", "gpu", "--gpu", "--out", "-"]
from pqrnn.cli import main
main()
"""


def features(runner: Runner) -> frozenset[str]:
    return emulated_machine(runner.python, tuple(runner.environment.items())).features


@pytest.mark.parametrize("name", AARCH64)
def test_an_emulator_has_what_the_code_needs_and_not_what_the_board_lacks(name: str) -> None:
    target = shipped().get(name)
    ran = []
    reasons = []
    for emulator in target.emulators:
        try:
            there = features(emulated_runner(emulator))
        except RunnerNotFoundError as error:
            reasons.append(error.reason)
            continue
        ran.append(emulator.cpu)
        assert [feature for feature in target.features if feature not in there] == []
        if target.board is not None:
            more = there & ARCHITECTURES["aarch64"].features - CRYPTOGRAPHY - set(target.board.features)
            assert not more, f"{emulator.cpu} would run code for {more}, which {name} lacks"
    if not ran:
        pytest.skip("; ".join(reasons))


@pytest.mark.parametrize(
    "name", [name for name in shipped().names() if shipped().get(name).triple.startswith("x86_64")]
)
def test_an_x86_level_is_emulated_by_a_processor_of_that_level(name: str, emulated: Start) -> None:
    target = shipped().get(name)
    if not target.emulators:
        # So the file says: the largest processor that QEMU can be lacks something that the code needs.
        lacking = set(target.features) - features(emulated("qemu-x86_64", "max"))
        assert lacking
        assert any("QEMU" in limit.text for limit in target.limits)
        return
    for emulator in target.emulators:
        there = features(emulated(emulator.kind, emulator.cpu))
        assert [feature for feature in target.features if feature not in there] == []
        above = {"linux-x86_64-v2": {"avx", "avx2", "fma", "bmi2"}}.get(name, {"avx512f", "avxvnni"})
        assert not above & there, f"{emulator.cpu} would run code that {name} must not contain"


@pytest.mark.parametrize(("cpu", "like"), [("cortex-a76", "raspberry-pi-5"), ("cortex-a53", "raspberry-pi-3")])
def test_a_board_that_describes_itself_is_seen_right(emulated: Start, cpu: str, like: str) -> None:
    runner = emulated("qemu-aarch64", cpu)
    finished = script(runner, DESCRIBE)
    assert finished.code == 0, finished.diagnostics
    target = decode_target(finished.output.encode(), "board", "board")
    board = shipped().get(like).board
    assert isinstance(target, Target)
    assert board is not None
    assert set(target.features) - CRYPTOGRAPHY == set(board.features) - CRYPTOGRAPHY
    assert missing_features(target.features, emulated_machine(runner.python, tuple(runner.environment.items()))) == []
    assert target.triple == shipped().get(like).triple


@pytest.mark.parametrize(("lanes", "base"), [(8, "vulkan-llvmpipe"), (16, "vulkan")])
def test_a_gpu_describes_itself(emulated: Start, lanes: int, base: str) -> None:
    finished = script(emulated("lavapipe", lanes=lanes), DESCRIBE_GPU)
    assert finished.code == 0, finished.diagnostics
    preset = decode_target(finished.output.encode(), "gpu", "gpu")
    assert isinstance(preset, Preset)
    assert preset.base == base
    assert preset.board is not None
    assert preset.board.soc.startswith("llvmpipe")
    assert f"{lanes} lanes" in preset.board.cores
