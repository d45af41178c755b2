"""`pqrnn calibrate`: scores of a trained parser become probabilities, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from makers.runs import write_run
from makers.small import LABELS, WORDS
from typer.testing import CliRunner

import pqrnn
from pqrnn.checkpoint import load_checkpoint, load_facts
from pqrnn.cli.running import app
from pqrnn.errors import CalibrationError
from pqrnn.run_folder import FACTS, WEIGHTS
from pqrnn.zoo.adding import recalibrate
from pqrnn.zoo.shelf import CARD, ENTRY, SHIPPED, Shelved, check_files, read_entry
from runtime_py.package_format.file_entry import describe_file

NAME = "snips-en"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with development utterances, one with others."""
    folder = tmp_path_factory.mktemp("data")
    rows = [
        {"text": f"{one} {other}", "intent": LABELS.intents[(row + column) % 3], "slots": []}
        for row, one in enumerate(WORDS)
        for column, other in enumerate(WORDS[:6])
    ]
    (folder / "own").mkdir()
    for split in ("train", "dev"):
        (folder / "own" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    others = [{"text": f"what is {row} and {row}", "intent": "maths" if row % 2 else "trivia"} for row in range(60)]
    (folder / "others.jsonl").write_text("".join(json.dumps(row) + "\n" for row in others))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


def test_the_command_stores_a_calibration_and_leaves_the_weights(run: Path, data: Path) -> None:
    before, weights = load_facts(run), (run / WEIGHTS).read_bytes()
    assert before.calibration is None
    others = f"{data / 'others.jsonl'}#mat*"
    result = CliRunner().invoke(
        app, ["calibrate", str(run), "--data", str(data / "own"), "--out-of-scope", others, "--json"]
    )
    assert result.exit_code == 0, result.output
    facts = load_checkpoint(run).facts
    assert facts.calibration is not None
    assert json.loads(result.output)["knots"] == [list(knot) for knot in facts.calibration.knots]
    assert (facts.calibration.out_of_scope, facts.calibration.utterances) == (30, 84)
    assert (run / WEIGHTS).read_bytes() == weights
    assert facts.labels == before.labels
    assert facts.metrics == before.metrics


def test_a_copy_is_calibrated_where_a_folder_is_named(run: Path, data: Path, tmp_path: Path) -> None:
    content = (run / FACTS).read_bytes()
    result = CliRunner().invoke(app, ["calibrate", str(run), "--data", str(data / "own"), "-o", str(tmp_path / "copy")])
    assert result.exit_code == 0, result.output
    assert "calibration error before" in result.output
    assert (run / FACTS).read_bytes() == content
    assert load_checkpoint(tmp_path / "copy").facts.calibration is not None


def test_a_parser_of_the_zoo_stays_as_it_is(data: Path) -> None:
    folder = SHIPPED / NAME
    with pytest.raises(CalibrationError, match="--out"):
        pqrnn.calibrate(folder, str(data / "own"))


def test_intents_that_no_text_has_are_named(run: Path, data: Path) -> None:
    with pytest.raises(CalibrationError, match=r"others\.jsonl has such an intent; it has those of maths, trivia"):
        pqrnn.calibrate(run, str(data / "own"), out_of_scope=[f"{data / 'others.jsonl'}#poems"])


def test_a_shelved_parser_is_recalibrated_with_its_entry_and_card(run: Path, data: Path, tmp_path: Path) -> None:
    from pqrnn.zoo.adding import add_parser
    from pqrnn.zoo.card import Story

    shelved = add_parser(run, tmp_path / "zoo", "small", data=["snips"], story=Story(summary="for tests"))
    assert "## Scores" not in (shelved.folder / CARD).read_text()
    calibration = pqrnn.calibrate(run, str(data / "own"))
    for _ in range(2):  # the second time it replaces what the first time wrote
        recalibrate(shelved.folder, calibration, ["clinc150"])
        card = (shelved.folder / CARD).read_text()
        assert card.count("## Scores") == card.count("## Data and licence") == 1
        assert "CLINC150" in card.partition("## Scores")[2].partition("## Data")[0]
        assert f"checkpoint.json {(shelved.folder / FACTS).stat().st_size:,}" in card
        entry = read_entry(shelved.folder)
        check_files(Shelved(shelved.folder, entry))
        assert entry.licence == shelved.entry.licence
        assert load_checkpoint(shelved.folder).facts.calibration == calibration
    assert describe_file(shelved.folder / WEIGHTS) == shelved.entry.files[WEIGHTS]
    again = add_parser(shelved.folder, tmp_path / "other", "small", data=["snips"], story=Story(summary="for tests"))
    assert "## Scores" in (again.folder / CARD).read_text()
    assert (again.folder / ENTRY).is_file()
