"""The cache of compiled modules: never another thing's module, never a damaged one, and not more than it may hold."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.lowering.cache import Cache, cache_key
from compile.lowering.iree_compile import Compiled, Statistics
from runtime_py.cache import module_folder

FLAGS = ("--iree-llvmcpu-target-cpu=generic", "--iree-llvmcpu-target-cpu-features=+a,+b")
STATISTICS = Statistics(dispatches=3, executables=2, constant_bytes=100, transient_bytes=50)
VERSION, PROCESSOR = "IREE compiler version 3.13.0 @ 0123", "cpu_features = +a"

texts = st.text(max_size=8)
inputs = st.tuples(st.binary(max_size=8), st.lists(texts, max_size=3), texts, texts)


def module(folder: Path, content: bytes, seconds: float = 1.5) -> Compiled:
    path = folder / "made.vmfb"
    path.write_bytes(content)
    return Compiled(path, FLAGS, seconds, STATISTICS)


@pytest.mark.slow
@given(inputs, inputs)
def test_keys_are_equal_only_where_everything_is(
    first: tuple[bytes, list[str], str, str], second: tuple[bytes, list[str], str, str]
) -> None:
    assert (cache_key(*first) == cache_key(*second)) == (first == second)


def test_one_changed_byte_flag_or_version_is_another_key() -> None:
    mlir = b"module { func.func @f() }"
    keys = [cache_key(mlir, FLAGS, VERSION, PROCESSOR)]
    for index in range(len(mlir)):
        changed = bytearray(mlir)
        changed[index] ^= 1
        keys.append(cache_key(bytes(changed), FLAGS, VERSION, PROCESSOR))
    keys += [
        cache_key(mlir, FLAGS[::-1], VERSION, PROCESSOR),  # the last of two contradicting flags counts
        cache_key(mlir, FLAGS[:1], VERSION, PROCESSOR),
        cache_key(mlir, (*FLAGS, FLAGS[0]), VERSION, PROCESSOR),
        cache_key(mlir, (FLAGS[0] + FLAGS[1],), VERSION, PROCESSOR),
        cache_key(mlir, (FLAGS[0], FLAGS[1] + ",+c"), VERSION, PROCESSOR),
        cache_key(mlir, FLAGS, VERSION + "4", PROCESSOR),
        cache_key(mlir, FLAGS, VERSION, PROCESSOR + ",+b"),
    ]
    assert len(set(keys)) == len(keys)


def test_a_file_that_a_flag_names_counts_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "tuning.mlir"
    flags = (f"--iree-codegen-tuning-spec-path={file}",)
    absent = cache_key(b"m", flags, VERSION, PROCESSOR)
    file.write_bytes(b"one")
    one = cache_key(b"m", flags, VERSION, PROCESSOR)
    file.write_bytes(b"two")
    assert len({absent, one, cache_key(b"m", flags, VERSION, PROCESSOR)}) == 3


def test_what_is_kept_comes_back_with_its_figures(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    key = cache_key(b"m", FLAGS, VERSION, PROCESSOR)
    assert not cache.has(key)
    assert cache.fetch(key, tmp_path / "out.vmfb") is None
    cache.store(key, module(tmp_path, b"code"), VERSION)
    assert cache.has(key)
    found = Cache(tmp_path / "cache").fetch(key, tmp_path / "out.vmfb")
    assert found == Compiled(tmp_path / "out.vmfb", FLAGS, 1.5, STATISTICS, cached=True)
    assert (tmp_path / "out.vmfb").read_bytes() == b"code"
    assert Cache(tmp_path / "cache").fetch(cache_key(b"n", FLAGS, VERSION, PROCESSOR), tmp_path / "other.vmfb") is None
    assert not (tmp_path / "other.vmfb").exists()


@pytest.mark.parametrize(
    "damage", ["flipped", "short", "gone", "record cut", "record of another", "both of another", "link"]
)
def test_a_damaged_entry_is_none(damage: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    key, other = (cache_key(mlir, FLAGS, VERSION, PROCESSOR) for mlir in (b"m", b"n"))
    cache.store(key, module(tmp_path, b"code of m"), VERSION)
    cache.store(other, module(tmp_path, b"code of n"), VERSION)
    (file,) = (tmp_path / "cache").rglob(f"{key}.vmfb")
    (record,) = (tmp_path / "cache").rglob(f"{key}.json")
    (strange,) = (tmp_path / "cache").rglob(f"{other}.json")
    if damage == "flipped":
        file.write_bytes(b"Code of m")
    elif damage == "short":
        file.write_bytes(b"code")
    elif damage == "gone":
        file.unlink()
    elif damage == "record cut":
        record.write_bytes(record.read_bytes()[:-9])
    elif damage == "link":
        file.rename(tmp_path / "planted")
        file.symlink_to(tmp_path / "planted")
    else:
        record.write_bytes(strange.read_bytes())
        if damage == "both of another":
            file.write_bytes(strange.with_suffix(".vmfb").read_bytes())
    assert cache.fetch(key, tmp_path / "out.vmfb") is None
    assert not (tmp_path / "out.vmfb").exists()
    cache.store(key, module(tmp_path, b"code of m"), VERSION)
    assert cache.fetch(key, tmp_path / "out.vmfb") is not None
    assert (tmp_path / "out.vmfb").read_bytes() == b"code of m"


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    keys = [cache_key(bytes([number]), FLAGS, VERSION, PROCESSOR) for number in range(4)]
    cache = Cache(tmp_path / "cache", limit=12_000)
    for number, key in enumerate(keys[:3]):
        cache.store(key, module(tmp_path, bytes(3000)), VERSION)
        (record,) = (tmp_path / "cache").rglob(f"{key}.json")
        os.utime(record, (1000.0 + number, 1000.0 + number))
    assert cache.fetch(keys[0], tmp_path / "out.vmfb") is not None  # used now, so the second is the oldest
    cache.store(keys[3], module(tmp_path, bytes(3000)), VERSION)
    assert [cache.has(key) for key in keys] == [True, False, True, True]
    assert len(list((tmp_path / "cache").rglob("*.vmfb"))) == 3
    huge = Cache(tmp_path / "cache", limit=100)
    huge.store(keys[1], module(tmp_path, bytes(3000)), VERSION)
    assert [cache.has(key) for key in keys] == [False, True, False, False]


def test_files_that_nobody_finished_go_after_a_day(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    key = cache_key(b"m", FLAGS, VERSION, PROCESSOR)
    cache.store(key, module(tmp_path, b"code"), VERSION)
    (file,) = (tmp_path / "cache").rglob("*.vmfb")
    old, fresh = file.with_name(f".{file.name}.old"), file.with_name(f".{file.name}.fresh")
    for path in (old, fresh):
        path.write_bytes(b"part")
    os.utime(old, (1000.0, 1000.0))
    cache.store(key, module(tmp_path, b"code"), VERSION)
    assert not old.exists()
    assert fresh.exists()
    assert cache.has(key)


def test_a_folder_that_cannot_be_written_is_said_and_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = Cache(tmp_path / "file" / "cache")
    key = cache_key(b"m", FLAGS, VERSION, PROCESSOR)
    assert cache.fetch(key, tmp_path / "out.vmfb") is None
    assert cache.problem == ""
    cache.store(key, module(tmp_path, b"code"), VERSION)
    assert str(tmp_path / "file" / "cache") in cache.problem


def test_several_writers_of_one_entry_leave_it_whole(tmp_path: Path) -> None:
    key = cache_key(b"m", FLAGS, VERSION, PROCESSOR)
    made = module(tmp_path, bytes(100_000))

    def write() -> None:
        for _ in range(10):
            Cache(tmp_path / "cache").store(key, made, VERSION)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Cache(tmp_path / "cache").fetch(key, tmp_path / "out.vmfb") is not None
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()) == [
        f"{key}.json",
        f"{key}.vmfb",
    ]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "mine"))
    assert module_folder() == tmp_path / "mine"
    monkeypatch.delenv("PQRNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert module_folder() == tmp_path / ".cache" / "pqrnn" / "compiled"


def test_without_a_folder_it_is_compiled_without_a_cache_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from compile.lowering.cache import find_cache

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("PQRNN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    cache, problem = find_cache()
    assert cache is None
    assert "$PQRNN_CACHE" in problem
    monkeypatch.setenv("PQRNN_CACHE", "/x")
    cache, problem = find_cache()
    assert cache is not None
    assert (cache.folder, problem) == (Path("/x"), "")
