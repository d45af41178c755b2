"""The machine that runs a variant here: this one, or an emulator of the machine that the variant is for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import msgspec

from compile.emulation import locations
from compile.emulation.cpuid import emulated_cpuinfo
from compile.support.process import Finished, run_tool
from runtime_py.device.preflight import Machine, missing_features, this_machine, why_not
from runtime_py.device.vulkan import VulkanDevice, VulkanDevices, find_device, parse_device, vulkan_devices
from runtime_py.package_format.manifest import Variant
from targets.schema import Emulator, Target

_SECONDS = 120.0
_GET = "run `make emulators` (or: python -m compile.emulation.install)"


class RunnerNotFoundError(Exception):
    """Nothing here can run a variant.

    Attributes:
        reason: The reason, and how to change that.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Runner:
    """A machine to run a variant on, real or emulated.

    Attributes:
        name: Name and version, such as "this machine" or "qemu-aarch64 7.2.22, cortex-a53".
        emulated: Whether the machine is an emulator, whose times mean nothing.
        python: Command of a Python that can import `runtime_py` and all that it needs; its arguments follow.
        environment: Variables to set beside those of this process.
        tools: Start of the command for a program of the IREE runtime, whose path follows.
        tool_folder: Folder of those programs.
    """

    name: str
    emulated: bool
    python: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    tool_folder: Path = field(default_factory=lambda: native_tools())

    def tool(self, name: str) -> tuple[str, ...]:
        """Return the command of a program of the IREE runtime, such as `iree-benchmark-module`; its arguments follow.

        It is the real program, not the Python script on the PATH, which leaves it running when it is killed itself.
        """
        return (*self.tools, str(self.tool_folder / name))


def find_runner(target: Target, variant: Variant) -> Runner:
    """Return this machine if it can run a variant, else the first emulator of the target that can.

    Args:
        target: The target, which names its emulators.
        variant: The variant, which says what its code needs.

    Raises:
        RunnerNotFoundError: No machine can, with the reason for each that was tried.
    """
    reasons: list[str] = []
    emulated = (partial(emulated_runner, emulator) for emulator in target.emulators)
    starts: tuple[Callable[[Variant], Runner], ...] = (native_runner, *emulated)
    for start in starts:
        try:
            return start(variant)
        except RunnerNotFoundError as error:
            reasons.append(error.reason)
    if not target.emulators:
        reasons.append("the target names no emulator")
    raise RunnerNotFoundError("; ".join(reasons))


def native_runner(variant: Variant) -> Runner:
    """Return this machine: its processor, or for Vulkan its GPU, which must not be a program on the processor.

    Raises:
        RunnerNotFoundError: This machine cannot run the variant.
    """
    name = "this machine"
    if variant.vulkan is None:
        reason = why_not(variant, this_machine())
    else:
        devices = vulkan_devices()
        hardware = tuple(device for device in devices.devices if not device.software)
        gpu, reason = find_device(variant.vulkan, VulkanDevices(hardware, devices.problem or "there is no GPU"))
        name = gpu.title if gpu is not None else name
    if reason:
        raise RunnerNotFoundError(f"this machine: {reason}")
    return Runner(name, emulated=False, python=(sys.executable,), environment={"PYTHONPATH": locations.python_path()})


def emulated_runner(emulator: Emulator, variant: Variant | None = None) -> Runner:
    """Return an emulator.

    Args:
        emulator: The emulator, with the processor that it emulates.
        variant: The variant that it has to run, or None if the features of its processor do not matter.

    Raises:
        RunnerNotFoundError: The emulator is not installed, does not know the processor, or lacks what the variant
            needs.
    """
    runner = _EMULATORS[emulator.kind](emulator)
    if variant is not None and variant.vulkan is not None:
        reason = _why_not_there(runner, variant)
        if reason:
            raise RunnerNotFoundError(f"{runner.name}: {reason}")
    elif variant is not None:
        missing = missing_features(variant.features, emulated_machine(runner.python, tuple(runner.environment.items())))
        if missing:
            raise RunnerNotFoundError(f"{runner.name}: lacks {', '.join(missing)}")
    return runner


def _why_not_there(runner: Runner, variant: Variant) -> str:
    """Return the objection of pre-flight to a variant on a machine, or an empty text."""
    script = (
        "import msgspec, sys; from runtime_py.package_format.manifest import Variant; "
        "from runtime_py.device.preflight import this_machine, why_not\n"
        "sys.stdout.write(why_not(msgspec.json.decode(sys.stdin.buffer.read(), type=Variant), this_machine()) or '')"
    )
    finished = run_tool(
        [*runner.python, "-c", script],
        _SECONDS,
        stdin=msgspec.json.encode(variant).decode(),
        environment=runner.environment,
    )
    return finished.output if finished.code == 0 else f"pre-flight {finished.ending} there: {_last_line(finished)}"


def _last_line(finished: Finished) -> str:
    return (finished.diagnostics.strip().splitlines() or ["it said nothing"])[-1]


def native_tools() -> Path:
    """Return the folder of the runtime's programs for this machine."""
    import iree._runtime_libs

    return Path(next(iter(iree._runtime_libs.__path__)))


@cache
def emulated_machine(python: tuple[str, ...], environment: tuple[tuple[str, str], ...]) -> Machine:
    """Return the description of a machine that `runtime_py` gives when it runs there.

    Args:
        python: Command of a Python on that machine.
        environment: Variables to set, with their values.

    Raises:
        RunnerNotFoundError: Python does not run there.
    """
    script = (
        "import json, sys; from runtime_py.device.preflight import this_machine; m = this_machine()\n"
        "json.dump([m.architecture, sorted(m.features), m.cpu, m.runtime, list(m.drivers)], sys.stdout)"
    )
    finished = run_tool([*python, "-c", script], _SECONDS, environment=dict(environment))
    if finished.code:
        raise RunnerNotFoundError(f"{' '.join(python)} {finished.ending}: {_last_line(finished)}")
    architecture, features, cpu, runtime, drivers = json.loads(finished.output)
    return Machine(architecture, frozenset(features), cpu, runtime, tuple(drivers))


def _qemu(architecture: str, cpu: str) -> locations.Qemu:
    """Return the first QEMU that knows a processor (`max,sve=off` is the processor `max`)."""
    installed = list(locations.qemus(architecture))
    if not installed:
        raise RunnerNotFoundError(f"qemu-{architecture} is not installed: {_GET}")
    for qemu in installed:
        if cpu.split(",")[0] in qemu.processors:
            return qemu
    raise RunnerNotFoundError(
        f"qemu-{architecture} {', '.join(qemu.version for qemu in installed)}: has no processor {cpu!r}"
    )


def _qemu_aarch64(emulator: Emulator) -> Runner:
    qemu = _qemu("aarch64", emulator.cpu)
    installed = locations.aarch64()
    if installed is None:
        raise RunnerNotFoundError(f"there is no Python for aarch64 to run in QEMU: {_GET}")
    start = (str(qemu.path), "-L", str(installed.root), "-cpu", emulator.cpu)
    return Runner(
        f"qemu-aarch64 {qemu.version}, {emulator.cpu}",
        emulated=True,
        python=(*start, str(installed.python)),
        environment={
            "PYTHONPATH": os.pathsep.join((str(installed.site), str(locations.checkout()))),
            "PYTHONNOUSERSITE": "1",
        },
        tools=start,
        tool_folder=installed.tools,
    )


def _qemu_x86_64(emulator: Emulator) -> Runner:
    if this_machine().architecture != "x86_64":
        raise RunnerNotFoundError("qemu-x86_64: there is no Python for x86-64 on this machine to run in it")
    qemu = _qemu("x86_64", emulator.cpu)
    try:
        root = emulated_cpuinfo(qemu, emulator.cpu)
    except RuntimeError as error:
        raise RunnerNotFoundError(str(error)) from error
    start = (str(qemu.path), "-L", str(root), "-cpu", emulator.cpu)
    return Runner(
        f"qemu-x86_64 {qemu.version}, {emulator.cpu}",
        emulated=True,
        python=(*start, sys.executable),
        # NumPy's OpenBLAS uses code for AVX on emulated processors without AVX, unless it is told.
        environment={"PYTHONPATH": locations.python_path(), "OPENBLAS_CORETYPE": "Nehalem"},
        tools=start,
    )


def _lavapipe(emulator: Emulator) -> Runner:
    if emulator.lanes not in (4, 8, 16):
        raise RunnerNotFoundError(f"lavapipe has 4, 8 or 16 lanes, not {emulator.lanes}")
    # The shader cache has to be off: it serves code of one width to a process that asked for another.
    width = {"LP_NATIVE_VECTOR_WIDTH": str(32 * emulator.lanes), "MESA_SHADER_CACHE_DISABLE": "true"}
    version, environment = _rasteriser("lavapipe", locations.lavapipe(), width)
    return Runner(f"lavapipe {version}, {emulator.lanes} lanes", True, (sys.executable,), environment)


def _swiftshader(_emulator: Emulator) -> Runner:
    driver = locations.swiftshader()
    environment = _rasteriser("SwiftShader", driver, {})[1]
    assert driver is not None
    packages = locations.read_record(driver.manifest.parent)["packages"]
    assert isinstance(packages, dict)
    (chromium,) = packages.values()  # it has no version of its own but Chromium's
    return Runner(f"SwiftShader of Chromium {str(chromium).split('-')[0]}", True, (sys.executable,), environment)


def _rasteriser(name: str, driver: locations.Driver | None, settings: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return the version of a Vulkan driver, and the variables that let the loader see this driver and no other."""
    if driver is None:
        raise RunnerNotFoundError(f"{name} is not installed: {_GET}")
    environment = {
        "PYTHONPATH": locations.python_path(),
        "VK_ICD_FILENAMES": str(driver.manifest),
        "VK_DRIVER_FILES": str(driver.manifest),
        **settings,
    }
    if driver.libraries:
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(
            (*map(str, driver.libraries), *filter(None, [os.environ.get("LD_LIBRARY_PATH")]))
        )
    return _driver_version(name, tuple(sorted(environment.items()))), environment


@cache
def _driver_version(name: str, environment: tuple[tuple[str, str], ...]) -> str:
    device = rasteriser_device(dict(environment))
    if device is None:
        raise RunnerNotFoundError(f"{name} is installed but shows no device: {_GET}")
    return next((word for word in device.driver.split() if word[:1].isdigit()), "of unknown version")


def rasteriser_device(environment: dict[str, str]) -> VulkanDevice | None:
    """Return the only device that the loader finds with these variables."""
    dump = run_tool(
        [native_tools() / "iree-run-module", "--dump_devices=vulkan"], _SECONDS, environment=environment
    ).output
    return parse_device(0, dump) if "\nname: " in dump else None


_EMULATORS: dict[str, Callable[[Emulator], Runner]] = {
    "qemu-aarch64": _qemu_aarch64,
    "qemu-x86_64": _qemu_x86_64,
    "lavapipe": _lavapipe,
    "swiftshader": _swiftshader,
}
