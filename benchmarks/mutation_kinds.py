"""Everything that may be wrong with a package, as changes of a good one: what is changed, and what has to catch it.

A change is *sealed* where whoever made it also wrote the digests of all files anew, and *forged* where the golden
decisions were remade for it, too, and certificates that no longer fit were left out. A forged package contradicts
itself nowhere: it takes a reference file to see that it answers otherwise, and a signature where it does not.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from runtime_py.decode.labels import Labels
from runtime_py.package_format.certificates import fitting_certificates
from runtime_py.package_format.decisions import describe_decisions, save_decisions
from runtime_py.package_format.golden import GoldenVectors, save_golden
from runtime_py.package_format.manifest import Bucket, Manifest
from runtime_py.package_format.package import collect_files, open_package, seal, write_manifest

# What catches a change: the digests, when files are read; the package's own golden vectors and decisions; a step of the
# reference; or nothing here, so that it takes a signature.
DIGEST, PACKAGE, NUMBERS, DECISIONS, TASK, SIGNATURE = "digest", "package", "numbers", "decisions", "task", "signature"


@dataclass(frozen=True, slots=True)
class Subject:
    """A good package and what changes are made from.

    Attributes:
        package: The package; changes are made to copies.
        target: Name of its variant that runs here.
        reference: Its reference file.
        modules: Modules of other models, by the change of the model.
        needles: Bytes of weights, as the program holds them.
    """

    package: Path
    target: str
    reference: Path
    modules: dict[str, Path]
    needles: tuple[bytes, ...]


class Mutation(NamedTuple):
    """One kind of change.

    Attributes:
        name: What is changed.
        apply: Changes a copy of the subject's package; false if that is not possible with it.
        caught_by: What has to catch it; one of several, where it depends on the machine.
    """

    name: str
    apply: Callable[[Subject, Path], bool]
    caught_by: tuple[str, ...]


def reseal(path: Path, manifest: Manifest | None = None) -> None:
    """Write the digests of all files of a package anew."""
    seal(path, manifest or open_package(path).manifest)


def forge(path: Path, manifest: Manifest | None = None, vectors: GoldenVectors | None = None) -> None:
    """Write everything anew that is bound to what was changed."""
    manifest = manifest or open_package(path).manifest
    if vectors is None:
        vectors = open_package(path).golden()
    else:
        save_golden(path / manifest.golden.path, vectors)
        assert vectors.tolerances is not None
        golden = msgspec.structs.replace(
            manifest.golden, texts=len(vectors), words=len(vectors.tags), tolerance=float(vectors.tolerances.max())
        )
        manifest = msgspec.structs.replace(manifest, golden=golden)
    manifest = msgspec.structs.replace(manifest, files=collect_files(path))
    assert manifest.golden.decisions is not None
    digest = manifest.files[manifest.golden.path].sha256
    save_decisions(path / manifest.golden.decisions, describe_decisions(manifest, vectors, digest))
    manifest = msgspec.structs.replace(manifest, files=collect_files(path))
    variants = [
        msgspec.structs.replace(variant, certificates=fitting_certificates(manifest, variant))
        for variant in manifest.variants
    ]
    seal(path, msgspec.structs.replace(manifest, variants=variants))


def _edit(**parts: Callable[[Any], Any]) -> Callable[[Subject, Path], bool]:
    """Change parts of the manifest alone."""

    def apply(_: Subject, path: Path) -> bool:
        manifest = open_package(path).manifest
        changed = {name: change(getattr(manifest, name)) for name, change in parts.items()}
        if all(changed[name] == getattr(manifest, name) for name in parts):
            return False
        write_manifest(path, msgspec.structs.replace(manifest, **changed))
        return True

    return apply


def _forged(change: Callable[[Manifest], Manifest]) -> Callable[[Subject, Path], bool]:
    """Change the manifest, and everything that is bound to it."""

    def apply(_: Subject, path: Path) -> bool:
        manifest = open_package(path).manifest
        changed = change(manifest)
        if changed == manifest:
            return False
        forge(path, changed)
        return True

    return apply


def _with(struct: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)


def swap_intents(labels: Labels) -> Labels:
    """Exchange the first two intents, and leave everything else in its order."""
    first, second, *rest = labels.intents
    return _with(labels, intents=(second, first, *rest))


def swap_tags(labels: Labels) -> Labels:
    """Exchange the beginnings of two slots, and their insides, so that every tag stays well-formed."""
    begins = [tag for tag in labels.tags if tag.startswith("B-")][:2]
    if len(begins) < 2:
        return labels
    one, other = (tag[2:] for tag in begins)
    exchange = {f"{kind}{a}": f"{kind}{b}" for kind in ("B-", "I-") for a, b in ((one, other), (other, one))}
    exchange = {old: new for old, new in exchange.items() if new in labels.tags}
    return _with(labels, tags=tuple(exchange.get(tag, tag) for tag in labels.tags))


def empty_frames(labels: Labels) -> Labels:
    """Let no slot go with any intent."""
    return _with(labels, frames=tuple(() for _ in labels.intents), frame_counts=())


def scale_counts(labels: Labels) -> Labels:
    """Make every set of slots but the first a million times as frequent."""
    counts = tuple(
        tuple((row[0] * (10**6 if index else 1), *row[1:]) for index, row in enumerate(rows))
        for rows in labels.frame_counts
    )
    return _with(labels, frame_counts=counts)


def _on_labels(change: Callable[[Labels], Labels]) -> Callable[[Manifest], Manifest]:
    return lambda manifest: _with(manifest, labels=change(manifest.labels))


def _golden(change: Callable[[GoldenVectors], GoldenVectors], forged: bool) -> Callable[[Subject, Path], bool]:
    def apply(_: Subject, path: Path) -> bool:
        package = open_package(path)
        vectors = change(package.golden())
        if forged:
            forge(path, package.manifest, vectors)
            return True
        save_golden(path / package.manifest.golden.path, vectors)
        reseal(path)
        return True

    return apply


def cut_golden(vectors: GoldenVectors) -> GoldenVectors:
    """Keep the first text alone."""
    rows = vectors.words(0)
    assert vectors.tolerances is not None
    return GoldenVectors(
        vectors.texts[:1],
        vectors.intent[:1],
        vectors.tags[rows],
        vectors.spans[rows],
        vectors.word_offsets[:2],
        vectors.tolerances[:1],
    )


def _loosen(vectors: GoldenVectors) -> GoldenVectors:
    return dataclasses.replace(vectors, tolerances=np.full(len(vectors), 1e30, np.float32))


def _turn_answers(vectors: GoldenVectors) -> GoldenVectors:
    return dataclasses.replace(vectors, intent=np.ascontiguousarray(np.roll(vectors.intent, 1, axis=1)))


def _flip(byte: int, bit: int, sealed: bool) -> Callable[[Subject, Path], bool]:
    """Flip a bit of one weight: in byte 0 (the lowest of its mantissa) to 3 (sign and exponent)."""

    def apply(subject: Subject, path: Path) -> bool:
        module = path / open_package(path).variant(subject.target).path
        code = bytearray(module.read_bytes())
        place = next((at for needle in subject.needles if (at := bytes(code).find(needle)) >= 0), -1)
        if place < 0:
            return False
        code[place + byte] ^= 1 << bit
        module.write_bytes(code)
        if sealed:
            _reseal_module(path)
        return True

    return apply


def _reseal_module(path: Path) -> None:
    """Write all digests anew, those of certificates too: they are no secret."""
    forge(path)
    manifest = open_package(path).manifest
    variants = [
        _with(
            variant,
            certificates=[_with(found, artifact=manifest.files[variant.path].sha256) for found in variant.certificates],
        )
        for variant in manifest.variants
    ]
    seal(path, _with(manifest, variants=variants))


def _module(name: str) -> Callable[[Subject, Path], bool]:
    """Put the module of another model in the place of the right one."""

    def apply(subject: Subject, path: Path) -> bool:
        if name not in subject.modules:
            return False
        shutil.copyfile(subject.modules[name], path / open_package(path).variant(subject.target).path)
        _reseal_module(path)
        return True

    return apply


def _rewrite_code(sealed: bool) -> Callable[[Subject, Path], bool]:
    """Change bytes in the midst of the machine code: the longest run of bytes behind the ELF file's first page."""

    def apply(subject: Subject, path: Path) -> bool:
        module = path / open_package(path).variant(subject.target).path
        code = bytearray(module.read_bytes())
        start = code.find(b"\x7fELF")
        if start < 0:
            return False
        offset = start + 0x1000
        code[offset : offset + 4096] = bytes(byte ^ 0xFF for byte in code[offset : offset + 4096])
        module.write_bytes(code)
        if sealed:
            _reseal_module(path)
        return True

    return apply


def _cut_module(_: Subject, path: Path) -> bool:
    module = path / open_package(path).manifest.variants[0].path
    module.write_bytes(module.read_bytes()[:-1000])
    return True


def _remove_golden(_: Subject, path: Path) -> bool:
    (path / open_package(path).manifest.golden.path).unlink()
    return True


def _shift_bucket(buckets: list[Bucket]) -> list[Bucket]:
    return [*buckets[:-1], _with(buckets[-1], words=buckets[-1].words + 1)]


def _without_decisions(change: Callable[[Labels], Labels]) -> Callable[[Subject, Path], bool]:
    """Change labels, and make the package one of before golden decisions."""

    def apply(_: Subject, path: Path) -> bool:
        manifest = open_package(path).manifest
        (path / str(manifest.golden.decisions)).unlink()
        golden = _with(manifest.golden, decisions=None)
        variants = [_with(variant, certificates=[]) for variant in manifest.variants]
        labels = change(manifest.labels)
        if labels == manifest.labels:
            return False
        reseal(path, _with(manifest, labels=labels, golden=golden, variants=variants))
        return True

    return apply


def _certificates(**changes: Any) -> Callable[[Subject, Path], bool]:
    def apply(_: Subject, path: Path) -> bool:
        manifest = open_package(path).manifest
        variants = [
            _with(variant, certificates=[_with(found, **changes) for found in variant.certificates])
            for variant in manifest.variants
        ]
        write_manifest(path, _with(manifest, variants=variants))
        return any(variant.certificates for variant in variants)

    return apply


_METRICS = {"exact_match": 1.0}

MUTATIONS: tuple[Mutation, ...] = (
    Mutation("a weight's byte 3, digests left", _flip(3, 7, False), (DIGEST,)),
    Mutation("a weight's byte 3, sealed", _flip(3, 7, True), (PACKAGE,)),
    Mutation("a weight's byte 2, sealed", _flip(2, 6, True), (PACKAGE,)),
    Mutation("a weight's byte 1, sealed", _flip(1, 7, True), (PACKAGE,)),
    Mutation("a weight's lowest bit, digests left", _flip(0, 0, False), (DIGEST,)),
    Mutation("a weight's lowest bit, sealed", _flip(0, 0, True), (SIGNATURE,)),
    Mutation("two intents exchanged", _edit(labels=swap_intents), (PACKAGE,)),
    Mutation("two intents exchanged, forged", _forged(_on_labels(swap_intents)), (DECISIONS,)),
    Mutation("two intents exchanged, golden decisions removed", _without_decisions(swap_intents), (DECISIONS,)),
    Mutation("two slots exchanged", _edit(labels=swap_tags), (PACKAGE,)),
    Mutation("two slots exchanged, forged", _forged(_on_labels(swap_tags)), (DECISIONS,)),
    Mutation("two slots exchanged, golden decisions removed", _without_decisions(swap_tags), (DECISIONS,)),
    Mutation("frames emptied", _edit(labels=empty_frames), (PACKAGE,)),
    Mutation("frames emptied, forged", _forged(_on_labels(empty_frames)), (DECISIONS,)),
    Mutation("counts of frames scaled", _edit(labels=scale_counts), (PACKAGE,)),
    Mutation("counts of frames scaled, forged", _forged(_on_labels(scale_counts)), (DECISIONS,)),
    Mutation("counts of frames removed", _edit(labels=lambda labels: _with(labels, frame_counts=())), (PACKAGE,)),
    Mutation("a bucket shifted", _edit(buckets=_shift_bucket), (DIGEST, PACKAGE)),
    Mutation("golden answers changed, sealed", _golden(_turn_answers, False), (PACKAGE,)),
    Mutation("golden answers changed, forged", _golden(_turn_answers, True), (PACKAGE,)),
    Mutation("golden set cut to one text, sealed", _golden(cut_golden, False), (PACKAGE,)),
    Mutation("golden set cut to one text, forged", _golden(cut_golden, True), (SIGNATURE,)),
    Mutation("golden vectors removed", _remove_golden, (DIGEST,)),
    Mutation(
        "tolerance of 1e30 in the manifest", _edit(golden=lambda golden: _with(golden, tolerance=1e30)), (PACKAGE,)
    ),
    Mutation("tolerance of 1e30 everywhere, forged", _golden(_loosen, True), (PACKAGE,)),
    Mutation("number of golden texts", _edit(golden=lambda golden: _with(golden, texts=1)), (PACKAGE,)),
    Mutation("number of golden words", _edit(golden=lambda golden: _with(golden, words=1)), (PACKAGE,)),
    Mutation("metrics falsified", _edit(model=lambda model: _with(model, metrics=_METRICS)), (PACKAGE,)),
    Mutation(
        "metrics falsified, forged",
        _forged(lambda manifest: _with(manifest, model=_with(manifest.model, metrics=_METRICS))),
        (SIGNATURE,),
    ),
    Mutation(
        "fingerprint of the data falsified", _edit(model=lambda model: _with(model, data_fingerprint="0")), (PACKAGE,)
    ),
    Mutation(
        "digest of the weights falsified, forged",
        _forged(lambda manifest: _with(manifest, model=_with(manifest.model, checkpoint="0" * 64))),
        (DIGEST,),
    ),
    Mutation("a certificate of another module", _certificates(artifact="0" * 64), (PACKAGE,)),
    Mutation("a certificate of other labels", _certificates(labels="0" * 64), (PACKAGE,)),
    Mutation("a certificate's figures falsified", _certificates(figures={"retention": 1.0}), (SIGNATURE,)),
    Mutation("code bytes changed, digests left", _rewrite_code(False), (DIGEST,)),
    Mutation("code bytes changed, sealed", _rewrite_code(True), (PACKAGE, "crash", DIGEST)),
    Mutation("module cut", _cut_module, (DIGEST,)),
    *(
        Mutation(f"{name}, sealed", _module(name), (PACKAGE,))
        for name in (
            "another model",
            "a wrong scale",
            "a dropped layer",
            "a dropped gate",
            "reversed direction",
            "one lane of a product",
            "emptied features",
            "biases of all tags raised",
        )
    ),
)
