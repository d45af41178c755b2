"""What can be said of a manifest by its bytes: how many there may be, the version of its format, its digest.

The standard library is all that is imported: a native parser reads a manifest with nothing else.
"""

import errno
import hashlib
import os
import re
import stat

from runtime_py.bounded_files import read_bounded, shorten
from runtime_py.errors import PackageError, SchemaError

SCHEMA = "1.8"
MANIFEST_NAME = "manifest.json"
ANSWERER = "answerer.json"  # in its place in a package that answers questions (`runtime_py.questions`)
NO_DIGEST = "0" * 64  # stands in a manifest while its digest is computed
FIRST_WITH_DIGEST = (1, 6)
_LARGEST = 16 << 20
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)
_SCHEMA_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\Z")


def read_manifest_bytes(folder: str | os.PathLike[str]) -> bytes:
    """Return the content of a package's manifest.

    Raises:
        PackageError: There is no package, or its manifest cannot be read or is too large.
    """
    path = os.path.join(folder, MANIFEST_NAME)
    if not is_file(path):
        if is_file(os.path.join(folder, ANSWERER)):
            raise PackageError(f"{folder}: answers questions from a text and is no parser. Use it with `pqrnn ask`.")
        what = (
            "is no package: it has no manifest.json"
            if os.path.isdir(folder)
            else "is a file, not a package directory"
            if os.path.exists(folder)
            else "does not exist"
        )
        raise PackageError(f"{folder}: {what}. A package is the directory that 'pqrnn compile' writes.")
    try:
        return read_bounded(path, _LARGEST)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise PackageError(
                f"{path}: is larger than {_LARGEST >> 20} MiB and cannot be a manifest. Compile the package again."
            ) from error
        raise PackageError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error


def is_file(path: str) -> bool:
    """Return whether there is a file, or a link to one.

    Raises:
        PackageError: This user may not look.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except ValueError:  # a zero byte in the name
        return False
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return False
        raise PackageError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error


def digest_manifest(data: bytes, stated: str) -> str:
    """Return the digest of a manifest: SHA-256 of its bytes, with zeros for the digest that it states.

    Args:
        data: The content of ``manifest.json``.
        stated: The digest that stands in it.
    """
    return hashlib.sha256(data.replace(f'"{stated}"'.encode(), f'"{NO_DIGEST}"'.encode(), 1)).hexdigest()


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version that `check_schema` has passed."""
    return tuple(map(int, version.split(".")))


def check_schema(version: str, where: str = MANIFEST_NAME) -> None:
    """Refuse a manifest of another major or of a newer minor version.

    Raises:
        SchemaError: With what to install, or to do, to read this package.
    """
    match = _SCHEMA_VERSION.match(version)
    if match is None:
        raise SchemaError(
            f"{where}: schema is {shorten(version)!r}, expected 'major.minor' such as {SCHEMA!r}. "
            "Compile the package again."
        )
    major, minor = int(match[1]), int(match[2])
    own_major, own_minor = version_numbers(SCHEMA)
    if major < own_major:
        raise SchemaError(
            f"{where}: the package has format {version}, this runtime reads {SCHEMA}. "
            "Compile the package again with this version of pqrnn."
        )
    if (major, minor) > (own_major, own_minor):
        raise SchemaError(
            f"{where}: the package has format {version}, this runtime reads up to {SCHEMA}. "
            "Install a newer one: pip install --upgrade pqrnn"
        )
