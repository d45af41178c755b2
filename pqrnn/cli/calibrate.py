"""`pqrnn calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, DevOption, DevShareOption, JsonOption, LangOption, RunArgument
from pqrnn.cli.output import print_json, require_extra, show_table

_EPILOG = """Examples:

`pqrnn calibrate runs/home --data kitchen.toml`

`pqrnn calibrate mtop-en --data mtop:DATA/mtop/spans --lang en --out-of-scope "DATA/massive#iot_*,qa_*" -o runs/mine`"""


@app.command(epilog=_EPILOG)
@reads_data
def calibrate(
    run: RunArgument,
    data: DataOption,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for a copy with the calibration, as parsers of the zoo need it.",
            show_default=False,
        ),
    ] = None,
    out_of_scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Data whose texts are out of scope, as often as you like; `PATH#INTENT,INTENT` takes those of some "
            "intents only, `*` stands for anything. Their test splits are left out.",
            show_default=False,
        ),
    ] = None,
    out_of_scope_intent: Annotated[
        str, typer.Option(help="The intent by which --data call utterances out of scope, as `oos`.")
    ] = "",
    lang: LangOption = None,
    dev: DevOption = None,
    dev_share: DevShareOption = 0.1,
    json: JsonOption = False,
) -> None:
    """Make the scores of a trained parser probabilities, without training it.

    A softmax says how sure a network is, not how often it is right. What turns one into the other is fitted on the
    development split and stored with the parser; packages that are compiled from it have it. No weight and no decision
    changes. With texts that are out of scope it also says how probable it is that a text is of the parser's kind.
    """
    require_extra("train", "torch", "safetensors")
    import pqrnn

    found = pqrnn.calibrate(
        find_run(run),
        data,
        out=out,
        out_of_scope=out_of_scope or (),
        out_of_scope_intent=out_of_scope_intent,
        lang=lang,
        dev=dev,
        dev_share=dev_share,
    )
    if json:
        print_json(found)
        return
    threshold = found.recommended
    refused = "unknown: no --out-of-scope" if threshold.refused is None else f"{threshold.refused:.1%}"
    rows = [
        ("development utterances", f"{found.utterances:,}"),
        ("texts out of scope", f"{found.out_of_scope:,}"),
        ("calibration error before", f"{100 * found.error_before:.2f} points"),
        ("calibration error", f"{100 * found.error:.2f} points"),
        ("recommended threshold", f"{threshold.of.replace('_', ' ')} of {threshold.least:.3f}"),
        ("in scope kept by it", f"{threshold.kept:.1%}"),
        ("out of scope refused by it", refused),
    ]
    show_table(f"{out or run}: calibrated", ("figure", "value"), rows)
