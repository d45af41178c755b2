"""A trained parser's folder around a model that nobody trained."""

from __future__ import annotations

from pathlib import Path

from makers.small import CONFIG, LABELS, TEXTS, make_model
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.recipes.settings import ModelConfig


def write_run(folder: Path, *, locale: str = "en", seed: int = 0) -> Facts[ModelConfig]:
    """Write a checkpoint as `pqrnn train` would have, with figures that are made up, and return its facts."""
    figure = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 40}
    facts = Facts(
        config=CONFIG,
        labels=LABELS,
        data={"spec": "mtop:/somewhere/data/mtop/spans", "locale": locale, "train": "0" * 64, "dev": "1" * 64},
        revision="abc",
        training={"epochs": 3, "seed": seed, "best_epoch": 2, "settings": "x"},
        metrics={"dev": {name: figure for name in ("exact_match", "intent_accuracy", "slot_f1")}},
        lengths=[(4, 20, 30), (9, 48, 10)],
        golden_texts=TEXTS,
    )
    save_checkpoint(folder, make_model(seed), facts)
    return facts
