"""NumPy archives from anybody: no pickle, and no more memory than a bound, whatever the file says of itself."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from runtime_py.atomic_files import write_atomic
from runtime_py.errors import PackageError

LARGEST = 256 << 20  # bytes of all arrays of an archive
_MOST = 4096  # arrays
# What a damaged archive makes Python and NumPy raise; memory is bounded before anything is unpacked.
_DAMAGE = (OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, SyntaxError, TypeError)
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, UnicodeError, OverflowError, RecursionError)


def read_archive(
    path: Path,
    wanted: Sequence[str],
    what: str,
    error: type[PackageError] = PackageError,
    largest: int = LARGEST,
    source: BinaryIO | None = None,
) -> dict[str, NDArray[Any]]:
    """Read all arrays of an archive.

    The sizes that its directory and its headers state are added up and compared before memory is taken.

    Args:
        path: The file.
        wanted: Names of arrays that have to be there.
        what: What error messages call such a file.
        error: The class of errors.
        largest: Bytes that all arrays together may have.
        source: The content of the file, where that was read before.

    Raises:
        PackageError: Of the class `error`: the file cannot be read, is damaged or too large, or lacks an array.
    """
    try:
        with zipfile.ZipFile(path if source is None else source) as archive:
            members = archive.infolist()
            names = [member.filename.removesuffix(".npy") for member in members]
            missing = [name for name in wanted if name not in names]
            if missing:
                raise error(f"{path}: lacks {', '.join(missing)}; expected {what}. Make it again.")
            total = sum(member.file_size for member in members)
            if len(members) > _MOST or total > largest:
                raise error(
                    f"{path}: {len(members)} arrays of {total:,} bytes; {what} has at most {largest:,}. "
                    "It is damaged, or no such file."
                )
            arrays = {}
            for name, member in zip(names, members, strict=True):
                with archive.open(member) as stream:
                    arrays[name] = _read_array(stream, member.file_size)
            return arrays
    except (*_DAMAGE, *_BROKEN) as cause:
        raise error(f"{path}: cannot be read as {what} ({cause}). Make it again.") from cause


def _read_array(stream: Any, size: int) -> NDArray[Any]:
    """Read one array, whose header has to state just as many bytes as there are."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array of the unknown version {version}")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    count = 1
    for extent in shape:
        count *= int(extent)
    if dtype.hasobject or dtype.itemsize == 0 or count < 0 or count * dtype.itemsize > size:
        raise ValueError(f"an array of {dtype}{list(shape)} does not fit in {size} bytes")
    data = bytearray(count * dtype.itemsize)
    if stream.readinto(data) < len(data) or stream.read(1):
        raise ValueError("an array is shorter or longer than its header says")
    return np.frombuffer(data, dtype=dtype, count=count).reshape(shape, order="F" if fortran else "C")


def write_archive(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays, packed, in one step; equal arrays give equal bytes.

    Raises:
        OSError: The file cannot be written.
        ValueError: An array holds objects.
    """
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_atomic(path, content.getvalue())
