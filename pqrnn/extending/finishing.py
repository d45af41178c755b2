"""What is said of an extended parser once it has learned: what it lost and gained, its scores, its facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from pqrnn.checkpoint import Checkpoint, Facts
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.dataset.segmented import SegmentedExamples
from pqrnn.evaluation.calibrating import LEAST, LEAST_OUTSIDE, fit_calibration
from pqrnn.evaluation.evaluate import evaluate_predictions
from pqrnn.evaluation.prediction import Prediction, compute_logits, predict_texts
from pqrnn.extending.material import Material
from pqrnn.model.network import Network
from pqrnn.model.parser import ParserModel
from pqrnn.run_folder import GOLDEN_TEXTS
from runtime_py.decode.calibration import Calibration
from runtime_py.decode.labels import Labels

_NEW_GOLDEN = 12  # texts of new commands among those that compiled code is checked with


def answer_texts(model: ParserModel, labels: Labels, examples: Sequence[Example]) -> list[Example]:
    """Return examples with the answers of a parser in the place of their labels."""
    parses = predict_texts(model, labels.decoder(), [example.text for example in examples])
    return [
        Example(
            example.text,
            parse.intent,
            tuple(SlotSpan(slot.label, slot.start, slot.end) for slot in parse.slots),
            example.locale,
            example.source,
        )
        for example, parse in zip(examples, parses, strict=True)
    ]


class ExtensionEnd:
    """The end of an extension: it turns the facts of a run into those of an extended parser.

    Attributes:
        development: What the run is scored on: old texts, with the parser's own answers where there are no gold
            labels, then new rows.
    """

    def __init__(
        self,
        before: Checkpoint,
        teacher: ParserModel,
        material: Material,
        new: SegmentedExamples,
        outside: Sequence[str],
    ) -> None:
        """Keep what is compared.

        Args:
            before: The parser as it was.
            teacher: Its network, as it is asked.
            material: The texts.
            new: The new rows that are learned, each once.
            outside: Texts that are out of scope.
        """
        self._before, self._teacher, self._gold, self._new = before, teacher, material.gold, new
        self._old = (
            material.old_held if material.gold else answer_texts(teacher, before.facts.labels, material.old_held)
        )
        self._held, self._outside = material.new_held, list(outside)
        self.development = [*self._old, *self._held]

    def __call__(self, made: Facts[Any], network: Network) -> Facts[Any]:
        """Return the facts that are written.

        Args:
            made: Facts of the run.
            network: The network that is kept.
        """
        assert isinstance(network, ParserModel)
        model = network.folded()
        before, labels = self._before.facts, made.labels
        answers = compute_logits(model, [row.text for row in self.development])
        count = len(self._old)
        was = evaluate_predictions(
            self._old, compute_logits(self._teacher, [row.text for row in self._old]), before.labels.decoder()
        ).scores.exact_match
        extension = {
            "old_texts": "gold labels" if self._gold else "the parser's own answers",
            "old_before": was._asdict(),
            "old": evaluate_predictions(self._old, answers[:count], labels.decoder()).scores.exact_match._asdict(),
            "new": evaluate_predictions(self._held, answers[count:], labels.decoder()).scores.exact_match._asdict(),
        }
        return msgspec.structs.replace(
            made,
            metrics={**made.metrics, "extension": extension},
            lengths=_add_lengths(before.lengths, self._new),
            golden_texts=_choose_golden(before.golden_texts, self._new),
            calibration=self._calibrate(model, labels, answers),
        )

    def _calibrate(self, model: ParserModel, labels: Labels, answers: Sequence[Prediction]) -> Calibration | None:
        """Fit a calibration where the parser had one and there are gold labels enough."""
        if self._before.facts.calibration is None or not self._gold or len(self.development) < LEAST:
            return None
        outside = compute_logits(model, self._outside)
        return fit_calibration(labels, self.development, answers, outside if len(outside) >= LEAST_OUTSIDE else ())


def _add_lengths(before: Sequence[tuple[int, int, int]], new: SegmentedExamples) -> list[tuple[int, int, int]]:
    counts = Counter({(words, size): texts for words, size, texts in before})
    counts.update((len(spans), len(text)) for text, spans in zip(new.texts, new.spans, strict=True))
    return sorted((words, size, texts) for (words, size), texts in counts.items())


def _choose_golden(before: Sequence[str], new: Sequence[Example]) -> list[str]:
    """Return old golden texts and a few new ones, of every new intent before a second of any."""
    turns: Counter[str] = Counter()
    order: dict[str, tuple[int, int]] = {}
    for position, row in enumerate(new):
        order.setdefault(row.text, (turns[row.intent], position))
        turns[row.intent] += 1
    added = sorted((text for text in order if text not in before), key=lambda text: order[text])[:_NEW_GOLDEN]
    return [*before[: GOLDEN_TEXTS - len(added)], *added]
