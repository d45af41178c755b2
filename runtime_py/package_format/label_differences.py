"""What differs between the labels of two parsers, in words."""

from collections.abc import Sequence

from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.labels import Labels
from runtime_py.decode.tags import TagScheme

_SHOWN = 3


def describe_differences(labels: Labels, other: Labels, here: str, there: str) -> list[str]:
    """Return how two lists of labels, frames and counts differ; empty where they do not.

    Args:
        labels: The labels of one.
        other: Those of the other.
        here: Name of the first in the sentences.
        there: Name of the second.
    """
    pairs = (("intents", labels.intents, other.intents), ("tags", labels.tags, other.tags))
    found = [_compare_names(what, mine, theirs, here, there) for what, mine, theirs in pairs if mine != theirs]
    if found:
        return found  # frames are lists of indices into these names
    slots = TagScheme(labels.tags).slots
    frames = _compare_rows("frames", labels.frames, other.frames, labels.intents, slots, here, there)
    counts = _compare_rows(
        "counts of frames", labels.frame_counts, other.frame_counts, labels.intents, slots, here, there
    )
    mine, theirs = labels.frame_weights or FrameWeights(), other.frame_weights or FrameWeights()
    weights = [f"frames weigh {mine} in {here}, {theirs} in {there}"] if mine != theirs else []
    return [*frames, *counts, *weights]


def _compare_names(what: str, mine: Sequence[str], theirs: Sequence[str], here: str, there: str) -> str:
    alone = [name for name in mine if name not in set(theirs)]
    others = [name for name in theirs if name not in set(mine)]
    if not alone and not others:
        moved = next(index for index, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b)
        return f"{what} are in another order: number {moved} is {mine[moved]!r} in {here}, {theirs[moved]!r} in {there}"
    parts = [f"{_list(names)} only in {where}" for names, where in ((alone, here), (others, there)) if names]
    return f"{what} differ ({len(mine)} in {here}, {len(theirs)} in {there}): {'; '.join(parts)}"


def _compare_rows(
    what: str,
    mine: Sequence[Sequence[object]],
    theirs: Sequence[Sequence[object]],
    intents: Sequence[str],
    slots: Sequence[str],
    here: str,
    there: str,
) -> list[str]:
    if not mine or not theirs:
        missing = here if not mine else there
        return [] if not mine and not theirs else [f"{missing} has no {what}"]
    rows = list(zip(mine, theirs, strict=False))
    wrong = [index for index, (a, b) in enumerate(rows) if a != b]
    if len(mine) != len(theirs) and not wrong:
        return [f"{what} are of {len(mine)} intents in {here}, of {len(theirs)} in {there}"]
    if not wrong:
        return []
    first = wrong[0]
    shown = f": {_slots(rows[first][0], slots)} in {here}, {_slots(rows[first][1], slots)} in {there}"
    return [f"{what} of {len(wrong)} intents differ; those of {intents[first]!r}{shown}"]


def _slots(row: Sequence[object], slots: Sequence[str]) -> str:
    """Show a frame by the names of its slots; counts as they stand."""
    named = [slots[entry] if isinstance(entry, int) and entry < len(slots) else str(entry) for entry in row]
    return f"[{_list(named)}]"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
