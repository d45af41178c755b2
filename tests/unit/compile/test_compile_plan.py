"""Which targets a request means, and the steps that are told of."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from compile.plan import choose_targets
from compile.support.errors import PlanError
from compile.support.progress import Progress, Reporter
from targets import Registry, TargetError
from targets.registry import Source, shipped

KNOWN = shipped()


def names(*wanted: str) -> list[str]:
    targets, failures = choose_targets(wanted, KNOWN)
    assert not failures
    return [target.id for target in targets]


def test_all_is_every_target_that_can_leave_this_machine() -> None:
    found = names("all")
    assert "host" not in found
    assert {"linux-x86_64-v3", "raspberry-pi-4", "vulkan", "vmvx"} <= set(found)
    left_out = set(KNOWN.names()) - set(found)
    assert all(KNOWN.get(name).development or KNOWN.get(name).refused for name in left_out)
    assert not any(KNOWN.get(name).refused for name in found)


def test_a_file_that_is_not_valid_does_not_lose_the_others(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text('id = "good"\nsummary = "x"\nfamily = "vmvx"\nneeds = "x"\ntier = "native"\n')
    (tmp_path / "bad.toml").write_text('id = "bad"\nsurprise = 1\n')
    known = Registry([Source("mine", str(tmp_path), lambda: tmp_path)])
    targets, failures = choose_targets(["all"], known)
    assert [target.id for target in targets] == ["good"]
    assert list(failures) == ["bad"]
    assert "bad.toml" in failures["bad"].message
    with pytest.raises(TargetError, match=r"bad\.toml"):
        choose_targets(["bad"], known)


def test_what_is_named_beside_all_comes_first_and_once() -> None:
    found = names("host", "all", "vulkan")
    assert found[:2] == ["host", "vulkan"]
    assert sorted(found) == sorted({*names("all"), "host"})


def test_requests_without_a_sense_are_refused() -> None:
    with pytest.raises(PlanError, match="no target"):
        names()
    with pytest.raises(PlanError, match="given twice"):
        names("host", "host")
    with pytest.raises(PlanError, match="given twice"):
        names("all", "all")
    with pytest.raises(TargetError, match="did you mean host"):
        names("hots")
    refused = next(name for name in KNOWN.names() if KNOWN.get(name).refused)
    with pytest.raises(TargetError, match=refused):
        names(refused)


def test_steps_add_up_however_targets_end() -> None:
    seen: list[Progress] = []
    reporter = Reporter(seen.append)
    reporter.expect(2)
    reporter.step("plan", "")
    reporter.expect_targets(["a", "b"])
    reporter.target("a", "compile", "")
    reporter.target("b", "compile", "")
    reporter.target("b", "compile", "it crashed", "failed")
    reporter.target("a", "verify", "")
    reporter.target("a", "verify", "", "done")
    reporter.step("package", "")
    assert [(step.done, step.total) for step in seen] == [(0, 2), (1, 6), (1, 6), (3, 6), (4, 6), (5, 6), (5, 6)]
    assert reporter.done == reporter.total == 6


def test_whoever_is_told_is_told_one_thing_at_a_time() -> None:
    inside = threading.Lock()
    clashes = []

    def tell(step: Progress) -> None:
        if not inside.acquire(blocking=False):
            clashes.append(step)
            return
        threading.Event().wait(0.001)
        inside.release()

    reporter = Reporter(tell)
    reporter.expect_targets([str(number) for number in range(4)])
    threads = [
        threading.Thread(target=lambda name: [reporter.target(name, "compile", "") for _ in range(20)], args=(str(n),))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not clashes
