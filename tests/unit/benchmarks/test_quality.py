"""The benchmark of quality: rows of languages, their average, retention, and what is compared with what."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from makers.runs import write_run
from makers.small import LABELS

from benchmarks import quality, results
from benchmarks.quality import Voice, answer_together, average_works
from benchmarks.results import load_results
from benchmarks.tables import render_quality
from pqrnn.checkpoint import load_checkpoint
from pqrnn.distillation.labelling import Columns
from pqrnn.distillation.loading import load_teacher
from pqrnn.evaluation.prediction import compute_logits, predict_texts
from pqrnn.evaluation.results import ResultRow
from runtime_py.decode.answers import Parse
from runtime_py.decode.decoder import Decoder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    write_run(tmp_path / "run")
    write_run(tmp_path / "teacher", seed=1)
    texts = {
        "en": ["wake me at seven", "play jazz", "stop it now", "rain today"],
        "de": ["wecke mich", "spiel Jazz", "halt an"],
    }
    # Some utterances as the one understands them, some as the other.
    said = {
        name: predict_texts(
            load_checkpoint(tmp_path / name).model, Decoder(LABELS.intents, LABELS.tags), [*texts["en"], *texts["de"]]
        )
        for name in ("run", "teacher")
    }
    locales = [locale for locale, each in texts.items() for _ in each]
    rows = [_row(said[("teacher", "run")[number % 2]][number], locale) for number, locale in enumerate(locales)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "data" / "train.jsonl").write_text(
        "".join(json.dumps({**row, "text": row["text"].upper()}) + "\n" for row in rows[:1] + rows[4:5])
    )
    return tmp_path


def _row(parse: Parse, locale: str) -> dict[str, object]:
    slots = [{"start": slot.start, "end": slot.end, "label": slot.label} for slot in parse.slots]
    return {"text": parse.text, "intent": parse.intent, "slots": slots, "locale": locale}


def _measure(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> dict[tuple[str, str], ResultRow]:
    data = ("--data", str(folder / "data")) if not words[0].startswith("--") else ()
    monkeypatch.setattr("sys.argv", ["x", *words, *data])
    quality.main()
    return {(row.work, row.metric): row for row in load_results("quality").rows}


def test_networks_answer_together_with_the_mean_of_their_probabilities(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["wake me at seven", "wecke mich"]
    networks = [load_teacher(folder / name)[0] for name in ("run", "teacher")]
    said = [compute_logits(network, texts) for network in networks]
    labels = range(len(said[0][0].intent)), range(said[0][0].tags.shape[1])
    same, turned = Columns(list(labels[0]), list(labels[1])), Columns(list(labels[0]), list(labels[1])[::-1])
    found = answer_together(
        [Voice(folder / "run", networks[0], same), Voice(folder / "teacher", networks[1], turned)], texts
    )
    for mean, first, second in zip(found, *said, strict=True):
        for whole, own, other in (
            (mean.intent, first.intent, second.intent),
            (mean.tags, first.tags, second.tags[:, ::-1]),
        ):
            expected = (_softmax(own.astype(float)) + _softmax(other.astype(float))) / 2
            np.testing.assert_allclose(np.exp(whole.astype(float)), expected, rtol=1e-4, atol=1e-6)
        assert mean.spans.tolist() == first.spans.tolist()
    alone = answer_together([Voice(folder / "run", networks[0], same)], texts)
    assert [each.intent.tolist() for each in alone] == [each.intent.tolist() for each in said[0]]

    rows = _measure(
        monkeypatch, folder, str(folder / "run"), "--with", str(folder / "teacher"), "--work", "small teachers"
    )
    one = _measure(monkeypatch, folder, str(folder / "run"), "--work", "small")
    assert rows["small teachers", "parameters"].value == 2 * one["small", "parameters"].value
    assert rows["small teachers", "weights"].value == 2 * one["small", "weights"].value
    with pytest.raises(SystemExit):
        _measure(
            monkeypatch,
            folder,
            str(folder / "run"),
            str(folder / "package"),
            "--with",
            str(folder / "teacher"),
            "--work",
            "small",
        )


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_languages_averages_and_teachers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = ("--lang", "en,de")
    _measure(monkeypatch, folder, str(folder / "teacher"), *both, "--work", "small-{lang} teacher")
    rows = _measure(
        monkeypatch,
        folder,
        str(folder / "run"),
        *both,
        "--work",
        "small-{lang}",
        "--teacher-work",
        "small-{lang} teacher",
        "--average",
        "small average",
    )
    assert rows["small-en teacher", "exact match"].value >= 0.5
    assert rows["small-en", "exact match"].value >= 0.5
    assert 0 <= rows["small-en", "exact match, largest logits alone"].value <= 1
    assert rows["small-en", "intent accuracy"].n == 4
    assert rows["small-en", "intent accuracy, utterances not in train"].n == 3
    assert rows["small-de", "exact match, utterances not in train"].n == 2
    for language in ("en", "de"):
        exact, teacher = (
            rows[f"small-{language}", "exact match"].value,
            rows[f"small-{language} teacher", "exact match"].value,
        )
        assert rows[f"small-{language}", "retention"].value == pytest.approx(exact / teacher, abs=1e-6)
    mean = (rows["small-en", "intent accuracy"].value + rows["small-de", "intent accuracy"].value) / 2
    assert rows["small average", "intent accuracy"].value == pytest.approx(mean, abs=1e-6)
    assert rows["small average", "weights"].value == (folder / "run" / "model.safetensors").stat().st_size
    again = _measure(monkeypatch, folder, *both, "--work", "small-{lang} teacher", "--average", "teacher average")
    assert {key: row.value for key, row in again.items() if key[0] != "teacher average"} == {
        key: row.value for key, row in rows.items()
    }
    assert again["teacher average", "exact match"].n == 7
    assert "small average" in render_quality()


def test_a_work_against_its_float(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _measure(monkeypatch, folder, str(folder / "teacher"), "--lang", "en", "--work", "plain")
    gold = [json.loads(line)["intent"] for line in (folder / "data" / "test.jsonl").read_text().splitlines()][:4]
    scope = gold[0]
    assert set(gold) != {scope}
    rows = _measure(
        monkeypatch,
        folder,
        str(folder / "run"),
        "--lang",
        "en",
        "--work",
        "small",
        "--float-work",
        "plain",
        "--out-of-scope",
        scope,
    )
    assert rows["small", "exact match less float"].value == pytest.approx(
        rows["small", "exact match"].value - rows["plain", "exact match"].value, abs=1e-6
    )
    assert rows["small", "in-scope accuracy"].n == sum(intent != scope for intent in gold)
    assert 0.0 <= rows["small", "out-of-scope AUROC"].value <= 1.0
    with pytest.raises(SystemExit, match="plain"):
        _measure(
            monkeypatch, folder, str(folder / "run"), "--lang", "en", "--work", "small", "--teacher-work", "nobody"
        )


@pytest.mark.parametrize(
    "words",
    [
        ("--work", "x"),
        ("run", "--work", "x", "--average", "y", "--lang", "en"),
        ("run", "--work", "x{lang}", "--average", "y"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        _measure(monkeypatch, folder, *words)


def test_the_interval_of_an_average_is_that_of_independent_parts() -> None:
    rows = [
        ResultRow(work=work, metric="exact match", value=value, low=value - half, high=value + half, n=10)
        for work, value, half in (("a", 0.7, 0.03), ("b", 0.9, 0.04))
    ]
    (mean,) = average_works(rows, ["a", "b"], "both")
    assert mean.value == pytest.approx(0.8)
    assert mean.high is not None
    assert mean.high - mean.value == pytest.approx(math.hypot(0.03, 0.04) / 2)
    assert mean.n == 20
    with pytest.raises(SystemExit, match="c"):
        average_works(rows, ["a", "c"], "both")
