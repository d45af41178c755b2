"""The benchmark of texts as they are really written: what a parser of the present version cannot mind costs nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from makers.runs import write_run
from makers.small import LABELS

from benchmarks import real_life, results
from benchmarks.results import load_results
from pqrnn.checkpoint import load_checkpoint
from pqrnn.evaluation.prediction import predict_texts
from runtime_py.decode.decoder import Decoder

TEXTS = ("wake me at seven", "spiel schöne Lieder", "stop it now", "don't call-mom")
FREE = (
    "final full stop",
    "final question mark",
    "final exclamation mark",
    "title case",
    "upper case",
    "decomposed",
    "invisible mark",
    "curly apostrophe",
    "full width",
)


def test_each_change_has_a_row_and_what_is_read_as_the_same_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    write_run(tmp_path / "run")
    said = predict_texts(load_checkpoint(tmp_path / "run").model, Decoder(LABELS.intents, LABELS.tags), TEXTS)
    rows = [
        {
            "text": parse.text,
            # The last two are what the parser does not say.
            "intent": parse.intent if number < 2 else "none of them",
            "slots": [{"start": slot.start, "end": slot.end, "label": slot.label} for slot in parse.slots],
        }
        for number, parse in enumerate(said)
    ]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(
        "sys.argv",
        ["x", str(tmp_path / "run"), "--data", f"jsonl:{tmp_path / 'test.jsonl'}", "--split", "all", "--work", "w"],
    )
    real_life.main()
    kept = {row.metric: row for row in load_results("real_life").rows}
    assert (kept["exact match"].value, kept["exact match"].n) == (0.5, 4)
    for name in FREE:
        row = kept[f"points lost, {name}"]
        assert (row.value, row.low, row.high) == (0.0, 0.0, 0.0), name
    assert kept["points lost, decomposed"].n == 1
    assert kept["points lost, curly apostrophe"].n == 1
    assert kept["points lost, thanks"].n == 4
