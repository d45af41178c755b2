"""The add-on of Home Assistant: its options are those that its program reads, and mistakes in them are said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from runtime_py.service import addon_start

_FOLDER = Path(addon_start.__file__).with_name("addon")


def test_the_options_of_the_configuration_are_those_that_are_read(tmp_path: Path) -> None:
    config = yaml.safe_load((_FOLDER / "config.yaml").read_text(encoding="utf-8"))
    assert set(config["options"]) == set(config["schema"]) == set(addon_start.Options.__struct_fields__)
    path = tmp_path / "options.json"
    path.write_text(json.dumps(config["options"]))
    options = addon_start.read_options(path)
    assert [(each.language, each.package) for each in options.parsers] == [("en", "home-en.pqrnn")]
    assert options.min_score == 0.5
    assert re.fullmatch(config["schema"]["min_score"][len("match(") : -1], "recommended")
    path.write_text(json.dumps(config["options"] | {"min_score": "recommended"}))
    assert addon_start.read_options(path).min_score == "recommended"
    path.write_text(json.dumps(config["options"] | {"min_score": 0.25}))  # as older versions wrote it
    assert addon_start.read_options(path).min_score == 0.25
    assert list(config["ports"]) == [f"{addon_start.PORT}/tcp"]
    assert config["discovery"] == ["wyoming"]


def test_the_image_starts_the_program() -> None:
    text = (_FOLDER / "Dockerfile").read_text(encoding="utf-8")
    assert addon_start.__name__ in text
    assert "[wyoming]" in text
    for option in addon_start.Options.__struct_fields__:
        assert f"| `{option}` |" in (_FOLDER / "DOCS.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "options.json"),
        ('{"parsers": []}', "length"),
        ('{"parsers": [{"language": "en"}]}', "package"),
        ('{"parsers": [{"language": "en", "package": "nowhere.pqrnn"}]}', "nowhere.pqrnn"),
        (None, "cannot be read"),
    ],
)
def test_mistakes_are_said_in_one_line(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "options.json"
    if text is not None:
        path.write_text(text)
    assert addon_start.main(path, tmp_path, 0) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
