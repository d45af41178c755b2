"""A cache of compiled and of imported modules, by the SHA-256 of everything that they depend on.

The key of a compiled one is made of the MLIR's bytes, every flag in order, the content of the files that flags name,
the compiler's version, its description of the processor ("host" is another one on another machine), and the format of
the entries; that of an imported one by `compile.imports`. An entry has two files: the module and, written after it, a
record with the key and the module's digest. An entry that does not match its record, or that another user made or could
change, is ignored, and made again. The cache is safe for several processes at once: files are written in one step, and
the same key always has the same content.
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
from runtime_py.cache import check_private, is_own, make_private, module_folder
from runtime_py.errors import CacheError

FORMAT = 3  # also to be raised where the same module and flags are compiled to other bytes
LIMIT = 2 << 30
_MODULE = ".vmfb"  # also of imported modules, so that earlier versions of this program drop them, too
_ABANDONED = 24 * 3600.0  # seconds after which an unfinished file is nobody's


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record of a module.

    Attributes:
        sha256: Digest of the module.
        bytes: Size of the module.
        seconds: Time that compiling took; 0 for an imported module.
        statistics: The compiler's counts; None for an imported module.
        compiler: Version of the compiler, for people.
        flags: Compiler flags, for people.
        key: Key of the entry.
    """

    sha256: str
    bytes: int
    seconds: float
    statistics: Statistics | None
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
        """Copy a compiled module out.

        Args:
            key: Key, from `cache_key`.
            destination: The `.vmfb` to write.

        Returns:
            The module, or None where there is no entry, or only a damaged one, which is dropped.
        """
        entry = self._read(key)
        statistics = entry[1].statistics if entry is not None else None
        if entry is None or statistics is None:
            return None
        content, record = entry
        destination.write_bytes(content)
        return Compiled(destination, tuple(record.flags), record.seconds, statistics, cached=True)

    def store(self, key: str, compiled: Compiled, compiler: str) -> None:
        """Store a compiled module. Failing to do so is no error: `problem` then says why."""
        content = compiled.path.read_bytes()
        self._write(content, _describe(content, key, compiler, compiled))

    def fetch_import(self, key: str) -> bytes | None:
        """Return an imported module, or None where there is no whole entry."""
        entry = self._read(key)
        return entry[0] if entry is not None else None

    def store_import(self, key: str, content: bytes, compiler: str) -> None:
        """Store an imported module. Failing to do so is no error: `problem` then says why."""
        self._write(content, _describe(content, key, compiler, None))

    def _read(self, key: str) -> tuple[bytes, Record] | None:
        """Return an entry; one that does not match its record is dropped."""
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
        return content, record

    def _write(self, content: bytes, record: Record) -> None:
        module, beside = self._paths(record.key)
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
        return folder / f"{key}{_MODULE}", folder / f"{key}.json"

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
                        (state.st_mtime, state.st_size + path.with_suffix(_MODULE).stat().st_size, path.stem)
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


def _describe(content: bytes, key: str, compiler: str, compiled: Compiled | None) -> Record:
    flags = list(compiled.flags) if compiled is not None else []
    seconds = compiled.seconds if compiled is not None else 0.0
    statistics = compiled.statistics if compiled is not None else None
    return Record(_digest(content), len(content), seconds, statistics, compiler, flags, key)


def find_cache() -> tuple[Cache | None, str]:
    """Return the cache of compiled modules, or why there is none."""
    try:
        return Cache(check_private(module_folder())), ""
    except CacheError as error:
        return None, f"what was compiled is not kept: {error}"
