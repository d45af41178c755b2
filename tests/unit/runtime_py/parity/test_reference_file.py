"""Reference files come back as they were written, and damaged ones are an error that names the file."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers.references import PLAY, TIMES, make_fake_reference

from runtime_py.errors import ReferenceFileError
from runtime_py.parity.reference_file import Reference, find_largest, load_reference, save_reference


def _made(teacher: bool = True) -> Reference:
    return make_fake_reference(
        [TIMES, PLAY, ("weather", ())],
        [TIMES, PLAY, PLAY],
        [TIMES, TIMES, PLAY] if teacher else None,
        locales=("en", ""),
    )


@pytest.mark.parametrize("teacher", [True, False])
def test_a_reference_comes_back(tmp_path: Path, teacher: bool) -> None:
    made = _made(teacher)
    save_reference(tmp_path / "a.reference", made)
    save_reference(tmp_path / "b.reference", made)
    assert (tmp_path / "a.reference").read_bytes() == (tmp_path / "b.reference").read_bytes()
    read = load_reference(tmp_path / "a.reference")
    assert len(read.digest) == 64
    for field in ("meta", "texts", "gold", "student", "teacher"):
        assert getattr(read, field) == getattr(made, field)
    for field in ("locales", "spans", "word_offsets"):
        np.testing.assert_array_equal(getattr(read, field), getattr(made, field))
    np.testing.assert_array_equal(read.student_logits.tag_logits, made.student_logits.tag_logits)
    assert (read.teacher_logits is None) is not teacher
    np.testing.assert_array_equal(read.exact.vectors.tolerances, made.exact.vectors.tolerances)  # type: ignore[arg-type]


def test_it_is_read_without_pickle_and_holds_no_objects(tmp_path: Path) -> None:
    save_reference(tmp_path / "a.reference", _made())
    with np.load(tmp_path / "a.reference", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)
    np.savez(tmp_path / "pickle.reference.npz", meta=np.array([{}], dtype=object))
    with pytest.raises(ReferenceFileError, match=r"pickle\.reference"):
        load_reference(tmp_path / "pickle.reference.npz")


def test_the_largest_logits_are_kept_in_their_order() -> None:
    largest = find_largest(np.array([[0.5, 3.0, 1.0, -2.0, 2.0]]), np.array([[1.0, 2.0], [5.0, 5.0]]), 3, 2)
    assert largest.intents.tolist() == [[1, 4, 2]]
    assert largest.intent_logits.tolist() == [[3.0, 2.0, 1.0]]
    assert largest.tags.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "changes",
    [
        {"gold": (TIMES,)},
        {"teacher": None},
        {"locales": np.array([0, 1, 2], np.int32)},
        {"locales": np.array([0, -1, 0], np.int32)},
        {"word_offsets": np.array([0, 4, 2, 6], np.int32)},
        {"spans": np.zeros((5, 2), np.int32)},
        {"texts": (b"a", b"b", b"c" * (1 << 17))},
    ],
)
def test_parts_that_do_not_fit_are_not_written(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises((ReferenceFileError, ValueError)):
        save_reference(tmp_path / "a.reference", dataclasses.replace(_made(), **changes))
    assert not (tmp_path / "a.reference").exists()


def _rewrite(path: Path, **arrays: Any) -> None:
    """Write the file again with other arrays; None leaves one out."""
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files}
    for name, array in arrays.items():
        content.pop(name, None)
        if array is not None:
            content[name] = array
    with path.open("wb") as stream:
        np.savez_compressed(stream, **content)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("meta", np.frombuffer(b'{"format": "2.0"}', np.uint8)),
        ("meta", np.frombuffer(b"[]", np.uint8)),
        ("meta", np.frombuffer(b"\xff", np.uint8)),
        ("meta", np.frombuffer(b"[" * 100_000, np.uint8)),
        ("meta", None),
        ("gold.intents", np.array([0, 1, 99], np.int32)),
        ("gold.intents", np.array([0, -1, 1], np.int32)),
        ("gold.intents", np.array([0.5, 1, 1])),
        ("gold.slots", np.array([[7, 0, 1]], np.int32)),
        ("gold.slots", np.array([[-1, 0, 1]], np.int32)),
        ("student.slot_offsets", np.array([0, 5, 1, 1], np.int32)),
        ("teacher.intents", None),
        ("text_offsets", np.array([0, 2, 1, 24], np.int32)),
        ("student.largest.intents", np.full((3, 2), 9, np.uint16)),
        ("student.largest.tag_logits", np.zeros((1, 1), np.float16)),
        ("exact.settled", np.ones(1, np.bool_)),
        ("exact.intent", np.full((3, 2), np.nan, np.float32)),
        ("exact.intent", np.zeros((3, 5), np.float32)),
        ("exact.tolerances", np.array([1e-3, -1.0, 1e-3], np.float32)),
        ("exact.tolerances", None),
        ("word_offsets", np.zeros(4, np.int64)),
    ],
)
def test_what_does_not_fit_is_refused_with_the_file_named(tmp_path: Path, name: str, array: Any) -> None:
    save_reference(tmp_path / "a.reference", _made())
    _rewrite(tmp_path / "a.reference", **{name: array})
    with pytest.raises(ReferenceFileError, match=r"a\.reference"):
        load_reference(tmp_path / "a.reference")


def test_another_format_says_what_to_do(tmp_path: Path) -> None:
    save_reference(tmp_path / "a.reference", _made())
    meta = msgspec.json.decode(np.load(tmp_path / "a.reference")["meta"].tobytes())
    _rewrite(tmp_path / "a.reference", meta=np.frombuffer(msgspec.json.encode(meta | {"format": "2.0"}), np.uint8))
    with pytest.raises(ReferenceFileError, match=r"format 2\.0, and this version of pqrnn reads 1\.0"):
        load_reference(tmp_path / "a.reference")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", b"\x00" * 4096])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.reference").write_bytes(content)
    with pytest.raises(ReferenceFileError, match=r"a\.reference: cannot be read as a reference file"):
        load_reference(tmp_path / "a.reference")
    with pytest.raises(ReferenceFileError, match="missing"):
        load_reference(tmp_path / "missing")


def test_an_archive_that_would_not_fit_in_memory_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "a.reference", "w") as archive:
        archive.writestr("meta.npy", header.getvalue())
    with pytest.raises(ReferenceFileError, match="lacks"):
        load_reference(tmp_path / "a.reference")


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.reference"
    if not whole.exists():
        save_reference(whole, _made())
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "damaged.reference").write_bytes(bytes(content))
    try:
        load_reference(folder / "damaged.reference")
    except ReferenceFileError as error:
        assert "damaged.reference" in str(error)
