"""`pqrnn demo-page`: a parser in a web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import JsonOption
from pqrnn.cli.output import print_json, say


@app.command(
    "demo-page",
    epilog="Example:  `pqrnn native mtop-en -t webassembly --out web && pqrnn demo-page web --out page`",
)
def demo_page(
    native: Annotated[Path, typer.Argument(help="Folder of `pqrnn native` with `webassembly` among its targets.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write `index.html` to.")],
    example: Annotated[str, typer.Option("--example", help="Sentence that stands there at first.")] = "",
    language: Annotated[str, typer.Option("--language", help="Language of speech, such as `en` or `de-AT`.")] = "en",
    relaxed: Annotated[
        bool, typer.Option("--relaxed", help="Only for browsers with relaxed SIMD (not Safari), where it is faster.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make a page that shows a parser at work: type or speak a sentence, see intent and slots.

    It is one HTML file: it runs from the disk or from any static host, and neither loads nor sends anything. (Speech is
    your browser's; some browsers send it to their maker.)
    """
    from compile.native.demo import write_demo_page

    page = write_demo_page(native, out, example, language, relaxed=relaxed)
    if json:
        print_json({"page": str(page), "bytes": page.stat().st_size})
        return
    say(f"{page}: {page.stat().st_size:,} bytes; open it in a browser")
