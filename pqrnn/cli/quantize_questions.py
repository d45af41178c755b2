"""`pqrnn quantize-questions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, require_extra, say

_EXAMPLE = "`pqrnn quantize-questions runs/questions --data train-v1.1.json --out runs/questions-int8`"


@app.command("quantize-questions", epilog=f"Example:  {_EXAMPLE}")
def quantize_questions(
    run: Annotated[Path, typer.Argument(help="Folder of a model that `pqrnn finetune-questions` trained.")],
    data: Annotated[Path, typer.Option("--data", help="The file of SQuAD 1.1 that it was trained on.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model in 8 bits.")],
    json: JsonOption = False,
) -> None:
    """Turn a model that answers questions into one in 8 bits: a quarter of the bytes, and faster.

    Weights and activations of its dense products become int8, sums int32, and the embeddings of subwords int8: what is
    evaluated, compiled and shipped computes in integers. The data say how large activations become.
    """
    require_extra("teacher", "torch", "safetensors", "transformers")
    import pqrnn
    from pqrnn.run_folder import WEIGHTS

    pqrnn.quantize_questions(run, data, out)
    before, after = ((folder / WEIGHTS).stat().st_size for folder in (run, out))
    if json:
        print_json({"folder": str(out), "bytes": after, "bytes_before": before})
        return
    say(f"{after:,} bytes of weights (in float32 {before:,}) in {out}; next: pqrnn compile {out}")
