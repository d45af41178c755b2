"""The manifest of a package, schema 1.8: what a reader has to know before it loads code.

A package is a directory ``NAME.pqrnn`` with ``manifest.json``, one compiled module per variant and the golden
vectors. The format version (``schema``) is apart from the version of the project: another major version is refused, a
newer minor version too, because its unknown fields could change the meaning of the known ones; an older minor version
is read.
"""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from runtime_py.decode.calibration import Calibration
from runtime_py.decode.labels import Count, Labels, Name
from runtime_py.package_format.file_entry import END, FileEntry, Text
from runtime_py.package_format.manifest_bytes import MANIFEST_NAME, SCHEMA
from runtime_py.package_format.proofs import Certificate, Parity

ABI = 1
SIGNATURES = "signatures"  # folder of the detached signatures of a package
CERTIFICATES_NAME = "certificates.json"  # certificates that were added after a package was made
NOT_LISTED = (MANIFEST_NAME, CERTIFICATES_NAME, SIGNATURES)  # of a package; no manifest lists them, nor what is in them
ANY = "any"  # as triple and cpu: the code is for no processor in particular
VULKAN = "vulkan"  # as device
NATIVE = "native"  # as device: a library of its own, without a runtime

PART = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"  # of the name of a file or a target
# Bounds of what a manifest may say: far above anything that is made, and small enough to be believed.
MOST_WORDS, MOST_BYTES = 16_384, 1 << 20  # of a length bucket
MOST_BATCH = 1024
MOST_INPUT = 16 << 20  # bytes of the inputs of all functions together, which are allocated when a package is loaded
_MOST_BUCKETS, _MOST_VARIANTS, _MOST_FILES, _MOST_FLAGS = 64, 1024, 16_384, 1024
_MOST_BUDGETS = 32
_LARGEST_ID = (1 << 31) - 1

Seconds = Annotated[float, Meta(ge=0, le=1e10)]
Texts = Annotated[int, Meta(ge=1, le=1 << 24)]
Words = Annotated[int, Meta(ge=0, le=1 << 28)]
TokenId = Annotated[int, Meta(ge=0, le=_LARGEST_ID)]
Features = Annotated[
    list[Annotated[str, Meta(max_length=200, pattern=rf"^[a-z0-9][a-z0-9._-]*{END}")]], Meta(max_length=_MOST_FLAGS)
]
Entry = Annotated[str, Meta(max_length=200, pattern=rf"^[A-Za-z_][A-Za-z0-9_]*{END}")]


class Producer(Struct, frozen=True, forbid_unknown_fields=True):
    """Versions of what made the package, as their distributions call them (``3.13.0``).

    Attributes:
        pqrnn: Version of this project.
        iree_compiler: Version of iree-base-compiler.
        iree_turbine: Version of iree-turbine, which imports the exported program.
        torch: Version of PyTorch.
    """

    pqrnn: Name
    iree_compiler: Name
    iree_turbine: Name
    torch: Name


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts of the trained model: its size, its configuration, and where it comes from.

    Attributes:
        parameters: Number of trained numbers in the model as shipped.
        precision: Precision of the weights: ``int8`` or ``float32``.
        config: Configuration of the network.
        revision: Git commit of the code that trained it; "+" after it where the tree had changes.
        data_fingerprint: SHA-256 of the training data.
        metrics: Scores on the development split, as fractions of 1.
        checkpoint: SHA-256 of the weights that were compiled; empty before schema 1.5.
    """

    parameters: Annotated[int, Meta(ge=0, le=1 << 48)]
    precision: Name
    config: dict[str, Any]
    revision: Text = ""
    data_fingerprint: Text = ""
    metrics: dict[str, Any] = {}
    checkpoint: Text = ""

    @property
    def weight_bits(self) -> int:
        """How many bits a weight of a matrix has: 32, 8 or 4; what else a manifest says of integers counts as 8."""
        if self.precision != "int8":
            return 32
        return 4 if self.config.get("weight_bits") == 4 else 8

    @property
    def described_precision(self) -> str:
        """The precision, and how many bits a weight has where it has fewer, for people."""
        return f"{self.precision}, weights of 4 bits" if self.weight_bits == 4 else self.precision


class Tokenizer(Struct, frozen=True, forbid_unknown_fields=True):
    """How words are cut into the subwords that a package with a pre-trained encoder reads (schema 1.5).

    Words are found by the compiled program; the library ``tokenizers`` cuts each of them, with a space before it.

    Attributes:
        path: Name of the file that the library reads.
        unknown: Id of a word that is cut into nothing.
        padding: Id that fills up the rest of a bucket.
        first: Id before the words; null for none.
        last: Id after the words; null for none.
    """

    path: Name
    unknown: TokenId
    padding: TokenId
    first: TokenId | None = None
    last: TokenId | None = None


class Bucket(Struct, frozen=True, forbid_unknown_fields=True):
    """One length bucket, which one compiled function serves.

    Attributes:
        words: Largest number of words of a text.
        bytes: Largest number of bytes of its UTF-8; a multiple of 4.
        entry: Name of the function.
    """

    words: Annotated[int, Meta(ge=1, le=MOST_WORDS)]
    bytes: Annotated[int, Meta(ge=4, le=MOST_BYTES, multiple_of=4)]
    entry: Entry

    @property
    def batched(self) -> str:
        """Name of the function for several texts at once, in packages that have them."""
        return f"{self.entry}_batch"

    def of_part(self, name: str) -> "Bucket":
        """Return the bucket with the function that a part of the network serves it by."""
        return Bucket(self.words, self.bytes, f"{self.entry}_{name}")


class Golden(Struct, frozen=True, forbid_unknown_fields=True):
    """The self-test vectors, and how far a logit may be from them on any device; integers have to be equal.

    Attributes:
        path: Name of the file with the vectors.
        texts: Number of texts.
        words: Number of words in all of them.
        tolerance: Largest absolute difference of a logit of any text, derived at compile time from the error of
            PyTorch's own float32 against float64. From schema 1.5 on, the vectors hold a bound for each text.
        basis: How the tolerance was derived.
        decisions: Name of the file that says what each text means (`runtime_py.package_format.decisions`); null before
            schema 1.5.
    """

    path: Name
    texts: Texts
    words: Words
    tolerance: Annotated[float, Meta(gt=0)]
    basis: Text = ""
    decisions: Name | None = None


class Budget(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One part of the network, which answers with less work by functions of its own (schema 1.8).

    The function of a bucket is ``<entry>_<name>``, for several texts ``<entry>_<name>_batch``; those of the whole
    network are the buckets' own. All share the weights of one module.

    Attributes:
        name: Name of the part.
        macs: Multiplications of the matrix products for a text, as a mean over the training texts in their buckets.
        share: The same as a share of the whole network's.
        exact_match: Exact match on the development split, as a fraction of 1.
        kept: Percent of a text's words that each layer passes on.
        skipped: Layers that are left out, counted from 0.
        golden: Its self-test vectors; null for the whole network, whose are those of the manifest.
    """

    name: Annotated[str, Meta(max_length=64, pattern=rf"^[a-z][a-z0-9_]*{END}")]
    macs: Annotated[int, Meta(ge=1, le=1 << 60)]
    share: Annotated[float, Meta(gt=0.0, le=1.0)]
    exact_match: Annotated[float, Meta(ge=0.0, le=1.0)]
    kept: Annotated[list[Annotated[int, Meta(ge=1, le=100)]], Meta(max_length=64)]
    skipped: Annotated[list[Annotated[int, Meta(ge=0, le=63)]], Meta(max_length=64)] = []
    golden: Golden | None = None


class VulkanNeeds(Struct, frozen=True, forbid_unknown_fields=True):
    """The needs of compiled code of a Vulkan device, beside Vulkan 1.3.

    The runtime checks none of this: wrong code gives wrong numbers in silence.

    Attributes:
        subgroup: Number of lanes that the code was compiled for; 0 where any will do.
        int64: Whether the code may use 64-bit integers.
        features: Further device features by Vulkan's own names (``shaderInt8``, ``storageBuffer8BitAccess``).
    """

    subgroup: Annotated[int, Meta(ge=0, le=4096)] = 0
    int64: bool = False
    features: Annotated[
        list[Annotated[str, Meta(max_length=200, pattern=rf"^[A-Za-z][A-Za-z0-9]*{END}")]],
        Meta(max_length=_MOST_FLAGS),
    ] = []


class Variant(Struct, frozen=True, forbid_unknown_fields=True):
    """One compiled module: what it needs from a machine, how it was made, and the proof that it answers right.

    Attributes:
        target: Name of the target that it was compiled for.
        device: The runtime's device that runs it: ``local-sync``, ``local-task`` or ``vulkan``.
        triple: LLVM's target triple; ``any`` for code that is for no processor in particular.
        cpu: LLVM's name of the processor; ``any`` for code that is for no processor in particular.
        features: CPU features in LLVM's spelling without a plus sign (``avx2``, ``dotprod``).
        path: Name of the file with the module.
        flags: Flags of the compiler.
        compile_seconds: Time that the compiler took.
        parity: Outcome of the replay that proves it; null for code that nobody has run yet.
        unverified_reason: Why nobody has run it.
        vulkan: What it needs of a Vulkan device; null for other devices.
        dispatches: Number of launches of generated code in all entries together; null where it was not counted.
        development: Whether it is code for the very machine that compiled it, which is not to be shipped.
        certificates: What was measured of it, on which machines; none before schema 1.5.
    """

    target: Annotated[str, Meta(max_length=200, pattern=rf"^{PART}{END}")]
    device: Name
    triple: Name
    cpu: Name
    features: Features
    path: Name
    flags: Annotated[list[Text], Meta(max_length=_MOST_FLAGS)]
    compile_seconds: Seconds
    parity: Parity | None
    unverified_reason: Text | None = None
    vulkan: VulkanNeeds | None = None
    dispatches: Annotated[int, Meta(ge=0, le=1 << 24)] | None = None
    development: bool = False
    certificates: Annotated[list[Certificate], Meta(max_length=_MOST_FLAGS)] = []


class NativeLibrary(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A library that is the whole parser for one processor, weights and labels included (schema 1.8).

    It needs no runtime, and is used instead of a compiled module where it runs (`runtime_py.engines`).

    Attributes:
        target: Name of the target; a variant of the same name is for the same processor.
        triple: LLVM's target triple, with the system whose libraries it is loaded by.
        features: CPU features in LLVM's spelling without a plus sign, which it asks the processor for.
        path: Name of the file.
        prefix: Prefix of its public functions (`compile.native.header`).
        memory: Bytes that an open parser works in.
        weights: Bytes of the weights in it.
        parity: Outcome of the replay that proves it; null for code that nobody has run yet.
        unverified_reason: Why nobody has run it.
        development: Whether it is code for the very machine that compiled it, which is not to be shipped.
        certificates: What was measured of it, on which machines.
    """

    target: Annotated[str, Meta(max_length=200, pattern=rf"^{PART}{END}")]
    triple: Name
    features: Features
    path: Name
    prefix: Entry
    memory: Count
    weights: Count
    parity: Parity | None
    unverified_reason: Text | None = None
    development: bool = False
    certificates: Annotated[list[Certificate], Meta(max_length=_MOST_FLAGS)] = []

    @property
    def device(self) -> str:
        """What runs it."""
        return NATIVE


Code = TypeVar("Code", Variant, NativeLibrary)  # what a package has for a target


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a reader has to know before it loads code.

    Attributes:
        schema: Version of the format, ``major.minor``.
        abi: Version of the calling convention of the compiled functions.
        digest: SHA-256 of the file's bytes, in which these 64 digits are zeros; empty before schema 1.6. Files are
            bound to it by their own digests, so that it stands for the whole package.
        name: Name of the package, for people.
        created: Time when it was made (UTC).
        producer: Versions of what made it.
        model: Facts of the trained model.
        labels: Names behind the logits.
        buckets: Length buckets, in rising order.
        variants: Compiled modules, one for each target.
        golden: The self-test vectors.
        files: Digest and size of every file but the manifest, by name.
        batch: Number of texts that one call of the functions ``<entry>_batch`` takes, which every bucket then has; 1
            if there are no such functions.
        tokenizer: How words become subwords; null where the compiled functions read bytes, as they usually do. With
            it, the words of a bucket are the subwords that it holds, and its functions are those of ABI.md's section
            on subwords.
        calibration: What turns logits into probabilities; null where none was fitted, as before schema 1.7: a score is
            then the softmax probability of the intent.
        libraries: Native libraries, at most one for each target; none before schema 1.8.
        budgets: Parts of the network with functions of their own, by rising cost, the whole network last; empty where
            there is only that, as before schema 1.8.
    """

    schema: str = SCHEMA
    abi: int = ABI
    digest: Annotated[str, Meta(pattern=rf"^([0-9a-f]{{64}})?{END}")] = ""
    name: Name
    created: Name
    producer: Producer
    model: Model
    labels: Labels
    buckets: Annotated[list[Bucket], Meta(min_length=1, max_length=_MOST_BUCKETS)]
    variants: Annotated[list[Variant], Meta(max_length=_MOST_VARIANTS)]
    golden: Golden
    files: Annotated[dict[str, FileEntry], Meta(max_length=_MOST_FILES)]
    batch: Annotated[int, Meta(ge=1, le=MOST_BATCH)] = 1
    tokenizer: Tokenizer | None = None
    calibration: Calibration | None = None
    libraries: Annotated[list[NativeLibrary], Meta(max_length=_MOST_VARIANTS)] = []
    budgets: Annotated[list[Budget], Meta(max_length=_MOST_BUDGETS)] = []


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the manifest, for readers in other languages."""
    schema = msgspec.json.schema(Manifest)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"pqrnn package manifest {SCHEMA}",
        **schema,
    }
