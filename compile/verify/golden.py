"""Golden texts: what every compiled variant has to answer as PyTorch does, wherever it runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from compile.support.errors import VerificationError
from compile.verify.reference import Answerer, Reference, flat_logits, one_thread
from compile.verify.roundings import measure_reach
from compile.verify.tolerance import TOLERATED, tolerance
from runtime_py.decode.labels import Labels
from runtime_py.package_format.golden import GoldenVectors, join_golden
from runtime_py.package_format.manifest import Bucket
from runtime_py.package_format.margins import DecisionMargin, smallest_gap

STEPS = 8
_UNSURE = 1e-4  # of sums of probabilities that are up to some hundred: float32 errs by a tenth of this
_DRAWN = 2.0  # a draw turns half of the undecided roundings; a device may turn all

# Each text is here because something has gone wrong with a similar one, in some tokenizer or on some device.
TRICKY: tuple[bytes, ...] = (
    b"",
    b" ",
    b" \t\n  ",
    "\u00a0\u3000\u2003".encode(),  # spaces beyond ASCII
    b"a",
    b"Wake ME at 7:30am, please!",
    b"don't turn-off the e-mail: user@example.org #42 50% $3.20",
    "ÄRGER in Łódź, İstanbul ǅ Ωμέγα straße".encode(),  # lower case over Unicode, with letters that change their length
    "e\u0301te\u0301 n\u0303 a\u0308\u0323".encode(),  # letters and marks apart
    "मुझे सात बजे जगाना, धन्यवाद।".encode(),  # vowel signs stay with their letter
    "ปลุกฉันตอนเจ็ดโมงเช้า".encode(),  # no spaces between words
    "明天七点叫我起床。 東京タワー ひらがな".encode(),
    "내일 일곱 시에 깨워 줘".encode(),
    "أيقظني في الساعة السابعة ٧:٣٠".encode(),
    "העיר אותי בשבע".encode(),
    "Разбуди меня в семь".encode(),
    "⏰ wake 👩\u200d👩\u200d👧 up 🇩🇪🇫🇷 👍🏽 ☂\ufe0f".encode(),  # joined pictographs, flags in pairs, skin tone
    "\U0001f600\U0001f600\U0001f600".encode(),
    "🇩🇪🇫".encode(),  # a flag's half
    "a\u200db\u200c\u200e\u00adc \u0300x".encode(),  # format characters; a mark without a letter
    b"a\x00b\x00\x00c",  # zero bytes separate words
    b"\x00",
    b"\xff\xfe\x80",  # no UTF-8 at all
    b"caf\xc3",  # cut inside a character
    # overlong forms, a surrogate, past the last code point
    b"\xc0\xaf \xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xf5",
    b"ok \xe2\x82 ok \xf0\x9f\x98 end",
    "\ufffd\ufeff\U0010ffff\ue000".encode(),  # replacement, byte order mark, the last code point, private use
    b"".join(bytes([code]) for code in range(1, 32)),  # controls
    b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    b"0123456789 1234567890 3.14159 1,000,000",
    b"x" * 31,
)


def edge_texts(buckets: Sequence[Bucket]) -> list[bytes]:
    """Return texts at the edges of every bucket.

    They have exactly its words, one word more, exactly its bytes in one word, one byte more, and two-byte letters up to
    its end.
    """
    texts = []
    for bucket in buckets:
        exact = b" ".join(b"abcdefghijklmnopqrstuvwxyz"[i % 26 : i % 26 + 1] for i in range(bucket.words))
        texts += [
            exact,
            exact + b" z",
            b"y" * bucket.bytes,
            b"y" * (bucket.bytes + 1),
            "é".encode() * (bucket.bytes // 2),
        ]
    return texts


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Texts that go into a package, with PyTorch's answers, and those that were left out.

    Attributes:
        references: PyTorch's answers, in the order of the vectors.
        vectors: The answers in float64, rounded to float32, so that no device's own rounding is taken for the truth.
        settled: Whether every right device computes the same integers, by reference (`compile.verify.roundings`);
            always true for a model in float32.
        settled_tolerance: Largest difference of a settled text's logits from the vectors on any device.
        tolerances: The same bound for each text; larger where roundings to 8 bits could go either way.
        tolerance: The largest of these bounds.
        basis: Derivation of the tolerances, in words.
        too_long: Number of texts that fit no bucket.
        undecided: Number of texts on which the model is so undecided that a difference within the tolerance, or the
            rounding of the stored logits, could change its decision.
    """

    references: tuple[Reference, ...]
    vectors: GoldenVectors
    settled: tuple[bool, ...]
    settled_tolerance: float
    tolerances: tuple[float, ...]
    tolerance: float
    basis: str
    too_long: int
    undecided: int

    @property
    def stored(self) -> GoldenVectors:
        """The vectors as they are stored in a package, with rounded logits and bounds that allow for that."""
        return store_vectors(self.vectors, self.tolerances)


def store_vectors(vectors: GoldenVectors, tolerances: Sequence[float], steps: int = STEPS) -> GoldenVectors:
    """Return vectors as they are stored.

    A text's logits are rounded to steps of a power of two, which are a small part of its tolerance: they take half the
    space then when packed. Half a step is added to its tolerance.

    Args:
        vectors: The vectors.
        tolerances: For each text, how far a logit may be off on any device.
        steps: Steps in a tolerance, at least.
    """
    intent, tags = vectors.intent.copy(), vectors.tags.copy()
    bounds = np.zeros(len(vectors), np.float32)
    for index, allowed in enumerate(tolerances):
        step = 2.0 ** math.floor(math.log2(allowed / steps))
        for part in (intent[index], tags[vectors.words(index)]):
            part[...] = np.round(part.astype(np.float64) / step) * step
        # Of the numbers in float32, the next larger one.
        bounds[index] = np.nextafter(np.float32(allowed + step / 2), np.float32(np.inf))
    return dataclasses.replace(vectors, intent=intent, tags=tags, tolerances=bounds)


def make_golden(
    oracle: Answerer, texts: Iterable[bytes], buckets: Sequence[Bucket], labels: Labels | None = None
) -> GoldenSet:
    """Answer texts of the training set, tricky texts, and texts at the edges of the buckets.

    Args:
        oracle: Gives PyTorch's answers.
        texts: Texts of the training set, as UTF-8; duplicates are dropped.
        buckets: Length buckets of the package.
        labels: Labels that parses are chosen by; None if the largest logits alone matter.
    """
    return answer_texts(oracle, dict.fromkeys([*TRICKY, *edge_texts(buckets), *texts]), labels)


def answer_texts(oracle: Answerer, texts: Iterable[bytes], labels: Labels | None = None) -> GoldenSet:
    """Answer texts, and keep those whose decisions no right device, and no rounding of the store, can change.

    Args:
        oracle: Gives PyTorch's answers.
        texts: The texts.
        labels: As for `make_golden`.

    Raises:
        VerificationError: None is kept.
    """
    with one_thread():
        answers = [oracle.answer(text) for text in texts]
        found = [answer for answer in answers if answer is not None]
        fitting = [answer for answer in found if answer.choice_gap > _UNSURE]
        reach = measure_reach([item.roundings for item in fitting], TOLERATED)
        decided = [item.roundings.settled(reach) for item in fitting]
        shifts = [0.0 if settled else oracle.shift(item, reach) for item, settled in zip(fitting, decided, strict=True)]
    settled = [item for item, fine in zip(fitting, decided, strict=True) if fine]
    strict, basis = tolerance(
        flat_logits([item.ordered for item in settled]), flat_logits([item.double for item in settled])
    )
    if any(shifts):
        basis += (
            f"; plus {_DRAWN:.0f} x the largest change of the text's logits (at most {max(shifts):.2e}) "
            "when roundings to 8 bits that float32 leaves undecided are drawn at random"
        )
    bounds = [strict + _DRAWN * shift for shift in shifts]
    stored = store_vectors(_join(fitting), bounds)
    kept = [index for index in range(len(fitting)) if _is_decided(stored, index, labels)]
    if not kept:
        raise VerificationError(
            f"the parser is undecided about all {len(found)} texts that fit, so no answer could be told from a wrong "
            "one: it has learned nothing, or too little"
        )
    references = tuple(fitting[index] for index in kept)
    return GoldenSet(
        references,
        _join(references),
        tuple(decided[index] for index in kept),
        strict,
        tuple(bounds[index] for index in kept),
        max((bounds[index] for index in kept), default=strict),
        basis,
        len(answers) - len(found),
        len(found) - len(kept),
    )


def _join(references: Sequence[Reference]) -> GoldenVectors:
    return join_golden(
        [item.text for item in references],
        [item.double.intent for item in references],
        [item.double.tags for item in references],
        [item.single.spans for item in references],
    )


def _is_decided(stored: GoldenVectors, index: int, labels: Labels | None) -> bool:
    """Return whether every answer within a text's bound decides alike: those before rounding are among them."""
    assert stored.tolerances is not None
    rows, bound = stored.words(index), float(stored.tolerances[index])
    if labels is None:
        return smallest_gap(stored.intent[index], stored.tags[rows]) > 2 * bound
    return DecisionMargin(labels).is_decided(stored.intent[index], stored.tags[rows], bound)
