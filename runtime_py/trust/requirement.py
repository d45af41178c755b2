"""Which keys have to have signed a package before its code is loaded. It imports nothing: most starts ask for none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "PQRNN_REQUIRE_SIGNATURE"


def required_keys(wanted: str | Path | Sequence[str | Path] | None = None) -> tuple[Path, ...]:
    """Return the files of public keys, one of which has to have signed a package.

    Args:
        wanted: One file or several; an empty list for none; None for those of $PQRNN_REQUIRE_SIGNATURE, divided as in
            $PATH.
    """
    if wanted is None:
        wanted = [each for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each]
    elif isinstance(wanted, str | os.PathLike):
        wanted = [wanted]
    if not wanted:
        return ()
    from pathlib import Path

    return tuple(Path(os.path.abspath(each)) for each in wanted)


def environment_of(keys: Sequence[Path]) -> dict[str, str]:
    """Return the environment of a process that demands the same of the packages that it loads."""
    return os.environ | {VARIABLE: os.pathsep.join(map(str, keys))}
