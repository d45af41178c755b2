"""What the command line does, as functions: `import pqrnn; pqrnn.train("home:en", "runs/home")`.

Every function takes data as the command line does (`PATH`, `format:PATH`, `grammar:FILE`, `home:en`), writes a folder
that a stop at any time leaves whole, and goes on with the same call. Settings come as a recipe (`pqrnn.recipes`);
PyTorch is imported when a function runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pqrnn.errors import QuantizationError, TeacherError, TrainingError
from pqrnn.recipes.recipes import (
    RELATION_HEADS,
    DistillRecipe,
    FinetuneRecipe,
    QuantizeRecipe,
    TrainRecipe,
    settings_in,
    with_relation_heads,
)

if TYPE_CHECKING:
    from torch import Tensor

    from compile.pipeline import CompileOutcome
    from pqrnn.checkpoint import Checkpoint
    from pqrnn.data.examples import Example
    from pqrnn.data.training_data import TrainingData
    from pqrnn.evaluation.evaluate import Evaluation
    from pqrnn.recipes.settings import ModelConfig, TrainingConfig
    from pqrnn.training.reporting import TrainingOutcome, TrainingReporter

PathLike = str | Path
"""A path, as text or as `pathlib.Path`."""


def train(
    data: str,
    out: PathLike,
    *,
    recipe: TrainRecipe | None = None,
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    restart: bool = False,
    reporter: TrainingReporter | None = None,
) -> TrainingOutcome:
    """Train a parser on labelled utterances.

    Args:
        data: Labelled utterances.
        out: Folder for checkpoint, log and learning curves; an unfinished run in it is taken up again.
        recipe: Settings; by default those of `pqrnn train`.
        lang: Only these languages, as "en" or "en,de".
        dev: Development data, if not the `dev` split of `data`.
        dev_share: Share held out for development where there is no such split.
        restart: Throw away a run that is in `out`.
        reporter: Is told how the run goes.

    Returns:
        The folder, its development scores, and why training ended.

    Raises:
        DataError: There are no such data, or a file is wrong.
        TrainingError: The settings make no parser, or `out` holds a run with other settings.
    """
    recipe = recipe or TrainRecipe()
    check_shape(recipe.model)
    loaded = _load(data, dev, lang, dev_share, reporter)
    return _run(
        out,
        loaded,
        recipe.model,
        recipe.training,
        source={"spec": data, "locale": lang or ""},
        record=_record("train", recipe),
        restart=restart,
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
        reporter: As for `train`.

    Raises:
        DataError: There are no such data, or a file is wrong.
        TeacherError: The encoder cannot be loaded, or `initial` is no teacher.
        TrainingError: `out` holds a run with other settings.
    """
    recipe = recipe or FinetuneRecipe()
    loaded = _load(data, dev, lang, dev_share, reporter)
    weights = _carry_teacher(Path(initial), loaded.training) if initial is not None else None
    return _run(
        out,
        loaded,
        recipe.teacher,
        recipe.training,
        initial=weights,
        source={"spec": data, "locale": lang or ""},
        record=_record("finetune", recipe),
        restart=restart,
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
        initial: A trained parser of the same shape to go on from, as after a first round.
        lang: As for `train`.
        dev: As for `train`.
        dev_share: As for `train`.
        restart: As for `train`; the answers stay.
        reporter: As for `train`.
        on_answers: Is told of texts answered so far, and of all.

    Raises:
        DataError: There are no such data, or a file is wrong.
        TeacherError: There is no teacher, or it does not know a label of the data.
        CheckpointError: A teacher or `initial` cannot be read.
        TrainingError: The settings make no parser, or `out` holds a run with other settings.
    """
    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.data.unlabelled import load_unlabelled
    from pqrnn.distillation.labelling import label_transfer_set
    from pqrnn.distillation.logit_store import read_logits
    from pqrnn.distillation.objective import DistillationObjective
    from pqrnn.training.config import resolve_precision

    recipe = with_relation_heads(recipe or DistillRecipe())
    check_shape(recipe.model)
    if recipe.distillation.relation_weight and 2 * recipe.model.state % recipe.transfer.relation_heads:
        heads = recipe.transfer.relation_heads
        raise TrainingError(
            f"--relation-weight compares {heads} parts of the states: --state {recipe.model.state} has to be a "
            f"multiple of {RELATION_HEADS // 2}"
        )
    loaded = _load(data, dev, lang, dev_share, reporter)
    texts = load_unlabelled(unlabelled, data, lang, loaded.development)
    weights = load_checkpoint(Path(initial)).model.state_dict() if initial is not None else None
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
    return _run(
        out,
        loaded,
        recipe.model,
        training,
        objective=DistillationObjective(read_logits(store), recipe.distillation),
        initial=weights,
        source={"spec": data, "locale": lang or "", "unlabelled": ",".join(unlabelled)},
        record=_record("distill", recipe, teachers=[str(teacher) for teacher in teachers]),
        restart=restart,
        reporter=reporter,
    )


def quantize(
    run: PathLike,
    data: str,
    out: PathLike,
    *,
    recipe: QuantizeRecipe | None = None,
    logits: PathLike | None = None,
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    restart: bool = False,
    reporter: TrainingReporter | None = None,
) -> TrainingOutcome:
    """Turn a trained parser into one in 8 bits.

    Args:
        run: Folder of the trained parser.
        data: The data that it was trained on: they say how large activations become.
        out: Folder for the parser in 8 bits.
        recipe: Settings; by default those of `pqrnn quantize`. With epochs the parser learns on under the roundings of
            8 bits, with the settings of its own training.
        logits: A teacher's answers to learn from in these epochs, as `distill` leaves them.
        lang: As for `train`.
        dev: As for `train`.
        dev_share: As for `train`.
        restart: As for `train`.
        reporter: As for `train`.

    Raises:
        QuantizationError: The parser is in 8 bits already, `data` are others than it was trained on, `out` is `run` or
            holds a parser, or `logits` are given without epochs.
        CheckpointError: The parser cannot be read.
        DataError: There are no such data, or a file is wrong.
    """
    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.dataset.labels import list_labels
    from pqrnn.quantization import prepare_qat, quantize_checkpoint
    from pqrnn.training.reporting import TrainingOutcome
    from pqrnn.training.trainer import discard

    settings = (recipe or QuantizeRecipe()).quantization
    run, out = Path(run), Path(out)
    if out.resolve() == run.resolve():
        raise QuantizationError(f"{out}: that is the parser to quantize; choose another --out")
    if logits is not None and not settings.epochs:
        raise QuantizationError("--lessons are for learning: say for how long with --epochs")
    checkpoint = load_checkpoint(run)
    loaded = _load(data, dev, lang, dev_share, reporter)
    if list_labels(loaded.training).outputs() != checkpoint.facts.labels.outputs():
        raise QuantizationError(f"{data}: not the data that {run} was trained on: other intents or slots")
    if settings.epochs:
        prepared = prepare_qat(checkpoint.model, (example.text for example in loaded.training))
        return _run(
            out,
            loaded,
            prepared.config,
            _settings_of_run(checkpoint, settings.epochs, settings.learning_rate, settings.seed, settings.threads),
            objective=_objective_of_run(checkpoint, Path(logits)) if logits is not None else None,
            initial=prepared.state_dict(),
            source={"spec": data, "locale": lang or "", "quantized": str(run)},
            record=_record("quantize", recipe or QuantizeRecipe()),
            restart=restart,
            reporter=reporter,
        )
    if restart:
        discard(out)
    metrics = quantize_checkpoint(checkpoint, loaded.training, loaded.development, out)
    return TrainingOutcome(out, metrics, "done")


def average(
    runs: Sequence[PathLike],
    data: str,
    out: PathLike,
    *,
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
) -> TrainingOutcome:
    """Average the weights of parsers that went on learning from the same one; the result is as small as each of them.

    Args:
        runs: Folders of the parsers, in float32.
        data: Labelled utterances, for the development scores.
        out: Folder for the parser.
        lang: As for `train`.
        dev: As for `train`.
        dev_share: As for `train`.

    Raises:
        AveragingError: There are fewer than two parsers, or they differ in shape or labels.
        CheckpointError: One of them cannot be read.
        DataError: There are no such data, or a file is wrong.
    """
    from pqrnn.training.reporting import TrainingOutcome
    from pqrnn.training.weight_averaging import average_checkpoints

    loaded = _load(data, dev, lang, dev_share, None)
    return TrainingOutcome(
        Path(out), average_checkpoints([Path(run) for run in runs], loaded.development, Path(out)), "done"
    )


def evaluate(run: PathLike, data: str, *, split: str = "test", lang: str | None = None) -> Evaluation:
    """Score a trained parser or a teacher in PyTorch, with 95 % bootstrap intervals.

    Args:
        run: Folder of the parser or teacher.
        data: Labelled utterances.
        split: Which split of them.
        lang: Only these languages.

    Raises:
        CheckpointError: The parser cannot be read.
        DataError: There are no such data, or a file is wrong.
    """
    from pqrnn.data.loader import load_examples
    from pqrnn.distillation.loading import load_teacher
    from pqrnn.evaluation.evaluate import evaluate_predictions
    from pqrnn.evaluation.prediction import compute_logits

    model, facts = load_teacher(Path(run))
    examples = load_examples(data, split=split, locale=lang)
    predictions = compute_logits(model, [example.text for example in examples])
    return evaluate_predictions(examples, predictions, facts.labels.decoder())


def load_checkpoint(run: PathLike) -> Checkpoint:
    """Read a trained parser: its PyTorch model, ready for evaluation, and its facts.

    Raises:
        CheckpointError: A file is missing, damaged, or does not fit the other.
    """
    from pqrnn.checkpoint import load_checkpoint

    return load_checkpoint(Path(run))


def check_shape(model: ModelConfig) -> None:
    """Refuse a shape of which there is no parser.

    Raises:
        TrainingError: With the reason.
    """
    from pqrnn.model.parser import ParserModel

    try:
        ParserModel(model, intents=1, tags=1)
    except ValueError as error:
        raise TrainingError(f"these settings do not make a parser: {error}") from error


def _load(
    data: str, dev: str | None, lang: str | None, dev_share: float, reporter: TrainingReporter | None
) -> TrainingData:
    from pqrnn.data.training_data import load_training_data

    loaded = load_training_data(data, dev=dev, lang=lang, dev_share=dev_share)
    if loaded.note and reporter is not None:
        reporter.note(loaded.note)
    return loaded


def _run(
    out: PathLike,
    data: TrainingData,
    model: Any,
    config: TrainingConfig,
    *,
    source: Mapping[str, Any],
    record: Mapping[str, Any],
    objective: Any = None,
    initial: Mapping[str, Tensor] | None = None,
    restart: bool,
    reporter: TrainingReporter | None,
) -> TrainingOutcome:
    from pqrnn.distributed import join_process_group
    from pqrnn.training.config import resolve_precision
    from pqrnn.training.trainer import train

    join_process_group()
    return train(
        Path(out),
        data.training,
        data.development,
        model,
        resolve_precision(config),
        objective=objective,
        initial=initial,
        source=dict(source),
        record=dict(record),
        restart=restart,
        reporter=reporter,
    )


def _record(verb: str, recipe: msgspec.Struct, **more: Any) -> dict[str, Any]:
    """Return what a checkpoint keeps of how it was made, for `pqrnn recipe show RUN`."""
    return {"recipe": {"verb": verb, "settings": msgspec.to_builtins(recipe), **more}}


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


def _settings_of_run(
    checkpoint: Checkpoint, epochs: int, learning_rate: float, seed: int | None, threads: int
) -> TrainingConfig:
    """Return the settings of the parser's own training, but for those of a short one from a good parser."""
    from pqrnn.recipes.settings import TrainingConfig

    own = settings_in(checkpoint.facts.training, TrainingConfig)
    seed = own.seed if seed is None else seed
    return msgspec.structs.replace(
        own, epochs=epochs, learning_rate=learning_rate, patience=0, threads=threads, seed=seed
    )


def _objective_of_run(checkpoint: Checkpoint, logits: Path) -> Any:
    """Return a logit store's answers, weighed as in the parser's own distillation."""
    from pqrnn.distillation.logit_store import read_logits
    from pqrnn.distillation.objective import DistillationObjective
    from pqrnn.recipes.settings import DistillationConfig

    own = settings_in(checkpoint.facts.training.get("distillation", {}), DistillationConfig)
    return DistillationObjective(read_logits(logits), own)


def compile(
    run: PathLike,
    out: PathLike,
    targets: Sequence[str] = ("host",),
    *,
    replace: bool = False,
    batch: int = 1,
    on_progress: Callable[[Any], None] = lambda step: None,
) -> CompileOutcome:
    """Compile a trained parser into a package, and prove that the package answers like PyTorch.

    Args:
        run: Folder of the trained parser.
        out: The package, a folder.
        targets: What is compiled for; "host" is this machine only, "all" every target that can leave it.
        replace: Replace a package that is there.
        batch: Also compile functions for this many texts at once.
        on_progress: Is told of every step (`compile.support.progress.Progress`).

    Raises:
        CompileError: A stage failed; its class says which.
        CheckpointError: The parser cannot be read.
        TargetError: A target is unknown.
    """
    from compile.options import CompileOptions
    from compile.pipeline import compile_checkpoint

    options = CompileOptions(replace=replace, batch=batch)
    return compile_checkpoint(Path(run), Path(out), targets, options, on_progress=on_progress)
