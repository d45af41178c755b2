"""Goals of a check against a reference: from the command line, or the table `[parity]` of a recipe."""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from runtime_py.bounded_files import read_bounded, shorten
from runtime_py.errors import GoalError

NUMBERS, DECISIONS, TASK = 3, 4, 5
"""Exit codes of a check whose first failed step is this one."""

_FLIPS_INT8 = 1e-3  # of the texts: roundings to 8 bits may go either way on another device


class ParityGoals(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a package has to reach; None asks for nothing, but for flips, whose default depends on the precision.

    Attributes:
        min_retention: Least exact match as a share of the teacher's.
        max_flips: Most texts with another intent or other slots than the student has in PyTorch; by default none in
            float32, and one text of a thousand, rounded up, in 8 bits.
        max_drop: Most that the exact match may be below the teacher's, or below the student's where the reference has
            no teacher, as a share of 1.
    """

    min_retention: Annotated[float, Meta(ge=0)] | None = None
    max_flips: Annotated[int, Meta(ge=0)] | None = None
    max_drop: Annotated[float, Meta(ge=0, le=1)] | None = None

    def allowed_flips(self, texts: int, precision: str) -> int:
        """Return how many texts may be decided otherwise."""
        if self.max_flips is not None:
            return self.max_flips
        return math.ceil(_FLIPS_INT8 * texts) if precision == "int8" else 0

    def stated(self) -> dict[str, float]:
        """Return the goals that were stated, by name."""
        return {name: float(value) for name, value in msgspec.structs.asdict(self).items() if value is not None}


def read_goals(recipe: str | Path | None, **given: Any) -> ParityGoals:
    """Return the goals of the table `[parity]` of a recipe, those that are given taking their place.

    Args:
        recipe: A TOML file; None for no file.
        given: Goals by their names; None for those that are not given.

    Raises:
        GoalError: The file cannot be read, has no such table, or a goal is unknown or out of its range.
    """
    table: Any = {}
    if recipe is not None:
        try:
            table = tomllib.loads(read_bounded(recipe, 1 << 20, pipes=True).decode()).get("parity")
        except OSError as error:
            raise GoalError(f"{recipe}: cannot be read ({error.strerror}).") from error
        except (ValueError, RecursionError) as error:  # also numbers of too many digits, for Python
            raise GoalError(f"{recipe}: not TOML: {shorten(error)}") from error
        if table is None:
            raise GoalError(f"{recipe}: has no table [parity]; expected min_retention, max_flips or max_drop in it.")
    where = f"{recipe}, [parity]: " if recipe is not None else ""
    try:
        goals = msgspec.convert(table, ParityGoals)
        where = ""
        chosen = {name: value for name, value in given.items() if value is not None}
        return msgspec.convert(msgspec.structs.asdict(goals) | chosen, ParityGoals)
    except msgspec.ValidationError as error:
        raise GoalError(f"{where}{error}") from error
