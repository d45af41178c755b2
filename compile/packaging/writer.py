"""Stage 5: the files of a package are put into its directory."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from compile.verify.golden import GoldenSet
from runtime_py.package_format.budgets import manifest_of_part
from runtime_py.package_format.certificates import certify_replay
from runtime_py.package_format.decisions import describe_decisions, save_decisions
from runtime_py.package_format.file_entry import describe_file
from runtime_py.package_format.golden import save_golden
from runtime_py.package_format.manifest import ANY, Code, Manifest, NativeLibrary, Variant
from runtime_py.package_format.package import collect_files, seal


class PackageWriter:
    """Fills an empty directory with compiled modules, native libraries, golden vectors and, last, the manifest.

    Modules with equal bytes are stored once: the later variants refer to the file of the first.
    """

    def __init__(
        self,
        directory: Path,
        describe: Callable[[Sequence[Variant]], Manifest],
        golden: GoldenSet,
        files: Mapping[str, bytes] | None = None,
        golden_of_parts: Mapping[str, GoldenSet] | None = None,
    ) -> None:
        """Write nothing yet.

        Args:
            directory: Directory of the package; it is made where it does not exist.
            describe: Returns the manifest of a package with the given variants.
            golden: Texts and answers that the package checks itself with.
            files: Further files of the package, by their names in it.
            golden_of_parts: The same for parts of the network that have functions of their own, by name.
        """
        self._golden_of_parts = golden_of_parts or {}
        self._directory = directory
        self._describe = describe
        self._golden = golden
        self._files = files or {}
        self._paths: dict[str, str] = {}  # by SHA-256 of a module
        self._variants: list[Variant] = []
        self._libraries: list[NativeLibrary] = []

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

    def add_library(self, library: NativeLibrary, file: Path) -> None:
        """Copy a native library into the package, to the path that its description says."""
        destination = self._directory / library.path
        destination.parent.mkdir(parents=True)
        destination.write_bytes(file.read_bytes())
        self._libraries.append(library)

    def finish(self) -> Manifest:
        """Write the golden vectors and the manifest, with the digest of every file.

        Returns:
            The manifest as written.

        Raises:
            PackageError: The golden vectors or the manifest contradict themselves.
        """
        manifest = msgspec.structs.replace(self._describe(self._variants), libraries=self._libraries)
        for name, content in self._files.items():
            (self._directory / name).parent.mkdir(parents=True, exist_ok=True)
            (self._directory / name).write_bytes(content)
        self._write_golden(manifest, self._golden)
        for budget in manifest.budgets[:-1]:
            self._write_golden(manifest_of_part(manifest, budget), self._golden_of_parts[budget.name])
        sealed = msgspec.structs.replace(manifest, files=collect_files(self._directory))
        certified = msgspec.structs.replace(
            sealed,
            variants=[_certify(sealed, variant) for variant in sealed.variants],
            libraries=[_certify(sealed, library) for library in sealed.libraries],
        )
        return seal(self._directory, certified)

    def _write_golden(self, manifest: Manifest, golden: GoldenSet) -> None:
        """Write the vectors that a manifest names, and what they mean."""
        path = self._directory / manifest.golden.path
        path.parent.mkdir(parents=True, exist_ok=True)
        vectors = golden.stored
        save_golden(path, vectors)
        if manifest.golden.decisions is not None:
            described = describe_decisions(manifest, vectors, describe_file(path).sha256)
            save_decisions(self._directory / manifest.golden.decisions, described)


def _certify(manifest: Manifest, variant: Code) -> Code:
    """Return a variant that was run with the certificate of that, as long as it passed."""
    if variant.parity is None or not variant.parity.passed:
        return variant
    architecture = variant.triple.partition("-")[0] if variant.triple != ANY else platform.machine()
    certificate = certify_replay(manifest, variant, variant.parity, architecture=architecture, made_by="build")
    return msgspec.structs.replace(variant, certificates=[certificate])
