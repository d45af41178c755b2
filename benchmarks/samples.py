"""Raw times, kept beside the rows that were made from them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.results import FOLDER
from runtime_py.atomic_files import write_atomic

_UNIT = 1e-8  # seconds: finer than the clock


def keep_samples(name: str, samples: Mapping[str, npt.NDArray[np.float64]], counts: npt.NDArray[np.int64]) -> Path:
    """Write the times of calls as one compressed archive, as uint32 in units of 10 ns.

    Args:
        name: Name of the archive, without a suffix.
        samples: For each peer, seconds [rounds, texts].
        counts: Number of words of each text.
    """
    arrays = {peer: np.minimum(values / _UNIT, 2**32 - 1).astype(np.uint32) for peer, values in samples.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, words=counts.astype(np.uint16), **arrays)  # type: ignore[arg-type]
    path = FOLDER / f"{name}.npz"
    write_atomic(path, buffer.getvalue())
    return path


def load_samples(name: str) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.int64]]:
    """Read what `keep_samples` wrote: seconds of every peer, and the words of the texts."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return {peer: file[peer] * _UNIT for peer in file.files if peer != "words"}, file["words"].astype(np.int64)
