"""The tiny module of `benchmarks.tiny_module`, compiled once in a run of the tests."""

from collections.abc import Sequence
from pathlib import Path

from iree.compiler.tools import compile_str
from makers.shared import share_file

from benchmarks.tiny_module import BUCKETS, FLAGS, INTENTS, TAGS, TEXTS, module_text, oracle, write_package

__all__ = [
    "BUCKETS",
    "INTENTS",
    "TAGS",
    "TEXTS",
    "compile_module",
    "compile_text",
    "module_text",
    "oracle",
    "write_package",
]


def compile_module(text: str | None = None) -> bytes:
    """Compile the module for any CPU of this architecture."""
    return compile_text(module_text() if text is None else text, FLAGS)


def compile_text(text: str, options: Sequence[str]) -> bytes:
    """Compile MLIR, once in a run of the tests."""

    def make(path: Path) -> None:
        code = compile_str(text, extra_args=list(options))
        assert code is not None
        path.write_bytes(code)

    return share_file("module.vmfb", (text, tuple(options)), make).read_bytes()
