"""From training data to lessons: variants of the training utterances and texts without labels, answered by one or more teachers."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch

from pqrnn.augmentation.misspelling import Misspeller
from pqrnn.augmentation.ngram_sampler import NgramSampler
from pqrnn.augmentation.recombination import Recombination
from pqrnn.augmentation.slot_swap import EncodedUtterance, SlotSwap
from pqrnn.checkpoint import Labels
from pqrnn.data.examples import Example
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.dataset.encoded import EncodedDataset, encode_examples, list_labels, pad_words
from pqrnn.distillation.loading import load_teacher, read_teacher
from pqrnn.distillation.logit_store import TeacherLogits, TransferText, StoreIndex, write_logits
from pqrnn.errors import TeacherError
from pqrnn.features.projection import Projection, ProjectionConfig
from pqrnn.features.word_table import segment_texts
from pqrnn.model.losses import relate
from pqrnn.model.network import Network
from pqrnn.seeding import make_random

_BATCH = 64
_SHOWN = 5
_TRIES = 4  # draws for each text that is wanted: many are known


class TransferConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What texts the teachers are asked about. A share of 0 leaves that kind of change out.

    Attributes:
        variants: of every training utterance, beside itself.
        swap: share of slot values replaced in a variant by another value of the same slot in the same language.
        cross: share of variants that go on, from one of their slots, as another utterance of the same intent does.
        drop: share of variants that lack one of their slots.
        switch: share of slot values, and of the utterances that variants go on as, that are taken from another language (code-switching).
        misspell: share of words misspelled in a variant.
        sampled: texts for each training utterance that are drawn from n-grams of all texts (`pqrnn.augmentation.ngram_sampler`); only the teachers' answers to them are learned.
        order: words of these n-grams.
        relations: heads of the relations between words that are kept beside the answers (`pqrnn.model.losses.relate`), a divisor of the widths of teacher and student;
            0 keeps none: they are large.
        seed: of everything random.
    """

    variants: int = 6
    swap: float = 0.5
    cross: float = 0.0
    drop: float = 0.0
    switch: float = 0.0
    misspell: float = 0.0
    sampled: float = 0.0
    order: int = 4
    relations: int = 0
    seed: int = 0


class Lexicon:
    """Distinct words by number (`pqrnn.model.network.WordTable` without anything behind the words)."""

    def __init__(self) -> None:
        """Start empty."""
        self.words: list[bytes] = []
        self._rows: dict[bytes, int] = {}

    def __len__(self) -> int:
        """Distinct words so far."""
        return len(self.words)

    def index(self, words: Iterable[bytes]) -> list[int]:
        """Return the number of each word."""
        rows = []
        for word in words:
            if word not in self._rows:
                self._rows[word] = len(self.words)
                self.words.append(word)
            rows.append(self._rows[word])
        return rows


def make_transfer_set(training: Sequence[Example], unlabelled: Sequence[str], labels: Labels, config: TransferConfig) -> list[TransferText]:
    """Return every training utterance, its variants, the texts without labels, and those drawn from n-grams; none twice for one source.

    A variant keeps the gold labels where its template is one that the training utterances have with this intent: always, where only values were replaced
    or words misspelled. Of others only the teachers' answers are learned.
    """
    projection = Projection(ProjectionConfig())
    lexicon = Lexicon()
    with torch.inference_mode():
        corpus = encode_examples(training, projection, lexicon, labels.intents, labels.tags)
        raw = [text.encode() for text in dict.fromkeys(unlabelled)]
        places = segment_texts(projection, raw)
        misspell = Misspeller(list(lexicon.words), projection, lexicon, make_random(config.seed, "misspell", 0)) if config.misspell else None
    drafts = _vary(corpus, lexicon, labels, config, misspell)
    known = {draft.words for draft in drafts}
    for text, spans in zip(raw, places, strict=True):
        words = tuple(text[start:end] for start, end in spans)
        if words and words not in known:
            known.add(words)
            drafts.append(TransferText(len(training) + len(drafts), words, None, -1))
    if config.sampled:
        drafts += _sample(corpus, lexicon, drafts, known, config)
    return drafts


def _sample(corpus: EncodedDataset, lexicon: Lexicon, drafts: Sequence[TransferText], known: set[tuple[bytes, ...]], config: TransferConfig) -> list[TransferText]:
    rows = len(corpus.rows)
    learned = [tuple(lexicon.words[word] for word in row.words) for row in corpus.rows]
    sampler = NgramSampler([*learned, *(draft.words for draft in drafts if draft.source >= rows)], config.order)
    rng = make_random(config.seed, "sampled", 0)
    found: dict[tuple[bytes, ...], None] = {}
    wanted = round(config.sampled * rows)
    for _ in range(_TRIES * wanted):
        words = sampler.draw(rng)
        if words and words not in known:
            found[words] = None
        if len(found) == wanted:
            break
    return [TransferText(rows + len(drafts) + number, words, None, -1) for number, words in enumerate(found)]


def _vary(corpus: EncodedDataset, lexicon: Lexicon, labels: Labels, config: TransferConfig, misspell: Misspeller | None) -> list[TransferText]:
    swap, recombination = SlotSwap(corpus.rows, labels.tags), Recombination(corpus.rows, labels.tags)

    def change(row: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        base = recombination.cross(row, rng, config.switch) if rng.random() < config.cross else row
        base = recombination.drop(base, rng) if rng.random() < config.drop else base
        made = swap(base, config.swap, rng, config.switch)
        if base is not row and not recombination.is_known(base):
            made = made._replace(tags=None, intent=-1)
        return made if misspell is None else misspell(made, config.misspell, rng)

    drafts = []
    for source, row in enumerate(corpus.rows):
        rng = make_random(config.seed, "logit_index", source)
        made: dict[tuple[int, ...], EncodedUtterance] = {tuple(row.words): row}
        for _ in range(config.variants):
            variant = change(row, rng)
            made.setdefault(tuple(variant.words), variant)
        drafts += [
            TransferText(source, tuple(lexicon.words[word] for word in each.words), None if each.tags is None else tuple(each.tags), each.intent)
            for each in made.values()
            if each.words
        ]
    return drafts


class Columns(NamedTuple):
    """Which of a teacher's logits the lessons hold, in their order."""

    intents: list[int]
    tags: list[int]


def choose_labels(teacher: Path, known: Labels, wanted: Labels) -> Columns:
    """Return where the labels of the training data stand among those that a teacher knows; it may know more, as one of more languages does.

    Raises:
        TeacherError: it does not know one of them.
    """
    places = [{name: place for place, name in enumerate(names)} for names in (known.intents, known.tags)]
    missing = [name for place, names in zip(places, (wanted.intents, wanted.tags), strict=True) for name in names if name not in place]
    if missing:
        raise TeacherError(f"{teacher}: does not know {', '.join(missing[:_SHOWN])}, which the training data have; train the teacher on these data, too")
    return Columns([places[0][name] for name in wanted.intents], [places[1][name] for name in wanted.tags])


def answer(teacher: Network, drafts: Sequence[TransferText], precision: str = "float32", relations: int = 0, columns: Columns | None = None) -> TeacherLogits:
    """Return a teacher's logits for drafts, and its words' relations in so many heads.

    Args:
        teacher: in evaluation mode.
        drafts: what is asked.
        precision: of matrix products, "float32" or "bfloat16".
        relations: heads; 0 for none.
        columns: the logits that are wanted; all, if None.

    Raises:
        TeacherError: the heads do not divide the teacher's width.
    """
    table = teacher.make_table()
    intents: list[torch.Tensor | None] = [None] * len(drafts)
    tags: list[torch.Tensor | None] = [None] * len(drafts)
    related: list[torch.Tensor] = [torch.zeros(0)] * len(drafts)
    order = sorted(range(len(drafts)), key=lambda number: len(drafts[number].words))
    rows = [table.index(draft.words) for draft in drafts]
    with torch.inference_mode():
        for first in range(0, len(order), _BATCH):
            part = order[first : first + _BATCH]
            words, mask = pad_words([rows[number] for number in part])
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                encoding = teacher.encode_words(table, words, mask)
            for place, number in enumerate(part):
                intent, tag = encoding.intent[place], encoding.tags[place, : len(drafts[number].words)]
                intents[number] = (intent if columns is None else intent[columns.intents]).float()
                tags[number] = (tag if columns is None else tag[:, columns.tags]).float()
            if relations:
                if encoding.states.shape[-1] % relations:
                    raise TeacherError(f"relations in {relations} heads: they do not divide the teacher's width, {encoding.states.shape[-1]}")
                found = relate(encoding.states.float(), mask, relations).exp()
                for place, number in enumerate(part):
                    count = len(drafts[number].words)
                    related[number] = found[place, :, :count, :count].flatten()
    answers = TeacherLogits(torch.stack([each for each in intents if each is not None]), torch.cat([each for each in tags if each is not None]))
    return answers._replace(relations=torch.cat(related)) if relations else answers


def average_logits(answers: Sequence[TeacherLogits]) -> TeacherLogits:
    """Return logits of the mean of the teachers' probabilities (an ensemble, Hinton et al. 2015, arXiv:1503.02531, section 1), and the mean of relations."""
    if len(answers) == 1:
        return answers[0]

    def mean(parts: list[torch.Tensor]) -> torch.Tensor:
        # Log probabilities below this are of no use and would leave float16's range.
        return torch.logsumexp(torch.stack([part.log_softmax(-1) for part in parts]), 0).sub(torch.tensor(float(len(parts))).log()).clamp(min=-60.0)

    relations = [each.relations for each in answers if each.relations is not None]
    together = torch.stack(relations).mean(0) if relations else None
    return TeacherLogits(mean([each.intent for each in answers]), mean([each.tags for each in answers]), together)


def label_transfer_set(
    folder: Path,
    teachers: Sequence[Path],
    training: Sequence[Example],
    unlabelled: Sequence[str],
    config: TransferConfig,
    *,
    precision: str = "float32",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> StoreIndex:
    """Make lessons, or finish those that an earlier call began.

    Args:
        folder: where they are kept.
        teachers: folders of trained teachers; the mean of their probabilities is what is taught.
        training: the labelled utterances.
        unlabelled: further texts, which only the teachers' answers are known of.
        config: what variants are made.
        precision: of the teachers' matrix products.
        on_progress: called with texts labelled so far, and all.

    Raises:
        TeacherError: no teacher, or one that does not know a label of the training data, or lessons of something else in the folder.
        CheckpointError: a teacher cannot be read.
    """
    if not teachers:
        raise TeacherError("no teacher to learn from")
    known = [read_teacher(place) for place in teachers]
    labels = list_labels(training).outputs()
    chosen = [choose_labels(place, facts.labels, labels) for place, facts in zip(teachers, known, strict=True)]
    drafts = make_transfer_set(training, unlabelled, labels, config)
    decisive = [
        msgspec.to_builtins(config),
        [facts.training.get("settings") for facts in known],
        fingerprint_examples(training),
        hashlib.sha256("\n".join(unlabelled).encode()).hexdigest(),
        precision,
    ]

    @cache
    def load_teachers() -> list[Network]:
        return [load_teacher(place)[0] for place in teachers]  # not before something is left to be labelled

    return write_logits(
        folder,
        drafts,
        lambda part: average_logits([answer(model, part, precision, config.relations, mine) for model, mine in zip(load_teachers(), chosen, strict=True)]),
        fingerprint=hashlib.sha256(json.dumps(decisive).encode()).hexdigest(),
        labels=labels,
        teachers=[place.name for place in teachers],
        rows=len(training),
        on_progress=on_progress,
    )
