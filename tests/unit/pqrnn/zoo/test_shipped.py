"""The parsers that come with pqrnn are those that its code names, to the last bit."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pqrnn.cli.locate import find_run
from pqrnn.errors import ZooError
from pqrnn.zoo import shelf
from pqrnn.zoo.shelf import ENTRY, SHIPPED, check_files, find_parser, list_parsers
from pqrnn.zoo.shipped import ENTRIES

NAME = "snips-en"


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped shelf with one parser."""
    shutil.copytree(SHIPPED / NAME, tmp_path / "shelf" / NAME)
    monkeypatch.setattr(shelf, "SHIPPED", tmp_path / "shelf")
    return tmp_path / "shelf" / NAME


def test_every_shipped_entry_has_its_line() -> None:
    entries = {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in SHIPPED.glob(f"*/{ENTRY}")}
    assert entries == ENTRIES, "put the digests of new entries into pqrnn/zoo/shipped.py"
    for parser in list_parsers():
        check_files(parser)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(data=st.data())
def test_no_bit_of_a_shipped_parser_can_be_changed(changed: Path, data: st.DataObject) -> None:
    file = changed / data.draw(st.sampled_from([ENTRY, "model.safetensors", "checkpoint.json"]))
    content = file.read_bytes()
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    with file.open("r+b") as stream:
        stream.seek(bit // 8)
        stream.write(bytes([content[bit // 8] ^ 1 << bit % 8]))
    try:
        with pytest.raises(ZooError, match=f"^{file}: "):
            find_run(Path(NAME))
    finally:
        file.write_bytes(content)
    assert find_run(Path(NAME)) == changed


def test_what_is_planted_on_the_shipped_shelf_is_not_taken(changed: Path) -> None:
    changed.rename(changed.with_name("mine"))
    with pytest.raises(ZooError):
        find_parser("mine")


def test_shelves_of_others_are_their_own_affair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SHIPPED / NAME, tmp_path / NAME)
    (tmp_path / NAME / ENTRY).write_bytes((tmp_path / NAME / ENTRY).read_bytes() + b"\n")
    monkeypatch.setenv("PQRNN_ZOO", str(tmp_path))
    assert find_run(Path(NAME)) == tmp_path / NAME
