"""Which functions of a session a part of the network runs on."""

from __future__ import annotations

import threading
from typing import Any, cast

import msgspec
import pytest
from makers.runtime_fakes import fake_manifest

from runtime_py.execute.bucket_runner import BucketRunner
from runtime_py.execute.live_session import LiveSession
from runtime_py.package_format.manifest import Budget, Golden

GOLDEN = Golden(path="golden/golden.npz", texts=1, words=1, tolerance=1.0)


class FakeSession:
    """Functions of two buckets for the whole network and two parts, by name."""

    opened = caller = 0
    lock = threading.Lock()
    entries: tuple[Any, ...] = ()

    def take(self) -> tuple[Any, ...]:
        self.opened += 1
        self.entries = tuple(f"{bucket}{part}" for part in ("", "_a", "_b") for bucket in ("parse_8", "parse_16"))
        return self.entries


def make_budgets(count: int) -> list[Budget]:
    return [
        Budget(name=f"part{number}", macs=number, share=0.5, exact_match=0.5, kept=[50], golden=GOLDEN)
        for number in range(1, count)
    ] + [Budget(name="whole", macs=9, share=1.0, exact_match=0.5, kept=[100])]


@pytest.mark.parametrize(
    ("position", "entries"),
    [(0, ("parse_8", "parse_16")), (1, ("parse_8_a", "parse_16_a")), (2, ("parse_8_b", "parse_16_b"))],
)
def test_every_part_has_the_functions_of_all_buckets(position: int, entries: tuple[str, ...]) -> None:
    session = FakeSession()
    manifest = msgspec.structs.replace(fake_manifest(), budgets=make_budgets(3))
    runner = BucketRunner(cast(LiveSession, session), manifest, "error", position)
    assert cast(Any, runner.take()) == entries
    assert cast(Any, runner.take()) == entries
    assert session.opened == 1  # again only where a fork closed it


def test_without_budgets_all_functions_are_the_network() -> None:
    session = FakeSession()
    session.take()
    runner = BucketRunner(cast(LiveSession, session), fake_manifest(), "error")
    assert runner.take() is session.entries
