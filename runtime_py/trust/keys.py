"""Keys that sign packages, as PEM files: Ed25519, or the NIST curves that other tools of Model Signing use.

A secret key is refused where others than its owner may read it, a public one where others may write it: whoever can
exchange a public key decides what is trusted.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runtime_py.errors import KeyFileError

PASSWORD = "PQRNN_KEY_PASSWORD"
Kind = Literal["ed25519", "ecdsa"]
KINDS: tuple[Kind, ...] = ("ed25519", "ecdsa")
_LARGEST = 64 << 10  # bytes
_CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are verified with.

    Attributes:
        path: Its file.
        fingerprint: SHA-256 of its PEM text, in 64 hexadecimal digits; signatures name their key by it.
        key: The key, as the library `cryptography` has it.
    """

    path: Path
    fingerprint: str
    key: Any

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Return whether this key made that signature of that message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, message, *_extra(self.key))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key that signs.

    Attributes:
        public: The other half, which verifies.
        key: The key, as the library `cryptography` has it.
    """

    public: PublicKey
    key: Any

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        signature: bytes = self.key.sign(message, *_extra(self.public.key))
        return signature


def load_secret_key(path: str | Path) -> SecretKey:
    """Read a secret key; one with a password takes that from $PQRNN_KEY_PASSWORD.

    Raises:
        KeyFileError: The file is missing, is no secret key of a known kind, or others may read it.
    """
    path = Path(path)
    serialization = _library()
    content = _read(path, 0o077, "others than its owner may read it", "chmod 600")
    password = os.environ.get(PASSWORD, "").encode() or None

    def load() -> Any:
        return serialization.load_pem_private_key(content, password if b"ENCRYPTED" in content else None)

    key = _load(path, load, "a secret key", f"Make one: pqrnn keygen NAME. One with a password needs it in ${PASSWORD}")
    return SecretKey(_describe(path, key.public_key()), key)


def load_public_key(path: str | Path) -> PublicKey:
    """Read a public key.

    Raises:
        KeyFileError: The file is missing, is no public key of a known kind, or others may write it.
    """
    path = Path(path)
    serialization = _library()
    content = _read(path, 0o022, "others than its owner may write it, and so decide what is trusted", "chmod 644")
    if b"PRIVATE KEY" in content:
        raise KeyFileError(
            f"{path}: is a secret key, which belongs where packages are signed and nowhere else. Name the public one "
            "that 'pqrnn keygen' wrote beside it."
        )
    key = _load(
        path, lambda: serialization.load_pem_public_key(content), "a public key", "It is a file of PEM, as NAME.pub"
    )
    return _describe(path, key)


def make_keys(path: str | Path, kind: Kind = "ed25519") -> PublicKey:
    """Make a pair of keys: PATH.key, which signs and which only its owner may read, and PATH.pub, which verifies.

    Args:
        path: Path of both without an ending.
        kind: ``ed25519``; or ``ecdsa`` (P-256), which the library `model-signing` reads, too.

    Raises:
        KeyFileError: One of the files exists already, or cannot be written.
    """
    serialization = _library()
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key: Any = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    secret_path, public_path = Path(f"{path}.key"), Path(f"{path}.pub")
    for each in (secret_path, public_path):
        if os.path.lexists(each):
            raise KeyFileError(f"{each}: exists already, and a key is never written over. Choose another name.")
    _write(secret_path, secret, 0o600)
    _write(public_path, public, 0o644)
    return _describe(public_path, key.public_key())


def _library() -> Any:
    """Return the part of the library that reads and writes keys."""
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise KeyFileError(
            "signatures need the library cryptography, which is not installed: pip install cryptography, or "
            "'pqrnn[sign]'"
        ) from error
    return serialization


def _extra(public: Any) -> tuple[Any, ...]:
    """Return what signing and verifying with a key take beside the message; curves of NIST need a hash."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    if isinstance(public, ec.EllipticCurvePublicKey):
        return (ec.ECDSA(getattr(hashes, _CURVES[public.curve.name])()),)
    return ()


def _describe(path: Path, key: Any) -> PublicKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    known = isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    )
    if not known:
        raise KeyFileError(
            f"{path}: is a key of another kind ({type(key).__name__}); expected Ed25519, or ECDSA on P-256, P-384 or "
            "P-521. Make one: pqrnn keygen NAME."
        )
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(path, hashlib.sha256(pem).hexdigest(), key)


def _load(path: Path, load: Callable[[], Any], what: str, advice: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: cannot be read as {what} ({error}). {advice}.") from error


def _read(path: Path, forbidden: int, why: str, advice: str) -> bytes:
    """Read a file that is small, regular, and not open to others; its mode is that of what is read."""
    try:
        # A pipe without a writer must not hold anybody up.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as stream:
            state = os.fstat(stream.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise KeyFileError(f"{path}: is no file. Name the file of a key.")
            if os.name == "posix" and state.st_mode & forbidden:
                raise KeyFileError(
                    f"{path}: has mode {stat.S_IMODE(state.st_mode):04o}: {why}. If it is still only yours: "
                    f"{advice} {path}"
                )
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror}). Name the file of a key.") from error
    if len(content) > _LARGEST:
        raise KeyFileError(f"{path}: is larger than {_LARGEST >> 10} KiB, and so no key.")
    return content


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written ({error.strerror}).") from error
