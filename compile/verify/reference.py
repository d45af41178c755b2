"""PyTorch's answers: in float32, as the model was trained, and in float64, as the truth that errors are measured by."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from compile.verify.choices import smallest_choice
from compile.verify.roundings import DRAWS, Roundings, Watch
from pqrnn.evaluation.prediction import Prediction
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.word_selection import watch_choices
from runtime_py.package_format.margins import smallest_gap

if TYPE_CHECKING:
    from pqrnn.model.length_config import LengthConfig
    from pqrnn.model.network import Encoding
    from pqrnn.model.parser import ParserModel
    from runtime_py.package_format.manifest import Bucket


@dataclass(frozen=True, slots=True)
class Reference:
    """PyTorch's answers to one text.

    Attributes:
        text: The text, UTF-8.
        single: Answer computed in float32.
        ordered: Answer computed in float32 with every matrix product summed in order, as compiled code on a CPU does;
            PyTorch's own library sums in blocks, which has smaller errors.
        double: Answer computed in float64 from the same features, which are exact in all three.
        roundings: Distances of the roundings to 8 bits from going the other way; empty for a model in float32.
        subwords: Subwords of the text, for a parser that reads these; 0 for others.
        choice_gap: Smallest difference in significance between a word that a part of a transformer keeps and one that
            it drops, in float64; infinite where nothing is dropped.
    """

    text: bytes
    single: Prediction
    ordered: Prediction
    double: Prediction
    roundings: Roundings
    subwords: int = 0
    choice_gap: float = math.inf

    @property
    def size(self) -> int:
        """Rows of a bucket that the text needs: its words, or its subwords."""
        return max(len(self.single.spans), self.subwords)

    @property
    def margin(self) -> float:
        """Smallest difference between the best and the second best logit, over the intent and every word's tag.

        It is infinite where there is no choice.
        """
        return smallest_gap(self.double.intent, self.double.tags)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch work on one thread: for single texts, handing work to other threads takes longer than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Answerer(Protocol):
    """Gives PyTorch's answers, whatever the model reads."""

    def answer(self, text: bytes) -> Reference | None:
        """Return the answers to a text, or None for a text that fits no bucket."""

    def shift(self, reference: Reference, reach: dict[str, float]) -> float:
        """Return the largest change of a logit when undecided roundings to 8 bits go either way."""


class Oracle:
    """Gives PyTorch's answers.

    An answer takes a few milliseconds: texts are computed one at a time, in the bucket that the device would choose.
    """

    def __init__(self, model: ParserModel, buckets: Sequence[Bucket], lengths: LengthConfig | None = None) -> None:
        """Keep a model and a copy of it in float64.

        Args:
            model: The parser, in evaluation mode.
            buckets: Length buckets, in rising order.
            lengths: The part of a transformer that answers; None for all of it.
        """
        self._lengths = lengths
        self._model = model
        self._exact = copy.deepcopy(model).double()
        self._buckets = buckets
        self._roundings = Watch(self._model, self._exact)

    def bucket(self, text: bytes) -> Bucket | None:
        """Return the smallest bucket that holds a text, or None where none does."""
        limit = self._buckets[-1].bytes
        if len(text) > limit:
            return None
        with torch.inference_mode():
            words = int(self._model.projection.segment(pack_texts([text], limit), 1)[1][0])
        return next((bucket for bucket in self._buckets if bucket.words >= words and bucket.bytes >= len(text)), None)

    def answer(self, text: bytes) -> Reference | None:
        """Return the answers to a text, or None for a text that fits no bucket."""
        bucket = self.bucket(text)
        if bucket is None:
            return None
        packed = pack_texts([text], bucket.bytes)
        with torch.inference_mode():
            intent, tags, spans, count = self._model(packed, bucket.words, self._lengths)
            features = self._model.projection(packed, bucket.words)[0]
            mask = (torch.arange(bucket.words) < count[:, None]).float()[..., None]
            with SummedInOrder():
                ordered = self._encode(self._model, features, mask)
            with self._roundings.record() as roundings, watch_choices() as choices:
                exact = self._encode(self._exact, features.double(), mask.double())
            with self._roundings.compare(roundings):
                self._encode(self._model, features, mask)
        if not exact.intent.dtype == exact.tags.dtype == torch.float64:
            raise TypeError(
                "the model turns float64 into another type on its way, "
                "so there is no reference to measure errors against"
            )
        words = int(count[0])
        positions = spans[0, :words].numpy()
        single, in_order, double = (
            Prediction(pair[0][0].numpy(), pair[1][0, :words].numpy(), positions)
            for pair in ((intent, tags), tuple(ordered), tuple(exact))
        )
        return Reference(text, single, in_order, double, roundings, choice_gap=smallest_choice(choices, words))

    def _encode(self, model: ParserModel, features: Tensor, mask: Tensor) -> Encoding:
        return model.encode(model.embed(features), mask, scan=True, lengths=self._lengths)

    def shift(self, reference: Reference, reach: dict[str, float]) -> float:
        """Return the largest change of a logit in float64 when undecided roundings to 8 bits go either way.

        Args:
            reference: An answer of this oracle.
            reach: Distance from the middle between two steps, in steps, within which a rounding is undecided, by
                rounding (`compile.verify.roundings.Watch.disturb`).
        """
        bucket = self.bucket(reference.text)
        assert bucket is not None
        words = len(reference.double.tags)
        with torch.inference_mode():
            features, _, count = self._model.projection(pack_texts([reference.text], bucket.bytes), bucket.words)
            mask = (torch.arange(bucket.words) < count[:, None]).double()[..., None]
            # All draws in one go, each a row of the batch.
            features, mask = (part.repeat(DRAWS, 1, 1) for part in (features.double(), mask))
            with self._roundings.disturb(reach, 0):
                outputs = self._encode(self._exact, features, mask)
        differences = (
            outputs.intent.numpy() - reference.double.intent,
            outputs.tags[:, :words].numpy() - reference.double.tags,
        )
        return max(float(np.abs(part).max(initial=0.0)) for part in differences)


class SummedInOrder(TorchFunctionMode):
    """While this is active, `linear` sums its products one after the other."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not functional.linear:
            return func(*args, **(kwargs or {}))
        value, weight, bias = (*args, None)[:3]
        total = value.new_zeros((*value.shape[:-1], weight.shape[0]))
        for column, factors in zip(value.unbind(-1), weight.t().contiguous(), strict=True):
            total.addcmul_(column[..., None], factors)
        return total if bias is None else total + bias


def flat_logits(answers: Iterable[Prediction]) -> NDArray[Any]:
    """Return all logits of several answers in one array, [n]."""
    parts = [part.ravel() for answer in answers for part in (answer.intent, answer.tags)]
    return np.concatenate(parts) if parts else np.zeros(0)
