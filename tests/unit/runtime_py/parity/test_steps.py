"""Numbers, decisions and task, over answers that nobody computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers.references import DIGEST, LABELS, PLAY, TIMES, make_answers, make_fake_reference, text_of
from makers.runtime_fakes import fake_manifest

from runtime_py.decode.labels import Labels
from runtime_py.errors import GoalError, ReferenceFileError
from runtime_py.execute.logits import Logits
from runtime_py.package_format.manifest import Manifest
from runtime_py.parity.check import ParityReport, judge_answers
from runtime_py.parity.goals import DECISIONS, NUMBERS, TASK, ParityGoals, read_goals
from runtime_py.parity.metrics import Frame, count_frames, retention
from runtime_py.parity.reference_file import Reference
from runtime_py.parity.tables import parity_tables
from runtime_py.tools.presentation import plain_text

BARE: Frame = ("alarm", ())
N = 100
GOLD: list[Frame] = [TIMES, PLAY] * (N // 2)


def manifest(**changes: Any) -> Manifest:
    made = fake_manifest()
    model = msgspec.structs.replace(made.model, checkpoint=DIGEST)
    return msgspec.structs.replace(made, **({"labels": LABELS, "model": model} | changes))


def judge(
    reference: Reference, answers: dict[bytes, Logits], goals: ParityGoals | None = None, **changes: Any
) -> ParityReport:
    return judge_answers(manifest(**changes), reference, "home.reference", answers, goals)[0]


def wrong(count: int) -> list[Frame]:
    """Frames of which the first ones are wrong."""
    return [BARE] * count + GOLD[count:]


def test_the_student_itself_passes_all_three_steps() -> None:
    reference = make_fake_reference(GOLD, wrong(10), wrong(6), locales=("en", "de"))
    report = judge(reference, make_answers(wrong(10)), ParityGoals(min_retention=0.9, max_flips=0, max_drop=0.05))
    assert report.failures == []
    assert report.exit_code == 0
    task = report.task
    assert task.teacher_exact_match is not None and task.retention is not None and task.agreement is not None
    assert (task.exact_match.value, task.student_exact_match.value, task.teacher_exact_match.value) == (0.9, 0.9, 0.94)
    assert task.retention.value == pytest.approx(0.9 / 0.94)
    assert task.agreement.value == pytest.approx(0.96)
    assert task.drop == pytest.approx(0.04)
    assert [(group.name, group.n) for group in task.languages] == [("en", 50), ("de", 50)]
    assert [(group.name, group.exact_match) for group in task.intents] == [("alarm", 0.9), ("music", 0.9)]
    assert report.decisions.flips == report.decisions.word_mismatches == 0
    assert report.numbers.figures["samples"] == N * 8


def test_without_a_teacher_the_student_is_what_drops_are_counted_from() -> None:
    reference = make_fake_reference(GOLD, GOLD)
    report = judge(reference, make_answers(wrong(10)), ParityGoals(max_drop=0.05, max_flips=100))
    assert report.exit_code == NUMBERS  # other frames have other logits here
    assert report.task.retention is None
    assert report.task.failures == ["exact match is 10.00 points below the student's, and may be 5.00 points below"]
    missing = judge(reference, make_answers(GOLD), ParityGoals(min_retention=0.5))
    assert missing.exit_code == TASK
    assert "make it with --teacher" in missing.failures[0]


@pytest.mark.parametrize(
    ("flips", "precision", "allowed", "fails"),
    [(0, "float32", 0, False), (1, "float32", 0, True), (1, "int8", 1, False), (2, "int8", 1, True)],
)
def test_flips_are_counted_and_bounded_by_precision(flips: int, precision: str, allowed: int, fails: bool) -> None:
    report = judge(make_fake_reference(GOLD, GOLD, precision=precision), make_answers(wrong(flips)))
    assert (report.decisions.flips, report.decisions.allowed) == (flips, allowed)
    assert bool(report.decisions.failures) is fails
    assert not fails or "the first: 'at s0000'" in report.decisions.failures[0]


def test_intents_and_slots_flip_apart() -> None:
    reference = make_fake_reference([TIMES, PLAY, TIMES], [TIMES, PLAY, TIMES])
    decisions = judge(reference, make_answers([PLAY, BARE, BARE])).decisions
    assert (decisions.intent_flips, decisions.slot_flips, decisions.flips) == (2, 2, 3)


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (0.0, ""),
        (2e-3, "differ from float64 by more than they may (at most by 0.002)"),
        (5e-4, "biased: mean error 5.00e-04"),
        (float("nan"), "NaN or infinite"),
        (float("inf"), "NaN or infinite"),
    ],
)
def test_numbers_are_judged_by_bias_and_bound(offset: float, said: str) -> None:
    report = judge(make_fake_reference(GOLD, GOLD), make_answers(GOLD, offset))
    assert bool(report.numbers.failures) is bool(said)
    assert said in "\n".join(report.numbers.failures)
    assert report.exit_code == (NUMBERS if said else 0)


def test_a_spread_that_is_not_that_of_float32_is_found_though_every_text_is_within_its_bound() -> None:
    rng = np.random.default_rng(0)
    answers = {
        text: found._replace(
            intent=(found.intent + rng.normal(0, 2e-4, 2)).astype(np.float32),
            tags=(found.tags + rng.normal(0, 2e-4, (2, 3))).astype(np.float32),
        )
        for text, found in make_answers(GOLD).items()
    }
    report = judge(make_fake_reference(GOLD, GOLD), answers)
    assert report.numbers.over == 0
    assert report.numbers.failures[0].startswith("spread of the error 2.0")
    few = judge(make_fake_reference(GOLD[:4], GOLD[:4]), answers)
    assert few.numbers.failures == [] and few.numbers.figures == {}


def test_other_words_are_a_failure_of_numbers_and_of_decisions() -> None:
    answers = make_answers(GOLD)
    found = answers[text_of(3)]
    answers[text_of(3)] = found._replace(tags=found.tags[:1], spans=found.spans[:1])
    report = judge(make_fake_reference(GOLD, GOLD), answers)
    assert "1 of 100 texts have other words" in report.numbers.failures[0]
    assert report.decisions.word_mismatches == 1


@pytest.mark.parametrize(("cut", "fails"), [(0, False), (1, False), (2, True)])
def test_texts_that_are_too_long_for_the_package_count_in_the_task_alone_if_they_are_few(cut: int, fails: bool) -> None:
    answers = make_answers([PLAY] * cut + GOLD[cut:])
    for index in range(cut):
        answers[text_of(index)] = answers[text_of(index)]._replace(truncated=True)
    report = judge(make_fake_reference(GOLD, GOLD), answers)
    assert (report.numbers.cut, report.decisions.cut, report.decisions.flips) == (cut, cut, 0)
    assert report.numbers.failures == []
    assert report.exit_code == (DECISIONS if fails else 0)
    assert report.task.exact_match.value == 1 - (cut + 1) // 2 / N


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (Labels(("music", "alarm"), LABELS.tags), "intents are in another order"),
        (Labels(LABELS.intents, ("O", "I-time", "B-time")), "tags are in another order"),
        (Labels(LABELS.intents, LABELS.tags, ((), ())), "the student has no frames"),
        (Labels(LABELS.intents, LABELS.tags, (), (((9, 0),), ((1,),))), "the student has no counts of frames"),
    ],
)
def test_labels_that_are_not_the_students_fail_the_decisions(labels: Labels, said: str) -> None:
    report = judge(make_fake_reference(GOLD, GOLD), make_answers(GOLD), labels=labels)
    assert said in report.decisions.failures[0]
    assert report.exit_code == DECISIONS


def test_another_number_of_labels_is_no_traceback() -> None:
    more = Labels((*LABELS.intents, "weather"), LABELS.tags)
    answers = {
        text: found._replace(intent=np.append(found.intent, np.float32(-9)))
        for text, found in make_answers(GOLD).items()
    }
    report = judge(make_fake_reference(GOLD, GOLD), answers, labels=more)
    assert "other numbers of logits" in report.numbers.failures[0]
    assert "weather only in the package" in report.decisions.failures[0]


def test_a_reference_of_another_parser_is_refused() -> None:
    model = msgspec.structs.replace(fake_manifest().model, checkpoint="00" * 32)
    with pytest.raises(ReferenceFileError, match=r"made from the parser abababababab .* compiled from 000000000000"):
        judge(make_fake_reference(GOLD, GOLD), make_answers(GOLD), model=model)
    older = judge(make_fake_reference(GOLD, GOLD), make_answers(GOLD), model=fake_manifest().model)
    assert older.notes == ["the package does not say which weights it was compiled from"]


def test_the_worst_are_flips_then_what_the_teacher_gets_right_then_the_surest() -> None:
    student = wrong(8)
    reference = make_fake_reference(GOLD, student, [GOLD[0], *student[1:]])
    answers = make_answers([*student[:20], BARE, *student[21:]])
    report = judge(reference, answers)
    first = report.worst[0]
    assert (first.flipped, first.text, first.gold, first.package) == (
        True,
        "at s0020",
        ("alarm", [("time", 3, 8)]),
        ("alarm", []),
    )
    assert (report.worst[1].lost, report.worst[1].text) == (True, "at s0000")
    assert len(report.worst) == 9
    shown = "\n".join(map(plain_text, parity_tables(report)))
    assert "at s0020" in shown and "differs from the student" in shown


def test_goals_come_from_the_command_line_or_a_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "home.toml"
    recipe.write_text("[train]\nx = 1\n[parity]\nmin_retention = 0.97\nmax_flips = 3\n")
    assert read_goals(recipe) == ParityGoals(min_retention=0.97, max_flips=3)
    assert read_goals(recipe, max_flips=0, max_drop=None) == ParityGoals(min_retention=0.97, max_flips=0)
    assert read_goals(None).stated() == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[parity]\nmin_retension = 1\n", "min_retension"),
        ("[parity]\nmax_drop = 1.5\n", "<= 1"),
        ("[parity]\nmax_flips = -1\n", ">= 0"),
        ("[parity]\nmax_flips = 0.5\n", "int"),
        ("[train]\n", r"has no table \[parity\]"),
        ("parity = 3\n", "object"),
        ("[parity\n", "not TOML"),
    ],
)
def test_wrong_goals_are_an_error_that_names_the_file(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "home.toml").write_text(content)
    with pytest.raises(GoalError, match=rf"home\.toml.*{said}"):
        read_goals(tmp_path / "home.toml")
    with pytest.raises(GoalError, match="cannot be read"):
        read_goals(tmp_path / "nowhere.toml")


def test_wrong_goals_of_the_command_line_are_an_error() -> None:
    with pytest.raises(GoalError, match="max_drop"):
        read_goals(None, max_drop=-0.1)


def test_retention_is_paired() -> None:
    # Student and teacher err on the same utterances: their share does not vary, however few are drawn.
    gold = [TIMES] * 30
    both = count_frames(gold, [BARE] * 15 + gold[15:])
    assert retention(both, both) == (1.0, 1.0, 1.0, 30)
    other = count_frames(gold, gold[:15] + [BARE] * 15)
    apart = retention(both, other)
    assert apart.value == 1.0 and apart.low < 0.6 and apart.high > 1.5


def test_retention_of_nothing_is_one_and_of_no_utterances_an_error() -> None:
    none = count_frames([TIMES] * 3, [BARE] * 3)
    assert retention(none, none).value == 1.0
    with pytest.raises(ValueError, match="at least one"):
        retention(none[:0], none[:0])
    with pytest.raises(ValueError, match="equally many"):
        retention(none[:2], none)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_retention_lies_in_its_interval_and_is_the_share_of_the_counts(rows: list[tuple[bool, bool]]) -> None:
    counts = np.zeros((2, len(rows), 5), np.int64)
    counts[0, :, 0], counts[1, :, 0] = zip(*rows, strict=True)
    kept = retention(counts[0], counts[1], resamples=200)
    mine, theirs = sum(a for a, _ in rows), sum(b for _, b in rows)
    assert kept.value == (mine / theirs if theirs else 1.0)
    assert kept.low <= kept.high
