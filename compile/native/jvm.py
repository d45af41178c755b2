"""Java around a native parser: a class with native methods, and the C behind them, for Android and other machines."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from compile.native.writing import Sources


def class_of(prefix: str) -> str:
    """Return the name of a parser's class: `mtop_en` becomes `MtopEn`."""
    return "".join(part[:1].upper() + part[1:] for part in prefix.split("_") if part)


def write_class(folder: Path, sources: Sources, name: str) -> Path:
    """Write the class, in the folder of its package, and return its path.

    Args:
        folder: Root of Java sources.
        sources: The parser's C.
        name: Name of the parser, for people.
    """
    kind = class_of(sources.prefix)
    text = (files("compile.native") / "java" / "Parser.java").read_text("utf-8")
    told = re.sub(r"\s+", " ", name).replace("*/", "* /").replace("\\", "/")
    code = text.replace("CLASS", kind).replace("PREFIX", sources.prefix).replace("NAME", told, 1)
    path = folder / "pqrnn" / f"{kind}.java"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, "utf-8")
    return path


def write_methods(sources: Sources) -> tuple[Path, tuple[str, ...]]:
    """Write the C of the native methods beside the parser's; return the file, and the options to compile it."""
    for name in ("jni.c", "jni_abi.h"):
        (sources.folder / name).write_bytes((files("compile.native") / "c" / name).read_bytes())
    prefix = sources.prefix
    defined = (f"-DPARSER={prefix}", f"-DJAVA_CLASS={class_of(prefix)}", f'-DHEADER="{prefix}.h"')
    return sources.folder / "jni.c", defined
