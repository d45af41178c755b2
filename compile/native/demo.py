"""A page that shows a parser at work: one HTML file with everything in it, the WebAssembly module among it."""

from __future__ import annotations

import base64
import html
import json
from importlib.resources import files
from pathlib import Path

from compile.native.errors import NativeError
from compile.native.web import RELAXED
from runtime_py.errors import ParserError
from runtime_py.native.manifest import check_library, read_manifest

_WEB = "wasm"


def write_demo_page(native: Path, out: Path, example: str = "", language: str = "en", *, relaxed: bool = False) -> Path:
    """Write `index.html`, which runs from a file or any static host, and asks for nothing.

    It holds one module. With both it would be twice as large, for a time that nobody sees: a page is shown once a
    keystroke, and either module takes less than a millisecond.

    Args:
        native: Folder of `pqrnn native` with a WebAssembly module.
        out: Folder to write; other files in it stay.
        example: Sentence that stands in the page at first.
        language: Language of speech, as browsers call it: `en`, `de-AT`.
        relaxed: Whether the page gets the module for browsers with relaxed SIMD, instead of the one for all.

    Returns:
        The page.

    Raises:
        NativeError: The folder has no WebAssembly module, or cannot be read.
    """
    try:
        manifest = read_manifest(native)
        fits = [each for each in manifest.variants if each.triple.startswith(_WEB)]
        variant = next((each for each in fits if (RELAXED in each.features) == relaxed), None)
        if variant is None:
            kind = f"WebAssembly with{'' if relaxed else 'out'} relaxed SIMD" if fits else "WebAssembly"
            raise NativeError(f"{native}: holds no {kind}; build it with `pqrnn native RUN -t webassembly`")
        module = check_library(native, variant)
    except ParserError as error:
        raise NativeError(str(error)) from error
    texts = files("compile.native") / "javascript"
    parts = {
        "TITLE": html.escape(manifest.name),
        "WASM": base64.b64encode(module.read_bytes()).decode(),
        "SCRIPT": (module.parent / "index.js").read_text("utf-8"),
        "EXAMPLE": _literal(example),
        "LANGUAGE": _literal(language),
    }
    page = (texts / "demo.html").read_text("utf-8")
    lines = [_fill(line, parts) for line in page.splitlines()]
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text("\n".join(lines) + "\n", "utf-8")
    return out / "index.html"


def _fill(line: str, parts: dict[str, str]) -> str:
    """Put the first of the parts that a line names into it; no line names two."""
    for name, part in parts.items():
        if name in line:
            return line.replace(name, part)
    return line


def _literal(text: str) -> str:
    """Return a string of JavaScript that ends no script."""
    return json.dumps(text).replace("<", "\\u003c")
