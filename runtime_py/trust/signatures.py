"""Signatures of a package: who signed it, and whether it still is what they signed.

A signature is a file of its own in the folder `signatures` of a package (`runtime_py.trust.envelope`). It covers the
manifest and every file that the manifest lists. What it does not cover, so that it can be added later: other
signatures, and `certificates.json`, in which a board says that the package ran right there; neither decides an answer.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from runtime_py.atomic_files import final_name, write_atomic
from runtime_py.errors import KeyFileError, ParserError, SignatureError
from runtime_py.package_format.manifest import MANIFEST_NAME, SIGNATURES
from runtime_py.package_format.package import Package, find_unlisted, open_package
from runtime_py.trust.envelope import LARGEST, Envelope, read_digests, read_envelope, seal_digests
from runtime_py.trust.keys import load_public_key, load_secret_key

SUFFIX = ".sig"
_MOST = 64  # signatures of a package


class Signed(Struct, frozen=True):
    """A signature of a package.

    Attributes:
        file: Name of its file in the package.
        fingerprint: Fingerprint of the key that it names.
        verified: Whether that key signed just this package; null where the key was not at hand.
        problem: What is wrong with it; empty if nothing is, or nobody could look.
    """

    file: str
    fingerprint: str
    verified: bool | None = None
    problem: str = ""


class _Found(NamedTuple):
    file: Path
    envelope: Envelope


def sign_package(path: str | Path, key_file: str | Path) -> Signed:
    """Sign a package; an earlier signature by the same key is replaced.

    Args:
        path: The package directory.
        key_file: File of the secret key.

    Raises:
        KeyFileError: The key cannot be used.
        PackageError: The package is damaged, or holds a file that its manifest does not list.
    """
    key = load_secret_key(key_file)
    package = open_package(path, verify=True)
    _refuse_unlisted(package, "Delete it, or compile the package again, before it is signed.")
    content = seal_digests(Path(os.path.abspath(path)).name, signed_digests(package), key)
    name = f"{SIGNATURES}/{key.public.fingerprint[:16]}{SUFFIX}"
    try:
        write_atomic(package.path / name, content)
    except OSError as error:
        raise SignatureError(f"{package.path / name}: cannot be written ({error.strerror}).") from error
    return Signed(name, key.public.fingerprint, True)


def signed_digests(package: Package) -> dict[str, str]:
    """Return the SHA-256 of everything that a signature of a package covers, by name."""
    listed = {name: entry.sha256 for name, entry in package.manifest.files.items()}
    return listed | {MANIFEST_NAME: package.manifest_sha256}


def check_signatures(package: Package, keys: Sequence[str | Path], every: bool = False) -> tuple[str, ...]:
    """Compare a package with its signatures; whoever then reads a file verifies it by the manifest.

    Args:
        package: The package, as it was read.
        keys: Files of public keys, at least one.
        every: Whether all of them have to have signed, and not just one.

    Returns:
        Fingerprints of the keys that signed it.

    Raises:
        SignatureError: It is not signed by one of them, or not by all; a signature was changed or is damaged, or the
            package differs from what was signed.
        KeyFileError: A key cannot be used.
    """
    known = [load_public_key(key) for key in keys]
    found = _read_all(package.path)
    _refuse_unlisted(package, "Whoever signed the package has not seen it: get the package anew.")
    signers = []
    for key in known:
        named = [each for each in found if each.envelope.fingerprint == key.fingerprint]
        for each in named:
            _compare(read_digests(each.envelope, key, str(each.file)), signed_digests(package), each.file)
        if named:
            signers.append(key.fingerprint)
        elif every:
            raise SignatureError(f"{package.path}: is not signed by {key.path}, {_by(found)}")
    if not signers:
        names = ", ".join(str(key.path) for key in known)
        raise SignatureError(f"{package.path}: is not signed by {names}, {_by(found)}")
    return tuple(dict.fromkeys(signers))


def describe_signatures(package: Package, keys: Sequence[str | Path] = ()) -> list[Signed]:
    """Say who signed a package; what is wrong is reported, not raised.

    Args:
        package: The package, as it was read.
        keys: Files of public keys; signatures of others are named and not verified.
    """
    try:
        found = _read_all(package.path)
    except SignatureError as error:
        return [Signed(SIGNATURES, "", False, str(error))]
    try:
        known = {key.fingerprint: key for key in map(load_public_key, keys)}
    except KeyFileError as error:
        return [Signed(SIGNATURES, "", None, str(error))]
    signed = []
    for each in found:
        signer, problem = known.get(each.envelope.fingerprint), ""
        if signer is not None:
            try:
                _compare(read_digests(each.envelope, signer, str(each.file)), signed_digests(package), each.file)
                package.verify()
            except ParserError as error:
                problem = str(error)
        name = f"{SIGNATURES}/{each.file.name}"
        signed.append(Signed(name, each.envelope.fingerprint, None if signer is None else not problem, problem))
    return signed


def _by(found: Sequence[_Found]) -> str:
    """Say by whom a package is signed instead, and what to do."""
    others = ", ".join(each.envelope.fingerprint[:16] for each in found)
    who = f"but by other keys ({others})" if others else "nor by anybody else"
    return f"{who}. Get it from whom you trust, or sign it yourself: pqrnn sign PACKAGE --key FILE."


def _compare(signed: dict[str, str], here: dict[str, str], where: Path) -> None:
    differences = [
        *(f"{name} is missing" for name in sorted(signed.keys() - here.keys())),
        *(f"{name} was added" for name in sorted(here.keys() - signed.keys())),
        *(f"{name} was changed" for name in sorted(signed.keys() & here.keys()) if signed[name] != here[name]),
    ]
    if differences:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        raise SignatureError(
            f"{where}: was made for another package: {differences[0]}{more}. The package was changed after it was "
            "signed: get it anew, or have it signed again by whoever changed it."
        )


def _refuse_unlisted(package: Package, advice: str) -> None:
    for name in find_unlisted(package):
        raise SignatureError(f"{package.path / name}: is in no list of the package's files. {advice}")


def signature_files(path: Path) -> list[Path]:
    """Return what lies in the folder of a package's signatures, but for what a kill has left."""
    folder = path / SIGNATURES
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [file for file in files if final_name(file.name) == file.name]


def _read_all(path: Path) -> list[_Found]:
    """Read the signatures of a package, of which none has been compared with anything."""
    folder = path / SIGNATURES
    try:
        files = signature_files(path)
        if len(files) > _MOST:
            raise SignatureError(f"{folder}: holds {len(files)} files; a package has at most {_MOST} signatures.")
        found = []
        for file in files:
            if file.suffix != SUFFIX or not file.is_file():
                raise SignatureError(f"{file}: is no signature, NAME{SUFFIX}, and nothing else belongs there.")
            with file.open("rb") as stream:
                data = stream.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise SignatureError(f"{file}: is larger than {LARGEST >> 20} MiB and so no signature.")
            found.append(_Found(file, read_envelope(data, str(file))))
    except OSError as error:
        raise SignatureError(f"{folder}: cannot be read ({error.strerror}). Check its permissions.") from error
    return found
