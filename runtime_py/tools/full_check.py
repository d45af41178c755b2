"""The whole check of a package: its golden vectors, a reference file where there is one, and the certificate.

Code for a GPU is run in a process of its own with a time limit: drivers hang, and neither Ctrl-C nor an exception
reaches a call that waits for one. So is code for another machine, by an emulator of it; what it answers is judged here.
"""

from __future__ import annotations

import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime_py.device.gpu_selftest import Elsewhere, run_replay
from runtime_py.device.preflight import check_runtime, normal_architecture, this_machine
from runtime_py.device.selection import Selection, select_variant
from runtime_py.execute.logits import Logits
from runtime_py.native.package_parser import PackagedNativeParser
from runtime_py.package_format.certificates import add_certificate
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.package_format.manifest import VULKAN, Manifest
from runtime_py.package_format.package import Package, open_package
from runtime_py.package_format.proofs import Certificate, Parity
from runtime_py.parity.check import ParityReport, certify, check_reference, judge_answers, read_checked
from runtime_py.parity.goals import ParityGoals
from runtime_py.parity.metrics import Frame
from runtime_py.parity.reference_file import Reference
from runtime_py.parser import Parser
from runtime_py.tools.answers import AnswerSheet, load_answers, save_texts
from runtime_py.tools.check import CheckResult, check_parser

SECONDS = 600.0
_FAILED = 1


class FullCheck(Struct, frozen=True):
    """Outcome of a whole check.

    Attributes:
        golden: Outcome of the golden vectors.
        parity: Outcome of the reference; null where there was none, or the golden vectors could not be answered.
        certificate: The certificate that was added to the package; null where none was.
        frames: What the package answered to the texts of the reference.
    """

    golden: CheckResult
    parity: ParityReport | None = None
    certificate: Certificate | None = None
    frames: list[Frame] = []

    @property
    def failures(self) -> list[str]:
        """What is wrong, in words."""
        return [*self.golden.parity.failures, *(self.parity.failures if self.parity is not None else [])]

    @property
    def exit_code(self) -> int:
        """0 good, 1 the package's own golden vectors, else that of the first step of the reference that failed."""
        if not self.golden.passed:
            return _FAILED
        return self.parity.exit_code if self.parity is not None else 0


def check_fully(
    path: str | Path,
    variant: str | None = None,
    repeats: int = 3,
    reference: Path | None = None,
    goals: ParityGoals | None = None,
    certified: bool = False,
    seconds: float = SECONDS,
    machine: Elsewhere | None = None,
    *,
    native: bool = False,
) -> FullCheck:
    """Check a package on this machine, or on another one that this one can run programs on.

    Args:
        path: The package directory.
        variant: Name of a variant; by default the one that fits this machine best.
        repeats: Number of rounds of the golden vectors, at least 1.
        reference: A reference file to compare with.
        goals: What has to be reached on it.
        certified: Whether to add a certificate to the package if everything passes.
        seconds: Time after which code on a GPU or on another machine counts as hung.
        machine: The other machine, which needs the name of a variant; None for this one.
        native: Whether to run a native library of the package on this machine, and not a variant.

    Raises:
        ReferenceFileError: The reference file cannot be read, or is of another parser.
        ParserError: The package cannot be loaded or run; wrong answers are no error.
    """
    package = open_package(path, verify=True)
    expected = read_checked(reference, package.manifest) if reference is not None else None
    if native:
        return _check_native(path, variant, repeats, expected, str(reference), goals, certified)
    architecture = this_machine().architecture
    if machine is not None:
        selection = Selection(package.variant(variant or ""), {}, f"runs on {machine.name}")
    else:
        selection = select_variant(package.manifest, this_machine(), variant, str(path))
    if machine is not None or selection.variant.device == VULKAN:
        if machine is None:
            check_runtime(package.manifest, this_machine(), str(path), True)
        golden, outcome, architecture = _check_in_child(
            package, selection, repeats, expected, goals, seconds, str(reference), machine
        )
    else:
        with Parser.load(path, variant=variant, on_long="truncate") as parser:
            golden = check_parser(parser, repeats)
            outcome = check_reference(parser, expected, str(reference), goals) if expected is not None else None
    checked = FullCheck(golden) if outcome is None else FullCheck(golden, outcome[0], None, outcome[1])
    if not certified or checked.exit_code:
        return checked
    certificate = certify(package.manifest, selection.variant, golden.parity, architecture, checked.parity, goals)
    add_certificate(path, golden.target, certificate, golden.parity)
    return msgspec.structs.replace(checked, certificate=certificate)


def _check_native(
    path: str | Path,
    target: str | None,
    repeats: int,
    expected: Reference | None,
    where: str,
    goals: ParityGoals | None,
    certified: bool,
) -> FullCheck:
    with PackagedNativeParser.load(path, variant=target, on_long="truncate") as parser:
        golden = check_parser(parser, repeats)
        outcome = check_reference(parser, expected, where, goals) if expected is not None else None
        library = parser.package.library(parser.variant.target)
        manifest = parser.manifest
    checked = FullCheck(golden) if outcome is None else FullCheck(golden, outcome[0], None, outcome[1])
    if not certified or checked.exit_code:
        return checked
    architecture = normal_architecture(platform.machine())
    certificate = certify(manifest, library, golden.parity, architecture, checked.parity, goals)
    add_certificate(path, golden.target, certificate, golden.parity, native=True)
    return msgspec.structs.replace(checked, certificate=certificate)


class _Replayed(Struct, frozen=True):
    """The part of `runtime_py.tools.replay.Replay` that is shown."""

    parity: Parity
    worst: list[msgspec.Raw]
    architecture: str


def _check_in_child(
    package: Package,
    selection: Selection,
    repeats: int,
    expected: Reference | None,
    goals: ParityGoals | None,
    seconds: float,
    where: str,
    machine: Elsewhere | None,
) -> tuple[CheckResult, tuple[ParityReport, list[Frame]] | None, str]:
    """Return the outcome of the golden vectors and of the reference, and the architecture of the process."""
    target, emulator = selection.variant.target, machine.name if machine is not None else ""
    architecture = this_machine().architecture
    with tempfile.TemporaryDirectory(prefix="pqrnn-check-") as folder:
        asked, answered = Path(folder) / "texts.npz", Path(folder) / "answers.npz"
        arguments = [str(package.path), "--target", target, "--repeats", str(repeats)]
        texts = list(dict.fromkeys([*expected.texts, *expected.exact.vectors.texts])) if expected is not None else []
        if expected is not None:
            save_texts(asked, texts)
            arguments += ["--texts", str(asked), "--out", str(answered)]
        printed, problem = run_replay(seconds, *arguments, machine=machine)
        parity = _failed(package.manifest, selection, repeats, f"the process that ran it {problem}")
        if not problem:
            try:
                replayed = msgspec.json.decode(printed, type=_Replayed)
                parity, architecture = replayed.parity, replayed.architecture
            except msgspec.DecodeError:
                problem = "gave no answer that can be read"
                parity = _failed(package.manifest, selection, repeats, f"the process that ran it {problem}")
        parity = msgspec.structs.replace(parity, emulator=emulator or parity.emulator)
        golden = CheckResult(str(package.path), target, selection.reason, parity, [])
        if problem or expected is None:
            return golden, None, architecture
        answers = read_logits(load_answers(answered))
    answered_texts = dict(zip(texts, answers, strict=True))
    return golden, judge_answers(package.manifest, expected, where, answered_texts, goals), architecture


def read_logits(sheet: AnswerSheet) -> list[Logits]:
    """Return the answers of another process as those of this one."""
    whole = sheet.whole
    assert whole is not None
    return [_logits(whole, index, bool(sheet.truncated[index])) for index in range(len(whole))]


def _logits(whole: GoldenVectors, index: int, truncated: bool) -> Logits:
    rows = whole.words(index)
    return Logits(whole.intent[index], whole.tags[rows], whole.spans[rows], truncated, rows.stop - rows.start)


def _failed(manifest: Manifest, selection: Selection, repeats: int, failure: str) -> Parity:
    """Return the outcome of a run that gave no answers."""
    machine = this_machine()
    gpu = selection.gpu
    return Parity(
        passed=False,
        texts=0,
        words=0,
        repeats=repeats,
        tolerance=manifest.golden.tolerance,
        intent_max_abs=0.0,
        tags_max_abs=0.0,
        machine=machine.cpu or machine.architecture,
        runtime=f"iree {machine.runtime}, {selection.variant.device}{f': {gpu.title}' if gpu is not None else ''}",
        checked=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        failures=[failure],
        intent_flips=0,
        tag_flips=0,
        count_mismatches=0,
        span_mismatches=0,
        not_finite=0,
        all_zero=0,
        not_deterministic=0,
    )
