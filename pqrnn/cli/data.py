"""`pqrnn data`: sample, show, convert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.options import JsonOption, LangOption
from pqrnn.cli.output import print_json, show_table

if TYPE_CHECKING:
    from pqrnn.data.alignment import Spans
    from pqrnn.data.examples import Example
    from pqrnn.data.grammar import Grammar

data_app = typer.Typer(
    no_args_is_help=True, help="Look at labelled utterances: sample a grammar, count a data set, convert it."
)
app.add_typer(data_app, name="data")

SpecArgument = Annotated[
    str, typer.Argument(help="`PATH`, `format:PATH`, `grammar:FILE`, `home`, `home:en` or `hassil:en`.")
]


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
        count = _write_count(loaded.count())
        typer.secho(
            f"{len(loaded.intents)} intents, {len(loaded.labels)} slots, {count} sentences possible",
            fg="cyan",
            err=True,
        )


def _write_count(count: int) -> str:
    """Return a number in digits, or its size where Python refuses to write so many."""
    return f"{count:,}" if count < 10**100 else f"about 10^{int(count.bit_length() * 0.30103)}"


@data_app.command(epilog="Example:  `pqrnn data show mtop:DATA/mtop/spans --lang en`")
@reads_data
def show(data: SpecArgument, lang: LangOption = None, json: JsonOption = False) -> None:
    """Count a data set, and say what is probably wrong with it.

    Counted are utterances, intents, slots, and rows that cannot be written as one tag a word. Said are texts with
    several intents, labels that only dev or test have, labels that are nearly the same, slots that are never a run of
    words, intents with few rows, sentences that a grammar makes under two intents, and files that were not looked at.
    """
    from pqrnn.data.alignment import align_examples, list_tags
    from pqrnn.data.lint import lint_examples, lint_grammar
    from pqrnn.data.loader import available_splits, load_examples
    from pqrnn.data.reading import ReadReport

    report = ReadReport()
    splits = {
        split: load_examples(data, split=split, locale=lang, report=report)
        for split in available_splits(data, locale=lang) or ("all",)
    }
    words = _segment(splits)
    fits = {
        split: align_examples(examples, words[split], frozenset(list_tags(examples, words[split])))[1]
        for split, examples in splits.items()
        if words is not None
    }
    rows = [
        _count(split, examples, fits[split].unrepresentable if fits else None) for split, examples in splits.items()
    ]
    findings = lint_examples(splits, words)
    left = [each for each in (report.describe_rows(), report.describe_files()) if each]
    for grammar in _load_grammars(data, lang):
        findings = [*lint_grammar(grammar), *findings]
        if grammar.unused:
            left.append(f"{grammar.name}: never used: {'; '.join(grammar.unused)}")
    if json:
        print_json([dict(zip(_COLUMNS, row, strict=True)) for row in rows])
        # Standard output has the counts alone, as it always had.
        for line in (*(finding.text for finding in findings), *left):
            typer.echo(line, err=True)
        return
    show_table(
        data,
        [name.replace("_", " ") for name in _COLUMNS],
        [tuple("not known without PyTorch" if cell is None else str(cell) for cell in row) for row in rows],
    )
    for split, fit in fits.items():
        if fit.unrepresentable:
            typer.echo(f"{split}: {fit.describe()}")
    for line in (*(finding.text for finding in findings), *left):
        typer.echo(line)


_COLUMNS = ("split", "utterances", "intents", "slot_types", "slots", "unrepresentable")


def _segment(splits: Mapping[str, Sequence[Example]]) -> dict[str, list[Spans]] | None:
    """Return the words of every text, or None without PyTorch, which finds them."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        return None
    from pqrnn.features.projection import Projection
    from pqrnn.features.segmentation import segment_texts
    from pqrnn.recipes.settings import ProjectionConfig

    projection = Projection(ProjectionConfig())
    return {
        split: list(segment_texts(projection, [example.text.encode() for example in examples]))
        for split, examples in splits.items()
    }


def _count(split: str, examples: Sequence[Example], unrepresentable: int | None) -> tuple[str | int | None, ...]:
    labels = Counter(slot.label for example in examples for slot in example.slots)
    intents = len({example.intent for example in examples})
    return split, len(examples), intents, len(labels), labels.total(), unrepresentable


def _load_grammars(data: str, lang: str | None) -> list[Grammar]:
    """Return the grammars that a specification names, for what they make beyond the rows that were drawn."""
    from pqrnn.data.grammar import load_grammar
    from pqrnn.data.home import home_grammar_path, home_locales
    from pqrnn.data.specs import BUILT_IN, GRAMMAR, HASSIL, parse_spec

    spec = parse_spec(data)
    if spec.format == GRAMMAR:
        return [load_grammar(spec.path)]
    if spec.format == HASSIL:
        from pqrnn.data.hassil import load_hassil

        return [load_hassil(each).grammar for each in ([spec.path] if spec.path else (lang or "").split(","))]
    if spec.format == BUILT_IN:
        names = [name.strip() for name in (spec.path or lang or "").split(",") if name.strip()] or home_locales()
        return [load_grammar(path) for path in dict.fromkeys(map(home_grammar_path, names))]
    return []


@data_app.command(epilog="Example:  `pqrnn data convert snips:DATA/snips --split train --out train.jsonl`")
@reads_data
def convert(
    data: SpecArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, our JSON lines.")],
    split: Annotated[str, typer.Option(help="`train`, `dev`, `test` or `all`.")] = "all",
    lang: LangOption = None,
) -> None:
    """Write a data set as our JSON lines: text, intent, slots with code-point start, end and label, locale."""
    from pqrnn.data.loader import load_examples
    from pqrnn.data.reading import ReadReport
    from pqrnn.data.writer import write_jsonl

    report = ReadReport()
    examples = load_examples(data, split=split, locale=lang, report=report)
    if left := report.describe_rows():
        typer.secho(left, fg="yellow", err=True)
    typer.echo(f"{write_jsonl(examples, out)} utterances in {out}")


@data_app.command(epilog="Example:  `pqrnn data values hassil:de --out values.json`")
def values(
    data: Annotated[str, typer.Argument(help="Sentences of Home Assistant: `hassil:de`, or a folder of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, JSON for `pqrnn wyoming --values`.")],
) -> None:
    """Write what Home Assistant wants for the words of a slot, as `blind` for "Jalousien" and 70 for "seventy"."""
    import msgspec

    from pqrnn.data.hassil import load_hassil
    from pqrnn.data.hassil.values import list_values
    from pqrnn.data.specs import HASSIL, parse_spec
    from pqrnn.errors import DataNotFoundError
    from runtime_py.atomic_files import write_atomic

    spec = parse_spec(data)
    if spec.format != HASSIL:
        raise DataNotFoundError(f"{data}: only sentences of Home Assistant have values; name them as hassil:SOURCE")
    table = list_values(load_hassil(spec.path))
    write_atomic(out, msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n")
    typer.echo(f"{sum(map(len, table.values()))} texts of {len(table)} slots in {out}")
