"""`pqrnn native`: a trained parser as a library of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.export import read_buckets
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import JsonOption, RunArgument
from pqrnn.cli.output import print_json, require_extra, say, show_table

if TYPE_CHECKING:
    from compile.native.pipeline import NativeParser
    from runtime_py.native.manifest import NativeVariant


@app.command(epilog="Example:  `pqrnn native mtop-en -t linux-x86_64-v3 -t linux-aarch64 --out mtop-en-native`")
def native(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target", "-t", help="A processor, as often as you like; `pqrnn targets` lists them.", show_default="host"
        ),
    ] = None,
    libc: Annotated[
        str,
        typer.Option(
            "--libc",
            metavar="NAME",
            help="C library of targets with Linux: `musl`, or `glibc:2.17` for an older one than 2.28.",
            show_default=False,
        ),
    ] = "",
    bucket: Annotated[
        list[str] | None,
        typer.Option(
            "--bucket",
            metavar="WORDS:BYTES",
            help="A length bucket, instead of those of a package; fewer words take less memory.",
        ),
    ] = None,
    sources: Annotated[bool, typer.Option("--sources", help="Keep the C and the object files, too.")] = False,
    java: Annotated[
        bool, typer.Option("--java", help="Also make a class for Java and Kotlin; for Android it is always made.")
    ] = False,
    memory: Annotated[
        bool, typer.Option("--memory", help="Also show what the memory of an open parser is made of.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace native libraries that are there.")] = False,
    json: JsonOption = False,
) -> None:
    """Make libraries that parse without any runtime: text in, intent and slots out, one file and one header.

    They decide as the compiled package does. `--out` gets the header, and for each target a shared and a static
    library; Python loads them with `Parser.load(FOLDER, engine="native")`. `pip install 'pqrnn[native]'` brings a C
    compiler for every target; without it this machine's own is used. Where this machine or an emulator can run the
    result, it has to answer like PyTorch; else it is called unverified.
    """
    require_extra("compile", "torch", "safetensors", "iree.compiler", "iree.turbine")
    from rich.console import Console

    from compile.native.pipeline import NativeOptions, build_native_parsers

    options = NativeOptions(read_buckets(bucket), libc, sources, replace, java=java)
    run = find_run(run)
    with Console(stderr=True, quiet=json).status("starting") as status:
        built = build_native_parsers(run, out, target or ["host"], options, on_progress=status.update)
    if json:
        print_json(
            {
                "folder": str(out),
                "parsers": [
                    {
                        "compiler": parser.compiler,
                        "variant": parser.variant,
                        "proof": parser.proof,
                        "memory": parser.memory,
                    }
                    for parser in built
                ],
            }
        )
        return
    rows = [
        (
            parser.target.id,
            parser.variant.library or "static only",
            f"{_size(parser.variant):,}",
            f"{parser.variant.memory:,}",
            f"like PyTorch on {parser.proof.texts} texts, on {parser.proof.machine}"
            if parser.proof.machine
            else "unverified",
        )
        for parser in built
    ]
    show_table(f"{out}: native parser", ("target", "library", "bytes", "memory", "answers"), rows)
    if memory:
        for parser in built:
            _show_memory(parser)
    for parser in built:
        if parser.proof.reason:
            say(f"unverified: {parser.target.id}: {parser.proof.reason}", color="yellow", error=True)


def _size(variant: NativeVariant) -> int:
    """Return the bytes of the shared library, or of the static one where that is all."""
    if variant.library is not None:
        return variant.files[variant.library].bytes
    return max(file.bytes for file in variant.files.values())


def _show_memory(parser: NativeParser) -> None:
    from compile.native.memory import most_alive

    parts = parser.memory
    rows = [(part.name, f"{part.bytes:,}", f"{part.offset:,}", f"{part.first} to {part.last}") for part in parts]
    show_table(
        f"{parser.target.id}: {parser.variant.memory:,} bytes of memory, for {parser.variant.words} words; at most "
        f"{most_alive(parts):,} of the buffers are needed at once",
        ("buffer", "bytes", "at", "needed in steps"),
        rows,
    )
