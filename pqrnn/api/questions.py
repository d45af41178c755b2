"""Functions for models that answer questions from a text."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pqrnn.api.runs import PathLike
from pqrnn.errors import DataError
from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe

if TYPE_CHECKING:
    from compile.questions.pipeline import AnswererOutcome
    from pqrnn.data.questions.scoring import AnswerScores
    from pqrnn.data.questions.squad import Question
    from pqrnn.model.length_config import LengthConfig
    from pqrnn.questions.checkpoint import SpanBudget, SpanFacts
    from pqrnn.questions.run import SpanOutcome
    from pqrnn.recipes.budget_settings import BudgetRecipe
    from pqrnn.training.reporting import TrainingReporter


def finetune_questions(
    data: PathLike,
    out: PathLike,
    *,
    recipe: FinetuneQuestionsRecipe | None = None,
    initial: PathLike | None = None,
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
) -> SpanOutcome:
    """Fine-tune a pre-trained encoder so that it finds the answers to questions in texts.

    Args:
        data: A file of SQuAD 1.1, plain or gzip.
        out: Folder for the model; an unfinished run in it is taken up again.
        recipe: Settings; by default those of `pqrnn finetune-questions`.
        initial: A model of the same encoder to go on from; by default the encoder with a new head.
        restart: Throw away a run that is in `out`.
        finish: End an unfinished run in `out` where it is.
        reporter: Is told how the run goes.

    Raises:
        DataError: There are no such data, a file is wrong, or there is nothing to learn from.
        TeacherError: The encoder cannot be loaded, or cannot answer questions.
        CheckpointError: There is no model in `initial`.
        TrainingError: `out` holds a run with other settings.
    """
    from pqrnn.data.questions.squad import read_squad
    from pqrnn.distributed import join_process_group, world_size
    from pqrnn.errors import TrainingError
    from pqrnn.questions.run import run

    join_process_group()
    if world_size() > 1:
        raise TrainingError("a model that answers questions is trained in one process: run it without torchrun")
    questions = read_squad(data)
    return run(
        Path(out),
        questions,
        recipe or FinetuneQuestionsRecipe(),
        source={"data": str(data), "questions": len(questions)},
        initial=None if initial is None else Path(initial),
        restart=restart,
        finish=finish,
        reporter=reporter,
    )


def evaluate_questions(
    run: PathLike,
    data: PathLike,
    *,
    lengths: Sequence[LengthConfig] = (),
    sample: int = 0,
    seed: int = 0,
    precision: str = "float32",
    on_window: Callable[[int, int], None] = lambda done, total: None,
) -> list[AnswerScores]:
    """Score a model's answers, in PyTorch.

    Args:
        run: Folder of the model.
        data: A file of SQuAD 1.1.
        lengths: Parts of the network that answer; by default all of it.
        sample: How many questions are drawn; 0 for all.
        seed: Seed of what is drawn.
        precision: Precision of matrix products, "float32" or "bfloat16".
        on_window: Is told of windows done, and of all, for each part anew.

    Returns:
        Exact match and F1, for each part.

    Raises:
        DataError: There are no such data, or a file is wrong.
        CheckpointError: There is no such model.
        QuantizationError: It is in 8 bits, and another precision than float32 is asked for.
    """
    from pqrnn.errors import QuantizationError
    from pqrnn.questions.checkpoint import load_span_model
    from pqrnn.questions.evaluate import encode_questions, score_model

    model, facts = load_span_model(Path(run))
    if facts.config.precision == "int8" and precision != "float32":
        raise QuantizationError(f"{run}: multiplies integers, which have no other precision: leave out {precision}")
    encoded = encode_questions(model, draw_questions(data, sample, seed))
    parts: Sequence[LengthConfig | None] = lengths or (None,)
    return [score_model(model, encoded, part, precision=precision, on_window=on_window) for part in parts]


def quantize_questions(run: PathLike, data: PathLike, out: PathLike) -> SpanFacts:
    """Turn a trained model into one in 8 bits: a quarter of the bytes, and faster.

    Args:
        run: Folder of the model in float32.
        data: The file of SQuAD 1.1 that it was trained on: it says how large activations become.
        out: Folder for the model in 8 bits.

    Returns:
        Its facts.

    Raises:
        QuantizationError: The model is in 8 bits already, or `out` holds something else.
        CheckpointError: The model cannot be read.
        DataError: There are no such data, or a file is wrong.
    """
    from pqrnn.data.questions.squad import read_squad
    from pqrnn.questions.batches import cut_training
    from pqrnn.questions.checkpoint import load_span_model
    from pqrnn.questions.quantization import check_free, quantize_spans, save_quantized

    check_free(Path(out))
    questions = read_squad(data)
    model, facts = load_span_model(Path(run))
    quantized = quantize_spans(model, cut_training(questions, model.make_reader()))
    return save_quantized(Path(out), quantized, facts)


def budget_questions(
    run: PathLike,
    data: PathLike,
    *,
    recipe: BudgetRecipe | None = None,
    sample: int = 200,
    on_generation: Callable[[int, int], None] = lambda done, total: None,
) -> list[SpanBudget]:
    """Find the parts of a model that are best for what they cost, and store them with it.

    No weight changes. A package that is compiled from the model then answers within any of these budgets.

    Args:
        run: Folder of the model, best one trained with `adaptive`.
        data: A file of SQuAD 1.1, other than that of the training; what is measured on it afterwards is a little too
            good.
        recipe: Settings of the search; by default those of `pqrnn budget-questions`.
        sample: How many questions are drawn from its seed to measure F1 on; 0 for all.
        on_generation: Is told of generations of the search done, and of all.

    Returns:
        The budgets, by rising cost; the last one is the whole network.

    Raises:
        CheckpointError: The model cannot be read.
        DataError: There are no such data, or a file is wrong.
    """
    import msgspec

    from pqrnn.evaluation.budget_search import find_best, make_space
    from pqrnn.model.length_config import count_rows
    from pqrnn.questions.checkpoint import SpanBudget, load_span_model, save_span_facts
    from pqrnn.questions.evaluate import encode_questions, mean_window_macs, score_model
    from pqrnn.recipes.budget_settings import BudgetRecipe

    config = (recipe or BudgetRecipe()).search
    model, facts = load_span_model(Path(run))
    encoded = encode_questions(model, draw_questions(data, sample, config.seed))
    counts = encoded.window_lengths()
    measured: dict[Hashable, AnswerScores] = {}

    def scores(lengths: LengthConfig) -> AnswerScores:
        # Parts that keep as many subwords of every window are the same.
        key = (lengths.skipped, *(count_rows(lengths, count) for count in sorted(set(counts))))
        if key not in measured:
            measured[key] = score_model(model, encoded, None if lengths.is_full else lengths)
        return measured[key]

    trained = msgspec.convert(facts.recipe, FinetuneQuestionsRecipe).training.adaptive
    found = find_best(
        make_space(model.layers, trained, config),
        lambda lengths: mean_window_macs(model, counts, lengths),
        lambda lengths: scores(lengths).f1,
        config,
        on_generation,
    )
    budgets = [
        SpanBudget(
            lengths=each.lengths,
            macs=round(each.cost),
            share=round(each.cost / found[-1].cost, 4),
            exact_match=round(scores(each.lengths).exact_match, 6),
            f1=round(each.quality, 6),
            questions=len(encoded.questions),
        )
        for each in found
    ]
    save_span_facts(Path(run), msgspec.structs.replace(facts, budgets=budgets))
    return budgets


def compile_questions(
    run: PathLike,
    out: PathLike,
    targets: Sequence[str] = ("host",),
    *,
    windows: Sequence[int] | None = None,
    replace: bool = False,
    on_progress: Callable[[Any], None] = lambda step: None,
) -> AnswererOutcome:
    """Compile a model into a package that answers questions, and prove that it answers like PyTorch.

    Args:
        run: Folder of the model.
        out: The package, a folder.
        targets: What is compiled for; "host" is this machine only.
        windows: Window lengths that get functions beside the longest; by default 128 and 256 subwords.
        replace: Replace a package that is there.
        on_progress: Is told of every step (`compile.support.progress.Progress`).

    Raises:
        CompileError: A stage failed; its class says which.
        CheckpointError: The model cannot be read.
        TargetError: A target is unknown.
    """
    from compile.options import CompileOptions
    from compile.questions.pipeline import compile_answerer

    options = CompileOptions(replace=replace)
    return compile_answerer(Path(run), Path(out), targets, options, windows=windows, on_progress=on_progress)


def draw_questions(data: PathLike, sample: int, seed: int) -> list[Question]:
    """Return the questions of a file in their order, or so many of them, drawn from the seed.

    Raises:
        DataError: There are no such data, a file is wrong, or it has fewer questions.
    """
    from pqrnn.data.questions.squad import read_squad
    from pqrnn.seeding import make_random

    questions = read_squad(data)
    if sample > len(questions):
        raise DataError(f"{data}: has {len(questions):,} questions, and {sample:,} are to be drawn")
    if not sample:
        return questions
    chosen = make_random(seed, "questions", 0).sample(range(len(questions)), sample)
    return [questions[number] for number in sorted(chosen)]
