"""The native part of a package: what its manifest says of libraries, read with the standard library alone.

The manifest as a whole is decoded and checked by `runtime_py.package_format.manifest_codec`; a start that only parses
does without. Its version and its digest are compared here, too, and what is damaged is left to that for a message.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, NamedTuple

from runtime_py.bounded_files import check_extent
from runtime_py.errors import DigestError, SchemaError
from runtime_py.package_format.listed_file import read_listed
from runtime_py.package_format.manifest_bytes import (
    MANIFEST_NAME,
    check_schema,
    digest_manifest,
    read_manifest_bytes,
)

_NONE = re.compile(rb'"libraries":\s*\[\s*\]')
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z]\w*", re.ASCII)


class PackagedLibrary(NamedTuple):
    """A library of a package.

    Attributes:
        target: Name of the target.
        triple: LLVM triple of the target.
        features: Features of the processor that the code needs.
        path: Name of the file in the package.
        prefix: Prefix of the public functions.
        sha256: SHA-256 of the file.
        bytes: Size of the file.
        proved: Whether it has answered the golden texts of the package as PyTorch does.
    """

    target: str
    triple: str
    features: tuple[str, ...]
    path: str
    prefix: str
    sha256: str
    bytes: int
    proved: bool


class NativePart(NamedTuple):
    """What a native parser needs to know of a package.

    Attributes:
        folder: The package directory.
        name: Name of the package, for people.
        intents: Names of the intents, which are the libraries', too.
        words: Number of words that are read at most.
        bytes: Number of bytes that are read at most.
        batch: Number of texts that share a call of the package's functions for several; 1 if there are none.
        budgets: Number of budgets that its functions are for; 0 where they are the whole network alone.
        libraries: The libraries.
        manifest_sha256: SHA-256 of the whole file that this was read from.
    """

    folder: str
    name: str
    intents: tuple[str, ...]
    words: int
    bytes: int
    batch: int
    budgets: int
    libraries: tuple[PackagedLibrary, ...]
    manifest_sha256: str


def read_native_part(folder: str | os.PathLike[str]) -> NativePart | None:
    """Return what a package says of native libraries; None where it has none, as before schema 1.8.

    Raises:
        PackageError: There is no package, or its manifest cannot be read.
        SchemaError: The manifest is of another version, or damaged.
        DigestError: The manifest is not the one that its digest was made of.
    """
    data = read_manifest_bytes(folder)
    if b'"libraries"' not in data or _NONE.search(data):
        return None
    where = os.path.join(folder, MANIFEST_NAME)
    try:
        document = json.loads(check_extent(data))
        check_schema(document["schema"], where)
        stated = document["digest"]
        if not _DIGEST.fullmatch(stated):
            raise ValueError(f"digest {stated!r}")
        part = _read(os.fspath(folder), document, hashlib.sha256(data).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise SchemaError(f"{where}: damaged ({error!r}). Copy or compile the package again.") from error
    if digest_manifest(data, stated) != stated:
        raise DigestError(
            f"{where}: SHA-256 is not the one that it states: it was changed after the package was made. Copy or "
            "compile the package again."
        )
    return part


def _read(folder: str, document: dict[str, Any], sha256: str) -> NativePart:
    last = document["buckets"][-1]
    libraries = []
    for entry in document["libraries"]:
        path, prefix, parity = entry["path"], entry["prefix"], entry["parity"]
        if path.startswith("/") or ".." in path.split("/") or "\\" in path or not _WORD.fullmatch(prefix):
            raise ValueError(f"library {path!r}, prefix {prefix!r}")
        file = document["files"][path]
        proved = parity is not None and parity["passed"] is True
        features = tuple(map(str, entry["features"]))
        libraries.append(
            PackagedLibrary(
                str(entry["target"]),
                str(entry["triple"]),
                features,
                path,
                prefix,
                str(file["sha256"]),
                int(file["bytes"]),
                proved,
            )
        )
    return NativePart(
        folder,
        str(document["name"]),
        tuple(document["labels"]["intents"]),
        int(last["words"]),
        int(last["bytes"]),
        int(document["batch"]),
        len(document["budgets"]),
        tuple(libraries),
        sha256,
    )


_loaded: dict[str, str] = {}  # by SHA-256, the path under which a library was loaded into this process


def place_library(folder: str | os.PathLike[str], library: PackagedLibrary, verify: bool) -> str:
    """Return a path that the system can load a library from: where it can, of the very bytes that were verified.

    Under Linux these are in memory, under a name that nobody else can write to, and equal libraries share it; elsewhere
    it is the file in the package.

    Raises:
        PackageError: The file is missing, cannot be read, or (DigestError) is not what the manifest says.
    """
    with read_listed(folder, library.path, library.sha256, library.bytes, verify) as content:
        if not hasattr(os, "memfd_create") or not verify:
            return os.path.abspath(os.path.join(folder, library.path))
        if library.sha256 not in _loaded:
            # Never closed: the loader remembers libraries by their paths, and another one must not get this path.
            descriptor = os.memfd_create(os.path.basename(library.path))
            with open(descriptor, "wb", closefd=False) as stream:
                stream.write(content)
            _loaded[library.sha256] = f"/proc/self/fd/{descriptor}"
    return _loaded[library.sha256]
