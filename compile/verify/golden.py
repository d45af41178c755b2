"""Golden texts: what every compiled variant has to answer as PyTorch does, wherever it runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from compile.verify.reference import Answerer, Reference, flat_logits, one_thread
from compile.verify.roundings import measure_reach
from compile.verify.tolerance import TOLERATED, tolerance
from runtime_py.package_format.golden import GoldenVectors, join_golden
from runtime_py.package_format.manifest import Bucket

_STEPS = 16
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
        tolerance: Largest difference of any logit from the vectors on any device.
        basis: Derivation of the tolerance, in words.
        too_long: Number of texts that fit no bucket.
        undecided: Number of texts on which the model is so undecided that a difference within the tolerance could
            change its decision.
    """

    references: tuple[Reference, ...]
    vectors: GoldenVectors
    settled: tuple[bool, ...]
    settled_tolerance: float
    tolerance: float
    basis: str
    too_long: int
    undecided: int

    @property
    def step(self) -> float:
        """The step that logits in a package are rounded to, a power of two and at most a sixteenth of the tolerance.

        Rounded like this they take half the space when packed.
        """
        return 2.0 ** math.floor(math.log2(self.tolerance / _STEPS))

    @property
    def stored(self) -> GoldenVectors:
        """The vectors as they are stored in a package, with rounded logits."""
        intent, tags = (
            (np.round(logits / self.step) * self.step).astype(np.float32)
            for logits in (self.vectors.intent, self.vectors.tags)
        )
        return dataclasses.replace(self.vectors, intent=intent, tags=tags)

    @property
    def stored_tolerance(self) -> float:
        """Largest difference of any logit from the stored vectors: the tolerance and half a step."""
        return self.tolerance + self.step / 2


def make_golden(oracle: Answerer, texts: Iterable[bytes], buckets: Sequence[Bucket]) -> GoldenSet:
    """Answer texts of the training set, tricky texts, and texts at the edges of the buckets.

    Args:
        oracle: Gives PyTorch's answers.
        texts: Texts of the training set, as UTF-8; duplicates are dropped.
        buckets: Length buckets of the package.
    """
    wanted = dict.fromkeys([*TRICKY, *edge_texts(buckets), *texts])
    with one_thread():
        answers = [oracle.answer(text) for text in wanted]
        fitting = [answer for answer in answers if answer is not None]
        reach = measure_reach([item.roundings for item in fitting], TOLERATED)
        settled = [item for item in fitting if item.roundings.settled(reach)]
        shift = max((oracle.shift(item, reach) for item in fitting if not item.roundings.settled(reach)), default=0.0)
    strict, basis = tolerance(
        flat_logits([item.ordered for item in settled]), flat_logits([item.double for item in settled])
    )
    limit = strict + _DRAWN * shift
    if shift:
        basis += (
            f"; plus {_DRAWN:.0f} x the largest change of a logit ({shift:.2e}) "
            "when roundings to 8 bits that float32 leaves undecided are drawn at random"
        )
    kept = tuple(item for item in fitting if item.margin > 2 * (strict if item.roundings.settled(reach) else limit))
    vectors = join_golden(
        [item.text for item in kept],
        [item.double.intent for item in kept],
        [item.double.tags for item in kept],
        [item.single.spans for item in kept],
    )
    decided = tuple(item.roundings.settled(reach) for item in kept)
    return GoldenSet(
        kept, vectors, decided, strict, limit, basis, len(answers) - len(fitting), len(fitting) - len(kept)
    )
