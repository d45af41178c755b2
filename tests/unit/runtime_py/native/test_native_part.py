"""What a package says of native libraries: read with the standard library, and refused where it is damaged."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from makers.runtime_fakes import (
    INTENTS,
    fake_library,
    fake_manifest,
    fake_parity,
    fake_variant,
    manifest_bytes,
    write_fake,
)

from compile.packaging.bundle import trim_package
from runtime_py.errors import DigestError, PackageError, SchemaError, UnsupportedTargetError
from runtime_py.native.machine import choose_fitting
from runtime_py.native.package_parser import PackagedNativeParser
from runtime_py.native.packaged import NativePart, PackagedLibrary, place_library, read_native_part
from runtime_py.package_format.manifest import Budget
from runtime_py.package_format.manifest_codec import decode_manifest
from runtime_py.package_format.package import open_package


@pytest.fixture
def package(tmp_path: Path) -> Path:
    board = fake_library(
        "board", parity=None, unverified_reason="a test", triple="aarch64-unknown-linux-gnu", features=[]
    )
    manifest = fake_manifest(fake_variant(), fake_variant("board"))
    write_fake(tmp_path / "home.pqrnn", msgspec.structs.replace(manifest, libraries=[fake_library(), board]))
    return tmp_path / "home.pqrnn"


def read(path: Path) -> NativePart:
    part = read_native_part(path)
    assert part is not None
    return part


def test_it_says_what_the_whole_manifest_says(package: Path) -> None:
    part, opened = read(package), open_package(package, verify=True)
    assert part.manifest_sha256 == opened.manifest_sha256
    last = opened.manifest.buckets[-1]
    assert (part.name, part.intents, part.batch) == ("fake", tuple(INTENTS), 1)
    assert (part.words, part.bytes) == (last.words, last.bytes)
    for mine, theirs in zip(part.libraries, opened.manifest.libraries, strict=True):
        file = opened.manifest.files[theirs.path]
        assert (mine.target, mine.triple, list(mine.features), mine.path, mine.prefix) == (
            theirs.target,
            theirs.triple,
            theirs.features,
            theirs.path,
            theirs.prefix,
        )
        assert (mine.sha256, mine.bytes) == (file.sha256, file.bytes)
    assert [each.proved for each in part.libraries] == [True, False]


def test_a_package_without_libraries_has_no_such_part(tmp_path: Path) -> None:
    manifest = write_fake(tmp_path / "home.pqrnn")
    assert read_native_part(tmp_path / "home.pqrnn") is None
    # As before schema 1.8, which knows none; a name is no list of libraries.
    document = msgspec.to_builtins(manifest) | {"schema": "1.7", "name": 'a "libraries": [1] b'}
    del document["libraries"]
    content = manifest_bytes(document)
    (tmp_path / "home.pqrnn" / "manifest.json").write_bytes(content)
    assert decode_manifest(content).libraries == []
    assert read_native_part(tmp_path / "home.pqrnn") is None
    with pytest.raises(PackageError, match="does not exist"):
        read_native_part(tmp_path / "nowhere")


def test_what_only_the_other_engine_can_do_is_left_to_it(tmp_path: Path) -> None:
    manifest = msgspec.structs.replace(fake_manifest(fake_variant()), libraries=[fake_library()])
    whole = Budget(name="whole", share=1.0, macs=100, exact_match=0.5, kept=[100, 100])
    half = msgspec.structs.replace(whole, name="half", share=0.5, macs=50, golden=manifest.golden)
    parts = [half, whole]
    for changes, what in (({"batch": 4}, "several texts at once"), ({"budgets": parts}, "budgets")):
        folder = tmp_path / what
        write_fake(folder, msgspec.structs.replace(manifest, **changes))
        with pytest.raises(UnsupportedTargetError, match=f"functions for {what}, which native code has not"):
            PackagedNativeParser.load(folder, if_best=True)
        with pytest.raises(ValueError, match="a native library is the whole network"):
            PackagedNativeParser.load(folder, budget=0.5)


def _set(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("schema", value="2.0"),
        _set("schema", value="1.9"),
        _set("schema", value=1),
        _set("buckets", value=[]),
        _set("buckets", value="none"),
        _set("labels", "intents", value=7),
        _set("libraries", value={"a": 1}),
        _set("libraries", 0, value=[]),
        _set("libraries", 0, "path", value="../libfake.so"),
        _set("libraries", 0, "path", value="/lib/libfake.so"),
        _set("libraries", 0, "path", value="native\\libfake.so"),
        _set("libraries", 0, "path", value="native/other.so"),
        _set("libraries", 0, "path", value=None),
        _set("libraries", 0, "prefix", value="a b"),
        _set("libraries", 0, "prefix", value=None),
        _set("libraries", 0, "features", value=3),
        _set("libraries", 0, "parity", value=[]),
        _set("files", "native/host/libfake.so", value={"sha256": "0" * 64, "bytes": "many"}),
        _set("batch", value=None),
        _set("digest", value=7),
    ],
)
def test_what_is_damaged_is_refused(package: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = package / "manifest.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_bytes(json.dumps(document).encode())
    with pytest.raises(SchemaError):
        read_native_part(package)


@pytest.mark.parametrize(
    "content", [b'"libraries"', b'{"libraries": 1', b'["libraries"]', b'{"libraries":' + b"[" * 100_000]
)
def test_what_is_no_manifest_is_refused(package: Path, content: bytes) -> None:
    (package / "manifest.json").write_bytes(content)
    with pytest.raises(SchemaError, match="damaged"):
        read_native_part(package)


def test_a_changed_manifest_is_refused(package: Path) -> None:
    path = package / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"passed": true', b'"passed": TRUE'.lower() + b" ", 1))
    with pytest.raises(DigestError, match="changed after the package was made"):
        read_native_part(package)


def test_the_manifest_is_checked_as_a_whole_too(package: Path) -> None:
    manifest = open_package(package).manifest
    unproved = fake_library(parity=None)
    for wrong, match in (
        ([fake_library(), fake_library()], "library 'host' appears twice"),
        ([fake_library(path="native/host/other.so")], "not listed under files"),
        ([unproved], "neither parity numbers nor an unverified_reason"),
    ):
        document = msgspec.to_builtins(msgspec.structs.replace(manifest, libraries=wrong))
        with pytest.raises(SchemaError, match=match):
            decode_manifest(manifest_bytes(document))


def test_libraries_are_chosen_by_system_architecture_and_features(monkeypatch: pytest.MonkeyPatch) -> None:
    def library(name: str, triple: str, *features: str) -> PackagedLibrary:
        return PackagedLibrary(name, triple, features, "a.so", "a", "", 1, True)

    libraries = [
        library("plain", "x86_64-unknown-linux-gnu"),
        library("wide", "x86_64-unknown-linux-gnu", "avx2", "fma"),
        library("pi", "aarch64-unknown-linux-gnu", "dotprod"),
        library("old pi", "armv7a-unknown-linux-gnueabihf", "neon"),
        library("phone", "aarch64-linux-android"),
        library("mac", "arm64-apple-macos11"),
        library("windows", "x86_64-pc-windows-msvc"),
    ]
    for system, machine, wanted in (
        ("linux", "x86_64", ["wide", "plain"]),
        ("linux", "aarch64", ["pi"]),
        ("linux", "armv8l", ["old pi"]),
        ("darwin", "arm64", ["mac"]),
        ("linux", "riscv64", []),
        ("win32", "AMD64", ["windows"]),
    ):
        monkeypatch.setattr("sys.platform", system)
        if system == "win32":
            monkeypatch.delattr("os.uname")
        else:
            monkeypatch.setattr("os.uname", lambda machine=machine: SimpleNamespace(machine=machine))
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert [each.target for each in choose_fitting(libraries)] == wanted


@pytest.mark.skipif(sys.platform != "linux", reason="memory with a name is Linux's")
def test_what_the_system_loads_is_what_was_compared(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, second) = read(package).libraries
    content = (package / first.path).read_bytes()
    placed = place_library(package, first, verify=True)
    (package / first.path).write_bytes(b"?" * len(content))
    assert Path(placed).read_bytes() == content
    # The same library has one place, and another one has another, for as long as the process lives.
    assert place_library(package, second, verify=True) != placed
    with pytest.raises(DigestError):
        place_library(package, first, verify=True)
    assert place_library(package, first, verify=False) == os.path.abspath(package / first.path)
    (package / first.path).write_bytes(content)
    assert place_library(package, first, verify=True) == placed
    monkeypatch.delattr("os.memfd_create")
    assert place_library(package, first, verify=True) == os.path.abspath(package / first.path)


def test_a_bundle_ships_the_libraries_of_its_targets_alone(package: Path, tmp_path: Path) -> None:
    opened = open_package(package)
    trimmed = trim_package(opened, [opened.variant("board")], tmp_path / "board.pqrnn")
    assert [each.target for each in trimmed.manifest.libraries] == ["board"]
    assert not (trimmed.path / "native" / "host").exists()
    trimmed.verify()
    whole = trim_package(opened, opened.manifest.variants, tmp_path / "whole.pqrnn")
    assert [each.target for each in whole.manifest.libraries] == ["host", "board"]


def test_a_failed_library_is_not_proved(tmp_path: Path) -> None:
    manifest = msgspec.structs.replace(fake_manifest(), libraries=[fake_library(parity=fake_parity(False))])
    write_fake(tmp_path / "home.pqrnn", manifest)
    assert [each.proved for each in read(tmp_path / "home.pqrnn").libraries] == [False]
