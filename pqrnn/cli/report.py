"""`pqrnn report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_package, find_run
from pqrnn.cli.options import PackageArgument
from pqrnn.cli.output import require_extra, say
from pqrnn.errors import PqrnnError


@app.command(epilog="Example:  `pqrnn report home.pqrnn --reference home.reference --out home.html`")
def report(
    package: PackageArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")],
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Also show quality and retention against this file (`pqrnn reference`)."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A TOML file with goals in its table `[parity]`.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Also show what each layer of this parser loses in 8 bits.")
    ] = None,
    bench: Annotated[
        Path | None,
        typer.Option("--bench", help="Also show what `pqrnn bench PACKAGE --target all --json` wrote to this file."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="Of measuring latency; 0 measures nothing.")] = 2.0,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
) -> None:
    """Write what is known of a package as one HTML file: parity, certificates, latency, size, errors.

    The file needs no network and no script, and carries all its figures as JSON.
    """
    require_extra("train", "matplotlib")
    if run is not None:
        require_extra("train", "torch", "safetensors")
    import msgspec

    from compile.report.document import collect
    from compile.report.page import render
    from compile.target_bench.figures import TargetFigures
    from runtime_py.atomic_files import write_atomic
    from runtime_py.parity.goals import read_goals

    if out.exists() and not replace:
        raise PqrnnError(f"{out}: exists already; choose another name, or say --replace")
    targets: list[TargetFigures] = []
    if bench is not None:
        try:
            targets = msgspec.json.decode(bench.read_bytes(), type=list[TargetFigures])
        except (OSError, msgspec.MsgspecError) as error:
            raise PqrnnError(f"{bench}: not what `pqrnn bench --target all --json` writes ({error})") from error
    document = collect(
        find_package(package),
        reference,
        read_goals(recipe),
        seconds,
        targets,
        find_run(run) if run is not None else None,
        on_progress=lambda text: say(text, error=True),
    )
    write_atomic(out, render(document).encode())
    say(f"{out}: {out.stat().st_size:,} bytes")
