"""The three steps of a check against a reference: numbers, decisions, task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from runtime_py.execute.logits import Logits
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.parity.goals import DECISIONS, NUMBERS, TASK, ParityGoals
from runtime_py.parity.metrics import Estimate, Frame, count_frames, make_estimate, retention, score_counts
from runtime_py.parity.numerics import Numerics
from runtime_py.parity.reference_file import Reference

_SHOWN = 3
_CUT = 0.01  # of the texts may be too long
_FEWEST = 200  # logits of settled texts by which a spread is judged


class Figure(Struct, frozen=True):
    """A share of 1 with its 95 % bootstrap interval.

    Attributes:
        value: The share.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Number of utterances.
    """

    value: float
    low: float
    high: float
    n: int


class NumbersStep(Struct, frozen=True):
    """Logits against float64.

    Attributes:
        texts: Texts that were compared in all logits.
        cut: Texts that are too long for the package, and were not compared.
        settled: Those of them whose integers every right device computes alike.
        samples: Logits of the settled ones.
        largest_settled: Largest difference of a logit of a settled text.
        largest: Largest difference of a logit of any of these texts.
        over: Texts over their bound.
        figures: Errors of the settled texts beside PyTorch's own; empty where too few are settled to judge by.
        failures: What is wrong, in words.
    """

    texts: int
    cut: int
    settled: int
    samples: int
    largest_settled: float
    largest: float
    over: int
    figures: dict[str, float]
    failures: list[str]


class DecisionsStep(Struct, frozen=True):
    """Decisions against those of the student in PyTorch.

    Attributes:
        texts: Number of texts.
        intent_flips: Texts with another intent.
        slot_flips: Texts with other slots.
        flips: Texts with another intent or other slots.
        cut: Texts that are too long for the package: they count in the task alone.
        word_mismatches: Texts whose words are others.
        not_finite: Texts with a logit that is NaN or infinite.
        allowed: Flips that were allowed.
        failures: What is wrong, in words.
    """

    texts: int
    intent_flips: int
    slot_flips: int
    flips: int
    cut: int
    word_mismatches: int
    not_finite: int
    allowed: int
    failures: list[str]


class Group(Struct, frozen=True):
    """Scores of a part of the utterances.

    Attributes:
        name: The language or the intent.
        n: Number of utterances.
        exact_match: Share of the package's parses that are right.
        intent_accuracy: Share of its intents that are right.
        teacher: The teacher's exact match; null where there is no teacher.
        retention: Exact match as a share of the teacher's; null where there is no teacher, or it is never right.
    """

    name: str
    n: int
    exact_match: float
    intent_accuracy: float
    teacher: float | None
    retention: float | None


class TaskStep(Struct, frozen=True):
    """Scores against gold labels, and against the teacher.

    Attributes:
        utterances: Number of utterances.
        exact_match: The package's exact match.
        intent_accuracy: Its intent accuracy.
        slot_f1: Its slot F1.
        student_exact_match: The student's exact match in PyTorch.
        teacher_exact_match: The teacher's; null where there is none.
        teacher_intent_accuracy: The teacher's intent accuracy; null where there is none.
        teacher_slot_f1: The teacher's slot F1; null where there is none.
        retention: The package's exact match as a share of the teacher's; null where there is none.
        agreement: Share of the utterances that the package parses as the teacher does; null where there is none.
        drop: Teacher's exact match less the package's; the student's where there is no teacher.
        languages: Scores by language.
        intents: Scores by intent of the gold labels, those with most errors first.
        failures: Goals that were missed, in words.
    """

    utterances: int
    exact_match: Figure
    intent_accuracy: Figure
    slot_f1: Figure
    student_exact_match: Figure
    teacher_exact_match: Figure | None
    teacher_intent_accuracy: Figure | None
    teacher_slot_f1: Figure | None
    retention: Figure | None
    agreement: Figure | None
    drop: float
    languages: list[Group]
    intents: list[Group]
    failures: list[str]


def judge_numbers(reference: Reference, answers: Sequence[Logits]) -> NumbersStep:
    """Judge logits by the rule of `runtime_py.parity.numerics`, and by each text's bound.

    Args:
        reference: The reference.
        answers: Answers to the texts of `reference.exact`.
    """
    exact = reference.exact
    vectors, bounds = exact.vectors, exact.vectors.tolerances
    assert bounds is not None
    failures: list[str] = []
    errors: list[NDArray[np.float64]] = []
    largest = largest_settled = 0.0
    over = strange = misfits = cut = 0
    for index, answer in enumerate(answers):
        rows = vectors.words(index)
        if answer.truncated:
            cut += 1
            continue
        widths = (answer.intent.shape, answer.tags.shape)
        if widths != (vectors.intent[index].shape, vectors.tags[rows].shape) or not np.array_equal(
            answer.spans, vectors.spans[rows]
        ):
            misfits += 1
            continue
        got = np.concatenate([answer.intent, answer.tags.ravel()]).astype(np.float64)
        wanted = np.concatenate([vectors.intent[index], vectors.tags[rows].ravel()]).astype(np.float64)
        if not np.isfinite(got).all():
            strange += 1
            continue
        difference = got - wanted
        worst = float(np.abs(difference).max(initial=0.0))
        largest = max(largest, worst)
        over += worst > float(bounds[index])
        if exact.settled[index]:
            largest_settled = max(largest_settled, worst)
            errors.append(difference)
    joined = np.concatenate(errors) if errors else np.zeros(0)
    figures: dict[str, float] = {}
    framework = reference.meta.framework
    if framework is not None and len(joined) >= _FEWEST:
        numerics = Numerics(
            len(joined),
            float(joined.mean()),
            float(joined.std()),
            float(np.abs(joined).max()),
            framework.bias,
            framework.spread,
            framework.largest,
            framework.ordered_spread,
            0,
        )
        figures = numerics.figures()
        failures += numerics.failures()
    for count, what in (
        (misfits, "texts have other words, or other numbers of logits, than in PyTorch"),
        (strange, "texts have a logit that is NaN or infinite"),
        (over, f"texts differ from float64 by more than they may (at most by {largest:.3g})"),
    ):
        if count:
            failures.append(f"{count} of {len(vectors)} {what}")
    settled = int(exact.settled.sum())
    return NumbersStep(len(vectors) - cut, cut, settled, len(joined), largest_settled, largest, over, figures, failures)


def judge_decisions(
    reference: Reference, answers: Sequence[Logits], frames: Sequence[Frame], goals: ParityGoals
) -> DecisionsStep:
    """Compare decisions with the student's.

    Args:
        reference: The reference.
        answers: Answers to its texts.
        frames: What these answers mean.
        goals: How many may differ.
    """
    rows = list(zip(reference.student, frames, answers, strict=True))
    intents = [student[0] != frame[0] and not answer.truncated for student, frame, answer in rows]
    slots = [student[1] != frame[1] and not answer.truncated for student, frame, answer in rows]
    flips = sum(a or b for a, b in zip(intents, slots, strict=True))
    cut = sum(answer.truncated for answer in answers)
    words = sum(
        not answer.truncated and not np.array_equal(answer.spans, reference.spans[reference.words(index)])
        for index, answer in enumerate(answers)
    )
    strange = sum(not (np.isfinite(answer.intent).all() and np.isfinite(answer.tags).all()) for answer in answers)
    allowed = goals.allowed_flips(len(reference), reference.meta.student.precision)
    failures = []
    if flips > allowed:
        shown = [text for text, a, b in zip(reference.texts, intents, slots, strict=True) if a or b][:_SHOWN]
        first = ", ".join(repr(text.decode("utf-8", "replace")) for text in shown)
        failures.append(
            f"{flips} of {len(reference)} texts are decided otherwise than by the student ({sum(intents)} intents, "
            f"{sum(slots)} slots), and at most {allowed} may be; the first: {first}"
        )
    if words:
        failures.append(f"{words} texts have other words than in PyTorch")
    if cut > _CUT * len(reference):
        failures.append(f"{cut} of {len(reference)} texts are too long for the package; compile it with larger buckets")
    if strange:
        failures.append(f"{strange} texts have a logit that is NaN or infinite")
    return DecisionsStep(len(reference), sum(intents), sum(slots), flips, cut, words, strange, allowed, failures)


def judge_task(reference: Reference, frames: Sequence[Frame], goals: ParityGoals) -> TaskStep:
    """Score parses against gold labels, beside the teacher's.

    Args:
        reference: The reference.
        frames: What the package's answers mean.
        goals: What has to be reached.
    """
    mine, student = count_frames(reference.gold, frames), count_frames(reference.gold, reference.student)
    scores, own = score_counts(mine), score_counts(student)
    teacher = count_frames(reference.gold, reference.teacher) if reference.teacher is not None else None
    taught = score_counts(teacher) if teacher is not None else None
    kept = retention(mine, teacher) if teacher is not None else None
    measure = own if taught is None else taught
    drop = measure.exact_match.value - scores.exact_match.value
    failures = []
    if goals.min_retention is not None and kept is None:
        failures.append("a least retention was asked for, and the reference has no teacher: make it with --teacher")
    elif goals.min_retention is not None and kept is not None and kept.value < goals.min_retention:
        failures.append(
            f"exact match is {kept.value:.2%} of the teacher's [{kept.low:.2%}, {kept.high:.2%}], "
            f"and has to be at least {goals.min_retention:.2%}"
        )
    if goals.max_drop is not None and drop > goals.max_drop:
        whom = "the student's" if taught is None else "the teacher's"
        failures.append(
            f"exact match is {100 * drop:.2f} points below {whom}, and may be {100 * goals.max_drop:.2f} points below"
        )
    locales = [reference.meta.locales[index] for index in reference.locales.tolist()]
    by_intent = _group([intent for intent, _ in reference.gold], mine, teacher)
    return TaskStep(
        utterances=len(reference),
        exact_match=_figure(scores.exact_match),
        intent_accuracy=_figure(scores.intent_accuracy),
        slot_f1=_figure(scores.slot_f1),
        student_exact_match=_figure(own.exact_match),
        teacher_exact_match=_figure(taught.exact_match) if taught else None,
        teacher_intent_accuracy=_figure(taught.intent_accuracy) if taught else None,
        teacher_slot_f1=_figure(taught.slot_f1) if taught else None,
        retention=_figure(kept) if kept else None,
        agreement=_agreement(frames, reference.teacher) if reference.teacher is not None else None,
        drop=drop,
        languages=_group(locales, mine, teacher),
        intents=sorted(by_intent, key=lambda group: (-(1 - group.exact_match) * group.n, group.name)),
        failures=failures,
    )


def first_failed(numbers: NumbersStep, decisions: DecisionsStep, task: TaskStep) -> int:
    """Return the exit code of the first step that failed; 0 where none did."""
    steps = ((numbers, NUMBERS), (decisions, DECISIONS), (task, TASK))
    return next((code for step, code in steps if step.failures), 0)


def _figure(estimate: Estimate) -> Figure:
    return Figure(*estimate)


def _agreement(frames: Sequence[Frame], teacher: Sequence[Frame]) -> Figure:
    same = np.array([mine == theirs for mine, theirs in zip(frames, teacher, strict=True)], np.float64)
    draws = np.random.default_rng(0).integers(0, len(same), (1000, len(same)))
    return _figure(make_estimate(float(same.mean()), same[draws].mean(1), len(same)))


def _group(names: Sequence[str], mine: NDArray[np.int64], teacher: NDArray[np.int64] | None) -> list[Group]:
    """Return the scores of each group, in the order of their first utterances."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    groups = []
    for name, indices in rows.items():
        right, intents = mine[indices, 0].mean(), mine[indices, 1].mean()
        theirs = None if teacher is None else float(teacher[indices, 0].mean())
        share = float(right) / theirs if theirs else None
        groups.append(Group(name, len(indices), float(right), float(intents), theirs, share))
    return groups


def answered_exact(reference: Reference, answers: dict[bytes, Logits]) -> list[Logits]:
    """Return the answers to the texts that numbers are judged by, in their order."""
    vectors: GoldenVectors = reference.exact.vectors
    return [answers[text] for text in vectors.texts]
