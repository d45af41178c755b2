"""`pqrnn data`: sample, show, convert."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption, LangOption
from pqrnn.cli.output import print_json, show_table

data_app = typer.Typer(
    no_args_is_help=True, help="Look at labelled utterances: sample a grammar, count a data set, convert it."
)
app.add_typer(data_app, name="data")

SpecArgument = Annotated[str, typer.Argument(help="`PATH`, `format:PATH`, `grammar:FILE`, `home` or `home:en`.")]


@data_app.command(epilog="Example:  `pqrnn data sample my_commands.toml -n 10`")
def sample(
    grammar: Annotated[Path, typer.Argument(help="A grammar file (TOML).")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many sentences.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same sentences everywhere.")] = 0,
    json: JsonOption = False,
) -> None:
    """Print sentences that a grammar makes, with their intents and slots; --json prints our JSON lines."""
    from pqrnn.data.grammar import load_grammar
    from pqrnn.data.writer import to_row

    loaded = load_grammar(grammar)
    for example in loaded.sample(number, seed):
        if json:
            import msgspec

            typer.echo(msgspec.json.encode(to_row(example)).decode())
        else:
            slots = ", ".join(f"{slot.label}={example.text[slot.start : slot.end]!r}" for slot in example.slots)
            typer.echo(f"{example.intent:24} {example.text}" + (f"    ({slots})" if slots else ""))
    if not json:
        typer.secho(
            f"{len(loaded.intents)} intents, {len(loaded.labels)} slots, {loaded.count():,} sentences possible",
            fg="cyan",
            err=True,
        )


@data_app.command(epilog="Example:  `pqrnn data show mtop:DATA/mtop/spans --lang en`")
def show(data: SpecArgument, lang: LangOption = None, json: JsonOption = False) -> None:
    """Count a data set: utterances, intents, slots, and rows that cannot be written as one tag a word."""
    from importlib.util import find_spec

    from pqrnn.data.alignment import AlignmentReport, align_examples, list_tags
    from pqrnn.data.loader import available_splits, load_examples

    rows, reports = [], {}
    for split in available_splits(data, locale=lang) or ("all",):
        examples = load_examples(data, split=split, locale=lang)
        intents = Counter(example.intent for example in examples)
        labels = Counter(slot.label for example in examples for slot in example.slots)
        report: AlignmentReport | None = None
        if find_spec("torch") is not None:
            from pqrnn.features.projection import Projection
            from pqrnn.features.segmentation import segment_texts
            from pqrnn.recipes.settings import ProjectionConfig

            spans = segment_texts(Projection(ProjectionConfig()), [example.text.encode() for example in examples])
            _, report = align_examples(examples, spans, frozenset(list_tags(examples, spans)))
        reports[split] = report
        rows.append(
            (
                split,
                len(examples),
                len(intents),
                len(labels),
                sum(labels.values()),
                report.unrepresentable if report else None,
            )
        )
    if json:
        names = ("split", "utterances", "intents", "slot_types", "slots", "unrepresentable")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    show_table(
        data,
        ("split", "utterances", "intents", "slot types", "slots", "unrepresentable"),
        [tuple("not known without PyTorch" if cell is None else str(cell) for cell in row) for row in rows],
    )
    for split, report in reports.items():
        if report is not None and report.unrepresentable:
            typer.echo(f"{split}: {report.describe()}")


@data_app.command(epilog="Example:  `pqrnn data convert snips:DATA/snips --split train --out train.jsonl`")
def convert(
    data: SpecArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, our JSON lines.")],
    split: Annotated[str, typer.Option(help="`train`, `dev`, `test` or `all`.")] = "all",
    lang: LangOption = None,
) -> None:
    """Write a data set as our JSON lines: text, intent, slots with code-point start, end and label, locale."""
    from pqrnn.data.loader import load_examples
    from pqrnn.data.writer import write_jsonl

    typer.echo(f"{write_jsonl(load_examples(data, split=split, locale=lang), out)} utterances in {out}")
