"""Comparison of a native parser with PyTorch: a host in C answers the golden texts, and has to decide alike."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from compile.native.building import Built
from compile.native.errors import NativeError, WrongProcessorError
from compile.native.toolchains import NativeCompiler, find_compiler
from compile.native.web import node_command
from compile.native.writing import Sources
from compile.standalone.errors import ToolchainError
from compile.standalone.toolchains import find_machine
from compile.support.errors import VerificationError
from compile.support.process import run_tool
from compile.verify.golden import GoldenSet
from runtime_py.decode.calibration import Calibration
from runtime_py.decode.decoder import place_run
from runtime_py.decode.labels import Labels
from targets import Target, registry

_SECONDS = 3600.0
_SHOWN = 3
SCORE_BOUND = 1e-6  # relative: scores are those of Python's doubles, summed in another order
_TINY = 1e-300
_WRONG_PROCESSOR = 3  # exit code of c/host.c
_STAND_IN = "linux-armv7-neon"  # runs what is written for microcontrollers of ARM
THIS_MACHINE = "this machine"  # as `find_machine` calls it


@dataclass(frozen=True, slots=True)
class NativeProof:
    """Result of a comparison.

    Attributes:
        machine: Machine or emulator that ran the parser; empty if none could.
        reason: Why nothing could run the parser; empty if something did.
        texts: Number of texts that were answered.
        largest: Largest difference of a logit from PyTorch's in float64.
        tolerance: Largest difference that is allowed.
    """

    machine: str
    reason: str
    texts: int = 0
    largest: float = 0.0
    tolerance: float = 0.0


def prove_native(
    sources: Sources,
    built: Built,
    target: Target,
    compiler: NativeCompiler,
    labels: Labels,
    golden: GoldenSet,
    calibration: Calibration | None = None,
) -> NativeProof:
    """Let a host in C, or in JavaScript, answer the golden texts, and compare its answers.

    Raises:
        NativeError: The host cannot be built, or crashes.
        VerificationError: The parser does not answer as PyTorch does.
    """
    command: Sequence[str | Path] | None
    if compiler.system == "web" and built.shared is not None:
        machine, command = "Node", node_command(built.shared.parent, sources.folder, built.shared.name)
        if command is None:
            return NativeProof("", "Node is not installed, which would run it")
    elif compiler.system in ("linux", "macos") and built.static is not None:
        try:
            machine, emulator = find_machine(target)
        except ToolchainError as error:
            return NativeProof("", error.message)
        # Zig links nothing statically with glibc, and the library itself is the same with either.
        host = find_compiler(target, "musl") if emulator and compiler.zig else compiler
        command = [*emulator, build_host(sources, built.static, host, bool(emulator))]
    elif compiler.system == "none" and compiler.zig and built.static is not None:
        # The instructions are those of a larger processor, too, on which a program under Linux calls the library.
        linux = registry().get(_STAND_IN)
        try:
            machine, emulator = find_machine(linux, "max")
        except ToolchainError as error:
            return NativeProof("", error.message)
        host = find_compiler(linux, "musl")
        command = [*emulator, build_host(sources, built.static, host, True, bare=True)]
    else:
        return NativeProof("", f"nothing here runs programs for {target.triple}")
    texts, where = [reference.text for reference in golden.references], f"{target.id} on {machine}"
    try:
        answers = answer_texts(command, texts, where)
    except WrongProcessorError as error:
        return NativeProof("", error.message)
    largest = judge_answers(answers, labels, golden, where)
    judge_scores(answers, labels, texts, calibration, where)
    return NativeProof(machine, "", len(texts), largest, golden.tolerance)


def build_host(
    sources: Sources, static: Path, compiler: NativeCompiler, emulated: bool = False, *, bare: bool = False
) -> Path:
    """Build `c/host.c` with a parser, and return the program.

    Args:
        sources: The parser's C.
        static: Static library of the parser.
        compiler: C compiler for the target.
        emulated: Whether the program has to do without the libraries of the target's system.
        bare: Whether the library is for a board without a system, and so allocates nothing.

    Raises:
        NativeError: The compiler fails or warns.
    """
    source = sources.folder / "host.c"
    source.write_bytes((files("compile.native") / "c" / "host.c").read_bytes())
    (sources.folder / "answers.h").write_bytes((files("runtime_py") / "c" / "answers.h").read_bytes())
    program = sources.folder / "host"
    command: list[str | Path] = [
        *compiler.command,
        "-std=gnu11",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-DPARSER={sources.prefix}",
        *(["-DOPEN_IN"] if bare else []),
        f'-DHEADER="{sources.prefix}.h"',
        f"-I{sources.folder}",
        source,
        static,
        *(["-static"] if emulated else []),
        "-o",
        program,
        "-lm",
    ]
    finished = run_tool(command, _SECONDS, environment=compiler.environment)
    if finished.code != 0 or finished.timed_out:
        raise NativeError(f"{compiler.name} {finished.ending} for the host in C", finished.diagnostics)
    return program


def answer_texts(
    command: Sequence[str | Path], texts: Sequence[bytes], where: str, *options: str
) -> list[dict[str, Any]]:
    """Let a host answer texts.

    Raises:
        NativeError: It crashes, or answers another number of texts.
        WrongProcessorError: It says that it cannot run on this processor.
    """
    lines = "".join(f"{b64encode(text).decode()}\n" for text in texts)
    finished = run_tool([*command, "--base64", *options], _SECONDS, stdin=lines)
    if finished.code == _WRONG_PROCESSOR:
        raise WrongProcessorError(f"{where}: {finished.diagnostics.strip()}")
    if finished.code != 0 or finished.timed_out:
        raise NativeError(f"the parser {finished.ending}: {where}", finished.diagnostics or finished.output[-2000:])
    answers = [msgspec.json.decode(line) for line in finished.output.splitlines()]
    if len(answers) != len(texts):
        raise NativeError(f"the parser answered {len(answers)} of {len(texts)} texts: {where}")
    return answers


def judge_answers(answers: Sequence[dict[str, Any]], labels: Labels, golden: GoldenSet, where: str) -> float:
    """Compare answers with PyTorch's, and return the largest difference of a logit.

    Raises:
        VerificationError: Words, an intent or a slot differ, or a logit is out of bounds.
    """
    decoder = labels.decoder()
    largest, wrong = 0.0, []
    for answer, reference, allowed in zip(answers, golden.references, golden.tolerances, strict=True):
        expected = reference.double
        spans = expected.spans.tolist()
        intent, tags = expected.intent.astype(np.float32), expected.tags.astype(np.float32)
        best, runs = decoder.decide(intent, tags)
        slots = [(run.label, *place_run(run, reference.text, spans)) for run in runs]
        said = [(slot["label"], slot["start"], slot["end"]) for slot in answer.get("slots", ())]
        if (answer.get("words"), answer.get("intent"), said) != (spans, labels.intents[best], slots):
            wrong.append(f"{reference.text!r}: {answer.get('intent')} {said}, expected {labels.intents[best]} {slots}")
            continue
        apart = np.abs(np.asarray(answer["intent_logits"]) - expected.intent).max()
        if len(spans):
            apart = max(apart, np.abs(np.asarray(answer["tag_logits"]) - expected.tags).max())
        if not apart <= allowed:
            wrong.append(f"{reference.text!r}: a logit is off by {apart:.2g}, allowed are {allowed:.2g}")
        largest = max(largest, float(apart))
    if wrong:
        raise VerificationError(
            f"{where} does not answer as PyTorch does: {len(wrong)} of {len(answers)} texts", "\n".join(wrong[:_SHOWN])
        )
    return largest


def judge_scores(
    answers: Sequence[dict[str, Any]],
    labels: Labels,
    texts: Sequence[bytes],
    calibration: Calibration | None,
    where: str,
) -> None:
    """Compare calibrated scores with those that Python makes of the very logits that the host gives.

    Raises:
        VerificationError: A score, of a parse, a slot or of being in scope, is off by more than `SCORE_BOUND`.
    """
    decoder, wrong = labels.decoder(calibration), []
    for answer, text in zip(answers, texts, strict=True):
        if (calibration is not None) != ("calibrated" in answer):
            raise VerificationError(f"{where}: the parser was built with another calibration than the checkpoint's")
        if calibration is None:
            continue
        intent = np.asarray(answer["intent_logits"], np.float32)
        tags = np.asarray(answer["tag_logits"], np.float32).reshape(-1, len(labels.tags))
        spans = np.asarray(answer["words"], np.int32).reshape(-1, 2)
        parse = decoder.parse(text.decode("utf-8", "replace"), text, intent, tags, spans)
        wanted = [parse.score, parse.in_scope, *(slot.score for slot in parse.slots)]
        said = answer["calibrated"]
        found = [said["score"], said.get("in_scope"), *said["slots"]]
        if len(wanted) != len(found) or not all(map(_is_close, wanted, found)):
            wrong.append(f"{text!r}: scores {found}, expected {wanted}")
    if wrong:
        raise VerificationError(
            f"{where} is calibrated otherwise than Python: {len(wrong)} of {len(answers)} texts",
            "\n".join(wrong[:_SHOWN]),
        )


def _is_close(wanted: float | None, found: float | None) -> bool:
    if wanted is None or found is None:
        return wanted is found
    return abs(wanted - found) <= SCORE_BOUND * wanted + _TINY
