"""A short run of what `make fuzz` runs for long, and that it would see what it looks for."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.fuzz import Count, describe, fuzz_files, join
from benchmarks.fuzzing.decode import WEIGHTS, build_fuzzer, find_compiler, run_fuzzer
from benchmarks.fuzzing.files import Reader, change, draw_faults, make_readers
from benchmarks.fuzzing.texts import draw_texts
from benchmarks.hostile.kinds import PACKAGE
from benchmarks.hostile.subjects import make_subject
from pqrnn.data.formats import BY_NAME
from pqrnn.data.loader import guess_format
from pqrnn.errors import DataError
from runtime_py.decode.answers import encode_text
from runtime_py.package_format.package import open_package


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    make_subject(folder, b"no code " * 100)
    return folder


def test_good_files_of_every_format_are_read(subject: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(subject, tmp_path / "subject")
    readers = make_readers(tmp_path / "subject")
    assert all(reader.read() == "" for reader in readers)
    known = {guess_format(reader.path).name for reader in readers if reader.name.startswith("data")}
    assert len(known) == 12
    assert known <= set(BY_NAME)


def test_changed_files_are_read_or_refused(subject: Path) -> None:
    counts = fuzz_files(subject, 60, 230, seed=7)
    assert join(counts).drawn >= 230
    assert not join(counts).faults


def test_a_reader_that_fails_or_loses_something_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    failing = Reader("failing", path, lambda: {}["no"], (DataError,))
    losing = Reader("losing", path, lambda: "3 examples of 4 rows", (DataError,))
    assert "KeyError" in next(draw_faults(failing, random.Random(0)))
    assert next(draw_faults(losing, random.Random(0))) == "3 examples of 4 rows"
    assert path.read_bytes() == b"0123456789"


def test_texts_are_of_every_plane_and_of_ill_formed_bytes() -> None:
    texts = list(islice(draw_texts(1), 3000))
    strings = "".join(text for text in texts if isinstance(text, str))
    assert {ord(character) >> 16 for character in strings} == set(range(17))
    assert any("\ud800" <= character <= "\udfff" for character in strings)
    raw = [text for text in texts if isinstance(text, bytes)]
    assert any("\ufffd" in encode_text(text)[0] for text in raw)
    assert texts == list(islice(draw_texts(1), 3000))


def test_changes_are_drawn_from_the_seed() -> None:
    assert change(b"x" * 50, random.Random(3)) == change(b"x" * 50, random.Random(3))
    assert len({change(b"x" * 50, random.Random(seed)) for seed in range(50)}) > 40


def test_c_decisions_step_nowhere_beyond(subject: Path, tmp_path: Path) -> None:
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no C compiler: none of cc, gcc, clang is on the PATH")
    program = build_fuzzer(tmp_path, open_package(subject / PACKAGE).manifest, WEIGHTS[0], compiler)
    assert run_fuzzer(program, 1, 100) == ""


def test_rows_tell_what_was_drawn_and_what_was_wrong() -> None:
    from collections import Counter

    rows = describe([Count("texts", 10, Counter()), Count("files", 5, Counter({"hangs": 2}))], "a.pqrnn")
    assert [(row.metric, row.value, row.n, row.peer) for row in rows] == [
        ("texts", 10, 10, "a.pqrnn"),
        ("files", 3, 5, ""),
    ]
    assert rows[1].note == "2 times hangs"
