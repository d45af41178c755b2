"""Functions for encoders that learn from a larger one without a task, and for parsers that begin with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pqrnn.api.runs import PathLike, check_shape
from pqrnn.errors import DataError, TrainingError
from pqrnn.recipes.encoder_settings import DistillEncoderRecipe
from pqrnn.recipes.settings import TransformerConfig

if TYPE_CHECKING:
    from torch import Tensor

    from pqrnn.data.examples import Example
    from pqrnn.encoders.run import EncoderOutcome
    from pqrnn.recipes.settings import ModelConfig
    from pqrnn.training.reporting import TrainingReporter


def distill_encoder(
    teacher: str,
    out: PathLike,
    *,
    data: Sequence[str] = (),
    text: Sequence[PathLike] = (),
    recipe: DistillEncoderRecipe | None = None,
    lang: str | None = None,
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
) -> EncoderOutcome:
    """Distil a small encoder from a large one, from texts without labels.

    Args:
        teacher: Encoder of BERT's family: `minilm`, a folder in the Hugging Face layout, or an id on its hub.
        out: Folder for the encoder; an unfinished run in it is taken up again. `train` and `distill` begin with an
            encoder of words (`initial`), `finetune` takes one of subwords as its encoder.
        data: Data sets whose texts are learned from; those of their test splits are left out.
        text: Plain files of texts, one a line.
        recipe: Settings; by default those of `pqrnn distill-encoder`.
        lang: Only these languages of the data sets.
        restart: Throw away a run that is in `out`.
        finish: End an unfinished run in `out` where it is.
        reporter: Is told how the run goes.

    Raises:
        DataError: There are no such data, or too few.
        TeacherError: The teacher cannot be loaded, or cannot teach this.
        TrainingError: The settings do not suit each other, or `out` holds a run with other settings.
    """
    from pqrnn.distributed import join_process_group, world_size
    from pqrnn.encoders.run import run
    from pqrnn.encoders.teachers import EncoderTeacher
    from pqrnn.encoders.texts import load_texts, make_corpus

    recipe = _settle(recipe or DistillEncoderRecipe())
    check_shape(recipe.model)
    if not data and not text:
        raise DataError("no texts to learn from: give data sets with --data, or plain files with --text")
    join_process_group()
    if world_size() > 1:
        raise TrainingError("an encoder is distilled in one process: run it without torchrun")
    texts, left_out = load_texts(data, [Path(file) for file in text], lang)
    corpus = make_corpus(texts, recipe.training.longest, left_out, recipe.model.projection.version)
    return run(
        Path(out),
        EncoderTeacher(teacher, recipe.objective.teacher_layer),
        corpus,
        recipe,
        source={"teacher": teacher, "data": list(data), "text": [str(file) for file in text], "locale": lang or ""},
        restart=restart,
        finish=finish,
        reporter=reporter,
    )


def _settle(recipe: DistillEncoderRecipe) -> DistillEncoderRecipe:
    """Return the recipe with the settings that one network has for another left at their defaults."""
    if recipe.model.network != "qrnn":
        return recipe
    if recipe.model.transformer != DistillEncoderRecipe().model.transformer:
        return recipe  # somebody chose them: the check of the shape says that they have no effect
    model = msgspec.structs.replace(recipe.model, transformer=TransformerConfig())
    return msgspec.structs.replace(recipe, model=model)


def begin_with(initial: PathLike, model: ModelConfig, training: Sequence[Example], seed: int) -> dict[str, Tensor]:
    """Return the weights that a parser begins with: those of an encoder or of a trained parser.

    Heads of an encoder are drawn from the seed; those of a parser go by label, and a label that it does not know begins
    with zeros.

    Args:
        initial: Folder of a distilled encoder of words, or of a trained parser.
        model: Shape of the parser to be.
        training: Its training utterances, which say its labels.
        seed: Seed of the run.

    Raises:
        CheckpointError: There is neither, or it cannot be read.
        TrainingError: It has another shape.
    """
    import torch

    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.dataset.labels import list_labels
    from pqrnn.encoders.checkpoint import is_encoder, load_body
    from pqrnn.model.parser import ParserModel

    folder = Path(initial)
    if not is_encoder(folder):
        return load_checkpoint(folder).model.state_dict()
    labels = list_labels(training)
    torch.manual_seed(seed)
    made = ParserModel(model, len(labels.intents), len(labels.tags))
    weights: dict[str, Any] = made.state_dict() | load_body(folder, model)
    return weights
