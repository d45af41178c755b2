"""`pqrnn train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.learning import load_data, run_training
from pqrnn.cli.options import DataOption, JsonOption, LangOption
from pqrnn.cli.output import require_extra


@app.command(epilog="Example:  `pqrnn train --data mtop:DATA/mtop/spans --lang en --out runs/mtop-en`")
def train(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoint, log and learning curves. An unfinished run in it is taken up again.")],
    lang: LangOption = None,
    dev: Annotated[str | None, typer.Option(help="Development data, if not the `dev` split of --data.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training data.")] = 40,
    batch: Annotated[int, typer.Option(min=1, help="Utterances a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="AdamW's highest.")] = 3e-3,
    patience: Annotated[int, typer.Option(min=0, help="Stop after so many epochs without a better development score; 0: never.")] = 10,
    swap: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of slot values swapped for another of the same slot.")] = 0.3,
    misspell: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of words misspelled.")] = 0.03,
    smoothing: Annotated[float, typer.Option(min=0.0, max=1.0, help="Label smoothing of the intent.")] = 0.1,
    intent_weight: Annotated[float, typer.Option(min=0.0, help="Of the intent in the loss.")] = 2.0,
    dropout: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of layer inputs.")] = 0.3,
    word_dropout: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of words hidden.")] = 0.05,
    zoneout: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of states kept unchanged.")] = 0.1,
    features: Annotated[int, typer.Option(help="Ternary features of a word's own hash.")] = 512,
    ngram_features: Annotated[int, typer.Option(help="Ternary features of its character n-grams; 0: none.")] = 512,
    ngram_limit: Annotated[int, typer.Option(min=1, max=127, help="Bound of the n-gram sums; 1: ternary.")] = 1,
    bottleneck: Annotated[int, typer.Option(min=1, help="Width of the layer over the features.")] = 256,
    state: Annotated[int, typer.Option(min=1, help="QRNN state per direction.")] = 192,
    layers: Annotated[int, typer.Option(min=1, help="QRNN layers.")] = 2,
    kernel: Annotated[int, typer.Option(min=1, help="Words a gate sees.")] = 2,
    pool_heads: Annotated[int, typer.Option(min=1, help="Heads of the attention pooling.")] = 1,
    pool_peaks: Annotated[bool, typer.Option(help="Let the intent also see each channel's largest state.")] = True,
    pool_inputs: Annotated[bool, typer.Option(help="Let the intent also see which words there are, whatever their order.")] = False,
    refinements: Annotated[int, typer.Option(min=0, help="Rounds in which tags are made to agree with their neighbours.")] = 2,
    norm: Annotated[str, typer.Option(help="`batch` or `none`.")] = "batch",
    precision: Annotated[str, typer.Option(help="Of matrix products in training: `float32`, `bfloat16`, or `auto`: what is fast here.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: PyTorch's choice.")] = 0,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away a run that is in --out.")] = False,
    json: JsonOption = False,
) -> None:
    """Train a parser on labelled utterances.

    Stop it whenever you like (Ctrl-C, power cut): the same command goes on where it was and ends in the same weights.
    """
    require_extra("train", "torch", "safetensors", "matplotlib")
    from pqrnn.errors import TrainingError
    from pqrnn.model import ModelConfig, ParserModel
    from pqrnn.projection import ProjectionConfig
    from pqrnn.training import TrainingConfig, choose_precision

    try:
        projection = ProjectionConfig(word_features=features, ngram_features=ngram_features, ngram_limit=ngram_limit)
        model = ModelConfig(
            projection=projection,
            bottleneck=bottleneck,
            state=state,
            layers=layers,
            kernel=kernel,
            norm=norm,
            pool_heads=pool_heads,
            pool_peaks=pool_peaks,
            pool_inputs=pool_inputs,
            refinements=refinements,
            dropout=dropout,
            word_dropout=word_dropout,
            zoneout=zoneout,
        )
        config = TrainingConfig(
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            patience=patience,
            swap=swap,
            misspell=misspell,
            smoothing=smoothing,
            intent_weight=intent_weight,
            seed=seed,
            precision=choose_precision() if precision == "auto" else precision,
            threads=threads,
        )
        ParserModel(model, intents=1, tags=1)
    except ValueError as error:
        raise TrainingError(f"these settings do not make a parser: {error}") from error
    run_training(out, load_data(data, dev, lang), model, config, source={"spec": data, "locale": lang or ""}, restart=restart, json=json)
