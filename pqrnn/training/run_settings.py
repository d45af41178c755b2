"""What a training run is about: its settings, their fingerprint, and what its checkpoint says of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from safetensors.torch import save
from torch import Tensor

from pqrnn.distillation.loading import NetworkConfig
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.model.int8 import AMAX_BEFORE
from pqrnn.model.retired_options import add_retired_options, drop_absent, drop_transformer
from pqrnn.recipes.fields import list_fields
from pqrnn.recipes.recipes import settings_in
from pqrnn.recipes.settings import ModelConfig, TrainingConfig

# What a run learns from, by the names that checkpoints have, and as people are told of it.
DATA = {
    "train": "the training utterances",
    "dev": "the development utterances",
    "lessons": "the teacher's answers",
    "initial": "the weights to start from",
}


class Difference(NamedTuple):
    """A setting that differs between a run and what is asked for now.

    Attributes:
        path: Its section and name, as "training.epochs".
        text: What differs, for people: the option or path with both values, or which data are others.
        before: The value of the run.
        now: The value that is asked for.
    """

    path: str
    text: str
    before: Any = None
    now: Any = None


class RunSettings(NamedTuple):
    """All that decides the result of a run, and what else its checkpoint keeps.

    Attributes:
        model: Shape of the network.
        config: Settings of the training.
        data: Where the data came from, with the fingerprints of both splits, of the logit store and of initial weights.
        objective: A teacher's answers and their weights; None where the labels alone are learned.
        record: What else the checkpoint keeps of how it was made; it does not decide the result.
    """

    model: NetworkConfig
    config: TrainingConfig
    data: dict[str, Any]
    objective: DistillationObjective | None
    record: Mapping[str, Any]

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that decides the result."""
        shape = msgspec.to_builtins(self.model)
        decisive = [
            add_retired_options(drop_absent(drop_transformer(shape))) if isinstance(self.model, ModelConfig) else shape,
            drop_absent({name: value for name, value in msgspec.to_builtins(self.config).items() if name != "threads"}),
            self.data["train"],
            self.data["dev"],
        ]
        if self.objective is not None:
            decisive += [msgspec.to_builtins(self.objective.config), self.data["lessons"]]
        if "initial" in self.data:
            decisive.append(self.data["initial"])
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def sections(self) -> dict[str, msgspec.Struct]:
        """Return the structs that decide the result, by name."""
        sections: dict[str, msgspec.Struct] = {"model": self.model, "training": self.config}
        if self.objective is not None:
            sections["distillation"] = self.objective.config
        return sections

    def describe(self) -> dict[str, Any]:
        """Return all that decides the result, by name, as an unfinished run keeps it."""
        sections = {name: msgspec.to_builtins(section) for name, section in self.sections().items()}
        return {**sections, "data": {name: self.data[name] for name in DATA if name in self.data}}

    def as_dict(self) -> dict[str, Any]:
        """Return the settings of the training as a checkpoint keeps them."""
        settings = msgspec.to_builtins(self.config)
        if self.objective is not None:
            settings["distillation"] = msgspec.to_builtins(self.objective.config)
            settings["teachers"] = self.objective.store.index.teachers
        return settings


def compare_settings(before: Mapping[str, Any], settings: RunSettings) -> list[Difference]:
    """Return what differs between a run and settings that are asked for, `threads` left out.

    Args:
        before: The settings of the run (`RunSettings.describe`).
        settings: What is asked for.
    """
    found = []
    sections = settings.sections()
    for name in dict.fromkeys([*sections, *(name for name in before if name != "data")]):
        stored, section = before.get(name), sections.get(name)
        if stored is None or section is None:
            found.append(Difference(name, f"one {'has' if stored is None else 'had'} {name} settings, one none"))
        elif not set(stored) & {field.encode_name for field in msgspec.structs.fields(section)}:
            found.append(Difference(name, "another kind of network"))
        else:
            found += _compare_fields(name, stored, section)
    data = before.get("data", {})
    return found + [
        Difference(f"data.{name}", f"{text} are others")
        for name, text in DATA.items()
        if data.get(name) != settings.data.get(name)
    ]


def _compare_fields(name: str, stored: Mapping[str, Any], section: msgspec.Struct) -> list[Difference]:
    try:
        earlier = {field.path: field.value for field in list_fields(settings_in(stored, type(section)))}
    except msgspec.ValidationError as error:
        return [Difference(name, f"{name} settings that this version cannot read: {error}")]
    return [
        Difference(
            f"{name}.{field.path}",
            f"{field.flag or f'{name}.{field.path}'} {earlier[field.path]} there, {field.value} here",
            earlier[field.path],
            field.value,
        )
        for field in list_fields(section)
        if field.path != "threads" and earlier[field.path] != field.value
    ]


def hash_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights and their names.

    The names are those of earlier versions, so that a run that one of them began or finished is recognised.
    """
    named = {re.sub(r"\bamax$", AMAX_BEFORE, name): value for name, value in weights.items()}
    return hashlib.sha256(save(named)).hexdigest()
