"""Golden decisions bind labels, counts, tolerances and facts to the golden vectors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers.runtime_fakes import fake_golden, fake_manifest, write_fake

from runtime_py.errors import PackageError
from runtime_py.execute.logits import Logits
from runtime_py.package_format.arrays import read_archive
from runtime_py.package_format.decisions import (
    DECISIONS_PATH,
    Decision,
    decide_golden,
    describe_decisions,
    load_decisions,
    save_decisions,
)
from runtime_py.package_format.golden import load_golden, save_golden
from runtime_py.package_format.manifest import Bucket, Manifest
from runtime_py.package_format.package import open_package, seal
from runtime_py.tools.check import find_inconsistencies
from runtime_py.tools.comparison import Comparison
from runtime_py.tools.inspect import measure_parts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    manifest = write_fake(tmp_path / "fake.pqrnn")
    described = describe_decisions(manifest, fake_golden(), manifest.files[manifest.golden.path].sha256)
    save_decisions(tmp_path / "fake.pqrnn" / DECISIONS_PATH, described)
    golden = msgspec.structs.replace(manifest.golden, decisions=DECISIONS_PATH)
    seal(tmp_path / "fake.pqrnn", msgspec.structs.replace(manifest, golden=golden))
    return tmp_path / "fake.pqrnn"


def find(path: Path, **changes: Any) -> list[str]:
    """Return what a check finds in the package, its manifest changed."""
    package = open_package(path)
    manifest: Manifest = msgspec.structs.replace(package.manifest, **changes)
    return find_inconsistencies(manifest, package.golden(), package.decisions())


def test_decisions_are_by_name_and_in_bytes(path: Path) -> None:
    assert decide_golden(fake_golden(), fake_manifest().labels.decoder()) == (
        Decision("alarm", (("time", 3, 8),)),
        Decision("music"),
    )
    decisions = open_package(path).decisions()
    assert decisions is not None
    assert (decisions.texts, decisions.words, decisions.tolerance) == (2, 3, 1e-5)
    assert find(path) == []


def test_their_bytes_are_told_by_name(path: Path) -> None:
    parts = {part.part: part.bytes for part in measure_parts(open_package(path))}
    assert parts["golden decisions"] == (path / DECISIONS_PATH).stat().st_size
    assert "other" not in parts


def test_packages_of_before_have_none_and_are_still_checked(path: Path) -> None:
    package = open_package(path)
    assert find_inconsistencies(package.manifest, package.golden(), None) == []


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("labels", {"intents": ("music", "alarm")}, "the labels, frames or counts of frames"),
        ("labels", {"tags": ("O", "I-time", "B-time")}, "the labels, frames or counts of frames"),
        ("labels", {"frames": ((), (0,))}, "the labels, frames or counts of frames"),
        ("labels", {"frame_counts": (((5, 0),), ((3,),))}, "the labels, frames or counts of frames"),
        ("model", {"metrics": {"exact_match": 0.99}}, "the facts of the model"),
        ("model", {"data_fingerprint": "0" * 64}, "the facts of the model"),
        ("golden", {"texts": 1}, "states 1 golden texts"),
        ("golden", {"words": 2}, "states 2 golden words"),
        ("golden", {"tolerance": 1e30}, "a tolerance of 1e\\+30"),
        ("golden", {"tolerance": 1e-4}, "a tolerance of 0.0001"),
    ],
)
def test_what_is_changed_in_the_manifest_is_said(path: Path, part: str, changes: dict[str, Any], said: str) -> None:
    changed = msgspec.structs.replace(getattr(open_package(path).manifest, part), **changes)
    found = "\n".join(find(path, **{part: changed}))
    assert re.search(said, found), found


def test_other_buckets_are_said(path: Path) -> None:
    found = find(path, buckets=[Bucket(words=8, bytes=64, entry="parse_8"), Bucket(words=15, bytes=128, entry="p")])
    assert found == ["the length buckets of the manifest are not those that the golden decisions were made for"]


def test_exchanged_golden_vectors_are_said(path: Path) -> None:
    vectors = fake_golden()
    save_golden(path / "golden" / "golden.npz", type(vectors)(*_first_text(vectors)))
    manifest = open_package(path).manifest
    golden = msgspec.structs.replace(manifest.golden, texts=1, words=2)
    seal(path, msgspec.structs.replace(manifest, golden=golden))
    found = "\n".join(find(path))
    assert "the golden vectors of the manifest are not those" in found
    assert "decisions are of 2 texts, the manifest states 1, and the vectors hold 1" in found


def _first_text(vectors: Any) -> tuple[Any, ...]:
    return vectors.texts[:1], vectors.intent[:1], vectors.tags[:2], vectors.spans[:2], vectors.word_offsets[:2]


@pytest.mark.parametrize(("tolerance", "fine"), [(0.4, True), (0.6, False), (1e30, False)])
def test_a_bound_that_would_let_wrong_decisions_pass_is_found(path: Path, tolerance: float, fine: bool) -> None:
    # The smallest margin of the two texts is 1, so a bound of half that proves nothing any more.
    vectors = fake_golden()
    bounds = np.full(2, tolerance, np.float32)
    save_golden(path / "golden" / "golden.npz", type(vectors)(*_arrays(vectors), bounds))
    manifest = open_package(path).manifest
    seal(
        path,
        msgspec.structs.replace(manifest, golden=msgspec.structs.replace(manifest.golden, tolerance=1.01 * tolerance)),
    )
    package = open_package(path)
    found = find_inconsistencies(package.manifest, package.golden(), None)
    assert (found == []) is fine
    assert fine or "tolerance within which their decision could change" in found[0]


def _arrays(vectors: Any) -> tuple[Any, ...]:
    return vectors.texts, vectors.intent, vectors.tags, vectors.spans, vectors.word_offsets


def test_without_a_bound_for_each_text_one_over_most_margins_is_found(path: Path) -> None:
    package = open_package(path)
    golden = msgspec.structs.replace(package.manifest.golden, tolerance=1e30, decisions=None)
    found = find_inconsistencies(msgspec.structs.replace(package.manifest, golden=golden), package.golden(), None)
    assert found == ["the tolerance of 1e+30 is larger than the margin of most golden texts"]


def test_a_bound_larger_than_the_manifest_states_is_found(path: Path) -> None:
    vectors = fake_golden()
    save_golden(path / "golden" / "golden.npz", type(vectors)(*_arrays(vectors), np.full(2, 0.1, np.float32)))
    manifest = open_package(path).manifest
    seal(path, manifest)
    assert "allow a difference of 0.1, the manifest one of 1e-05" in "\n".join(find(path))


def test_right_logits_under_exchanged_names_are_flips_by_name() -> None:
    golden, manifest = fake_golden(), fake_manifest()
    decisions = decide_golden(golden, manifest.labels.decoder())
    exchanged = msgspec.structs.replace(manifest.labels, intents=("music", "alarm")).decoder()
    for decoder, flips in ((manifest.labels.decoder(), 0), (exchanged, 2)):
        comparison = Comparison(golden, 1e-5, decoder, decisions)
        for index in range(2):
            rows = golden.words(index)
            logits = Logits(golden.intent[index], golden.tags[rows], golden.spans[rows], False, 8)
            comparison.add(index, [logits])
        parity = comparison.parity(1, "", "")
        assert (parity.decision_flips, parity.intent_flips, parity.passed) == (flips, 0, not flips)


def test_each_text_has_its_own_bound() -> None:
    vectors = fake_golden()
    golden = type(vectors)(*_arrays(vectors), np.array([1e-6, 0.1], np.float32))
    comparison = Comparison(golden, 0.1)
    for index in range(2):
        rows = golden.words(index)
        logits = Logits(golden.intent[index] + np.float32(1e-3), golden.tags[rows], golden.spans[rows], False, 8)
        comparison.add(index, [logits])
    assert comparison.failures() == ["1 texts over the tolerance of 1e-06 (largest difference 0.001)"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2", b'{"vectors": 1}', b"\xff\xfe", b"[" * 100_000])
def test_damaged_decisions_are_an_error_that_names_the_file(path: Path, content: bytes) -> None:
    (path / DECISIONS_PATH).write_bytes(content)
    with pytest.raises(PackageError, match=r"decisions\.json"):
        load_decisions(path / DECISIONS_PATH)
    with pytest.raises(PackageError, match=r"decisions\.json"):
        open_package(path).decisions()


@settings(max_examples=200)
@given(data=st.data())
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.npz"
    if not whole.exists():
        save_golden(whole, fake_golden())
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    (folder / "damaged.npz").write_bytes(bytes(content[: cut or None]))
    try:
        load_golden(folder / "damaged.npz")
    except PackageError as error:
        assert "damaged.npz" in str(error)


def test_an_archive_that_claims_too_much_takes_no_memory(tmp_path: Path) -> None:
    import io
    import zipfile

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("text.npy", header.getvalue() + b"\0" * 64)
    with pytest.raises(PackageError, match="does not fit"):
        read_archive(tmp_path / "huge.npz", ["text"], "a test")
    np.savez_compressed(tmp_path / "bomb.npz", text=np.zeros(1 << 20, np.uint8))
    with pytest.raises(PackageError, match="has at most"):
        read_archive(tmp_path / "bomb.npz", ["text"], "a test", largest=1 << 16)
