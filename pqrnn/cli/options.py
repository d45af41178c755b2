"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from runtime_py.decode.rejection import MinScore

RunArgument = Annotated[
    Path, typer.Argument(help="Folder of a trained parser, or the name of one in the zoo (`pqrnn zoo list`).")
]
PackageArgument = Annotated[
    Path,
    typer.Argument(
        help="A compiled package, or the name of a parser in the zoo (`pqrnn zoo list`), which is compiled for this "
        "machine once."
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="Labelled utterances: a file or folder (`PATH` or `format:PATH`), a grammar (`grammar:FILE`), or `home` "
        "/ `home:en` for the built-in set.",
    ),
]
LangOption = Annotated[str | None, typer.Option("--lang", help="Only these languages, as `en` or `en,de`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
VariantOption = Annotated[
    str | None, typer.Option("--variant", help="A variant of the package by name; by default the best that runs here.")
]

EngineOption = Annotated[
    Literal["auto", "iree", "native"],
    typer.Option(
        "--engine",
        help="What runs it: IREE's runtime, the package's `native` library, or by default the library where it runs.",
    ),
]

DeviceOption = Annotated[
    Literal["auto", "cpu", "gpu"],
    typer.Option(
        "--device", help="What to run on; `gpu` falls back to the processor where there is none, and says so."
    ),
]

# Of the verbs that learn; their settings come from recipes (`pqrnn.cli.recipe_options`).
DevOption = Annotated[
    str | None, typer.Option("--dev", help="Development data, if not the `dev` split of --data.", show_default=False)
]
DevShareOption = Annotated[
    float,
    typer.Option(
        "--dev-share", min=0.0, max=1.0, help="Share held out for development where the data have no `dev` split."
    ),
]
FinishOption = Annotated[
    bool,
    typer.Option(
        "--finish", help="End the unfinished run in --out where it is: its best epoch is kept, nothing more is learned."
    ),
]
RestartOption = Annotated[bool, typer.Option("--restart", help="Throw away a run that is in --out.")]


def read_share(text: str | None) -> MinScore | None:
    """Return the threshold that `--min-score` names."""
    if text is None or text == "recommended":
        return text  # type: ignore[return-value]  # the one word that it may be
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise typer.BadParameter(f"{text!r}: expected a number from 0 to 1, or 'recommended'", param_hint="--min-score")
    return share
