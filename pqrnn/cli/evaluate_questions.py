"""`pqrnn evaluate-questions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, require_extra, say


@app.command("evaluate-questions", epilog="Example:  `pqrnn evaluate-questions runs/questions --data dev-v1.1.json`")
def evaluate_questions(
    run: Annotated[Path, typer.Argument(help="Folder of a model that `pqrnn finetune-questions` trained.")],
    data: Annotated[Path, typer.Option("--data", help="A file of SQuAD 1.1, plain or gzip.")],
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="Questions that are drawn; by default all count.", show_default=False)
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of what is drawn.")] = 0,
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option("--precision", help="Precision of matrix products.")
    ] = "float32",
    threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 leaves PyTorch's default.")] = 0,
    json: JsonOption = False,
) -> None:
    """Score a model's answers as SQuAD's official script does: exact match and F1, in PyTorch."""
    require_extra("teacher", "torch", "safetensors", "transformers")
    import torch

    import pqrnn

    if threads:
        torch.set_num_threads(threads)
    scores = pqrnn.evaluate_questions(run, data, sample=sample, seed=seed, precision=precision)[0]
    if json:
        print_json({"exact_match": scores.exact_match, "f1": scores.f1, "questions": scores.questions})
        return
    say(f"{scores.questions:,} questions: exact match {scores.exact_match:.2%}, F1 {scores.f1:.2%}")
