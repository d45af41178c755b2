"""`pqrnn evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, JsonOption, LangOption, RunArgument
from pqrnn.cli.output import print_json, require_extra, show_table

if TYPE_CHECKING:
    from pqrnn.evaluation.evaluate import Evaluation


@app.command(epilog="Example:  `pqrnn evaluate runs/mtop-en --data mtop:DATA/mtop/spans --lang en --split test`")
@reads_data
def evaluate(
    run: RunArgument,
    data: DataOption,
    lang: LangOption = None,
    split: Annotated[str, typer.Option(help="`train`, `dev` or `test`.")] = "test",
    out_of_scope: Annotated[
        str,
        typer.Option(
            help="The intent of utterances that are out of scope, as `oos`: also score how they are told from the "
            "others."
        ),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Score a trained parser or a teacher in PyTorch.

    Exact match, intent accuracy and slot F1, with 95 % bootstrap intervals. Where the data have a training split, also
    over the utterances that do not occur in it; where they have several languages, also for each.
    """
    require_extra("train", "torch", "safetensors")
    from pqrnn.data.loader import available_splits, load_examples
    from pqrnn.distillation.loading import load_teacher
    from pqrnn.evaluation.evaluate import evaluate_predictions, split_languages
    from pqrnn.evaluation.prediction import compute_logits

    model, facts = load_teacher(find_run(run))
    examples = load_examples(data, split=split, locale=lang)
    decoder = facts.labels.decoder(facts.calibration)
    answers = compute_logits(model, [example.text for example in examples])
    train = (
        load_examples(data, split="train", locale=lang)
        if split != "train" and "train" in available_splits(data, locale=lang)
        else []
    )
    known = [example.text for example in train]
    whole = evaluate_predictions(examples, answers, decoder, known, out_of_scope)
    languages = split_languages(examples)
    parts = {
        language: evaluate_predictions([examples[row] for row in rows], [answers[row] for row in rows], decoder, known)
        for language, rows in languages.items()
    }
    if json:
        languages_document: dict[str, Any] = (
            {"languages": {name: each.as_dict() for name, each in parts.items()}} if len(parts) > 1 else {}
        )
        print_json({**whole.as_dict(), **languages_document})
        return
    show_table(
        f"{run}: {split} split, {len(examples)} utterances",
        ("figure", "value", "95 % interval", "utterances"),
        _rows(whole),
    )
    if whole.calibration_error is not None:
        kind = "calibrated scores" if facts.calibration is not None else "softmax, for want of `pqrnn calibrate`"
        typer.echo(f"expected calibration error: {100 * whole.calibration_error:.2f} points ({kind})")
    if len(parts) > 1:
        for language, part in parts.items():
            show_table(f"{language}", ("figure", "value", "95 % interval", "utterances"), _rows(part))
        mean = sum(part.scores.exact_match.value for part in parts.values()) / len(parts)
        typer.echo(f"exact match, mean of {len(parts)} languages: {mean:.2%}")


def _rows(found: Evaluation) -> list[tuple[str, str, str, str]]:
    return [
        (name, f"{each.value:.2%}", f"{each.low:.2%} to {each.high:.2%}", f"{each.n:,}")
        for name, each in found.figures().items()
    ]
