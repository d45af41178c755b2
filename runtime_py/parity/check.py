"""A check of a loaded package against a reference file, its certificate, and the worst utterances."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from runtime_py.decode.answers import Parse, encode_text
from runtime_py.decode.decoder import Decoder
from runtime_py.errors import ReferenceFileError
from runtime_py.execute.logits import Logits
from runtime_py.native.package_parser import PackagedNativeParser
from runtime_py.package_format.certificates import certify_replay
from runtime_py.package_format.label_differences import describe_differences
from runtime_py.package_format.manifest import Manifest, NativeLibrary, Variant
from runtime_py.package_format.proofs import Certificate, Parity
from runtime_py.parity.goals import ParityGoals
from runtime_py.parity.metrics import Frame, frame_of_parse
from runtime_py.parity.reference_file import Reference
from runtime_py.parity.steps import (
    DecisionsStep,
    NumbersStep,
    TaskStep,
    answered_exact,
    first_failed,
    judge_decisions,
    judge_numbers,
    judge_task,
)
from runtime_py.parser import Parser

_WORST = 20

Shown = tuple[str, list[tuple[str, int, int]]]  # intent; label, first code point, code point after the last


class Utterance(Struct, frozen=True):
    """An utterance that the package parses wrong, or otherwise than the student.

    Attributes:
        text: The utterance.
        locale: Its language.
        gold: What it means.
        package: What the package says.
        student: What the student says in PyTorch.
        teacher: What the teacher says; null where there is none.
        score: The package's probability of its intent.
        flipped: Whether package and student differ.
        lost: Whether the teacher is right.
    """

    text: str
    locale: str
    gold: Shown
    package: Shown
    student: Shown
    teacher: Shown | None
    score: float
    flipped: bool
    lost: bool


class ParityReport(Struct, frozen=True):
    """Outcome of a check against a reference.

    Attributes:
        reference: Path of the reference file.
        digest: Its SHA-256.
        data: What its utterances are, and their split.
        fingerprint: SHA-256 of the utterances.
        student: Name of the student.
        teachers: Names of the teachers.
        notes: What could not be compared.
        numbers: Logits against float64.
        decisions: Decisions against the student's.
        task: Scores against gold labels and the teacher.
        worst: The worst utterances: those that differ from the student first, then those that the teacher gets right,
            the surest first.
        exit_code: Exit code of the first step that failed; 0 where none did.
    """

    reference: str
    digest: str
    data: str
    fingerprint: str
    student: str
    teachers: list[str]
    notes: list[str]
    numbers: NumbersStep
    decisions: DecisionsStep
    task: TaskStep
    worst: list[Utterance]
    exit_code: int

    @property
    def failures(self) -> list[str]:
        """What is wrong in all steps, in words."""
        steps = (("numbers", self.numbers), ("decisions", self.decisions), ("task", self.task))
        return [f"{name}: {failure}" for name, step in steps for failure in step.failures]


def check_fit(manifest: Manifest, reference: Reference, where: str) -> list[str]:
    """Refuse a reference of another parser.

    Returns:
        What could not be compared, in words.

    Raises:
        ReferenceFileError: It was made from other weights than the package.
    """
    made_from, compiled = reference.meta.student.digest, manifest.model.checkpoint
    if compiled and made_from != compiled:
        raise ReferenceFileError(
            f"{where}: made from the parser {made_from[:12]} ({reference.meta.student.name}), and the package was "
            f"compiled from {compiled[:12]}. Make it from the parser of this package: pqrnn reference"
        )
    return [] if compiled else ["the package does not say which weights it was compiled from"]


def check_reference(
    parser: Parser | PackagedNativeParser, reference: Reference, where: str, goals: ParityGoals | None = None
) -> tuple[ParityReport, list[Frame]]:
    """Answer the texts of a reference with a loaded package, and judge the answers.

    Args:
        parser: The package, loaded so that it cuts what is too long.
        reference: The reference.
        where: Name of its file.
        goals: What has to be reached.

    Raises:
        ReferenceFileError: The reference is of another parser.
        DeviceError: The device failed.
    """
    check_fit(parser.manifest, reference, where)
    wanted = dict.fromkeys([*reference.texts, *reference.exact.vectors.texts])
    return judge_answers(parser.manifest, reference, where, {text: parser.logits(text) for text in wanted}, goals)


def judge_answers(
    manifest: Manifest,
    reference: Reference,
    where: str,
    answers: Mapping[bytes, Logits],
    goals: ParityGoals | None = None,
) -> tuple[ParityReport, list[Frame]]:
    """Judge answers to the texts of a reference, which may come from another machine.

    Args:
        manifest: The manifest of the package that answered.
        reference: The reference.
        where: Name of its file.
        answers: For each text of it, what the package answered.
        goals: What has to be reached.

    Returns:
        The outcome, and what the answers mean.
    """
    goals = goals or ParityGoals()
    notes = check_fit(manifest, reference, where)
    decoder = manifest.labels.decoder()
    logits = [answers[text] for text in reference.texts]
    parses = [_parse(decoder, text, found) for text, found in zip(reference.texts, logits, strict=True)]
    frames = [frame_of_parse(parse) for parse in parses]
    exact = judge_numbers(reference, answered_exact(reference, dict(answers)))
    decisions, task = judge_decisions(reference, logits, frames, goals), judge_task(reference, frames, goals)
    if wrong := describe_differences(manifest.labels, reference.meta.labels, "the package", "the student"):
        decisions = msgspec.structs.replace(decisions, failures=[*wrong, *decisions.failures])
    meta = reference.meta
    report = ParityReport(
        reference=where,
        digest=reference.digest,
        data=f"{meta.data}, {meta.split} split",
        fingerprint=meta.fingerprint,
        student=meta.student.name,
        teachers=[teacher.name for teacher in meta.teachers],
        notes=notes,
        numbers=exact,
        decisions=decisions,
        task=task,
        worst=_find_worst(reference, parses, frames),
        exit_code=first_failed(exact, decisions, task),
    )
    return report, frames


def _parse(decoder: Decoder, text: bytes, logits: Logits) -> Parse:
    shown, raw = encode_text(text)
    if not (np.isfinite(logits.intent).all() and np.isfinite(logits.tags).all()):
        return Parse("", 0.0, (), shown, logits.truncated, len(logits.tags))  # there is nothing to decide by
    return decoder.parse(shown, raw, logits.intent, logits.tags, logits.spans, logits.truncated)


def _find_worst(reference: Reference, parses: list[Parse], frames: list[Frame]) -> list[Utterance]:
    found = []
    for index, (parse, frame) in enumerate(zip(parses, frames, strict=True)):
        gold, student = reference.gold[index], reference.student[index]
        if frame == gold and frame == student:
            continue
        teacher = reference.teacher[index] if reference.teacher is not None else None
        found.append(
            Utterance(
                text=parse.text,
                locale=reference.meta.locales[int(reference.locales[index])],
                gold=_show(gold),
                package=_show(frame),
                student=_show(student),
                teacher=_show(teacher) if teacher is not None else None,
                score=round(parse.score, 6),
                flipped=frame != student,
                lost=teacher == gold != frame,
            )
        )
    found.sort(key=lambda one: (not one.flipped, not one.lost, -one.score, one.text))
    return found[:_WORST]


def _show(frame: Frame) -> Shown:
    return frame[0], list(frame[1])


def certify(
    manifest: Manifest,
    variant: Variant | NativeLibrary,
    parity: Parity,
    architecture: str,
    report: ParityReport | None = None,
    goals: ParityGoals | None = None,
) -> Certificate:
    """Return the certificate of a check that passed.

    Args:
        manifest: The manifest of the package.
        variant: The variant that was checked.
        parity: Outcome of the golden vectors.
        architecture: Architecture of the process that ran the code.
        report: Outcome of the reference; None where there was none.
        goals: Goals that were met.

    Raises:
        ValueError: The check did not pass.
    """
    if not parity.passed or (report is not None and report.exit_code):
        raise ValueError("only a check that passed is certified")
    certificate = certify_replay(manifest, variant, parity, architecture=architecture, made_by="check")
    if report is None:
        return certificate
    task, numbers, decisions = report.task, report.numbers, report.decisions
    figures = {
        "intent_flips": float(decisions.intent_flips),
        "slot_flips": float(decisions.slot_flips),
        "utterances": float(task.utterances),
        "exact_match": task.exact_match.value,
        "intent_accuracy": task.intent_accuracy.value,
        "slot_f1": task.slot_f1.value,
        **{f"numbers_{name}": value for name, value in numbers.figures.items()},
    }
    if task.retention is not None:
        kept = task.retention
        figures |= {"retention": kept.value, "retention_low": kept.low, "retention_high": kept.high}
    return msgspec.structs.replace(
        certificate,
        checked=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        texts=certificate.texts + decisions.texts,
        reference=report.digest,
        data=report.fingerprint,
        figures=certificate.figures | figures,
        goals=(goals or ParityGoals()).stated(),
    )


def read_checked(path: Path, manifest: Manifest) -> Reference:
    """Read a reference file and refuse one of another parser before anything is run.

    Raises:
        ReferenceFileError: It cannot be read, or is of another parser.
    """
    from runtime_py.parity.reference_file import load_reference

    reference = load_reference(path)
    check_fit(manifest, reference, str(path))
    return reference
