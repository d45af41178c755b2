"""All kinds of networks that learn or teach, and which of them a configuration or a folder means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pqrnn.checkpoint import Facts, load_checkpoint, load_weights, read_facts
from pqrnn.distillation.teacher import TeacherModel
from pqrnn.errors import CheckpointError
from pqrnn.model.length_config import check_lengths
from pqrnn.model.network import Network
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig, TeacherConfig
from runtime_py.decode.labels import Labels

NetworkConfig = ModelConfig | TeacherConfig


def make_network(config: NetworkConfig, labels: Labels) -> Network:
    """Return an untrained student or teacher, as the kind of the configuration says.

    Raises:
        TeacherError: what a teacher starts from cannot be loaded.
    """
    intents, tags = len(labels.intents), len(labels.tags)
    return (
        ParserModel(config, intents, tags) if isinstance(config, ModelConfig) else TeacherModel(config, intents, tags)
    )


def read_teacher(folder: Path) -> Facts[Any]:
    """Read what a fine-tuned encoder, or a parser that is to teach another one, says of itself.

    Raises:
        CheckpointError: there is none of them.
    """
    try:
        return read_facts(folder, TeacherConfig)
    except CheckpointError:
        return read_facts(folder, ModelConfig)


def carry_weights(teacher: TeacherModel, known: Labels, wanted: Labels) -> dict[str, Tensor]:
    """Return a teacher's weights for other labels.

    Rows of the heads go by label, and a label that the teacher does not know begins with zeros.
    """
    weights = dict(teacher.state_dict())
    for head, have, want in (("intent", known.intents, wanted.intents), ("tags", known.tags, wanted.tags)):
        row_of = {label: row for row, label in enumerate(have)}
        for part in (f"{head}.weight", f"{head}.bias"):
            rows = weights[part]
            weights[part] = torch.stack(
                [rows[row_of[label]] if label in row_of else torch.zeros_like(rows[0]) for label in want]
            )
    return weights


def load_teacher(folder: Path) -> tuple[Network, Facts[Any]]:
    """Load a teacher, or a parser, in evaluation mode.

    Raises:
        CheckpointError: there is none.
        TeacherError: what it was made from cannot be loaded.
    """
    facts = read_teacher(folder)
    if isinstance(facts.config, ModelConfig):
        checkpoint = load_checkpoint(folder)
        return checkpoint.model, checkpoint.facts
    model = make_network(facts.config, facts.labels)
    try:
        for each in facts.budgets:
            check_lengths(each.lengths, model.adaptive_layers)
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    load_weights(folder, model)
    return model.eval(), facts
