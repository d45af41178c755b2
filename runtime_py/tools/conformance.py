"""The conformance file: what a host in any language has to answer for a package, and a judge of its answers.

The numbers are those of the golden vectors, which PyTorch gave; the parses follow from them by
`runtime_py.decode.decoder`. ``ABI.md`` beside this file says how a host gets from a text to its answer. All positions
are bytes of the UTF-8 text.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from runtime_py.decode.decoder import Decoder, cut_text, place_run
from runtime_py.decode.labels import Count, FrameCount, Name
from runtime_py.errors import ConformanceError
from runtime_py.package_format.file_entry import FileEntry
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.package_format.manifest import ABI, Bucket
from runtime_py.package_format.package import Package

SCHEMA = "2.0"
_SHOWN = 5  # differences that a summary names
_SCORE_TOLERANCE = 1e-3  # a probability moves by at most half the difference of two logits; a wrong softmax by far more

Offset = Annotated[int, Meta(ge=0)]
Span = tuple[Offset, Offset]


class ByteSlot(Struct, frozen=True, forbid_unknown_fields=True):
    """One slot: bytes ``start`` to ``end`` (exclusive) of the text."""

    label: Name
    start: Offset
    end: Offset


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """One text that fits the package, and everything that is expected for it.

    Attributes:
        id: Number of the case, from 0.
        text: The bytes in base64; they need not be valid UTF-8.
        words: Start and end byte of each word.
        intent_logits: One for each intent.
        tag_logits: For each word, one for each tag.
        intent: Name of the intent of the best parse that makes sense.
        score: Its softmax probability.
        slots: From left to right.
    """

    id: Count
    text: str
    words: list[Span]
    intent_logits: list[float]
    tag_logits: list[list[float]]
    intent: Name
    score: Annotated[float, Meta(ge=0, le=1)]
    slots: list[ByteSlot]


class LongCase(Struct, frozen=True, forbid_unknown_fields=True):
    """One text that does not fit:

    a host refuses it (``refused``), or parses its first ``prefix`` bytes and says that the text was cut.

    ``reason`` is ``bytes`` where the text has too many of them, and ``words`` where only the program's count shows that
    it is too long: then the whole text goes in, the first ``words`` words are answered, and ``prefix`` is the whole
    length.
    """

    id: Count
    text: str
    reason: Annotated[str, Meta(pattern="^(bytes|words)$")]
    prefix: Count


class Conformance(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file. ``tolerance`` is the largest absolute difference of a logit; everything else has to be equal."""

    schema: str = SCHEMA
    abi: int = ABI
    package: Name
    created: Name
    intents: tuple[Name, ...]
    tags: tuple[Name, ...]
    frames: tuple[tuple[Count, ...], ...]
    frame_counts: tuple[tuple[FrameCount, ...], ...]
    buckets: list[Bucket]
    modules: dict[str, FileEntry]
    tolerance: Annotated[float, Meta(gt=0)]
    score_tolerance: Annotated[float, Meta(gt=0)]
    cases: list[Case]
    long_cases: list[LongCase]


class ConformanceCase(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a host's answers.

    For a text that fits: words, intent, slots, and, where the host has them, the numbers behind them.

    For a text that does not fit: ``refused``, or ``truncated`` with the number of bytes that were read.
    """

    id: Count
    words: list[Span] | None = None
    intent_logits: list[float] | None = None
    tag_logits: list[list[float]] | None = None
    intent: str | None = None
    score: float | None = None
    slots: list[ByteSlot] | None = None
    refused: bool = False
    truncated: bool = False
    prefix: Count | None = None


class Difference(Struct, frozen=True):
    """One thing that a host answered otherwise, or not at all."""

    id: int
    what: str
    expected: str
    found: str


class Verdict(Struct, frozen=True):
    """What a judge found.

    Attributes:
        passed: Whether every case was answered and nothing differs.
        cases: Texts in the file, long ones included.
        answered: Of these, those that were answered.
        with_logits: Cases whose logits were given and compared; the decisions are compared in any case.
        largest_difference: Of a logit.
        tolerance: Allowed for it.
        failures: How many differences of each kind.
        first: The first differences, by number of the case.
    """

    passed: bool
    cases: int
    answered: int
    with_logits: int
    largest_difference: float
    tolerance: float
    failures: dict[str, int]
    first: list[Difference]


def make_conformance(package: Package) -> Conformance:
    """Write down what a host has to answer for a package.

    Raises:
        PackageError: The golden vectors are missing or damaged.
    """
    manifest = package.manifest
    golden = package.golden()
    decoder = manifest.labels.decoder()
    cases = [_case(index, golden, decoder) for index in range(len(golden))]
    return Conformance(
        package=manifest.name,
        created=manifest.created,
        intents=manifest.labels.intents,
        tags=manifest.labels.tags,
        frames=manifest.labels.frames,
        frame_counts=manifest.labels.frame_counts,
        buckets=manifest.buckets,
        modules={variant.target: manifest.files[variant.path] for variant in manifest.variants},
        tolerance=manifest.golden.tolerance,
        score_tolerance=_SCORE_TOLERANCE,
        cases=cases,
        long_cases=_long_cases(manifest.buckets[-1], len(cases)),
    )


def _case(index: int, golden: GoldenVectors, decoder: Decoder) -> Case:
    raw, intent, rows = golden.texts[index], golden.intent[index], golden.words(index)
    tags, spans = golden.tags[rows], golden.spans[rows].tolist()
    best, runs = decoder.decide(intent, tags)
    return Case(
        id=index,
        text=base64.b64encode(raw).decode(),
        words=[(start, end) for start, end in spans],
        intent_logits=_exact(intent),
        tag_logits=[_exact(row) for row in tags],
        intent=decoder.intents[best],
        score=round(1.0 / float(np.exp(intent.astype(np.float64) - float(intent[best])).sum()), 6),
        slots=[ByteSlot(run.label, *place_run(run, raw, spans)) for run in runs],
    )


def _exact(row: NDArray[np.float32]) -> list[float]:
    """Return numbers whose shortest decimal form gives back the very float32, whether it is read as a float or as a
    double.
    """
    values = [float(text) for text in row.astype(np.str_)]
    assert np.array_equal(np.array(values, np.float32), row)  # a digit lost here would be blamed on the host
    return values


def _long_cases(largest: Bucket, first: int) -> list[LongCase]:
    """Texts that are too long by a byte, in one word, between words, in the midst of a character and of an invalid
    sequence; and one of too many words.
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
        found = msgspec.json.decode(data, type=Conformance)
    except msgspec.DecodeError as error:
        raise ConformanceError(
            f"{where}: not a conformance file ({error}). Write it again: pqrnn conformance PACKAGE --out {where}"
        ) from error
    if found.schema.split(".")[0] != SCHEMA.split(".")[0] or found.abi != ABI:
        raise ConformanceError(
            f"{where}: has format {found.schema} and ABI {found.abi}, expected {SCHEMA} and {ABI}. Write it again: pqrnn conformance"
        )
    return found


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the file, and under ``$defs/ConformanceCase`` that of a line of answers."""
    (main, _), components = msgspec.json.schema_components(
        [Conformance, ConformanceCase], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"pqrnn conformance file {SCHEMA}",
        **main,
        "$defs": components,
    }


def read_answers(data: bytes, where: str) -> list[ConformanceCase]:
    """Read a host's answers, one JSON object a line.

    Raises:
        ConformanceError: With the first line that is no answer.
    """
    answers = []
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            try:
                answers.append(msgspec.json.decode(line, type=ConformanceCase))
            except msgspec.DecodeError as error:
                raise ConformanceError(
                    f"{where}:{number}: {error}. A line is one JSON object; 'pqrnn conformance --schema' says of what form."
                ) from error
    return answers


@dataclass(slots=True)
class _Judge:
    """Collects differences."""

    found: list[Difference] = field(default_factory=list)
    largest: float = 0.0
    with_logits: int = 0

    def expect(self, number: int, what: str, expected: object, found: object) -> None:
        if expected != found:
            self.found.append(Difference(number, what, _short(expected), _short(found)))

    def judge(self, case: Case, answer: ConformanceCase, conformance: Conformance) -> None:
        if answer.refused or answer.truncated:
            self.expect(
                case.id, "refused or cut, though it fits", "an answer", "refused" if answer.refused else "truncated"
            )
            return
        self.expect(case.id, "words", case.words, answer.words)
        self.expect(case.id, "intent", case.intent, answer.intent)
        self.expect(case.id, "slots", _slots(case.slots), _slots(answer.slots))
        if answer.score is not None and not abs(answer.score - case.score) <= conformance.score_tolerance:
            self.found.append(Difference(case.id, "score", _short(case.score), _short(answer.score)))
        pairs = [
            (case.intent_logits, answer.intent_logits, "intent logits"),
            (case.tag_logits, answer.tag_logits, "tag logits"),
        ]
        self.with_logits += all(given is not None for _, given, _ in pairs)
        for expected, given, what in pairs:
            if given is not None:
                self._compare(case.id, what, expected, given, conformance.tolerance)

    def _compare(
        self, number: int, what: str, expected: Any, given: Any, tolerance: float
    ) -> None:  # lists of one depth or two
        try:
            wanted, got = np.array(expected, np.float64), np.array(given, np.float64)
        except ValueError:  # rows of unequal lengths
            self.found.append(Difference(number, f"{what}: shape", str(np.shape(expected)), "rows of unequal lengths"))
            return
        if wanted.shape != got.shape:
            self.found.append(Difference(number, f"{what}: shape", str(wanted.shape), str(got.shape)))
            return
        if not wanted.size:
            return
        distance = np.abs(wanted - got)
        at = tuple(int(index) for index in np.unravel_index(distance.argmax(), distance.shape))
        self.largest = max(self.largest, float(distance[at]))
        if not distance[at] <= tolerance:
            self.found.append(
                Difference(number, f"{what} at {list(at)}", _short(float(wanted[at])), _short(float(got[at])))
            )

    def judge_long(self, case: LongCase, answer: ConformanceCase) -> None:
        if answer.refused:
            return
        if not answer.truncated:
            self.found.append(
                Difference(case.id, f"too many {case.reason}", "refused or truncated", "an answer that does not say so")
            )
        else:
            self.expect(case.id, "bytes read of a text that was cut", case.prefix, answer.prefix)


def judge(conformance: Conformance, answers: Iterable[ConformanceCase]) -> Verdict:
    """Compare a host's answers with what is expected.

    Args:
        conformance: The file.
        answers: In any order.

    Returns:
        The verdict; a case without an answer, an answer without a case and a second answer are differences, too.
    """
    collected = _Judge()
    given: dict[int, ConformanceCase] = {}
    known = len(conformance.cases) + len(conformance.long_cases)
    for answer in answers:
        if answer.id in given or answer.id >= known:
            what = "answered twice" if answer.id in given else "no such case"
            collected.found.append(Difference(answer.id, what, "one answer for each case", what))
        else:
            given[answer.id] = answer
    for case in conformance.cases:
        if case.id in given:
            collected.judge(case, given[case.id], conformance)
    for long_case in conformance.long_cases:
        if long_case.id in given:
            collected.judge_long(long_case, given[long_case.id])
    missing = [number for number in range(known) if number not in given]
    collected.found += [Difference(number, "no answer", "one answer for each case", "none") for number in missing]
    failures: dict[str, int] = {}
    for difference in collected.found:
        kind = difference.what.split(" at [")[0]
        failures[kind] = failures.get(kind, 0) + 1
    first = sorted(collected.found, key=lambda difference: difference.id)[:_SHOWN]
    return Verdict(
        not failures,
        known,
        len(given),
        collected.with_logits,
        collected.largest,
        conformance.tolerance,
        failures,
        first,
    )


def _slots(slots: list[ByteSlot] | None) -> list[tuple[str, int, int]] | None:
    return None if slots is None else [(slot.label, slot.start, slot.end) for slot in slots]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."
