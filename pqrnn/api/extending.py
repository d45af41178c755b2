"""The function that teaches a trained parser further commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pqrnn.api.runs import PathLike, record_recipe, run_training
from pqrnn.errors import ExtensionError
from pqrnn.recipes.extend_settings import ExtendRecipe
from pqrnn.recipes.settings import AUTO

if TYPE_CHECKING:
    from pqrnn.training.reporting import TrainingOutcome, TrainingReporter

_GUESSED = 600  # old texts, and new ones, that the first weights of new labels are fitted to


def extend(
    run: PathLike,
    data: str,
    out: PathLike,
    *,
    old_data: Sequence[str] = (),
    new_wins: bool = False,
    recipe: ExtendRecipe | None = None,
    out_of_scope: Sequence[str] = (),
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
    on_answers: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingOutcome:
    """Teach a trained parser further commands, while it keeps what it knew by learning from itself.

    Labels that it has keep their numbers, new ones follow. A parser in 8 bits stays one in 8 bits.

    Args:
        run: Folder of the trained parser.
        data: Labelled utterances of the new commands; an intent that the parser has learns from them, too.
        out: Folder for the extended parser; an unfinished run in it is taken up again.
        old_data: Data whose texts the parser is to go on answering as it does; their development splits say what it
            lost. By default those that it was trained on where they are still there; else texts that can be made.
        new_wins: Leave out an old text that a new row labels otherwise, instead of refusing both.
        recipe: Settings; by default those of `pqrnn extend`.
        out_of_scope: Data whose texts are out of scope, for the calibration, as in `calibrate`.
        lang: Only these languages of the data.
        dev: Development data of the new commands.
        dev_share: Share held out where there is no development split; of few new rows none is.
        restart: As for `train`.
        finish: As for `train`.
        reporter: As for `train`.
        on_answers: Is told of texts answered so far, and of all.

    Returns:
        The outcome; `metrics["extension"]` says what old and new commands are worth.

    Raises:
        ExtensionError: There is nothing new to learn, it contradicts what is known, or the parser is of another kind.
        CheckpointError: The parser cannot be read.
        DataError: There are no such data, or a file is wrong.
        TrainingError: `out` holds a run with other settings.
    """
    from pqrnn.api.calibrating import load_outside
    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.data.training_data import TrainingData
    from pqrnn.dataset.segmented import segment_examples
    from pqrnn.distillation.logit_store import discard_lessons, read_logits
    from pqrnn.distillation.objective import DistillationObjective
    from pqrnn.extending.finishing import ExtensionEnd, answer_texts
    from pqrnn.extending.first_guess import guess_new_rows
    from pqrnn.extending.labels import extend_labels
    from pqrnn.extending.lessons import write_lessons
    from pqrnn.extending.material import gather_material, take_evenly
    from pqrnn.extending.weights import grow_weights, scale_new_rows
    from pqrnn.training.config import resolve_precision
    from pqrnn.training.continuation import Continuation

    recipe = recipe or ExtendRecipe()
    settings = recipe.extension
    run, out = Path(run), Path(out)
    if out.resolve() == run.resolve():
        raise ExtensionError(f"{out}: that is the parser to extend; choose another --out")
    checkpoint = load_checkpoint(run)
    facts, version = checkpoint.facts, checkpoint.facts.config.projection.version
    material = gather_material(facts, data, old_data, lang=lang, dev=dev, dev_share=dev_share, new_wins=new_wins)
    outside = [text for spec in out_of_scope for text in load_outside(spec, lang)]
    new = segment_examples(material.new, version)
    additions = extend_labels(facts.labels, new)
    grown = grow_weights(checkpoint.model, facts.labels, additions.labels)
    learns = settings.learns if settings.learns != AUTO else "all" if material.gold else "new"
    if learns == "new" and not grown.new:
        raise ExtensionError(
            f"{data}: no new intent and no new slot, and without old texts nothing else may learn: name data that the "
            "parser is to keep with --old-data"
        )
    if reporter is not None:
        for text in (*material.notes, *additions.describe()):
            reporter.note(text)
    old = take_evenly(material.old, max(settings.old_texts, len(new)))
    times = max(1, round(len(old) * settings.new_share / (1.0 - settings.new_share) / len(new)))
    teacher = checkpoint.model
    answered = answer_texts(teacher, facts.labels, old)
    training = segment_examples([*answered, *list(new) * times], version)
    guess_new_rows(
        teacher,
        segment_examples([*take_evenly(answered, _GUESSED), *take_evenly(new, _GUESSED)], version),
        facts.labels,
        additions.labels,
        grown.weights,
    )
    scale_new_rows(grown)
    end = ExtensionEnd(checkpoint, teacher, material, new, outside)
    lessons = out / "lessons"
    if restart:
        discard_lessons(lessons)
    write_lessons(
        lessons,
        teacher,
        facts.labels,
        additions.labels,
        training,
        len(old),
        recipe.transfer,
        teacher=run.name,
        on_progress=on_answers,
    )
    return run_training(
        out,
        TrainingData(training, end.development),
        grown.config,
        resolve_precision(recipe.training),
        objective=DistillationObjective(read_logits(lessons), recipe.distillation),
        initial=grown.weights,
        continuation=Continuation(additions.labels, grown.new if learns == "new" else None, end),
        source={
            "spec": data,
            "known": material.known,
            "locale": lang or str(facts.data.get("locale") or ""),
            "extended": str(run),
        },
        record=record_recipe("extend", recipe),
        restart=restart,
        finish=finish,
        reporter=reporter,
    )
