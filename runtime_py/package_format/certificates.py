"""Certificates of variants: made from what was measured, bound to digests, and refused where these do not fit.

Those of the build stand in the manifest. Those that a board adds stand beside it, in `certificates.json`: the package
stays what it was, and so do its signatures.
"""

import dataclasses
import platform
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from runtime_py.atomic_files import write_atomic
from runtime_py.errors import CertificateError
from runtime_py.package_format.decisions import digest_labels
from runtime_py.package_format.manifest import CERTIFICATES_NAME, Code, Manifest, NativeLibrary, Variant
from runtime_py.package_format.package import Package, open_package
from runtime_py.package_format.proofs import Certificate, Parity

_MOST = 64  # certificates of a variant
_LARGEST = 16 << 20  # bytes
_ADVICE = "Delete it, and check the package with --certify again."


class _OfVariant(Struct, frozen=True, forbid_unknown_fields=True):
    """What was added to a variant: certificates, and the replay that proves one which nobody had run before."""

    certificates: Annotated[list[Certificate], Meta(max_length=_MOST)] = []
    parity: Parity | None = None


class _Added(Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `certificates.json`."""

    format: Annotated[int, Meta(ge=1, le=1)] = 1
    variants: dict[str, _OfVariant] = {}
    libraries: dict[str, _OfVariant] = {}


def why_unfit(manifest: Manifest, variant: Variant | NativeLibrary, certificate: Certificate) -> str:
    """Return what a certificate was made for that a variant of a package is not; empty if it fits."""
    pairs = [
        ("module", certificate.artifact, manifest.files[variant.path].sha256),
        ("labels, frames or counts of frames", certificate.labels, digest_labels(manifest.labels)),
        ("golden vectors", certificate.golden, manifest.files[manifest.golden.path].sha256),
    ]
    return ", ".join(what for what, made_for, here in pairs if made_for != here)


def find_misfits(manifest: Manifest, variant: Variant | NativeLibrary) -> list[str]:
    """Say which certificates of a variant were made for something else; empty if none was."""
    return [
        f"a certificate of {certificate.checked} ({certificate.emulator or certificate.machine}) was made for other "
        f"{what}"
        for certificate in variant.certificates
        if (what := why_unfit(manifest, variant, certificate))
    ]


def fitting_certificates(manifest: Manifest, variant: Variant | NativeLibrary) -> list[Certificate]:
    """Return the certificates of a variant that were made for just this module, these labels and vectors."""
    return [found for found in variant.certificates if not why_unfit(manifest, variant, found)]


def certify_replay(
    manifest: Manifest, variant: Variant | NativeLibrary, parity: Parity, *, architecture: str, made_by: str
) -> Certificate:
    """Return the certificate of a replay of the golden vectors that passed.

    Args:
        manifest: The manifest, with the digests of all files.
        variant: The variant that was run.
        parity: Outcome of the replay.
        architecture: Architecture of the process that ran it.
        made_by: ``build`` or ``check``.
    """
    figures = {
        "largest_difference": max(parity.intent_max_abs, parity.tags_max_abs),
        "decision_flips": float(parity.decision_flips),
        "repeats": float(parity.repeats),
        **{f"numbers_{name}": value for name, value in parity.reference.items()},
    }
    return Certificate(
        artifact=manifest.files[variant.path].sha256,
        labels=digest_labels(manifest.labels),
        golden=manifest.files[manifest.golden.path].sha256,
        made_by=made_by,
        checked=parity.checked,
        machine=parity.machine,
        architecture=architecture,
        device=parity.runtime.partition(", ")[2] or variant.device,
        emulator=parity.emulator,
        versions=describe_versions(parity.runtime),
        texts=parity.texts,
        figures=figures,
    )


def describe_versions(runtime: str) -> dict[str, str]:
    """Return the versions of what runs a package in this process; `runtime` as in `Parity.runtime`."""
    name, _, version = runtime.partition(", ")[0].partition(" ")
    return {
        name: version,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def add_certificate(
    path: str | Path, target: str, certificate: Certificate, parity: Parity | None = None, *, native: bool = False
) -> Package:
    """Add a certificate to a variant of a package, in one step, and without a change of its manifest or signatures.

    It goes into `certificates.json`, and replaces an earlier one there of the same machine, device, emulator and
    reference. A variant that nobody had run is verified from then on, by the replay that the certificate was made of.

    Args:
        path: The package directory.
        target: Name of the variant.
        certificate: What was measured.
        parity: Outcome of the golden vectors that it was made of.
        native: Whether it is of the native library of that name, and not of the variant.

    Returns:
        The package with all of its certificates, as `with_certificates` gives it.

    Raises:
        CertificateError: It was made for another module, other labels or other golden vectors; or the file cannot be
            read or written.
        PackageError: There is no such package or variant.
    """
    package = open_package(path)
    variant = package.library(target) if native else package.variant(target)
    if what := why_unfit(package.manifest, variant, certificate):
        raise CertificateError(
            f"{path}: the certificate was made for other {what} than variant {target} has; check this package itself."
        )

    def place(one: Certificate) -> tuple[str, ...]:
        return one.machine, one.device, one.emulator, one.reference

    added = _read_added(package.path)
    named = added.libraries if native else added.variants
    before = named.get(target, _OfVariant())
    others = [one for one in before.certificates if place(one) != place(certificate)]
    kept = _OfVariant([*others, certificate][-_MOST:], before.parity)
    if variant.parity is None and parity is not None:
        kept = msgspec.structs.replace(kept, parity=parity)
    more = named | {target: kept}
    document = (
        msgspec.structs.replace(added, libraries=more) if native else msgspec.structs.replace(added, variants=more)
    )
    file = package.path / CERTIFICATES_NAME
    try:
        write_atomic(file, msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=2) + b"\n")
    except OSError as error:
        raise CertificateError(f"{file}: cannot be written ({error.strerror}).") from error
    return with_certificates(package)


def with_certificates(package: Package) -> Package:
    """Return a package whose manifest has the certificates of `certificates.json`, too.

    Nobody signs these, so they decide nothing: neither what is loaded nor what it answers.

    Raises:
        CertificateError: The file cannot be read.
    """
    added, none = _read_added(package.path), _OfVariant()
    manifest = msgspec.structs.replace(
        package.manifest,
        variants=[_with_added(each, added.variants.get(each.target, none)) for each in package.manifest.variants],
        libraries=[_with_added(each, added.libraries.get(each.target, none)) for each in package.manifest.libraries],
    )
    return dataclasses.replace(package, manifest=manifest)


def _with_added(variant: Code, more: _OfVariant) -> Code:
    variant = msgspec.structs.replace(variant, certificates=[*variant.certificates, *more.certificates])
    if variant.parity is None and more.parity is not None:
        variant = msgspec.structs.replace(variant, parity=more.parity, unverified_reason=None)
    return variant


def _read_added(path: Path) -> _Added:
    """Read the certificates that were added to a package after it was made."""
    file = path / CERTIFICATES_NAME
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise CertificateError(f"{file}: is larger than {_LARGEST >> 20} MiB. {_ADVICE}")
        return msgspec.json.decode(data, type=_Added)
    except FileNotFoundError:
        return _Added()
    except OSError as error:
        raise CertificateError(f"{file}: cannot be read ({error.strerror}). Check its permissions.") from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CertificateError(f"{file}: {error}; expected certificates of variants. {_ADVICE}") from error
