"""The conformance file: what a host in any language has to answer for a package.

The numbers are those of the golden vectors, which PyTorch gave; the parses follow from them by
`runtime_py.decode.decoder`. ``runtime_py/ABI.md`` says how a host gets from a text to its answer, and
`runtime_py.tools.conformance_judge` compares its answers. All positions are bytes of the UTF-8 text.
"""

import base64
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from numpy.typing import NDArray

from runtime_py.bounded_files import shorten
from runtime_py.decode.decoder import Decoder, cut_text, place_run
from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.labels import Count, FrameCount, Name
from runtime_py.errors import ConformanceError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.file_entry import FileEntry
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.package_format.manifest import ABI, Bucket, Manifest
from runtime_py.package_format.package import Package

SCHEMA = "2.0"
_SCORE_TOLERANCE = 1e-3  # a probability moves by at most half the difference of two logits; a wrong softmax by far more

Offset = Annotated[int, Meta(ge=0)]
Span = tuple[Offset, Offset]


class ByteSlot(Struct, frozen=True, forbid_unknown_fields=True):
    """One slot in bytes of the text.

    Attributes:
        label: Name of the slot.
        start: First byte.
        end: Byte after the last.
    """

    label: Name
    start: Offset
    end: Offset


class Calibrated(Struct, frozen=True, forbid_unknown_fields=True):
    """What the package's calibration says of a parse; hosts may do without.

    Attributes:
        score: Probability that intent and slots are right.
        slots: For each slot, the probability that it is right.
        in_scope: Probability that the text is of the parser's kind; left out where that is not known.
    """

    score: float
    slots: list[float]
    in_scope: float | UnsetType = UNSET


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """One text that fits the package, and everything that is expected for it.

    Attributes:
        id: Index of the case, from 0.
        text: The bytes of the text in base64; they need not be valid UTF-8.
        words: Start and end byte of each word.
        intent_logits: Logits of the intents.
        tag_logits: For each word, logits of the tags.
        intent: Name of the intent of the best parse that is well-formed.
        score: Softmax probability of that intent.
        slots: The slots, from left to right.
        calibrated: What the calibration says; left out where the package has none.
    """

    id: Count
    text: str
    words: list[Span]
    intent_logits: list[float]
    tag_logits: list[list[float]]
    intent: Name
    score: Annotated[float, Meta(ge=0, le=1)]
    slots: list[ByteSlot]
    calibrated: Calibrated | UnsetType = UNSET


class LongCase(Struct, frozen=True, forbid_unknown_fields=True):
    """One text that does not fit.

    A host refuses it (``refused``), or parses its first ``prefix`` bytes and says that the text was cut.

    Attributes:
        id: Index of the case, from the number of cases that fit.
        text: The bytes of the text in base64.
        reason: ``bytes`` where the text has too many of them. ``words`` where only the program's count shows that it is
            too long: then the whole text goes in, and the words that the largest bucket holds are answered.
        prefix: Number of bytes that are read; all of them where the reason is ``words``.
    """

    id: Count
    text: str
    reason: Annotated[str, Meta(pattern="^(bytes|words)$")]
    prefix: Count


class Conformance(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The conformance file.

    Attributes:
        schema: Version of the format.
        abi: Version of the calling convention of the compiled functions.
        package: Name of the package.
        created: Time when the package was made (UTC).
        intents: Names of the intents.
        tags: Tags of words.
        frames: For each intent, the slots that it comes with, as in the manifest.
        frame_counts: For each intent, how often it came with which slots, as in the manifest.
        frame_weights: What frames and counts weigh, as in the manifest.
        buckets: Length buckets, in rising order.
        modules: Digest and size of each variant's module.
        tolerance: Largest absolute difference of a logit; everything but logits and scores has to be equal.
        score_tolerance: Largest absolute difference of a score.
        cases: Texts that fit.
        long_cases: Texts that do not fit.
    """

    schema: str = SCHEMA
    abi: int = ABI
    package: Name
    created: Name
    intents: tuple[Name, ...]
    tags: tuple[Name, ...]
    frames: tuple[tuple[Count, ...], ...]
    frame_counts: tuple[tuple[FrameCount, ...], ...]
    frame_weights: FrameWeights | UnsetType = UNSET
    buckets: list[Bucket]
    modules: dict[str, FileEntry]
    tolerance: Annotated[float, Meta(gt=0)]
    score_tolerance: Annotated[float, Meta(gt=0)]
    cases: list[Case]
    long_cases: list[LongCase]


class HostAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a host's answers.

    For a text that fits it has words, intent, slots, and, where the host has them, the numbers behind them; for a text
    that does not fit, ``refused``, or ``truncated`` and ``prefix``.

    Attributes:
        id: Index of the case.
        words: Start and end byte of each word.
        intent_logits: Logits of the intents.
        tag_logits: For each word, logits of the tags.
        intent: Name of the intent.
        score: Softmax probability of the intent.
        slots: The slots, from left to right.
        calibrated: What the calibration says, from a host that applies it.
        rejected: Whether the parse does not reach a threshold that the host was given; not judged.
        refused: Whether the host refused the text.
        truncated: Whether the host cut the text.
        prefix: Number of bytes that were read of a text that was cut.
    """

    id: Count
    words: list[Span] | None = None
    intent_logits: list[float] | None = None
    tag_logits: list[list[float]] | None = None
    intent: str | None = None
    score: float | None = None
    slots: list[ByteSlot] | None = None
    calibrated: Calibrated | None = None
    rejected: bool = False
    refused: bool = False
    truncated: bool = False
    prefix: Count | None = None


def make_conformance(package: Package) -> Conformance:
    """Write down what a host has to answer for a package.

    Raises:
        PackageError: The golden vectors are missing or damaged.
        ConformanceError: The package reads subwords.
    """
    manifest = package.manifest
    refuse_subwords(manifest)
    golden = package.golden()
    decoder = manifest.labels.decoder(manifest.calibration)
    cases = [_case(index, golden, decoder) for index in range(len(golden))]
    return Conformance(
        package=manifest.name,
        created=manifest.created,
        intents=manifest.labels.intents,
        tags=manifest.labels.tags,
        frames=manifest.labels.frames,
        frame_counts=manifest.labels.frame_counts,
        frame_weights=manifest.labels.frame_weights,
        buckets=manifest.buckets,
        modules={variant.target: manifest.files[variant.path] for variant in manifest.variants},
        tolerance=manifest.golden.tolerance,
        score_tolerance=_SCORE_TOLERANCE,
        cases=cases,
        long_cases=_long_cases(manifest.buckets[-1], len(cases)),
    )


def refuse_subwords(manifest: Manifest) -> None:
    """Refuse a package whose hosts need a tokenizer.

    Raises:
        ConformanceError: It is one.
    """
    if manifest.tokenizer is not None:
        raise ConformanceError(
            f"{manifest.name}: a package that reads subwords, for which there is no conformance file: a host needs the "
            "library tokenizers (ABI.md, section 10)."
        )


def _case(index: int, golden: GoldenVectors, decoder: Decoder) -> Case:
    raw, intent, rows = golden.texts[index], golden.intent[index], golden.words(index)
    tags, spans = golden.tags[rows], golden.spans[rows].tolist()
    best, runs = decoder.decide(intent, tags)
    calibrated: Calibrated | UnsetType = UNSET
    if decoder.calibration is not None:
        parse = decoder.parse(raw.decode("utf-8", "replace"), raw, intent, tags, golden.spans[rows])
        slots = [slot.score or 0.0 for slot in parse.slots]
        calibrated = Calibrated(parse.score, slots, UNSET if parse.in_scope is None else parse.in_scope)
    return Case(
        id=index,
        text=base64.b64encode(raw).decode(),
        words=[(start, end) for start, end in spans],
        intent_logits=_exact(intent),
        tag_logits=[_exact(row) for row in tags],
        intent=decoder.intents[best],
        score=round(1.0 / float(np.exp(intent.astype(np.float64) - float(intent[best])).sum()), 6),
        slots=[ByteSlot(run.label, *place_run(run, raw, spans)) for run in runs],
        calibrated=calibrated,
    )


def _exact(row: NDArray[np.float32]) -> list[float]:
    """Return numbers whose shortest decimal form gives back the very float32, read as a float or as a double."""
    values = [float(text) for text in row.astype(np.str_)]
    assert np.array_equal(np.array(values, np.float32), row)  # a digit lost here would be blamed on the host
    return values


def _long_cases(largest: Bucket, first: int) -> list[LongCase]:
    """Return texts that do not fit.

    They are too long by a byte, in one word, between words, in the midst of a character and of an invalid sequence; the
    last has too many words.
    """
    limit = largest.bytes
    texts = [
        b"y" * (limit + 1),
        b"turn the light on " * (limit // 18 + 1),
        b"a" * (limit - 1) + "é".encode() * 2,
        b"a" * (limit - 2) + "\U0001f600".encode(),
        b"a" * (limit - 1) + b"\xe2\x82" + b"b" * 4,
        b"a b " + b"\xff" * limit,
    ]
    cases = [(raw, "bytes", len(cut_text(raw, limit))) for raw in texts]
    many = b" ".join([b"a"] * (largest.words + 1))
    if len(many) <= limit:
        cases.append((many, "words", len(many)))
    return [
        LongCase(first + index, base64.b64encode(raw).decode(), reason, prefix)
        for index, (raw, reason, prefix) in enumerate(cases)
    ]


def encode_conformance(conformance: Conformance) -> bytes:
    """Return the file: JSON, a line for each case, so that it can be read by eye and compared by line."""
    document = msgspec.to_builtins(conformance)
    cases, longs = document.pop("cases"), document.pop("long_cases")
    head = msgspec.json.encode(document)[:-1]
    return b'%b,\n"cases": [\n%b\n],\n"long_cases": [\n%b\n]}\n' % (
        head,
        b",\n".join(map(msgspec.json.encode, cases)),
        b",\n".join(map(msgspec.json.encode, longs)),
    )


def decode_conformance(data: bytes, where: str) -> Conformance:
    """Read the file.

    Raises:
        ConformanceError: It is no such file, or of another version.
    """
    try:
        conformance = msgspec.json.decode(data, type=Conformance)
    except JSON_ERRORS as error:
        raise ConformanceError(
            f"{where}: not a conformance file ({shorten(error)}). "
            f"Write it again: pqrnn conformance PACKAGE --out {where}"
        ) from error
    if conformance.schema.split(".")[0] != SCHEMA.split(".")[0] or conformance.abi != ABI:
        raise ConformanceError(
            f"{where}: has format {conformance.schema} and ABI {conformance.abi}, expected {SCHEMA} and {ABI}. "
            "Write it again: pqrnn conformance"
        )
    return conformance


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the file, and under ``$defs/Answer`` that of a line of answers."""
    (main, _), components = msgspec.json.schema_components([Conformance, HostAnswer], ref_template="#/$defs/{name}")
    components["Answer"] = components.pop("HostAnswer") | {"title": "Answer"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"pqrnn conformance file {SCHEMA}",
        **main,
        "$defs": components,
    }


def read_answers(data: bytes, where: str) -> list[HostAnswer]:
    """Read a host's answers, one JSON object a line.

    Raises:
        ConformanceError: With the first line that is no answer.
    """
    answers = []
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            try:
                answers.append(msgspec.json.decode(line, type=HostAnswer))
            except JSON_ERRORS as error:
                raise ConformanceError(
                    f"{where}:{number}: {shorten(error)}. "
                    "A line is one JSON object; 'pqrnn conformance --schema' says of what form."
                ) from error
    return answers
