"""What stands where a file should: pipes, folders, devices, links, and files that are not what their name says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.hostile.kinds import DECISIONS, GOLDEN, MODULE, PACKAGE, REFERENCE, Kind, edit_json, sealed

_MANIFEST = "manifest.json"


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(target: str) -> Callable[[Path], object]:
    def apply(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return apply


def _stretch(size: int) -> Callable[[Path], object]:
    def apply(path: Path) -> None:
        with path.open("r+b") as stream:
            stream.truncate(size)

    return apply


_PLACES = (
    ("the manifest", "manifest", f"{PACKAGE}/{_MANIFEST}"),
    ("the module", "module", f"{PACKAGE}/{MODULE}"),
    ("the vectors", "golden", f"{PACKAGE}/{GOLDEN}"),
    ("the decisions", "decisions", f"{PACKAGE}/{DECISIONS}"),
    ("the reference", "reference", REFERENCE),
)
_KINDS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("a pipe that nobody writes", _fifo),
    ("a folder", _folder),
    ("/dev/zero", _link("/dev/zero")),
    ("/dev/tty", _link("/dev/tty")),
    ("a link to itself", _link("manifest.json")),
    ("a link to nothing", _link("nowhere")),
    ("a link to a file of the system", _link("/etc/hostname")),
    ("missing", lambda path: path.unlink()),
    ("empty", lambda path: path.write_bytes(b"")),
    ("200 GB of nothing", _stretch(200 << 30)),
)


def _placed(what: str, part: str, name: str, kind: str, change: Callable[[Path], object]) -> Kind:
    return Kind(f"{what} is {kind}", part, lambda folder: change(folder / name))


def _stated(name: str, part: str, file: str, size: int) -> Kind:
    """A file of nothing that the manifest states in full."""

    def apply(folder: Path) -> None:
        with (folder / PACKAGE / file).open("r+b") as stream:
            stream.truncate(size)
        edit_json(folder / PACKAGE / _MANIFEST, lambda document: document["files"][file].update(bytes=size))

    return Kind(name, part, apply)


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content) and None


def _cut(size: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def _copy(other: Path) -> Callable[[Path], object]:
    def apply(path: Path) -> None:
        with other.open("rb") as stream:
            path.write_bytes(stream.read(50_000))

    return apply


FILES: tuple[Kind, ...] = (
    *(_placed(what, part, name, kind, change) for what, part, name in _PLACES for kind, change in _KINDS),
    _stated("a module of 200 GB of nothing, as the manifest says", "manifest", MODULE, 200 << 30),
    _stated("vectors of 200 GB of nothing, as the manifest says", "manifest", GOLDEN, 200 << 30),
    sealed("a module of zeros", "module", MODULE, _write(bytes(20_000))),
    sealed("a module of text", "module", MODULE, _write(b"hello " * 3000)),
    sealed("a module cut in half", "module", MODULE, _cut(15_000)),
    sealed("a module cut to 64 bytes", "module", MODULE, _cut(64)),
    sealed("a module that is an ELF file", "module", MODULE, _copy(Path("/proc/self/exe"))),
    sealed("a module that is a ZIP file", "module", MODULE, lambda path: _copy(path.parents[2] / GOLDEN)(path)),
)  # fmt: skip
"""Kinds of files that are none, and of modules that are none."""
