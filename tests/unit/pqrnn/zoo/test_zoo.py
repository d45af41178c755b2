"""The zoo: trained parsers on shelves, what is said of them, and what is not taken."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from makers.forks import run_pqrnn
from makers.runs import write_run
from makers.small import TEXTS

from pqrnn.checkpoint import load_checkpoint, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.errors import ZooError
from pqrnn.quantization import prepare_qat
from pqrnn.run_folder import FACTS, WEIGHTS
from pqrnn.zoo import adding
from pqrnn.zoo.adding import add_parser
from pqrnn.zoo.card import Story
from pqrnn.zoo.data_sets import read_data_sets, strictest_licence
from pqrnn.zoo.shelf import CARD, ENTRY, SHIPPED, ZooEntry, find_parser, is_name, list_parsers
from runtime_py.package_format.file_entry import describe_file

STORY = Story(
    summary="Commands for tests",
    teacher="A grown-up.",
    commands=("pqrnn train --out runs/small", "pqrnn quantize runs/small"),
)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PQRNN_ZOO", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rows = [
        {"work": "small int8", "metric": "exact match", "value": 0.8125, "low": 0.75, "high": 0.875, "n": 64},
        {
            "work": "small int8",
            "metric": "exact match, utterances not in train",
            "value": 0.7725,
            "low": 0.7,
            "high": 0.8,
            "n": 60,
        },
        {"work": "another int8", "metric": "weights", "value": 1234, "unit": "bytes"},
        {"work": "small int8", "metric": "intent flips", "value": 3, "n": 64},
        {
            "work": "small teacher",
            "metric": "exact match",
            "value": 0.9125,
            "low": 0.8,
            "high": 0.95,
            "n": 64,
            "peer": "x",
        },
        {"work": "another", "metric": "exact match", "value": 0.1234},
    ]
    path = tmp_path / "quality.json"
    path.write_text(json.dumps({"name": "quality", "rows": rows}))
    return path


def test_a_parser_is_found_with_its_card(run: Path, shelf: Path, results: Path) -> None:
    added = add_parser(
        run,
        shelf,
        "small",
        data=["mtop", "home"],
        story=STORY,
        results=results,
        work="small int8",
        beside=["small teacher"],
    )
    assert sorted(path.name for path in added.folder.iterdir()) == sorted([CARD, ENTRY, FACTS, WEIGHTS])
    assert sorted(path.name for path in shelf.iterdir()) == ["small"]
    found = find_parser("small")
    assert found == added
    assert [each.entry.name for each in list_parsers() if each.folder.parent == shelf] == ["small"]
    assert found.entry.bytes == sum((found.folder / name).stat().st_size for name in (FACTS, WEIGHTS))
    figure = found.entry.figure("exact match")
    assert figure is not None
    assert figure.value == 0.8125
    card = (found.folder / CARD).read_text()
    for said in (
        "81.25% [75.00%, 87.50%]",
        "77.25%",
        "91.25%",
        "| small int8 | intent flips | 3 | 64 |",
        "CC BY-SA 4.0",
        "Haoran Li"[7:],
        "A grown-up.",
        *STORY.commands,
    ):
        assert said in card, said
    assert "12.34%" not in card
    assert f"{found.entry.bytes:,}" in card
    assert all(set(row) <= {"work", "metric", "value", "low", "high", "n", "note"} for row in _rows(found.folder))


def test_a_parser_of_4_bits_says_so(run: Path, shelf: Path, tmp_path: Path) -> None:
    facts = load_checkpoint(run).facts
    few = prepare_qat(load_checkpoint(run).model, [Example(text, "") for text in TEXTS], 4)
    save_checkpoint(tmp_path / "few", few, msgspec.structs.replace(facts, config=few.config))
    added = add_parser(tmp_path / "few", shelf, "few", data=["mtop"], story=STORY)
    assert added.entry.precision == "4 bits"
    assert " numbers, 4 bits |" in (added.folder / CARD).read_text()
    assert load_checkpoint(added.folder).facts.config == few.config


def _rows(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads((folder / ENTRY).read_bytes())["figures"]
    return rows


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()))
def test_a_shipped_entry_is_written_as_it_stands(name: str) -> None:
    written = (SHIPPED / name / ENTRY).read_bytes()
    entry = msgspec.json.decode(written, type=ZooEntry)
    assert msgspec.json.format(msgspec.json.encode(entry), indent=1) + b"\n" == written


def test_nothing_of_the_data_or_the_machine_is_handed_on(run: Path, shelf: Path) -> None:
    document = json.loads((run / FACTS).read_text())
    document["training"]["recipe"] = {
        "teachers": ["/somewhere/runs/teacher"],
        "data": "mtop:/somewhere/mtop/spans,home",
    }
    (run / FACTS).write_text(json.dumps(document))
    added = add_parser(run, shelf, "small", data=["mtop"], story=STORY)
    written = b"".join(path.read_bytes() for path in added.folder.iterdir())
    assert b"/somewhere" not in written
    assert not any(text.encode() in written for text in TEXTS)
    again = load_checkpoint(added.folder)
    assert again.facts.golden_texts
    assert again.facts.data["spec"] == "mtop:mtop/spans"
    assert again.facts.training["recipe"] == {"teachers": ["runs/teacher"], "data": "mtop:mtop/spans,home"}
    assert again.facts.lengths == load_checkpoint(run).facts.lengths


def test_without_results_the_card_says_so(run: Path, shelf: Path) -> None:
    card = (add_parser(run, shelf, "small", data=["snips"], story=STORY).folder / CARD).read_text()
    assert "No test results are kept" in card
    assert "CC0 1.0" in card


def test_golden_texts_are_of_the_languages(tmp_path: Path, shelf: Path) -> None:
    write_run(tmp_path / "run", locale="hi,th")
    texts = load_checkpoint(
        add_parser(tmp_path / "run", shelf, "small", data=["mtop"], story=STORY).folder
    ).facts.golden_texts
    assert any("\u0900" <= letter <= "\u097f" for text in texts for letter in text)
    assert any("\u0e00" <= letter <= "\u0e7f" for text in texts for letter in text)
    assert not any("a" <= letter <= "z" for text in texts for letter in text[:1].lower())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Small"}, "small letters"),
        ({"name": "../small"}, "small letters"),
        ({"data": ["mtop", "nothing"]}, "nothing is no data set"),
        ({"data": []}, "mtop"),
        ({"results": "results", "work": "small int4"}, "small int8"),
        ({"results": "results", "work": "another int8"}, "1,234 bytes"),
        ({"results": "results", "work": "small int8", "beside": ["nobody"]}, "nobody"),
    ],
)
def test_what_is_wrong_is_said(run: Path, shelf: Path, results: Path, changes: dict[str, object], said: str) -> None:
    if "results" in changes:
        changes = {**changes, "results": results}
    arguments: dict[str, object] = {"name": "small", "data": ["mtop"], "story": STORY, **changes}
    with pytest.raises(ZooError, match=said):
        add_parser(run, shelf, str(arguments.pop("name")), **arguments)  # type: ignore[arg-type]
    assert not shelf.exists() or not list(shelf.iterdir())


def test_a_parser_that_is_too_large_is_refused(run: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (run / WEIGHTS).stat().st_size
    monkeypatch.setattr(adding, "LIMIT", size - 1)
    with pytest.raises(ZooError, match="quantize"):
        add_parser(run, shelf, "small", data=["mtop"], story=STORY)
    assert not list(shelf.iterdir())
    monkeypatch.setattr(adding, "LIMIT", size)
    add_parser(run, shelf, "small", data=["mtop"], story=STORY)


def test_an_unfinished_run_is_refused(run: Path, shelf: Path) -> None:
    (run / "state").mkdir()
    (run / "state" / "training.safetensors").write_bytes(b"weights of an optimiser")
    with pytest.raises(ZooError, match="finish it"):
        add_parser(run, shelf, "small", data=["mtop"], story=STORY)


def test_a_parser_is_replaced_only_when_asked(run: Path, shelf: Path, tmp_path: Path) -> None:
    first = add_parser(run, shelf, "small", data=["mtop"], story=STORY)
    with pytest.raises(ZooError, match="--replace"):
        add_parser(run, shelf, "small", data=["mtop"], story=STORY)
    write_run(tmp_path / "other", seed=1)
    second = add_parser(tmp_path / "other", shelf, "small", data=["snips"], story=STORY, replace=True)
    assert second.entry.files[WEIGHTS] != first.entry.files[WEIGHTS]
    assert find_parser("small") == second
    assert [path.name for path in shelf.iterdir()] == ["small"]


def test_languages_have_to_be_known(tmp_path: Path, shelf: Path) -> None:
    write_run(tmp_path / "run", locale="")
    with pytest.raises(ZooError, match="--lang"):
        add_parser(tmp_path / "run", shelf, "small", data=["mtop"], story=STORY)
    assert add_parser(
        tmp_path / "run", shelf, "small", data=["mtop"], story=STORY, languages=["de", "th"]
    ).entry.languages == ("de", "th")


def test_the_first_shelf_wins_and_unknown_names_are_answered(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        add_parser(run, tmp_path / name, "small", data=["mtop"], story=msgspec.structs.replace(STORY, summary=name))
    monkeypatch.setenv("PQRNN_ZOO", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert find_parser("small").entry.summary == "first"
    with pytest.raises(ZooError, match=r"smal: neither a file here nor .* small"):
        find_parser("smal")
    (tmp_path / "first" / "small" / ENTRY).write_text("{}")
    with pytest.raises(ZooError, match=r"entry\.json"):
        find_parser("small")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mtop-en", True),
        ("x_1", True),
        ("runs/en", False),
        ("home.pqrnn", False),
        (".", False),
        ("-", False),
        ("MTOP", False),
    ],
)
def test_names_are_no_paths(text: str, name: bool) -> None:
    assert is_name(text) == name


def test_share_alike_is_the_strictest() -> None:
    sets = read_data_sets()
    assert strictest_licence([sets["snips"], sets["massive"], sets["mtop"], sets["clinc150"]]) == "CC BY-SA 4.0"
    assert strictest_licence([sets["snips"], sets["massive"]]) == "CC BY 4.0"
    assert all(strictest_licence([each]) == each.licence for each in sets.values())


def test_the_command_line_adds_lists_and_shows(run: Path, shelf: Path, results: Path) -> None:
    words = (
        "--name",
        "small",
        "--into",
        shelf,
        "--data-set",
        "mtop",
        "--summary",
        "for tests",
        "--results",
        results,
        "--work",
        "small int8",
    )
    assert run_pqrnn("zoo", "add", run, *words).returncode == 0
    (listed,) = [
        each for each in json.loads(run_pqrnn("zoo", "list", "--json").stdout) if each["entry"]["name"] == "small"
    ]
    assert listed["entry"]["figures"][0]["value"] == 0.8125
    assert "81.2%" in run_pqrnn("zoo", "list").stdout
    assert run_pqrnn("zoo", "show", "small").stdout == (shelf / "small" / CARD).read_text()
    again = run_pqrnn("zoo", "add", run, *words)
    assert again.returncode == 2
    assert "--replace" in again.stderr
    unknown = run_pqrnn("parse", "no-such-parser", "hello")
    assert unknown.returncode == 2
    assert "small" in unknown.stderr


def test_what_is_shipped_is_whole_small_and_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQRNN_ZOO", raising=False)
    parsers = list_parsers()
    assert sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()) == [each.entry.name for each in parsers]
    for folder, entry in parsers:
        assert sorted(path.name for path in folder.iterdir()) == sorted([CARD, ENTRY, FACTS, WEIGHTS])
        assert {name: describe_file(folder / name) for name in (FACTS, WEIGHTS)} == entry.files
        assert entry.files[WEIGHTS].bytes <= adding.LIMIT
        assert entry.precision == "int8"
        # No sentence that is drawn from Home Assistant's templates is in two splits.
        unseen = [] if list(entry.data) == ["home-assistant"] else ["exact match, utterances not in train"]
        for metric in ("exact match", "intent accuracy", *unseen):
            assert entry.figure(metric) is not None, (entry.name, metric)
        assert load_checkpoint(folder).facts.revision == entry.revision
