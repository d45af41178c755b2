"""Check, benchmark and inspect on a compiled package."""

import time
from pathlib import Path

import iree.runtime as iree_runtime
import msgspec
import numpy as np
import pytest
from tiny_package import BUCKETS, TEXTS, compile_module, module_text, write_package

from runtime_py.errors import DeviceError, DigestError, InputTooLongError
from runtime_py.execute.logits import Logits
from runtime_py.package_format.golden import load_golden, save_golden
from runtime_py.package_format.manifest import SCHEMA
from runtime_py.package_format.package import open_package, seal
from runtime_py.parser import Parser
from runtime_py.tools.bench import benchmark_package, measure, measure_cold_start, summarise
from runtime_py.tools.check import check_package, check_parser
from runtime_py.tools.full_check import check_fully
from runtime_py.tools.inspect import inspect_package

pytestmark = pytest.mark.compiled


@pytest.fixture
def own(tiny_code: bytes, tmp_path: Path) -> Path:
    write_package(tmp_path / "own.pqrnn", tiny_code)
    return tmp_path / "own.pqrnn"


def test_a_right_package_passes(own: Path) -> None:
    result = check_package(own, repeats=4)
    assert result.passed
    assert result.reason == "generic: the one variant of the package that this CPU can run"
    assert (result.target, result.parity.texts, result.parity.repeats, result.parity.intent_max_abs) == (
        "generic",
        len(TEXTS),
        4,
        0.0,
    )


def test_a_board_certifies_what_nobody_had_run(own: Path) -> None:
    manifest = (own / "manifest.json").read_bytes()
    before = inspect_package(own).variants[0]
    assert (before.verified, before.unverified_reason, before.certificates) == (False, "a test", [])
    checked = check_fully(own, certified=True)
    assert checked.certificate is not None
    after = inspect_package(own).variants[0]
    assert (after.verified, after.unverified_reason) == (True, None)
    assert after.certificates == [checked.certificate]
    assert after.parity == checked.golden.parity
    assert (own / "manifest.json").read_bytes() == manifest  # so that signatures of the package stay what they are
    assert check_package(own).passed
    assert checked.certificate.versions["iree"] == open_package(own).manifest.producer.iree_compiler


def test_a_check_covers_worker_threads(own: Path) -> None:
    assert check_package(own, threads=2).passed


@pytest.mark.parametrize(
    ("original", "replacement", "failure"),
    [
        ("arith.muli %b, %factor", "arith.addi %b, %factor", "over the tolerance"),
        ("arith.constant 32 : i32", "arith.constant 101 : i32", "count mismatches"),
        ("%up = arith.addi %n, %side : index", "%up = arith.addi %n, %c0 : index", "span mismatches"),
    ],
)
def test_a_wrong_compilation_fails(tmp_path: Path, original: str, replacement: str, failure: str) -> None:
    text = module_text()
    assert text.count(original) == len(BUCKETS)
    write_package(tmp_path / "wrong.pqrnn", compile_module(text.replace(original, replacement)))
    result = check_package(tmp_path / "wrong.pqrnn")
    assert not result.passed
    assert any(failure in line for line in result.parity.failures)
    assert result.worst[0].faults


def test_changed_golden_vectors_fail(own: Path) -> None:
    path = own / "golden/golden.npz"
    vectors = load_golden(path)
    tags = vectors.tags.copy()
    tags[3, 1] += 2e-6
    save_golden(path, type(vectors)(vectors.texts, vectors.intent, tags, vectors.spans, vectors.word_offsets))
    with pytest.raises(DigestError):
        check_package(own)
    seal(own, open_package(own).manifest)
    result = check_package(own)
    assert not result.passed
    assert result.parity.tags_max_abs == pytest.approx(2e-6, rel=0.2)


def test_a_later_round_that_differs_is_noticed(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    original = Parser.logits

    def flaky(self: Parser, text: str | bytes) -> Logits:
        nonlocal calls
        calls += 1
        logits = original(self, text)
        if calls == 2 * len(TEXTS) + 3:
            logits.intent[0] = np.nextafter(logits.intent[0], np.float32(100))
        return logits

    monkeypatch.setattr(Parser, "logits", flaky)
    with Parser.load(tiny_path) as parser:
        assert check_parser(parser, repeats=2).passed
        calls = 0
        result = check_parser(parser, repeats=3)
    assert result.parity.failures == ["1 not deterministic"]


def test_a_check_needs_a_round(tiny_path: Path) -> None:
    with Parser.load(tiny_path) as parser, pytest.raises(ValueError, match="at least 1"):
        check_parser(parser, repeats=0)


def test_a_benchmark_measures_every_part(tiny_path: Path) -> None:
    result = benchmark_package(tiny_path, seconds=0.3)
    assert result.texts == len(TEXTS)
    assert result.call.n == result.kernel.n == result.logits.n >= len(TEXTS)
    for timing in (result.call, result.logits, result.kernel):
        assert 0 < timing.fastest <= timing.median <= timing.p90 <= timing.p99
    assert result.kernel.median < result.logits.median < result.call.median
    assert 0 < result.overhead < result.call.median
    assert sum(bucket.texts for bucket in result.buckets) == len(TEXTS)
    assert sum(bucket.call.n for bucket in result.buckets) == result.call.n
    assert result.load_seconds > 0
    assert 0 < result.resident <= result.peak
    assert {part.part for part in result.parts} == {"manifest", "golden vectors", "variant generic"}
    assert result.total_bytes == sum(file.stat().st_size for file in tiny_path.rglob("*") if file.is_file())
    cold = result.cold_start
    assert cold is not None
    assert 0 < cold.load_seconds < 5
    assert cold.import_seconds > cold.second_call_seconds > 0
    assert 0 < cold.resident_before_load <= cold.resident_warm <= cold.peak
    assert msgspec.json.decode(msgspec.json.encode(result), type=type(result)) == result


def test_given_texts_are_measured_and_attributed_to_their_bucket(tiny_path: Path) -> None:
    result = benchmark_package(tiny_path, texts=["a b", "a b c d e f g h i"], seconds=0.05, cold_start=False)
    assert result.cold_start is None
    assert [(bucket.entry, bucket.texts) for bucket in result.buckets] == [("parse_4", 1), ("parse_16", 1)]
    assert result.texts_rerun == 0


def test_a_benchmark_runs_each_text_at_least_once(tiny_path: Path) -> None:
    with Parser.load(tiny_path) as parser:
        samples = measure(parser, [f"word{i}" for i in range(40)], seconds=0.0)
        assert sorted(set(samples.text.tolist())) == list(range(40))
        with pytest.raises(ValueError, match="no texts"):
            measure(parser, [])
        with pytest.raises(InputTooLongError):
            measure(parser, ["x" * 65])


def test_truncated_texts_can_be_measured(tiny_path: Path) -> None:
    with Parser.load(tiny_path, on_long="truncate") as parser:
        samples = measure(parser, ["x" * 100, "a " * 40], seconds=0.01)
        assert set(samples.bucket.tolist()) == {2}


def test_percentiles_are_in_microseconds() -> None:
    timing = summarise(np.arange(1, 101, dtype=np.int64) * 1000)
    assert (timing.n, timing.median, timing.p90, timing.fastest) == (100, 50.5, pytest.approx(90.1), 1.0)


def test_a_cold_start_that_fails_says_why(own: Path) -> None:
    (own / "variants/generic/module.vmfb").unlink()
    with pytest.raises(DeviceError, match="missing"):
        measure_cold_start(own)


@pytest.mark.alone
def test_a_call_costs_less_than_the_wrappers_of_the_runtime(tiny_path: Path) -> None:
    # Both are measured in turn on the same function, so that the bound holds on any machine, and a return to the
    # wrappers, which take about twice as long to hand over four outputs, is seen.
    with Parser.load(tiny_path) as parser:
        raw = b"wake me at seven tomorrow"
        entry = next(entry for entry in parser.entries if len(raw) <= entry.bytes and entry.words >= 5)
        session = parser._session._session
        assert session is not None
        wrapped = iree_runtime.FunctionInvoker(session.context, session.device, entry._function)
        text = np.frombuffer(raw.ljust(entry.bytes, b"\0"), np.int32)[None]
        ours, theirs = [], []
        for _ in range(1500):
            begin = time.perf_counter_ns()
            entry.run(raw)
            middle = time.perf_counter_ns()
            for output in wrapped(text):
                output.to_host()
            ours.append(middle - begin)
            theirs.append(time.perf_counter_ns() - middle)
    ours_us, theirs_us = (float(np.percentile(times, 10)) / 1000 for times in (ours, theirs))
    assert ours_us < 0.7 * theirs_us


def test_inspection_reports_facts_and_damage(own: Path) -> None:
    facts = inspect_package(own)
    assert (facts.name, facts.schema, facts.golden_texts, facts.slot_labels) == (
        "tiny",
        SCHEMA,
        len(TEXTS),
        ["what", "when"],
    )
    assert facts.variants[0].runs_here
    assert facts.variants[0].chosen_here
    assert not facts.variants[0].verified
    assert facts.choice == "generic: the one variant of the package that this CPU can run"
    assert facts.variants[0].why_not_chosen is None
    assert facts.total_bytes == sum(file.stat().st_size for file in own.rglob("*") if file.is_file())
    assert (facts.damaged, facts.unlisted) == ([], [])
    (own / "golden/golden.npz").write_bytes(b"x")
    (own / "notes.txt").write_text("x")
    facts = inspect_package(own)
    assert len(facts.damaged) == 1
    assert "golden.npz" in facts.damaged[0]
    assert facts.unlisted == ["notes.txt"]
    msgspec.json.encode(facts)


def test_inspection_of_a_package_for_another_machine(own: Path) -> None:
    manifest = open_package(own).manifest
    seal(
        own,
        msgspec.structs.replace(
            manifest, variants=[msgspec.structs.replace(manifest.variants[0], triple="mips-unknown-linux")]
        ),
    )
    variant = inspect_package(own).variants[0]
    assert not variant.runs_here
    assert not variant.chosen_here
    assert "for mips" in str(variant.why_not)
    assert variant.why_not_chosen == variant.why_not
    assert inspect_package(own).choice == ""
