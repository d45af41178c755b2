"""Every verb, imported so that it registers itself."""

from __future__ import annotations

from pqrnn.cli import (
    average,
    bench,
    build,
    check,
    compile,
    conformance,
    data,
    deploy,
    distill,
    doctor,
    evaluate,
    export,
    finetune,
    inspect,
    parse,
    quantize,
    recipe,
    targets,
    train,
    zoo,
)

__all__ = [
    "average",
    "bench",
    "build",
    "check",
    "compile",
    "conformance",
    "data",
    "deploy",
    "distill",
    "doctor",
    "evaluate",
    "export",
    "finetune",
    "inspect",
    "parse",
    "quantize",
    "recipe",
    "targets",
    "train",
    "zoo",
]
