"""A trained span model on disk: `questions.json` and `model.safetensors` in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from safetensors.torch import save

from pqrnn.checkpoint import LARGEST_FACTS
from pqrnn.errors import CheckpointError, TrainingError
from pqrnn.model.length_config import LengthConfig, check_lengths
from pqrnn.questions.model import SpanModel
from pqrnn.recipes.differences import name_differences
from pqrnn.recipes.question_settings import SpanConfig
from pqrnn.run_folder import FACTS, LOG, QUESTIONS, STATE, WEIGHTS
from pqrnn.weight_files import load_tensors
from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import check_extent, read_bounded, shorten
from runtime_py.json_errors import JSON_ERRORS

FORMAT = 1
DATA = ("weights", "windows")  # of what decides a run, what is known by its digest alone
_Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class SpanBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the network that answers with less work.

    Attributes:
        lengths: The part.
        macs: Mean MACs of a window of the questions that it was measured on.
        share: The same as a share of the whole network's.
        exact_match: Exact match on these questions, as a fraction of 1.
        f1: F1 on these questions, as a fraction of 1.
        questions: How many there were.
    """

    lengths: LengthConfig
    macs: Annotated[int, Meta(ge=1)]
    share: Annotated[float, Meta(gt=0.0, le=1.0)]
    exact_match: _Share
    f1: _Share
    questions: Annotated[int, Meta(ge=1)]


class GoldenQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training question that compiled code is checked with."""

    question: str
    context: str


class SpanFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a folder says of its model.

    Attributes:
        format: Format of this file; the reader refuses another one.
        config: Its configuration.
        parameters: Numbers that it has.
        source: Where data and weights came from, for people.
        recipe: All settings.
        steps: Steps that it learned.
        loss: Mean loss since the last record.
        lengths: Pairs of a number of subwords and how many training windows have it.
        golden: Training questions that compiled code is checked with.
        fingerprint: SHA-256 of all that decides the result.
        described: The same by name.
        revision: Git commit of the code that trained it.
        ended_early: Whether a person ended the run before its last step.
        budgets: Parts for less work, by rising cost, the whole network last; empty where none were searched.
    """

    format: int
    config: SpanConfig
    parameters: int
    source: dict[str, Any]
    recipe: dict[str, Any]
    steps: int
    loss: float
    lengths: list[tuple[int, int]]
    golden: list[GoldenQuestion]
    fingerprint: str
    described: dict[str, Any]
    revision: str
    ended_early: bool = False
    budgets: list[SpanBudget] = []


def is_span_model(folder: Path) -> bool:
    """Say whether a folder holds a model that answers questions."""
    return (folder / QUESTIONS).is_file()


def save_span_model(folder: Path, model: SpanModel, facts: SpanFacts) -> None:
    """Write both files, each atomically, the facts last: a folder with facts is whole."""
    weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    write_atomic(folder / WEIGHTS, save(weights))
    save_span_facts(folder, facts)


def save_span_facts(folder: Path, facts: SpanFacts) -> None:
    """Write the facts alone, beside the weights that are there."""
    write_atomic(folder / QUESTIONS, msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")


def read_span_facts(folder: Path) -> SpanFacts:
    """Read what a folder says of its model.

    Raises:
        CheckpointError: There is none, or it is of another format.
    """
    path = folder / QUESTIONS
    if not path.is_file():
        more = ""
        if (folder / STATE).is_file():
            more = " (a run was begun here: run the same `pqrnn finetune-questions` again to finish it)"
        elif (folder / FACTS).is_file():
            more = ", but a parser, which answers no questions: `pqrnn finetune-questions` makes a model that does"
        raise CheckpointError(f"{folder}: no {QUESTIONS} here, so this is no model that answers questions{more}")
    try:
        facts = msgspec.json.decode(check_extent(read_bounded(path, LARGEST_FACTS)), type=SpanFacts)
    except (OSError, *JSON_ERRORS, ValueError) as error:
        raise CheckpointError(f"{path}: {shorten(error)}; written by another version of pqrnn?") from error
    if facts.format != FORMAT:
        raise CheckpointError(f"{path}: format {facts.format}, and this version of pqrnn reads format {FORMAT}")
    return facts


def load_span_model(folder: Path) -> tuple[SpanModel, SpanFacts]:
    """Read a model, in evaluation mode.

    Raises:
        CheckpointError: There is none, or a file is damaged.
        TeacherError: What it was made from cannot be loaded.
    """
    facts = read_span_facts(folder)
    model = SpanModel(facts.config)
    try:
        for each in facts.budgets:
            check_lengths(each.lengths, model.layers)
    except ValueError as error:
        raise CheckpointError(f"{folder / QUESTIONS}: {error}") from error
    model.load_state_dict(load_tensors(folder / WEIGHTS, model.state_dict()))
    return model.eval(), facts


def find_finished(folder: Path, fingerprint: str, described: dict[str, Any]) -> SpanFacts | None:
    """Return the facts of a finished run with these settings, None where there is something to do.

    Raises:
        TrainingError: The folder holds another finished run, or something that a run would overwrite.
    """
    if is_span_model(folder):
        facts = read_span_facts(folder)
        if facts.fingerprint != fingerprint:
            named = "; ".join(name_differences(facts.described, described, DATA))
            raise TrainingError(
                f"{folder}: holds a model that was trained with other settings or data ({named}); choose another "
                "--out, or --restart to throw it away"
            )
        return facts
    begun = (folder / STATE).is_file()  # then what is there may be of a run that was killed while it wrote
    for name in () if begun else (WEIGHTS, FACTS, "config.json"):
        if (folder / name).exists():
            raise TrainingError(f"{folder}: holds {name} of something else; choose another --out")
    return None


def discard(folder: Path) -> None:
    """Remove what a run writes, and nothing else; of a folder without a run nothing."""
    if is_span_model(folder) or (folder / STATE).is_file():
        for name in (QUESTIONS, WEIGHTS, LOG, STATE):
            (folder / name).unlink(missing_ok=True)
