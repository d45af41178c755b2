"""How a student is made, as data, and the ways in which ablations differ from it: one at a time.

The default is that of the command line (`pqrnn distill`, or `pqrnn train` where there is no teacher): what users get is
what is taken apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pqrnn.cli.distill import RELATION_HEADS, distill
from pqrnn.cli.train import train
from pqrnn.distillation.objective import DistillationConfig
from pqrnn.distillation.transfer_set import TransferConfig
from pqrnn.features.projection import ProjectionConfig
from pqrnn.model.config import ModelConfig
from pqrnn.training.config import TrainingConfig


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """All that makes a student but its data.

    Attributes:
        projection: of words to features.
        model: shape of the network; its own projection is that above.
        training: settings of the run.
        distillation: how the teachers' answers are weighed.
        lessons: what the teachers are asked about.
        teachers: how many of the given ones are averaged; 0 learns from labels alone, and then the two above count for
            nothing.
        unlabelled: whether the teachers also answer texts of further data.
    """

    projection: ProjectionConfig
    model: ModelConfig
    training: TrainingConfig
    distillation: DistillationConfig
    lessons: TransferConfig
    teachers: int
    unlabelled: bool = False

    @property
    def shape(self) -> ModelConfig:
        """The network."""
        return msgspec.structs.replace(self.model, projection=self.projection)


class Setting(msgspec.Struct, frozen=True):
    """A difference from the default: `axis` and `value` for people, `changes` as `change_recipe` takes them."""

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
        "projection.word_features": features,
        "projection.ngram_features": features,
        "model.bottleneck": bottleneck,
        "model.state": state,
    }
    return Setting("width", name, changes)


_SUPERVISED = [
    *_one("word features", "projection.word_features", 128, 256, 1024),
    *_one("n-gram features", "projection.ngram_features", 0, 128, 256, 1024),
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
    *_one("variants", "lessons.variants", 0, 2, 12),
    *_one("swapped slot values", "lessons.swap", 0.0, 0.25, 0.75),
    *_one("recombined variants", "lessons.cross", 0.3),
    *_one("variants that lack a slot", "lessons.drop", 0.3),
    *_one("code-switched slot values", "lessons.switch", 0.3),
    *_one("misspelled words in variants", "lessons.misspell", 0.05),
    *_one("texts drawn from n-grams", "lessons.sampled", 3.0),
    Setting("relations of words", "", {"distillation.relations": 1.0, "lessons.relations": RELATION_HEADS}),
]


def list_settings(base: Recipe, teachers: int, languages: int, further: bool = False) -> list[Setting]:
    """Return the default and every setting that differs from it in one thing and means something here.

    Args:
        base: the default.
        teachers: that there are, of which the default may use fewer.
        languages: of the data; code-switching needs two.
        further: whether there are texts without labels.
    """
    if not teachers:
        return [DEFAULT, *_differing(base, [*_SUPERVISED, *_one("swapped slot values", "training.swap", 0.0, 0.6)])]
    taught = [each for each in _DISTILLED if languages > 1 or "lessons.switch" not in each.changes]
    texts = [Setting("unlabelled texts", "", {"unlabelled": True})] if further else []
    return [
        DEFAULT,
        *_differing(base, [*_SUPERVISED, *taught, *texts, *_one("teachers", "teachers", *range(1, teachers + 1))]),
    ]


def _differing(base: Recipe, settings: Sequence[Setting]) -> list[Setting]:
    return [each for each in settings if change_recipe(base, each.changes) != base]


def default_recipe(teachers: int, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe of the command line.

    Args:
        teachers: how many there are to learn from; 0 for labels alone.
        overrides: changes that all runs share.

    Raises:
        ValueError: an override names no setting.
    """
    learned, taught = _defaults(train), _defaults(distill)
    given = {**learned, **taught} if teachers else learned
    recipe = Recipe(
        projection=ProjectionConfig(word_features=given["features"], ngram_features=given["ngram_features"]),
        model=ModelConfig(**_fields(ModelConfig, given, "precision")),
        training=TrainingConfig(
            **{**_fields(TrainingConfig, given, "precision", "swap"), "swap": learned["swap"], "patience": 0}
        ),
        distillation=DistillationConfig(
            **{**_fields(DistillationConfig, taught, "intent_weight"), "intent_weight": taught["soft_intent_weight"]}
        ),
        lessons=TransferConfig(
            **_fields(TransferConfig, taught, "seed", "misspell", "relations")
        ),  # the option of that name is a weight
        teachers=teachers,
    )
    return change_recipe(recipe, overrides or {})


def change_recipe(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return a recipe that differs: `{"model.state": 96, "teachers": 1}`.

    Raises:
        ValueError: there is no such setting, or it does not take that value.
    """
    for name, value in changes.items():
        part, _, field = name.rpartition(".")
        struct = getattr(recipe, part, None) if part else recipe
        if struct is None or field not in getattr(struct, "__struct_fields__", ()):
            known = [
                f"{group}.{each}"
                for group in Recipe.__struct_fields__
                for each in getattr(getattr(recipe, group), "__struct_fields__", ())
            ]
            raise ValueError(f"{name}: no such setting; expected one of teachers, unlabelled, {', '.join(known)}")
        changed = (
            msgspec.convert({**msgspec.structs.asdict(struct), field: value}, type(struct))
            if part
            else msgspec.structs.replace(recipe, **{field: value})
        )
        recipe = msgspec.structs.replace(recipe, **{part: changed}) if part else changed
    return recipe


def _defaults(verb: Callable[..., None]) -> dict[str, Any]:
    return {
        name: each.default
        for name, each in inspect.signature(verb).parameters.items()
        if each.default is not inspect.Parameter.empty
    }


def _fields(kind: type[msgspec.Struct], values: Mapping[str, Any], *without: str) -> dict[str, Any]:
    return {name: values[name] for name in kind.__struct_fields__ if name in values and name not in without}
