"""Functions that take a trained parser further: 8 bits, averages, scores, packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pqrnn.api.runs import PathLike, load_data, record_recipe, run_training
from pqrnn.errors import QuantizationError
from pqrnn.recipes.recipes import QuantizeRecipe, settings_in

if TYPE_CHECKING:
    from compile.pipeline import CompileOutcome
    from pqrnn.checkpoint import Checkpoint
    from pqrnn.evaluation.evaluate import Evaluation
    from pqrnn.recipes.settings import TrainingConfig
    from pqrnn.training.reporting import TrainingOutcome, TrainingReporter
    from runtime_py.decode.labels import Labels


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
    finish: bool = False,
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
        finish: As for `train`; of the epochs alone.
        reporter: As for `train`.

    Raises:
        QuantizationError: The parser is in 8 bits already, `data` are others than it was trained on, `out` is `run` or
            holds a parser, or `logits` or `finish` are given without epochs.
        CheckpointError: The parser cannot be read.
        DataError: There are no such data, or a file is wrong.
    """
    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.dataset.labels import list_labels
    from pqrnn.quantization import prepare_qat, quantize_checkpoint
    from pqrnn.training.artifacts import discard
    from pqrnn.training.reporting import TrainingOutcome

    settings = (recipe or QuantizeRecipe()).quantization
    run, out = Path(run), Path(out)
    if out.resolve() == run.resolve():
        raise QuantizationError(f"{out}: that is the parser to quantize; choose another --out")
    if logits is not None and not settings.epochs:
        raise QuantizationError("--lessons are for learning: say for how long with --epochs")
    if finish and not settings.epochs:
        raise QuantizationError("--finish ends a run that learns: give the --epochs that it was begun with")
    checkpoint = load_checkpoint(run)
    loaded = load_data(data, dev, lang, dev_share, reporter, checkpoint.facts.config.projection.version)
    if not _are_labels_of(checkpoint, list_labels(loaded.training), learned=bool(settings.epochs)):
        raise QuantizationError(f"{data}: not the data that {run} was trained on: other intents or slots")
    if settings.epochs:
        prepared = prepare_qat(checkpoint.model, loaded.training, settings.bits)
        return run_training(
            out,
            loaded,
            prepared.config,
            _shorten_training(checkpoint, settings.epochs, settings.learning_rate, settings.seed, settings.threads),
            objective=_read_objective(checkpoint, Path(logits)) if logits is not None else None,
            initial=prepared.state_dict(),
            source={"spec": data, "locale": lang or "", "quantized": str(run)},
            record=record_recipe("quantize", recipe or QuantizeRecipe()),
            restart=restart,
            finish=finish,
            reporter=reporter,
        )
    if restart:
        discard(out)
    metrics = quantize_checkpoint(checkpoint, loaded.training, loaded.development, out, settings.bits)
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

    loaded = load_data(data, dev, lang, dev_share, None)
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
    return evaluate_predictions(examples, predictions, facts.labels.decoder(facts.calibration))


def load_checkpoint(run: PathLike) -> Checkpoint:
    """Read a trained parser: its PyTorch model, ready for evaluation, and its facts.

    Raises:
        CheckpointError: A file is missing, damaged, or does not fit the other.
    """
    from pqrnn.checkpoint import load_checkpoint

    return load_checkpoint(Path(run))


def compile(
    run: PathLike,
    out: PathLike,
    targets: Sequence[str] = ("host",),
    *,
    replace: bool = False,
    batch: int = 1,
    native: bool = False,
    on_progress: Callable[[Any], None] = lambda step: None,
) -> CompileOutcome:
    """Compile a trained parser into a package, and prove that the package answers like PyTorch.

    Args:
        run: Folder of the trained parser.
        out: The package, a folder.
        targets: What is compiled for; "host" is this machine only, "all" every target that can leave it.
        replace: Replace a package that is there.
        batch: Also compile functions for this many texts at once.
        native: Also put a native library for each processor into the package, which parses without IREE and NumPy.
        on_progress: Is told of every step (`compile.support.progress.Progress`).

    Raises:
        CompileError: A stage failed; its class says which.
        CheckpointError: The parser cannot be read.
        TargetError: A target is unknown.
    """
    from compile.options import CompileOptions
    from compile.pipeline import compile_checkpoint

    options = CompileOptions(replace=replace, batch=batch, native=native)
    return compile_checkpoint(Path(run), Path(out), targets, options, on_progress=on_progress)


def _are_labels_of(checkpoint: Checkpoint, found: Labels, *, learned: bool) -> bool:
    """Say whether data have the labels of a parser.

    An extended parser has them in another order; its data may be learned from by `extend` alone.
    """
    labels = checkpoint.facts.labels
    if learned or "extended" not in checkpoint.facts.data:
        return found.outputs() == labels.outputs()
    return set(found.intents) <= set(labels.intents) and set(found.tags) <= set(labels.tags)


def _shorten_training(
    checkpoint: Checkpoint, epochs: int, learning_rate: float, seed: int | None, threads: int
) -> TrainingConfig:
    """Return the settings of the parser's own training, but for those of a short one from a good parser."""
    from pqrnn.recipes.settings import TrainingConfig

    own = settings_in(checkpoint.facts.training, TrainingConfig)
    seed = own.seed if seed is None else seed
    return msgspec.structs.replace(
        own, epochs=epochs, learning_rate=learning_rate, patience=0, threads=threads, seed=seed
    )


def _read_objective(checkpoint: Checkpoint, logits: Path) -> Any:
    """Return a logit store's answers, weighed as in the parser's own distillation."""
    from pqrnn.distillation.logit_store import read_logits
    from pqrnn.distillation.objective import DistillationObjective
    from pqrnn.recipes.settings import DistillationConfig

    own = settings_in(checkpoint.facts.training.get("distillation", {}), DistillationConfig)
    return DistillationObjective(read_logits(logits), own)
