"""`pqrnn distill`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.learning import load_data, make_config, make_shape, run_training
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import (
    BatchOption,
    BottleneckOption,
    ContextOption,
    DataOption,
    DevOption,
    DropoutOption,
    FeaturesOption,
    IntentWeightOption,
    JsonOption,
    LangOption,
    LayersOption,
    MisspellOption,
    NgramFeaturesOption,
    PrecisionOption,
    SeedOption,
    SmoothingOption,
    StateOption,
    ThreadsOption,
)
from pqrnn.cli.output import require_extra

if TYPE_CHECKING:
    from pqrnn.data.examples import Example
    from pqrnn.distillation.logit_store import LogitStore
    from pqrnn.distillation.transfer_set import TransferConfig


RELATION_HEADS = 8  # of the relations between words; a divisor of the widths of teachers and students


@app.command(
    epilog="Example:  `pqrnn distill --teacher runs/teacher-en --data mtop:DATA/mtop/spans --lang en --out runs/mtop-en-distilled`"
)
def distill(
    teacher: Annotated[
        list[Path],
        typer.Option(
            "--teacher", help="Folder of a teacher (`pqrnn finetune`, or a larger student); several are averaged."
        ),
    ],
    data: DataOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the student. An unfinished run in it is taken up again.")
    ],
    lang: LangOption = None,
    dev: DevOption = None,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            "--unlabelled",
            help="Further data whose texts (not labels) the teacher answers, as --data; texts of the test split are left out.",
        ),
    ] = None,
    lessons: Annotated[
        Path | None,
        typer.Option(help="Where the teacher's answers are kept; by default OUT/lessons. Made once, shared by runs."),
    ] = None,
    variants: Annotated[
        int, typer.Option(min=0, help="Variants of every training utterance that the teacher answers, too.")
    ] = 6,
    swap: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of slot values that differ in a variant.")] = 0.5,
    cross: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of variants that go on as another utterance of the same intent does."
        ),
    ] = 0.0,
    drop: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of variants that lack one of their slots.")
    ] = 0.0,
    switch: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of values, and of what variants go on as, from another language of the data."
        ),
    ] = 0.0,
    misspell_variants: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of words misspelled in a variant, as the teacher reads it.")
    ] = 0.0,
    sampled: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="New texts for each training utterance, drawn from n-grams of all texts, that the teacher answers, too.",
        ),
    ] = 0.0,
    order: Annotated[
        int, typer.Option(min=2, help="Words of these n-grams; more where words are single graphemes.")
    ] = 4,
    temperature: Annotated[float, typer.Option(min=0.1, help="That softens the answers.")] = 2.0,
    hard: Annotated[float, typer.Option(min=0.0, help="Weight of the gold labels.")] = 0.3,
    soft: Annotated[float, typer.Option(min=0.0, help="Weight of the teacher's answers.")] = 0.7,
    original: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the steps in which an utterance is learned as it is, not as one of its variants.",
        ),
    ] = 0.3,
    initial: Annotated[
        Path | None,
        typer.Option(
            help="A trained parser of the same shape to go on from, as after a first round with unlabelled texts."
        ),
    ] = None,
    intent_weight: IntentWeightOption = 2.0,
    soft_intent_weight: Annotated[
        float, typer.Option(min=0.0, help="Of the intent in the loss on the teacher's answers.")
    ] = 2.0,
    smoothing: SmoothingOption = 0.0,
    relations: Annotated[
        float,
        typer.Option(
            min=0.0, help="Weight of how words relate in the teacher's hidden states; its answers get larger files."
        ),
    ] = 0.0,
    epochs: Annotated[
        int, typer.Option(min=1, help="Passes over the training utterances, each in one of its variants.")
    ] = 60,
    batch: BatchOption = 64,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="AdamW's highest.")] = 3e-3,
    misspell: MisspellOption = 0.03,
    dropout: DropoutOption = 0.2,
    features: FeaturesOption = 512,
    ngram_features: NgramFeaturesOption = 512,
    bottleneck: BottleneckOption = 256,
    context: ContextOption = 0,
    state: StateOption = 192,
    layers: LayersOption = 2,
    precision: PrecisionOption = "auto",
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away a run that is in --out; the lessons stay.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train a parser on a teacher's answers beside the labels.

    First the teacher answers the training utterances, variants of them and the unlabelled texts, once; then the student
    learns. A stop at any time loses nothing: the same command goes on.
    """
    require_extra("teacher", "torch", "safetensors", "matplotlib", "transformers")
    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.data.unlabelled import load_unlabelled
    from pqrnn.distillation.objective import DistillationConfig, DistillationObjective
    from pqrnn.distillation.transfer_set import TransferConfig
    from pqrnn.errors import TrainingError

    if relations and 2 * state % RELATION_HEADS:
        raise TrainingError(
            f"--relations compares {RELATION_HEADS} parts of the states: --state {state} has to be a multiple of {RELATION_HEADS // 2}"
        )
    model = make_shape(
        features, ngram_features, bottleneck=bottleneck, context=context, state=state, layers=layers, dropout=dropout
    )
    config = make_config(
        precision,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        patience=0,
        misspell=misspell,
        smoothing=smoothing,
        intent_weight=intent_weight,
        seed=seed,
        threads=threads,
    )
    how = DistillationConfig(
        temperature=temperature,
        hard=hard,
        soft=soft,
        intent_weight=soft_intent_weight,
        original=original,
        relations=relations,
    )
    training, development = load_data(data, dev, lang)
    texts = load_unlabelled(unlabelled or [], data, lang, development)
    asked = TransferConfig(
        variants=variants,
        swap=swap,
        cross=cross,
        drop=drop,
        switch=switch,
        misspell=misspell_variants,
        sampled=sampled,
        order=order,
        relations=RELATION_HEADS if relations else 0,
    )
    weights = load_checkpoint(find_run(initial)).model.state_dict() if initial is not None else None
    made = _label(lessons or out / "lessons", teacher, training, texts, asked, config.precision, quiet=json)
    run_training(
        out,
        (training, development),
        model,
        config,
        objective=DistillationObjective(made, how),
        initial=weights,
        source={"spec": data, "locale": lang or "", "unlabelled": ",".join(unlabelled or [])},
        restart=restart,
        json=json,
    )


def _label(
    folder: Path,
    teachers: list[Path],
    training: list[Example],
    texts: list[str],
    config: TransferConfig,
    precision: str,
    *,
    quiet: bool,
) -> LogitStore:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pqrnn.distillation.labelling import label_transfer_set
    from pqrnn.distillation.logit_store import read_logits
    from pqrnn.distributed import is_leader, join_process_group

    join_process_group()
    quiet = quiet or not is_leader()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, quiet=quiet), disable=quiet, refresh_per_second=2) as progress:
        task = progress.add_task("the teacher answers", total=None)
        label_transfer_set(
            folder,
            teachers,
            training,
            texts,
            config,
            precision=precision,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    return read_logits(folder)
