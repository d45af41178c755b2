"""`pqrnn bench`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.locate import find_package
from pqrnn.cli.options import JsonOption, LangOption, PackageArgument, VariantOption
from pqrnn.cli.output import print_json, require_extra, show_table


@app.command(
    epilog="Examples:  `pqrnn bench home.pqrnn --data home:en`  `pqrnn bench home.pqrnn --target raspberry-pi-4`"
)
@reads_data
def bench(
    package: PackageArgument,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Texts of labelled utterances (as for `train`) instead of those in the package."),
    ] = None,
    lang: LangOption = None,
    split: Annotated[str, typer.Option(help="Of --data.")] = "test",
    seconds: Annotated[float, typer.Option(min=0.1, help="Of steady-state measurement.")] = 3.0,
    threads: Annotated[
        int, typer.Option(min=1, help="1 runs on the calling thread, which is fastest for one text.")
    ] = 1,
    variant: VariantOption = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Measure the compiled code of this variant alone, also in an emulator; again for more, `all` for "
            "every one.",
        ),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="With --target: a folder for the documents of iree-benchmark-module.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure a package on this machine: size, load, first call, steady state by length, memory.

    With `--target`, what the compiled code of each variant costs on a fixed text: times where this machine runs it
    itself; where an emulator does, what is exact there: executed instructions, bytes, launches, memory.
    """
    package = find_package(package)
    if target:
        if data is not None or variant is not None or threads != 1:
            raise typer.BadParameter(
                "--target runs the compiled code on a text of its own: leave out --data, --variant and --threads"
            )
        _bench_targets(package, target, seconds, keep, json)
        return
    if keep is not None:
        raise typer.BadParameter("--keep keeps what --target measures: add --target NAME")
    from runtime_py.tools.bench import benchmark_package
    from runtime_py.tools.presentation import bench_tables

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


def _bench_targets(package: Path, targets: list[str], seconds: float, keep: Path | None, json: bool) -> None:
    require_extra("compile", "iree.compiler")
    from compile.target_bench import bench_targets, figures_tables, keep_documents

    figures = bench_targets(package, targets, seconds, lambda text: typer.echo(text, err=True))
    if keep is not None:
        keep_documents(figures, keep)
    if json:
        print_json(figures)
        return
    for table in figures_tables(figures):
        show_table(*table)
