"""WebAssembly: the JavaScript around a module, as a package for npm, and Node to try it."""

from __future__ import annotations

import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

from compile.native.writing import Sources

NODE = "node"


def write_npm(folder: Path, sources: Sources, name: str) -> None:
    """Write what makes a folder with a module a package for npm: an ES module, its types, and `package.json`.

    Args:
        folder: Folder of the `.wasm`.
        sources: The parser's C.
        name: Name of the parser, for people.
    """
    texts = files("compile.native") / "javascript"
    code = (texts / "index.js").read_text("utf-8").replace("PREFIX", sources.prefix)
    told = re.sub(r"\s+", " ", name)
    (folder / "index.js").write_text(code.replace("NAME", told, 1), "utf-8")
    (folder / "index.d.ts").write_text((texts / "index.d.ts").read_text("utf-8"), "utf-8")
    description = {
        "name": sources.prefix.lower().replace("_", "-"),
        "version": "0.1.0",
        "description": f"The parser {told}: text in, intent and slots out, by pqrnn",
        "type": "module",
        "main": "index.js",
        "types": "index.d.ts",
        "exports": {
            ".": {"types": "./index.d.ts", "default": "./index.js"},
            f"./{sources.prefix}.wasm": f"./{sources.prefix}.wasm",
        },
        "files": ["index.js", "index.d.ts", f"{sources.prefix}.wasm"],
        "sideEffects": False,
    }
    (folder / "package.json").write_text(json.dumps(description, indent=2) + "\n", "utf-8")


def node_command(folder: Path, scratch: Path) -> tuple[str, ...] | None:
    """Return the command of a host in JavaScript for a package, or None where there is no Node.

    Args:
        folder: Folder that `write_npm` wrote to.
        scratch: Folder for the host.
    """
    node = shutil.which(NODE)
    if node is None:
        return None
    host = scratch / "host.mjs"
    host.write_bytes((files("compile.native") / "javascript" / "host.mjs").read_bytes())
    return node, str(host), str(folder)
