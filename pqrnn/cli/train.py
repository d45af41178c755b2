"""`pqrnn train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.learning import load_data, make_config, make_shape, run_training
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
    PatienceOption,
    PrecisionOption,
    SeedOption,
    SmoothingOption,
    StateOption,
    SwapOption,
    ThreadsOption,
)
from pqrnn.cli.output import require_extra


@app.command(epilog="Example:  `pqrnn train --data mtop:DATA/mtop/spans --lang en --out runs/mtop-en`")
def train(
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder for checkpoint, log and learning curves. An unfinished run in it is taken up again.",
        ),
    ],
    lang: LangOption = None,
    dev: DevOption = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training data.")] = 40,
    batch: BatchOption = 64,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="AdamW's highest.")] = 3e-3,
    patience: PatienceOption = 10,
    swap: SwapOption = 0.3,
    misspell: MisspellOption = 0.03,
    smoothing: SmoothingOption = 0.1,
    intent_weight: IntentWeightOption = 2.0,
    dropout: DropoutOption = 0.3,
    word_dropout: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of words hidden.")] = 0.05,
    zoneout: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of states kept unchanged.")] = 0.1,
    features: FeaturesOption = 512,
    ngram_features: NgramFeaturesOption = 512,
    bottleneck: BottleneckOption = 256,
    context: ContextOption = 0,
    state: StateOption = 192,
    layers: LayersOption = 2,
    kernel: Annotated[int, typer.Option(min=1, help="Words a gate sees.")] = 2,
    pool_peaks: Annotated[bool, typer.Option(help="Let the intent also see each channel's largest state.")] = True,
    refinements: Annotated[
        int, typer.Option(min=0, help="Rounds in which tags are made to agree with their neighbours.")
    ] = 2,
    norm: Annotated[str, typer.Option(help="`batch` or `none`.")] = "batch",
    precision: PrecisionOption = "auto",
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away a run that is in --out.")] = False,
    json: JsonOption = False,
) -> None:
    """Train a parser on labelled utterances.

    Stop it whenever you like (Ctrl-C, power cut): the same command goes on where it was and ends in the same weights.
    """
    require_extra("train", "torch", "safetensors", "matplotlib")
    model = make_shape(
        features,
        ngram_features,
        bottleneck=bottleneck,
        context=context,
        state=state,
        layers=layers,
        kernel=kernel,
        norm=norm,
        pool_peaks=pool_peaks,
        refinements=refinements,
        dropout=dropout,
        word_dropout=word_dropout,
        zoneout=zoneout,
    )
    config = make_config(
        precision,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        patience=patience,
        swap=swap,
        misspell=misspell,
        smoothing=smoothing,
        intent_weight=intent_weight,
        seed=seed,
        threads=threads,
    )
    run_training(
        out,
        load_data(data, dev, lang),
        model,
        config,
        source={"spec": data, "locale": lang or ""},
        restart=restart,
        json=json,
    )
