"""The logit store: a teacher's answers to many texts, kept in shards.

Each shard is written once, whole or not at all, so that a long labelling job goes on where a kill stopped it.

A folder holds `lessons.json` (labels, fingerprint of everything that decides the content, SHA-256 of every finished
shard) and `00000.safetensors`, ... .
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pqrnn.distributed import all_gather, broadcast, is_leader, process_rank, world_size
from pqrnn.errors import TeacherError
from runtime_py.atomic_files import write_atomic
from runtime_py.bounded_files import read_bounded, shorten
from runtime_py.decode.labels import Labels
from runtime_py.errors import SchemaError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.manifest_codec import check_labels

INDEX = "lessons.json"
SHARD = 4096
FORMAT = 1
_SHARD_NAME = re.compile(r"[0-9]{5,}\.safetensors")
_LARGEST_INDEX = 64 << 20  # bytes


class TransferText(NamedTuple):
    """A text to be labelled, as words, with what is known of it.

    Attributes:
        source: Index of the training utterance that it was made from. Texts without gold labels have indices behind
            those of the training utterances.
        words: UTF-8 of each word.
        tags: Gold tags, None where unknown.
        intent: Gold intent, -1 where unknown.
    """

    source: int
    words: tuple[bytes, ...]
    tags: tuple[int, ...] | None
    intent: int


class TeacherLogits(NamedTuple):
    """Logits for some texts and, where asked for, the relations between their words.

    Attributes:
        intent: Logits of the intents, float32[n, I].
        tags: Logits of the tags, float32[words of all texts, L].
        relations: Probabilities (`pqrnn.model.losses.relate`), float[R, W, W] for each text, flattened and joined; None
            where nobody asked for them.
    """

    intent: Tensor
    tags: Tensor
    relations: Tensor | None = None


# Logit of a decision without doubt, at any usual temperature and number of tags.
_CERTAIN = 100.0


class SoftTargets(NamedTuple):
    """A teacher's answers for a batch.

    Attributes:
        intent: Logits of the intents, float32[B, I].
        tags: Logits of the tags, float32[B, W, L], zero past the last word.
        relations: Relations between words, float32[B, R, W, W], zero past the last word; None where they were not kept.
    """

    intent: Tensor
    tags: Tensor
    relations: Tensor | None


class StoreIndex(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Content of `lessons.json`."""

    format: int = FORMAT
    fingerprint: str
    labels: Labels
    teachers: list[str]
    rows: int
    drafts: int
    shards: dict[str, str]


class LogitStore:
    """Texts and a teacher's answers to them, in memory.

    Attributes:
        index: Content of the folder's `lessons.json`.
        texts: The texts, in the order of the answers.
        intent: The teacher's logits of the intents, float16[n, I].
        heads: Heads of the relations between words, 0 where none were kept.
    """

    def __init__(
        self, index: StoreIndex, texts: list[TransferText], intent: Tensor, tags: Tensor, relations: Tensor
    ) -> None:
        """Keep the parts; `tags` is float16[words of all texts, L], `relations` float16, empty where none were kept."""
        self.index, self.texts, self.intent = index, texts, intent
        self._tags, self._relations = tags, relations
        self._outside = torch.zeros((1, tags.shape[1]), dtype=tags.dtype)
        self._outside[0, index.labels.tags.index("O")] = _CERTAIN
        counts = torch.tensor([0, *(len(text.words) for text in texts)])
        self._starts = counts.cumsum(0).tolist()
        squares = counts.square().cumsum(0).tolist()
        self.heads = len(relations) // squares[-1]
        self._squares = [self.heads * square for square in squares]

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256("".join(digest for _, digest in sorted(self.index.shards.items())).encode()).hexdigest()

    def tags(self, index: int) -> Tensor:
        """Return the teacher's logits for the words of a text, float16[W, L]."""
        return self._tags[self._starts[index] : self._starts[index + 1]]

    def relations(self, index: int) -> Tensor:
        """Return the relations between the words of a text, float16[heads, W, W]."""
        words = len(self.texts[index].words)
        return self._relations[self._squares[index] : self._squares[index + 1]].reshape(self.heads, words, words)

    def targets(
        self, indices: Sequence[int], width: int, origins: Sequence[Sequence[int] | None] | None = None
    ) -> SoftTargets:
        """Return the answers for a batch, `width` words wide.

        Args:
            indices: Texts that the teacher read.
            width: Words of the widest text of the batch.
            origins: For each text that was rewritten since the word of the teacher's text that each of its words stands
                for, -1 for words that were added, which are in no slot (`EncodedUtterance.origins`).
        """
        tags = torch.zeros((len(indices), width, self._tags.shape[1]))
        for row, index in enumerate(indices):
            logits = self.tags(index)
            if origins is not None and (origin := origins[row]) is not None:
                logits = torch.cat([logits, self._outside])[torch.tensor(origin, dtype=torch.int64)]
            tags[row, : len(logits)] = logits
        relations = torch.zeros((len(indices), self.heads, width, width)) if self.heads else None
        if relations is not None:
            for row, index in enumerate(indices):
                words = len(self.texts[index].words)
                relations[row, :, :words, :words] = self.relations(index)
        return SoftTargets(self.intent[torch.tensor(indices)].float(), tags, relations)


def write_logits(
    folder: Path,
    texts: Sequence[TransferText],
    label: Callable[[Sequence[TransferText]], TeacherLogits],
    *,
    fingerprint: str,
    labels: Labels,
    teachers: Sequence[str],
    utterances: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> StoreIndex:
    """Label texts, or those that are left of an earlier call with the same fingerprint.

    Processes that work together take a shard each, round by round; the leader notes what is finished after every round.

    Args:
        folder: Folder of the store, which is made where it does not exist.
        texts: Texts to label, always in the same order.
        label: The teacher, which answers some of the texts.
        fingerprint: Digest of all that decides texts and answers.
        labels: Names behind the logits.
        teachers: Names of the teachers, for people.
        utterances: Number of training utterances, from which on `TransferText.source` is a text without gold labels.
        on_progress: Called with the number of texts labelled so far and of all texts.

    Raises:
        TeacherError: the folder holds lessons of another fingerprint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = StoreIndex(
        fingerprint=fingerprint, labels=labels, teachers=list(teachers), rows=utterances, drafts=len(texts), shards={}
    )
    index, left = broadcast(_begin(folder, new) if is_leader() else (new, []))
    for first in range(0, len(left), world_size()):
        on_progress(len(texts) - sum(len(_take(texts, number)) for number in left[first:]), len(texts))
        mine = left[first + process_rank() : first + process_rank() + 1]
        index.shards.update(
            pair
            for pairs in all_gather([_write_shard(folder, number, _take(texts, number), label) for number in mine])
            for pair in pairs
        )
        if is_leader():
            _write_index(folder, index)
    broadcast(None)  # nobody reads before the leader has written the index
    on_progress(len(texts), len(texts))
    return index


def read_logits(folder: Path) -> LogitStore:
    """Read a finished folder.

    Raises:
        TeacherError: it is missing, unfinished, damaged, or of another version.
    """
    index = _read_index(folder)
    if len(index.shards) * SHARD < index.drafts:
        raise TeacherError(
            f"{folder}: {len(index.shards) * SHARD} of {index.drafts} texts are labelled; run the same command again "
            "to finish"
        )
    texts: list[TransferText] = []
    intents, tags, relations = [], [], []
    for name, digest in sorted(index.shards.items()):
        path = folder / name
        if not _SHARD_NAME.fullmatch(name):
            raise TeacherError(
                f"{folder / INDEX}: names a shard {shorten(name)!r}, expected 00000.safetensors and so on"
            )
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise TeacherError(
                f"{path}: missing or damaged (its SHA-256 is not the one in {INDEX}); run the same command again to "
                "label it anew"
            )
        try:
            content = load(data)
            _check_shard(content, index.labels)
            texts += _unpack(content)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise TeacherError(f"{path}: cannot be read as a shard of lessons ({shorten(error)})") from error
        intents.append(content["intent"])
        tags.append(content["tags"])
        relations.append(content.get("relations", torch.zeros(0, dtype=torch.float16)))
    if not texts:
        raise TeacherError(f"{folder}: holds no lessons")
    return LogitStore(index, texts, torch.cat(intents), torch.cat(tags), torch.cat(relations))


def discard_lessons(folder: Path) -> None:
    """Remove what `write_logits` writes, and nothing else."""
    for path in (folder / INDEX, *folder.glob("*.safetensors")):
        if path.name == INDEX or _SHARD_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _begin(folder: Path, index: StoreIndex) -> tuple[StoreIndex, list[int]]:
    """Return the index of a folder and the numbers of the shards that are missing or damaged.

    A folder without an index gets `index`.
    """
    if (folder / INDEX).is_file():
        found = _read_index(folder)
        if found.fingerprint != index.fingerprint:
            raise TeacherError(
                f"{folder}: holds lessons of another teacher, data or settings; choose another folder, or remove it"
            )
        index = found
    else:
        _write_index(folder, index)
    shards = range(-(-index.drafts // SHARD))
    return index, [
        number for number in shards if _digest(folder / _name(number)) != index.shards.get(_name(number), "-")
    ]


def _name(number: int) -> str:
    return f"{number:05}.safetensors"


def _take(texts: Sequence[TransferText], number: int) -> Sequence[TransferText]:
    """Return the texts of a shard."""
    return texts[number * SHARD : (number + 1) * SHARD]


def _write_shard(
    folder: Path, number: int, texts: Sequence[TransferText], label: Callable[[Sequence[TransferText]], TeacherLogits]
) -> tuple[str, str]:
    """Label and write a shard, and return its name and its SHA-256."""
    data = save(_pack(texts, label(texts)))
    write_atomic(folder / _name(number), data)
    return _name(number), hashlib.sha256(data).hexdigest()


def _read_index(folder: Path) -> StoreIndex:
    path = folder / INDEX
    try:
        index = msgspec.json.decode(read_bounded(path, _LARGEST_INDEX), type=StoreIndex)
        check_labels(index.labels, str(path))
    except (OSError, SchemaError, *JSON_ERRORS) as error:
        raise TeacherError(f"{path}: not the index of a folder of lessons ({shorten(error)})") from error
    if index.format != FORMAT:
        raise TeacherError(f"{path}: format {index.format}, and this version of pqrnn reads format {FORMAT}")
    return index


def _write_index(folder: Path, index: StoreIndex) -> None:
    write_atomic(folder / INDEX, msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _pack(texts: Sequence[TransferText], answers: TeacherLogits) -> dict[str, Tensor]:
    words = b"\0".join(word for text in texts for word in text.words)  # no word holds a zero byte: it separates words
    gold = [tag for text in texts for tag in (text.tags if text.tags is not None else (-1,) * len(text.words))]
    return {
        "source": torch.tensor([text.source for text in texts], dtype=torch.int32),
        "counts": torch.tensor([len(text.words) for text in texts], dtype=torch.int32),
        "text": torch.frombuffer(bytearray(words or b"\0"), dtype=torch.uint8),
        "gold_intent": torch.tensor([text.intent for text in texts], dtype=torch.int32),
        "gold_tags": torch.tensor(gold, dtype=torch.int32),
        "intent": answers.intent.half().contiguous(),
        "tags": answers.tags.half().contiguous(),
        **({} if answers.relations is None else {"relations": answers.relations.half().contiguous()}),
    }


def _check_shard(content: dict[str, Tensor], labels: Labels) -> None:
    """Refuse a shard whose tensors do not fit one another or the labels.

    Raises:
        KeyError: One is missing.
        ValueError: One has another type or shape, or holds what is no number.
    """
    counts, n = content["counts"], len(content["source"])
    if counts.dtype != torch.int32 or counts.shape != (n,) or bool((counts < 0).any()):
        raise ValueError("its counts of words are none")
    words = int(counts.sum())
    shapes = {
        "source": (n,),
        "gold_intent": (n,),
        "gold_tags": (words,),
        "intent": (n, len(labels.intents)),
        "tags": (words, len(labels.tags)),
    }
    for name, shape in shapes.items():
        kind = torch.float16 if name in ("intent", "tags") else torch.int32
        if content[name].dtype != kind or tuple(content[name].shape) != shape:
            raise ValueError(f"{name} is {content[name].dtype}{list(content[name].shape)}, expected {list(shape)}")
    if bool(torch.isnan(content["intent"]).any() or torch.isnan(content["tags"]).any()):
        raise ValueError("a logit is no number")
    text = content["text"]
    if text.dtype != torch.uint8 or text.ndim != 1 or (words and bytes(text.numpy()).count(b"\0") != words - 1):
        raise ValueError("its words are not as many as it counts")
    squares = int(counts.long().square().sum())
    if "relations" in content and (content["relations"].ndim != 1 or len(content["relations"]) % max(squares, 1)):
        raise ValueError("its relations are not of its words")


def _unpack(content: dict[str, Tensor]) -> Iterator[TransferText]:
    words = bytes(content["text"].numpy()).split(b"\0")
    tags = content["gold_tags"].tolist()
    first = 0
    for source, count, intent in zip(
        content["source"].tolist(), content["counts"].tolist(), content["gold_intent"].tolist(), strict=True
    ):
        gold = tuple(tags[first : first + count])
        yield TransferText(source, tuple(words[first : first + count]), None if -1 in gold else gold, intent)
        first += count
