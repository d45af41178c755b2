"""Putting a trained parser on a shelf, with all that is said of it taken from what was measured."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from pqrnn.checkpoint import Checkpoint, Facts, load_checkpoint, load_facts
from pqrnn.data.home import home_locales, load_home_examples
from pqrnn.data.locales import match_locale
from pqrnn.errors import ZooError
from pqrnn.evaluation.results import ResultRow
from pqrnn.recipes.settings import ModelConfig
from pqrnn.run_folder import FACTS, GOLDEN_TEXTS, STATE, WEIGHTS
from pqrnn.zoo.card import Story, render_card, update_scores
from pqrnn.zoo.data_sets import choose_data_sets, strictest_licence
from pqrnn.zoo.shelf import CARD, ENTRY, Shelved, ZooEntry, is_name, read_entry
from runtime_py.atomic_files import replace_directory, write_atomic
from runtime_py.bounded_files import read_bounded, shorten
from runtime_py.decode.calibration import Calibration
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.file_entry import describe_file

LIMIT = 2_000_000  # bytes of weights


class _Results(msgspec.Struct, frozen=True):
    """The part of a file of kept results that is read here."""

    rows: list[ResultRow]


def add_parser(
    run: Path,
    shelf: Path,
    name: str,
    *,
    data: Sequence[str],
    story: Story,
    languages: Sequence[str] = (),
    results: Path | None = None,
    work: str = "",
    beside: Sequence[str] = (),
    replace: bool = False,
) -> Shelved:
    """Copy a trained parser to a shelf, with an entry and a card. It appears whole or not at all.

    Its golden texts, which were training texts, are exchanged for generated ones: no data set is handed on with the
    weights. Paths are cut to their last part.

    Args:
        run: Folder of the checkpoint.
        shelf: Folder to put it in, under its name.
        name: Name of small letters, digits, "-" and "_".
        data: Short names of the data sets that it learned from (`pqrnn.zoo.data_sets`).
        story: What only people know of it.
        languages: Languages that it was trained on; by default those of its checkpoint.
        results: File of kept results with rows about it.
        work: Its name in these results.
        beside: Other names in these results whose rows are to stand in the card, as its teacher's.
        replace: Whether a parser of that name may be replaced.

    Raises:
        ZooError: the name is none, there is one already, the checkpoint is too large or unfinished, results or data
            sets are unknown.
        CheckpointError: the checkpoint cannot be read.
    """
    destination = shelf / name
    if not is_name(name):
        raise ZooError(f"{name!r} is no name for a parser, expected small letters, digits, '-' and '_', as mtop-en")
    if destination.exists() and not replace:
        raise ZooError(f"{destination}: exists already; choose another name, or --replace it")
    if (run / STATE).is_file():
        raise ZooError(
            f"{run}: a training run is under way here, or was stopped: finish it first, its state is no parser"
        )
    sets = choose_data_sets(data)
    checkpoint = load_checkpoint(run)
    figures = _choose_figures(results, work, beside) if results is not None else ()
    for each in figures:
        if each.work == work and each.metric == "weights" and each.value != (run / WEIGHTS).stat().st_size:
            raise ZooError(
                f"{results}: {work!r} is about weights of {each.value:,.0f} bytes, and those of {run} have "
                f"{(run / WEIGHTS).stat().st_size:,}: another parser"
            )
    facts = _without_texts(checkpoint.facts, _languages(checkpoint.facts, languages))
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shelf, prefix=f".{name}.") as temporary:
        fresh = Path(temporary) / name
        fresh.mkdir()
        (fresh / FACTS).write_bytes(msgspec.json.encode(facts) + b"\n")
        shutil.copyfile(run / WEIGHTS, fresh / WEIGHTS)
        files = {each: describe_file(fresh / each) for each in (FACTS, WEIGHTS)}
        size = files[WEIGHTS].bytes
        if size > LIMIT:
            raise ZooError(
                f"{run}: {size:,} bytes of weights, and a parser of the zoo has at most {LIMIT:,}: quantize it first "
                "(`pqrnn quantize`), or train a smaller one"
            )
        entry = ZooEntry(
            name=name,
            summary=story.summary,
            languages=_languages(checkpoint.facts, languages),
            licence=strictest_licence(list(sets.values())),
            data=tuple(sets),
            parameters=checkpoint.model.parameters_count(),
            precision=facts.config.weights,
            work=work,
            figures=figures,
            files=files,
            revision=facts.revision,
        )
        (fresh / ENTRY).write_bytes(msgspec.json.format(msgspec.json.encode(entry), indent=1) + b"\n")
        (fresh / CARD).write_text(render_card(entry, facts, sets, story), encoding="utf-8")
        _check_equal(checkpoint, load_checkpoint(fresh))
        replace_directory(fresh, destination)
    return Shelved(destination, entry)


def recalibrate(folder: Path, calibration: Calibration, outside: Sequence[str] = ()) -> Shelved:
    """Give a parser of a shelf another calibration; its weights and what was measured of it stay.

    Args:
        folder: Folder of the parser.
        calibration: The calibration.
        outside: Short names of the data sets that texts out of scope came from, for the card.

    Raises:
        ZooError: The parser cannot be read, or a data set is unknown.
        CheckpointError: The same.
    """
    entry = read_entry(folder)
    facts = msgspec.structs.replace(load_facts(folder), calibration=calibration)
    sources = [f"{each.title} ({each.licence})" for each in choose_data_sets(outside).values()] if outside else []
    write_atomic(folder / FACTS, msgspec.json.encode(facts) + b"\n")
    entry = msgspec.structs.replace(entry, files={**entry.files, FACTS: describe_file(folder / FACTS)})
    write_atomic(folder / ENTRY, msgspec.json.format(msgspec.json.encode(entry), indent=1) + b"\n")
    card = update_scores((folder / CARD).read_text(encoding="utf-8"), entry, calibration, sources)
    write_atomic(folder / CARD, card.encode())
    return Shelved(folder, entry)


def _without_texts(facts: Facts[ModelConfig], languages: Sequence[str]) -> Facts[ModelConfig]:
    """Return the facts with generated golden texts and without the paths of the machine that trained it."""
    generated = [
        language for language in home_locales() if any(match_locale(each, language) for each in languages)
    ] or ["en"]
    texts = [
        example.text
        for example in load_home_examples("test", ",".join(generated), count=-(-GOLDEN_TEXTS // len(generated)))
    ]
    data = {key: _cut_paths(value) if isinstance(value, str) else value for key, value in facts.data.items()}
    training = _cut_absolute(facts.training)
    return msgspec.structs.replace(facts, golden_texts=texts[:GOLDEN_TEXTS], data=data, training=training)


def _cut_absolute(value: Any) -> Any:
    """Leave the last two parts of every path of this machine, however deep in settings it stands."""
    if isinstance(value, dict):
        return {key: _cut_absolute(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_cut_absolute(each) for each in value]
    if isinstance(value, str) and any(Path(spec.rpartition(":")[2]).is_absolute() for spec in value.split(",")):
        return _cut_paths(value)
    return value


def _cut_paths(text: str) -> str:
    """Leave the last two parts of every path in a comma-separated list.

    `mtop:/data/mtop/spans` becomes `mtop:mtop/spans`.
    """
    shown = []
    for spec in text.split(","):
        prefix, colon, path = spec.rpartition(":")
        shown.append(
            f"{prefix}{colon}{'/'.join(part for part in Path(path).parts[-2:] if part not in ('/', '..', '.'))}"
        )
    return ",".join(shown)


def _languages(facts: Facts[ModelConfig], given: Sequence[str]) -> tuple[str, ...]:
    found = tuple(given) or tuple(filter(None, str(facts.data.get("locale", "")).split(",")))
    if not found:
        raise ZooError("the checkpoint does not say which languages it was trained on: name them with --lang")
    return found


def _choose_figures(results: Path, work: str, beside: Sequence[str]) -> tuple[ResultRow, ...]:
    try:
        rows = msgspec.json.decode(read_bounded(results, 64 << 20), type=_Results).rows
    except (OSError, *JSON_ERRORS) as error:
        raise ZooError(f"{results}: cannot be read as kept results: {shorten(error)}") from error
    for wanted in (work, *beside):
        if not any(row.work == wanted for row in rows):
            raise ZooError(
                f"{results}: has no rows of {wanted!r}; it has those of "
                f"{', '.join(dict.fromkeys(row.work for row in rows)) or 'nothing'}"
            )
    # An entry quotes figures without their unit and their program, which cards do not show.
    return tuple(msgspec.structs.replace(row, unit="", peer="") for row in rows if row.work in (work, *beside))


def _check_equal(given: Checkpoint, copied: Checkpoint) -> None:
    """See that what was written is the parser that was given."""
    pairs = zip(given.model.state_dict().items(), copied.model.state_dict().items(), strict=True)
    if not all(name == other and torch.equal(value, again) for (name, value), (other, again) in pairs):
        raise ZooError("the copy does not hold the same weights: the files changed meanwhile")
