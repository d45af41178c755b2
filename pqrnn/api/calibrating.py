"""The function that makes a trained parser's scores probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pqrnn.api.runs import PathLike
from pqrnn.errors import CalibrationError

if TYPE_CHECKING:
    from runtime_py.decode.calibration import Calibration

MOST_OUTSIDE = 3000  # texts of each source that are looked at: a head has some hundred weights


def calibrate(
    run: PathLike,
    data: str,
    *,
    out: PathLike | None = None,
    out_of_scope: Sequence[str] = (),
    out_of_scope_intent: str = "",
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
) -> Calibration:
    """Fit what makes a parser's scores probabilities, and store it with the parser. No weight changes, no decision.

    Args:
        run: Folder of the trained parser.
        data: Labelled utterances like those that the parser will hear; the development split is used, never the test
            split.
        out: Folder for a copy that has the calibration; by default it is stored in `run`.
        out_of_scope: Data whose texts are out of scope, each as `PATH` or `PATH#INTENT,INTENT` for those of some
            intents only, where a `*` stands for anything. Their test splits are left out.
        out_of_scope_intent: The intent by which `data` call utterances out of scope, as `oos`.
        lang: Only these languages.
        dev: As for `train`.
        dev_share: As for `train`.

    Raises:
        CheckpointError: The parser cannot be read.
        DataError: There are no such data, or a file is wrong.
        CalibrationError: There are too few utterances, or `run` is a parser of the zoo and there is no `out`.
    """
    from pqrnn.checkpoint import load_checkpoint, save_checkpoint, save_facts
    from pqrnn.data.fingerprint import fingerprint_examples
    from pqrnn.data.training_data import load_training_data
    from pqrnn.evaluation.calibrating import fit_calibration
    from pqrnn.evaluation.prediction import compute_logits
    from pqrnn.zoo.shelf import ENTRY

    run = Path(run)
    if out is None and (run / ENTRY).is_file():
        raise CalibrationError(f"{run}: a parser of the zoo, which stays as it is: name a folder for a copy with --out")
    checkpoint = load_checkpoint(run)
    examples = load_training_data(data, dev=dev, lang=lang, dev_share=dev_share).development
    texts = [text for spec in out_of_scope for text in load_outside(spec, lang)]
    known = {example.text for example in examples}
    model = checkpoint.model
    calibration = fit_calibration(
        checkpoint.facts.labels,
        examples,
        compute_logits(model, [example.text for example in examples]),
        compute_logits(model, [text for text in dict.fromkeys(texts) if text not in known]),
        out_of_scope=out_of_scope_intent,
        data=fingerprint_examples(examples),
    )
    facts = msgspec.structs.replace(checkpoint.facts, calibration=calibration)
    if out is None:
        save_facts(run, facts)
    else:
        save_checkpoint(Path(out), checkpoint.model, facts)
    return calibration


def load_outside(spec: str, lang: str | None) -> list[str]:
    """Return texts that are out of scope: those of all splits but the test split, at most `MOST_OUTSIDE`.

    Args:
        spec: `PATH` or `PATH#INTENT,INTENT`.
        lang: Only these languages.

    Raises:
        DataError: There are no such data, or a file is wrong.
        CalibrationError: No text has one of these intents.
    """
    from fnmatch import fnmatchcase

    from pqrnn.data.loader import available_splits, load_examples

    place, _, written = spec.partition("#")
    patterns = [pattern for pattern in written.split(",") if pattern] or ["*"]
    splits = [split for split in available_splits(place, locale=lang) if split != "test"] or ["all"]
    examples = [example for split in splits for example in load_examples(place, split=split, locale=lang)]
    chosen = [each.text for each in examples if any(fnmatchcase(each.intent, pattern) for pattern in patterns)]
    if not chosen:
        intents = ", ".join(sorted({example.intent for example in examples})[:5])
        raise CalibrationError(f"{spec}: no text of {place} has such an intent; it has those of {intents}, ...")
    return chosen[:: -(-len(chosen) // MOST_OUTSIDE)]
