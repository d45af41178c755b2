"""A trained parser on disk: `model.safetensors` and `checkpoint.json` in one folder. No pickle."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from safetensors.torch import save

from pqrnn.errors import CheckpointError
from pqrnn.model.budget import Budget
from pqrnn.model.length_config import check_lengths
from pqrnn.model.network import Network
from pqrnn.model.parser import ParserModel
from pqrnn.model.retired_options import drop_retired_options
from pqrnn.model.shape import check_shape, count_weights
from pqrnn.recipes.settings import ModelConfig
from pqrnn.run_folder import ENCODER, FACTS, QUESTIONS, STATE, WEIGHTS
from pqrnn.weight_files import LARGEST_WEIGHTS, check_enough, load_tensors
from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import check_extent, check_regular, is_deeper, read_bounded, shorten
from runtime_py.decode.calibration import Calibration
from runtime_py.decode.labels import Labels
from runtime_py.errors import SchemaError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.manifest_codec import check_calibration, check_labels

FORMAT = 1
LARGEST_FACTS = 16 << 20  # bytes
_DEEPEST = 32

Length = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
Config = TypeVar("Config", bound=msgspec.Struct)


class Facts(msgspec.Struct, Generic[Config], frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of a checkpoint but its weights.

    Attributes:
        format: Format of this file; the reader refuses another one.
        config: Shape of the network.
        labels: Names of its outputs.
        data: Where the training data came from and their SHA-256 (`pqrnn.data.fingerprint`).
        revision: Git commit of the code that trained it, with "+" where the tree had changes.
        training: Settings of the run.
        metrics: Scores on the development split, as fractions of 1.
        lengths: [words, bytes, texts] over the training texts: how length buckets are chosen.
        golden_texts: Training texts that every compiled variant is checked with.
        calibration: What turns its logits into probabilities (`pqrnn calibrate`); None where none was fitted.
        budgets: Parts of the network that serve smaller budgets, by rising cost, the whole network last
            (`pqrnn budget`); empty where none were searched.
    """

    format: int = FORMAT
    config: Config
    labels: Labels
    data: dict[str, Any]
    revision: str
    training: dict[str, Any]
    metrics: dict[str, Any]
    lengths: list[tuple[Length, Length, Length]]
    golden_texts: list[str]
    calibration: Calibration | None = None
    budgets: list[Budget] = []


class Checkpoint(msgspec.Struct, frozen=True):
    """A model ready for evaluation (`eval()`), and its facts."""

    model: ParserModel
    facts: Facts[ModelConfig]


def save_checkpoint(folder: Path, model: Network, facts: Facts[Any]) -> None:
    """Write both files, each atomically, the facts last: a folder with facts is whole."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.stored().items()}
    write_atomic(folder / WEIGHTS, save(weights))
    save_facts(folder, facts)


def save_facts(folder: Path, facts: Facts[Any]) -> None:
    """Write `checkpoint.json` alone, atomically, beside the weights that are there."""
    write_atomic(folder / FACTS, msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")


def training_identity(facts: Facts[Any]) -> Any:
    """Return what tells the run of a checkpoint from others: the digest of its settings, and how it departed from them.

    Settings that were changed under way and an end before the last epoch make other weights of the same settings.
    """
    settings = facts.training.get("settings")
    departures = {name: facts.training[name] for name in ("changes", "ended_early") if name in facts.training}
    return [settings, departures] if departures else settings


def load_facts(folder: Path) -> Facts[ModelConfig]:
    """Read `checkpoint.json` of a trained parser alone; errors as `read_facts`."""
    return read_facts(folder, ModelConfig)


def read_facts(folder: Path, config: type[Config]) -> Facts[Config]:
    """Read `checkpoint.json` alone.

    Args:
        folder: Folder of a trained parser or teacher.
        config: Type of the configuration that is expected there.

    Raises:
        CheckpointError: it is missing or not of this format.
    """
    path = folder / FACTS
    if not path.is_file():
        raise CheckpointError(f"{folder}: no {FACTS} here, so this is no trained parser{_tell_other(folder)}")
    try:
        content = msgspec.json.decode(check_extent(read_bounded(path, LARGEST_FACTS)))
        if is_deeper(content, _DEEPEST):
            raise CheckpointError(f"nested more than {_DEEPEST} deep")
        if config is ModelConfig and isinstance(content, dict) and isinstance(content.get("config"), dict):
            content["config"] = drop_retired_options(content["config"])
        facts: Facts[Config] = msgspec.convert(content, Facts[config])  # type: ignore[valid-type]
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except (*JSON_ERRORS, ValueError) as error:
        raise CheckpointError(
            f"{path}: {shorten(error)}; written by another version of pqrnn? This one reads format {FORMAT}"
        ) from error
    try:
        check_labels(facts.labels, str(path))
        check_calibration(facts.calibration, facts.labels, str(path))
    except SchemaError as error:
        raise CheckpointError(str(error)) from error
    if facts.format != FORMAT:
        raise CheckpointError(f"{path}: format {facts.format}, and this version of pqrnn reads format {FORMAT}")
    return facts


def _tell_other(folder: Path) -> str:
    """Return what a folder without a trained parser holds instead, where that is known."""
    if (folder / QUESTIONS).is_file():
        return f" but a model that answers questions: `pqrnn compile {folder}` packs it, `pqrnn ask` asks the package"
    if (folder / ENCODER).is_file():
        return (
            f" but an encoder without a task: `pqrnn train --initial {folder}` makes a parser of one that reads "
            f"words, `pqrnn finetune --encoder {folder}` of one that reads subwords"
        )
    if (folder / STATE).parent.is_dir():
        return " (a training run was begun here: run the same `pqrnn train` again to finish it)"
    return ""


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a trained parser.

    Raises:
        CheckpointError: a file is missing, damaged, or does not fit the other.
    """
    facts = load_facts(folder)
    intents, tags = len(facts.labels.intents), len(facts.labels.tags)
    try:
        check_shape(facts.config)
        check_enough(folder / WEIGHTS, count_weights(facts.config, intents, tags) * facts.config.weight_bits // 8)
        model = ParserModel(facts.config, intents, tags)
        for each in facts.budgets:
            check_lengths(each.lengths, model.adaptive_layers)
    except ValueError as error:
        raise CheckpointError(f"{folder / FACTS}: {shorten(error)}") from error
    if facts.config.precision == "int8":
        model = model.folded()
    load_weights(folder, model)
    return Checkpoint(model.eval(), facts)


def load_weights(folder: Path, model: Network) -> None:
    """Put the weights of a folder into a network.

    Raises:
        CheckpointError: the file is missing, damaged, or does not fit.
    """
    tensors = load_tensors(folder / WEIGHTS, model.stored())
    try:
        model.restore(tensors)
    except ValueError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: {error}; copy it again") from error


def digest_weights(folder: Path) -> str:
    """Return the SHA-256, in hexadecimal digits, of the weights of a folder: which parser it is.

    Raises:
        CheckpointError: there are none.
    """
    try:
        check_regular(folder / WEIGHTS, LARGEST_WEIGHTS)
        with (folder / WEIGHTS).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: cannot be read ({error.strerror})") from error


def read_revision() -> str:
    """Return the git commit of this code, "+" after it where the tree has changes, or "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+" if changed.strip() else "")
