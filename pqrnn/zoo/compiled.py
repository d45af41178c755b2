"""Where a parser of the zoo is kept once it was compiled for this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pqrnn.zoo.shelf import Shelved
from runtime_py.cache import cache_folder
from runtime_py.device.preflight import this_machine

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


def package_name(parser: Shelved) -> str:
    """Return the name of a parser's package.

    It depends on all that the package depends on: the checkpoint, the code that compiles it, the compiler (which has
    the runtime's version), and the machine.
    """
    machine = this_machine()
    parts = [each.sha256 for each in parser.entry.files.values()]
    parts += [machine.runtime, machine.architecture, *sorted(machine.features), _code_digest()]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{parser.entry.name}-{key[:16]}.pqrnn"


def _code_digest() -> str:
    """Return the SHA-256 of the sources that make a package, so that a newer pqrnn makes a new one."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _CODE for path in root.glob(pattern)):
        digest.update(path.read_bytes())
    return digest.hexdigest()
