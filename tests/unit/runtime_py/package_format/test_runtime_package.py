"""Packages on disk: damage is found before anything is used, and writing is all or nothing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from makers.runtime_fakes import fake_golden, fake_manifest, write_fake

from runtime_py.errors import DigestError, PackageError, SchemaError
from runtime_py.package_format.golden import join_golden, load_golden, save_golden
from runtime_py.package_format.manifest_bytes import MANIFEST_NAME
from runtime_py.package_format.package import collect_files, new_package, open_package, seal

CODE = "variants/host/module.vmfb"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_fake(tmp_path / "fake.pqrnn")
    return tmp_path / "fake.pqrnn"


def test_a_whole_package_opens(path: Path) -> None:
    package = open_package(path, verify=True)
    assert bytes(package.read_file(CODE)) == b"no code " * 100 + b"host"
    assert package.golden().texts == (b"at seven", "é".encode())
    assert package.variant("host").triple.startswith("x86_64")


def test_one_flipped_bit_is_found(path: Path) -> None:
    content = bytearray((path / CODE).read_bytes())
    content[17] ^= 4
    (path / CODE).write_bytes(content)
    with pytest.raises(DigestError, match="SHA-256"):
        open_package(path, verify=True)
    package = open_package(path)
    with pytest.raises(DigestError, match=r"module\.vmfb"):
        package.read_file(CODE)
    assert bytes(package.read_file(CODE, verify=False)) == bytes(content)


@pytest.mark.parametrize("keep", [0, 100])
def test_a_file_cut_short_is_found_without_hashing(path: Path, keep: int) -> None:
    (path / CODE).write_bytes((path / CODE).read_bytes()[:keep])
    with pytest.raises(DigestError, match=f"has {keep} bytes"):
        open_package(path).read_file(CODE, verify=False)


def test_damaged_golden_vectors_are_found(path: Path) -> None:
    (path / "golden/golden.npz").write_bytes(b"x" * (path / "golden/golden.npz").stat().st_size)
    with pytest.raises(DigestError, match=r"golden\.npz"):
        open_package(path).golden()


def test_a_missing_file_is_named(path: Path) -> None:
    (path / CODE).unlink()
    with pytest.raises(PackageError, match=r"module.vmfb: missing"):
        open_package(path, verify=True)


def test_what_is_no_package_is_said_to_be_none(path: Path, tmp_path: Path) -> None:
    for wrong, match in (
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path, "no manifest.json"),
        (path / MANIFEST_NAME, "is a file"),
    ):
        with pytest.raises(PackageError, match=match):
            open_package(wrong)


def test_a_package_of_links_is_read_where_it_is_verified(path: Path, tmp_path: Path) -> None:
    # As the Hugging Face cache lays it out: files by their digest, and a folder of links to them.
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    for number, file in enumerate(sorted(file for file in path.rglob("*") if file.is_file())):
        file.rename(blobs / str(number))
        link = snapshot / file.relative_to(path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    package = open_package(snapshot, verify=True)
    assert bytes(package.read_file(CODE)) == b"no code " * 100 + b"host"
    assert len(package.golden()) == 2
    with pytest.raises(PackageError, match=r"leads out of the package.*verify=True"):
        package.read_file(CODE, verify=False)
    (snapshot / CODE).resolve().write_bytes(b"no kode " * 100 + b"host")
    with pytest.raises(DigestError, match="SHA-256"):
        package.read_file(CODE)
    (snapshot / CODE).resolve().unlink()
    with pytest.raises(PackageError, match=r"is a link to .*blobs.*, which is missing"):
        package.read_file(CODE)


def test_a_link_within_the_package_needs_no_verification(path: Path) -> None:
    (path / CODE).rename(path / "module")
    (path / CODE).symlink_to(path / "module")
    assert open_package(path).read_file(CODE, verify=False)[:7] == b"no code"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_opened(path: Path, make: Callable[[Path], None]) -> None:
    (path / CODE).unlink()
    make(path / CODE)
    with pytest.raises(PackageError, match="missing"):
        open_package(path).read_file(CODE)
    make(path / "other")
    (path / CODE).unlink() if make is os.mkfifo else (path / CODE).rmdir()
    (path / CODE).symlink_to(path / "other")
    with pytest.raises(PackageError, match="missing or no file"):
        open_package(path).read_file(CODE)


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_what_was_read_stays_when_the_file_is_written_over(
    path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime_py.package_format.listed_file.LARGEST_READ", limit)
    content = open_package(path).read_file(CODE)
    with (path / CODE).open("r+b") as stream:  # as `cp` does: the same file, cut to nothing first
        stream.truncate(0)
        stream.write(b"x")
    if limit:  # where it was mapped, reading would end this process
        assert bytes(content) == b"no code " * 100 + b"host"


def test_a_file_that_is_cut_while_it_is_read_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = open_package(path)
    fstat = os.fstat

    def cut(descriptor: int) -> os.stat_result:
        state = fstat(descriptor)
        os.truncate(path / CODE, 100)
        return state

    monkeypatch.setattr("runtime_py.package_format.package.os.fstat", cut)
    with pytest.raises(PackageError, match=r"module\.vmfb: cannot be read \(it became shorter"):
        package.read_file(CODE)


@pytest.mark.parametrize("what", ["", "variants"])
def test_a_folder_that_may_not_be_searched_is_named(path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package, stat = open_package(path), os.stat

    def refuse(file: Any, **settings: Any) -> os.stat_result:  # root may search everything
        if Path(file).is_relative_to(path / what):
            raise PermissionError(13, "Permission denied")
        return stat(file, **settings)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(PackageError, match=r"cannot be read \(Permission denied\)"):
        package.read_file(CODE) if what else open_package(path)


def test_unlisted_files_and_variants_are_not_handed_out(path: Path) -> None:
    (path / "extra").write_text("x")
    package = open_package(path, verify=True)
    with pytest.raises(PackageError, match="lists no file 'extra'"):
        package.file("extra")
    with pytest.raises(PackageError, match="no variant 'vulkan'; the package has: host"):
        package.variant("vulkan")


def test_a_manifest_cut_short_is_refused(path: Path) -> None:
    data = (path / MANIFEST_NAME).read_bytes()
    for size in range(0, len(data) - 2, 97):
        (path / MANIFEST_NAME).write_bytes(data[:size])
        with pytest.raises(SchemaError):
            open_package(path)


def test_sealing_twice_gives_the_same_bytes(path: Path) -> None:
    before = (path / MANIFEST_NAME).read_bytes()
    seal(path, open_package(path).manifest)
    assert (path / MANIFEST_NAME).read_bytes() == before
    assert MANIFEST_NAME not in collect_files(path)
    assert sorted(os.listdir(path)) == ["golden", MANIFEST_NAME, "variants"]


def test_links_and_odd_names_cannot_be_sealed(path: Path) -> None:
    manifest = open_package(path).manifest
    (path / "link").symlink_to(path / CODE)
    with pytest.raises(PackageError, match="is a link"):
        seal(path, manifest)
    (path / "link").unlink()
    (path / "odd name").write_text("x")
    with pytest.raises(SchemaError, match="unsafe file name 'odd name'"):
        seal(path, manifest)


def test_a_new_package_appears_whole(tmp_path: Path) -> None:
    destination = tmp_path / "deep" / "new.pqrnn"
    with new_package(destination) as directory:
        assert not destination.exists()
        write_fake(directory)
    assert open_package(destination, verify=True).manifest.name == "fake"
    assert os.listdir(destination.parent) == ["new.pqrnn"]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_package(tmp_path / "new.pqrnn") as directory:
        write_fake(directory)
        raise ZeroDivisionError
    with pytest.raises(PackageError, match=r"manifest\.json"), new_package(tmp_path / "new.pqrnn") as directory:
        (directory / "module.vmfb").write_text("never sealed")
    assert os.listdir(tmp_path) == []


def test_replacing_is_asked_for_and_keeps_the_old_one_on_failure(path: Path) -> None:
    with pytest.raises(PackageError, match="exists already"), new_package(path):
        pass
    with pytest.raises(ZeroDivisionError), new_package(path, replace=True):
        raise ZeroDivisionError
    assert open_package(path, verify=True).manifest.name == "fake"
    with new_package(path, replace=True) as directory:
        write_fake(directory, msgspec.structs.replace(fake_manifest(), name="second"))
    assert open_package(path, verify=True).manifest.name == "second"
    assert os.listdir(path.parent) == [path.name]


def test_what_is_no_package_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").write_text("x")
    with pytest.raises(PackageError, match="is no package"), new_package(tmp_path / "data", replace=True):
        pass
    assert (tmp_path / "data" / "precious").read_text() == "x"


def test_golden_vectors_come_back_and_are_reproducible(tmp_path: Path) -> None:
    save_golden(tmp_path / "a.npz", fake_golden())
    save_golden(tmp_path / "b.npz", load_golden(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = load_golden(tmp_path / "b.npz")
    assert loaded.words(0) == slice(0, 2)
    assert loaded.words(1) == slice(2, 3)
    np.testing.assert_array_equal(loaded.spans, fake_golden().spans)


def test_texts_without_words_are_kept(tmp_path: Path) -> None:
    nothing = np.zeros((0, 3), np.float32)
    vectors = join_golden(
        [b"", b" "], [np.ones(2, np.float32)] * 2, [nothing, nothing], [np.zeros((0, 2), np.int32)] * 2
    )
    save_golden(tmp_path / "a.npz", vectors)
    loaded = load_golden(tmp_path / "a.npz")
    assert loaded.texts == (b"", b" ")
    assert loaded.words(1) == slice(0, 0)


def test_golden_vectors_with_pickles_or_misfits_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pickle.npz", text=np.array([{}], dtype=object))
    np.savez(tmp_path / "lacks.npz", text=np.zeros(3, np.uint8))
    (tmp_path / "no.npz").write_bytes(b"PK no zip")
    (tmp_path / "empty.npz").write_bytes(b"")
    good = fake_golden()
    wrong_rows = {
        "text": np.zeros(3, np.uint8),
        "text_offsets": np.array([0, 3, 3], np.int32),
        "intent": good.intent,
        "tags": good.tags[:1],
        "spans": good.spans,
    }
    np.savez(tmp_path / "rows.npz", allow_pickle=False, **wrong_rows, word_offsets=good.word_offsets)
    falling = wrong_rows | {"tags": good.tags, "text_offsets": np.array([0, 5, 3], np.int32)}
    np.savez(tmp_path / "falling.npz", allow_pickle=False, **falling, word_offsets=good.word_offsets)
    for name in ("pickle", "lacks", "no", "empty", "rows", "falling", "missing"):
        with pytest.raises(PackageError, match=name):
            load_golden(tmp_path / f"{name}.npz")


def test_golden_vectors_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    bad = join_golden(
        [b"a"], [np.array([np.nan, 0], np.float32)], [np.zeros((1, 3), np.float32)], [np.array([[0, 1]], np.int32)]
    )
    with pytest.raises(PackageError, match="not finite"):
        save_golden(tmp_path / "a.npz", bad)


def test_golden_vectors_of_other_labels_are_refused(path: Path) -> None:
    package = open_package(path)
    manifest = msgspec.structs.replace(
        package.manifest, labels=msgspec.structs.replace(package.manifest.labels, intents=["a", "b", "c"])
    )
    seal(path, manifest)
    with pytest.raises(PackageError, match="2 intents"):
        open_package(path).golden()
