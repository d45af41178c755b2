"""`pqrnn finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.learning import load_data, make_config, run_training
from pqrnn.cli.options import (
    DataOption,
    DevOption,
    JsonOption,
    LangOption,
    MisspellOption,
    PatienceOption,
    PrecisionOption,
    SeedOption,
    SwapOption,
    ThreadsOption,
)
from pqrnn.cli.output import require_extra

if TYPE_CHECKING:
    from torch import Tensor

    from pqrnn.data.examples import Example


@app.command(
    epilog="Example:  `pqrnn finetune --encoder minilm --data mtop:DATA/mtop/spans --lang en --out runs/teacher-en`"
)
def finetune(
    data: DataOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the teacher. An unfinished run in it is taken up again.")
    ],
    encoder: Annotated[
        str,
        typer.Option(
            help="Pre-trained encoder: `minilm` (English, comes as a package), a folder, or an id on the Hugging Face hub. Without one for your languages, "
            "`pqrnn train` a wide parser: `distill` takes it as a teacher, too."
        ),
    ] = "minilm",
    lang: LangOption = None,
    dev: DevOption = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training data.")] = 12,
    batch: Annotated[int, typer.Option(min=1, help="Utterances a step.")] = 32,
    learning_rate: Annotated[
        float, typer.Option(min=0.0, help="AdamW's highest; the heads learn five times as fast.")
    ] = 2e-4,
    patience: PatienceOption = 0,
    swap: SwapOption = 0.3,
    misspell: MisspellOption = 0.03,
    train_embeddings: Annotated[bool, typer.Option(help="Train the embeddings of subwords, too.")] = False,
    romanise: Annotated[
        bool,
        typer.Option(
            help="Spell words in Latin letters for the encoder: one of English then reads loanwords in any script."
        ),
    ] = False,
    initial: Annotated[
        Path | None,
        typer.Option(
            help="A teacher of the same encoder to go on from, as from one language to others; labels are matched by name."
        ),
    ] = None,
    precision: PrecisionOption = "auto",
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away a run that is in --out.")] = False,
    json: JsonOption = False,
) -> None:
    """Fine-tune a pre-trained encoder on labelled utterances: a teacher for `pqrnn distill`.

    It learns the intent and a tag at every word's first subword, for the words that the student reads. Stop it whenever
    you like: the same command goes on.
    """
    require_extra("teacher", "torch", "safetensors", "matplotlib", "transformers")
    from pqrnn.distillation.teacher import TeacherConfig

    model = TeacherConfig(encoder=encoder, train_embeddings=train_embeddings, romanise=romanise)
    config = make_config(
        precision,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        patience=patience,
        swap=swap,
        misspell=misspell,
        warmup=300,
        clip=1.0,
        average=0.998,
        seed=seed,
        threads=threads,
    )
    examples = load_data(data, dev, lang)
    weights = _carry(initial, examples[0]) if initial is not None else None
    run_training(
        out,
        examples,
        model,
        config,
        initial=weights,
        source={"spec": data, "locale": lang or ""},
        restart=restart,
        json=json,
    )


def _carry(folder: Path, training: list[Example]) -> dict[str, Tensor]:
    from pqrnn.dataset.labels import list_labels
    from pqrnn.distillation.loading import carry_weights, load_teacher
    from pqrnn.distillation.teacher import TeacherModel
    from pqrnn.errors import TeacherError

    teacher, facts = load_teacher(folder)
    if not isinstance(teacher, TeacherModel):
        raise TeacherError(
            f"{folder}: a parser, expected a fine-tuned encoder to go on from; `pqrnn distill --initial` goes on from parsers"
        )
    return carry_weights(teacher, facts.labels, list_labels(training))
