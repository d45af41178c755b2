"""The state of a build: what differs from the build that is there is said by name, and earlier states are read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from makers.rooms import make_rooms

from pqrnn.building.build import _Build, preview_build
from pqrnn.building.state import STATE, BuildState, list_differences, open_state, save_state
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.errors import BuildError
from pqrnn.recipes.fields import change
from pqrnn.recipes.recipes import BuildRecipe

_BEFORE: dict[str, Any] = {
    "recipe": {"train": {"training": {"epochs": 3}}, "rounds": [{"dropout": 0.1}], "seeds": [1, 2]},
    "encoder": "minilm",
    "training utterances": "aa",
    "unlabelled texts": "bb",
}


def test_differences_are_named_by_their_path() -> None:
    now = {
        "recipe": {"train": {"training": {"epochs": 5}}, "rounds": [{"dropout": 0.2}], "seeds": [1]},
        "encoder": None,
        "training utterances": "cc",
        "unlabelled texts": "bb",
    }
    assert list_differences(_BEFORE, now) == [
        "train.training.epochs 3 there, 5 here",
        "rounds[0].dropout 0.1 there, 0.2 here",
        "seeds [1, 2] there, [1] here",
        "encoder minilm there, None here",
        "training utterances are others",
    ]
    assert list_differences(_BEFORE, _BEFORE) == []


def test_another_build_in_the_folder_is_refused_by_name(tmp_path: Path) -> None:
    save_state(tmp_path, BuildState(fingerprint="f", described=_BEFORE))
    assert open_state(tmp_path, "f", _BEFORE).described == _BEFORE
    with pytest.raises(BuildError, match=r"other settings or data .encoder minilm there, none here.;.*--restart"):
        open_state(tmp_path, "g", {**_BEFORE, "encoder": "none"})


def test_a_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / STATE).write_text(json.dumps({"format": 1, "fingerprint": "f", "stages": {}, "kept": ""}))
    assert open_state(tmp_path, "f", _BEFORE).described == {}
    with pytest.raises(BuildError, match=r"other settings or data; in a build"):
        open_state(tmp_path, "g", _BEFORE)


def test_a_build_names_the_setting_that_differs(tmp_path: Path) -> None:
    """As the command does: the recipe of the call against that of the folder."""
    data, out, work = tmp_path / "rooms.jsonl", tmp_path / "rooms.pqrnn", tmp_path / "work"
    data.write_text("".join(json.dumps({"text": each.text, "intent": each.intent}) + "\n" for each in make_rooms()))
    given: dict[str, Any] = {"encoder": "none", "dev_share": 0.2, "work": work}
    run = _Build(str(data), out, None, "none", [], None, None, 0.2, work, None)
    save_state(work, run.state)
    assert preview_build(str(data), out, **given).finished == []
    recipe = change(BuildRecipe(), {"train.training.epochs": 7})
    with pytest.raises(BuildError, match=r"\(train.training.epochs 40 there, 7 here\)"):
        preview_build(str(data), out, recipe=recipe, **given)
    # Builds that an earlier version began have this fingerprint.
    decisive = [run.described[name] for name in ("recipe", "encoder")]
    decisive += [fingerprint_examples(part) for part in (run.loaded.training, run.loaded.development)]
    decisive.append(hashlib.sha256(b"").hexdigest())
    assert run.state.fingerprint == hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
