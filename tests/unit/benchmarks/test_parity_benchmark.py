"""The rows that a checked variant gives."""

from __future__ import annotations

from typing import Any

from makers.references import DIGEST, LABELS, PLAY, TIMES, make_answers, make_fake_reference
from makers.runtime_fakes import fake_manifest, fake_parity, fake_variant
from msgspec.structs import replace

from benchmarks.parity import describe
from runtime_py.parity.check import judge_answers
from runtime_py.tools.check import CheckResult
from runtime_py.tools.full_check import FullCheck


def check(parity: Any = None, emulator: str = "") -> FullCheck:
    golden = replace(fake_parity(True), machine="a processor", emulator=emulator)
    return FullCheck(CheckResult("home.pqrnn", "board", "asked for", golden, []), parity)


def test_a_variant_has_its_flips_its_retention_and_where_it_ran() -> None:
    gold = [TIMES, PLAY, TIMES, PLAY]
    reference = make_fake_reference(gold, [TIMES, PLAY, TIMES, TIMES], gold)
    manifest = fake_manifest(fake_variant("board"))
    manifest = replace(manifest, labels=LABELS, model=replace(manifest.model, checkpoint=DIGEST))
    answers = make_answers([TIMES, PLAY, PLAY, TIMES])
    report, _ = judge_answers(manifest, reference, "a.reference", answers)
    rows = {row.metric: row for row in describe("home", check(report, "qemu 10"))}
    assert {row.work for row in rows.values()} == {"home, board"}
    assert (rows["certified"].value, rows["certified"].note) == (0.0, "run by qemu 10")
    assert (rows["intent flips"].value, rows["slot flips"].value, rows["intent flips"].n) == (1, 1, 4)
    assert rows["exact match"].value == rows["retention"].value == 0.5
    assert rows["exact match of the teacher"].value == 1.0
    low, high = rows["retention"].low, rows["retention"].high
    assert low is not None and high is not None and low < 0.5 < high


def test_a_variant_that_could_not_be_judged_has_no_figures() -> None:
    (row,) = describe("home", check())
    assert (row.metric, row.value, row.note) == ("certified", 0.0, "run by a processor")
