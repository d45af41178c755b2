"""`pqrnn ask`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption, VariantOption
from pqrnn.cli.output import print_json, say


@app.command(
    epilog="""Examples:  `pqrnn ask questions.pqrnn --context article.txt "Who built the bridge?"`  or
`curl -s URL | pqrnn ask questions.pqrnn --context - "Who built the bridge?" --json`"""
)
def ask(
    package: Annotated[
        Path, typer.Argument(help="A package that `pqrnn compile` made of what `pqrnn finetune-questions` trained.")
    ],
    question: Annotated[list[str], typer.Argument(help="One or more questions.")],
    context: Annotated[
        str, typer.Option("--context", "-c", help="A file in UTF-8 with the text that answers; `-`: standard input.")
    ],
    variant: VariantOption = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="What an answer may cost: a share of the whole network's multiplications up to 1, more as their "
            "number, or the name of a part.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Answer questions from a text: the piece of it that answers, its score, and where it stands.

    Offsets are code points. The score is a probability among the pieces of this text, and a text without an answer has
    a best piece, too.
    """
    from runtime_py.package_format.budgets import read_budget
    from runtime_py.questions.answerer import Answerer
    from runtime_py.questions.context_file import read_context

    chosen = None if budget is None else read_budget(budget)
    text = read_context(context)  # what cannot be read is said before code is loaded
    with Answerer.load(package, variant=variant, budget=chosen) as answerer:
        answers = [answerer(each, text) for each in question]
    if json:
        rows = [
            {"question": each, "answer": found.text, "start": found.start, "end": found.end, "score": found.score}
            for each, found in zip(question, answers, strict=True)
        ]
        print_json(rows[0] if len(rows) == 1 else rows)
        return
    for found in answers:
        say(f"{found.score:.2f}  [{found.start}:{found.end}]  {' '.join(found.text.split())}")
