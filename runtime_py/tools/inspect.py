"""Facts of a package, for people and for scripts, without running it."""

import sys
from pathlib import Path

from msgspec import Struct

from runtime_py.decode.tags import TagScheme
from runtime_py.device.preflight import missing_features, this_machine, why_not
from runtime_py.device.selection import Selection, select_variant
from runtime_py.errors import PackageError, UnsupportedTargetError
from runtime_py.native.machine import choose_fitting
from runtime_py.package_format.certificates import find_misfits, fitting_certificates, with_certificates
from runtime_py.package_format.manifest import (
    MANIFEST_NAME,
    Bucket,
    Budget,
    Manifest,
    NativeLibrary,
    Producer,
    Variant,
    VulkanNeeds,
)
from runtime_py.package_format.package import Package, find_unlisted, open_package
from runtime_py.package_format.proofs import Certificate, Parity
from runtime_py.trust.requirement import required_keys
from runtime_py.trust.signatures import Signed, describe_signatures


class PartSize(Struct, frozen=True):
    """Size of one part of a package.

    Attributes:
        part: The part: ``manifest``, ``golden vectors``, ``golden decisions``, ``variant NAME``, ``native library
            NAME`` or ``other``.
        bytes: Its size.
    """

    part: str
    bytes: int


class VariantFacts(Struct, frozen=True):
    """One variant of a package.

    Attributes:
        target: Name of the target that it was compiled for.
        device: The runtime's device that runs it.
        triple: LLVM's target triple.
        cpu: LLVM's name of the processor.
        features: CPU features that it needs.
        bytes: Size of its module.
        compile_seconds: Time that the compiler took.
        verified: Whether it was proved right.
        unverified_reason: Why nobody has run it; null for code that was run.
        parity: Outcome of the replay that proves it; null for code that nobody has run.
        runs_here: Whether it runs on this machine.
        why_not: Why it does not; null where it does.
        chosen_here: Whether it is the one that is taken on this machine.
        why_not_chosen: Why another one is taken; null where it is taken itself.
        vulkan: What it needs of a Vulkan device; null for other devices.
        certificates: What was measured of just this module with these labels, on which machines.
        misfits: Certificates that were made for something else, in words; they count for nothing.
    """

    target: str
    device: str
    triple: str
    cpu: str
    features: list[str]
    bytes: int
    compile_seconds: float
    verified: bool
    unverified_reason: str | None
    parity: Parity | None
    runs_here: bool
    why_not: str | None
    chosen_here: bool
    why_not_chosen: str | None
    vulkan: VulkanNeeds | None
    certificates: list[Certificate]
    misfits: list[str]


class LibraryFacts(Struct, frozen=True):
    """A native library.

    Attributes:
        target: Name of the target.
        triple: LLVM triple of the target.
        features: CPU features that the code needs.
        bytes: Size of the file, weights and labels included.
        memory: Bytes that an open parser works in.
        weights: Bytes of the weights.
        verified: Whether it was run and answered as PyTorch does.
        unverified_reason: Why nobody has run it.
        parity: Outcome of the replay that proves it.
        runs_here: Whether this machine can run it.
        why_not: Why it cannot; null where it can.
        certificates: What was measured of just this library with these labels, on which machines.
        misfits: Certificates that were made for something else, in words; they count for nothing.
    """

    target: str
    triple: str
    features: list[str]
    bytes: int
    memory: int
    weights: int
    verified: bool
    unverified_reason: str | None
    parity: Parity | None
    runs_here: bool
    why_not: str | None
    certificates: list[Certificate]
    misfits: list[str]


class PackageFacts(Struct, frozen=True):
    """A package at a glance.

    Attributes:
        path: Path of the package.
        name: Name of the package.
        schema: Version of its format.
        abi: Version of the calling convention of its functions.
        digest: Digest of its manifest, which stands for the whole package; empty before schema 1.6.
        created: Time when it was made (UTC).
        producer: Versions of what made it.
        parameters: Number of trained numbers in the model.
        precision: Precision of the products, and how many bits a weight has where it has fewer.
        revision: Git commit of the code that trained it.
        data_fingerprint: SHA-256 of the training data.
        metrics: Scores on the development split.
        intents: Names of the intents.
        tags: Tags of words.
        slot_labels: Names of the slots.
        buckets: Length buckets.
        variants: The variants.
        libraries: The native libraries.
        choice: Which library or variant is taken on this machine and why; empty where none runs.
        parts: Sizes of its parts.
        total_bytes: Size of the package.
        golden_texts: Number of texts in the golden vectors.
        golden_words: Number of words in them.
        tolerance: Largest allowed absolute difference of a logit.
        damaged: Files that are missing or not what the manifest says, with the reason.
        unlisted: Files that the manifest does not list.
        signatures: Who signed it; verified where the key is one of $PQRNN_REQUIRE_SIGNATURE.
        budgets: Parts of the network that serve budgets, the whole one last; empty where there is only that.
    """

    path: str
    name: str
    schema: str
    abi: int
    digest: str
    created: str
    producer: Producer
    parameters: int
    precision: str
    revision: str
    data_fingerprint: str
    metrics: dict[str, object]
    intents: list[str]
    tags: list[str]
    slot_labels: list[str]
    buckets: list[Bucket]
    variants: list[VariantFacts]
    libraries: list[LibraryFacts]
    choice: str
    parts: list[PartSize]
    total_bytes: int
    golden_texts: int
    golden_words: int
    tolerance: float
    damaged: list[str]
    unlisted: list[str]
    signatures: list[Signed]
    budgets: list[Budget] = []


def inspect_package(path: str | Path) -> PackageFacts:
    """Read a package's manifest and look at its files; damage is reported, not raised.

    Raises:
        PackageError: There is no package, or its manifest cannot be read.
    """
    package = with_certificates(open_package(path))
    manifest = package.manifest
    parts = measure_parts(package)
    chosen = _chosen(package)
    libraries = [_library_facts(package, library) for library in manifest.libraries]
    return PackageFacts(
        path=str(package.path),
        name=manifest.name,
        schema=manifest.schema,
        abi=manifest.abi,
        digest=manifest.digest,
        created=manifest.created,
        producer=manifest.producer,
        parameters=manifest.model.parameters,
        precision=manifest.model.described_precision,
        revision=manifest.model.revision,
        data_fingerprint=manifest.model.data_fingerprint,
        metrics=manifest.model.metrics,
        intents=list(manifest.labels.intents),
        tags=list(manifest.labels.tags),
        slot_labels=TagScheme(manifest.labels.tags).slots,
        buckets=manifest.buckets,
        variants=[_variant_facts(package, variant, chosen) for variant in manifest.variants],
        libraries=libraries,
        choice=_describe_choice(manifest, libraries, chosen),
        parts=parts,
        total_bytes=sum(part.bytes for part in parts),
        golden_texts=manifest.golden.texts,
        golden_words=manifest.golden.words,
        tolerance=manifest.golden.tolerance,
        damaged=_damaged(package),
        unlisted=find_unlisted(package),
        signatures=describe_signatures(package, required_keys()),
        budgets=manifest.budgets,
    )


def measure_parts(package: Package) -> list[PartSize]:
    """Return the bytes of each part of a package, as the manifest states them."""
    manifest = package.manifest
    owners = {manifest.golden.path: "golden vectors"}
    if manifest.golden.decisions is not None:
        owners[manifest.golden.decisions] = "golden decisions"
    for part in (budget.golden for budget in manifest.budgets):
        if part is not None:
            owners[part.path] = "golden vectors"
            if part.decisions is not None:
                owners[part.decisions] = "golden decisions"
    for variant in manifest.variants:
        shared = owners.get(variant.path)
        owners[variant.path] = f"{shared}, {variant.target}" if shared else f"variant {variant.target}"
    owners |= {library.path: f"native library {library.target}" for library in manifest.libraries}
    sizes = {"manifest": (package.path / MANIFEST_NAME).stat().st_size}
    for name, entry in manifest.files.items():
        owner = owners.get(name, "other")
        sizes[owner] = sizes.get(owner, 0) + entry.bytes
    return [PartSize(part, size) for part, size in sizes.items()]


def _chosen(package: Package) -> Selection | None:
    try:
        return select_variant(package.manifest, this_machine())
    except UnsupportedTargetError:
        return None


def _variant_facts(package: Package, variant: Variant, chosen: Selection | None) -> VariantFacts:
    reason = why_not(variant, this_machine())
    return VariantFacts(
        target=variant.target,
        device=variant.device,
        triple=variant.triple,
        cpu=variant.cpu,
        features=variant.features,
        bytes=package.manifest.files[variant.path].bytes,
        compile_seconds=variant.compile_seconds,
        verified=is_verified(package, variant),
        unverified_reason=variant.unverified_reason,
        parity=variant.parity,
        runs_here=reason is None,
        why_not=reason,
        chosen_here=chosen is not None and variant is chosen.variant,
        why_not_chosen=chosen.rejected.get(variant.target) if chosen is not None else reason,
        vulkan=variant.vulkan,
        certificates=fitting_certificates(package.manifest, variant),
        misfits=find_misfits(package.manifest, variant),
    )


def _library_facts(package: Package, library: NativeLibrary) -> LibraryFacts:
    machine = this_machine()
    reason = None
    if not choose_fitting([library]):
        reason = f"it is for {library.triple}, this machine is {machine.architecture} under {sys.platform}"
    elif missing := missing_features(library.features, machine):
        reason = f"this CPU lacks {', '.join(missing)}"
    return LibraryFacts(
        target=library.target,
        triple=library.triple,
        features=library.features,
        bytes=package.manifest.files[library.path].bytes,
        memory=library.memory,
        weights=library.weights,
        verified=is_verified(package, library),
        unverified_reason=library.unverified_reason,
        parity=library.parity,
        runs_here=reason is None,
        why_not=reason,
        certificates=fitting_certificates(package.manifest, library),
        misfits=find_misfits(package.manifest, library),
    )


def _describe_choice(manifest: Manifest, libraries: list[LibraryFacts], chosen: Selection | None) -> str:
    """Return what `runtime_py.Parser.load` takes here."""
    able = choose_fitting(
        each for each in libraries if each.runs_here and each.parity is not None and each.parity.passed
    )
    if able and manifest.batch == 1:
        return f"{able[0].target}: its native library, which needs no runtime"
    return chosen.reason if chosen is not None else ""


def is_verified(package: Package, variant: Variant | NativeLibrary) -> bool:
    """Return whether a variant is proved: by a certificate that fits, or in a package that knows none by its replay."""
    if variant.parity is not None and not variant.parity.passed:
        return False
    if variant.certificates or package.manifest.golden.decisions is not None:
        return bool(fitting_certificates(package.manifest, variant))
    return variant.parity is not None


def _damaged(package: Package) -> list[str]:
    damaged = []
    for name in sorted(package.manifest.files):
        try:
            package.verify_file(name)
        except PackageError as error:
            damaged.append(str(error))
    return damaged
