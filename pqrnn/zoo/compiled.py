"""Where a parser of the zoo is kept once it was compiled for this machine.

Beside each package, NAME.json says from what it was made and which manifest it has: a package that was put there by
anybody else, or was changed or damaged since, is not used, and the parser compiled again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import msgspec

from pqrnn.run_folder import WEIGHTS
from pqrnn.zoo.shelf import Shelved
from runtime_py.atomic_files import write_atomic
from runtime_py.cache import cache_folder, check_private, is_own
from runtime_py.device.preflight import this_machine
from runtime_py.errors import PackageError
from runtime_py.package_format.package import open_package

_CODE = (
    "compile/*.py",
    "compile/kernels/*.py",
    "compile/lowering/*.py",
    "compile/verify/*.py",
    "compile/packaging/manifest.py",
    "pqrnn/checkpoint.py",
    "pqrnn/features/*.py",
    "pqrnn/model/*.py",
    "targets/data/host.toml",
    "targets/data/families/*.toml",
)


def keep_folder() -> Path:
    """Return the folder of compiled parsers, which need not exist.

    Raises:
        CacheError: There is no folder for what is kept.
    """
    return cache_folder() / "zoo"


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept beside a package.

    Attributes:
        key: Digest of everything that the package depends on.
        manifest: SHA-256 of its manifest file.
    """

    key: str
    manifest: str


def find_kept(parser: Shelved) -> tuple[Path | None, str]:
    """Return the package of a parser that was compiled before, all of it verified.

    Returns:
        The package, or None; and why one that is there is not used.

    Raises:
        CacheError: There is no folder for what is kept, or others could have put something there.
    """
    path = check_private(keep_folder()) / package_name(parser)
    if not os.path.lexists(path):
        return None, ""
    if not is_own(path):
        return None, f"{path}: belongs to another user, or is no folder"
    try:
        origin = msgspec.json.decode(_origin_file(path).read_bytes(), type=Origin)
        package = open_package(path, verify=True)
    except (OSError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return None, f"{_origin_file(path)}: says nothing of the package beside it ({error})"
    except PackageError as error:
        return None, str(error)
    weights = parser.entry.files.get(WEIGHTS)
    made_of = (package.manifest_sha256, _key(parser), weights.sha256 if weights is not None else "")
    if made_of != (origin.manifest, origin.key, package.manifest.model.checkpoint):
        return None, f"{path}: was not compiled from this parser"
    return path, ""


def clear_kept(path: Path) -> None:
    """Take away what has the name of a package that is to be compiled."""
    _origin_file(path).unlink(missing_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def record_origin(parser: Shelved, path: Path) -> None:
    """Write down that a package was compiled from a parser, just now."""
    origin = Origin(_key(parser), open_package(path).manifest_sha256)
    write_atomic(_origin_file(path), msgspec.json.encode(origin) + b"\n")


def _origin_file(path: Path) -> Path:
    return path.with_suffix(".json")


def package_name(parser: Shelved) -> str:
    """Return the name of a parser's package, which depends on all that the package depends on."""
    return f"{parser.entry.name}-{_key(parser)[:16]}.pqrnn"


def _key(parser: Shelved) -> str:
    """Return a digest of the checkpoint, the code that compiles it, the compiler and runtime, and the machine."""
    machine = this_machine()
    parts = [each.sha256 for each in parser.entry.files.values()]
    parts += [machine.runtime, machine.architecture, *sorted(machine.features), _code_digest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _code_digest() -> str:
    """Return the SHA-256 of the sources that make a package, so that a newer pqrnn makes a new one."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _CODE for path in root.glob(pattern)):
        digest.update(path.read_bytes())
    return digest.hexdigest()
