"""Stage 5: the files of a package are put into its directory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from compile.verify.golden import GoldenSet
from runtime_py.package_format.golden import save_golden
from runtime_py.package_format.manifest import Manifest, Variant
from runtime_py.package_format.package import seal


class PackageWriter:
    """Fills an empty directory with compiled modules, golden vectors and, last, the manifest.

    Modules with equal bytes are stored once: the later variants refer to the file of the first.
    """

    def __init__(
        self,
        directory: Path,
        describe: Callable[[Sequence[Variant]], Manifest],
        golden: GoldenSet,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write nothing yet.

        Args:
            directory: Directory of the package; it is made where it does not exist.
            describe: Returns the manifest of a package with the given variants.
            golden: Texts and answers that the package checks itself with.
            files: Further files of the package, by their names in it.
        """
        self._directory = directory
        self._describe = describe
        self._golden = golden
        self._files = files or {}
        self._paths: dict[str, str] = {}  # by SHA-256 of a module
        self._variants: list[Variant] = []

    def add_variant(self, variant: Variant, module: Path) -> None:
        """Copy a compiled module into the package.

        Args:
            variant: Description of the module; its path is used unless an equal module is there already.
            module: File of the module, outside the package.
        """
        content = module.read_bytes()
        path = self._paths.setdefault(hashlib.sha256(content).hexdigest(), variant.path)
        if path == variant.path:
            destination = self._directory / path
            destination.parent.mkdir(parents=True)
            destination.write_bytes(content)
        self._variants.append(msgspec.structs.replace(variant, path=path))

    def finish(self) -> Manifest:
        """Write the golden vectors and the manifest, with the digest of every file.

        Returns:
            The manifest as written.

        Raises:
            PackageError: The golden vectors or the manifest contradict themselves.
        """
        manifest = self._describe(self._variants)
        for name, content in self._files.items():
            (self._directory / name).parent.mkdir(parents=True, exist_ok=True)
            (self._directory / name).write_bytes(content)
        vectors = self._directory / manifest.golden.path
        vectors.parent.mkdir(parents=True, exist_ok=True)
        save_golden(vectors, self._golden.stored)
        return seal(self._directory, manifest)
