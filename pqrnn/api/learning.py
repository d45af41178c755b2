"""Functions that train a network: a parser from labels, a teacher from an encoder, a parser from a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pqrnn.api.encoders import begin_with
from pqrnn.api.runs import PathLike, check_shape, load_data, record_recipe, run_training
from pqrnn.errors import TeacherError, TrainingError
from pqrnn.recipes.recipes import RELATION_HEADS, DistillRecipe, FinetuneRecipe, TrainRecipe, with_relation_heads

if TYPE_CHECKING:
    from torch import Tensor

    from pqrnn.data.examples import Example
    from pqrnn.training.reporting import TrainingOutcome, TrainingReporter


def train(
    data: str,
    out: PathLike,
    *,
    recipe: TrainRecipe | None = None,
    initial: PathLike | None = None,
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
) -> TrainingOutcome:
    """Train a parser on labelled utterances.

    Args:
        data: Labelled utterances.
        out: Folder for checkpoint, log and learning curves; an unfinished run in it is taken up again.
        recipe: Settings; by default those of `pqrnn train`.
        initial: An encoder to begin with (`distill_encoder`), or a trained parser of the same shape and labels.
        lang: Only these languages, as "en" or "en,de".
        dev: Development data, if not the `dev` split of `data`.
        dev_share: Share held out for development where there is no such split.
        restart: Throw away a run that is in `out`.
        finish: End an unfinished run in `out` where it is, and keep its best epoch.
        reporter: Is told how the run goes.

    Returns:
        The folder, its development scores, and why training ended.

    Raises:
        DataError: There are no such data, or a file is wrong.
        CheckpointError: `initial` cannot be read.
        TrainingError: The settings make no parser, or `out` holds a run with other settings.
    """
    recipe = recipe or TrainRecipe()
    check_shape(recipe.model)
    loaded = load_data(data, dev, lang, dev_share, reporter, recipe.model.projection.version)
    weights = begin_with(initial, recipe.model, loaded.training, recipe.training.seed) if initial is not None else None
    return run_training(
        out,
        loaded,
        recipe.model,
        recipe.training,
        initial=weights,
        source={"spec": data, "locale": lang or ""},
        record=record_recipe("train", recipe),
        restart=restart,
        finish=finish,
        reporter=reporter,
    )


def finetune(
    data: str,
    out: PathLike,
    *,
    recipe: FinetuneRecipe | None = None,
    initial: PathLike | None = None,
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
) -> TrainingOutcome:
    """Fine-tune a pre-trained encoder on labelled utterances: a teacher for `distill`.

    Args:
        data: Labelled utterances.
        out: Folder for the teacher.
        recipe: Settings; by default those of `pqrnn finetune`.
        initial: A teacher of the same encoder to go on from; labels are matched by name.
        lang: As for `train`.
        dev: As for `train`.
        dev_share: As for `train`.
        restart: As for `train`.
        finish: As for `train`.
        reporter: As for `train`.

    Raises:
        DataError: There are no such data, or a file is wrong.
        TeacherError: The encoder cannot be loaded, or `initial` is no teacher.
        TrainingError: `out` holds a run with other settings.
    """
    recipe = recipe or FinetuneRecipe()
    loaded = load_data(data, dev, lang, dev_share, reporter)
    weights = _carry_teacher(Path(initial), loaded.training) if initial is not None else None
    return run_training(
        out,
        loaded,
        recipe.teacher,
        recipe.training,
        initial=weights,
        source={"spec": data, "locale": lang or ""},
        record=record_recipe("finetune", recipe),
        restart=restart,
        finish=finish,
        reporter=reporter,
    )


def distill(
    data: str,
    out: PathLike,
    teachers: Sequence[PathLike],
    *,
    recipe: DistillRecipe | None = None,
    unlabelled: Sequence[str] = (),
    logits: PathLike | None = None,
    initial: PathLike | None = None,
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
    on_answers: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingOutcome:
    """Train a parser on labels and on the answers of one or more teachers.

    Args:
        data: Labelled utterances.
        out: Folder for the parser.
        teachers: Folders of teachers (`finetune`) or larger parsers; the mean of their probabilities is what is taught.
        recipe: Settings; by default those of `pqrnn distill`.
        unlabelled: Further data whose texts the teachers answer; texts of the test split are left out.
        logits: Folder for the teachers' answers, made once and shared by runs; by default `out`/lessons.
        initial: A trained parser of the same shape to go on from, as after a first round; or an encoder to begin with.
        lang: As for `train`.
        dev: As for `train`.
        dev_share: As for `train`.
        restart: As for `train`; the answers stay.
        finish: As for `train`.
        reporter: As for `train`.
        on_answers: Is told of texts answered so far, and of all.

    Raises:
        DataError: There are no such data, or a file is wrong.
        TeacherError: There is no teacher, or it does not know a label of the data.
        CheckpointError: A teacher or `initial` cannot be read.
        TrainingError: The settings make no parser, or `out` holds a run with other settings.
    """
    from pqrnn.data.unlabelled import load_unlabelled
    from pqrnn.distillation.labelling import label_transfer_set
    from pqrnn.distillation.logit_store import read_logits
    from pqrnn.distillation.objective import DistillationObjective
    from pqrnn.training.config import resolve_precision

    recipe = with_relation_heads(recipe or DistillRecipe())
    check_shape(recipe.model)
    heads = recipe.transfer.relation_heads
    if recipe.distillation.relation_weight and recipe.model.states % heads:
        shape = (
            f"--state {recipe.model.state} has to be a multiple of {RELATION_HEADS // 2}"
            if recipe.model.network == "qrnn"
            else f"--width {recipe.model.states} has to be a multiple of {RELATION_HEADS}"
        )
        raise TrainingError(f"--relation-weight compares {heads} parts of the states: {shape}")
    loaded = load_data(data, dev, lang, dev_share, reporter, recipe.model.projection.version)
    texts = load_unlabelled(unlabelled, data, lang, loaded.development)
    weights = begin_with(initial, recipe.model, loaded.training, recipe.training.seed) if initial is not None else None
    store = Path(logits) if logits is not None else Path(out) / "lessons"
    training = resolve_precision(recipe.training)
    label_transfer_set(
        store,
        [Path(teacher) for teacher in teachers],
        loaded.training,
        texts,
        recipe.transfer,
        precision=training.precision,
        on_progress=on_answers,
    )
    return run_training(
        out,
        loaded,
        recipe.model,
        training,
        objective=DistillationObjective(read_logits(store), recipe.distillation),
        initial=weights,
        source={"spec": data, "locale": lang or "", "unlabelled": ",".join(unlabelled)},
        record=record_recipe("distill", recipe, teachers=[str(teacher) for teacher in teachers]),
        restart=restart,
        finish=finish,
        reporter=reporter,
    )


def _carry_teacher(folder: Path, training: Sequence[Example]) -> dict[str, Tensor]:
    from pqrnn.dataset.labels import list_labels
    from pqrnn.distillation.loading import carry_weights, load_teacher
    from pqrnn.distillation.teacher import TeacherModel

    teacher, facts = load_teacher(folder)
    if not isinstance(teacher, TeacherModel):
        raise TeacherError(
            f"{folder}: a parser, expected a fine-tuned encoder to go on from; `pqrnn distill --initial` goes on from "
            "parsers"
        )
    return carry_weights(teacher, facts.labels, list_labels(training))
