"""`native.json`: what a folder of native libraries holds. Read with the standard library alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_py.errors import DigestError, PackageError, SchemaError

MARK = "native.json"
SCHEMA = 1
_LARGEST = 1 << 20  # bytes of native.json
_PREFIX = re.compile(r"[A-Za-z]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """Digest and size of one file.

    Attributes:
        sha256: SHA-256 of the content, in 64 hexadecimal digits.
        bytes: Size of the content.
    """

    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: Path) -> LibraryFile:
        """Describe a file."""
        content = path.read_bytes()
        return cls(hashlib.sha256(content).hexdigest(), len(content))


@dataclass(frozen=True, slots=True)
class NativeVariant:
    """Libraries for one target.

    Attributes:
        target: Name of the target.
        triple: LLVM triple of the target.
        features: Features of the processor that the code needs.
        library: Shared library or WebAssembly module, below the folder; None where there is a static one only.
        files: Digests and sizes of the libraries.
        words: Number of words that are read at most.
        bytes: Number of bytes that are read at most.
        memory: Bytes that an open parser works in.
        weights: Bytes of the weights, which are part of the libraries.
        proved_on: Machine or emulator on which the answers were compared with PyTorch's; None where none could.
        unverified_reason: Why none could.
    """

    target: str
    triple: str
    features: tuple[str, ...]
    library: str | None
    files: Mapping[str, LibraryFile]
    words: int
    bytes: int
    memory: int
    weights: int
    proved_on: str | None
    unverified_reason: str | None


@dataclass(frozen=True, slots=True)
class NativeManifest:
    """Description of a folder of native libraries.

    Attributes:
        name: Name of the parser.
        prefix: Prefix of the public functions.
        variants: Libraries, one entry a target.
    """

    name: str
    prefix: str
    variants: tuple[NativeVariant, ...]


def write_manifest(folder: Path, manifest: NativeManifest) -> None:
    """Write the description into the folder."""
    document = {"schema": SCHEMA, **dataclasses.asdict(manifest)}
    (folder / MARK).write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def read_manifest(folder: Path) -> NativeManifest:
    """Read the description of a folder.

    Raises:
        PackageError: There is none, or it cannot be read.
        SchemaError: It is damaged, or of a later version.
    """
    path = folder / MARK
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise PackageError(f"{path}: cannot be read ({error.strerror}). Build it with `pqrnn native`.") from error
    if len(content) > _LARGEST:
        raise SchemaError(f"{path}: larger than {_LARGEST:,} bytes. Build it again with `pqrnn native`.")
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise SchemaError(
                f"{path}: schema {document['schema']!r}, expected {SCHEMA}. Build it again with `pqrnn native`."
            )
        manifest = NativeManifest(
            document["name"], document["prefix"], tuple(_read_variant(variant) for variant in document["variants"])
        )
        if not _PREFIX.fullmatch(manifest.prefix):
            raise ValueError(f"prefix {manifest.prefix!r}")
        return manifest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SchemaError(f"{path}: damaged ({error}). Build it again with `pqrnn native`.") from error


def _read_variant(document: dict[str, Any]) -> NativeVariant:
    files = {name: LibraryFile(entry["sha256"], int(entry["bytes"])) for name, entry in document["files"].items()}
    for name in files:
        if name.startswith("/") or ".." in name.split("/") or "\\" in name:
            raise ValueError(f"file {name!r} is not below the folder")
    if document["library"] is not None and document["library"] not in files:
        raise ValueError(f"library {document['library']!r} is not among the files")
    return NativeVariant(**{**document, "features": tuple(document["features"]), "files": files})


def check_library(folder: Path, variant: NativeVariant) -> Path:
    """Return the path of a variant's shared library after comparing its digest.

    Raises:
        PackageError: There is no shared library, or it cannot be read.
        DigestError: It is not the one that was built.
    """
    if variant.library is None:
        raise PackageError(f"{folder}: {variant.target} has no shared library, only a static one.")
    path, expected = folder / variant.library, variant.files[variant.library]
    try:
        found = LibraryFile.of(path)
    except OSError as error:
        raise PackageError(f"{path}: cannot be read ({error.strerror}). Copy the folder again.") from error
    if found != expected:
        raise DigestError(
            f"{path}: {found.bytes:,} bytes with SHA-256 {found.sha256[:16]}, expected {expected.bytes:,} bytes with "
            f"{expected.sha256[:16]}. Copy the folder again."
        )
    return path
