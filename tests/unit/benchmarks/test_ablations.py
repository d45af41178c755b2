"""Ablations: recipes that differ in one thing, runs that are made once, and the picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ablations, results
from benchmarks.ablation_settings import DEFAULT, Setting, change_student, default_student, list_settings
from benchmarks.ablations import Laboratory, choose_part
from benchmarks.pareto import draw_pareto, find_points
from benchmarks.results import ResultRow, load_results, merge_results
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.distillation.logit_store import read_logits
from pqrnn.errors import RecipeError
from pqrnn.model.parser import ParserModel

pytestmark = pytest.mark.slow

_SMALL = {
    "model.projection.word_features": 64,
    "model.projection.ngram_features": 64,
    "model.bottleneck": 16,
    "model.state": 8,
    "training.epochs": 1,
    "training.batch": 16,
    "transfer.variants": 1,
}


@pytest.mark.parametrize("teachers", [0, 1, 3])
def test_every_setting_differs_from_the_default_and_makes_a_parser(teachers: int) -> None:
    default = default_student(teachers)
    settings = list_settings(default, teachers, 2, teachers > 0)
    assert settings[0] == DEFAULT
    assert len({setting.name for setting in settings}) == len(settings)
    for setting in settings[1:]:
        student = change_student(default, setting.changes)
        assert student != default, setting
        ParserModel(student.recipe.model, 3, 5)
    axes = {setting.axis for setting in settings}
    assert {"word features", "n-gram features", "bottleneck", "state", "layers", "kernel", "norm"} <= axes
    assert ({"temperature", "labels and teacher", "variants"} <= axes) == (teachers > 0)
    assert ("teachers" in axes) == (teachers > 1)
    wide = list_settings(change_student(default, {"model.state": 256}), teachers, 2)
    assert "state 256" not in {each.name for each in wide} and len(wide) < len(settings)


def test_the_default_is_that_of_the_command_line() -> None:
    recipe = default_student(1, {"model.state": 160}).recipe
    assert recipe.model.state == 160
    assert recipe.training.smoothing == 0.0  # as `pqrnn distill`, not as `pqrnn train`
    assert recipe.training.patience == 0
    assert default_student(0).recipe.training.smoothing > 0.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("model.stat", 3), ("state", 3), ("nothing.state", 3), ("model.state", "wide"), ("training.precision", "int4")],
)
def test_what_is_no_setting_is_refused(name: str, value: object) -> None:
    with pytest.raises(RecipeError, match=name.rpartition(".")[2].rstrip() if name == "model.stat" else "."):
        change_student(default_student(1), {name: value})


def test_a_part_keeps_every_label_and_is_always_the_same() -> None:
    common = [Example(f"text {number}", "often", (SlotSpan("thing", 0, 4),)) for number in range(200)]
    rare = [Example("once", "seldom"), Example("here too", "often", (SlotSpan("place", 0, 4),))]
    part = choose_part([*common, *rare], 20)
    assert len(part) == 20
    assert set(rare) < set(part)
    assert part == choose_part([*common, *rare], 20)
    assert part == sorted(part, key=[*common, *rare].index)
    assert choose_part(common, None) == common


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for split, count in (("train", 48), ("dev", 16)):
        rows = [
            f'{{"text": "turn on light {number} {split}", "intent": "on", '
            '"slots": [{"start": 8, "end": 13, "label": "what"}], "locale": "en"}\n'
            if number % 2
            else f'{{"text": "stop {number} now {split}", "intent": "off", "slots": [], "locale": "en"}}\n'
            for number in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("".join(rows))
    return folder


def test_runs_are_made_once_and_measured_in_8_bits(data: Path, tmp_path: Path) -> None:
    alone = Laboratory("small", tmp_path / "runs", str(data), "en", (), default_student(0, _SMALL), 40)
    assert alone.work == "small, 1 epochs over 40 of 48 utterances"
    rows = alone.measure(DEFAULT, 0)
    by_metric = {row.metric: row for row in rows}
    assert by_metric["exact match"].n == 16
    folder = alone.folder / "default" / "seed-0"
    assert by_metric["int8 artifact"].value == (folder / "int8" / "model.safetensors").stat().st_size
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert alone.measure(DEFAULT, 0) == rows
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    narrow = {row.metric: row for row in alone.measure(Setting("state", "4", {"model.state": 4}), 0)}
    assert narrow["int8 artifact"].value < by_metric["int8 artifact"].value

    taught = Laboratory("taught", tmp_path / "runs", str(data), "en", [folder], default_student(1, _SMALL), 40)
    first = taught.measure(DEFAULT, 1)
    lessons = list((taught.folder / "lessons").iterdir())
    taught.measure(Setting("temperature", "4", {"distillation.temperature": 4.0}), 1)
    assert list((taught.folder / "lessons").iterdir()) == lessons  # the same answers
    taught.measure(Setting("variants", "2", {"transfer.variants": 2}), 1)
    known = set((taught.folder / "lessons").iterdir())
    assert len(known) == 2
    (tmp_path / "more.jsonl").write_text(
        '{"text": "turn the radio on", "intent": "radio", "slots": [], "locale": "en"}\n'
    )
    more = Laboratory(
        "taught",
        tmp_path / "runs",
        str(data),
        "en",
        [folder],
        default_student(1, _SMALL),
        40,
        [str(tmp_path / "more.jsonl")],
    )
    more.measure(Setting("unlabelled texts", "", {"unlabelled": True}), 1)
    (made,) = set((taught.folder / "lessons").iterdir()) - known
    assert len(read_logits(made).texts) == len(read_logits(lessons[0]).texts) + 1
    assert all(row.note == "seed 1" for row in first)


def _rows(name: str, size: float, *scores: float) -> list[ResultRow]:
    rows = []
    for seed, score in enumerate(scores):
        rows.append(ResultRow(work="w", metric="exact match, int8", value=score, peer=name, note=f"seed {seed}"))
        rows.append(
            ResultRow(work="w", metric="int8 artifact", value=size, unit="bytes", peer=name, note=f"seed {seed}")
        )
    return rows


def test_the_front_is_what_nothing_smaller_beats(tmp_path: Path) -> None:
    rows = [
        *_rows("small", 1e5, 0.6),
        *_rows("large", 2e6, 0.8, 0.82),
        *_rows("bad", 1e6, 0.5),
        *_rows("wasteful", 3e6, 0.81),
        *_rows("medium", 1e6, 0.7),
    ]
    points = find_points(rows)
    assert [(each.name, each.front) for each in points] == [
        ("small", True),
        ("medium", True),
        ("bad", False),
        ("large", True),
        ("wasteful", False),
    ]
    assert points[3].quality == pytest.approx(0.81)
    assert points[3].seeds == 2
    draw_pareto(rows, tmp_path / "pictures" / "front.png")
    assert (tmp_path / "pictures" / "front.png").read_bytes().startswith(b"\x89PNG")


def test_rows_of_one_run_take_the_place_of_its_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    merge_results("some", _rows("a", 10, 0.1, 0.2), "first")
    merge_results("some", _rows("a", 10, 0.3)[:1], "second")
    merge_results("some", _rows("b", 20, 0.4), "second")
    found = load_results("some")
    assert [(row.peer, row.note, row.value) for row in found.rows if row.metric.startswith("exact")] == [
        ("a", "seed 1", 0.2),
        ("a", "seed 0", 0.3),
        ("b", "seed 0", 0.4),
    ]
    assert found.command == "first\nsecond"


def test_the_command_goes_on_where_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(ablations, "PICTURE", tmp_path / "results" / "pareto.png")
    changes = [f"--set={name}={value}" for name, value in _SMALL.items()]
    words = [
        "x",
        "--work",
        "small",
        "--data",
        str(data),
        "--limit",
        "40",
        "--only",
        "kernel",
        "--runs",
        str(tmp_path / "runs"),
        *changes,
    ]
    monkeypatch.setattr("sys.argv", [*words, "--minutes", "-1"])
    ablations.main()
    assert "3 runs are left" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", words)
    ablations.main()
    found = load_results("ablations")
    assert {row.peer for row in found.rows} == {"default", "kernel 1", "kernel 3"}
    assert len(found.rows) == 3 * 7
    assert ablations.PICTURE.is_file()
    ablations.main()
    assert [(row.peer, row.metric, row.value) for row in load_results("ablations").rows] == [
        (row.peer, row.metric, row.value) for row in found.rows
    ]
