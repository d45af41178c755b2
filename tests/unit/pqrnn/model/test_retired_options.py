"""Checkpoints that name options of before: read where they have no effect, refused where they have one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pqrnn.checkpoint import load_checkpoint, load_facts
from pqrnn.errors import CheckpointError
from pqrnn.model.retired_options import add_retired_options, drop_absent, drop_retired_options
from pqrnn.recipes.settings import ModelConfig
from pqrnn.zoo.shelf import SHIPPED

FOLDER = SHIPPED / "snips-en"


def change(folder: Path, **options: Any) -> Path:
    """A copy of a shipped parser whose shape has other options."""
    content = json.loads((FOLDER / "checkpoint.json").read_text())
    for name, value in options.items():
        (content["config"]["projection"] if name == "ngram_limit" else content["config"])[name] = value
    (folder / "checkpoint.json").write_text(json.dumps(content))
    (folder / "model.safetensors").write_bytes((FOLDER / "model.safetensors").read_bytes())
    return folder


def test_options_at_their_defaults_are_left_out(tmp_path: Path) -> None:
    folder = change(tmp_path, pool_heads=1, pool_inputs=False, ngram_limit=1)
    assert load_checkpoint(folder).facts == load_facts(FOLDER)


@pytest.mark.parametrize(("name", "value"), [("pool_heads", 4), ("pool_inputs", True), ("ngram_limit", 7)])
def test_an_option_that_is_no_longer_there_is_named_with_its_value(tmp_path: Path, name: str, value: Any) -> None:
    folder = change(tmp_path, **{name: value})
    with pytest.raises(CheckpointError, match=f"checkpoint.json: trained with {name} = {value}, .* revision"):
        load_facts(folder)


def test_settings_are_written_as_an_earlier_version_wrote_them() -> None:
    now = msgspec.to_builtins(ModelConfig())
    before = add_retired_options(now)
    assert (before["pool_heads"], before["pool_inputs"], before["projection"]["ngram_limit"]) == (1, False, 1)
    assert drop_retired_options(before) == now


def test_options_that_do_nothing_leave_fingerprints_of_before() -> None:
    assert drop_absent({"swap": 0.0, "restyle": 0.0}) == {"swap": 0.0}
    assert drop_absent({"swap": 0.0, "restyle": 0.1}) == {"swap": 0.0, "restyle": 0.1}
    assert drop_absent({"precision": "int8", "weight_bits": 8}) == {"precision": "int8"}
    assert drop_absent({"precision": "int8", "weight_bits": 4}) == {"precision": "int8", "weight_bits": 4}
