"""The device side of pqrnn: open a compiled package, parse text, check and measure it.

It needs only NumPy, ``iree-base-runtime`` and msgspec, and never imports PyTorch. The names below are resolved on first
use, so that ``import runtime_py.decode.decoder`` (which the trainer uses, too) does not load the IREE runtime.

    from runtime_py import Parser

    with Parser.load("home.pqrnn") as parser:
        parser("wake me at seven tomorrow")

A package is code, as a wheel is: load only packages from people whom you trust. Its modules hold machine code that runs
with the rights of the process. The digests in the manifest show that a package arrived whole; who made it, a signature
shows (``Parser.load(..., require_signature=KEY)``). The pinned runtime (``iree-base-runtime`` 3.13.0) has no verifier
of bytecode: versions 3.10 to 3.13.0 lack it. A verifier would not change that advice, since it says nothing about
machine code.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime_py.decode.answers import Alternative, Parse, Slot
    from runtime_py.engines import Parser
    from runtime_py.errors import DeviceFallback, ParserError
    from runtime_py.execute.logits import Logits
    from runtime_py.questions.answerer import Answerer
    from runtime_py.questions.answers import Answer

_EXPORTS = {
    "Alternative": "runtime_py.decode.answers",
    "Answer": "runtime_py.questions.answers",
    "Answerer": "runtime_py.questions.answerer",
    "DeviceFallback": "runtime_py.errors",
    "Logits": "runtime_py.execute.logits",
    "Parse": "runtime_py.decode.answers",
    "Parser": "runtime_py.engines",
    "ParserError": "runtime_py.errors",
    "Slot": "runtime_py.decode.answers",
}

__all__ = ["Alternative", "Answer", "Answerer", "DeviceFallback", "Logits", "Parse", "Parser", "ParserError", "Slot"]


def __getattr__(name: str) -> Any:
    """Import the module behind a public name on first use (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
