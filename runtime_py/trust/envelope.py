"""Detached signatures in the format of OpenSSF Model Signing 1: a Sigstore bundle around a signed list of digests.

The bundle (JSON, media type `_MEDIA`) names a key by its fingerprint and holds a DSSE envelope. Its payload is an
in-toto statement: the SHA-256 of every file of a model, and one of all of these. Reading is strict, so that a file has
one meaning: nothing that is not understood is passed over, and no bit can be another one.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from runtime_py.errors import SignatureError
from runtime_py.package_format.file_entry import Sha256
from runtime_py.package_format.manifest import CERTIFICATES_NAME, SIGNATURES
from runtime_py.trust.keys import PublicKey, SecretKey

LARGEST = 4 << 20  # bytes of a signature
_MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"


class _Hint(Struct, frozen=True, forbid_unknown_fields=True):
    hint: Sha256


class _Material(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    public_key: _Hint
    tlog_entries: Annotated[list[Any], Meta(max_length=0)] = []


class _Signature(Struct, frozen=True, forbid_unknown_fields=True):
    sig: str
    keyid: Annotated[str, Meta(max_length=0)] = ""


class _Envelope(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: Annotated[list[_Signature], Meta(min_length=1, max_length=1)]


class _Bundle(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class _Subject(Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _Resource(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    algorithm: str
    digest: Sha256


class _Serialization(Struct, frozen=True):
    method: str
    hash_type: str
    allow_symlinks: bool
    ignore_paths: list[str] = []


class _Predicate(Struct, frozen=True):
    serialization: _Serialization
    resources: list[_Resource]


class _Statement(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    subject: Annotated[list[_Subject], Meta(min_length=1, max_length=1)]
    predicate_type: str
    predicate: _Predicate
    type: str = msgspec.field(name="_type")


class Envelope(NamedTuple):
    """What a signature says, before anybody has looked whether it is one.

    Attributes:
        fingerprint: The key that it names.
        signature: The signature.
        message: The bytes that are signed.
        payload: The statement, as a part of them.
    """

    fingerprint: str
    signature: bytes
    message: bytes
    payload: bytes


def seal_digests(name: str, digests: Mapping[str, str], key: SecretKey) -> bytes:
    """Return a signature of files, as its file holds it.

    Args:
        name: Name of the model, for people.
        digests: SHA-256 of every file, by its name in the model.
        key: The key that signs.
    """
    names = sorted(digests, key=lambda each: PurePosixPath(each).parts)
    statement = _Statement(
        type=_STATEMENT,
        subject=[_Subject(name, {"sha256": _root(digests[each] for each in names)})],
        predicate_type=_PREDICATE,
        predicate=_Predicate(
            _Serialization("files", "sha256", False, [SIGNATURES, CERTIFICATES_NAME]),
            [_Resource(each, "sha256", digests[each]) for each in names],
        ),
    )
    payload = msgspec.json.encode(statement)
    bundle = _Bundle(
        _MEDIA,
        _Material(_Hint(key.public.fingerprint)),
        _Envelope(_encode(payload), _PAYLOAD, [_Signature(_encode(key.sign(_message(payload))))]),
    )
    return msgspec.json.encode(bundle) + b"\n"


def read_envelope(data: bytes, where: str) -> Envelope:
    """Take a signature apart, without a look whether it is right.

    Raises:
        SignatureError: It is not of this format.
    """
    try:
        bundle = msgspec.json.decode(data, type=_Bundle)
        if bundle.media_type != _MEDIA or bundle.dsse_envelope.payload_type != _PAYLOAD:
            raise ValueError(f"a bundle of {bundle.media_type!r} with {bundle.dsse_envelope.payload_type!r}")
        payload = _decode(bundle.dsse_envelope.payload)
        signature = _decode(bundle.dsse_envelope.signatures[0].sig)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SignatureError(
            f"{where}: is no signature of OpenSSF Model Signing 1 with a key, or was damaged ({error}). Copy it again, "
            "or delete it."
        ) from error
    return Envelope(bundle.verification_material.public_key.hint, signature, _message(payload), payload)


def read_digests(envelope: Envelope, key: PublicKey, where: str) -> dict[str, str]:
    """Return the SHA-256 of every signed file by its name, after a look at the signature.

    Raises:
        SignatureError: The key did not make it, or it says nothing that can be compared with files.
    """
    if envelope.fingerprint != key.fingerprint or not key.signed(envelope.signature, envelope.message):
        raise SignatureError(
            f"{where}: is not what the key {key.path} signed: the signature was changed, or made by somebody else. "
            "Do not use this package; get it anew from who signed it."
        )
    try:
        statement = msgspec.json.decode(envelope.payload, type=_Statement)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise SignatureError(f"{where}: signs something else than the files of a model ({error}).") from error
    how, resources = statement.predicate.serialization, statement.predicate.resources
    digests = {each.name: each.digest for each in resources}
    fits = (
        (statement.type, statement.predicate_type) == (_STATEMENT, _PREDICATE)
        and (how.method, how.hash_type) == ("files", "sha256")
        and all(each.algorithm == "sha256" for each in resources)
        and len(digests) == len(resources)
        and statement.subject[0].digest == {"sha256": _root(each.digest for each in resources)}
    )
    if not fits:
        raise SignatureError(
            f"{where}: signs in another way than by one SHA-256 a file; expected {_PREDICATE}. Sign the package anew."
        )
    return digests


def _message(payload: bytes) -> bytes:
    """Return the bytes that are signed of a payload (DSSE 1)."""
    return f"DSSEv1 {len(_PAYLOAD)} {_PAYLOAD} {len(payload)} ".encode() + payload


def _root(digests: Any) -> str:
    digest = hashlib.sha256()
    for each in digests:
        digest.update(bytes.fromhex(each))
    return digest.hexdigest()


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decode(text: str) -> bytes:
    """Read base64, of which only one text is right for each content."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"base64: {error}") from error
    if _encode(content) != text:
        raise ValueError("base64 that is not the one of its content")
    return content
