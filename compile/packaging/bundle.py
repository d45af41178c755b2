"""A bundle for boards: chosen variants of a package, the wheel that runs them, the conformance file, and a README.

Nothing is compiled here, and PyTorch is not needed.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from compile.packaging.board_readme import board_note
from compile.packaging.wheel import build_wheel, describe_project
from compile.support.errors import DeployError
from runtime_py.atomic_files import write_atomic
from runtime_py.errors import DigestError
from runtime_py.package_format.certificates import with_certificates
from runtime_py.package_format.manifest import NOT_LISTED, Variant
from runtime_py.package_format.package import Package, new_directory, new_package, open_package, seal
from runtime_py.tools.conformance import encode_conformance, make_conformance
from runtime_py.trust.keys import load_secret_key
from runtime_py.trust.signatures import describe_signatures, sign_package
from targets import registry

MARK = "bundle.json"
NOTE = "README.txt"
CONFORMANCE = "conformance.json"


class Bundle(Struct, frozen=True):
    """The content of a bundle, as its `bundle.json` says; names are relative to the bundle.

    Attributes:
        package: Folder of the trimmed package.
        wheel: File to install.
        conformance: File to test a port with.
        variants: Names of the variants.
        unverified: Reasons why variants have not been run, by variant.
        bytes: Size of all files but this description.
        signers: Fingerprints of the keys that signed the package.
        unsigned: Fingerprints of keys that signed the package that this one was made from, and not this one.
    """

    package: str
    wheel: str
    conformance: str
    variants: list[str]
    unverified: dict[str, str]
    bytes: int
    signers: list[str] = []
    unsigned: list[str] = []


def deploy(
    package: str | Path,
    out: str | Path,
    targets: Sequence[str] = (),
    archive: bool = False,
    replace: bool = False,
    python: str = "",
    sign_key: str | Path | None = None,
) -> Bundle:
    """Write a bundle, which appears when it is complete, and not before.

    Args:
        package: Directory of the package.
        out: Folder to write.
        targets: Names of the variants to ship; by default all but those for development.
        archive: Whether to write `OUT.tar.gz` beside the folder, too; equal bundles give equal archives.
        replace: Whether an existing bundle may be replaced, and its archive with it.
        python: Version of the board's Python, such as "3.13", for the README; empty where it is not known.
        sign_key: File of a secret key that signs the bundle's package. Signatures of the package go along where none of
            its variants is left out, and stay behind where one is, as they hold for the whole.

    Raises:
        KeyFileError: The key cannot be used.
        DeployError: The package reads subwords, the wheel is not for that Python, a variant does not exist or has
            failed its check, there are only variants for development, or the archive exists and may not be replaced.
        PackageError: The package is damaged, or the bundle exists and may not be replaced.
    """
    oldest = _oldest_python(python)
    source = open_package(package, verify=True)
    if source.manifest.tokenizer is not None:
        raise DeployError(
            f"{source.path}: reads subwords, and a bundle has no library that cuts them; copy the package to the "
            "board, and install pqrnn-runtime and tokenizers there"
        )
    variants = choose_variants(source, targets)
    signed = describe_signatures(source)
    if problems := [each.problem for each in signed if each.problem]:
        raise DeployError(problems[0])
    if sign_key is not None:
        load_secret_key(sign_key)  # a wrong one is said before anything is made
    out = Path(out)
    tarball = out.with_name(f"{out.name}.tar.gz")
    if tarball.exists() and not replace:
        raise DeployError(f"{tarball} exists already; choose another name, or say --replace")
    with new_directory(out, "bundle", MARK, replace) as staging:
        trimmed = trim_package(source, variants, staging / Path(os.path.abspath(source.path)).name)
        if sign_key is not None:
            sign_package(trimmed.path, sign_key)
        signers = [each.fingerprint for each in describe_signatures(trimmed)]
        wheel = build_wheel(staging)
        (staging / CONFORMANCE).write_bytes(encode_conformance(make_conformance(trimmed)))
        (staging / NOTE).write_text(
            board_note(trimmed.manifest, trimmed.path.name, wheel.name, CONFORMANCE, python, oldest, signers),
            encoding="utf-8",
        )
        bundle = Bundle(
            package=trimmed.path.name,
            wheel=wheel.name,
            conformance=CONFORMANCE,
            variants=[variant.target for variant in variants],
            unverified={variant.target: why_unverified(variant) for variant in variants if why_unverified(variant)},
            bytes=sum(path.stat().st_size for path in staging.rglob("*") if path.is_file()),
            signers=signers,
            unsigned=[each.fingerprint for each in signed if each.fingerprint not in signers],
        )
        (staging / MARK).write_bytes(msgspec.json.format(msgspec.json.encode(bundle), indent=2) + b"\n")
        packed = pack(staging, out.name) if archive else b""
    if archive:
        write_atomic(tarball, packed)
    else:
        tarball.unlink(missing_ok=True)  # the archive of a replaced bundle would be taken for that of this one
    return bundle


def _oldest_python(python: str) -> str:
    """Return the oldest Python that the wheel can be installed with, after a look at the board's."""
    from packaging.specifiers import SpecifierSet

    requires = describe_project()["requires-python"]
    if python and not (re.fullmatch(r"3\.[0-9]{1,3}", python) and SpecifierSet(requires).contains(python)):
        raise DeployError(
            f"{python!r} is no Python that the wheel can be installed with: expected a version such as 3.13, "
            f"{requires}. On the board, python3 --version says which it has"
        )
    return requires.removeprefix(">=")


def why_unverified(variant: Variant) -> str:
    """Return why a variant has not been run; empty where it has been verified."""
    return variant.unverified_reason or "never run" if variant.parity is None else ""


def choose_variants(package: Package, names: Sequence[str]) -> list[Variant]:
    """Return the variants to ship, in the order of the package.

    Args:
        package: Package with the variants.
        names: Names of variants, which may be for development; none for all variants that are not.

    Raises:
        DeployError: A variant does not exist or has failed its check, or there are only variants for development.
    """
    there = package.manifest.variants
    known = [variant.target for variant in there]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DeployError(
            f"{package.path} has no variant {', '.join(unknown)}; it has: {', '.join(known) or 'none'}. "
            f"Compile it: pqrnn compile RUN --target {unknown[0]}"
        )
    chosen = (
        [variant for variant in there if variant.target in names]
        if names
        else [variant for variant in there if not _for_development(variant)]
    )
    if not chosen:
        raise DeployError(
            f"{package.path} has only variants for development ({', '.join(known) or 'none at all'}), "
            "which mean another machine elsewhere. Compile for the board: pqrnn compile RUN --target raspberry-pi-4 "
            "('pqrnn targets' lists all); or ask by name: --target host"
        )
    failed = [variant.target for variant in chosen if variant.parity is not None and not variant.parity.passed]
    if failed:
        raise DeployError(
            f"{', '.join(failed)} of {package.path} failed the check, so it is not shipped; "
            "compile it again, or name the others with --target"
        )
    return chosen


def _for_development(variant: Variant) -> bool:
    """Say whether a variant means this machine only; packages from before format 1.1 do not say so themselves."""
    known = registry()
    return variant.development or (variant.target in known.names() and known.get(variant.target).development)


def trim_package(package: Package, variants: Sequence[Variant], destination: Path) -> Package:
    """Copy a package without the code of the other variants; where there are none, with all that lies beside.

    Raises:
        DigestError: A file changed while it was copied.
        CertificateError: Certificates that were added to it cannot be read.
    """
    if len(variants) == len(package.manifest.variants):
        return _copy_whole(package, destination)
    package = with_certificates(package)
    variants = [package.variant(variant.target) for variant in variants]
    kept = {variant.target for variant in variants}
    libraries = [library for library in package.manifest.libraries if library.target in kept]
    dropped = {variant.path for variant in package.manifest.variants} - {variant.path for variant in variants}
    dropped |= {library.path for library in package.manifest.libraries if library not in libraries}
    with new_package(destination) as directory:
        for name in package.manifest.files:
            if name not in dropped:
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(package.file(name), directory / name)
        sealed = seal(
            directory, msgspec.structs.replace(package.manifest, variants=list(variants), libraries=libraries)
        )
        changed = [name for name, entry in sealed.files.items() if entry != package.manifest.files[name]]
        if changed:
            raise DigestError(f"{package.path}: {', '.join(changed)} changed while it was copied. Try again.")
    return open_package(destination)


def _copy_whole(package: Package, destination: Path) -> Package:
    """Copy a package as it is: manifest, signatures and certificates stay what they are."""
    with new_package(destination) as directory:
        beside = [path for name in NOT_LISTED for path in [package.path / name, *(package.path / name).glob("*")]]
        names = [path.relative_to(package.path).as_posix() for path in beside if path.is_file()]
        for name in [*package.manifest.files, *names]:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.path / name, directory / name)
    copied = open_package(destination)
    if copied.manifest_sha256 != package.manifest_sha256:
        raise DigestError(f"{package.path}: changed while it was copied. Try again.")
    return copied


def pack(folder: Path, name: str) -> bytes:
    """Return a folder as a gzipped tar archive, with the same bytes for the same content.

    Args:
        folder: Folder to pack.
        name: Name of the folder in the archive.
    """

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = 0
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for path in [folder, *sorted(folder.rglob("*"))]:
            archive.add(
                path,
                f"{name}/{path.relative_to(folder).as_posix()}" if path != folder else name,
                recursive=False,
                filter=plain,
            )
    return buffer.getvalue()
