"""Every kind of change to a package is caught by the step that has to catch it, or is said to need a signature."""

from __future__ import annotations

import io
import shutil
import struct
import sys
import zipfile
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pytest
from makers.forks import start_fork
from makers.kernels import processor_of
from makers.small import CONFIG, LABELS, TEXTS, WORDS, make_model

from benchmarks import mutations
from benchmarks.mutation_kinds import MUTATIONS, SIGNATURE, Mutation, Subject
from benchmarks.mutations import CHANGES, Verdict, describe, judge, make_subject
from compile.kernels.families import Kernels, choose_kernels
from compile.kernels.modules import with_kernels
from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from pqrnn.checkpoint import Facts, load_checkpoint, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.evaluation.prediction import compute_logits
from runtime_py.decode.labels import Labels
from runtime_py.package_format.package import open_package

pytestmark = [pytest.mark.compiled, pytest.mark.slow]

# Every slot goes with every intent, and some come more often.
_LABELS = Labels(
    LABELS.intents, LABELS.tags, ((0, 1),) * 4, tuple(((9, 0), (4, 1), (2, 0, 1), (20,)) for _ in LABELS.intents)
)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("mutations")
    facts = Facts(
        config=CONFIG,
        labels=_LABELS,
        data={"train": "0" * 64},
        revision="abc",
        training={},
        metrics={"exact_match": 0.5},
        lengths=[(4, 20, 30), (9, 48, 10)],
        golden_texts=TEXTS,
    )
    save_checkpoint(folder / "run", make_model(1), facts)
    rng = np.random.default_rng(0)
    texts = dict.fromkeys(" ".join(rng.choice(WORDS, rng.integers(1, 8))) for _ in range(120))
    examples = [Example(text, "alarm") for text in texts]

    def compile_into(run: Path, out: Path) -> None:
        if run == folder / "run" or _kernels() is None:
            compile_checkpoint(run, out, ["host"], CompileOptions(buckets=make_buckets([(40, 128)])))
        else:
            _exchange_weights(folder / "good.pqrnn", folder / "run", run, out)

    return make_subject(folder, folder / "run", [], examples, compile_into)


def _kernels() -> Kernels | None:
    _, processor = processor_of("host")
    return choose_kernels(processor.triple, processor.features, False)


def _read_weights(run: Path) -> dict[str, bytes]:
    """Return weights of a run as the compiled program holds them."""
    form = with_kernels(load_checkpoint(run).model.folded(), _kernels())
    return {name: value.numpy().tobytes() for name, value in form.named_buffers()}


def _exchange_weights(package: Path, run: Path, other: Path, out: Path) -> None:
    """Write a package with the module that the compiler makes of another run of the same shape, byte for byte.

    The compiler takes ten seconds for each. What it writes differs in the weights alone, which stand there as they are.
    """
    shutil.copytree(package, out)
    path = out / open_package(out).manifest.variants[0].path
    code = path.read_bytes()
    after = _read_weights(other)
    for name, value in _read_weights(run).items():
        if value != after[name]:
            assert code.count(value) == 1, name
            code = code.replace(value, after[name])
    path.write_bytes(_with_checksums(code))


def _with_checksums(archive: bytes) -> bytes:
    """Write the checksums of a ZIP archive's files anew, of which each stands there twice."""
    for file in zipfile.ZipFile(io.BytesIO(archive)).infolist():
        name, extra = struct.unpack_from("<HH", archive, file.header_offset + 26)
        begin = file.header_offset + 30 + name + extra
        before, after = (each.to_bytes(4, "little") for each in (file.CRC, crc32(archive[begin:][: file.file_size])))
        if before != after:
            assert archive.count(before) == 2
            archive = archive.replace(before, after)
    return archive


def _run_forked(command: list[str], **_: Any) -> CompletedProcess[bytes]:
    """Run the check of a package in a process of its own, which need not import all that it uses again."""
    assert command[0] == sys.executable and "runtime_py.cli" in command[2]
    return start_fork(check, *command[3:]).wait()


def check(*arguments: str) -> None:
    """Be the command line of a board."""
    from runtime_py.cli import main

    sys.exit(main(arguments))


@pytest.fixture(autouse=True)
def _forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations.subprocess, "run", _run_forked)


def test_there_are_many_kinds_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTATIONS) >= 40
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len([mutation for mutation in MUTATIONS if SIGNATURE not in mutation.caught_by]) >= 36


def test_the_good_package_passes(subject: Subject, tmp_path: Path) -> None:
    verdict = judge(subject, Mutation("nothing", lambda *_: True, (SIGNATURE,)), tmp_path / "copy")
    assert (verdict.caught_by, verdict.said) == (SIGNATURE, "")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_what_has_to_catch_a_change_catches_it(subject: Subject, mutation: Mutation, tmp_path: Path) -> None:
    verdict = judge(subject, mutation, tmp_path / "copy")
    assert verdict.caught_by in mutation.caught_by, verdict


@pytest.mark.parametrize("name", CHANGES)
def test_changed_weights_are_still_a_parser_and_answer_otherwise(subject: Subject, name: str) -> None:
    folder = subject.package.parent
    texts = [text.encode() for text in TEXTS]
    right, wrong = (
        compute_logits(load_checkpoint(path).model, texts)
        for path in (folder / "run", folder / "runs" / name.replace(" ", "-"))
    )
    assert any(
        abs(a.tags - b.tags).max() > 1e-4 or abs(a.intent - b.intent).max() > 1e-4
        for a, b in zip(right, wrong, strict=True)
    )


def test_rows_count_what_a_check_can_catch_and_name_what_it_cannot() -> None:
    caught, missed, beyond, impossible = (
        Mutation(name, lambda *_: True, by)
        for name, by in (("a", ("package",)), ("b", ("digest",)), ("c", (SIGNATURE,)), ("d", ("package",)))
    )
    verdicts = [
        Verdict(caught, "package", ""),
        Verdict(missed, "numbers", ""),
        Verdict(beyond, SIGNATURE, ""),
        Verdict(impossible, "", ""),
    ]
    rows = [msgspec.to_builtins(row) for row in describe(verdicts, "small")]
    assert [(row["metric"], row["value"], row.get("n"), row.get("note")) for row in rows] == [
        ("caught", 1, 2, "by the step that has to catch them"),
        ("caught by package", 1, None, "a"),
        ("left to a signature", 1, None, "c"),
    ]
