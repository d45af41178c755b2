"""The emulators are what they say.

Another architecture, the features of the named processor and no others, the asked number of lanes.

The second half shows why pre-flight exists: the same code that it refuses, run without it, dies or gives wrong numbers.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from foreign import COLUMNS, DEPTH, ROWS, SUM, SUMMED, call, cpu_code, cpu_package, script, vulkan_code, vulkan_package

from compile.emulation.runner import Runner, RunnerNotFoundError, emulated_machine, emulated_runner, rasteriser_device
from compile.support.process import Finished, run_tool
from runtime_py.package_format.manifest import Variant, VulkanNeeds
from runtime_py.tools.replay import CANNOT_RUN, Replay
from targets.schema import Emulator

Start = Callable[..., Runner]

AARCH64, X86_64 = "aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"


def machine(runner: Runner) -> frozenset[str]:
    return emulated_machine(runner.python, tuple(runner.environment.items())).features


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76", "max"])
def test_a_whole_python_for_aarch64_runs_the_runtime(emulated: Start, cpu: str) -> None:
    runner = emulated("qemu-aarch64", cpu)
    assert runner.emulated
    assert re.fullmatch(rf"qemu-aarch64 \d+\.\d+\.\d+, {cpu}", runner.name)
    there = emulated_machine(runner.python, tuple(runner.environment.items()))
    assert there.architecture == "aarch64"
    assert {"local-sync", "local-task"} <= set(there.drivers)
    assert {"neon", "fp-armv8"} <= there.features
    assert ("dotprod" in there.features) == (cpu != "cortex-a53")
    assert ("i8mm" in there.features) == (cpu == "max")
    assert ("sve" in there.features) == (cpu == "max")


def test_its_packages_are_built_for_aarch64(emulated: Start) -> None:
    text = (
        "import platform, pathlib, numpy, msgspec, ml_dtypes, runtime_py\n"
        "import iree.runtime, iree._runtime_libs._runtime as r\n"
        "import numpy._core._multiarray_umath as n, msgspec._core as m\n"
        "machines = [pathlib.Path(x.__file__).read_bytes()[18:20].hex() for x in (r, n, m)]\n"
        "print(platform.machine(), *machines, runtime_py.__file__)"
    )
    finished = script(emulated("qemu-aarch64", "cortex-a53"), text)
    assert finished.code == 0, finished.diagnostics
    name, *machines, runtime = finished.output.split()
    assert name == "aarch64"
    assert machines == ["b700"] * 3  # ELF's number for aarch64, 183
    assert Path(runtime).parent == Path(__file__).parents[2] / "runtime_py"


def test_the_runtimes_own_view_of_the_processor_agrees(emulated: Start) -> None:
    for cpu, dotprod in (("cortex-a53", False), ("cortex-a76", True)):
        runner = emulated("qemu-aarch64", cpu)
        finished = run_tool(runner.tool("iree-cpuinfo"), 60, environment=runner.environment)
        seen = dict(line.split() for line in finished.output.splitlines() if len(line.split()) == 2)
        assert (seen["dotprod"] == "1") == dotprod


def test_an_emulated_x86_processor_hides_what_this_machine_has(emulated: Start) -> None:
    old, new = machine(emulated("qemu-x86_64", "SandyBridge")), machine(emulated("qemu-x86_64", "Haswell"))
    assert {"avx", "sse4.2", "popcnt"} <= old
    assert not {"avx2", "fma", "bmi2"} & old
    assert {"avx2", "fma", "bmi2", "movbe", "lzcnt"} <= new
    assert not {feature for feature in old | new if feature.startswith("avx512")}


@pytest.mark.parametrize("lanes", [8, 16])
def test_lavapipe_has_as_many_lanes_as_asked(emulated: Start, lanes: int) -> None:
    runner = emulated("lavapipe", lanes=lanes)
    assert re.fullmatch(rf"lavapipe \d+\.\d+\.\d+, {lanes} lanes", runner.name)
    device = rasteriser_device(runner.environment)
    assert device is not None
    assert device.software
    assert device.subgroup == lanes


def test_swiftshader_has_four(emulated: Start) -> None:
    runner = emulated("swiftshader")
    device = rasteriser_device(runner.environment)
    assert device is not None
    assert "SwiftShader" in device.name
    assert device.subgroup == 4
    assert re.fullmatch(r"SwiftShader of Chromium [\d.]+", runner.name)


def replay(runner: Runner, package: Path, preflight: bool = True) -> Finished:
    """Replay the golden vectors there, as verification does."""
    options = () if preflight else ("--no-preflight",)
    command = [
        *runner.python,
        "-m",
        "runtime_py.tools.replay",
        package,
        "--target",
        "foreign",
        "--repeats",
        "1",
        *options,
    ]
    return run_tool(command, 300, environment=runner.environment)


def died(finished: Finished) -> bool:
    """Whether a program ended by an instruction that its processor does not have."""
    return finished.code in (-signal.SIGILL, 128 + signal.SIGILL)


def refused(finished: Finished, *words: str) -> bool:
    """Whether pre-flight refused the package and said what is missing."""
    return (
        finished.code == CANNOT_RUN
        and "UnsupportedTargetError" in finished.diagnostics
        and all(word in finished.diagnostics for word in words)
    )


def right(finished: Finished) -> bool:
    """Whether every answer was as the golden vectors say."""
    assert finished.code == 0, finished.diagnostics
    return msgspec.json.decode(finished.output, type=Replay).parity.passed


@pytest.mark.parametrize(
    ("triple", "cpu", "features", "emulator", "lacking", "having"),
    [
        (AARCH64, "generic", ("sve",), "qemu-aarch64", "cortex-a53", "max"),
        (X86_64, "x86-64-v3", ("avx2", "fma", "bmi2"), "qemu-x86_64", "SandyBridge", "Haswell"),
    ],
)
def test_preflight_refuses_what_would_die(
    emulated: Start,
    tmp_path: Path,
    triple: str,
    cpu: str,
    features: tuple[str, ...],
    emulator: str,
    lacking: str,
    having: str,
) -> None:
    package = tmp_path / "foreign.pqrnn"
    cpu_package(package, cpu_code(triple, cpu, features if cpu == "generic" else ()), triple, features)
    poor, rich = emulated(emulator, lacking), emulated(emulator, having)
    assert refused(replay(poor, package), *features)
    assert died(replay(poor, package, preflight=False))
    assert right(replay(rich, package))


def test_avx512_code_is_refused_and_dies_where_it_is_missing(emulated: Start, tmp_path: Path) -> None:
    package, features = tmp_path / "foreign.pqrnn", ("avx512f", "avx512vl")
    cpu_package(package, cpu_code(X86_64, "x86-64-v4"), X86_64, features)
    runner = emulated("qemu-x86_64", "Haswell")
    assert refused(replay(runner, package), *features)
    assert died(replay(runner, package, preflight=False))


@pytest.mark.parametrize(
    ("features", "lacking", "having"),
    [(("dotprod",), "cortex-a53", "cortex-a76"), (("dotprod", "i8mm"), "cortex-a76", "max")],
)
def test_int8_dot_products_trap_on_older_arm_cores(
    emulated: Start, tmp_path: Path, features: tuple[str, ...], lacking: str, having: str
) -> None:
    package = tmp_path / "foreign.pqrnn"
    code = cpu_code(AARCH64, "generic", features)
    cpu_package(package, code, AARCH64, features)
    poor, rich = emulated("qemu-aarch64", lacking), emulated("qemu-aarch64", having)
    assert refused(replay(poor, package), features[-1])
    module = package / "variants" / "generic" / "module.vmfb"
    inputs = (f"{ROWS}x{DEPTH}xi8=1", f"{DEPTH}x{COLUMNS}xi8=1")
    assert died(call(poor, module, "product", *inputs))
    answered = call(rich, module, "product", *inputs)
    assert answered.code == 0, answered.diagnostics
    assert set(re.findall(r"\d+", answered.output.split("xi32=")[1])) == {str(DEPTH)}


def test_code_for_sixteen_lanes_adds_up_half_on_eight_without_a_word(emulated: Start, tmp_path: Path) -> None:
    module = tmp_path / "sum.vmfb"
    module.write_bytes(vulkan_code("valhall4", SUM))
    sums = {}
    for lanes in (8, 16):
        finished = call(emulated("lavapipe", lanes=lanes), module, "sum", f"4x{SUMMED}xf32=1", device="vulkan")
        assert finished.code == 0, finished.diagnostics
        sums[lanes] = finished.output.strip().split("4xf32=")[1].split()
    assert sums == {8: [str(SUMMED // 2)] * 4, 16: [str(SUMMED)] * 4}


def test_portable_vulkan_code_is_right_on_any_number_of_lanes(emulated: Start, tmp_path: Path) -> None:
    module = tmp_path / "sum.vmfb"
    module.write_bytes(vulkan_code("vp_android_baseline_2022", SUM))
    for runner in (emulated("lavapipe", lanes=8), emulated("lavapipe", lanes=16), emulated("swiftshader")):
        finished = call(runner, module, "sum", f"4x{SUMMED}xf32=1", device="vulkan")
        assert finished.output.strip().endswith(" ".join([str(SUMMED)] * 4)), (runner.name, finished)


def test_preflight_refuses_code_for_another_number_of_lanes(emulated: Start, tmp_path: Path) -> None:
    package = tmp_path / "foreign.pqrnn"
    vulkan_package(package, "valhall4", subgroup=16)
    eight, sixteen = emulated("lavapipe", lanes=8), emulated("lavapipe", lanes=16)
    assert refused(replay(eight, package), "subgroups of 16 lanes", "it has 8")
    assert right(replay(sixteen, package))
    assert not right(replay(eight, package, preflight=False))


def test_an_emulator_that_lacks_something_is_passed_over_with_the_reason(emulated: Start) -> None:
    emulated("lavapipe", lanes=8)
    emulated("swiftshader")
    needs = Variant(
        target="gpu",
        device="vulkan",
        triple="any",
        cpu="any",
        features=[],
        path="m.vmfb",
        flags=[],
        compile_seconds=1.0,
        parity=None,
        vulkan=VulkanNeeds(16),
    )
    with pytest.raises(RunnerNotFoundError, match=r"lavapipe .*, 8 lanes: .*subgroups of 16 lanes \(it has 8\)"):
        emulated_runner(Emulator("lavapipe", lanes=8), needs)
    assert emulated_runner(Emulator("lavapipe", lanes=16), needs).emulated
    with pytest.raises(RunnerNotFoundError, match=r"SwiftShader .*shaderInt64"):
        emulated_runner(Emulator("swiftshader"), msgspec.structs.replace(needs, vulkan=VulkanNeeds(0, int64=True)))


def test_qemu_with_a_processor_that_lacks_something_is_passed_over(emulated: Start) -> None:
    emulated("qemu-aarch64", "cortex-a53")
    needs = Variant(
        target="board",
        device="local-sync",
        triple=AARCH64,
        cpu="generic",
        features=["dotprod"],
        path="m.vmfb",
        flags=[],
        compile_seconds=1.0,
        parity=None,
    )
    with pytest.raises(RunnerNotFoundError, match="cortex-a53: lacks dotprod"):
        emulated_runner(Emulator("qemu-aarch64", "cortex-a53"), needs)
    assert emulated_runner(Emulator("qemu-aarch64", "cortex-a76"), needs).emulated
