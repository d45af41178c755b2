"""NumPy archives from anybody: no pickle, and no more memory than a bound, whatever the file says of itself.

An archive is a ZIP file as `numpy.savez` writes it. What that never writes is refused before anything is unpacked:
other methods of packing, comments, extensions for huge files, a name twice, types that are no plain numbers. The
headers of arrays are read by a pattern, since NumPy's own reader evaluates them as Python.
"""

import io
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import read_bounded, why_unreadable
from runtime_py.errors import PackageError

LARGEST = 256 << 20  # bytes of all arrays of an archive
LARGEST_RATIO = 8  # of all arrays to the file: logits hardly pack at all
ALWAYS_UNPACKED = 4 << 20  # bytes that may come out of the smallest file
_MOST = 4096  # arrays
_LARGEST_DIRECTORY = 1 << 20  # bytes
_LONGEST_HEADER = 4096  # bytes

_NAME = re.compile(r"[A-Za-z0-9_.]{1,120}\.npy\Z")
_END = struct.Struct("<4s4H2LH")  # of a ZIP file's last record
_END_MARK, _HUGE_MARK = b"PK\x05\x06", b"PK\x06\x07"
_ARRAY_MARK = b"\x93NUMPY"
# As NumPy writes it, of numbers, truths and texts of a fixed length.
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][biufU]\d{1,4})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,19}, ?){0,4}(?:\d{1,19},?)?)\), \} *\n?"
)


def read_archive(
    path: Path,
    wanted: Sequence[str],
    what: str,
    error: type[PackageError] = PackageError,
    largest: int = LARGEST,
    *,
    optional: Sequence[str] | None = None,
    content: bytes | None = None,
) -> dict[str, NDArray[Any]]:
    """Read all arrays of an archive.

    The sizes that its directory and its headers state are added up and compared before memory is taken.

    Args:
        path: The file.
        wanted: Names of arrays that have to be there.
        what: What error messages call such a file.
        error: The class of errors.
        largest: Bytes that all arrays together may have.
        optional: Names of further arrays that may be there; None for any.
        content: The content of the file, where it has been read already.

    Raises:
        PackageError: Of the class `error`: the file cannot be read, is damaged or too large, lacks an array or has one
            that nobody knows.
    """
    try:
        if content is None:
            content = read_bounded(path, largest + _LARGEST_DIRECTORY)
        _check_end(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            most = min(largest, ALWAYS_UNPACKED + LARGEST_RATIO * len(content))
            _check_members(members, wanted, optional, len(content), most)
            return {member.filename[: -len(".npy")]: _read_member(archive, member) for member in members}
    except OSError as cause:
        raise error(f"{path}: cannot be read as {what} ({why_unreadable(cause)}). Make it again.") from cause
    except (Exception, RecursionError) as cause:  # whatever a damaged archive leads to
        said = " ".join(str(cause).split())[:200] or type(cause).__name__
        raise error(f"{path}: cannot be read as {what} ({said}). Make it again.") from cause


def _check_end(content: bytes) -> None:
    """Compare the last record with the file: the directory has to be small, and to lie just before it."""
    if len(content) < _END.size or content[-_END.size :][:4] != _END_MARK:
        raise ValueError("it does not end as a ZIP file without a comment does")
    _, disk, start_disk, here, members, size, offset, _ = _END.unpack(content[-_END.size :])
    if disk or start_disk or here != members or content[-_END.size - 20 :][:4] == _HUGE_MARK:
        raise ValueError("it is a ZIP file of several parts, or of more than 4 GB")
    if members > _MOST or size > _LARGEST_DIRECTORY:
        raise ValueError(f"{members:,} arrays, and it has at most {_MOST:,}")
    if offset + size + _END.size != len(content):
        raise ValueError("its directory is not where it says")


def _check_members(
    members: list[zipfile.ZipInfo], wanted: Sequence[str], optional: Sequence[str] | None, size: int, largest: int
) -> None:
    names = [member.filename.removesuffix(".npy") for member in members]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    odd = [member.filename for member in members if not _NAME.match(member.filename)]
    if optional is not None:
        odd += [name for name in names if name not in wanted and name not in optional]
    if odd or len(set(names)) < len(names):
        raise ValueError(f"it holds {odd[0][:60]!r}, which nobody knows" if odd else "it holds an array twice")
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ValueError("an array is packed in an unknown way")
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its arrays are said to be longer than it is")
    total = sum(member.file_size for member in members)
    if total > largest:
        raise ValueError(f"{len(members)} arrays of {total:,} bytes, and it has at most {largest:,}")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as stream:
        return _read_array(stream, member.file_size)


def _read_array(stream: Any, size: int) -> NDArray[Any]:
    """Read one array, whose header has to state just as many bytes as there are."""
    mark = stream.read(8)
    width = {b"\x01\x00": 2, b"\x02\x00": 4}.get(mark[6:], 0)
    if mark[:6] != _ARRAY_MARK or not width:
        raise ValueError("an array without the mark of NumPy's versions 1.0 and 2.0")
    length = int.from_bytes(stream.read(width), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"an array with a header of {length:,} bytes")
    header = stream.read(length)
    found = _HEADER.fullmatch(header)
    if found is None:
        raise ValueError(f"an array with the header {header[:80]!r}")
    dtype = np.dtype(found[1].decode())
    shape = tuple(int(extent) for extent in found[3].replace(b",", b" ").split())
    count = 1
    for extent in shape:
        count *= extent
    if dtype.itemsize == 0 or count * dtype.itemsize != size - len(mark) - width - length:
        raise ValueError(f"an array of {dtype}{list(shape)} does not fit in {size:,} bytes")
    data = bytearray(count * dtype.itemsize)
    if stream.readinto(data) < len(data) or stream.read(1):
        raise ValueError("an array is shorter or longer than its header says")
    return np.frombuffer(data, dtype=dtype, count=count).reshape(shape, order="F" if found[2] == b"True" else "C")


def write_archive(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays, packed, in one step; equal arrays give equal bytes.

    Raises:
        OSError: The file cannot be written.
        ValueError: An array holds objects.
    """
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_atomic(path, content.getvalue())
