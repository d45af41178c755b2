"""Compiling the C of a native parser and linking it with its kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.native.errors import NativeError
from compile.native.jvm import write_methods
from compile.native.toolchains import NativeCompiler
from compile.native.writing import Sources
from compile.support.process import run_tool

_SECONDS = 600.0
_WARNINGS = ("-Wall", "-Wextra", "-Werror")
_EXPORTED = (
    "abi",
    "memory",
    "open_in",
    "parse",
    "set_min_score",
    "rank",
    "alternatives",
    "message",
    "name",
    "intents",
    "tags",
    "intent_name",
    "tag_name",
    "most_bytes",
)
# WebAssembly's stack lies before everything else, so that one that grows too large traps.
_WEB = ("-nostdlib", "-Wl,--no-entry", "-Wl,--export=__heap_base", "-Wl,--strip-all", "-Wl,-z,stack-size=262144")


@dataclass(frozen=True, slots=True)
class Built:
    """Libraries of a parser.

    Attributes:
        shared: Shared library, or WebAssembly module; None where the target has none.
        static: Static library; None where there is no archiver.
    """

    shared: Path | None
    static: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The libraries that there are."""
        return tuple(path for path in (self.shared, self.static) if path is not None)


def build_native(
    sources: Sources, kernels: Path, compiler: NativeCompiler, folder: Path, *, java: bool = False, mark: str = ""
) -> Built:
    """Compile and link a parser.

    Args:
        sources: The written C.
        kernels: Object file of the kernels.
        compiler: C compiler for the target.
        folder: Existing folder that the libraries are written to.
        java: Whether Java can load the shared library (`compile.native.jvm`).
        mark: What a WebAssembly module has in its name besides the prefix (`compile.native.web.mark_of`).

    Raises:
        NativeError: The compiler fails or warns.
    """
    web, hosted = compiler.system == "web", compiler.system not in ("web", "none")
    options = ["-std=gnu11", "-O2", "-g0", "-fvisibility=hidden", *_WARNINGS, f"-I{sources.folder}"]
    options += ["-DPQRNN_FREESTANDING", "-ffreestanding"] if not hosted else []
    options += ["-msimd128"] if web else ["-ffunction-sections"] if not hosted else []
    options += ["-fPIC"] if hosted and compiler.system != "windows" else []
    # Nothing is ever unwound through C without exceptions; the tables for that would be loaded with every parser.
    options += (
        ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
        if compiler.system in ("linux", "android", "none")
        else []
    )
    objects = [kernels]
    for source in sources.compiled:
        made = sources.folder / f"{source.stem}.o"
        _run(compiler, [*compiler.command, *options, "-c", source, "-o", made])
        objects.append(made)
    methods = []
    if java and hosted:
        source, defined = write_methods(sources)
        methods.append(source.with_suffix(".o"))
        _run(compiler, [*compiler.command, *options, *defined, "-c", source, "-o", methods[0]])
    shared = folder / f"{compiler.shared_prefix}{sources.prefix}{mark}{compiler.shared_suffix}"
    if web:
        exports = [f"-Wl,--export={sources.prefix}_{name}" for name in _EXPORTED]
        _run(compiler, [*compiler.command, "-O2", *_WEB, *exports, *objects, "-o", shared])
        return Built(shared, None)
    if hosted:
        linking = {
            "linux": ["-shared", "-s", f"-Wl,-soname,{shared.name}", "-Wl,--gc-sections"],
            "android": ["-shared", "-s", f"-Wl,-soname,{shared.name}", "-nostdlib", "-Wl,--allow-shlib-undefined"],
            "macos": ["-shared", f"-Wl,-install_name,@rpath/{shared.name}"],
            "windows": ["-shared", "-s"],
        }[compiler.system]
        _run(compiler, [*compiler.command, *linking, *objects, *methods, "-o", shared])
    static = None
    if compiler.archiver:
        static = folder / f"lib{sources.prefix}.a"
        static.unlink(missing_ok=True)
        _run(compiler, [*compiler.archiver, "rcs", static, *objects])
    return Built(shared if hosted else None, static)


def _run(compiler: NativeCompiler, command: Sequence[str | Path]) -> None:
    finished = run_tool(command, _SECONDS, environment=compiler.environment)
    if finished.code != 0 or finished.timed_out:
        raise NativeError(f"{compiler.name} {finished.ending}", finished.diagnostics or finished.output)
