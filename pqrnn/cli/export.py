"""`pqrnn export` and `pqrnn export-c`: ways out of this project's own runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import JsonOption, RunArgument
from pqrnn.cli.output import print_json, require_extra, show_table

if TYPE_CHECKING:
    from runtime_py.package_format.manifest import Bucket


_ONNX_HELP = """Write a trained parser as one ONNX file, for ONNX Runtime and whatever else reads ONNX.

The whole program is in it, **from UTF-8 bytes to logits**: decoding, words, hashes and features come out bit for bit as
in PyTorch. It takes int32 `text` [batch, bytes / 4] (UTF-8 padded with zeros) for any number of texts, and gives
`intent`, `tags`, `spans` and `count`; the file's metadata says so, too, and holds the names of the labels. It is
written only after ONNX's checker has accepted it and ONNX Runtime has answered the golden texts like PyTorch.

An ONNX graph has one length: every text costs what `--bucket` costs. A compiled package chooses among several lengths,
and is faster.
"""


@app.command("export", help=_ONNX_HELP, epilog="Example:  `pqrnn export runs/home --onnx home.onnx`")
def export_file(
    run: RunArgument,
    onnx: Annotated[Path, typer.Option("--onnx", help="ONNX file to write.")],
    bucket: Annotated[
        str | None,
        typer.Option(
            "--bucket",
            metavar="WORDS:BYTES",
            help="Longest text that it reads; by default the longest that a package reads.",
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
    json: JsonOption = False,
) -> None:
    """Write a trained parser as ONNX; `_ONNX_HELP` is what people read."""
    require_extra("onnx", "torch", "safetensors", "onnx", "onnxruntime", "onnxscript")
    run = find_run(run)
    from rich.console import Console

    from compile.onnx_export import export_onnx

    chosen = read_buckets([bucket] if bucket else None)
    with Console(stderr=True, quiet=json).status("starting") as status:
        exported = export_onnx(
            run, onnx, bucket=chosen[0] if chosen else None, replace=replace, on_progress=status.update
        )
    if json:
        print_json({**dataclasses.asdict(exported), "path": str(exported.path), "bucket": exported.bucket})
        return
    row = (
        f"{exported.bytes:,}",
        f"{exported.bucket.words} words, {exported.bucket.bytes} bytes",
        "UTF-8 bytes to logits",
        f"like PyTorch on {exported.texts} texts within {exported.largest:.1e} (allowed: {exported.tolerance:.1e}), "
        f"ONNX Runtime {exported.runtime}",
    )
    show_table(f"{onnx}: ONNX, operators of version {exported.opset}", ("bytes", "reads", "holds", "answers"), [row])


@app.command("export-c", epilog="Example:  `pqrnn export-c runs/home --target linux-armv7-neon --out home-c`")
def export_c(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    target: Annotated[str, typer.Option("--target", "-t", help="A processor; `pqrnn targets` lists them.")],
    bucket: Annotated[
        list[str] | None,
        typer.Option(
            "--bucket",
            metavar="WORDS:BYTES",
            help="A length bucket, instead of those that fit the training texts; fewer words take less memory.",
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a parser in C that is there.")] = False,
    json: JsonOption = False,
) -> None:
    """Write a trained parser as plain C and an object file, for boards without a runtime.

    These are 32-bit ARM, RISC-V and microcontrollers. It is built and run, in an emulator where need be, and has to
    answer like PyTorch. Where the C compiler or the emulator is missing, it is written all the same, and says so.
    """
    require_extra("compile", "torch", "safetensors", "iree.compiler", "iree.turbine")
    from rich.console import Console

    from compile.standalone.pipeline import export_parser

    buckets, run = read_buckets(bucket), find_run(run)
    with Console(stderr=True, quiet=json).status("starting") as status:
        exported = export_parser(run, out, target, buckets=buckets, replace=replace, on_progress=status.update)
    figures, proof = exported.figures, exported.proof
    if json:
        print_json(
            {"folder": str(out), "target": target, "buckets": exported.buckets, "figures": figures, "proof": proof}
        )
        return
    verdict = (
        f"like PyTorch within {proof.largest:.1e}, on {proof.machine}"
        if proof.machine
        else f"unverified: {proof.reason}"
    )
    row = (
        f"{figures.weight_bytes:,}",
        f"{figures.code_bytes:,}",
        f"{figures.memory_bytes:,}",
        str(figures.dispatches),
        f"{figures.seconds:.1f}",
        verdict,
    )
    show_table(f"{out}: C for {target}", ("weights", "code", "memory", "dispatches", "seconds", "answers"), [row])


def read_buckets(texts: list[str] | None) -> tuple[Bucket, ...] | None:
    """Read length buckets as `WORDS:BYTES`; None where there are none.

    Raises:
        typer.BadParameter: One is of another form.
    """
    from compile.lowering.buckets import make_buckets

    sizes = []
    for text in texts or []:
        words, _, size = text.partition(":")
        if not (words.isdecimal() and size.isdecimal()):
            raise typer.BadParameter(f"{text!r} is no WORDS:BYTES, such as 16:96")
        sizes.append((int(words), int(size)))
    return make_buckets(sorted(sizes)) if sizes else None
