"""The call of a native library alone, as a program in C makes it: UTF-8 in, the decided parse out."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

from runtime_py.native.interface import TRUNCATE, Answer
from runtime_py.native.parser import NativeParser


def open_native_call(folder: Path) -> tuple[Callable[[bytes], None], Path]:
    """Return a function that parses UTF-8 with a library, and the library's path.

    Args:
        folder: Folder of `pqrnn native`; the variant is what `NativeParser` takes on this machine.

    Raises:
        PackageError, UnsupportedTargetError, DeviceError: As `NativeParser.load` does.
        RuntimeError: A text is refused.
    """
    with NativeParser.load(folder) as parser:
        path, prefix = folder / str(parser.variant.library), parser.manifest.prefix
    library = ctypes.CDLL(os.fspath(path.resolve()))
    handle, answer = ctypes.c_void_p(), Answer(size=ctypes.sizeof(Answer))
    status = library[f"{prefix}_open"](ctypes.byref(handle))
    if status:
        raise RuntimeError(f"{path}: code {status} on opening")
    parse, reference = library[f"{prefix}_parse"], ctypes.byref(answer)
    parse.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p)

    def call(raw: bytes) -> None:
        status = parse(handle, raw, len(raw), TRUNCATE, reference)
        if status:
            raise RuntimeError(f"{path}: code {status} for {raw!r}")

    return call, path
