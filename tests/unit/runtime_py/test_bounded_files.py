"""Files from anybody: a bound, and no waiting for what is no file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.bounded_files import check_regular, is_deeper, read_bounded, shorten
from runtime_py.errors import PackageError


def test_a_file_up_to_the_bound_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_bounded(path, 100) == b"x" * 100
    assert check_regular(path, 100) == 100
    for read in (read_bounded, check_regular):
        with pytest.raises(OSError, match="100 bytes, and at most 99"):
            read(path, 99)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "it")
    for read in (read_bounded, check_regular):
        with pytest.raises(OSError, match=r"is no file|is a directory") as caught:
            read(tmp_path / "it", 1 << 20)
        assert caught.value.errno in (errno.EINVAL, errno.EISDIR)


def test_a_file_of_nothing_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "it").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(OSError, match=r"1,099,511,627,776 bytes"):
        read_bounded(tmp_path / "it", 1 << 20)


def test_a_pipe_is_read_where_a_person_may_have_made_one_and_never_beyond_the_bound() -> None:
    reads, writes = os.pipe()
    os.write(writes, b"abc")
    os.close(writes)
    assert read_bounded(f"/dev/fd/{reads}", 3, pipes=True) == b"abc"
    os.close(reads)
    with pytest.raises(OSError, match="at most 1,000"):
        read_bounded("/dev/zero", 1000, pipes=True)


@given(st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)))
def test_depth_is_that_of_a_plain_definition(document: object) -> None:
    def depth(value: object) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=-1)

    for bound in range(6):
        assert is_deeper(document, bound) == (depth(document) >= bound)


def test_a_document_of_any_depth_is_measured_without_recursion() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert is_deeper(deep, 32)


def test_long_quotes_are_cut() -> None:
    assert shorten("x" * 300) == "x" * 300
    assert shorten("x" * 301) == "x" * 300 + "..."


@given(st.text())
def test_an_error_is_one_line_that_no_terminal_obeys(text: str) -> None:
    said = str(PackageError(f"a.pqrnn: {text} is wrong"))
    assert len(said.splitlines()) == 1
    assert not set(said) & set(map(chr, [*range(32), 127, *range(128, 160), 0x202E, 0x2028]))
