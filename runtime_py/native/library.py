"""A native library, loaded and opened by ctypes: its functions, its version, its codes as errors."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

from runtime_py.decode.rejection import nothing_recommended
from runtime_py.errors import CalibrationMissingError, DeviceError, PackageError, UnsupportedTargetError
from runtime_py.native.interface import (
    ABI,
    CALIBRATED_SINCE,
    NO_CALIBRATION,
    RECOMMENDED,
    WRONG_PROCESSOR,
    Answer,
    Ranked,
)

_HANDLE = ctypes.c_void_p
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "parse": (_HANDLE, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.POINTER(Answer)),
    "close": (_HANDLE,),
    "rank": (_HANDLE, ctypes.POINTER(Ranked), ctypes.c_int32),
    "alternatives": (_HANDLE, ctypes.POINTER(Ranked), ctypes.c_int32),
    "set_min_score": (_HANDLE, ctypes.c_double),
}


class Library:
    """A parser that a native library has opened; it serves one call at a time.

    Attributes:
        where: How error messages call the library.
        built_by: The command that makes it again: ``build`` or ``compile``.
        handle: The open parser; None after `close`.
        intents: Names of the intents.
        parse: The C function.
    """

    def __init__(self, path: str | os.PathLike[str], prefix: str, where: str, built_by: str = "build") -> None:
        """Load a library and open a parser in it.

        Args:
            path: What the system loads.
            prefix: Prefix of the public functions.
            where: How error messages call the library.
            built_by: ``build`` for libraries of `pqrnn native`, ``compile`` for those of a package.

        Raises:
            PackageError: Its interface is of another version.
            UnsupportedTargetError: The processor lacks instructions that it needs.
            DeviceError: The system refuses it.
        """
        self.where, self.built_by = where, built_by
        self.handle: int | None = None
        self._prefix = prefix
        try:
            self._loaded = ctypes.CDLL(os.fspath(path))
            self.parse, self._close = self.find("parse"), self.find("close")
            self._close.restype = None
            self._open()
            name = self.find("intent_name")
            name.restype = ctypes.c_char_p
            self.intents = tuple(name(index).decode() for index in range(self.find("intents")()))
        except (OSError, AttributeError) as error:
            raise DeviceError(f"{where}: cannot be loaded ({error}). {self._advice()}") from error

    def find(self, name: str) -> Any:
        """Return a function of the library; AttributeError where it lacks that."""
        function = self._loaded[f"{self._prefix}_{name}"]
        if name in _ARGUMENTS:
            function.argtypes = _ARGUMENTS[name]
        return function

    def find_calibrated(self, name: str) -> Any:
        """Return a function that libraries of interface 1.0 lack.

        Raises:
            PackageError: This is such a library.
        """
        if self.abi < CALIBRATED_SINCE:
            raise PackageError(f"{self.where}: interface 1.0 has no {name}. {self._advice()}")
        return self.find(name)

    def set_min_score(self, least: float | None, where: str) -> None:
        """Reject less probable parses from now on.

        Args:
            least: The least score; None for the recommended one.
            where: Name of the folder or package, for messages.

        Raises:
            CalibrationMissingError: None is recommended, as there is no calibration.
        """
        if least == 0:
            return
        status = self.find_calibrated("set_min_score")(self.handle, RECOMMENDED if least is None else least)
        if status == NO_CALIBRATION:
            raise CalibrationMissingError(nothing_recommended(where, self.built_by))
        if status:
            raise DeviceError(f"{where}: {self.message(status)}.")

    def list_intents(self, name: str, most: int) -> list[tuple[str, float]]:
        """Return the most probable intents of the last text; `name` is ``rank`` or ``alternatives``."""
        ranking: Callable[..., int] = self.find_calibrated(name) if name == "alternatives" else self.find(name)
        ranked = (Ranked * min(most, len(self.intents)))()
        count = ranking(self.handle, ranked, len(ranked))
        return [(self.intents[entry.intent], entry.score) for entry in ranked[:count]]

    def message(self, status: int) -> str:
        """Return what a code means."""
        message = self.find("message")
        message.restype = ctypes.c_char_p
        return str(message(status).decode())

    def tags(self) -> tuple[str, ...]:
        """Return the names of the tags."""
        name = self.find("tag_name")
        name.restype = ctypes.c_char_p
        return tuple(name(index).decode() for index in range(self.find("tags")()))

    def close(self) -> None:
        """Give the memory back; closing twice is fine."""
        handle, self.handle = self.handle, None
        if handle:
            self._close(handle)

    def __del__(self) -> None:
        """Give the memory back, where Python still can."""
        if self.__dict__.get("handle") and not sys.is_finalizing():
            self.close()

    def _advice(self) -> str:
        return "Build it again with `pqrnn native`." if self.built_by == "build" else "Compile the package again."

    def _open(self) -> None:
        self.abi = int(self.find("abi")())
        if self.abi >> 16 != ABI:
            raise PackageError(
                f"{self.where}: interface {self.abi >> 16}, expected {ABI}. Install the pqrnn that built it, or build "
                "it again."
            )
        handle = ctypes.c_void_p()
        status = self.find("open")(ctypes.byref(handle))
        if status:
            reason = f"{self.where}: {self.message(status)}."
            raise (UnsupportedTargetError if status == WRONG_PROCESSOR else DeviceError)(reason)
        self.handle = handle.value
