"""A page that shows a parser at work: one HTML file with everything in it, the WebAssembly module among it."""

from __future__ import annotations

import base64
import html
import json
from importlib.resources import files
from pathlib import Path

from compile.native.errors import NativeError
from runtime_py.errors import ParserError
from runtime_py.native.manifest import check_library, read_manifest

_WEB = "wasm"


def write_demo_page(native: Path, out: Path, example: str = "", language: str = "en") -> Path:
    """Write `index.html`, which runs from a file or any static host, and asks for nothing.

    Args:
        native: Folder of `pqrnn native` with a WebAssembly module.
        out: Folder to write; other files in it stay.
        example: Sentence that stands in the page at first.
        language: Language of speech, as browsers call it: `en`, `de-AT`.

    Returns:
        The page.

    Raises:
        NativeError: The folder has no WebAssembly module, or cannot be read.
    """
    try:
        manifest = read_manifest(native)
        variant = next((variant for variant in manifest.variants if variant.triple.startswith(_WEB)), None)
        if variant is None:
            raise NativeError(f"{native}: holds no WebAssembly; build it with `pqrnn native RUN -t webassembly`")
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
