"""`answerer.json`: what a package that answers questions has to say before its code is loaded.

It stands in the place of a parser's `manifest.json`, shares its descriptions of variants, files and producers, and is
as strict: unknown fields, unsafe names and contradictions are refused.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from runtime_py.bounded_files import check_extent, is_deeper, read_bounded, shorten
from runtime_py.decode.labels import Name
from runtime_py.errors import PackageError, SchemaError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.file_entry import END, FileEntry
from runtime_py.package_format.manifest import Model, Producer, Seconds, Texts, Variant
from runtime_py.package_format.manifest_bytes import ANSWERER, MANIFEST_NAME, is_file
from runtime_py.package_format.manifest_codec import check_relative_name
from runtime_py.questions.pairs import PairLayout

SCHEMA = 1
GOLDEN = "golden/questions.json"
_LARGEST = 16 << 20
_DEEPEST = 32
_Share = Annotated[float, Meta(ge=0.0, le=1.0)]
_Position = Annotated[int, Meta(ge=0, lt=1 << 31)]


class Proof(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the compiled code answered the golden questions.

    Attributes:
        questions: Answers that were compared with PyTorch's, over all parts of the network.
        flips: Those that differ.
        undecided: Answers that were left out: float32 and float64 differ in PyTorch itself, or a part chose on a close
            call which subwords go on.
        largest: Largest difference of a logit of the whole network from PyTorch's float32.
        tolerance: What it may be.
        machine: Machine that ran the code.
        seconds: Time that took.
    """

    questions: Texts
    flips: Annotated[int, Meta(ge=0)]
    undecided: Annotated[int, Meta(ge=0)]
    largest: Annotated[float, Meta(ge=0)]
    tolerance: Annotated[float, Meta(gt=0)]
    machine: Name
    seconds: Seconds

    @property
    def passed(self) -> bool:
        """Whether the code answers as PyTorch does."""
        return not self.flips and self.largest <= self.tolerance


class ProvedCode(Struct, frozen=True, forbid_unknown_fields=True):
    """A compiled module.

    Attributes:
        code: What it needs and how it was made; its reason says why nobody has run it, where nobody has.
        proof: How it answered; null for code that nobody has run yet.
    """

    code: Variant
    proof: Proof | None = None


class PartOfNetwork(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the network, with functions of its own.

    Attributes:
        name: Name of the part, "whole" for all of it.
        macs: Multiplications of the matrix products for a window, as a mean over the questions it was measured on.
        share: The same as a share of the whole network's.
        exact_match: Exact match, as a fraction of 1.
        f1: F1, as a fraction of 1.
        kept: Percent of a window's subwords that each layer passes on.
        skipped: Layers that are left out, counted from 0.
    """

    name: Annotated[str, Meta(max_length=64, pattern=rf"^[a-z][a-z0-9_]*{END}")]
    macs: Annotated[int, Meta(ge=1, le=1 << 60)]
    share: Annotated[float, Meta(gt=0.0, le=1.0)]
    exact_match: _Share
    f1: _Share
    kept: Annotated[list[Annotated[int, Meta(ge=1, le=100)]], Meta(max_length=64)]
    skipped: Annotated[list[Annotated[int, Meta(ge=0, le=63)]], Meta(max_length=64)] = []


class GoldenAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """A question that the package can check itself with, and PyTorch's answer by the whole network.

    Attributes:
        question: The question.
        context: The context.
        start: First code point of the answer.
        end: The code point after its last one.
    """

    question: str
    context: str
    start: _Position
    end: _Position


class AnswererManifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a reader has to know before it loads code.

    Attributes:
        schema: Version of this format.
        name: Name of the package, for people.
        created: Time when it was made (UTC).
        producer: Versions of what made it.
        model: Facts of the trained model.
        layout: How question and context are put together.
        tokenizer: Name of the file that the library ``tokenizers`` reads.
        windows: Subwords of the windows that there are functions for, in rising order.
        parts: Parts of the network, by rising cost, the whole one last; only that where none were searched.
        variants: Compiled modules, one for each target.
        golden: Name of the file with golden questions.
        files: Digest and size of every file but this one, by name.
    """

    schema: int = SCHEMA
    name: Name
    created: Name
    producer: Producer
    model: Model
    layout: PairLayout
    tokenizer: Name
    windows: Annotated[list[Annotated[int, Meta(ge=4, le=1 << 14)]], Meta(min_length=1, max_length=64)]
    parts: Annotated[list[PartOfNetwork], Meta(min_length=1, max_length=32)]
    variants: Annotated[list[ProvedCode], Meta(max_length=1024)]
    golden: Name
    files: Annotated[dict[str, FileEntry], Meta(max_length=16_384)]


def entry_name(part: int, parts: int, window: int, names: list[str]) -> str:
    """Return the name of a function: ``answer_384`` of the whole network, ``answer_384_NAME`` of a part."""
    return f"answer_{window}" if part == parts - 1 else f"answer_{window}_{names[part]}"


def check_answerer(manifest: AnswererManifest, where: str = ANSWERER) -> None:
    """Check what types cannot say.

    Raises:
        SchemaError: With the first contradiction.
    """
    if manifest.windows != sorted(set(manifest.windows)) or manifest.windows[-1] != manifest.layout.longest:
        raise SchemaError(f"{where}: windows {manifest.windows}: expected growing numbers up to the layout's longest.")
    if is_deeper([manifest.model.config, manifest.model.metrics], _DEEPEST):
        raise SchemaError(f"{where}: is nested more than {_DEEPEST} deep. Compile the package again.")
    costs = [part.macs for part in manifest.parts]
    names = [part.name for part in manifest.parts]
    if costs != sorted(set(costs)) or len(set(names)) != len(names):
        raise SchemaError(f"{where}: parts have to grow in MACs and to have names of their own.")
    _check_variants(manifest, where)
    for name in manifest.files:
        check_relative_name(name, where)
    for name in (manifest.tokenizer, manifest.golden, *(variant.code.path for variant in manifest.variants)):
        if name not in manifest.files:
            raise SchemaError(f"{where}: refers to {shorten(name)!r}, which is not listed under files.")


def _check_variants(manifest: AnswererManifest, where: str) -> None:
    targets = [variant.code.target for variant in manifest.variants]
    if len(set(targets)) != len(targets):
        raise SchemaError(f"{where}: a variant appears twice.")
    for variant in manifest.variants:
        if variant.proof is None and not variant.code.unverified_reason:
            raise SchemaError(f"{where}: variant {variant.code.target} has neither a proof nor an unverified_reason.")
        if variant.code.vulkan is not None:
            raise SchemaError(f"{where}: variant {variant.code.target} is for a GPU, which these packages have not.")


def read_answerer_manifest(folder: Path) -> AnswererManifest:
    """Read the manifest of a package.

    Raises:
        PackageError: There is none, or it cannot be read.
        SchemaError: It is damaged, of another version, or contradicts itself.
    """
    path = folder / ANSWERER
    if not is_file(str(path)):
        if is_file(str(folder / MANIFEST_NAME)):
            raise PackageError(f"{folder}: is a parser, which answers no questions. Use it with `pqrnn parse`.")
        what = "is no package that answers questions" if folder.exists() else "does not exist"
        raise PackageError(f"{folder}: {what}. `pqrnn compile` makes one of what `pqrnn finetune-questions` trained.")
    try:
        data = read_bounded(path, _LARGEST)
        manifest = msgspec.json.decode(check_extent(data), type=AnswererManifest)
    except OSError as error:
        raise PackageError(f"{path}: cannot be read ({error.strerror}).") from error
    except (*JSON_ERRORS, ValueError) as error:
        raise SchemaError(f"{path}: {shorten(error)}. Compile the package again.") from error
    if manifest.schema != SCHEMA:
        raise SchemaError(f"{path}: schema {manifest.schema}, this runtime reads {SCHEMA}. Compile the package again.")
    check_answerer(manifest, str(path))
    return manifest
