"""Verification runs in a process of its own.

A right module passes; a wrong one, a crash, a hang and strange words are failures that say what happened.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from makers.packages import compile_small
from makers.small import BUCKETS, TEXTS, answer_golden, cpu_variant, make_model, write_package

from compile.emulation.runner import Runner, native_runner
from compile.support.errors import VerificationError
from compile.verify.golden import GoldenSet
from compile.verify.replay import judge_entries, verify_variant
from runtime_py.package_format.golden import load_golden
from runtime_py.parser import Parser
from runtime_py.tools.answers import EntryAnswers, load_answers, save_texts
from runtime_py.tools.replay import CANNOT_RUN, Replay, collect, main

HERE = native_runner(cpu_variant())


@pytest.fixture(scope="module")
def golden() -> GoldenSet:
    return answer_golden(make_model(1).folded())


@pytest.fixture(scope="module")
def code() -> bytes:
    outcome = compile_small("float32")
    return (outcome.package / outcome.manifest.variants[0].path).read_bytes()


@pytest.fixture(scope="module")
def package(code: bytes, golden: GoldenSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packages") / "small.pqrnn"
    write_package(path, golden, [(cpu_variant(), code)])
    return path


@pytest.fixture(scope="module")
def entries(package: Path, golden: GoldenSet) -> tuple[EntryAnswers, ...]:
    with Parser.load(package) as parser:
        return collect(parser, golden.vectors.texts, whole=False).entries


def test_a_right_module_passes_and_its_errors_are_kept(package: Path, golden: GoldenSet) -> None:
    parity = verify_variant(package, "host", BUCKETS, golden, HERE)
    assert (parity.passed, parity.texts, parity.repeats, parity.emulator) == (True, len(golden.vectors), 3, "")
    assert parity.reference["samples"] > 1000
    assert 0 < parity.reference["largest"] <= golden.tolerance
    assert parity.reference["spread"] <= 1.2 * max(
        parity.reference["framework_spread"], parity.reference["ordered_spread"]
    )


def test_what_an_emulator_says_is_kept_under_its_name(package: Path, golden: GoldenSet) -> None:
    emulator = Runner("some emulator 1.0", True, HERE.python, HERE.environment)
    assert verify_variant(package, "host", BUCKETS, golden, emulator, repeats=1).emulator == "some emulator 1.0"


def test_the_same_answers_are_judged_right_without_a_process(
    entries: tuple[EntryAnswers, ...], golden: GoldenSet
) -> None:
    assert judge_entries(entries, BUCKETS, golden).failures() == []


@pytest.mark.parametrize("part", ["tags.weight", "layers.1.product.weight", "projection"])
def test_a_module_of_another_model_is_caught(part: str, entries: tuple[EntryAnswers, ...]) -> None:
    """One weight off by a thousandth, or another hash seed: PyTorch's answers are then no longer the module's."""
    model = make_model(1).folded()
    with torch.no_grad():
        if part == "projection":
            model.projection.word_seeds[0] += 1
        else:
            model.get_parameter(part)[0, 0] += 1e-3
    with pytest.raises(VerificationError, match="does not answer as PyTorch does") as caught:
        judge_entries(entries, BUCKETS, answer_golden(model))
    assert "parse_" in caught.value.diagnostics


def changed(entries: tuple[EntryAnswers, ...], **arrays: np.ndarray) -> tuple[EntryAnswers, ...]:
    fields = {name: getattr(entries[-1], name) for name in ("entry", "index", "count", "intent", "tags", "spans")}
    return (*entries[:-1], EntryAnswers(**(fields | arrays)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("intent", np.nan, "gives NaN"),
        ("intent", np.inf, "gives NaN"),
        ("count", 7, "counts 7 words"),
        ("spans", 1000, "finds words at other places"),
        ("tags", 9.0, "a logit is"),
    ],
)
def test_each_fault_of_an_entry_is_named_with_its_text(
    entries: tuple[EntryAnswers, ...], golden: GoldenSet, field: str, value: float, fault: str
) -> None:
    array = getattr(entries[-1], field).copy()
    array.reshape(len(array), -1)[2 if field == "count" else -1, -1] = value
    with pytest.raises(VerificationError) as caught:
        judge_entries(changed(entries, **{field: array}), BUCKETS, golden)
    assert f"parse_16: {fault}" in caught.value.diagnostics
    assert "b'" in caught.value.diagnostics


def test_zeros_and_missing_answers_are_named(entries: tuple[EntryAnswers, ...], golden: GoldenSet) -> None:
    zeros = changed(entries, intent=np.zeros_like(entries[-1].intent), tags=np.zeros_like(entries[-1].tags))
    with pytest.raises(VerificationError) as caught:
        judge_entries(zeros, BUCKETS, golden)
    assert "parse_16: gives nothing but zeros" in caught.value.diagnostics
    missing = changed(entries, index=entries[-1].index + 1)
    with pytest.raises(VerificationError) as caught:
        judge_entries(missing, BUCKETS, golden)
    assert "gives no answer in b''" in caught.value.diagnostics or "counts" in caught.value.diagnostics
    with pytest.raises(VerificationError, match="other entries"):
        judge_entries(entries[:1], BUCKETS, golden)


def test_golden_vectors_that_do_not_hold_fail_with_the_text(code: bytes, golden: GoldenSet, tmp_path: Path) -> None:
    vectors = golden.vectors
    wrong = type(vectors)(vectors.texts, -vectors.intent, vectors.tags, vectors.spans, vectors.word_offsets)
    other = replace(golden, vectors=wrong)
    write_package(tmp_path / "a.pqrnn", other, [(cpu_variant(), code)])
    with pytest.raises(
        VerificationError, match="host: the package does not answer as PyTorch does on this machine"
    ) as caught:
        verify_variant(tmp_path / "a.pqrnn", "host", BUCKETS, other, HERE)
    assert "intent flips" in caught.value.diagnostics


def pretend(script: str) -> Runner:
    """A machine whose Python does something else."""
    return Runner("a board", True, (sys.executable, "-c", script), dict(os.environ))


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (signal.SIGILL, r"crashed \(SIGILL\): an illegal instruction: the code uses a feature that this CPU lacks"),
        (signal.SIGSEGV, r"crashed \(SIGSEGV\): it touched memory"),
        (signal.SIGUSR1, r"crashed \(SIGUSR1\)$"),
    ],
)
def test_a_crash_says_which_and_what_it_means(
    package: Path, golden: GoldenSet, number: signal.Signals, meaning: str
) -> None:
    script = f"import os, sys; print('last words', file=sys.stderr, flush=True); os.kill(os.getpid(), {int(number)})"
    with pytest.raises(VerificationError) as caught:
        verify_variant(package, "host", BUCKETS, golden, pretend(script))
    assert caught.match(meaning) if not meaning.endswith("$") else caught.value.message.endswith("crashed (SIGUSR1)")
    assert "host: the process on a board" in caught.value.message
    assert "last words" in caught.value.diagnostics


def test_a_hang_is_ended(package: Path, golden: GoldenSet) -> None:
    with pytest.raises(VerificationError, match="the process on a board was stopped after 1 s"):
        verify_variant(package, "host", BUCKETS, golden, pretend("import time; time.sleep(600)"), timeout=1.0)


@pytest.mark.parametrize(
    ("script", "match"), [("print('{}')", "said something else"), ("import sys; sys.exit(5)", "ended with status 5")]
)
def test_strange_words_and_endings_are_failures(package: Path, golden: GoldenSet, script: str, match: str) -> None:
    with pytest.raises(VerificationError, match=match):
        verify_variant(package, "host", BUCKETS, golden, pretend(script))


def test_a_package_that_cannot_be_run_says_why(code: bytes, golden: GoldenSet, tmp_path: Path) -> None:
    foreign = msgspec.structs.replace(cpu_variant(), features=["avx9000"])
    write_package(tmp_path / "a.pqrnn", golden, [(foreign, code)])
    with pytest.raises(VerificationError, match="cannot be run on this machine") as caught:
        verify_variant(tmp_path / "a.pqrnn", "host", BUCKETS, golden, HERE)
    assert "lacks avx9000" in caught.value.diagnostics


def test_a_module_that_is_none_is_a_failure_and_not_a_crash(golden: GoldenSet, tmp_path: Path) -> None:
    write_package(tmp_path / "a.pqrnn", golden, [(cpu_variant(), bytes(4096))])
    with pytest.raises(VerificationError, match="cannot be run") as caught:
        verify_variant(tmp_path / "a.pqrnn", "host", BUCKETS, golden, HERE)
    assert "refuses the module" in caught.value.diagnostics


class TestReplay:
    """The program that the processes run."""

    def test_answers_are_those_of_the_parser(
        self, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        texts = [*(text.encode() for text in TEXTS), b"", b"\xff\xfe", "👍🏽 ok".encode(), b"x" * 200, b"a " * 40]
        save_texts(tmp_path / "in.npz", texts)
        arguments = [
            str(package),
            "--target",
            "host",
            "--texts",
            str(tmp_path / "in.npz"),
            "--out",
            str(tmp_path / "out.npz"),
            "--repeats",
            "1",
        ]
        assert main([*arguments, "--entries"]) == 0
        replay = msgspec.json.decode(capsys.readouterr().out, type=Replay)
        assert (replay.target, replay.device, replay.parity.passed, replay.parity.repeats) == (
            "host",
            "local-sync",
            True,
            1,
        )
        assert replay.architecture
        assert replay.features
        answers = load_answers(tmp_path / "out.npz")
        assert answers.texts == load_golden(tmp_path / "out.npz").texts == tuple(texts)
        assert answers.whole is not None
        with Parser.load(package, on_long="truncate") as parser:
            for index, text in enumerate(texts):
                expected = parser.logits(text)
                rows = answers.whole.words(index)
                np.testing.assert_array_equal(answers.whole.intent[index], expected.intent)
                np.testing.assert_array_equal(answers.whole.tags[rows], expected.tags)
                np.testing.assert_array_equal(answers.whole.spans[rows], expected.spans)
                assert answers.truncated[index] == expected.truncated
        assert answers.truncated.tolist() == [False] * 8 + [True, True]
        small, large = answers.entries
        assert (small.entry, large.entry) == ("parse_4", "parse_16")
        assert [len(texts[index]) <= 32 for index in small.index] == [True] * len(small.index)
        assert len(large.tags) == sum(count for count in large.count if count <= 16)
        assert max(small.count) > 4  # counted, but without rows
        assert len(small.tags) == sum(count for count in small.count if count <= 4)

    def test_what_cannot_run_ends_with_its_own_code(self, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([str(package), "--target", "other"]) == CANNOT_RUN
        assert "no variant 'other'; it has: host" in capsys.readouterr().err

    def test_without_preflight_code_is_loaded_all_the_same(
        self, code: bytes, golden: GoldenSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_package(
            tmp_path / "a.pqrnn", golden, [(msgspec.structs.replace(cpu_variant(), features=["avx9000"]), code)]
        )
        arguments = [str(tmp_path / "a.pqrnn"), "--target", "host", "--repeats", "1"]
        assert main(arguments) == CANNOT_RUN
        assert main([*arguments, "--no-preflight"]) == 0
        assert msgspec.json.decode(capsys.readouterr().out, type=Replay).parity.passed

    def test_answers_need_a_place(self, package: Path) -> None:
        with pytest.raises(SystemExit):
            main([str(package), "--target", "host", "--entries"])
