"""A fine-tuned encoder through the same compiler: words by one program, subwords by a library, logits by another."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from makers.finetuned import compile_finetuned
from makers.rooms import make_rooms
from typer.testing import CliRunner

from compile.options import CompileOptions
from compile.pipeline import CompileOutcome, compile_checkpoint
from compile.subwords.program import TOKENIZER, choose_subword_buckets, load_source
from compile.support.errors import PlanError
from compile.verify.parity import compare_decisions
from pqrnn.cli.running import app
from pqrnn.data.loader import load_examples
from runtime_py import Parser
from runtime_py.errors import DigestError, InputTooLongError, PackageError
from runtime_py.package_format.package import open_package


@pytest.fixture(scope="module")
def outcome() -> CompileOutcome:
    return compile_finetuned()


@pytest.fixture(scope="module")
def run(outcome: CompileOutcome) -> Path:
    return outcome.package.parent / "run"


def test_the_package_declares_its_tokenizer_and_is_proved(outcome: CompileOutcome) -> None:
    manifest = open_package(outcome.package, verify=True).manifest
    assert manifest.tokenizer is not None and manifest.tokenizer.path == TOKENIZER
    assert manifest.files[TOKENIZER].bytes == (outcome.package / TOKENIZER).stat().st_size
    parity = manifest.variants[0].parity
    assert parity is not None and parity.passed and parity.texts > 20
    assert (parity.intent_flips, parity.tag_flips, parity.count_mismatches, parity.span_mismatches) == (0, 0, 0, 0)


def test_answers_are_those_of_pytorch(run: Path, outcome: CompileOutcome) -> None:
    texts = [example.text for example in make_rooms()]
    texts += ["", " ", "🙂 unknown ✓ signs", "a" * 30, "ärger the bathroom", "x y z " * 3]
    texts += [example.text for example in load_examples("home:en", split="test") if len(example.text) < 36][:200]
    with Parser.load(outcome.package) as parser:
        found = compare_decisions(load_source(run), parser, texts)
        assert len({parse.intent for parse in found.framework}) > 1
        assert any(parse.slots for parse in found.framework)
        assert (found.intent_flips, found.slot_flips, found.tag_flips, found.word_mismatches) == (0, 0, 0, 0)
        assert found.largest_difference < 1e-4


def test_a_text_of_too_many_subwords_is_refused_or_cut(outcome: CompileOutcome) -> None:
    text = "abcdefghijklmnop " * 6  # a subword for every letter
    with Parser.load(outcome.package) as parser, pytest.raises(InputTooLongError, match=r"has 98 subwords, .* up to"):
        parser(text)
    with Parser.load(outcome.package, on_long="truncate") as parser:
        parse = parser(text)
        assert parse.truncated and parse.words == 6
        assert parser("switch on the lights").truncated is False


def test_several_texts_one_after_the_other_keep_their_answers(outcome: CompileOutcome) -> None:
    texts = [example.text for example in make_rooms()][:8]
    with Parser.load(outcome.package) as parser:
        alone = [parser.logits(text) for text in texts]
        assert [(parse.intent, parse.slots) for parse in parser.parse_batch(texts)] == [
            (parse.intent, parse.slots) for parse in map(parser, texts)
        ]
        for text, before in zip(texts, alone, strict=True):
            after = parser.logits(text)
            assert all(np.array_equal(a, b) for a, b in zip(before[:3], after[:3], strict=True))


def test_without_the_library_and_with_another_file_it_is_said_what_to_do(
    outcome: CompileOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    copy = tmp_path / "copy.pqrnn"
    shutil.copytree(outcome.package, copy)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tokenizers", None)
        with pytest.raises(PackageError, match=r"pip install tokenizers, or 'pqrnn\[subwords\]'"):
            Parser.load(copy)
    content = (copy / TOKENIZER).read_bytes()
    (copy / TOKENIZER).write_bytes(content[:-1] + b" ")
    with pytest.raises(DigestError, match=r"tokenizer\.json"):
        Parser.load(copy)
    (copy / TOKENIZER).unlink()
    with pytest.raises(PackageError, match=r"tokenizer\.json"):
        Parser.load(copy)


def test_buckets_follow_the_subwords_of_the_training_texts(run: Path) -> None:
    source = load_source(run)
    buckets = choose_subword_buckets(source.model, source.facts)
    words = max(count for count, _, _ in source.facts.lengths)
    assert len(buckets) <= 4
    assert all(bucket.words <= source.model.longest == 40 for bucket in buckets)
    assert buckets[-1].words > 2 * words  # nearly every letter is a subword of this encoder


def test_what_cannot_be_compiled_is_refused_before_anything_is(run: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="vulkan-llvmpipe"):
        compile_checkpoint(run, tmp_path / "a.pqrnn", ["vulkan-llvmpipe"])
    with pytest.raises(PlanError, match="--batch"):
        compile_checkpoint(run, tmp_path / "a.pqrnn", ["host"], CompileOptions(batch=4))
    assert not (tmp_path / "a.pqrnn").exists()


def test_the_commands_take_it_like_any_other(run: Path, outcome: CompileOutcome, tmp_path: Path) -> None:
    package, data = str(outcome.package), str(run.parent / "rooms.jsonl")
    runner = CliRunner()
    shown = runner.invoke(app, ["parse", package, "switch on the lights", "--json"])
    assert shown.exit_code == 0 and '"intent"' in shown.stdout
    assert runner.invoke(app, ["inspect", package]).exit_code == 0
    checked = runner.invoke(app, ["check", package, "--data", data, "--run", str(run), "--split", "all", "--json"])
    assert checked.exit_code == 0, checked.output
    assert msgspec.json.decode(checked.stdout)["decisions"]["equal"]
    for option in ("--out", "--header"):
        refused = runner.invoke(app, ["conformance", package, option, str(tmp_path / "file")])
        assert "section 10" in str(refused.exception) and not (tmp_path / "file").exists()
    benched = runner.invoke(app, ["bench", package, "--json"])
    assert benched.exit_code == 0, benched.output
