"""Which bytes of an old file predict those of a new one, found in bounded time.

Compiled parsers of one shape have the same layout: code, then weights. Where weights were trained on, most bytes differ
a little, so exact matches alone find nothing there. So windows that are equal, and occur once in the old bytes, are
taken as anchors; each says by how much content has moved. Between two anchors the move changes once, where that leaves
the smallest differences, and what is stored is the difference from the predicted byte, which packs well where weights
moved a little. Where it does not pack better than the new bytes themselves, these are stored.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 32  # bytes of an anchor; a power of two
_STRIDE = 4  # of the positions in the new bytes that are looked up
_CHUNK = 2048  # bytes that are stored in one way, as differences or as they are
_PRIME = np.uint64(0x9E3779B97F4A7C15)

Bytes = NDArray[np.uint8]


class Segment(NamedTuple):
    """A piece of the new bytes, from left to right.

    Attributes:
        length: Its bytes.
        source: Where the old bytes begin that it is stored as differences from; -1 where it is stored as it is.
    """

    length: int
    source: int


def predict(old: Bytes, new: Bytes) -> list[Segment]:
    """Return the pieces that new bytes are to be stored in."""
    runs = _find_runs(old, new)
    pieces: list[Segment] = []
    for begin, end, move in _fill_gaps(old, new, runs):
        pieces += _choose(old, new, begin, end, move)
    return _join(pieces)


def differences(old: Bytes, new: Bytes, segments: list[Segment]) -> Bytes:
    """Return what is stored of the new bytes."""
    stored = new.copy()
    begin = 0
    for length, source in segments:
        if source >= 0:
            stored[begin : begin + length] -= old[source : source + length]
        begin += length
    return stored


def _hashes(content: Bytes) -> NDArray[np.uint64]:
    """Return a hash of the window that begins at each byte."""
    hashes = content.astype(np.uint64)
    power, width = _PRIME, 1
    with np.errstate(over="ignore"):
        while width < WINDOW:
            hashes = hashes[:-width] * power + hashes[width:]
            power, width = power * power, width * 2
    return hashes


def _find_runs(old: Bytes, new: Bytes) -> list[tuple[int, int, int]]:
    """Return where neighbouring anchors agree: first byte, byte after the last, and by how much content has moved."""
    if min(len(old), len(new)) < WINDOW:
        return []
    known, places = np.unique(_hashes(old), return_index=True)
    positions = np.arange(0, len(new) - WINDOW + 1, _STRIDE)
    wanted = _hashes(new)[positions]
    found = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    hit = known[found] == wanted
    positions, sources = positions[hit], places[found[hit]]
    if not len(positions):
        return []
    moves = sources - positions
    # A window that occurs more than once has its first place here. It counts where the anchor before it agrees.
    cuts = np.flatnonzero((np.diff(moves) != 0) | (np.diff(positions) > 8 * WINDOW)) + 1
    firsts, lasts = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(moves)]]) - 1
    runs: list[tuple[int, int, int]] = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        begin, end, move = int(positions[first]), int(positions[last]) + WINDOW, int(moves[first])
        if last - first < WINDOW // _STRIDE:  # a chance hit, or a window of zeros
            continue
        if runs and runs[-1][2] == move:
            runs[-1] = (runs[-1][0], end, move)
        elif runs and begin < runs[-1][1]:
            if end > runs[-1][1]:
                runs.append((runs[-1][1], end, move))
        else:
            runs.append((begin, end, move))
    return runs


def _fill_gaps(old: Bytes, new: Bytes, runs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return pieces without gaps: in each gap, content has moved as before it up to a byte, and then as after it."""
    if not runs:
        return [(0, len(new), 0)]
    filled = []
    begin = 0
    for (_, end, move), (start, _, after) in pairwise(runs):
        change = _change(old, new, end, start, move, after)
        filled.append((begin, change, move))
        begin = change
    filled.append((begin, len(new), runs[-1][2]))
    return [piece for piece in filled if piece[0] < piece[1]]


def _change(old: Bytes, new: Bytes, begin: int, end: int, before: int, after: int) -> int:
    """Return where in a gap the second of two moves begins to predict better than the first."""
    if begin >= end:
        return begin
    costs = [_cost(old, new, begin, end, move) for move in (before, after)]
    total = np.concatenate([[0], np.cumsum(costs[0])]) + np.concatenate([np.cumsum(costs[1][::-1])[::-1], [0]])
    return begin + int(np.argmin(total))


def _cost(old: Bytes, new: Bytes, begin: int, end: int, move: int) -> NDArray[np.int64]:
    """Return roughly how many bits the difference of each byte takes."""
    sources = np.arange(begin + move, end + move)
    inside = (sources >= 0) & (sources < len(old))
    off = np.abs((new[begin:end] - old[np.clip(sources, 0, len(old) - 1)]).view(np.int8).astype(np.int64))
    return np.where(inside, np.ceil(np.log2(off + 1)).astype(np.int64), 9)


def _choose(old: Bytes, new: Bytes, begin: int, end: int, move: int) -> list[Segment]:
    """Store each part of a piece as differences or as it is, whichever packs better by the look of its bytes."""
    pieces = []
    while begin < end:
        stop = min(begin + _CHUNK, end)
        source = begin + move
        fits = source >= 0 and stop + move <= len(old)
        if fits:
            part = new[begin:stop]
            difference = part - old[source : stop + move]
            fits = not difference.any() or _entropy(difference) < _entropy(part) * 0.98
        pieces.append(Segment(stop - begin, source if fits else -1))
        begin = stop
    return pieces


def _entropy(content: Bytes) -> float:
    counts = np.bincount(content, minlength=256)
    shares = counts[counts > 0] / len(content)
    return float(-(shares * np.log2(shares)).sum())


def _join(pieces: list[Segment]) -> list[Segment]:
    joined: list[Segment] = []
    end: Any = None
    for length, source in pieces:
        if joined and (source == end or source == joined[-1].source == -1):
            joined[-1] = Segment(joined[-1].length + length, joined[-1].source)
        else:
            joined.append(Segment(length, source))
        end = source + length if source >= 0 else None
    return joined
