"""Options that the shape of a parser had once. Checkpoints of that time name them.

Where such an option has its default, the parser is one that this version has, too, and the option is left out. Every
other value shapes a network that is no longer there.
"""

from __future__ import annotations

from typing import Any

from pqrnn.errors import CheckpointError

LAST_REVISION = "4179899"  # the last commit that has them

_MODEL: dict[str, Any] = {"pool_heads": 1, "pool_inputs": False}
_PROJECTION: dict[str, Any] = {"ngram_limit": 1}
_ABSENT: dict[str, Any] = {"restyle": 0, "variant_restyle": 0, "weight_bits": 8}
_SECTION = "adaptive"  # settings that do nothing unless they are enabled
_OF_TRANSFORMERS = ("network", "transformer")


def drop_retired_options(config: dict[str, Any]) -> dict[str, Any]:
    """Return a decoded `ModelConfig` of any version without the options that are gone.

    Raises:
        CheckpointError: one of them has another value than its default.
    """
    kept = _drop(config, _MODEL)
    if isinstance(kept.get("projection"), dict):
        kept["projection"] = _drop(kept["projection"], _PROJECTION)
    return kept


def add_retired_options(config: dict[str, Any]) -> dict[str, Any]:
    """Return the same settings as an earlier version would write them: fingerprints of then remain valid."""
    return {**config, **_MODEL, "projection": {**config["projection"], **_PROJECTION}}


def drop_transformer(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a QRNN as versions without other networks wrote them; of others as they are."""
    if config["network"] != "qrnn":
        return config
    return {name: value for name, value in config.items() if name not in _OF_TRANSFORMERS}


def drop_absent(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings without options that earlier versions had not, where they mean what those versions did."""
    return {
        name: value
        for name, value in settings.items()
        if (name not in _ABSENT or value != _ABSENT[name]) and (name != _SECTION or value["enabled"])
    }


def _drop(values: dict[str, Any], retired: dict[str, Any]) -> dict[str, Any]:
    for option, default in retired.items():
        if values.get(option, default) != default:
            raise CheckpointError(
                f"trained with {option} = {values[option]}, an option that pqrnn no longer has; revision "
                f"{LAST_REVISION} is the last one that reads it. Train the parser again without it"
            )
    return {name: value for name, value in values.items() if name not in retired}
