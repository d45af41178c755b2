"""Small transformers on the projection, as if after training: words decide, not biases."""

from __future__ import annotations

from pathlib import Path

import torch

from makers.small import LABELS, TEXTS
from makers.trained import pretend_trained
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig


def make_transformer(config: ModelConfig) -> ParserModel:
    """Return a transformer for the labels of `makers.small`."""
    torch.manual_seed(0)
    model = pretend_trained(ParserModel(config, len(LABELS.intents), len(LABELS.tags)))
    with torch.no_grad():
        for head in (model.intent, model.tags):
            head.weight.mul_(5.0)
    return model


def save_transformer(folder: Path, model: ParserModel) -> None:
    """Write a checkpoint of such a model."""
    facts = Facts(
        config=model.config,
        labels=LABELS,
        data={},
        revision="abc",
        training={},
        metrics={"dev": {}},
        lengths=[(4, 16, 10), (14, 60, 20)],
        golden_texts=TEXTS,
    )
    save_checkpoint(folder, model, facts)
