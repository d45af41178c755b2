"""Native libraries of a package: built beside its modules, and proved by the package's own golden texts.

Where this machine runs a library, the one that is shipped is loaded as users load it, in a process of its own, and
replays the golden vectors (`runtime_py.tools.replay`). Where an emulator does, a host in C with the static library has
answered them (`compile.native.proof`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from compile.emulation import locations
from compile.emulation.runner import Runner
from compile.native.pipeline import NativeBuild, NativeParser
from compile.native.proof import THIS_MACHINE, NativeProof
from compile.native.toolchains import NativeCompiler, find_compiler, system_of
from compile.native.writing import prefix_of
from compile.packaging.writer import PackageWriter
from compile.support.errors import CompileError, VerificationError
from compile.support.process import run_tool
from compile.verify.golden import GoldenSet
from compile.verify.replay import DEFAULT_TIMEOUT, read_replay
from runtime_py.device.preflight import describe_processor
from runtime_py.native.interface import ABI
from runtime_py.package_format.manifest import Manifest, NativeLibrary, Variant
from runtime_py.package_format.proofs import Parity
from runtime_py.trust.requirement import VARIABLE
from targets import Target

_SYSTEMS = ("linux", "android", "macos", "windows")  # with shared libraries
_REPEATS = 3
Describe = Callable[[Sequence[Variant]], Manifest]


@dataclass(frozen=True, slots=True)
class ProvedLibrary:
    """A library as it goes into a package.

    Attributes:
        library: Its description.
        file: The file, outside of the package.
    """

    library: NativeLibrary
    file: Path


def find_compilers(targets: Sequence[Target]) -> dict[str, NativeCompiler]:
    """Return the C compiler for each target that can have a library, by name; others are left out.

    Raises:
        NoCompilerError: There is none here for one of them.
    """
    chosen = [target for target in targets if target.family == "cpu" and system_of(target.triple) in _SYSTEMS]
    return {target.id: find_compiler(target) for target in chosen}


def build_libraries(
    build: NativeBuild, targets: Sequence[Target], describe: Describe, golden: GoldenSet, folder: Path
) -> tuple[list[ProvedLibrary], dict[str, CompileError]]:
    """Build and prove the libraries of a package.

    Args:
        build: The parser, with the buckets of the package.
        targets: The targets; those that can have no library are left out.
        describe: Returns the manifest of a package with the given variants.
        golden: Texts with PyTorch's answers.
        folder: Folder for what is built.

    Returns:
        The libraries that passed, and the errors of the others, by target and `.native`.
    """
    built: list[ProvedLibrary] = []
    failures: dict[str, CompileError] = {}
    for name, compiler in find_compilers(targets).items():
        place = folder / f"{name}.native"
        place.mkdir()
        try:
            built.append(build_library(build, build.known.get(name), compiler, describe, golden, place))
        except CompileError as error:
            failures[place.name] = error
    return built, failures


def build_library(
    build: NativeBuild,
    target: Target,
    compiler: NativeCompiler,
    describe: Describe,
    golden: GoldenSet,
    folder: Path,
) -> ProvedLibrary:
    """Build the library for a target and prove it.

    Args:
        build: The parser, with the buckets of the package.
        target: The target.
        compiler: C compiler for it.
        describe: Returns the manifest of a package with the given variants.
        golden: Texts with PyTorch's answers.
        folder: Empty folder; its content may be needed to examine a failure.

    Raises:
        CompileError: A stage failed; its class says which.
    """
    built = build.run(target, compiler, folder)
    assert built.variant.library is not None
    file = folder / built.variant.library
    library = _describe(build, built, file.name)
    parity: Parity | None
    if built.proof.machine == THIS_MACHINE:
        package = folder / "package.pqrnn"
        writer = PackageWriter(package, describe, golden)
        writer.add_library(library, file)
        writer.finish()
        parity = replay_library(package, target.id)
    else:
        parity = _parity_of(built.proof, golden)
    if parity is not None:
        library = msgspec.structs.replace(library, parity=parity, unverified_reason=None)
    return ProvedLibrary(library, file)


def replay_library(package: Path, target: str, timeout: float = DEFAULT_TIMEOUT) -> Parity:
    """Let a library of a package replay the golden vectors on this machine, and return the outcome.

    Raises:
        VerificationError: The process crashed, hung or could not load it, or it does not answer as PyTorch does.
    """
    runner = Runner(THIS_MACHINE, False, (sys.executable,), {"PYTHONPATH": locations.python_path()})
    command: list[str | Path] = [*runner.python, "-m", "runtime_py.tools.replay", package, "--target", target]
    command += ["--repeats", str(_REPEATS), "--native"]
    finished = run_tool(command, timeout, environment=runner.environment | {VARIABLE: ""})
    replay = read_replay(finished, target, runner)
    if not replay.parity.passed:
        worst = [f"{deviation.text!r}: {', '.join(deviation.faults)}" for deviation in replay.worst if deviation.faults]
        raise VerificationError(
            f"{target}: the native library does not answer as PyTorch does",
            "\n".join([*replay.parity.failures, *worst]),
        )
    return replay.parity


def library_path(target: str, name: str) -> str:
    """Return the path of a target's library in a package."""
    return f"native/{target}/{name}"


def _describe(build: NativeBuild, built: NativeParser, name: str) -> NativeLibrary:
    variant = built.variant
    return NativeLibrary(
        target=variant.target,
        triple=variant.triple,
        features=list(variant.features),
        path=library_path(variant.target, name),
        prefix=prefix_of(build.name),
        memory=variant.memory,
        weights=variant.weights,
        parity=None,
        unverified_reason=variant.unverified_reason or "not run yet",
        development=built.target.development,
    )


def _parity_of(proof: NativeProof, golden: GoldenSet) -> Parity | None:
    """Return what a host in C has proved; its judge raises where anything is wrong."""
    if not proof.machine:
        return None
    return Parity(
        passed=True,
        texts=proof.texts,
        words=len(golden.vectors.tags),
        repeats=1,
        tolerance=proof.tolerance,
        intent_max_abs=proof.largest,
        tags_max_abs=proof.largest,
        intent_flips=0,
        tag_flips=0,
        count_mismatches=0,
        span_mismatches=0,
        not_finite=0,
        all_zero=0,
        not_deterministic=0,
        machine=describe_processor(),
        runtime=f"native {ABI}, a host in C",
        checked=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        emulator=proof.machine,
    )
