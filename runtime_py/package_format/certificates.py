"""Certificates of variants: made from what was measured, bound to digests, and refused where these do not fit."""

import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from runtime_py.errors import CertificateError
from runtime_py.package_format.decisions import digest_labels
from runtime_py.package_format.manifest import Certificate, Manifest, Parity, Variant
from runtime_py.package_format.package import Package, open_package, write_manifest

_MOST = 64  # certificates of a variant


def why_unfit(manifest: Manifest, variant: Variant, certificate: Certificate) -> str:
    """Return what a certificate was made for that a variant of a package is not; empty if it fits."""
    pairs = [
        ("module", certificate.artifact, manifest.files[variant.path].sha256),
        ("labels, frames or counts of frames", certificate.labels, digest_labels(manifest.labels)),
        ("golden vectors", certificate.golden, manifest.files[manifest.golden.path].sha256),
    ]
    return ", ".join(what for what, made_for, here in pairs if made_for != here)


def find_misfits(manifest: Manifest, variant: Variant) -> list[str]:
    """Say which certificates of a variant were made for something else; empty if none was."""
    return [
        f"a certificate of {certificate.checked} ({certificate.emulator or certificate.machine}) was made for other "
        f"{what}"
        for certificate in variant.certificates
        if (what := why_unfit(manifest, variant, certificate))
    ]


def fitting_certificates(manifest: Manifest, variant: Variant) -> list[Certificate]:
    """Return the certificates of a variant that were made for just this module, these labels and vectors."""
    return [found for found in variant.certificates if not why_unfit(manifest, variant, found)]


def certify_replay(
    manifest: Manifest, variant: Variant, parity: Parity, *, architecture: str, made_by: str
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
    return {
        "iree": runtime.partition(", ")[0].removeprefix("iree "),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def add_certificate(path: str | Path, target: str, certificate: Certificate, parity: Parity | None = None) -> Package:
    """Add a certificate to a variant in the manifest of a package, in one step.

    It replaces an earlier one of the same machine, device, emulator and reference. A variant that nobody had run is
    verified from then on, by the replay that the certificate was made of.

    Args:
        path: The package directory.
        target: Name of the variant.
        certificate: What was measured.
        parity: Outcome of the golden vectors that it was made of.

    Raises:
        CertificateError: It was made for another module, other labels or other golden vectors.
        PackageError: There is no such package or variant.
    """
    package = open_package(path)
    variant = package.variant(target)
    if what := why_unfit(package.manifest, variant, certificate):
        raise CertificateError(
            f"{path}: the certificate was made for other {what} than variant {target} has; check this package itself."
        )

    def place(one: Certificate) -> tuple[str, ...]:
        return one.machine, one.device, one.emulator, one.reference

    others = [one for one in variant.certificates if place(one) != place(certificate)]
    updated = msgspec.structs.replace(variant, certificates=[*others, certificate][-_MOST:])
    if variant.parity is None and parity is not None:
        updated = msgspec.structs.replace(updated, parity=parity, unverified_reason=None)
    return _replace_variant(package, updated)


def record_parity(path: str | Path, target: str, parity: Parity) -> Package:
    """Write the outcome of a check into the manifest of a package, in one step.

    Args:
        path: The package directory.
        target: Name of the variant that was checked.
        parity: The numbers of the check.

    Raises:
        PackageError: There is no such package or variant.
    """
    package = open_package(path)
    updated = msgspec.structs.replace(package.variant(target), parity=parity, unverified_reason=None)
    return _replace_variant(package, updated)


def _replace_variant(package: Package, updated: Variant) -> Package:
    variants: Mapping[str, Variant] = {one.target: one for one in package.manifest.variants} | {updated.target: updated}
    write_manifest(package.path, msgspec.structs.replace(package.manifest, variants=list(variants.values())))
    return open_package(package.path)
