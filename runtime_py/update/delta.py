"""The file of an update, `NAME.pqdelta`: which package it is for, which it gives, and the bytes that differ.

First `MAGIC`, then the length of a JSON header, the header, the pieces and the stored bytes
(`runtime_py.update.matching`), both packed as LZMA, and last the SHA-256 of all before. Everything is compared before
it is believed: the digest of the file, then the sizes that the header states with bounds, then the old package with its
digests. Applying takes no more memory than a few times both packages.
"""

import hashlib
import lzma
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct

from runtime_py.errors import UpdateError
from runtime_py.package_format.file_entry import FileEntry
from runtime_py.package_format.manifest import CERTIFICATES_NAME, MANIFEST_NAME
from runtime_py.package_format.manifest_codec import check_relative_name
from runtime_py.update.matching import Bytes, differences, predict

MAGIC = b"PQDELTA1"
LARGEST = 64 << 20  # bytes of a package, and of a file of an update
_LARGEST_HEADER = 4 << 20
_MOST_FILES = 4096
_MOST_SEGMENTS = 1 << 20
_FILTERS: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]
_MEMORY = 64 << 20  # bytes that unpacking may take beside what it gives
_PREFIX = struct.Struct("<8sI")

Count = Annotated[int, Meta(ge=0)]


class Header(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an update says of itself.

    Attributes:
        name: Name of the new package, for people.
        old: Digests and sizes of the files of the package that it is for, by name.
        new: The same of the package that it gives, with its signatures.
        segments: Number of pieces.
        packed_segments: Bytes of the packed pieces.
        packed: Bytes of the packed rest.
    """

    name: str
    old: dict[str, FileEntry]
    new: dict[str, FileEntry]
    segments: Annotated[int, Meta(ge=0, le=_MOST_SEGMENTS)]
    packed_segments: Count
    packed: Count


class Delta(NamedTuple):
    """An update that was read: whole, of known sizes, and not yet applied.

    Attributes:
        header: What it says of itself.
        body: The packed rest.
    """

    header: Header
    body: memoryview


def encode_delta(name: str, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> bytes:
    """Return the file of an update.

    Args:
        name: Name of the new package, for people.
        old: Content of every file of the old package, by name.
        new: The same of the new one.

    Raises:
        UpdateError: One of them is too large.
    """
    before, after = (describe_files(files) for files in (old, new))
    _check_sizes(before, after, "an update")
    known = {entry.sha256 for entry in before.values()}
    source = _bytes(old[each] for each in sorted(old))
    target = _bytes(new[each] for each in sorted(new) if after[each].sha256 not in known)
    segments = predict(source, target)
    pieces = _pack(np.array(segments, "<i4").reshape(-1, 2).T.tobytes())
    rest = _pack(differences(source, target, segments).tobytes())
    header = Header(
        name=name, old=before, new=after, segments=len(segments), packed_segments=len(pieces), packed=len(rest)
    )
    encoded = msgspec.json.encode(header, order="deterministic")
    content = b"".join([_PREFIX.pack(MAGIC, len(encoded)), encoded, pieces, rest])
    return content + hashlib.sha256(content).digest()


def read_delta(path: Path) -> Delta:
    """Read the file of an update and compare its digest.

    Raises:
        UpdateError: It cannot be read, is none, was changed, or states sizes that no package has.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise UpdateError(f"{path}: cannot be read ({error.strerror}). Name the file of an update.") from error
    if len(content) > LARGEST or len(content) < _PREFIX.size + 32 or not content.startswith(MAGIC):
        raise UpdateError(f"{path}: is no update of a package. 'pqrnn diff OLD NEW --out FILE' makes one.")
    view = memoryview(content)[:-32]
    if hashlib.sha256(view).digest() != content[-32:]:
        raise UpdateError(f"{path}: was damaged or cut: its SHA-256 is another one. Fetch it again.")
    size = _PREFIX.unpack_from(content)[1]
    try:
        if size > _LARGEST_HEADER:
            raise ValueError(f"a header of {size:,} bytes")
        header = msgspec.json.decode(view[_PREFIX.size : _PREFIX.size + size], type=Header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UpdateError(f"{path}: is no update that can be read ({error}). Make it again.") from error
    body = view[_PREFIX.size + size :]
    if len(body) != header.packed_segments + header.packed:
        raise UpdateError(f"{path}: has {len(body):,} bytes where its header says otherwise. Make it again.")
    _check_sizes(header.old, header.new, str(path))
    return Delta(header, body)


def rebuild(delta: Delta, old: Mapping[str, bytes], where: str) -> dict[str, bytes]:
    """Return the content of every file of the new package, all of them verified.

    Args:
        delta: The update.
        old: Content of every file of the old package, by name.
        where: How error messages call the update.

    Raises:
        UpdateError: The old package is another one, or the update does not give what it says.
    """
    header = delta.header
    if describe_files(old) != header.old:
        differing = sorted(name for name in {*old, *header.old} if _describe_one(old, name) != header.old.get(name))
        raise UpdateError(
            f"{where}: is for another package: {', '.join(differing[:3])} differ here. Get the update that was made "
            "for this one, or the whole package."
        )
    by_digest = {entry.sha256: name for name, entry in header.old.items()}
    missing = [name for name in sorted(header.new) if header.new[name].sha256 not in by_digest]
    source = _bytes(old[each] for each in sorted(old))
    target = _restore(delta, source, sum(header.new[name].bytes for name in missing), where)
    files, begin = {}, 0
    for name in sorted(header.new):
        entry = header.new[name]
        if entry.sha256 in by_digest:
            files[name] = old[by_digest[entry.sha256]]
        else:
            files[name] = target[begin : begin + entry.bytes].tobytes()
            begin += entry.bytes
    if describe_files(files) != header.new:
        raise UpdateError(f"{where}: does not give the package that it names. Make it again.")
    return files


def _restore(delta: Delta, source: Bytes, size: int, where: str) -> Bytes:
    header = delta.header
    pieces = _unpack(delta.body[: header.packed_segments], header.segments * 8, where)
    lengths, sources = np.frombuffer(pieces, "<i4").reshape(2, -1).astype(np.int64)
    # Each piece has to lie inside of the old bytes, and all of them together have to be the new ones.
    fits = (lengths > 0) & (sources >= -1) & ((sources < 0) | (sources + lengths <= len(source)))
    if not fits.all() or int(lengths.sum()) != size:
        raise UpdateError(f"{where}: has pieces that do not fit. Make it again.")
    target = np.frombuffer(bytearray(_unpack(delta.body[header.packed_segments :], size, where)), np.uint8)
    begin = 0
    for length, first in zip(lengths.tolist(), sources.tolist(), strict=True):
        if first >= 0:
            target[begin : begin + length] += source[first : first + length]
        begin += length
    return target


def _check_sizes(old: Mapping[str, FileEntry], new: Mapping[str, FileEntry], where: str) -> None:
    for files in (old, new):
        total = sum(entry.bytes for entry in files.values())
        if total > LARGEST or len(files) > _MOST_FILES or MANIFEST_NAME not in files:
            raise UpdateError(
                f"{where}: {len(files)} files of {total:,} bytes, and a package that is updated has a manifest, at "
                f"most {_MOST_FILES} files and {LARGEST >> 20} MiB. Copy the whole package."
            )
        for name in files:
            check_relative_name(name, where)
            if name == CERTIFICATES_NAME:
                raise UpdateError(f"{where}: brings certificates, which a board makes itself. Make it again.")


def describe_files(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """Return digest and size of every file by name."""
    return {
        name: FileEntry(hashlib.sha256(content).hexdigest(), len(content)) for name, content in sorted(files.items())
    }


def _describe_one(files: Mapping[str, bytes], name: str) -> FileEntry | None:
    return describe_files({name: files[name]})[name] if name in files else None


def _bytes(parts: Any) -> Bytes:
    return np.frombuffer(b"".join(parts), np.uint8)


def _pack(content: bytes) -> bytes:
    return lzma.compress(content, format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=_FILTERS)


def _unpack(packed: memoryview, size: int, where: str) -> bytes:
    """Unpack no more than was declared."""
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        content = unpacker.decompress(packed, max_length=size + 1)
        if len(content) != size or not unpacker.eof or unpacker.unused_data:
            raise ValueError(f"{len(content):,} bytes, {size:,} were declared")
    except (lzma.LZMAError, ValueError, EOFError, MemoryError) as error:
        raise UpdateError(f"{where}: cannot be unpacked ({error}). Make it again.") from error
    return content
