"""Settings from the command line: what makes no run is said in a sentence, by every verb that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pqrnn.cli import distill
from pqrnn.cli.app import app
from pqrnn.cli.learning import make_config, make_shape
from pqrnn.distillation.objective import DistillationConfig
from pqrnn.distillation.transfer_set import TransferConfig
from pqrnn.errors import TrainingError
from pqrnn.training.config import choose_precision


def test_a_precision_that_there_is_not_is_refused() -> None:
    with pytest.raises(TrainingError, match="precision must be 'float32' or 'bfloat16', not 'foo'"):
        make_config("foo", epochs=1)
    assert make_config("auto").precision == choose_precision()
    assert make_config("float32", epochs=3).epochs == 3


def test_a_shape_that_there_is_not_is_refused() -> None:
    with pytest.raises(TrainingError, match="context must be at most half of the word features"):
        make_shape(64, 64, state=16, context=33)
    shape = make_shape(64, 0, state=16)
    assert (shape.projection.word_features, shape.projection.ngram_features, shape.state) == (64, 0, 16)


@pytest.fixture
def distilled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs `pqrnn distill` with options, but neither teacher nor student: returns what they would have been given."""

    def run(*options: str) -> dict[str, Any]:
        given: dict[str, Any] = {}

        def keep_label(
            folder: Path, teachers: Any, training: Any, texts: Any, config: Any, precision: str, **_: Any
        ) -> str:
            given["lessons"] = config
            return "made"

        def keep_run(out: Path, data: Any, model: Any, config: Any, **rest: Any) -> None:
            given.update(rest, config=config, model=model)

        monkeypatch.setattr(distill, "_label", keep_label)
        monkeypatch.setattr(distill, "run_training", keep_run)
        done = CliRunner().invoke(
            app, ["distill", "--teacher", str(tmp_path), "--data", "home:en", "--out", str(tmp_path / "out"), *options]
        )
        assert done.exit_code == 0, done.output
        return given

    return run


def test_weights_of_distillation_come_from_the_command_line(distilled: Any) -> None:
    given = distilled(
        "--hard",
        "0.1",
        "--soft",
        "0.9",
        "--temperature",
        "3",
        "--intent-weight",
        "1.5",
        "--soft-intent-weight",
        "6",
        "--smoothing",
        "0.2",
    )
    assert given["objective"].lessons == "made"
    assert given["objective"].config == DistillationConfig(hard=0.1, soft=0.9, temperature=3.0, intent_weight=6.0)
    assert (given["config"].intent_weight, given["config"].smoothing) == (1.5, 0.2)


def test_labels_are_not_smoothed_beside_a_teacher_unless_asked_for(distilled: Any) -> None:
    assert distilled()["config"].smoothing == 0.0


def test_changes_of_lessons_come_from_the_command_line_and_are_off_unless_asked_for(distilled: Any) -> None:
    given = distilled(
        "--variants",
        "3",
        "--swap",
        "0.1",
        "--cross",
        "0.2",
        "--drop",
        "0.3",
        "--switch",
        "0.4",
        "--misspell-variants",
        "0.5",
    )
    assert given["lessons"] == TransferConfig(variants=3, swap=0.1, cross=0.2, drop=0.3, switch=0.4, misspell=0.5)
    off = distilled()["lessons"]
    assert (off.cross, off.drop, off.switch, off.misspell) == (0.0, 0.0, 0.0, 0.0)


def test_relations_are_kept_only_where_they_are_learned(distilled: Any) -> None:
    assert distilled()["lessons"].relations == 0 and distilled()["objective"].config.relations == 0.0
    given = distilled("--relations", "0.5")
    assert given["lessons"].relations == 8 and given["objective"].config.relations == 0.5
