"""The compiler's own description of a target's processor or GPU, so that a package lists every feature its code uses.

A compiled module carries no list of the instructions in it, and the runtime loads it on any processor of the
architecture; a missing instruction then kills the process. So the list in the manifest is the one that the compiler
itself works with.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from compile.lowering.iree_compile import compiler_path, compiler_version, without_noise
from compile.support.errors import CompilerError
from compile.support.process import run_tool
from runtime_py.package_format.manifest import ANY
from targets.isa import ARCHITECTURES, architecture_of
from targets.schema import Target, Vulkan

_DEVICE = re.compile(r"#hal\.device\.target<.*")
_ATTRIBUTE = re.compile(r'(\w+) = "([^"]*)"')
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor as the compiler sees it.

    Attributes:
        triple: LLVM target triple; "any" for code that is for no particular processor.
        cpu: LLVM's name of the processor; for the machine that compiles, the name that it resolved to; "any" as above.
        features: Features that a device has to have, sorted, in LLVM's spelling: only those that matter to compiled
            code and are not in the architecture's baseline.
        resolved: The compiler's whole description: two targets with the same flags and the same description get the
            same code.
    """

    triple: str
    cpu: str
    features: tuple[str, ...]
    resolved: str = ""


def resolve_processor(target: Target, flags: tuple[str, ...]) -> Processor:
    """Ask the compiler for its description of a target's processor.

    Args:
        target: The target.
        flags: Compiler flags for the target.

    Raises:
        CompilerError: The compiler does not know the processor or the GPU, or would use a feature that the target does
            not declare.
    """
    question = ["-", *flags, "--compile-to=executable-targets"]
    finished = run_tool([compiler_path(), *question], _SECONDS, stdin="module {}\n")
    device = _DEVICE.search(finished.output)
    if finished.code != 0 or device is None or "not a recognized" in finished.diagnostics:
        script = f"#!/bin/sh\n# {compiler_version()}\necho 'module {{}}' | {shlex.join(['iree-compile', *question])}\n"
        evidence: dict[str, bytes | Path] = {"command.sh": script.encode(), "stderr.txt": finished.diagnostics.encode()}
        raise CompilerError(
            f"{target.id}: the compiler does not accept this target", without_noise(finished.diagnostics), evidence
        )
    if target.family == "cpu":
        return _check_cpu(target, device[0], finished.diagnostics)
    if target.vulkan is not None:
        _check_gpu(target.id, target.vulkan, device[0])
    return Processor(ANY, ANY, (), device[0])


def _check_cpu(target: Target, device: str, diagnostics: str) -> Processor:
    if "-none-" in target.triple:  # a microcontroller is this one processor: nothing asks it for features
        return Processor(target.triple, target.cpu, tuple(sorted(target.features)), device)
    attributes = dict(_ATTRIBUTE.findall(device))
    if "Resolution of CPU to CPU-features is not implemented" in diagnostics:
        # LLVM would use the features that it knows of, and nobody would learn which.
        raise CompilerError(
            f"{target.id}: the compiler does not say what {target.cpu} has. Take a generic cpu and list the features"
        )
    architecture = ARCHITECTURES[architecture_of(attributes["target_triple"]) or ""]
    used = enabled_features(attributes.get("cpu_features", "")) & architecture.features
    if target.cpu == "host":
        return Processor(attributes["target_triple"], attributes["cpu"], tuple(sorted(used)), device)
    undeclared = sorted(used - set(target.features))
    if undeclared:
        raise CompilerError(
            f"{target.id}: code for this processor may use {', '.join(undeclared)}, "
            "which the target's features leave out"
        )
    return Processor(target.triple, target.cpu, tuple(sorted(target.features)), device)


def _check_gpu(name: str, declared: Vulkan, device: str) -> None:
    """Compare a target's expectations of a GPU with the compiler's description."""
    lanes = [
        int(number)
        for choices in re.findall(r"subgroup_size_choices = \[([\d, ]+)\]", device)
        for number in choices.split(",")
    ]
    if "subgroup = none" in device:  # such code does not use subgroups
        lanes.append(0)
    if declared.subgroup not in lanes:
        raise CompilerError(
            f"{name}: the code counts on subgroups of {' or '.join(map(str, lanes))}, "
            f"the target says {declared.subgroup}"
        )
    compute = re.search(r"compute = ([\w|]+)", device)
    if compute is not None and "int64" in compute[1].split("|") and not declared.int64:
        raise CompilerError(f"{name}: code for this GPU may use 64-bit integers, which the target does not declare")


def enabled_features(listing: str) -> frozenset[str]:
    """Return the features that an LLVM list such as "+avx,-avx2,+avx2" enables: the last mention of each counts."""
    state = {entry[1:]: entry[0] == "+" for entry in listing.split(",") if entry}
    return frozenset(name for name, on in state.items() if on)
