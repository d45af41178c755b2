"""`pqrnn recipe`: the settings of verbs, shipped recipes and runs, and back again."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from typer.testing import CliRunner

from pqrnn.cli.running import app
from pqrnn.recipes.fields import change
from pqrnn.recipes.files import read_recipe, shipped_recipes
from pqrnn.recipes.recipes import UNKNOWN, VERBS, DistillRecipe, FinetuneRecipe, TrainRecipe, recipe_of_run


def _show(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["recipe", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_what_is_shown_of_a_verb_is_its_recipe(verb: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(_show("show", verb))
    assert read_recipe(path, VERBS[verb]) == VERBS[verb]
    expected = json.loads(msgspec.json.encode(VERBS[verb]))
    assert json.loads(_show("show", verb, "--json"))["settings"] == expected


def test_names_are_listed() -> None:
    listed = json.loads(_show("list", "--json"))
    assert listed == {"verbs": sorted(VERBS), "recipes": list(shipped_recipes())}


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_is_shown_whole(name: str) -> None:
    assert set(tomllib.loads(_show("show", name))) == set(type(VERBS["build"]).__struct_fields__)


def test_of_a_parser_of_the_zoo_only_what_was_kept_is_shown() -> None:
    shown = _show("show", "mtop-en")
    document = tomllib.loads(shown)
    assert UNKNOWN in shown and "transfer" not in document
    assert document["model"]["bottleneck"] == 256
    assert document["distillation"]["soft_intent_weight"] == 2.0
    assert json.loads(_show("show", "mtop-en", "--json"))["unknown"] == ["transfer"]


@pytest.mark.parametrize(
    ("verb", "recipe"),
    [
        ("train", change(TrainRecipe(), {"training.epochs": 3, "model.state": 8})),
        ("distill", change(DistillRecipe(), {"transfer.variant_swap": 0.25, "distillation.relation_weight": 0.5})),
        ("finetune", change(FinetuneRecipe(), {"teacher.romanise": True})),
    ],
)
def test_a_run_shows_the_recipe_that_its_checkpoint_keeps(verb: str, recipe: msgspec.Struct) -> None:
    kept = {"recipe": {"verb": verb, "settings": msgspec.to_builtins(recipe)}}
    found, more = recipe_of_run(SimpleNamespace(training=kept, config=None))
    assert found == recipe
    assert more == {"verb": verb}


def test_what_is_nothing_is_said_with_what_there_is() -> None:
    done = CliRunner().invoke(app, ["recipe", "show", "nothing"])
    assert done.exit_code and "quick" in str(done.exception)
