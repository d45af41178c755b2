"""A check of code for a GPU: it cannot hang its caller, and what errs now and then is found."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from makers.references import DIGEST, LABELS, PLAY, TIMES, make_answers, make_fake_reference
from makers.runtime_fakes import fake_golden, fake_manifest, fake_parity, fake_variant, write_fake

from runtime_py.device.gpu_selftest import Elsewhere, run_replay
from runtime_py.device.selection import Selection
from runtime_py.device.vulkan import VulkanDevice
from runtime_py.errors import PackageError
from runtime_py.execute.logits import Logits
from runtime_py.package_format.certificates import with_certificates
from runtime_py.package_format.golden import join_golden
from runtime_py.package_format.manifest import VulkanNeeds
from runtime_py.package_format.package import open_package
from runtime_py.parity.reference_file import save_reference
from runtime_py.tools.answers import AnswerSheet, save_answers
from runtime_py.tools.check import SOAK, check_parser
from runtime_py.tools.full_check import FullCheck, check_fully
from runtime_py.tools.replay import Replay

GPU = VulkanDevice(1, "aa-bb", "Mali", "r38", True, False, 16, (16, 16), frozenset())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    variant = fake_variant("gpu", device="vulkan", vulkan=VulkanNeeds())
    manifest = fake_manifest(variant)
    model = msgspec.structs.replace(manifest.model, checkpoint=DIGEST)
    write_fake(tmp_path / "a.pqrnn", msgspec.structs.replace(manifest, model=model, labels=LABELS))
    chosen = Selection(variant, {}, "gpu: a test", gpu=GPU)
    monkeypatch.setattr("runtime_py.tools.full_check.select_variant", lambda *_: chosen)
    monkeypatch.setattr("runtime_py.tools.full_check.check_runtime", lambda *_: None)
    return tmp_path / "a.pqrnn"


def check(path: Path, monkeypatch: pytest.MonkeyPatch, script: str, seconds: float = 60.0, **named: Any) -> FullCheck:
    """Check with a process that does something else."""
    monkeypatch.setattr(
        "runtime_py.device.gpu_selftest.replay_command", lambda *given: [sys.executable, "-c", script, *given]
    )
    return check_fully(path, seconds=seconds, **named)


def answer(passed: bool) -> str:
    parity = msgspec.structs.replace(fake_parity(passed), checked="2026-01-01T00:00:00Z", texts=2)
    replay = Replay("gpu", parity, [], "vulkan: Mali", "aarch64", [], 0.1, 0.2)
    return f"print({msgspec.json.encode(replay).decode()!r})"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (answer(False), "3 intent flips"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was killed by signal 11"),
        ("import sys; sys.stderr.write('DeviceError: lost\\n'); sys.exit(3)", "failed (DeviceError: lost)"),
        ("print('no json')", "gave no answer that can be read"),
    ],
)
def test_what_becomes_of_the_process_is_a_failed_check(
    path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    checked = check(path, monkeypatch, script)
    assert (checked.exit_code, checked.golden.target) == (1, "gpu")
    assert said in checked.failures[0]
    assert check(path, monkeypatch, answer(True)).exit_code == 0


@pytest.mark.parametrize(
    "script",
    [
        "import time; time.sleep(600)",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        # What it started holds its standard output, and goes with it.
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "time.sleep(600)",
    ],
)
def test_a_process_that_hangs_is_ended_and_the_check_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    begin = time.monotonic()
    checked = check(path, monkeypatch, script, seconds=1.0)
    assert time.monotonic() - begin < 120  # not the ten minutes that it would take
    assert checked.failures == ["the process that ran it did not end within 1 s"]


def test_a_process_that_cannot_be_ended_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "runtime_py.device.gpu_selftest.replay_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(3)"]
    )
    monkeypatch.setattr("runtime_py.device.gpu_selftest.os.killpg", lambda *_: None)
    monkeypatch.setattr("runtime_py.device.gpu_selftest._PATIENCE", 0.1)
    _, problem = run_replay(0.1)
    assert "cannot be ended: process" in problem


@pytest.mark.parametrize("wrong", [False, True])
def test_a_reference_is_answered_by_the_process_too(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    frames = [TIMES, PLAY] * 4
    save_reference(tmp_path / "home.reference", make_fake_reference(frames, frames))
    answers = make_answers([PLAY, *frames[1:]] if wrong else frames)
    outputs = list(answers.values())
    whole = join_golden(
        list(answers),
        [found.intent for found in outputs],
        [found.tags for found in outputs],
        [found.spans for found in outputs],
    )
    save_answers(tmp_path / "made.npz", AnswerSheet(tuple(answers), whole, np.zeros(8, np.bool_), ()))
    copy = (
        f"import shutil, sys; shutil.copyfile({str(tmp_path / 'made.npz')!r}, sys.argv[sys.argv.index('--out') + 1]); "
    )
    checked = check(path, monkeypatch, copy + answer(True), reference=tmp_path / "home.reference")
    assert checked.parity is not None
    assert checked.parity.decisions.flips == int(wrong)
    assert checked.exit_code == (3 if wrong else 0)


def test_another_machine_answers_by_its_own_python_and_is_named_in_the_certificate(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    script = (
        f"import os, sys; open({str(seen)!r}, 'w').write(os.environ['ROOT'] + ' '.join(sys.argv[1:])); {answer(True)}"
    )
    machine = Elsewhere("qemu-aarch64 10.0, cortex-a72", (sys.executable, "-c", script), {"ROOT": "board "})
    monkeypatch.setattr("runtime_py.tools.full_check.select_variant", None)  # what this machine can run does not matter
    checked = check_fully(path, "gpu", certified=True, machine=machine)
    assert checked.exit_code == 0
    assert checked.certificate is not None
    assert (checked.certificate.emulator, checked.certificate.architecture) == (machine.name, "aarch64")
    assert checked.golden.parity.emulator == machine.name
    assert seen.read_text().startswith(f"board -m runtime_py.tools.replay {path} --target gpu")
    (kept,) = with_certificates(open_package(path)).manifest.variants[0].certificates
    assert kept == checked.certificate
    with pytest.raises(PackageError, match="no variant"):
        check_fully(path, "other", machine=machine)


class _Parser:
    """Answers as the golden vectors say, but for one replay of one text."""

    batch, budget = 1, None

    def __init__(self, path: Path, gpu: VulkanDevice | None, turn: int, change: float) -> None:
        self.package = open_package(path)
        self.manifest, self.variant = self.package.manifest, self.package.manifest.variants[0]
        self.selection = SimpleNamespace(gpu=gpu, reason="a test")
        self.device = "vulkan"
        self.turn, self.change = turn, change
        self.calls: dict[bytes, int] = {}

    def logits(self, text: bytes) -> Logits:
        golden = fake_golden()
        index = golden.texts.index(text)
        rows = golden.words(index)
        self.calls[text] = self.calls.get(text, 0) + 1
        intent = golden.intent[index].copy()
        if index == 0 and self.calls[text] == self.turn:
            intent *= np.float32(self.change)
        return Logits(intent, golden.tags[rows], golden.spans[rows], False, 8)


@pytest.mark.parametrize("turn", [2, 50, SOAK])
@pytest.mark.parametrize("change", [1.0000001, 0.0, float("nan")])
def test_one_wrong_replay_in_a_hundred_is_found_on_a_gpu(path: Path, turn: int, change: float) -> None:
    parser: Any = _Parser(path, GPU, turn, change)
    parity = check_parser(parser).parity
    assert set(parser.calls.values()) == {SOAK}
    assert not parity.passed
    assert parity.not_deterministic == 1
    assert check_parser(_Parser(path, GPU, 0, 1.0)).passed  # type: ignore[arg-type]


def test_a_gpu_in_software_is_asked_as_often_as_was_said(path: Path) -> None:
    parser: Any = _Parser(path, dataclasses.replace(GPU, software=True), 0, 1.0)
    assert check_parser(parser, 2).passed
    assert set(parser.calls.values()) == {2}


@pytest.mark.parametrize(("change", "fault"), [(0.0, "all_zero"), (float("nan"), "not_finite")])
def test_zeros_and_what_is_no_number_are_faults_of_their_own(path: Path, change: float, fault: str) -> None:
    parity = check_parser(_Parser(path, GPU, 1, change)).parity  # type: ignore[arg-type]
    assert getattr(parity, fault) == 1


def test_a_processor_is_asked_as_often_as_was_said(path: Path) -> None:
    parser: Any = _Parser(path, None, 0, 1.0)
    assert check_parser(parser, 4).passed
    assert set(parser.calls.values()) == {4}
