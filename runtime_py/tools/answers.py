"""The answers of a process to texts, in one NumPy archive: whole calls as users make them, and every entry by itself.

Unlike golden vectors, answers may hold any number: they are there to be judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_py.package_format.golden import (
    GoldenVectors,
    read_arrays,
    text_arrays,
    texts_of,
    vector_arrays,
    vectors_of,
)

_ENTRY_ARRAYS = ("index", "count", "intent", "tags", "spans")


@dataclass(frozen=True, slots=True)
class EntryAnswers:
    """Answers of one entry to each text that has no more bytes than it can hold.

    Attributes:
        entry: Name of the entry.
        index: Indices of the texts, int32 [k].
        count: Number of words that the entry counts in each text, int32 [k].
        intent: Logits of the intents, float32 [k, intents].
        tags: Logits of the tags of the words of all texts, float32 [rows, tags]. A text has `count` rows, or none where
            the entry counts more words than it can hold.
        spans: Start and end byte of the same words, int32 [rows, 2].
    """

    entry: str
    index: NDArray[np.int32]
    count: NDArray[np.int32]
    intent: NDArray[np.float32]
    tags: NDArray[np.float32]
    spans: NDArray[np.int32]

    def rows(self, words: int) -> NDArray[np.int64]:
        """Return where the rows of each text begin and end, int64 [k + 1]; ``words`` is how many the entry can hold."""
        kept = np.where((self.count >= 0) & (self.count <= words), self.count, 0)
        return np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])


@dataclass(frozen=True, slots=True)
class AnswerSheet:
    """Everything that one process answered.

    Attributes:
        texts: The n texts.
        whole: The answers as users get them, with longer texts cut; None if they were not asked for.
        truncated: Whether each text was cut, bool [n].
        entries: The answers of single entries; empty if they were not asked for.
    """

    texts: tuple[bytes, ...]
    whole: GoldenVectors | None
    truncated: NDArray[np.bool_]
    entries: tuple[EntryAnswers, ...]


def save_texts(path: Path, texts: Sequence[bytes]) -> None:
    """Write texts alone."""
    np.savez(path, allow_pickle=False, **text_arrays(texts))


def load_texts(path: Path) -> tuple[bytes, ...]:
    """Read the texts of an archive: of texts alone, golden vectors, or answers.

    Raises:
        PackageError: It cannot be read or holds no texts.
    """
    return texts_of(read_arrays(path, ("text", "text_offsets")), str(path))


def save_answers(path: Path, answers: AnswerSheet) -> None:
    """Write answers; `load_golden` reads those as users get them, where all their numbers are finite."""
    arrays: dict[str, NDArray[Any]] = (
        text_arrays(answers.texts) if answers.whole is None else vector_arrays(answers.whole)
    )
    arrays["truncated"] = answers.truncated
    arrays["entries"] = np.array([part.entry for part in answers.entries], dtype=np.str_)
    for part in answers.entries:
        arrays |= {f"{part.entry}.{name}": getattr(part, name) for name in _ENTRY_ARRAYS}
    with path.open("wb") as stream:  # a stream, since NumPy would add a suffix to a name
        np.savez(stream, allow_pickle=False, **arrays)


def load_answers(path: Path) -> AnswerSheet:
    """Read answers.

    Raises:
        PackageError: The file cannot be read or is no archive of answers.
    """
    arrays = read_arrays(path, ("text", "text_offsets", "truncated", "entries"))
    whole = vectors_of(arrays, str(path)) if "intent" in arrays else None
    entries = tuple(
        EntryAnswers(str(name), *(arrays[f"{name}.{part}"] for part in _ENTRY_ARRAYS)) for name in arrays["entries"]
    )
    return AnswerSheet(texts_of(arrays, str(path)), whole, arrays["truncated"], entries)
