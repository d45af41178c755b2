"""Settings from the command line: options are made from recipes, and win over a file, which wins over the default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

import pqrnn
from pqrnn.cli.running import app
from pqrnn.cli.verbs import __all__ as verbs
from pqrnn.errors import RecipeError, TrainingError
from pqrnn.recipes.fields import list_fields
from pqrnn.recipes.recipes import VERBS, DistillRecipe, TrainRecipe
from pqrnn.recipes.settings import DistillationConfig, ModelConfig, TransferConfig
from pqrnn.training.config import choose_precision, resolve_precision
from pqrnn.training.reporting import TrainingOutcome

Run = Callable[..., dict[str, Any]]
_SCORES = {"dev": {"exact_match": {"value": 0.5, "low": 0.4, "high": 0.6}}}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a verb, but not what it calls: returns the arguments of the call."""

    def run(verb: str, *options: str) -> dict[str, Any]:
        given: dict[str, Any] = {}

        def keep(*arguments: Any, **named: Any) -> TrainingOutcome:
            given.update(named, arguments=arguments)
            return TrainingOutcome(tmp_path, _SCORES, "done")

        monkeypatch.setattr(pqrnn, verb, keep, raising=False)
        teacher = ["--teacher", str(tmp_path)] if verb == "distill" else []
        done = CliRunner().invoke(
            app, [verb, *teacher, "--data", "home:en", "--out", str(tmp_path / "out"), *options], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        return given

    return run


@pytest.mark.parametrize("verb", ["train", "finetune", "distill"])
def test_without_options_a_verb_has_its_default_recipe(called: Run, verb: str) -> None:
    assert called(verb)["recipe"] == VERBS[verb]


def test_weights_of_distillation_come_from_the_command_line(called: Run) -> None:
    options = "--hard 0.1 --soft 0.9 --temperature 3 --intent-weight 1.5 --soft-intent-weight 6 --smoothing 0.2"
    recipe = called("distill", *options.split())["recipe"]
    assert recipe.distillation == DistillationConfig(hard=0.1, soft=0.9, temperature=3.0, soft_intent_weight=6.0)
    assert (recipe.training.intent_weight, recipe.training.smoothing) == (1.5, 0.2)


def test_labels_are_not_smoothed_beside_a_teacher_unless_asked_for(called: Run) -> None:
    assert called("distill")["recipe"].training.smoothing == 0.0


def test_the_transfer_set_comes_from_the_command_line_and_changes_are_off_unless_asked_for(called: Run) -> None:
    options = "--variants 3 --variant-swap 0.1 --cross 0.2 --drop 0.3 --switch 0.4 --variant-misspell 0.5"
    expected = TransferConfig(variants=3, variant_swap=0.1, cross=0.2, drop=0.3, switch=0.4, variant_misspell=0.5)
    assert called("distill", *options.split())["recipe"].transfer == expected
    off = called("distill")["recipe"].transfer
    assert (off.cross, off.drop, off.switch, off.variant_misspell) == (0.0, 0.0, 0.0, 0.0)


def test_former_names_of_options_still_work(called: Run) -> None:
    options = "--swap 0.1 --misspell-variants 0.5 --order 3 --relations 0.25"
    recipe = called("distill", *options.split())["recipe"]
    assert recipe.transfer == TransferConfig(variant_swap=0.1, variant_misspell=0.5, ngram_order=3)
    assert recipe.distillation.relation_weight == 0.25
    assert called("finetune", "--romanise")["recipe"].teacher.romanise


def test_an_option_wins_over_a_file_and_a_file_over_the_default(called: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[model]\nstate = 64\n[training]\nepochs = 7\nseed = 5\n")
    recipe = called("train", "--recipe", str(file), "--epochs", "9")["recipe"]
    assert (recipe.model.state, recipe.training.epochs, recipe.training.seed) == (64, 9, 5)
    assert recipe.training.batch == TrainRecipe().training.batch


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"build"}))
def test_help_names_every_option_with_its_meaning_and_default(verb: str) -> None:
    assert verb.replace("-", "_") in verbs
    shown = CliRunner().invoke(app, [verb, "--help"], terminal_width=250).output
    for field in list_fields(VERBS[verb]):
        if field.flag and field.path != "training.swap":
            assert field.flag in shown
            assert all(former not in shown for former in field.former)


def test_every_setting_is_described_in_a_sentence_and_has_a_flag_of_its_own() -> None:
    for verb, recipe in VERBS.items():
        fields = list(list_fields(recipe))
        for field in fields:
            if not field.path.startswith(("rounds",)):
                assert field.description[0].isupper() and field.description.endswith("."), (verb, field.path)
    for verb in ("train", "finetune", "quantize", "distill-encoder"):
        flags = [field.flag for field in list_fields(VERBS[verb]) if field.flag]
        assert len(flags) == len(set(flags)), verb


def test_a_precision_that_there_is_not_is_refused() -> None:
    with pytest.raises(RecipeError, match="precision must be 'float32' or 'bfloat16', not 'foo'"):
        pqrnn.change(TrainRecipe(), {"training.precision": "foo"})
    assert resolve_precision(TrainRecipe().training).precision == choose_precision()
    assert resolve_precision(pqrnn.change(TrainRecipe(), {"training.precision": "float32"}).training).epochs == 40


def test_a_shape_that_there_is_not_is_refused(tmp_path: Path) -> None:
    shape = pqrnn.change(TrainRecipe(), {"model.norm": "layer"})
    with pytest.raises(TrainingError, match="norm must be 'batch' or 'none', not 'layer'"):
        pqrnn.train("home:en", tmp_path / "never", recipe=shape)
    assert not (tmp_path / "never").exists()


def test_relations_are_kept_only_where_they_are_learned() -> None:
    from pqrnn.recipes.recipes import with_relation_heads

    assert with_relation_heads(DistillRecipe()).transfer.relation_heads == 0
    learned = with_relation_heads(pqrnn.change(DistillRecipe(), {"distillation.relation_weight": 0.5}))
    assert learned.transfer.relation_heads == 8


def test_names_in_files_are_those_of_earlier_versions() -> None:
    transfer = msgspec.to_builtins(TransferConfig())
    assert {"swap", "misspell", "order", "relations"} <= set(transfer)
    assert {"intent_weight", "relations"} <= set(msgspec.to_builtins(DistillationConfig()))
    assert "projection" in msgspec.to_builtins(ModelConfig())
