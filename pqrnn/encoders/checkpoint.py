"""A distilled encoder on disk, and how a parser begins with it.

The folder of an encoder of words holds `encoder.json` and `model.safetensors`, the weights of a parser without its
heads. That of an encoder of subwords has the Hugging Face layout beside `encoder.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from pqrnn.checkpoint import LARGEST_FACTS
from pqrnn.errors import CheckpointError, TrainingError
from pqrnn.recipes.differences import name_differences
from pqrnn.recipes.settings import ModelConfig
from pqrnn.run_folder import ENCODER, LOG, STATE, WEIGHTS
from pqrnn.weight_files import load_any_tensors
from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import read_bounded, shorten
from runtime_py.json_errors import JSON_ERRORS

FORMAT = 1
HEAD = "state/language_head.safetensors"
DATA = ("teacher", "texts")  # of what decides a run, what is known by its digest alone
_LAYOUT = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class EncoderFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a folder says of its encoder.

    Attributes:
        format: Format of this file; the reader refuses another one.
        input: What it reads: "words" or "subwords".
        config: Its shape.
        parameters: Numbers that it has.
        source: Where texts and teacher came from, for people.
        recipe: All settings.
        steps: Steps that it learned.
        held_out: Loss on the texts that were not learned.
        fingerprint: SHA-256 of all that decides the result.
        described: The same by name.
        revision: Git commit of the code that trained it.
        ended_early: Whether a person ended the run before its last step.
    """

    format: int
    input: str
    config: ModelConfig
    parameters: int
    source: dict[str, Any]
    recipe: dict[str, Any]
    steps: int
    held_out: float
    fingerprint: str
    described: dict[str, Any]
    revision: str
    ended_early: bool = False


def write_facts(folder: Path, facts: EncoderFacts) -> None:
    """Write what a folder says of its encoder, last of all: a folder with facts is whole."""
    write_atomic(folder / ENCODER, msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")


def read_encoder(folder: Path) -> EncoderFacts:
    """Read what a folder says of its encoder.

    Raises:
        CheckpointError: There is none, or it is of another format.
    """
    path = folder / ENCODER
    if not path.is_file():
        unfinished = (
            " (a run was begun here: run the same `pqrnn distill-encoder` again to finish it)"
            if (folder / STATE).is_file()
            else ""
        )
        raise CheckpointError(f"{folder}: no {ENCODER} here, so this is no distilled encoder{unfinished}")
    try:
        facts = msgspec.json.decode(read_bounded(path, LARGEST_FACTS), type=EncoderFacts)
    except (OSError, *JSON_ERRORS) as error:
        raise CheckpointError(f"{path}: {shorten(error)}; written by another version of pqrnn?") from error
    if facts.format != FORMAT:
        raise CheckpointError(f"{path}: format {facts.format}, and this version of pqrnn reads format {FORMAT}")
    return facts


def is_encoder(folder: Path) -> bool:
    """Say whether a folder holds a distilled encoder."""
    return (folder / ENCODER).is_file()


def find_facts(folder: Path, fingerprint: str, described: dict[str, Any]) -> EncoderFacts | None:
    """Return the facts of a finished run with these settings, None where there is something to do.

    Raises:
        TrainingError: The folder holds another finished run, or something that a run would overwrite.
    """
    if is_encoder(folder):
        facts = read_encoder(folder)
        if facts.fingerprint != fingerprint:
            named = "; ".join(name_differences(facts.described, described, DATA))
            raise TrainingError(
                f"{folder}: holds an encoder that was distilled with other settings or data ({named}); choose another "
                "--out, or --restart to throw it away"
            )
        return facts
    begun = (folder / STATE).is_file()  # then what is there may be of a run that was killed while it wrote
    for name in () if begun else (WEIGHTS, "checkpoint.json", "config.json"):
        if (folder / name).exists():
            raise TrainingError(f"{folder}: holds {name} of something else; choose another --out")
    return None


def discard(folder: Path) -> None:
    """Remove what a run writes, and nothing else; of a folder without a run nothing."""
    finished = (ENCODER, WEIGHTS, *_LAYOUT) if is_encoder(folder) else ()
    begun = (folder / STATE).is_file() or (folder / HEAD).is_file() or bool(finished)
    for name in (*finished, *((LOG, STATE, HEAD) if begun else ())):
        (folder / name).unlink(missing_ok=True)


def load_body(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    """Return the weights of an encoder of words, for a parser of the same shape.

    Raises:
        CheckpointError: There is no encoder, it cannot be read, or it reads subwords.
        TrainingError: The parser has another shape.
    """
    facts = read_encoder(folder)
    if facts.input != "words":
        raise CheckpointError(
            f"{folder}: an encoder of subwords; `pqrnn finetune --encoder {folder}` makes a parser of it"
        )
    learned = facts.config
    for name in learned.__struct_fields__:
        if name in ("dropout", "word_dropout", "zoneout", "pool_peaks", "refinements"):
            continue
        if getattr(learned, name) != getattr(config, name):
            raise TrainingError(
                f"{folder}: the encoder has {name} = {getattr(learned, name)}, and the parser that is to begin with it "
                f"{getattr(config, name)}: give it the same shape"
            )
    return load_any_tensors(folder / WEIGHTS)
