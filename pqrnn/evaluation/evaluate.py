"""The scores of a parser or a teacher on labelled utterances.

They are scored on all of them, on those that cannot have been learned by heart, and on what is out of scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pqrnn.data.examples import Example
from pqrnn.errors import DataNotFoundError
from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
from pqrnn.evaluation.metrics import (
    Estimate,
    Scores,
    area_under_curve,
    calibration_error,
    find_repeated,
    score_frames,
)
from pqrnn.evaluation.prediction import Prediction, decide
from runtime_py.decode.decoder import Decoder, softmax

FRESH = "utterances not in train"


class Scope(NamedTuple):
    """How requests that no intent covers are told from the others.

    Attributes:
        in_scope_accuracy: Share of the utterances in scope whose intent is right; calling one out of scope is wrong.
        auroc: How often the largest probability of an intent in scope is higher for an utterance in scope than for one
            out of it (Hendrycks and Gimpel 2017, arXiv:1610.02136). It works with and without an intent for what is out
            of scope.
    """

    in_scope_accuracy: Estimate
    auroc: Estimate


class Evaluation(NamedTuple):
    """Scores over all utterances, over those whose text is not among the training texts, and of the scope.

    Those over unseen texts are None where they are unknown or there are no such texts. `slots` says whether any gold
    label has a slot; where none has, the F1 over slots says nothing. `calibration_error` is how far scores are from the
    share of parses that are right (`pqrnn.evaluation.metrics.calibration_error`).
    """

    scores: Scores
    fresh: Scores | None
    scope: Scope | None
    slots: bool = True
    calibration_error: float | None = None

    def figures(self) -> dict[str, Estimate]:
        """Return all figures by the names that results and tables give them."""
        found = _name(self.scores, "")
        if self.fresh is not None:
            found |= _name(self.fresh, f", {FRESH}")
        if self.scope is not None:
            found |= {"in-scope accuracy": self.scope.in_scope_accuracy, "out-of-scope AUROC": self.scope.auroc}
        return (
            found if self.slots else {name: figure for name, figure in found.items() if not name.startswith("slot f1")}
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        document: dict[str, Any] = dict(self.scores.as_dict())
        if self.fresh is not None:
            document["not_in_train"] = self.fresh.as_dict()
        if self.calibration_error is not None:
            document["calibration_error"] = round(self.calibration_error, 6)
        if self.scope is not None:
            document["scope"] = {
                name: {key: round(value, 6) for key, value in each._asdict().items()}
                for name, each in self.scope._asdict().items()
            }
        return document


def evaluate_predictions(
    examples: Sequence[Example],
    answers: Sequence[Prediction],
    decoder: Decoder,
    known: Iterable[str] = (),
    out_of_scope: str = "",
) -> Evaluation:
    """Score answers.

    Args:
        examples: Utterances with gold labels.
        answers: One prediction for each utterance.
        decoder: Decoder that turns predictions into parses.
        known: Training texts.
        out_of_scope: The intent that gold labels give to what is out of scope; "" where there is none.

    Raises:
        DataNotFoundError: no utterance, or none of the intent that is called out of scope, or none but those.
    """
    gold = [frame_of_example(example) for example in examples]
    parses = decide(decoder, [example.text for example in examples], answers)
    frames = [frame_of_parse(parse) for parse in parses]
    repeated = find_repeated([example.text for example in examples], (text.lower() for text in known))
    fresh = [row for row, seen in enumerate(repeated) if not seen]
    return Evaluation(
        scores=score_frames(gold, frames),
        fresh=score_frames([gold[row] for row in fresh], [frames[row] for row in fresh])
        if fresh and len(fresh) < len(gold)
        else None,
        scope=_score_scope(examples, answers, decoder, out_of_scope) if out_of_scope else None,
        slots=any(slots for _, slots in gold),
        calibration_error=calibration_error(
            [parse.score for parse in parses], [mine == its for mine, its in zip(frames, gold, strict=True)]
        ),
    )


def split_languages(examples: Sequence[Example]) -> dict[str, list[int]]:
    """Return the rows of each language, in the order in which the languages appear."""
    rows: dict[str, list[int]] = {}
    for row, example in enumerate(examples):
        rows.setdefault(example.locale, []).append(row)
    return rows


def _score_scope(examples: Sequence[Example], answers: Sequence[Prediction], decoder: Decoder, name: str) -> Scope:
    outside = np.array([example.intent == name for example in examples])
    if outside.all() or not outside.any():
        found = ", ".join(sorted({example.intent for example in examples})[:5])
        raise DataNotFoundError(
            f"{int(outside.sum())} of {len(examples)} utterances have the intent {name!r}, which is to mean out of "
            f"scope; intents are {found}, ..."
        )
    named = np.array([intent != name for intent in decoder.intents])
    shares = softmax(np.stack([answer.intent for answer in answers]))
    surest = shares[:, named].max(-1)
    inside = [row for row in range(len(examples)) if not outside[row]]
    right = score_frames(
        [(examples[row].intent, ()) for row in inside],
        [(decoder.intents[int(shares[row].argmax())], ()) for row in inside],
    )
    return Scope(right.intent_accuracy, area_under_curve(surest[~outside], surest[outside]))


def _name(scores: Scores, suffix: str) -> dict[str, Estimate]:
    return {f"{name.replace('_', ' ')}{suffix}": figure for name, figure in scores._asdict().items()}
