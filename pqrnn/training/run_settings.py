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
from pqrnn.model.retired_options import add_retired_options
from pqrnn.recipes.settings import ModelConfig, TrainingConfig


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
            add_retired_options(shape) if isinstance(self.model, ModelConfig) else shape,
            {name: value for name, value in msgspec.to_builtins(self.config).items() if name != "threads"},
            self.data["train"],
            self.data["dev"],
        ]
        if self.objective is not None:
            decisive += [msgspec.to_builtins(self.objective.config), self.data["lessons"]]
        if "initial" in self.data:
            decisive.append(self.data["initial"])
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the settings of the training as a checkpoint keeps them."""
        settings = msgspec.to_builtins(self.config)
        if self.objective is not None:
            settings["distillation"] = msgspec.to_builtins(self.objective.config)
            settings["teachers"] = self.objective.store.index.teachers
        return settings


def hash_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights and their names.

    The names are those of earlier versions, so that a run that one of them began or finished is recognised.
    """
    named = {re.sub(r"\bamax$", AMAX_BEFORE, name): value for name, value in weights.items()}
    return hashlib.sha256(save(named)).hexdigest()
