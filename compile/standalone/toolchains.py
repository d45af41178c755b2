"""The C compiler that builds a parser for a target, and the machine or emulator that runs the result here."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from compile.emulation import locations, pins
from compile.standalone.errors import ToolchainError
from compile.support.process import run_tool
from targets import Target
from targets.isa import architecture_of

_BOARD = Path(__file__).parent / "c"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CompilerSpec:
    """A C compiler for a kind of machine, installed or not.

    Attributes:
        prefix: Prefix of the names of its programs.
        packages: Names of the Debian packages to install, separated by spaces.
        flags: Options that describe the machine.
    """

    prefix: str
    packages: str
    flags: tuple[str, ...] = ()

    @property
    def compiler(self) -> str:
        """Name of the compiler's program."""
        return f"{self.prefix}gcc"


# Vectors and other extensions are used in kernels.o alone, which is compiled already; the C is for the plain processor.
_CROSS_COMPILERS = {
    "aarch64": CompilerSpec("aarch64-linux-gnu-", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
    "arm": CompilerSpec(
        "arm-linux-gnueabihf-", "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross", ("-march=armv7-a", "-mfpu=neon-vfpv4")
    ),
    "armv7-vfp3": CompilerSpec(
        "arm-linux-gnueabihf-", "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross", ("-march=armv7-a", "-mfpu=neon")
    ),
    "riscv64": CompilerSpec(
        "riscv64-linux-gnu-", "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross", ("-march=rv64gc", "-mabi=lp64d")
    ),
    "x86_64": CompilerSpec("x86_64-linux-gnu-", "gcc-x86-64-linux-gnu libc6-dev-amd64-cross"),
}
_CORTEX_M7 = CompilerSpec(
    "arm-none-eabi-",
    "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A C compiler for a machine, and that machine or its emulator.

    Attributes:
        cross: Description of the C compiler.
        compiler: The C compiler as it is installed here.
        options: Further options for a program that the emulator runs.
        libraries: Files and options that such a program is linked with.
        machine: Name of the machine: "this machine", "qemu-arm 7.2.22, cortex-a7".
        command: Start of the command that runs a program; the program and its arguments follow.
        whole_board: Whether the emulator is of a whole board, and takes the program and its arguments as options.
    """

    cross: CompilerSpec
    compiler: locations.InstalledCompiler
    options: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ("-static",)
    machine: str = "this machine"
    command: tuple[str, ...] = ()
    whole_board: bool = False

    def run(self, program: Path, *arguments: str) -> list[str]:
        """Return the command that runs a program, in the program's folder."""
        if not self.whole_board:
            return [*self.command, f"./{program.name}", *arguments]
        words = ",".join(f"arg={word}" for word in (program.name, *arguments))
        return [*self.command, "-semihosting-config", f"enable=on,target=native,{words}", "-kernel", program.name]


def choose_compiler(target: Target) -> CompilerSpec:
    """Return the C compiler for a target, installed or not.

    Raises:
        ToolchainError: The target's object files are not ELF, or its architecture is unknown.
    """
    if target.family != "cpu" or any(system in target.triple for system in ("apple", "windows", "wasm")):
        raise ToolchainError(
            f"{target.id}: cannot be written as C: "
            "that takes a processor, and object files in ELF (Linux, Android, bare metal)"
        )
    if target.triple.startswith("thumbv7em-none") and target.cpu == "cortex-m7":
        return _CORTEX_M7
    architecture = _architecture(target)
    spec = _CROSS_COMPILERS.get(
        "armv7-vfp3" if architecture == "arm" and "vfp4" not in target.features else architecture
    )
    if spec is None:
        raise ToolchainError(f"{target.id}: no C compiler is known here for {target.triple}")
    return spec


def find_toolchain(target: Target) -> Toolchain:
    """Return the compiler that builds a parser for a target, and the machine that runs it here.

    Raises:
        ToolchainError: The compiler or the emulator is not installed; with the name of the package.
    """
    cross = choose_compiler(target)
    compiler = locations.cross_compiler(cross.prefix)
    if compiler is None:
        fetched = "run `make emulators`, or on " if cross.prefix in pins.CROSS_COMPILERS else ""
        raise ToolchainError(f"{cross.compiler} is not installed ({fetched}Debian: apt-get install {cross.packages})")
    if cross is _CORTEX_M7:
        return _cortex_m7(cross, compiler)
    machine, command = find_machine(target)
    return Toolchain(cross, compiler, machine=machine, command=command)


def find_machine(target: Target, processor: str = "") -> tuple[str, tuple[str, ...]]:
    """Return the machine that runs programs for a target here, and the start of the command that runs one.

    Args:
        target: The target.
        processor: QEMU's name of the processor; by default one that has the features of the target, and few others.

    Raises:
        ToolchainError: Neither this machine nor an emulator that is installed runs them.
    """
    architecture = _architecture(target)
    if architecture == platform.machine():
        return "this machine", ()
    cpu = processor or _processor(target, architecture)
    # The newest first: older ones know fewer processors.
    for qemu in reversed(list(locations.qemus(architecture))):
        if cpu.split(",")[0] in qemu.processors:
            return f"qemu-{architecture} {qemu.version}, {cpu}", (str(qemu.path), "-cpu", cpu)
    raise ToolchainError(
        f"qemu-{architecture} with a processor {cpu.split(',')[0]!r} is not installed: run `make emulators`"
    )


def _architecture(target: Target) -> str:
    return platform.machine() if target.triple == "host" else architecture_of(target.triple) or ""


def _processor(target: Target, architecture: str) -> str:
    """Return QEMU's name of a processor that has the features of the target, and few others."""
    for emulator in target.emulators:
        if emulator.kind == f"qemu-{architecture}":
            return emulator.cpu
    if architecture == "riscv64":
        return "rv64,v=true,vlen=128" if "v" in target.features else "rv64"
    if architecture == "arm":
        return "cortex-a7" if "vfp4" in target.features else "cortex-a8"
    return "max"


def _cortex_m7(cross: CompilerSpec, compiler: locations.InstalledCompiler) -> Toolchain:
    emulator = shutil.which("qemu-system-arm")
    if emulator is None:
        raise ToolchainError("qemu-system-arm is not installed (Debian: apt-get install qemu-system-arm)")
    version = run_tool([emulator, "--version"], _SECONDS).output.split(" version ")[-1].split()[0]
    return Toolchain(
        cross,
        compiler,
        options=('-DPQRNN_MEMORY=__attribute__((section(".bss.pqrnn_memory")))',),
        libraries=(
            "--specs=rdimon.specs",
            "-nostartfiles",
            str(_BOARD / "mps2_an500.c"),
            "-T",
            str(_BOARD / "mps2_an500.ld"),
        ),
        machine=f"qemu-system-arm {version}, mps2-an500 (Cortex-M7)",
        command=(emulator, "-M", "mps2-an500", "-nographic", "-monitor", "none", "-serial", "none"),
        whole_board=True,
    )
