"""`pqrnn export-c`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, require_extra, show_table

if TYPE_CHECKING:
    from runtime_py.manifest import Bucket


@app.command("export-c", epilog="Example:  `pqrnn export-c runs/home --target linux-armv7-neon --out home-c`")
def export_c(
    run: Annotated[Path, typer.Argument(help="Folder of a trained parser.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    target: Annotated[str, typer.Option("--target", "-t", help="A processor; `pqrnn targets` lists them.")],
    bucket: Annotated[
        list[str] | None,
        typer.Option(
            "--bucket", metavar="WORDS:BYTES", help="A length bucket, instead of those that fit the training texts; fewer words take less memory."
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a parser in C that is there.")] = False,
    json: JsonOption = False,
) -> None:
    """Write a trained parser as plain C and an object file, for boards without a runtime: 32-bit ARM, RISC-V, microcontrollers.

    It is built and run, in an emulator where need be, and has to answer like PyTorch. Where the C compiler or the emulator is missing, it is written all the
    same, and says so.
    """
    require_extra("compile", "torch", "safetensors", "iree.compiler", "iree.turbine")
    from rich.console import Console

    from compile.standalone.pipeline import export_parser

    with Console(stderr=True, quiet=json).status("starting") as status:
        exported = export_parser(run, out, target, buckets=_read_buckets(bucket), replace=replace, on_progress=status.update)
    figures, proof = exported.figures, exported.proof
    if json:
        print_json({"folder": str(out), "target": target, "buckets": exported.buckets, "figures": figures, "proof": proof})
        return
    verdict = f"like PyTorch within {proof.largest:.1e}, on {proof.machine}" if proof.machine else f"unverified: {proof.reason}"
    row = (
        f"{figures.weight_bytes:,}",
        f"{figures.code_bytes:,}",
        f"{figures.memory_bytes:,}",
        str(figures.dispatches),
        f"{figures.seconds:.1f}",
        verdict,
    )
    show_table(f"{out}: C for {target}", ("weights", "code", "memory", "dispatches", "seconds", "answers"), [row])


def _read_buckets(texts: list[str] | None) -> tuple[Bucket, ...] | None:
    from compile.buckets import make_buckets

    sizes = []
    for text in texts or []:
        words, _, size = text.partition(":")
        if not (words.isdecimal() and size.isdecimal()):
            raise typer.BadParameter(f"{text!r} is no WORDS:BYTES, such as 16:96")
        sizes.append((int(words), int(size)))
    return make_buckets(sorted(sizes)) if sizes else None
