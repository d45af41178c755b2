"""A cache of compiled modules, by the SHA-256 of everything that the compiler's output depends on.

The key is made of the MLIR's bytes, every flag in order, the content of the files that flags name, the compiler's
version, its description of the processor ("host" is another one on another machine), and the format of the entries. An
entry has two files: the module and, written after it, a record with the key and the module's digest. An entry that does
not match its record, or that another user made or could change, is ignored, and made again. The cache is safe for
several processes at once: files are written in one step, and the same key always has the same content.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from compile.lowering.iree_compile import Compiled, Statistics
from runtime_py.atomic_files import write_atomic
from runtime_py.cache import check_private, is_own, make_private
from runtime_py.errors import CacheError

FORMAT = 2
LIMIT = 2 << 30
_ABANDONED = 24 * 3600.0  # seconds after which an unfinished file is nobody's


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record of a module.

    Attributes:
        sha256: Digest of the module.
        bytes: Size of the module.
        seconds: Time that compiling took.
        statistics: The compiler's counts.
        compiler: Version of the compiler, for people.
        flags: Compiler flags, for people.
        key: Key of the entry.
    """

    sha256: str
    bytes: int
    seconds: float
    statistics: Statistics
    compiler: str
    flags: list[str]
    key: str


def cache_key(module: bytes, flags: Sequence[str], compiler: str, processor: str) -> str:
    """Return the key of a compiled module.

    Args:
        module: Bytes of the module in MLIR.
        flags: Compiler flags.
        compiler: Version of the compiler, with its revision.
        processor: The compiler's description of the processor.
    """
    values = {flag: Path(flag.partition("=")[2]) for flag in flags if "=" in flag}
    files = [
        [flag, _digest(path.read_bytes())] for flag, path in values.items() if len(path.name) < 200 and path.is_file()
    ]
    return _digest(msgspec.json.encode([FORMAT, _digest(module), list(flags), files, compiler, processor]))


class Cache:
    """A folder of compiled modules.

    Attributes:
        folder: Path of the folder.
        limit: Largest size of all entries in bytes.
        problem: Why a module could not be stored; empty if there was no such problem.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        """Use a folder, which need not exist.

        Args:
            folder: Path of the folder.
            limit: Size in bytes above which the least recently used entries are dropped.
        """
        self.folder = folder
        self.limit = limit
        self.problem = ""

    def has(self, key: str) -> bool:
        """Say whether there is an entry, without reading its module."""
        return self._record(key) is not None

    def fetch(self, key: str, destination: Path) -> Compiled | None:
        """Copy a module out.

        Args:
            key: Key, from `cache_key`.
            destination: The `.vmfb` to write.

        Returns:
            The module, or None where there is no entry, or only a damaged one, which is dropped.
        """
        record = self._record(key)
        if record is None:
            return None
        module, beside = self._paths(key)
        try:
            content = module.read_bytes()
            if len(content) != record.bytes or _digest(content) != record.sha256:
                self._drop(key)
                return None
            os.utime(beside)  # used now
        except OSError:
            return None
        destination.write_bytes(content)
        return Compiled(destination, tuple(record.flags), record.seconds, record.statistics, cached=True)

    def store(self, key: str, compiled: Compiled, compiler: str) -> None:
        """Store a module. Failing to do so is no error: `problem` then says why."""
        content = compiled.path.read_bytes()
        record = Record(
            _digest(content), len(content), compiled.seconds, compiled.statistics, compiler, list(compiled.flags), key
        )
        module, beside = self._paths(key)
        try:
            make_private(module.parent)
            write_atomic(module, content)
            write_atomic(beside, msgspec.json.format(msgspec.json.encode(record), indent=1))
            self._prune()
        except CacheError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"{self.folder}: what was compiled cannot be kept there ({error.strerror})"

    def _record(self, key: str) -> Record | None:
        module, beside = self._paths(key)
        try:
            check_private(module.parent)
            if not (is_own(module) and is_own(beside)):
                return None
            record = msgspec.json.decode(beside.read_bytes(), type=Record)
        except (OSError, CacheError, msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        return record if record.key == key else None

    def _paths(self, key: str) -> tuple[Path, Path]:
        folder = self.folder / key[:2]
        return folder / f"{key}.vmfb", folder / f"{key}.json"

    def _drop(self, key: str) -> None:
        for path in reversed(self._paths(key)):  # the record first: without it there is no entry
            path.unlink(missing_ok=True)

    def _prune(self) -> None:
        """Drop the least recently used entries until the rest fits, and files that were never completed."""
        entries = []
        now = time.time()
        for path in self.folder.glob("??/*"):
            with suppress(OSError):  # another process drops entries, too
                state = path.stat()
                if path.suffix == ".json":
                    entries.append(
                        (state.st_mtime, state.st_size + path.with_suffix(".vmfb").stat().st_size, path.stem)
                    )
                elif now - state.st_mtime > _ABANDONED and not path.with_suffix(".json").exists():
                    path.unlink()
        total = sum(size for _, size, _ in entries)
        for _, size, key in sorted(entries)[:-1]:  # never the one that was just used
            if total <= self.limit:
                break
            with suppress(OSError):
                self._drop(key)
                total -= size


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
