"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RunArgument = Annotated[
    Path, typer.Argument(help="Folder of a trained parser, or the name of one in the zoo (`pqrnn zoo list`).")
]
PackageArgument = Annotated[
    Path,
    typer.Argument(
        help="A compiled package, or the name of a parser in the zoo (`pqrnn zoo list`), which is compiled for this machine once."
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="Labelled utterances: a file or folder (`PATH` or `format:PATH`), a grammar (`grammar:FILE`), or `home` / `home:en` for the built-in set.",
    ),
]
LangOption = Annotated[str | None, typer.Option("--lang", help="Only these languages, as `en` or `en,de`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
VariantOption = Annotated[
    str | None, typer.Option("--variant", help="A variant of the package by name; by default the best that runs here.")
]

DeviceOption = Annotated[
    Literal["auto", "cpu", "gpu"],
    typer.Option(
        "--device", help="What to run on; `gpu` falls back to the processor where there is none, and says so."
    ),
]

# Of the verbs that train.
DevOption = Annotated[str | None, typer.Option("--dev", help="Development data, if not the `dev` split of --data.")]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Utterances a step.")]
PatienceOption = Annotated[
    int,
    typer.Option("--patience", min=0, help="Stop after so many epochs without a better development score; 0: never."),
]
SwapOption = Annotated[
    float, typer.Option("--swap", min=0.0, max=1.0, help="Share of slot values swapped for another of the same slot.")
]
MisspellOption = Annotated[float, typer.Option("--misspell", min=0.0, max=1.0, help="Share of words misspelled.")]
SmoothingOption = Annotated[float, typer.Option("--smoothing", min=0.0, max=1.0, help="Label smoothing of the intent.")]
IntentWeightOption = Annotated[
    float, typer.Option("--intent-weight", min=0.0, help="Of the intent in the loss on gold labels.")
]
DropoutOption = Annotated[float, typer.Option("--dropout", min=0.0, max=1.0, help="Of layer inputs.")]
FeaturesOption = Annotated[int, typer.Option("--features", help="Ternary features of a word's own hash.")]
NgramFeaturesOption = Annotated[
    int, typer.Option("--ngram-features", help="Ternary features of its character n-grams; 0: none.")
]
BottleneckOption = Annotated[int, typer.Option("--bottleneck", min=1, help="Width of the layer over the features.")]
ContextOption = Annotated[
    int,
    typer.Option(
        "--context",
        min=0,
        help="Ternary features of each pair and triple of neighbouring words; 256 for Thai, Chinese, Japanese.",
    ),
]
StateOption = Annotated[int, typer.Option("--state", min=1, help="QRNN state per direction.")]
LayersOption = Annotated[int, typer.Option("--layers", min=1, help="QRNN layers.")]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", help="Of matrix products in training: `float32`, `bfloat16`, or `auto`: what is fast here."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of everything random.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0: PyTorch's choice.")]
