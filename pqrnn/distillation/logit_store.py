"""What a teacher said of many texts, kept in shards:

written once, each whole or not at all, so that a long labelling job goes on where a kill stopped it.

A folder holds `lessons.json` (labels, fingerprint of everything that decides the content, SHA-256 of every finished
shard) and `00000.safetensors`, ... .
"""

from __future__ import annotations

import hashlib
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
from runtime_py.decode.labels import Labels

INDEX = "lessons.json"
SHARD = 4096
FORMAT = 1


class TransferText(NamedTuple):
    """A text to be labelled, as words, with what is known of it.

    Attributes:
        source: number of the training row that it was made from; from the number of training rows on, texts without
            gold labels.
        words: UTF-8 of each word.
        tags: gold tags, None where unknown.
        intent: gold intent, -1 where unknown.
    """

    source: int
    words: tuple[bytes, ...]
    tags: tuple[int, ...] | None
    intent: int


class TeacherLogits(NamedTuple):
    """Logits for some drafts, and, where asked for, how their words relate.

    Attributes:
        intent: float32[n, I].
        tags: float32[words of all, L].
        relations: probabilities (`pqrnn.model.losses.relate`), of each draft float[R, W, W] in a row, all in one; None
            where nobody asked.
    """

    intent: Tensor
    tags: Tensor
    relations: Tensor | None = None


class SoftTargets(NamedTuple):
    """Answers for a batch.

    Attributes:
        intent: float32[B, I].
        tags: float32[B, W, L], zero past the last word.
        relations: float32[B, R, W, W], zero past the last word; None where they were not kept.
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
    """Labelled drafts in memory.

    Attributes:
        index: of the folder.
        drafts: the texts.
        intent: the teacher's logits, float16[n, I].
        heads: of the relations between words that were kept, 0 where none were.
    """

    def __init__(
        self, index: StoreIndex, drafts: list[TransferText], intent: Tensor, tags: Tensor, relations: Tensor
    ) -> None:
        """`tags`: float16[words of all drafts, L]; `relations`: float16, empty where they were not kept."""
        self.index, self.drafts, self.intent = index, drafts, intent
        self._tags, self._relations = tags, relations
        counts = torch.tensor([0, *(len(draft.words) for draft in drafts)])
        self._starts = counts.cumsum(0).tolist()
        squares = counts.square().cumsum(0).tolist()
        self.heads = len(relations) // squares[-1]
        self._squares = [self.heads * square for square in squares]

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256("".join(digest for _, digest in sorted(self.index.shards.items())).encode()).hexdigest()

    def tags(self, number: int) -> Tensor:
        """Return the teacher's logits for the words of one draft, float16[W, L]."""
        return self._tags[self._starts[number] : self._starts[number + 1]]

    def relations(self, number: int) -> Tensor:
        """Return how the words of one draft relate, float16[heads, W, W]."""
        words = len(self.drafts[number].words)
        return self._relations[self._squares[number] : self._squares[number + 1]].reshape(self.heads, words, words)

    def targets(self, numbers: Sequence[int], width: int) -> SoftTargets:
        """Return the answers for a batch, `width` words wide."""
        tags = torch.zeros((len(numbers), width, self._tags.shape[1]))
        for place, number in enumerate(numbers):
            own = self.tags(number)
            tags[place, : len(own)] = own
        relations = torch.zeros((len(numbers), self.heads, width, width)) if self.heads else None
        if relations is not None:
            for place, number in enumerate(numbers):
                words = len(self.drafts[number].words)
                relations[place, :, :words, :words] = self.relations(number)
        return SoftTargets(self.intent[torch.tensor(numbers)].float(), tags, relations)


def write_logits(
    folder: Path,
    drafts: Sequence[TransferText],
    label: Callable[[Sequence[TransferText]], TeacherLogits],
    *,
    fingerprint: str,
    labels: Labels,
    teachers: Sequence[str],
    rows: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> StoreIndex:
    """Label drafts, or those that are left of an earlier call with the same fingerprint.

    Processes that work together take a shard each, round by round; the leader notes what is finished after every round.

    Args:
        folder: is made where it does not exist.
        drafts: what to label, always in the same order.
        label: the teacher.
        fingerprint: of all that decides drafts and answers.
        labels: names behind the logits.
        teachers: their names, for people.
        rows: training rows, from which on `TransferText.source` is a text without gold labels.
        on_progress: called with drafts labelled so far and all of them.

    Raises:
        TeacherError: the folder holds lessons of another fingerprint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = StoreIndex(
        fingerprint=fingerprint, labels=labels, teachers=list(teachers), rows=rows, drafts=len(drafts), shards={}
    )
    index, left = broadcast(_begin(folder, new) if is_leader() else (new, []))
    for first in range(0, len(left), world_size()):
        on_progress(len(drafts) - sum(len(_take(drafts, number)) for number in left[first:]), len(drafts))
        mine = left[first + process_rank() : first + process_rank() + 1]
        index.shards.update(
            pair
            for pairs in all_gather([_write_shard(folder, number, _take(drafts, number), label) for number in mine])
            for pair in pairs
        )
        if is_leader():
            _write_index(folder, index)
    broadcast(None)  # nobody reads before the leader has written the index
    on_progress(len(drafts), len(drafts))
    return index


def read_logits(folder: Path) -> LogitStore:
    """Read a finished folder.

    Raises:
        TeacherError: it is missing, unfinished, damaged, or of another version.
    """
    index = _read_index(folder)
    if len(index.shards) * SHARD < index.drafts:
        raise TeacherError(
            f"{folder}: {len(index.shards) * SHARD} of {index.drafts} texts are labelled; run the same command again to finish"
        )
    drafts: list[TransferText] = []
    intents, tags, relations = [], [], []
    for name, digest in sorted(index.shards.items()):
        path = folder / name
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise TeacherError(
                f"{path}: missing or damaged (its SHA-256 is not the one in {INDEX}); run the same command again to label it anew"
            )
        try:
            content = load(data)
        except SafetensorError as error:
            raise TeacherError(f"{path}: cannot be read ({error})") from error
        drafts += _unpack(content)
        intents.append(content["intent"])
        tags.append(content["tags"])
        relations.append(content.get("relations", torch.zeros(0, dtype=torch.float16)))
    return LogitStore(index, drafts, torch.cat(intents), torch.cat(tags), torch.cat(relations))


def _begin(folder: Path, index: StoreIndex) -> tuple[StoreIndex, list[int]]:
    """Return the index of a folder, which is made from `index` where there is none, and the numbers of the shards that
    are missing or damaged.
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


def _take(drafts: Sequence[TransferText], number: int) -> Sequence[TransferText]:
    """Return the drafts of a shard."""
    return drafts[number * SHARD : (number + 1) * SHARD]


def _write_shard(
    folder: Path, number: int, drafts: Sequence[TransferText], label: Callable[[Sequence[TransferText]], TeacherLogits]
) -> tuple[str, str]:
    """Label and write a shard, and return its name and its SHA-256."""
    data = save(_pack(drafts, label(drafts)))
    write_atomic(folder / _name(number), data)
    return _name(number), hashlib.sha256(data).hexdigest()


def _read_index(folder: Path) -> StoreIndex:
    path = folder / INDEX
    try:
        index = msgspec.json.decode(path.read_bytes(), type=StoreIndex)
    except (OSError, msgspec.MsgspecError) as error:
        raise TeacherError(f"{path}: not the index of a folder of lessons ({error})") from error
    if index.format != FORMAT:
        raise TeacherError(f"{path}: format {index.format}, and this version of pqrnn reads format {FORMAT}")
    return index


def _write_index(folder: Path, index: StoreIndex) -> None:
    write_atomic(folder / INDEX, msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _pack(drafts: Sequence[TransferText], answers: TeacherLogits) -> dict[str, Tensor]:
    text = b"\0".join(word for draft in drafts for word in draft.words)  # no word holds a zero byte: it separates words
    gold = [tag for draft in drafts for tag in (draft.tags if draft.tags is not None else (-1,) * len(draft.words))]
    return {
        "source": torch.tensor([draft.source for draft in drafts], dtype=torch.int32),
        "counts": torch.tensor([len(draft.words) for draft in drafts], dtype=torch.int32),
        "text": torch.frombuffer(bytearray(text or b"\0"), dtype=torch.uint8),
        "gold_intent": torch.tensor([draft.intent for draft in drafts], dtype=torch.int32),
        "gold_tags": torch.tensor(gold, dtype=torch.int32),
        "intent": answers.intent.half().contiguous(),
        "tags": answers.tags.half().contiguous(),
        **({} if answers.relations is None else {"relations": answers.relations.half().contiguous()}),
    }


def _unpack(content: dict[str, Tensor]) -> Iterator[TransferText]:
    words = bytes(content["text"].numpy()).split(b"\0")
    tags = content["gold_tags"].tolist()
    first = 0
    for source, count, intent in zip(
        content["source"].tolist(), content["counts"].tolist(), content["gold_intent"].tolist(), strict=True
    ):
        own = tuple(tags[first : first + count])
        yield TransferText(source, tuple(words[first : first + count]), None if -1 in own else own, intent)
        first += count
