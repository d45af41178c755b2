"""`pqrnn conformance`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_package
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, say, show_table
from pqrnn.errors import PqrnnError


@app.command(
    epilog="Example:  `pqrnn conformance home.pqrnn --out home.json`  and, with a port's answers,  `pqrnn "
    "conformance home.pqrnn --answers answers.jsonl`"
)
def conformance(
    package: Annotated[
        Path | None,
        typer.Argument(help="A compiled package, or the name of a parser in the zoo, which is compiled once."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the conformance file: texts, and what a host has to answer for each."),
    ] = None,
    header: Annotated[
        Path | None, typer.Option("--header", help="Write buckets and labels as a C header, for a host in C.")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option("--answers", help="Judge a host's answers, one JSON object a line; `-` reads standard input."),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the file and of an answer.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Test a host in any language.

    Writes what it has to answer for a package, and judges what it answered; the exit code is 1 if it differs.

    `ABI.md` in `runtime_py` says how a host gets from a text to its answer.
    """
    from runtime_py.tools.conformance import encode_conformance, json_schema, make_conformance, read_answers
    from runtime_py.tools.conformance_judge import judge

    if schema:
        print_json(json_schema())
        return
    if package is None or (out, header, answers) == (None, None, None):
        raise PqrnnError(
            "name a package, and what to do with it: --out FILE, --header FILE or --answers FILE; or --schema"
        )
    from runtime_py.atomic_files import write_atomic
    from runtime_py.package_format.package import open_package

    opened = open_package(find_package(package))
    expected = make_conformance(opened)
    if out is not None:
        write_atomic(out, encode_conformance(expected))
    if header is not None:
        from runtime_py.tools.c_header import c_header

        write_atomic(header, c_header(opened.manifest).encode())
    if answers is None:
        return
    data = _read(answers)
    verdict = judge(expected, read_answers(data, str(answers)))
    if json:
        print_json(verdict)
    else:
        rows = [
            ("answered", f"{verdict.answered} of {verdict.cases} texts"),
            (
                "logits compared",
                f"of {verdict.with_logits} texts, largest difference {verdict.largest_difference:.2e}, allowed "
                f"{verdict.tolerance:.2e}",
            ),
            (
                "verdict",
                "passed"
                if verdict.passed
                else "FAILED: " + ", ".join(f"{number} x {what}" for what, number in verdict.failures.items()),
            ),
        ]
        show_table(f"{answers} against {package}", ("check", "found"), rows)
        for difference in verdict.first:
            say(
                f"case {difference.id}, {difference.what}: expected {difference.expected}, found {difference.found}",
                color="red",
                error=True,
            )
    if not verdict.passed:
        raise typer.Exit(1)


def _read(path: Path) -> bytes:
    if str(path) == "-" and sys.stdin is None:
        raise PqrnnError("standard input is closed; name a file with --answers")
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise PqrnnError(f"{path}: cannot be read ({error.strerror})") from error
