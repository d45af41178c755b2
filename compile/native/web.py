"""WebAssembly: the JavaScript around a parser's modules, as a package for npm, and Node to try them.

There is a module for every engine, and one for engines with relaxed SIMD, which does the same faster. `index.js` asks
the engine.
"""

from __future__ import annotations

import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

from compile.native.writing import Sources
from targets import Target

NODE = "node"
RELAXED = "relaxed-simd"  # the feature, as LLVM calls it
_MARK = ".relaxed"


def mark_of(target: Target) -> str:
    """Return what the file of a module has in its name besides the parser's name."""
    return _MARK if RELAXED in target.features else ""


def write_npm(folder: Path, sources: Sources, name: str, *, few_bits: bool = False) -> None:
    """Write what makes a folder with modules a package for npm: an ES module, its types, and `package.json`.

    Args:
        folder: Folder of the `.wasm`, of which the package gets all.
        sources: The parser's C.
        name: Name of the parser, for people.
        few_bits: Whether most products have weights of 4 bits.
    """
    texts = files("compile.native") / "javascript"
    code = (texts / "index.js").read_text("utf-8").replace("PREFIX", sources.prefix)
    code = code.replace("FEW_BITS", str(few_bits).lower())
    told = re.sub(r"\s+", " ", name)
    (folder / "index.js").write_text(code.replace("NAME", told, 1), "utf-8")
    (folder / "index.d.ts").write_text((texts / "index.d.ts").read_text("utf-8"), "utf-8")
    modules = sorted(path.name for path in folder.glob("*.wasm"))
    description = {
        "name": sources.prefix.lower().replace("_", "-"),
        "version": "0.1.0",
        "description": f"The parser {told}: text in, intent and slots out, by pqrnn",
        "type": "module",
        "main": "index.js",
        "types": "index.d.ts",
        "exports": {
            ".": {"types": "./index.d.ts", "default": "./index.js"},
            **{f"./{module}": f"./{module}" for module in modules},
        },
        "files": ["index.js", "index.d.ts", *modules],
        "sideEffects": False,
    }
    (folder / "package.json").write_text(json.dumps(description, indent=2) + "\n", "utf-8")


def node_command(folder: Path, scratch: Path, module: str = "") -> tuple[str, ...] | None:
    """Return the command of a host in JavaScript for a package, or None where there is no Node.

    Args:
        folder: Folder that `write_npm` wrote to.
        scratch: Folder for the host.
        module: Name of the `.wasm`; by default the host takes the one that users of the package get.
    """
    node = shutil.which(NODE)
    if node is None:
        return None
    host = scratch / "host.mjs"
    host.write_bytes((files("compile.native") / "javascript" / "host.mjs").read_bytes())
    return (node, str(host), str(folder), *(("--module", module) if module else ()))
