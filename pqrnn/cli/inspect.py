"""`pqrnn inspect`."""

from __future__ import annotations

import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_package
from pqrnn.cli.options import JsonOption, PackageArgument
from pqrnn.cli.output import print_json, say, show_table


@app.command(epilog="Example:  `pqrnn inspect home.pqrnn --json`")
def inspect(package: PackageArgument, json: JsonOption = False) -> None:
    """Show what is in a package, without running it.

    Labels, length buckets, variants, versions, sizes, and whether files are damaged.
    """
    from runtime_py.tools.inspect import inspect_package
    from runtime_py.tools.presentation import inspect_tables

    facts = inspect_package(find_package(package))
    if json:
        print_json(facts)
    else:
        for table in inspect_tables(facts):
            show_table(*table)
        for name in facts.damaged:
            say(f"damaged: {name}", color="red", error=True)
        for name in facts.unlisted:
            say(f"not in the manifest: {name}", color="yellow", error=True)
    if facts.damaged:
        raise typer.Exit(1)
