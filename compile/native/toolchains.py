"""C compilers for native parsers: `ziglang` from the package index for every target, else this machine's for itself."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from compile.emulation import locations
from compile.native.errors import NoCompilerError
from compile.standalone.errors import ToolchainError
from compile.standalone.toolchains import choose_compiler
from compile.support.process import run_tool
from runtime_py.cache import cache_folder
from targets import Target
from targets.isa import architecture_of

GLIBC = "2.28"  # Debian 10, Ubuntu 18.10, Raspberry Pi OS of 2019 and everything later
WEBASSEMBLY = "wasm32"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class NativeCompiler:
    """A C compiler, with the options that name the target.

    Attributes:
        name: Name for people, with the version.
        command: Start of the command that compiles.
        archiver: Start of the command that makes a static library; empty where there is none.
        shared_suffix: Suffix of shared libraries.
        system: What the code runs under: linux, android, macos, windows, none or web.
        environment: Environment variables to set for the programs.
    """

    name: str
    command: tuple[str, ...]
    archiver: tuple[str, ...]
    shared_suffix: str
    system: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def zig(self) -> bool:
        """Whether it is zig."""
        return self.name.startswith("zig ")

    @property
    def shared_prefix(self) -> str:
        """Prefix of the names of shared libraries."""
        return "" if self.system in ("windows", "web") else "lib"


def system_of(triple: str) -> str:
    """Return the system of an LLVM triple, or of this machine for "host"."""
    if triple == "host":
        return {"Darwin": "macos", "Windows": "windows"}.get(platform.system(), "linux")
    for part, system in (("android", "android"), ("linux", "linux"), ("apple", "macos"), ("windows", "windows")):
        if part in triple:
            return system
    return "web" if triple.startswith(WEBASSEMBLY) else "none"


def find_compiler(target: Target, libc: str = "") -> NativeCompiler:
    """Return the C compiler for a target.

    $PQRNN_CC names another one, with its options, which then has to fit the target.

    Args:
        target: The target.
        libc: C library of Linux: "musl", or "glibc" with the oldest version that has to do, as "glibc:2.17".

    Raises:
        NoCompilerError: There is none here.
    """
    system = system_of(target.triple)
    suffix = {"macos": ".dylib", "windows": ".dll", "web": ".wasm"}.get(system, ".so")
    if chosen := os.environ.get("PQRNN_CC", "").split():
        return NativeCompiler(chosen[0], tuple(chosen), _archiver(""), suffix, system)
    if find_spec("ziglang") is not None:
        zig = (sys.executable, "-m", "ziglang")
        command: tuple[str, ...] = (*zig, "cc", "-target", _zig_target(target, libc), "-fno-sanitize=undefined")
        if system == "none":  # for zig a processor's name does not imply its floating-point unit
            command = (*command, f"-mcpu={target.cpu.replace('-', '_')}+fp_armv8d16")
        # Zig keeps what it has built of C libraries, for the next time.
        kept = os.environ.get("ZIG_GLOBAL_CACHE_DIR", str(cache_folder() / "zig"))
        environment = {"ZIG_GLOBAL_CACHE_DIR": kept}
        return NativeCompiler(f"zig {_zig_version()}", command, (*zig, "ar"), suffix, system, environment)
    if libc:
        raise NoCompilerError(f"{target.id}: --libc needs zig: pip install 'pqrnn[native]'")
    return _installed(target, suffix, system)


def _installed(target: Target, suffix: str, system: str) -> NativeCompiler:
    """Return a compiler of this machine: its own, or a cross-compiler that `pqrnn export-c` uses, too."""
    if _is_here(target):
        for name in ("cc", "gcc", "clang"):
            if shutil.which(name):
                return NativeCompiler(name, (name,), _archiver(""), suffix, system)
    try:
        cross = choose_compiler(target)
    except ToolchainError:
        cross = None
    compiler = locations.cross_compiler(cross.prefix) if cross is not None else None
    if cross is not None and compiler is not None:
        archiver = compiler.path.with_name(f"{cross.prefix}ar")
        return NativeCompiler(
            cross.compiler,
            (str(compiler.path), *cross.flags),
            (str(archiver),) if archiver.exists() else (),
            suffix,
            system,
            compiler.environment,
        )
    raise NoCompilerError(
        f"{target.id}: no C compiler for {target.triple} is installed here. "
        "One for every target comes with: pip install 'pqrnn[native]'"
    )


def _is_here(target: Target) -> bool:
    return target.triple == "host" or (
        system_of(target.triple) == system_of("host") and architecture_of(target.triple) == platform.machine()
    )


def _archiver(prefix: str) -> tuple[str, ...]:
    name = f"{prefix}ar"
    return (name,) if shutil.which(name) else ()


def _zig_version() -> str:
    finished = run_tool([Path(sys.executable), "-m", "ziglang", "version"], _SECONDS)
    return finished.output.strip() or "of unknown version"


def _zig_target(target: Target, libc: str) -> str:
    """Return what zig calls a target.

    Raises:
        NoCompilerError: Zig has no such target, or not this C library for it.
    """
    system = system_of(target.triple)
    architecture = platform.machine() if target.triple == "host" else architecture_of(target.triple)
    library, _, version = (libc or "glibc").partition(":")
    if library not in ("glibc", "musl") or (libc and system != "linux") or (library == "musl" and version):
        raise NoCompilerError(
            f"{target.id}: {libc!r} is no C library for it: expected musl or glibc:VERSION, for targets with Linux"
        )
    # A 32-bit ARM with floating-point registers says so in the name of its ABI.
    hard = "eabihf" if architecture == "arm" else ""
    abi = f"musl{hard}" if library == "musl" else f"gnu{hard}.{version or GLIBC}"
    name = {
        "linux": f"{architecture}-linux-{abi}",
        # Its C library is not in zig: what the parser calls is found when the library is loaded.
        "android": f"{architecture}-linux-musl",
        "macos": f"{architecture}-macos",
        "windows": f"{architecture}-windows-gnu",
        "web": "wasm32-freestanding",
        "none": "thumb-freestanding-eabihf" if target.triple.startswith("thumbv7em") else None,
    }.get(system)
    if name is None or (architecture is None and system != "web"):
        raise NoCompilerError(f"{target.id}: zig has no system for {target.triple}; name a C compiler in $PQRNN_CC")
    return name
