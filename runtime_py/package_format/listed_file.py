"""One file that a manifest lists, read into memory and compared with what the manifest says of it.

The standard library is all that is imported: a native parser reads its library with nothing else.
"""

import errno
import hashlib
import mmap
import os
from typing import BinaryIO

from runtime_py.errors import DigestError, PackageError
from runtime_py.package_format.manifest_bytes import is_file

# Windows knows no flags, and memory without a file is the process's own there.
_OWN_MEMORY = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
LARGEST_READ = 64 << 20  # bytes; larger files are mapped: several processes then share the memory


def find_listed(folder: str | os.PathLike[str], name: str) -> str:
    """Return the path of a file that a manifest lists, which may be a link; its content is not verified.

    Raises:
        PackageError: It does not exist.
    """
    path = os.path.join(folder, name)
    if not is_file(path):
        link = f"is a link to {os.readlink(path)}, which is missing or no file" if os.path.islink(path) else "missing"
        raise PackageError(f"{path}: {link}. The package was copied in part: copy all of {folder} again.")
    return path


def read_listed(folder: str | os.PathLike[str], name: str, sha256: str, size: int, verify: bool = True) -> mmap.mmap:
    """Read a file into memory of its own, which begins at a page; what becomes of the file later changes nothing.

    Files of more than `LARGEST_READ` bytes are mapped instead, and have to stay as they are while they are used.

    Args:
        folder: The package directory.
        name: Name of the file, as the manifest has it.
        sha256: SHA-256 of its content by the manifest.
        size: Its size in bytes by the manifest, which is always compared.
        verify: Whether to compare the SHA-256 of what was read.

    Raises:
        PackageError: The file is missing, cannot be read, or is a link out of the package that is not verified.
        DigestError: Its size or content is not what the manifest says.
    """
    path = find_listed(folder, name)
    if not verify and not os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), "")):
        raise PackageError(
            f"{path}: is a link that leads out of the package, and what is behind it is not verified. "
            "Load the package with verify=True."
        )
    try:
        with open(path, "rb") as stream:
            found = os.fstat(stream.fileno()).st_size
            if found == size > 0:
                content = _read_whole(stream, found)
    except OSError as error:
        raise PackageError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error
    if found != size or found == 0:
        raise DigestError(f"{path}: has {found} bytes, the manifest says {size}. Copy or compile the package again.")
    if verify:
        digest = hashlib.sha256(content).hexdigest()
        if digest != sha256:
            content.close()
            raise DigestError(
                f"{path}: SHA-256 is {digest}, the manifest says {sha256}. Copy or compile the package again."
            )
    return content


def _read_whole(stream: BinaryIO, size: int) -> mmap.mmap:
    """Return a file's content in memory that a module can be used in: it has to begin at a multiple of 64."""
    if size > LARGEST_READ:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    content = mmap.mmap(-1, size, **_OWN_MEMORY)
    read = 0
    with memoryview(content) as memory:
        while read < size and (more := stream.readinto(memory[read:])):  # type: ignore[attr-defined]
            read += more
    if read < size:
        raise OSError(errno.EIO, "it became shorter while it was read")
    return content
