"""How a student is made, and the ways in which ablations differ from it: one setting at a time.

The default is the recipe of `pqrnn distill`, or of `pqrnn train` where there is no teacher: what users get is what is
taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pqrnn.errors import RecipeError
from pqrnn.recipes.fields import change
from pqrnn.recipes.recipes import RELATION_HEADS, DistillRecipe, TrainRecipe


class Student(msgspec.Struct, frozen=True, kw_only=True):
    """All that makes a student but its data.

    Attributes:
        recipe: The settings; without a teacher, those of distillation and of the transfer set count for nothing.
        teachers: How many of the given teachers are averaged; 0 learns from labels alone.
        unlabelled: Whether the teachers also answer texts of further data.
    """

    recipe: DistillRecipe
    teachers: int
    unlabelled: bool = False


class Setting(msgspec.Struct, frozen=True):
    """A difference from the default: `axis` and `value` for people, `changes` as `change_student` takes them."""

    axis: str
    value: str
    changes: dict[str, Any]

    @property
    def name(self) -> str:
        """What differs, in words."""
        return f"{self.axis} {self.value}".strip()


DEFAULT = Setting("default", "", {})


def _one(axis: str, field: str, *values: Any) -> list[Setting]:
    return [Setting(axis, str(value), {field: value}) for value in values]


def _width(name: str, features: int, bottleneck: int, state: int) -> Setting:
    changes = {
        "model.projection.word_features": features,
        "model.projection.ngram_features": features,
        "model.bottleneck": bottleneck,
        "model.state": state,
    }
    return Setting("width", name, changes)


_SUPERVISED = [
    *_one("word features", "model.projection.word_features", 128, 256, 1024),
    *_one("n-gram features", "model.projection.ngram_features", 0, 128, 256, 1024),
    *_one("context features", "model.context", 64, 256),
    *_one("bottleneck", "model.bottleneck", 64, 128, 384),
    *_one("state", "model.state", 64, 128, 256),
    *_one("layers", "model.layers", 1, 3),
    *_one("kernel", "model.kernel", 1, 3),
    *_one("norm", "model.norm", "none"),
    *_one("tag refinements", "model.refinements", 0),
    *_one("misspelled words", "training.misspell", 0.0, 0.1),
    # Everything grows together: the points between 100 kB and 4 MB of quality against bytes.
    _width("1/8", 64, 32, 24),
    _width("1/6", 128, 48, 32),
    _width("1/4", 192, 64, 48),
    _width("1/3", 256, 96, 64),
    _width("1/2", 256, 128, 96),
    _width("2/3", 384, 192, 128),
    _width("3/2", 640, 384, 272),
]
_DISTILLED = [
    *_one("temperature", "distillation.temperature", 1.0, 4.0),
    *(
        Setting("labels and teacher", f"{hard:g} : {soft:g}", {"distillation.hard": hard, "distillation.soft": soft})
        for hard, soft in ((0.0, 1.0), (0.5, 0.5), (0.7, 0.3))
    ),
    *_one("teacher", "teachers", 0),
    *_one("variants", "transfer.variants", 0, 2, 12),
    *_one("swapped slot values", "transfer.variant_swap", 0.0, 0.25, 0.75),
    *_one("recombined variants", "transfer.cross", 0.3),
    *_one("variants that lack a slot", "transfer.drop", 0.3),
    *_one("code-switched slot values", "transfer.switch", 0.3),
    *_one("misspelled words in variants", "transfer.variant_misspell", 0.05),
    *_one("texts drawn from n-grams", "transfer.sampled", 3.0),
    Setting("relations of words", "", {"distillation.relation_weight": 1.0, "transfer.relation_heads": RELATION_HEADS}),
]


def list_settings(base: Student, teachers: int, languages: int, further: bool = False) -> list[Setting]:
    """Return the default and every setting that differs from it in one thing and means something here.

    Args:
        base: the default.
        teachers: that there are, of which the default may use fewer.
        languages: of the data; code-switching needs two.
        further: whether there are texts without labels.
    """
    if not teachers:
        return [DEFAULT, *_differing(base, [*_SUPERVISED, *_one("swapped slot values", "training.swap", 0.0, 0.6)])]
    taught = [each for each in _DISTILLED if languages > 1 or "transfer.switch" not in each.changes]
    texts = [Setting("unlabelled texts", "", {"unlabelled": True})] if further else []
    return [
        DEFAULT,
        *_differing(base, [*_SUPERVISED, *taught, *texts, *_one("teachers", "teachers", *range(1, teachers + 1))]),
    ]


def _differing(base: Student, settings: Sequence[Setting]) -> list[Setting]:
    return [each for each in settings if change_student(base, each.changes) != base]


def default_student(teachers: int, overrides: Mapping[str, Any] | None = None) -> Student:
    """Return the student that the command line makes; it learns for all of its epochs.

    Args:
        teachers: How many there are to learn from; 0 for labels alone.
        overrides: Changes that all runs share.

    Raises:
        RecipeError: An override names no setting, or one that does not take the value.
    """
    supervised = TrainRecipe()
    recipe = DistillRecipe() if teachers else DistillRecipe(model=supervised.model, training=supervised.training)
    student = Student(recipe=change(recipe, {"training.patience": 0}), teachers=teachers)
    return change_student(student, overrides or {})


def change_student(student: Student, changes: Mapping[str, Any]) -> Student:
    """Return a student that differs: `{"model.state": 96, "teachers": 1}`.

    Raises:
        RecipeError: There is no such setting, or it does not take that value.
    """
    own = {name: value for name, value in changes.items() if name in ("teachers", "unlabelled")}
    rest = {name: value for name, value in changes.items() if name not in own}
    try:
        values = {**msgspec.structs.asdict(student), **own, "recipe": change(student.recipe, rest, "ablation")}
        return msgspec.convert(values, Student)
    except msgspec.ValidationError as error:
        raise RecipeError(f"ablation: {error}") from error
