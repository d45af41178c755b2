"""The tiny module of `benchmarks.tiny_module` as a native library, built with this machine's C compiler."""

from __future__ import annotations

import dataclasses
import pickle
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from benchmarks.tiny_module import BUCKETS, FLAGS, INTENTS, TAGS, module_text, oracle, write_package
from compile.lowering.iree_compile import target_flags
from compile.native.building import build_native
from compile.native.toolchains import NativeCompiler, find_compiler
from compile.native.web import mark_of, write_npm
from compile.native.writing import Sources, prefix_of, write_native
from compile.standalone.export import compile_object
from makers.shared import share_file
from runtime_py.decode.answers import Parse, encode_text
from runtime_py.decode.calibration import Calibration, RightModel, ScopeModel, SlotModel, Threshold
from runtime_py.decode.decoder import cut_text
from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.labels import Labels
from runtime_py.native.manifest import LibraryFile, NativeManifest, NativeVariant, read_manifest, write_manifest
from runtime_py.package_format.manifest import NativeLibrary
from runtime_py.package_format.package import new_package, open_package, seal
from targets import registry

# Frames and counts, so that the search has something to weigh; a name that C might take for something else.
LABELS = Labels(
    ("alarm", "music", 'say "hi" \\ ??/', "timer", "none"),
    TAGS,
    ((0, 1), (0,), (1,), (0, 1), ()),
    (((3, 0), (2, 0, 1)), ((4, 0),), ((1, 1), (2,)), ((1, 0, 0),), ((5,),)),
    FrameWeights(),
)
# All of what a calibration may have; sharp enough that scores differ from text to text.
CALIBRATION = Calibration(
    temperature=0.8,
    right=RightModel(intent=0.7, tags=0.4, bias=1.5),
    slots=SlotModel(tags=0.6, bias=0.25),
    scope=ScopeModel(summary=(0.3, 0.1, 0.2, -0.2, -0.4, 0.5, 0.3), intents=(0.5, -0.25, 0.1, 0.3, -0.6), bias=0.6),
    knots=((0.05, 0.01), (0.4, 0.3), (0.7, 0.75), (0.99, 0.98)),
    recommended=Threshold(of="in_scope", least=0.6, kept=0.96),
    error=0.01,
    error_before=0.1,
)
NAME = "tiny-one"
assert len(INTENTS) == len(LABELS.intents)


def expect(text: str | bytes, calibration: Calibration | None = None, alternatives: int = 0) -> Parse:
    """What Python decides with the oracle's logits, reading what fits."""
    shown, raw = encode_text(text)
    last = BUCKETS[-1]
    read = cut_text(raw, last.bytes)
    words = oracle(read, 64)[3]
    first = next((b for b in BUCKETS if len(read) <= b.bytes and words <= b.words and len(read) == len(raw)), last)
    intent, tags, spans, count = oracle(read, first.words)
    decoder = LABELS.decoder(calibration)
    return decoder.parse(shown, raw, intent, tags, spans, len(read) < len(raw) or count > first.words, alternatives)


def compiler() -> NativeCompiler:
    """This machine's C compiler, whatever else is installed."""
    cc = shutil.which("cc") or "cc"
    return NativeCompiler("cc", (cc,), ("ar",), ".so", "linux")


def write_tiny(
    folder: Path,
    name: str = NAME,
    target: str = "",
    features: Sequence[str] = (),
    calibration: Calibration | None = None,
) -> tuple[Sources, Path]:
    """Write the C of the tiny module; return it and the object file of its kernels.

    Args:
        folder: Folder to write.
        name: Name of the parser.
        target: Target of the kernels; by default any processor of this architecture.
        features: Features that the kernels are said to need.
        calibration: What turns logits into probabilities.
    """
    known = registry()
    chosen = known.get(target) if target else None
    flags = FLAGS if chosen is None else target_flags(chosen, known.family(chosen))
    triple = f"{platform.machine()}-linux" if chosen is None else chosen.triple
    prefix = prefix_of(name)

    def make(path: Path) -> None:
        (path.parent / "module.mlir").write_text(module_text(), encoding="utf-8")
        found = compile_object(path.parent / "module.mlir", path.parent / "kernels.o", flags, BUCKETS, name=prefix)
        path.write_bytes(pickle.dumps((found, (path.parent / "kernels.o").read_bytes())))

    shared = share_file("native.pickle", (prefix, target, module_text()), make)
    found, kernels = pickle.loads(shared.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernels.o").write_bytes(kernels)
    sources = write_native(
        folder, found.schedule, found.weights, BUCKETS, LABELS, found.query, name, triple, features, calibration
    )
    return sources, folder / "kernels.o"


def build_tiny(
    folder: Path, scratch: Path, features: Sequence[str] = (), calibration: Calibration | None = None
) -> Path:
    """Build a folder as `pqrnn native` does, for this machine."""
    written = write_tiny(scratch, features=features, calibration=calibration)
    variant = _build(folder, *written, compiler(), "host", f"{platform.machine()}-unknown-linux-gnu")
    write_manifest(folder, NativeManifest(NAME, written[0].prefix, (variant,)))
    return folder


def build_web(folder: Path, scratch: Path, calibration: Calibration | None = None) -> Path:
    """Build a folder as `pqrnn native -t webassembly` does; needs zig."""
    plain = registry().get("webassembly")
    variants = []
    for target in (plain, registry().get(plain.faster)):
        sources, kernels = write_tiny(scratch / target.id, target=target.id, calibration=calibration)
        variant = _build(folder, sources, kernels, find_compiler(target), plain.id, target.triple, mark_of(target))
        variants.append(dataclasses.replace(variant, target=target.id, features=target.features))
        write_npm(folder / plain.id, sources, NAME)
    write_manifest(folder, NativeManifest(NAME, sources.prefix, tuple(variants)))
    return folder


def _build(
    folder: Path, sources: Sources, kernels: Path, chosen: NativeCompiler, target: str, triple: str, mark: str = ""
) -> NativeVariant:
    (folder / target).mkdir(parents=True, exist_ok=True)
    built = build_native(sources, kernels, chosen, folder / target, mark=mark)
    files = {path.relative_to(folder).as_posix(): LibraryFile.of(path) for path in built.files}
    assert built.shared is not None
    shutil.copyfile(sources.header, folder / sources.header.name)
    library = built.shared.relative_to(folder).as_posix()
    last = BUCKETS[-1]
    return NativeVariant(target, triple, (), library, files, last.words, last.bytes, 0, 0, "this machine", None)


def build_package(destination: Path, scratch: Path, code: bytes, **changes: object) -> Path:
    """Write a package as `pqrnn compile --native` does, with the tiny module and the tiny library for this machine.

    Args:
        destination: The package.
        scratch: Folder for what is built.
        code: The compiled module.
        changes: Fields of the description of the library that are to be others.
    """
    folder = build_tiny(scratch / "library", scratch / "sources")
    (built,) = read_manifest(folder).variants
    write_package(scratch / "plain.pqrnn", code)
    before = open_package(scratch / "plain.pqrnn")
    library = NativeLibrary(
        target="generic",
        triple=built.triple,
        features=[],
        path="native/generic/libtiny_one.so",
        prefix="tiny_one",
        memory=0,
        weights=0,
        parity=None,
        unverified_reason="a test",
    )
    with new_package(destination) as directory:
        shutil.copytree(before.path, directory, dirs_exist_ok=True)
        (directory / library.path).parent.mkdir(parents=True)
        shutil.copyfile(folder / str(built.library), directory / library.path)
        manifest = structs.replace(before.manifest, labels=LABELS, libraries=[structs.replace(library, **changes)])
        seal(directory, manifest)
    return destination


__all__ = [
    "BUCKETS",
    "CALIBRATION",
    "LABELS",
    "NAME",
    "build_package",
    "build_tiny",
    "build_web",
    "compiler",
    "expect",
    "write_tiny",
]
