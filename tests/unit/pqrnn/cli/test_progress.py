"""What a redirected log tells of a training and of a compilation while they go on: lines, no bars."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from compile.support.progress import Progress
from pqrnn.cli import progress, training_bar
from pqrnn.cli.build_bar import BuildBar
from pqrnn.cli.progress import show_progress
from pqrnn.cli.training_bar import TrainingBar

_SCORES = {name: {"value": 0.5} for name in ("exact_match", "intent_accuracy", "slot_f1")}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is eight seconds after the one before."""
    ticks = itertools.count(step=8.0)
    monkeypatch.setattr(training_bar, "time", SimpleNamespace(monotonic=lambda: next(ticks)))


@pytest.mark.usefixtures("clock")
def test_a_log_tells_of_steps_now_and_then_and_of_every_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingBar(quiet=False) as bar:
        bar.start(1000, 200, "many words " * 20)
        for step in range(201, 211):
            bar.step(step, 1.25)
        bar.epoch({"epoch": 1, "loss": 1.25, "dev": _SCORES})
        for step in range(211, 216):
            bar.step(step, 1.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "many words " * 20 and lines[1] == "going on at step 200"  # lines are as long as they are
    steps = [line for line in lines if line.startswith("step ")]
    assert steps[0] == "step 204 of 1,000: loss 1.250, 133 min left"
    assert 3 <= len(steps) <= 5
    assert steps[-1].startswith("step 2") and "loss 1.000  dev exact match 50.00%" in steps[-1]
    assert "epoch 1: loss 1.250, dev exact match 50.00%, intent 50.00%, slot F1 50.00%" in lines
    assert len(lines) == 3 + len(steps)  # and no bar


@pytest.mark.usefixtures("clock")
def test_a_log_tells_how_far_the_teacher_is_and_what_a_build_does(capsys: pytest.CaptureFixture[str]) -> None:
    with BuildBar(quiet=False) as bar:
        for done in range(0, 4096 * 9, 4096):
            bar.answers(done, 40_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("the teacher answers: ") and " of 40,000 texts, " in line for line in lines)


def test_a_quiet_verb_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingBar(quiet=True) as bar:
        bar.start(10, 0, "text")
        bar.step(1, 1.0)
        bar.epoch({"epoch": 1, "loss": 1.25, "dev": _SCORES})
    with show_progress(quiet=True) as tell:
        tell(Progress("plan", "targets", 0, 4))
    assert capsys.readouterr() == ("", "")


def test_a_log_tells_of_every_step_of_a_compilation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count(step=30.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    with show_progress(quiet=False) as tell:
        tell(Progress("plan", "targets", 0, 8))
        tell(Progress("export", "parse_16 \x1b[2J[bold]", 1, 8))
        tell(Progress("compile", "", 2, 8, "host"))
        tell(Progress("compile", "with host", 2, 8, "vulkan"))
        tell(Progress("verify", "on this machine", 3, 8, "host"))
        tell(Progress("verify", "from the cache", 4, 8, "host", "done"))
        tell(Progress("verify", "differs", 8, 8, "vulkan", "failed"))
    assert capsys.readouterr().err.splitlines() == [
        "plan targets",
        "export parse_16 \\x1b[2J[bold]",
        "host: compile  [2 of 8]",
        "vulkan: compile with host  [2 of 8]",
        "host: verify on this machine  [3 of 8, about 2 min left]",  # a step took 30 s, and five are left
        "host: verify done from the cache  [4 of 8, about 2 min left]",  # two took 60 s, and four are left
        "vulkan: verify failed differs  [8 of 8]",
    ]
