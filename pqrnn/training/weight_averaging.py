"""One parser from several: the mean of their weights.

It is often better than any of them and costs nothing on the device. This is a model soup (Wortsman et al. 2022,
arXiv:2203.05482): parsers that went on learning from the same weights, with other
seeds or settings, lie in one basin, and the mean lies deeper in it. Parsers that began apart do not average.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from pqrnn.checkpoint import Checkpoint, load_checkpoint, read_revision, save_checkpoint, training_identity
from pqrnn.data.examples import Example
from pqrnn.errors import AveragingError
from pqrnn.evaluation.calibrating import refit_calibration
from pqrnn.evaluation.frame_weights import decide_on
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.run_folder import FACTS

_OF_TRAINING = {"dropout", "word_dropout", "zoneout"}  # may differ: they are no part of what is shipped


def average_weights(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each tensor, summed in float64; of whole numbers, which count something, the first one's."""
    first = weights[0]
    return {
        name: torch.stack([each[name].double() for each in weights]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }


def average_checkpoints(folders: Sequence[Path], development: Sequence[Example], out: Path) -> dict[str, Any]:
    """Write the parser whose weights are the mean of others', and score it.

    Args:
        folders: Folders of trained parsers in float32, of one shape and for the same labels.
        development: Utterances that it is scored on.
        out: Folder that the checkpoint is written to.

    Returns:
        Its scores on the development set, as in a checkpoint.

    Raises:
        AveragingError: fewer than two parsers, of different shapes or labels, in 8 bits, or there is a trained parser
            in `out`.
        CheckpointError: one of them cannot be read.
    """
    if len(folders) < 2:
        raise AveragingError("one parser has nothing to be averaged with: give two or more")
    if (out / FACTS).is_file():
        raise AveragingError(f"{out}: holds a trained parser; choose another --out")
    parsers = [load_checkpoint(folder) for folder in folders]
    for folder, parser in zip(folders, parsers, strict=True):
        _check(folder, parser, folders[0], parsers[0])
    model, facts = parsers[0].model, parsers[0].facts
    model.load_state_dict(average_weights([parser.model.state_dict() for parser in parsers]))
    answers = compute_logits(model.folded(), [example.text for example in development])
    labels, scores = decide_on(facts.labels, development, answers)
    facts = msgspec.structs.replace(
        facts,
        labels=labels,
        revision=read_revision(),
        training={
            **facts.training,
            "averaged": [
                {"name": folder.name, "settings": training_identity(parser.facts)}
                for folder, parser in zip(folders, parsers, strict=True)
            ],
        },
        metrics={"dev": scores.as_dict()},
        calibration=refit_calibration(facts.calibration, labels, development, answers),
        budgets=[],  # were measured on other weights
    )
    out.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out, model, facts)
    return facts.metrics


def _check(folder: Path, parser: Checkpoint, other_folder: Path, other: Checkpoint) -> None:
    if parser.facts.config.precision != "float32":
        raise AveragingError(
            f"{folder}: in {parser.facts.config.weight_bits} bits, and the mean of roundings is none: average the "
            "parsers that were trained in float32, then quantize"
        )
    if parser.facts.labels.outputs() != other.facts.labels.outputs():
        raise AveragingError(f"{folder}: was trained for other labels than {other_folder}")
    for name in [name for name in parser.facts.config.__struct_fields__ if name not in _OF_TRAINING]:
        mine, its = getattr(parser.facts.config, name), getattr(other.facts.config, name)
        if mine != its:
            raise AveragingError(
                f"{folder}: {name} is {mine}, and that of {other_folder} is {its}; parsers to average have one shape"
            )
