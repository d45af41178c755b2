"""Rejecting, ranked intents and several commands, by a package that is loaded and runs."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import msgspec
import pytest
from tiny_package import write_package
from typer.testing import CliRunner

from pqrnn.cli.running import app
from runtime_py import Parser
from runtime_py.cli import main
from runtime_py.decode.calibration import SUMMARY, Calibration, RightModel, ScopeModel, SlotModel, Threshold
from runtime_py.errors import CalibrationMissingError, ValuesError
from runtime_py.package_format.package import open_package, seal

TEXTS = ["play some jazz", "wake me at seven and play some jazz", "", "पाँच"]


@pytest.fixture(scope="module")
def calibrated(tiny_code: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny package with a calibration."""
    path = tmp_path_factory.mktemp("calibrated") / "tiny.pqrnn"
    write_package(path, tiny_code)
    calibration = Calibration(
        right=RightModel(intent=0.0, tags=0.0, bias=3.0),
        slots=SlotModel(tags=0.5, bias=0.0),
        scope=ScopeModel(summary=(0.0,) * (len(SUMMARY) - 1) + (-4.0,), bias=8.0),  # longer texts are out of scope
        knots=((0.0, 0.0), (1.0, 1.0)),
        recommended=Threshold(of="in_scope", least=0.5, kept=0.95, refused=0.9),
        error=0.01,
        error_before=0.05,
    )
    seal(path, msgspec.structs.replace(open_package(path).manifest, calibration=calibration))
    return path


def test_decisions_are_those_of_the_package_without_one(tiny_path: Path, calibrated: Path) -> None:
    with Parser.load(tiny_path) as plain, Parser.load(calibrated) as scored:
        for text in TEXTS:
            before, after = plain(text), scored(text, alternatives=2)
            assert (after.intent, after.slots) == (before.intent, before.slots)
            assert (before.calibrated, after.calibrated) == (False, True)
            assert after.score <= (after.in_scope or 0.0)
            assert after.alternatives[0].intent == after.intent
            assert after.outcome == "parsed"
        assert [each.outcome for each in scored.parse_batch(TEXTS, alternatives=1)] == ["parsed"] * len(TEXTS)


def test_what_does_not_reach_the_threshold_is_rejected_with_the_best_guess(calibrated: Path) -> None:
    with Parser.load(calibrated, min_score="recommended") as parser:
        known, long = parser("jazz"), parser("wake me at seven and play some jazz")
        assert (known.outcome, long.outcome) == ("parsed", "rejected")
        assert long.intent in parser.manifest.labels.intents
        copied = pickle.loads(pickle.dumps(parser))
        assert copied("wake me at seven and play some jazz").outcome == "rejected"
        assert [each.outcome for each in parser.parse_batch(["jazz", long.text])] == ["parsed", "rejected"]
    with Parser.load(calibrated, min_score=1.0) as strict:
        assert strict("jazz").outcome == "rejected"


def test_several_commands_lie_where_they_say(calibrated: Path) -> None:
    text = "play some jazz, wake me at seven. play some jazz"
    with Parser.load(calibrated) as parser:
        parses = parser.parse_all(text.encode(), alternatives=1)
        assert all(text[each.offset : each.offset + len(each.text)] == each.text for each in parses)
        assert all(len(each.alternatives) == 1 for each in parses)
        assert len(parses) > 1  # this calibration takes short texts for more probable


def test_a_package_without_calibration_says_what_to_do(tiny_path: Path) -> None:
    with Parser.load(tiny_path) as parser, pytest.raises(CalibrationMissingError, match="pqrnn calibrate"):
        parser.parse_all("play some jazz and wake me")
    with pytest.raises(CalibrationMissingError, match="no threshold is recommended"):
        Parser.load(tiny_path, min_score="recommended")
    with pytest.raises(ValueError, match="min_score is 2"):
        Parser.load(tiny_path, min_score=2)


def test_the_beginning_of_a_text_leaves_open_what_the_whole_text_may_be(calibrated: Path) -> None:
    words = ["wake", "me", "at", "seven", "and", "play", "some", "jazz"]
    with Parser.load(calibrated) as parser:
        partials = [parser.partial(" ".join(words[:end])) for end in range(len(words) + 1)]
        assert set(partials[0].candidates) == set(parser.manifest.labels.intents)
        assert not partials[0].settled
        first = parser(" ".join(words), alternatives=1).alternatives[0].intent
        assert first in partials[-1].candidates
        label = parser.manifest.labels.tags[1].partition("-")[2]
        assert parser.with_values({label: ["Jazz"]}).partial("play some") == parser.partial("play some")


def test_names_are_known_at_run_time(calibrated: Path) -> None:
    with Parser.load(calibrated) as parser:
        plain = parser("play some jazz")
        label = parser.manifest.labels.tags[1].partition("-")[2]
        known = parser.with_values({label: {"j": ["Jazz"]}})
        found = known("play some jazz")
        assert [slot.value.id for slot in found.slots if slot.value and slot.text == "jazz"] == ["j"]
        assert known.parse_batch(["play some jazz"]) == [found]
        assert known.parse_all("play some jazz")[0].slots == found.slots
        other = known.with_values({label: ["x"]})("play some jazz")
        assert {slot.value.how for slot in other.slots if slot.value} == {"unresolved"}
        assert parser("play some jazz") == plain
        with pytest.raises(ValuesError, match="no slot of this parser"):
            parser.with_values({"nothing": ["x"]})


def test_values_are_normalised_for_both_command_lines(
    calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Parser.load(calibrated) as parser:
        (slot, *_) = parser("play some jazz").slots
        told = parser.with_values(normalise={slot.label: "number"}, locale="en")
        assert told("play some jazz").slots[0].value.readings == ()
        with pytest.raises(ValuesError, match="--locale en"):
            parser.with_values(normalise=True)
    path = tmp_path / "values.toml"
    path.write_text(f'locale = "de"\n[kinds]\n"{slot.label}" = "number"\n[texts."{slot.label}"]\n"{slot.text}" = 3\n')
    options = ["parse", str(calibrated), "--values", str(path), "--now", "2026-11-25T10:00"]
    assert main([*options, "--json", "play some jazz"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["slots"][0]["value"] == {"id": 3, "name": slot.text, "how": "exact"}
    assert main([*options, "play some jazz"]) == 0
    board = capsys.readouterr().out
    assert f"{slot.label}: {slot.text}  [{slot.start}:{slot.end}]  → 3" in board
    assert CliRunner().invoke(app, [*options, "play some jazz"]).output == board
    assert main(["parse", str(calibrated), "--zone", "Europe/Berlin", "jazz"]) == 2
    assert "--normalise" in capsys.readouterr().err


def test_the_command_line_of_a_board_has_the_same_options(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "wake me at seven and play some jazz"
    assert main(["parse", str(calibrated), "--json", "--min-score", "recommended", "--alternatives", "2", long]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["outcome"], document["calibrated"], len(document["alternatives"])) == ("rejected", True, 2)
    assert main(["parse", str(calibrated), "--min-score", "1", "jazz"]) == 0
    assert "  rejected  jazz" in capsys.readouterr().out
    assert main(["parse", str(calibrated), "--all", "--json", long]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["text"] == long
    assert document["commands"][0]["text"] == long[: len(document["commands"][0]["text"])]
    with pytest.raises(SystemExit):
        main(["parse", str(calibrated), "--min-score", "1.5", "jazz"])
