"""Golden vectors: texts with the outputs that every compiled variant has to give for them.

They are kept in one NumPy archive without pickles.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_py.errors import PackageError
from runtime_py.package_format.arrays import read_archive, write_archive

_WHAT = "golden vectors or answers"
_ARRAYS = ("text", "text_offsets", "intent", "tags", "spans", "word_offsets")


@dataclass(frozen=True, slots=True)
class GoldenVectors:
    """Texts and their expected outputs.

    The words of all texts follow one another: text ``i`` has the rows ``word_offsets[i]`` to ``word_offsets[i + 1]``.

    Attributes:
        texts: The n texts as bytes, possibly invalid UTF-8.
        intent: Logits of the intents, float32 [n, intents].
        tags: Logits of the tags of all words, float32 [total words, tags].
        spans: Start and end byte of each word in its text, int32 [total words, 2].
        word_offsets: Index of the first word of each text, and the total at the end, int32 [n + 1].
        tolerances: For each text, how far a logit of it may be from here on any device, float32 [n]; None in packages
            before schema 1.5, where the manifest states one bound for all.
    """

    texts: tuple[bytes, ...]
    intent: NDArray[np.float32]
    tags: NDArray[np.float32]
    spans: NDArray[np.int32]
    word_offsets: NDArray[np.int32]
    tolerances: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)

    def words(self, index: int) -> slice:
        """Return the rows of one text in ``tags`` and ``spans``."""
        return slice(int(self.word_offsets[index]), int(self.word_offsets[index + 1]))

    def check_labels(self, intents: int, tags: int, where: str) -> None:
        """Compare the widths with the number of labels.

        Raises:
            PackageError: They differ.
        """
        if self.intent.shape[1] != intents or self.tags.shape[1] != tags:
            raise PackageError(
                f"{where}: vectors of {self.intent.shape[1]} intents and {self.tags.shape[1]} tags, "
                f"but the manifest names {intents} and {tags}. Compile the package again."
            )


def join_golden(
    texts: Sequence[bytes],
    intent: Sequence[NDArray[np.float32]],
    tags: Sequence[NDArray[np.float32]],
    spans: Sequence[NDArray[np.int32]],
) -> GoldenVectors:
    """Join the outputs of single texts.

    Args:
        texts: The texts, at least one.
        intent: For each text, logits of the intents, float32 [intents].
        tags: For each text, logits of its words' tags, float32 [words, tags], without padding rows.
        spans: For each text, start and end byte of its words, int32 [words, 2].
    """
    lengths = [len(rows) for rows in tags]
    return GoldenVectors(
        texts=tuple(texts),
        intent=np.stack(list(intent)).astype(np.float32),
        tags=np.concatenate(list(tags)).astype(np.float32),
        spans=np.concatenate(list(spans)).astype(np.int32).reshape(-1, 2),
        word_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
    )


def save_golden(path: Path, vectors: GoldenVectors) -> None:
    """Write the archive, packed; equal vectors give equal bytes.

    Raises:
        PackageError: The arrays do not fit one another, or hold a number that is not finite.
    """
    _check(vectors, str(path))
    _check_finite(vectors, str(path))
    write_archive(path, vector_arrays(vectors))


def load_golden(path: Path, content: bytes | None = None) -> GoldenVectors:
    """Read the archive.

    Args:
        path: The file.
        content: Its content, where that has been read and verified: then it holds golden vectors and nothing else.

    Raises:
        PackageError: It cannot be read, lacks an array, its arrays do not fit one another, hold a number that is not
            finite, or words that are not in their texts.
    """
    optional = None if content is None else ("tolerances",)
    vectors = vectors_of(read_archive(path, _ARRAYS, _WHAT, optional=optional, content=content), str(path))
    _check_finite(vectors, str(path))
    check_spans(vectors.spans, vectors.word_offsets, vectors.texts, str(path))
    return vectors


def check_spans(
    spans: NDArray[np.int32],
    word_offsets: NDArray[np.int32],
    texts: Sequence[bytes],
    where: str,
    error: type[PackageError] = PackageError,
) -> None:
    """Refuse words that are not in their texts.

    Args:
        spans: Start and end byte of each word, int32 [words, 2].
        word_offsets: Index of the first word of each text, and the total, int32 [texts + 1].
        texts: The texts.
        where: How an error message calls the file.
        error: Its class.

    Raises:
        PackageError: Of the class `error`: a word begins before its text, ends before it begins, or after its text.
    """
    sizes = np.repeat([len(text) for text in texts], np.diff(word_offsets))
    if (spans[:, 0] < 0).any() or (spans[:, 1] < spans[:, 0]).any() or (spans[:, 1] > sizes).any():
        raise error(f"{where}: a word is not in its text. Make it again.")


def text_arrays(texts: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    """Return the arrays that an archive keeps texts in."""
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int32)
    return {"text": np.frombuffer(b"".join(texts), np.uint8), "text_offsets": offsets}


def texts_of(arrays: Mapping[str, NDArray[Any]], where: str) -> tuple[bytes, ...]:
    """Return the texts in the arrays of an archive, which may be golden vectors or texts alone.

    Raises:
        PackageError: The offsets do not fit.
    """
    text, offsets = arrays["text"], arrays["text_offsets"]
    if text.dtype != np.uint8 or text.ndim != 1 or not _rises(offsets, len(text)):
        raise PackageError(f"{where}: the texts and their offsets do not fit. Compile the package again.")
    content = text.tobytes()
    return tuple(content[start:end] for start, end in itertools.pairwise(offsets))


def vector_arrays(vectors: GoldenVectors) -> dict[str, NDArray[Any]]:
    """Return the arrays that an archive keeps vectors in."""
    rest: dict[str, NDArray[Any]] = {
        "intent": vectors.intent,
        "tags": vectors.tags,
        "spans": vectors.spans,
        "word_offsets": vectors.word_offsets,
    }
    if vectors.tolerances is not None:
        rest["tolerances"] = vectors.tolerances
    return text_arrays(vectors.texts) | rest


def vectors_of(arrays: Mapping[str, NDArray[Any]], where: str) -> GoldenVectors:
    """Return the vectors in the arrays of an archive; their numbers may be anything.

    Raises:
        PackageError: The arrays do not fit one another.
    """
    vectors = GoldenVectors(
        texts_of(arrays, where),
        arrays["intent"],
        arrays["tags"],
        arrays["spans"],
        arrays["word_offsets"],
        arrays.get("tolerances"),
    )
    _check(vectors, where)
    return vectors


def read_arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read all arrays of an archive of vectors, answers or texts; memory is bounded.

    Raises:
        PackageError: It cannot be read, or lacks one of those wanted.
    """
    return read_archive(path, wanted, _WHAT)


def _rises(offsets: NDArray[np.int32], total: int) -> bool:
    return (
        offsets.dtype == np.int32
        and offsets.ndim == 1
        and len(offsets) >= 2
        and offsets[0] == 0
        and offsets[-1] == total
        and bool((np.diff(offsets) >= 0).all())
    )


def _are_bounds(tolerances: NDArray[Any] | None, texts: int) -> bool:
    return tolerances is None or (
        tolerances.dtype == np.float32
        and tolerances.shape == (texts,)
        and bool(((tolerances > 0) & np.isfinite(tolerances)).all())
    )


def _check(vectors: GoldenVectors, where: str) -> None:
    total = len(vectors.tags) if vectors.tags.ndim else 0
    fits = (
        vectors.intent.dtype == np.float32
        and vectors.intent.ndim == 2
        and len(vectors.intent) == len(vectors.texts) > 0
        and vectors.tags.dtype == np.float32
        and vectors.tags.ndim == 2
        and vectors.spans.dtype == np.int32
        and vectors.spans.shape == (total, 2)
        and _rises(vectors.word_offsets, total)
        and len(vectors.word_offsets) == len(vectors.texts) + 1
        and _are_bounds(vectors.tolerances, len(vectors.texts))
    )
    if not fits:
        raise PackageError(
            f"{where}: the golden vectors do not fit one another in shape or type. Compile the package again."
        )


def _check_finite(vectors: GoldenVectors, where: str) -> None:
    if not (np.isfinite(vectors.intent).all() and np.isfinite(vectors.tags).all()):
        raise PackageError(f"{where}: the golden vectors hold a number that is not finite. Compile the package again.")
