"""What differs between the settings of two runs, as people read it."""

from __future__ import annotations

from typing import Any


def name_differences(before: Any, now: Any, data: tuple[str, ...], path: str = "") -> list[str]:
    """Return where two nested documents differ: the path of each value and both of them, as people read it.

    Args:
        before: The document of the run that is there.
        now: That of what is asked for.
        data: Ends of the names of values that are digests, of which only that they differ is told.
        path: Where the documents stand in a larger one.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [line for key in keys for line in name_differences(before.get(key), now.get(key), data, f"{path}.{key}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for index, pair in pairs for line in name_differences(*pair, data, f"{path}[{index}]")]
    if before == now:
        return []
    name = path.removeprefix(".").removeprefix("recipe.")
    return [f"{name} are others" if name.endswith(data) else f"{name} {before} there, {now} here"]
