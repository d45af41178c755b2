"""A reference made in PyTorch, and a package checked against it, certified, and found out when it is changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from makers.forks import run_pqrnn
from makers.runs import write_run
from makers.small import LABELS, TEXTS, WORDS

from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from compile.verify.make_reference import make_reference
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.evaluation.prediction import compute_logits, decide
from runtime_py.cli import main
from runtime_py.errors import CertificateError
from runtime_py.package_format.certificates import add_certificate, find_misfits, with_certificates
from runtime_py.package_format.package import open_package, seal
from runtime_py.parity.metrics import frame_of_parse
from runtime_py.parity.reference_file import Reference, load_reference, save_reference
from runtime_py.tools.check import check_package
from runtime_py.tools.full_check import check_fully
from runtime_py.tools.inspect import inspect_package

pytestmark = [pytest.mark.compiled, pytest.mark.slow]


def _examples(count: int = 60) -> list[Example]:
    """Utterances with gold labels at random, of two languages."""
    rng = np.random.default_rng(0)
    texts = dict.fromkeys(" ".join(rng.choice(WORDS, rng.integers(1, 8))) for _ in range(count))
    made = []
    for text in texts:
        end = text.find(" ") if " " in text else len(text)
        slots = (SlotSpan("what", 0, end),) if rng.random() < 0.5 else ()
        made.append(Example(text, str(rng.choice(LABELS.intents)), slots, "en" if len(text) % 2 else "hi"))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a student, two teachers, a package and a reference, for reading alone."""
    folder = tmp_path_factory.mktemp("parity")
    for name, seed in (("student", 1), ("teacher", 2), ("other", 3)):
        write_run(folder / name, seed=seed)
    options = CompileOptions(buckets=make_buckets([(40, 128)]))  # as in `test_mutations`: compiled once for both
    compile_checkpoint(folder / "student", folder / "small.pqrnn", ["host"], options)
    save_reference(folder / "home.reference", _make(folder, "teacher"))
    return folder


def _make(folder: Path, *teachers: str) -> Reference:
    return make_reference(
        folder / "student",
        [folder / name for name in teachers],
        _examples(),
        data="home:en",
        split="test",
        licence="CC0",
        exact=24,
    )


@pytest.fixture
def package(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder / "small.pqrnn", tmp_path / "small.pqrnn"))


def test_a_reference_holds_what_pytorch_answers(folder: Path) -> None:
    reference = load_reference(folder / "home.reference")
    examples = _examples()
    assert [text.decode() for text in reference.texts] == [example.text for example in examples]
    assert reference.meta.fingerprint == fingerprint_examples(examples)
    assert (reference.meta.licence, reference.meta.locales) == ("CC0", ("hi", "en"))
    for who, frames in (("student", reference.student), ("teacher", reference.teacher)):
        checkpoint = load_checkpoint(folder / who)
        texts = [example.text for example in examples]
        parses = decide(checkpoint.facts.labels.decoder(), texts, compute_logits(checkpoint.model, texts))
        assert frames == tuple(frame_of_parse(parse) for parse in parses)
    assert [teacher.name for teacher in reference.meta.teachers] == ["teacher"]
    assert reference.exact.settled.all()
    assert reference.meta.framework is not None and 0 < reference.meta.framework.spread < 1e-5


def test_several_teachers_answer_by_the_mean_of_their_probabilities(folder: Path) -> None:
    one, both, three = (_make(folder, *names) for names in (["teacher"], ["teacher", "other"], ["other", "other"]))
    other = _make(folder, "other")
    assert one.teacher != both.teacher != other.teacher
    assert three.teacher == other.teacher
    assert [teacher.name for teacher in both.meta.teachers] == ["teacher", "other"]
    assert _make(folder).teacher is None


def test_a_right_package_passes_and_is_certified(folder: Path, package: Path) -> None:
    checked = check_fully(package, reference=folder / "home.reference", certified=True)
    assert checked.failures == []
    assert checked.parity is not None and checked.certificate is not None
    task = checked.parity.task
    assert checked.parity.decisions.flips == 0
    assert task.exact_match == task.student_exact_match
    assert checked.parity.numbers.figures["spread"] > 0
    variant = with_certificates(open_package(package)).manifest.variants[0]
    assert [certificate.made_by for certificate in variant.certificates] == ["build", "check"]
    assert variant.certificates[1] == checked.certificate
    assert checked.certificate.reference == load_reference(folder / "home.reference").digest
    assert checked.certificate.figures["exact_match"] == task.exact_match.value
    again = check_fully(package, reference=folder / "home.reference", certified=True)
    assert again.exit_code == 0
    assert (
        len(with_certificates(open_package(package)).manifest.variants[0].certificates) == 2
    )  # the same place and data: replaced
    facts = inspect_package(package).variants[0]
    assert [shown.data for shown in facts.certificates] == ["", checked.certificate.data]
    assert check_package(package).passed


def test_a_certificate_of_something_else_is_refused_and_fails_the_check(folder: Path, package: Path) -> None:
    manifest = open_package(package).manifest
    certificate = manifest.variants[0].certificates[0]
    for change in ("artifact", "labels", "golden"):
        with pytest.raises(CertificateError, match="made for other"):
            add_certificate(package, "host", msgspec.structs.replace(certificate, **{change: "0" * 64}))
    forged = msgspec.structs.replace(certificate, artifact="0" * 64)
    variant = msgspec.structs.replace(manifest.variants[0], certificates=[forged])
    seal(package, msgspec.structs.replace(manifest, variants=[variant]))
    assert len(find_misfits(manifest, variant)) == 1
    result = check_package(package)
    assert not result.passed
    assert "was made for other module" in result.parity.failures[0]
    facts = inspect_package(package).variants[0]
    assert facts.certificates == [] and len(facts.misfits) == 1 and not facts.verified


def test_what_failed_is_not_certified(folder: Path, package: Path, tmp_path: Path) -> None:
    (tmp_path / "goals.toml").write_text("[parity]\nmin_retention = 9.0\n")
    command = ["check", str(package), "--reference", str(folder / "home.reference"), "--certify"]
    assert main([*command, "--recipe", str(tmp_path / "goals.toml")]) == 5
    assert len(with_certificates(open_package(package)).manifest.variants[0].certificates) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 0), (["--min-retention", "9"], 5), (["--max-drop", "0.9"], 0), (["--max-flips", "-1"], 2)],
)
def test_both_command_lines_agree(
    folder: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "check",
        str(folder / "small.pqrnn"),
        "--reference",
        str(folder / "home.reference"),
        *arguments,
        "--json",
    ]
    assert main(command) == code
    board = capsys.readouterr()
    done = run_pqrnn(*command)
    assert done.returncode == code, done.stderr
    if code == 2:
        assert "Traceback" not in board.err + done.stderr
        return
    documents: list[Any] = [json.loads(board.out), json.loads(done.stdout)]
    for document in documents:
        assert document["exit_code"] == code
        assert document["passed"] is (code == 0)
        document["golden"]["parity"].pop("checked")
    assert documents[0] == documents[1]


def test_a_reference_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"text": text, "intent": "alarm", "locale": "en"}) for text in TEXTS]
    (tmp_path / "home.jsonl").write_text("\n".join(lines))
    command = ["reference", folder / "student", "--teacher", folder / "teacher", "--data", tmp_path / "home.jsonl"]
    command += ["--split", "all", "--out", tmp_path / "home.reference", "--exact", "4", "--json"]
    done = run_pqrnn(*command)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["utterances"] == len(TEXTS)
    assert document["sha256"] == load_reference(tmp_path / "home.reference").digest
    assert set(document["scores"]) == {"student", "teacher"}
    again = run_pqrnn(*command)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_other_labels_than_those_of_the_run_are_a_failed_check(folder: Path, package: Path, tmp_path: Path) -> None:
    manifest = open_package(package).manifest
    intents = ("music", "alarm", *LABELS.intents[2:])
    seal(package, msgspec.structs.replace(manifest, labels=msgspec.structs.replace(LABELS, intents=intents)))
    (tmp_path / "home.jsonl").write_text(json.dumps({"text": "wake me", "intent": "alarm"}))
    done = run_pqrnn("check", package, "--run", folder / "student", "--data", tmp_path / "home.jsonl", "--split", "all")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "intents are in another order" in done.stderr
    assert "labels, frames or counts of frames of the manifest are not those" in done.stderr
