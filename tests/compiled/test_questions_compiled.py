"""Answers to questions from packages: those of PyTorch, by the whole network and by a part, and clear refusals."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from makers.questions import PART, add_part, make_questions, train_small
from typer.testing import CliRunner

from compile.options import CompileOptions
from compile.questions.pipeline import TOKENIZER, AnswererOutcome, compile_answerer
from compile.support.errors import PlanError
from pqrnn.cli.running import app
from pqrnn.model.length_config import LengthConfig
from pqrnn.questions.checkpoint import load_span_model
from pqrnn.questions.evaluate import encode_questions, predict_answers, predict_logits
from runtime_py import Answerer, Parser
from runtime_py.errors import (
    BudgetMissingError,
    DigestError,
    InputError,
    InputTooLongError,
    PackageError,
    ParserClosedError,
    SchemaError,
)
from runtime_py.questions.manifest import read_answerer_manifest

QUESTIONS = [*make_questions(40, seed=5), *make_questions(15, seed=6, longest=60)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that has learned a little, with a part."""
    folder = tmp_path_factory.mktemp("questions")
    return add_part(train_small(folder, layers=1, epochs=2, adaptive__enabled=True, adaptive__length_drop=0.6))


@pytest.fixture(scope="module")
def outcome(run: Path, tmp_path_factory: pytest.TempPathFactory) -> AnswererOutcome:
    out = tmp_path_factory.mktemp("packages") / "small.pqrnn"
    return compile_answerer(run, out, ["host", "linux-x86_64-v2"], windows=[16])


@pytest.fixture
def copy(outcome: AnswererOutcome, tmp_path: Path) -> Path:
    return Path(shutil.copytree(outcome.package, tmp_path / "copy.pqrnn"))


@pytest.fixture
def answerer(outcome: AnswererOutcome) -> Iterator[Answerer]:
    with Answerer.load(outcome.package) as loaded:
        yield loaded


def test_the_package_is_proved_and_lists_its_tokenizer(outcome: AnswererOutcome) -> None:
    manifest = read_answerer_manifest(outcome.package)
    assert manifest == outcome.manifest and not outcome.failures
    assert manifest.windows == [16, 24] and [part.name for part in manifest.parts] == ["part700", "whole"]
    assert [each.code.target for each in manifest.variants] == ["host", "linux-x86_64-v2"]
    for proof in [each.proof for each in manifest.variants]:
        assert proof is not None and proof.passed and proof.flips == 0
        assert proof.questions + proof.undecided == 2 * 28 and proof.questions > 30
    assert manifest.files[TOKENIZER].bytes == (outcome.package / TOKENIZER).stat().st_size


@pytest.mark.parametrize(("budget", "lengths"), [(None, None), (0.8, PART), ("whole", None)])
def test_no_answer_differs_from_pytorch(
    run: Path, answerer: Answerer, budget: float | str | None, lengths: LengthConfig | None
) -> None:
    model, _ = load_span_model(run)
    encoded = encode_questions(model, QUESTIONS)
    assert max(len(pair.windows) for pair in encoded.pairs) > 3
    wanted = predict_answers(model, encoded, lengths)
    found = [answerer(question.text, question.context, budget=budget) for question in QUESTIONS]
    assert [(each.text, each.start, each.end) for each in found] == [
        (each.text, each.start, each.end) for each in wanted
    ]
    assert len({(each.start, each.end) for each in found}) > 10
    np.testing.assert_allclose([each.score for each in found], [each.score for each in wanted], rtol=1e-3)
    for pair, sides in zip(encoded.pairs[-3:], predict_logits(model, encoded.pairs[-3:], lengths), strict=True):
        for mine, its in zip(answerer.logits(pair, budget=budget), sides, strict=True):
            np.testing.assert_allclose(np.concatenate(mine), np.concatenate(its), atol=1e-4)


def test_what_cannot_be_answered_is_refused(answerer: Answerer, outcome: AnswererOutcome) -> None:
    with pytest.raises(InputError, match="context is empty"):
        answerer("x", " \n ")
    with pytest.raises(InputError, match="question is empty"):
        answerer(" ", "a b")
    with pytest.raises(InputTooLongError, match="has 7 subwords, and a question has up to 6"):
        answerer("a b c d e f g", "a b")
    with pytest.raises(BudgetMissingError, match="no part costs at most 10%"):
        answerer("x", "a b", budget=0.1)
    with pytest.raises(BudgetMissingError, match="no budget 'small'"):
        Answerer.load(outcome.package, budget="small")
    with pytest.raises(PackageError, match="no variant 'mars'; it has: host"):
        Answerer.load(outcome.package, variant="mars")
    with Answerer.load(outcome.package, budget=0.8) as other:
        assert other("x", "a b").text
    with pytest.raises(ParserClosedError):
        other("x", "a b")


def test_damage_is_found_before_anything_is_used(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tokenizers", None)
        with pytest.raises(PackageError, match=r"pip install tokenizers, or 'pqrnn\[subwords\]'"):
            Answerer.load(copy)
    manifest = (copy / "answerer.json").read_bytes()
    for change, said in (
        ((b'"schema": 1', b'"schema": 7'), "schema 7"),
        ((b'"stride": 8', b'"stride": 30'), "less than the stride of 30"),
        ((b'"windows": [', b'"windows": [25,'), "growing numbers"),
        ((TOKENIZER.encode(), b"../tokenizer.json"), "unsafe file name"),
        ((b'"name": "copy"', b""), "answerer.json"),
    ):
        (copy / "answerer.json").write_bytes(manifest.replace(*change) if change[0] in manifest else manifest[:-9])
        with pytest.raises(SchemaError, match=said):
            Answerer.load(copy)
    (copy / "answerer.json").write_bytes(manifest)
    content = (copy / TOKENIZER).read_bytes()
    (copy / TOKENIZER).write_bytes(content[:-1] + b" ")
    with pytest.raises(DigestError, match=r"tokenizer\.json"):
        Answerer.load(copy)


def test_the_command_answers_from_a_file_and_from_standard_input(outcome: AnswererOutcome, tmp_path: Path) -> None:
    runner, package = CliRunner(), str(outcome.package)
    question = QUESTIONS[0]
    (tmp_path / "context.txt").write_text(f"\ufeff{question.context}\n", encoding="utf-8")
    with Answerer.load(package) as loaded:
        wanted = loaded(question.text, f"{question.context}\n")
    shown = runner.invoke(app, ["ask", package, "--context", str(tmp_path / "context.txt"), question.text, "--json"])
    assert shown.exit_code == 0, shown.output
    row = msgspec.json.decode(shown.stdout)
    assert (row["question"], row["answer"], row["start"], row["end"]) == (
        question.text,
        wanted.text,
        wanted.start,
        wanted.end,
    )
    assert 0.0 < row["score"] <= 1.0
    shown = runner.invoke(app, ["ask", package, "-c", "-", question.text, "x"], input=question.context.encode())
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert len(lines) == 2 and f"[{wanted.start}:{wanted.end}]" in lines[0] and wanted.text in lines[0]


def test_the_command_says_what_is_wrong(outcome: AnswererOutcome, run: Path, tmp_path: Path) -> None:
    runner, package = CliRunner(), str(outcome.package)
    (tmp_path / "latin.txt").write_bytes("Ärger".encode("latin-1"))
    (tmp_path / "empty.txt").write_bytes(b"\n")
    for options, said in (
        (["--context", str(tmp_path / "none.txt")], "cannot be read"),
        (["--context", str(tmp_path)], "is a directory"),
        (["--context", str(tmp_path / "latin.txt")], "no UTF-8 at byte 0"),
        (["--context", str(tmp_path / "empty.txt")], "context is empty"),
    ):
        refused = runner.invoke(app, ["ask", package, "x", *options])
        assert refused.exit_code != 0 and said in str(refused.exception)
    (tmp_path / "some.txt").write_text("a b")
    for place, said in (
        (str(run), "is no package that answers questions"),
        (str(tmp_path / "no.pqrnn"), "does not exist"),
    ):
        refused = runner.invoke(app, ["ask", place, "x", "--context", str(tmp_path / "some.txt")])
        assert said in str(refused.exception)
    with pytest.raises(PackageError, match=r"is no parser\. Use it with `pqrnn ask`"):
        Parser.load(outcome.package)
    (tmp_path / "parser.pqrnn").mkdir()
    (tmp_path / "parser.pqrnn" / "manifest.json").write_text("{}")
    with pytest.raises(PackageError, match="is a parser, which answers no questions"):
        Answerer.load(tmp_path / "parser.pqrnn")


def test_what_cannot_be_compiled_is_refused_before_anything_is(
    run: Path, outcome: AnswererOutcome, tmp_path: Path
) -> None:
    with pytest.raises(PlanError, match="for processors, not for vulkan-llvmpipe"):
        compile_answerer(run, tmp_path / "a.pqrnn", ["vulkan-llvmpipe"])
    with pytest.raises(PlanError, match="--native"):
        compile_answerer(run, tmp_path / "a.pqrnn", ["host"], CompileOptions(native=True))
    with pytest.raises(PlanError, match=r"windows of \[30\] subwords: expected 4 to 24"):
        compile_answerer(run, tmp_path / "a.pqrnn", ["host"], windows=[30])
    with pytest.raises(PlanError, match="exists already"):
        compile_answerer(run, outcome.package, ["host"])
    assert not list(tmp_path.iterdir())


def _exchange(package: Path, name: str, content: bytes) -> None:
    """Exchange a file, and state its new digest, as whoever may write the package can."""
    (package / name).write_bytes(content)
    manifest = msgspec.json.decode((package / "answerer.json").read_bytes())
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (package / "answerer.json").write_bytes(msgspec.json.encode(manifest))


def _check(package: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Check a package with the runtime's own command."""
    command = [sys.executable, "-m", "runtime_py", "check", str(package), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_check_asks_the_questions_that_are_in_the_package(outcome: AnswererOutcome, copy: Path) -> None:
    options = ("check", str(outcome.package), "--repeats", "2", "--json")
    good = msgspec.json.decode(CliRunner().invoke(app, options).stdout)
    assert (good["passed"], good["different"], good["repeats"]) == (True, 0, 2)
    assert good["questions"] > 3
    golden = copy / "golden" / "questions.json"
    questions = msgspec.json.decode(golden.read_bytes())
    questions[0]["end"] += 1  # what PyTorch never said
    _exchange(copy, "golden/questions.json", msgspec.json.encode(questions))
    bad = _check(copy)
    assert bad.returncode == 1
    assert "FAILED" in bad.stdout and questions[0]["question"][:10] in bad.stdout
    refused = _check(copy, "--certify")
    assert refused.returncode == 2 and "only --variant and --repeats apply" in refused.stderr
    golden.write_text("[]")
    assert _check(copy).returncode == 2  # its digest says something else
    _exchange(copy, "golden/questions.json", b"[]")
    assert "holds no question" in _check(copy).stderr
