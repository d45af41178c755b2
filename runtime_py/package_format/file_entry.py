"""The digest and the size of a file, as package manifests and the entries of the zoo record them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

# The end of a text without the line feed that Python's '$' lets through; unlike '\\Z' it means the same in the
# exported JSON Schema.
END = r"$(?!\n)"
LARGEST_FILE = (1 << 31) - 1  # bytes; IREE's modules are no larger
Sha256 = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{64}}{END}")]
Text = Annotated[str, Meta(max_length=1 << 16)]
Positive = Annotated[int, Meta(ge=1, le=(1 << 31) - 1)]


class FileEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Digest and size of one file.

    Attributes:
        sha256: SHA-256 of the content, in 64 hexadecimal digits.
        bytes: Size of the content.
    """

    sha256: Sha256
    bytes: Annotated[int, Meta(ge=0, le=LARGEST_FILE)]


def describe_file(path: Path) -> FileEntry:
    """Return the digest and the size of a file.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return FileEntry(digest, stream.tell())
