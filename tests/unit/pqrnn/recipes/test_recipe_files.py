"""Recipes as TOML: all that is written is read back, what is left out is the default, what is wrong is named."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pqrnn.errors import RecipeError
from pqrnn.recipes.fields import change, list_fields, overlay
from pqrnn.recipes.files import read_recipe, shipped_recipes, write_recipe
from pqrnn.recipes.recipes import VERBS, BuildRecipe, DistillRecipe, TrainRecipe, recipe_of_round


@pytest.mark.parametrize("verb", sorted(VERBS))
@pytest.mark.parametrize("describe", [True, False])
def test_what_is_written_is_read_back(verb: str, describe: bool, tmp_path: Path) -> None:
    recipe = VERBS[verb]
    path = tmp_path / "recipe.toml"
    path.write_text(write_recipe(recipe, describe=describe))
    assert read_recipe(path, recipe) == recipe
    document = tomllib.loads(path.read_text())
    assert set(document) <= set(type(recipe).__struct_fields__)


def test_values_that_differ_from_the_default_survive_a_file(tmp_path: Path) -> None:
    recipe = change(
        BuildRecipe(),
        {
            "seeds": [4],
            "train.model.pool_peaks": False,
            "finetune.teacher.encoder": 'a "b" \\ c',
            "compile.targets": ["vulkan"],
        },
    )
    path = tmp_path / "recipe.toml"
    path.write_text(write_recipe(recipe))
    assert read_recipe(path, BuildRecipe()) == recipe


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_can_be_read(name: str) -> None:
    assert read_recipe(name, BuildRecipe()) != BuildRecipe()


def test_rounds_start_from_those_of_the_default() -> None:
    document: dict[str, Any] = {"rounds": [{"training": {"epochs": 3}}]}
    recipe = overlay(BuildRecipe(), document, "here")
    assert len(recipe.rounds) == 1
    assert recipe.rounds[0].training.epochs == 3
    assert recipe.rounds[0].training.smoothing == BuildRecipe().rounds[0].training.smoothing
    longer = overlay(BuildRecipe(), {"rounds": [{}, {}, {"dropout": 0.1}]}, "here")
    assert longer.rounds[1] == BuildRecipe().rounds[1]
    assert longer.rounds[2] == msgspec.structs.replace(BuildRecipe().rounds[1], dropout=0.1)


def test_a_round_has_the_shape_of_the_build() -> None:
    recipe = change(BuildRecipe(), {"train.model.state": 64})
    distilled = recipe_of_round(recipe, 1, 7)
    assert distilled.model.state == 64
    assert distilled.model.dropout == recipe.rounds[1].dropout
    assert distilled.training.seed == 7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("epochs = 3", "did you mean training.epochs"),
        ("[training]\nepoch = 3", "did you mean training.epochs"),
        ("[trainings]\nepochs = 3", "did you mean training"),
        ("[training]\nepochs = 0", ">= 1"),
        ("[training]\nepochs = 'many'", "training.epochs: Expected `int`"),
        ("training = 3", "expected a section"),
        ("[model]\ndropout = 1.5", "model.dropout: Expected `float` <= 1.0"),
        ("[training]\nprecision = 'half'", "'float32' or 'bfloat16'"),
        ("[training", "not TOML"),
        ("\ufeff[zzz]\nqqq = 1", "not TOML"),
        ("[zzz]\nqqq = 1", "expected one of model, training"),
    ],
)
def test_mistakes_are_named_with_the_file_and_what_was_meant(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, TrainRecipe())
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said_with_the_shipped_names() -> None:
    with pytest.raises(RecipeError, match="quick"):
        read_recipe("nowhere.toml", TrainRecipe())


def test_paths_are_unique_and_lead_to_their_values() -> None:
    recipe = DistillRecipe()
    fields = list(list_fields(recipe))
    assert len({field.path for field in fields}) == len(fields)
    for field in fields:
        value: Any = recipe
        for name in field.path.split("."):
            value = getattr(value, name)
        assert value == field.value
        assert change(recipe, {field.path: field.value}) == recipe


def test_a_recipe_of_a_build_holds_the_goals_of_parity(tmp_path: Path) -> None:
    from runtime_py.parity.goals import ParityGoals, read_goals

    recipe = tmp_path / "home.toml"
    recipe.write_text("[parity]\nmin_retention = 0.97\nmax_flips = 2\n")
    chosen = read_recipe(recipe, BuildRecipe())
    assert (chosen.parity.min_retention, chosen.parity.max_flips, chosen.parity.max_drop) == (0.97, 2, None)
    assert read_goals(recipe) == ParityGoals(min_retention=0.97, max_flips=2)
    recipe.write_text(write_recipe(chosen))
    assert read_goals(recipe) == ParityGoals(min_retention=0.97, max_flips=2)
    recipe.write_text(write_recipe(BuildRecipe()))
    assert read_goals(recipe) == ParityGoals()
    # Both know the same goals.
    assert set(ParityGoals.__struct_fields__) == set(chosen.parity.__struct_fields__)
    recipe.write_text("[parity]\nmin_retention = -1.0\n")
    with pytest.raises(RecipeError, match="min_retention"):
        read_recipe(recipe, BuildRecipe())
