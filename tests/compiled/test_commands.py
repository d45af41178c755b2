"""The whole way by the command line: sample, train, compile, parse, check, bench, inspect, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from makers.forks import run_pqrnn

_GRAMMAR = """
locale = "en"

[lists]
room = ["kitchen", "hall", "living room", "cellar", "garage"]

[intents]
light_on = ["(switch|turn) on the {room} light[s]", "[please] lights on in the {room}"]
light_off = ["(switch|turn) off the {room} light[s]", "[please] lights off in the {room}"]
door_open = ["open the {room} door [please]", "(can|could) you open the door of the {room}"]
"""


def _pqrnn(*arguments: str | Path, stdin: bytes = b"", code: int = 0) -> str:
    done = run_pqrnn(*arguments, stdin=stdin)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a grammar, a run trained on it, and the package compiled from the run."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "commands.toml").write_text(_GRAMMAR)
    small = (
        "--bottleneck",
        "32",
        "--state",
        "16",
        "--features",
        "64",
        "--ngram-features",
        "64",
        "--learning-rate",
        "0.01",
        "--misspell",
        "0",
    )
    trained = json.loads(
        _pqrnn(
            "train",
            "--data",
            folder / "commands.toml",
            "--out",
            folder / "run",
            "--epochs",
            "20",
            "--patience",
            "0",
            "--batch",
            "8",
            *small,
            "--json",
        )
    )
    assert trained["metrics"]["dev"]["intent_accuracy"]["value"] > 0.9
    compiled = json.loads(
        _pqrnn("compile", folder / "run", "--target", "host", "--out", folder / "home.pqrnn", "--json")
    )
    assert compiled["manifest"]["variants"][0]["parity"]["passed"] is True
    return folder


def test_a_plan_is_shown_and_nothing_is_written(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "board.toml").write_text(
        'id = "board"\nsummary = "x"\nfamily = "cpu"\nneeds = "x"\ntier = "compiled"\n'
        'triple = "aarch64-unknown-linux-gnu"\ncpu = "generic"\nfeatures = []\n'
    )
    monkeypatch.setenv("PQRNN_TARGETS", str(tmp_path))
    before = sorted(home.rglob("*"))
    out = home / "boards.pqrnn"
    targets = ("--target", "host", "--target", "raspberry-pi-4", "--target", "board")
    plan = json.loads(_pqrnn("compile", home / "run", *targets, "--out", out, "--dry-run", "--jobs", "2", "--json"))
    assert [one["target"] for one in plan["targets"]] == ["host", "raspberry-pi-4", "board"]
    assert [one["cached"] for one in plan["targets"]] == [True, False, False]  # the first was compiled above
    assert all(size["bytes"] > 10_000 for size in plan["mlir"].values())
    shown = _pqrnn("compile", home / "run", *targets, "--out", out, "--dry-run")
    for one in plan["targets"]:
        assert one["command"] in shown
    assert "unverified" in shown
    assert sorted(home.rglob("*")) == before


def test_a_failing_target_is_said_and_the_others_make_the_package(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "odd.toml").write_text(
        'id = "odd"\nsummary = "x"\nfamily = "vmvx"\nneeds = "x"\ntier = "native"\n'
        '[[flags]]\nflag = "--no-such-flag"\nreason = "x"\n'
    )
    monkeypatch.setenv("PQRNN_TARGETS", str(tmp_path / "targets"))
    out = tmp_path / "home.pqrnn"
    told = json.loads(
        _pqrnn("compile", home / "run", "--target", "odd", "--target", "host", "--out", out, "--json", code=1)
    )
    assert told["failures"]["odd"]["stage"] == "compile"
    assert "no-such-flag" in told["failures"]["odd"]["diagnostics"]
    assert [variant["target"] for variant in told["manifest"]["variants"]] == ["host"]
    assert told["cached"] == ["host"]
    assert "do not ship" in told["notes"][0]
    assert json.loads(_pqrnn("parse", out, "turn off the kitchen lights", "--json"))["intent"] == "light_off"


def test_sample_shows_labels(home: Path) -> None:
    rows = [
        json.loads(line) for line in _pqrnn("data", "sample", home / "commands.toml", "-n", "6", "--json").splitlines()
    ]
    assert len(rows) == 6
    for row in rows:
        (slot,) = row["slots"]
        assert row["text"][slot["start"] : slot["end"]] in {"kitchen", "hall", "living room", "cellar", "garage"}


def test_parse_takes_arguments_and_lines(home: Path) -> None:
    texts = ["turn off the kitchen lights", "could you open the door of the living room"]
    parses = [json.loads(line) for line in _pqrnn("parse", home / "home.pqrnn", *texts, "--json").splitlines()]
    assert [parse["intent"] for parse in parses] == ["light_off", "door_open"]
    assert [[slot["text"] for slot in parse["slots"]] for parse in parses] == [["kitchen"], ["living room"]]
    from_lines = _pqrnn("parse", home / "home.pqrnn", "--json", stdin="\n".join(texts).encode())
    assert [json.loads(line) for line in from_lines.splitlines()] == parses
    assert "light_off" in _pqrnn("parse", home / "home.pqrnn", texts[0])


def test_parse_survives_any_bytes(home: Path) -> None:
    lines = [b"", b"\xff\xfe\x80", "क्या 漢字 👩‍🚀".encode(), b"a\x00b"]
    parses = [
        json.loads(line)
        for line in _pqrnn("parse", home / "home.pqrnn", "--json", stdin=b"\n".join(lines)).splitlines()
    ]
    assert [parse["text"] for parse in parses] == [line.decode("utf-8", "replace") for line in lines]


def test_long_text_is_refused_or_said_to_be_cut(home: Path) -> None:
    text = "open the kitchen door please " * 60
    done = run_pqrnn("parse", home / "home.pqrnn", text)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    parse = json.loads(_pqrnn("parse", home / "home.pqrnn", text, "--truncate", "--json"))
    assert parse["truncated"] is True


def test_check_compares_with_pytorch(home: Path) -> None:
    checked = json.loads(
        _pqrnn("check", home / "home.pqrnn", "--data", home / "commands.toml", "--run", home / "run", "--json")
    )
    assert checked["passed"] is True
    assert (checked["decisions"]["intent_flips"], checked["decisions"]["slot_flips"]) == (0, 0)
    scored = json.loads(_pqrnn("evaluate", home / "run", "--data", home / "commands.toml", "--json"))
    assert 0.0 <= scored.pop("calibration_error") <= 1.0  # asks the network itself how sure it is
    assert checked["scores"] == scored  # compiled from bytes, PyTorch from bytes: the same answers


def test_check_fails_below_a_goal(home: Path) -> None:
    (home / "wrong.jsonl").write_text('{"text": "turn off the hall light", "intent": "door_open", "slots": []}\n')
    out = _pqrnn(
        "check",
        home / "home.pqrnn",
        "--data",
        home / "wrong.jsonl",
        "--split",
        "all",
        "--goal",
        "0.5",
        "--json",
        code=1,
    )
    assert "below the goal" in json.loads(out)["failures"][0]


def test_bench_and_inspect_say_what_they_found(home: Path) -> None:
    measured = json.loads(_pqrnn("bench", home / "home.pqrnn", "--seconds", "0.2", "--json"))
    assert measured["call"]["median"] > 0
    assert measured["total_bytes"] == sum(part["bytes"] for part in measured["parts"])
    facts = json.loads(_pqrnn("inspect", home / "home.pqrnn", "--json"))
    assert facts["intents"] == ["door_open", "light_off", "light_on"]
    assert facts["damaged"] == []


def test_an_existing_package_is_not_overwritten_unasked(home: Path) -> None:
    before = {path: path.read_bytes() for path in (home / "home.pqrnn").rglob("*") if path.is_file()}
    _pqrnn("compile", home / "run", "--out", home / "home.pqrnn", code=2)
    assert {path: path.read_bytes() for path in (home / "home.pqrnn").rglob("*") if path.is_file()} == before


def test_a_file_without_splits_trains(home: Path) -> None:
    rows = _pqrnn("data", "sample", home / "commands.toml", "-n", "60", "--json")
    (home / "mine.jsonl").write_text(rows)
    small = ("--bottleneck", "16", "--state", "8", "--features", "32", "--ngram-features", "32")
    trained = json.loads(
        _pqrnn("train", "--data", home / "mine.jsonl", "--out", home / "mine", "--epochs", "1", *small, "--json")
    )
    held_out = trained["metrics"]["dev"]["exact_match"]["n"]
    assert 0 < held_out < 30


def test_data_show_counts(home: Path) -> None:
    counted = {row["split"]: row for row in json.loads(_pqrnn("data", "show", home / "commands.toml", "--json"))}
    assert set(counted) == {"train", "dev", "test"}
    assert counted["train"]["intents"] == 3
    assert all(row["unrepresentable"] == 0 for row in counted.values())
