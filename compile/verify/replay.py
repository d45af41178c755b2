"""Stage 4: the compiled code runs, on this machine or in an emulator of its own, and has to answer as PyTorch does.

It always runs in a process of its own, which may crash or hang without taking the compilation with it. The code is
tested in two ways: every entry is given every golden text that fits in it, and its logits are judged by their errors
against float64 (`compile.verify.tolerance`); and the package as users load it replays its golden vectors through the
parser (`runtime_py.tools.check`), which also compares decisions and repetitions.

The bounds are the same everywhere. GPUs sum in another order, and their tanh is another, yet the errors are of the size
that the bounds are made for: on the small model of the tests they spread 0.8 to 0.9 times as far as those of PyTorch
that sums in order for code with subgroups (8 and 16 lanes, llvmpipe), 1.06 times for code without (SwiftShader), 1.0
times on this CPU and in the interpreter.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compile.emulation.runner import Runner
from compile.support.errors import VerificationError
from compile.support.process import Finished, run_tool
from compile.support.scratch import scratch_folder
from compile.verify.golden import GoldenSet
from compile.verify.reference import Prediction, Reference, flat_logits
from compile.verify.tolerance import Numerics, compare_numerics
from runtime_py.errors import PackageError
from runtime_py.package_format.manifest import Bucket
from runtime_py.package_format.proofs import Parity
from runtime_py.tools.answers import EntryAnswers, load_answers
from runtime_py.tools.replay import CANNOT_RUN, Replay
from runtime_py.trust.requirement import VARIABLE

# The interpreter and emulators take a second a text, on a busy machine several.
DEFAULT_TIMEOUT = 3600.0
_SHOWN = 5
_MEANINGS = {
    signal.SIGILL: (
        "an illegal instruction: the code uses a feature that this CPU lacks, and that the target does not name"
    ),
    signal.SIGSEGV: "it touched memory that is not its own",
    signal.SIGBUS: "it touched memory at an address that does not exist or is not aligned",
    signal.SIGFPE: "an arithmetic fault",
    signal.SIGABRT: "it, or the driver, gave up",
    signal.SIGKILL: "something killed it; most often the machine was out of memory",
}


def verify_variant(
    package: Path,
    target: str,
    buckets: Sequence[Bucket],
    golden: GoldenSet,
    runner: Runner,
    repeats: int = 3,
    timeout: float = DEFAULT_TIMEOUT,
    budget: str = "",
) -> Parity:
    """Run a variant of a sealed package, and judge its answers.

    Args:
        package: Directory of the package, with the same golden vectors.
        target: Name of the variant to run.
        buckets: Length buckets of the package.
        golden: Texts with PyTorch's answers.
        runner: Machine or emulator to run the variant on.
        repeats: Number of times that the golden vectors are replayed through the parser.
        timeout: Seconds that the whole process may take.
        budget: Part of the network that answers, by name; empty for all of it.

    Returns:
        The outcome for the manifest, with the errors of the entries beside it.

    Raises:
        VerificationError: The process crashed, hung or could not run the package; a word's span or a number of words
            differs; a logit is off by more than the golden tolerance; or the errors are not those of sound arithmetic;
            with the first texts that show it.
    """
    with scratch_folder("verify") as folder:
        out = folder / "answers.npz"
        options: list[str | Path] = ["--target", target, "--repeats", str(repeats), "--entries", "--out", out]
        options += ["--budget", budget] if budget else []
        command = [*runner.python, "-m", "runtime_py.tools.replay", package, *options]
        # What was just compiled has no signature yet, whatever this machine demands of others' packages.
        finished = run_tool(command, timeout, environment=runner.environment | {VARIABLE: ""})
        replay = read_replay(finished, target, runner)
        try:
            answers = load_answers(out)
        except PackageError as error:
            raise VerificationError(f"{target}: the process on {runner.name} left no answers", str(error)) from error
    if not replay.parity.passed:
        worst = [f"{deviation.text!r}: {', '.join(deviation.faults)}" for deviation in replay.worst if deviation.faults]
        raise VerificationError(
            f"{target}: the package does not answer as PyTorch does on {runner.name}",
            "\n".join([*replay.parity.failures, *worst]),
        )
    numerics = judge_entries(answers.entries, buckets, golden, f"{target} on {runner.name}")
    emulator = runner.name if runner.emulated else replay.parity.emulator
    return msgspec.structs.replace(replay.parity, reference=numerics.figures(), emulator=emulator)


def read_replay(finished: Finished, target: str, runner: Runner) -> Replay:
    """Return the outcome that a process of `runtime_py.tools.replay` printed.

    Raises:
        VerificationError: The process failed; with the signal and its meaning, or with its last output.
    """
    if finished.code == 0 and not finished.timed_out:
        try:
            return msgspec.json.decode(finished.output, type=Replay)
        except msgspec.DecodeError as error:
            raise VerificationError(
                f"{target}: the process on {runner.name} said something else than it should ({error})", finished.output
            ) from error
    if finished.code == CANNOT_RUN:
        raise VerificationError(f"{target}: the package cannot be run on {runner.name}", finished.diagnostics)
    ending = finished.ending
    if finished.code < 0 and not finished.timed_out:
        meaning = _MEANINGS.get(signal.Signals(-finished.code)) if -finished.code in signal.valid_signals() else None
        ending += f": {meaning}" if meaning else ""
    raise VerificationError(f"{target}: the process on {runner.name} {ending}", finished.diagnostics)


def judge_entries(
    entries: Sequence[EntryAnswers], buckets: Sequence[Bucket], golden: GoldenSet, where: str = "the compiled module"
) -> Numerics:
    """Judge the answers of every entry to every golden text that fits in it.

    Args:
        entries: Answers to the golden texts, in the order of the buckets.
        buckets: Length buckets, one for each entry.
        golden: Texts with PyTorch's answers.
        where: Name of the code in messages.

    Returns:
        The errors of all logits of settled texts. Where there are none, as of a transformer in 8 bits, which rounds so
        much that some rounding of every text is undecided, the errors of all texts, which are not judged: each text's
        own bound was.

    Raises:
        VerificationError: An entry or text is missing, a word's span or a number of words differs, a logit is off by
            more than the golden tolerance, or the errors are not those of sound arithmetic; with the first texts that
            show it.
    """
    if [part.entry for part in entries] != [bucket.entry for bucket in buckets]:
        raise VerificationError(
            f"{where}: answered with other entries than were compiled", ", ".join(part.entry for part in entries)
        )
    rows: list[list[NDArray[Any]]] = [[], [], [], []]
    undecided: list[list[NDArray[Any]]] = [[], [], [], []]
    faults: list[str] = []
    for answers, bucket in zip(entries, buckets, strict=True):
        bounds = answers.rows(bucket.words)
        positions = {int(text): position for position, text in enumerate(answers.index)}
        for number, reference in enumerate(golden.references):
            if len(reference.text) > bucket.bytes or reference.size > bucket.words:
                continue
            settled, allowed = golden.settled[number], golden.tolerances[number]
            row, fault = _compare(answers, bounds, positions.get(number), reference, allowed)
            if fault:
                faults.append(f"{bucket.entry}: {fault} in {_show(reference.text)}")
            if row is not None:
                parts = (
                    row,
                    *(flat_logits([answer]) for answer in (reference.single, reference.ordered, reference.double)),
                )
                for part, values in zip(rows if settled else undecided, parts, strict=True):
                    part.append(values)
    compared = rows if rows[0] else undecided
    numerics = compare_numerics(*(np.concatenate(part) for part in compared)) if compared[0] else None
    faults += numerics.failures() if numerics is not None and rows[0] else []
    if faults or numerics is None:
        shown = [*faults[:_SHOWN], *([f"... and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else [])]
        raise VerificationError(f"{where}: does not answer as PyTorch does", "\n".join(shown))
    return numerics


def _compare(
    answers: EntryAnswers, bounds: NDArray[np.int64], position: int | None, reference: Reference, tolerance: float
) -> tuple[NDArray[Any] | None, str]:
    """Return an entry's logits for a text, or None if they cannot be compared, and the fault of its answer, if any."""
    words = len(reference.single.spans)
    if position is None:
        return None, "gives no answer"
    if answers.count[position] != words:
        return None, f"counts {answers.count[position]} words, PyTorch {words},"
    rows = slice(bounds[position], bounds[position + 1])
    if not np.array_equal(answers.spans[rows], reference.single.spans):
        return None, "finds words at other places than PyTorch"
    logits = flat_logits([Prediction(answers.intent[position], answers.tags[rows], answers.spans[rows])])
    expected = flat_logits([reference.double])
    if not np.isfinite(logits).all():
        return logits, "gives NaN or infinity"
    if not logits.any() and expected.any():
        return logits, "gives nothing but zeros"
    largest = float(np.abs(logits - expected).max())
    return logits, f"a logit is {largest:.3g} off" if largest > tolerance else ""


def _show(text: bytes) -> str:
    return repr(text if len(text) <= 40 else text[:40] + b"...")
