"""Packages on disk: open one and verify its files, write one atomically.

Reading and verifying are apart: `open_package` reads the manifest, `Package.read_file` verifies the one file that is
about to be used (on the very bytes that it hands out), and `Package.verify` all of them. A file may be a link to
another folder, as in caches that keep files by their digest, wherever its content is verified. With keys, the bytes of
the manifest that were read have to be signed (`runtime_py.trust`), so that every file is that is verified by it.
"""

import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from runtime_py.atomic_files import final_name, replace_directory, write_atomic
from runtime_py.errors import DigestError, PackageError
from runtime_py.package_format.file_entry import FileEntry, describe_file
from runtime_py.package_format.listed_file import find_listed, read_listed
from runtime_py.package_format.manifest import NOT_LISTED, Code, Manifest, NativeLibrary, Variant
from runtime_py.package_format.manifest_bytes import MANIFEST_NAME, read_manifest_bytes
from runtime_py.package_format.manifest_codec import check_relative_name, decode_manifest, encode_manifest

if TYPE_CHECKING:
    from runtime_py.package_format.decisions import GoldenDecisions
    from runtime_py.package_format.golden import GoldenVectors

# What only writing and checking need is imported there: a start that parses is quicker without.
LARGEST_PART = 256 << 20  # bytes of golden vectors, decisions or a tokenizer


@dataclass(frozen=True, slots=True)
class Package:
    """An opened package.

    Attributes:
        path: The directory of the package.
        manifest: Its manifest.
        manifest_sha256: SHA-256 of the whole file that the manifest was read from.
        signers: Fingerprints of the keys that had to sign the package and did; empty where none was asked for.
    """

    path: Path
    manifest: Manifest
    manifest_sha256: str = ""
    signers: tuple[str, ...] = ()

    def file(self, name: str) -> Path:
        """Return the path of a file that the manifest lists, which may be a link; its content is not verified.

        Raises:
            PackageError: The manifest does not list it, or it does not exist.
        """
        if name not in self.manifest.files:
            raise PackageError(f"{self.path}: the manifest lists no file {name!r}.")
        return Path(find_listed(self.path, name))

    def read_file(self, name: str, verify: bool = True) -> mmap.mmap:
        """Read a file into memory of its own, which begins at a page; what becomes of the file later changes nothing.

        Files of more than `LARGEST_READ` bytes are mapped instead, and have to stay as they are while they are used.

        Args:
            name: Name of the file, as the manifest has it.
            verify: Whether to compare the SHA-256 of what was read with the manifest; the size is always compared, and
                the content of a package that had to be signed, too.

        Raises:
            PackageError: The file is missing, cannot be read, or is a link out of the package that is not verified.
            DigestError: Its size or content is not what the manifest says.
        """
        if name not in self.manifest.files:
            raise PackageError(f"{self.path}: the manifest lists no file {name!r}.")
        entry = self.manifest.files[name]
        return read_listed(self.path, name, entry.sha256, entry.bytes, verify or bool(self.signers))

    def verify(self) -> None:
        """Compare size and SHA-256 of every file with the manifest.

        Raises:
            PackageError: A file is missing or cannot be read.
            DigestError: The first file that is not what the manifest says.
        """
        for name in sorted(self.manifest.files):
            self.verify_file(name)

    def verify_file(self, name: str) -> None:
        """Compare size and SHA-256 of one file with the manifest.

        Raises:
            PackageError: The file is missing or cannot be read.
            DigestError: It is not what the manifest says.
        """
        if self.manifest.files[name].bytes:
            self.read_file(name).close()
        elif self.file(name).stat().st_size:  # an empty file cannot be mapped
            raise DigestError(f"{self.path / name}: is empty in the manifest. Copy or compile the package again.")

    def golden(self) -> "GoldenVectors":
        """Return the self-test vectors, after their digest was verified.

        Raises:
            PackageError: They are missing, not what the manifest says, or of another form.
        """
        from runtime_py.package_format.golden import load_golden

        entry = self.manifest.golden
        vectors = load_golden(self.path / entry.path, self._content(entry.path))
        vectors.check_labels(
            len(self.manifest.labels.intents), len(self.manifest.labels.tags), str(self.path / entry.path)
        )
        return vectors

    def decisions(self) -> "GoldenDecisions | None":
        """Return what the golden texts mean, after the file's digest was verified; None before schema 1.5.

        Raises:
            PackageError: The file is missing, not what the manifest says, or of another form.
        """
        from runtime_py.package_format.decisions import load_decisions

        name = self.manifest.golden.decisions
        if name is None:
            return None
        return load_decisions(self.path / name, self._content(name))

    def _content(self, name: str) -> bytes:
        """Return the verified content of a small file: what is read is what was verified."""
        if self.manifest.files[name].bytes > LARGEST_PART:
            most = LARGEST_PART >> 20
            raise PackageError(f"{self.path / name}: has more than {most} MiB by the manifest. Compile it again.")
        with self.read_file(name) as content:
            return bytes(content)

    def variant(self, target: str) -> Variant:
        """Return the variant of that name.

        Raises:
            PackageError: There is none; the message lists those there are.
        """
        return self._find(self.manifest.variants, "variant", target)

    def library(self, target: str) -> NativeLibrary:
        """Return the native library for a target.

        Raises:
            PackageError: There is none; the message lists those there are.
        """
        return self._find(self.manifest.libraries, "native library", target)

    def _find(self, listed: Sequence[Code], kind: str, target: str) -> Code:
        for code in listed:
            if code.target == target:
                return code
        known = ", ".join(code.target for code in listed) or "none"
        raise PackageError(f"{self.path}: no {kind} {target!r}; the package has: {known}.")


def open_package(
    path: str | Path, verify: bool = False, keys: Sequence[str | Path] = (), every: bool = False
) -> Package:
    """Open a package directory.

    Args:
        path: The directory ``NAME.pqrnn``.
        verify: Whether to verify every file now. Whatever loads code verifies that code in any case.
        keys: Files of public keys, one of which has to have signed the package; every file is verified then. Without
            any, signatures are not looked at.
        every: Whether all of these keys have to have signed it.

    Raises:
        PackageError: There is no package, or it cannot be used; SchemaError and DigestError say more, and
            SignatureError where it is not signed as demanded.
        KeyFileError: A key cannot be used.
    """
    path = Path(path)
    data = read_manifest_bytes(path)
    package = Package(path, decode_manifest(data, str(path / MANIFEST_NAME)), hashlib.sha256(data).hexdigest())
    if keys:
        from runtime_py.trust.signatures import check_signatures

        package = replace(package, signers=check_signatures(package, keys, every))
    if verify or keys:
        package.verify()
    return package


def find_unlisted(package: Package) -> list[str]:
    """Return names of files in a package's directory that its manifest should list and does not."""
    names = (path.relative_to(package.path).as_posix() for path in package.path.rglob("*") if not path.is_dir())
    return sorted(name for name in names if not _is_beside(name) and name not in package.manifest.files)


def _is_beside(name: str) -> bool:
    """Return whether a file is one that no manifest lists, or what a kill left of it."""
    return final_name(name.split("/")[0]) in NOT_LISTED


def collect_files(directory: Path) -> dict[str, FileEntry]:
    """Return digest and size of every file below a directory that a manifest lists, by relative name with '/'.

    Raises:
        PackageError: A name is not allowed in a package, or an entry is a link.
    """
    entries: dict[str, FileEntry] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            raise PackageError(f"{path}: is a link; a package holds files only.")
        if path.is_dir() or _is_beside(name):
            continue
        check_relative_name(name, str(directory))
        entries[name] = describe_file(path)
    return entries


def write_manifest(directory: Path, manifest: Manifest) -> Manifest:
    """Write ``manifest.json`` in one step: a reader sees the old one or the new one, never a part.

    Returns:
        The manifest as written, with its digest.

    Raises:
        SchemaError: The manifest contradicts itself.
    """
    data = encode_manifest(manifest)
    write_atomic(directory / MANIFEST_NAME, data)
    return decode_manifest(data)


def seal(directory: Path, manifest: Manifest) -> Manifest:
    """Record every file of a package directory in its manifest, and write that as the last file.

    Args:
        directory: Holds everything but the manifest.
        manifest: Its ``files`` are replaced by what the directory holds.

    Returns:
        The manifest as written.

    Raises:
        PackageError: A file is not allowed in a package, or the manifest contradicts itself or refers to a missing
            file.
    """
    return write_manifest(directory, msgspec.structs.replace(manifest, files=collect_files(directory)))


@contextmanager
def new_package(destination: str | Path, replace: bool = False) -> Iterator[Path]:
    """Give an empty directory beside the destination, which takes the destination's name when the block ends well.

    If the block raises, nothing is left behind and what stood at the destination stays as it was.

        with new_package("home.pqrnn") as directory:
            ...  # write the files
            seal(directory, manifest)

    Args:
        destination: The package directory to be made.
        replace: Whether an existing package may be replaced; anything else of that name is never touched.

    Raises:
        PackageError: The destination exists and may not be replaced, or the block has not sealed the package.
    """
    with new_directory(destination, "package", MANIFEST_NAME, replace) as staging:
        yield staging
        open_package(staging, verify=True)


@contextmanager
def new_directory(destination: str | Path, kind: str, mark: str, replace: bool = False) -> Iterator[Path]:
    """Give an empty directory beside the destination, which takes the destination's name when the block ends well.

    If the block raises, nothing is left behind.

    Args:
        destination: The directory to be made.
        kind: What error messages call such a directory.
        mark: Name of a file that every such directory holds; only a directory that has it is replaced.
        replace: Whether an existing directory may be replaced.

    Raises:
        PackageError: The destination exists and may not be replaced.
    """
    import shutil
    import tempfile

    destination = Path(os.path.abspath(destination))
    _check_destination(destination, kind, mark, replace)
    destination.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    try:
        yield staging
        staging.chmod(0o755)
        replace_directory(staging, destination)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_destination(destination: Path, kind: str, mark: str, replace: bool) -> None:
    if not destination.exists() and not destination.is_symlink():
        return
    if not replace:
        raise PackageError(f"{destination}: exists already. Choose another name, or say that it may be replaced.")
    if destination.is_symlink() or not (destination / mark).is_file():
        raise PackageError(f"{destination}: exists and is no {kind}, so it is not replaced. Choose another name.")
