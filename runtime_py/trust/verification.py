"""What `pqrnn verify` says of a package."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from runtime_py.errors import KeyFileError
from runtime_py.package_format.package import open_package
from runtime_py.trust.requirement import VARIABLE, required_keys


class Verification(Struct, frozen=True):
    """A package that is signed as demanded, and whole.

    Attributes:
        package: Path of the package.
        name: Name of the package, for people.
        digest: Digest of its manifest.
        files: Number of files that are signed, with the manifest.
        signers: Fingerprints of the keys that signed it, of those that were named.
    """

    package: str
    name: str
    digest: str
    files: int
    signers: tuple[str, ...]

    def __str__(self) -> str:
        """Return it for people."""
        who = ", ".join(signer[:16] for signer in self.signers)
        digest = self.digest[:16] or "none"
        return f"{self.package}: signed by {who}; {self.files} files are as they were signed (digest {digest})"


def verify_package(path: str | Path, keys: Sequence[str | Path] = (), every: bool = False) -> Verification:
    """Verify who signed a package, and every file of it.

    Args:
        path: The package directory.
        keys: Files of public keys; by default those of $PQRNN_REQUIRE_SIGNATURE.
        every: Whether all of them have to have signed it, and not just one.

    Raises:
        KeyFileError: There is no key, or one cannot be used.
        PackageError: It is not signed as demanded (SignatureError), or is damaged.
    """
    demanded = required_keys(list(keys) or None)
    if not demanded:
        raise KeyFileError(f"no key to verify with: name the signer's public one with --key, or in ${VARIABLE}.")
    package = open_package(path, keys=demanded, every=every)
    manifest = package.manifest
    return Verification(str(path), manifest.name, manifest.digest, len(manifest.files) + 1, package.signers)
