"""`pqrnn bench`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption, LangOption, VariantOption
from pqrnn.cli.output import print_json, show_table


@app.command(epilog="Example:  `pqrnn bench home.pqrnn --data home:en`")
def bench(
    package: Annotated[Path, typer.Argument(help="A compiled package.")],
    data: Annotated[str | None, typer.Option("--data", help="Texts of labelled utterances (as for `train`) instead of those in the package.")] = None,
    lang: LangOption = None,
    split: Annotated[str, typer.Option(help="Of --data.")] = "test",
    seconds: Annotated[float, typer.Option(min=0.1, help="Of steady-state measurement.")] = 3.0,
    threads: Annotated[int, typer.Option(min=1, help="1 runs on the calling thread, which is fastest for one text.")] = 1,
    variant: VariantOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a package on this machine: size, load, first call, steady state by length, memory."""
    from runtime_py.bench import benchmark_package
    from runtime_py.presentation import bench_tables

    texts = None
    if data is not None:
        from pqrnn.data.loader import load_examples

        texts = [example.text for example in load_examples(data, split=split, locale=lang)]
    if not json and sys.stderr.isatty():
        typer.echo(f"measuring for {seconds:g} s ...", err=True)
    result = benchmark_package(package, texts, seconds, variant, threads, on_long="truncate")
    if json:
        print_json(result)
        return
    for table in bench_tables(result):
        show_table(*table)
