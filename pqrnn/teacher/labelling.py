"""From training data to lessons: variants of the training utterances and texts without labels, answered by one or more teachers."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch

from pqrnn.augmentation import SlotSwap
from pqrnn.checkpoint import Facts, Labels, load_weights, read_facts
from pqrnn.corpus import Corpus, build_corpus, pad_words
from pqrnn.data.examples import Example
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.errors import CheckpointError, TeacherError
from pqrnn.features import segment_texts
from pqrnn.lessons import Answers, Draft, Index, write_lessons
from pqrnn.model import ModelConfig, ParserModel
from pqrnn.network import Network
from pqrnn.projection import Projection, ProjectionConfig
from pqrnn.teacher.model import TeacherConfig, TeacherModel

_BATCH = 64


class LessonConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What texts the teachers are asked about.

    Attributes:
        variants: of every training utterance, beside itself.
        swap: share of slot values replaced in a variant by another value of the same slot.
        seed: of everything random.
    """

    variants: int = 6
    swap: float = 0.5
    seed: int = 0


class Lexicon:
    """Distinct words by number (`pqrnn.network.WordTable` without anything behind the words)."""

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


def read_teacher(folder: Path) -> Facts[Any]:
    """Read what a fine-tuned encoder, or a parser that is to teach another one, says of itself.

    Raises:
        CheckpointError: there is neither.
    """
    try:
        return read_facts(folder, TeacherConfig)
    except CheckpointError:
        return read_facts(folder, ModelConfig)


def load_teacher(folder: Path) -> tuple[Network, Facts[Any]]:
    """Load a teacher in evaluation mode.

    Raises:
        CheckpointError: there is none.
        TeacherError: the encoder that it was made from cannot be loaded.
    """
    facts = read_teacher(folder)
    kind = TeacherModel if isinstance(facts.config, TeacherConfig) else ParserModel
    model = kind(facts.config, len(facts.labels.intents), len(facts.labels.tags))
    load_weights(folder, model)
    return model.eval(), facts


def make_drafts(training: Sequence[Example], unlabelled: Sequence[str], labels: Labels, config: LessonConfig) -> list[Draft]:
    """Return every training utterance, its variants, and the texts without labels; none twice for one source."""
    projection = Projection(ProjectionConfig())
    lexicon = Lexicon()
    with torch.inference_mode():
        corpus = build_corpus(training, projection, lexicon, labels.intents, labels.tags)
        raw = [text.encode() for text in dict.fromkeys(unlabelled)]
        places = segment_texts(projection, raw)
    drafts = _vary(corpus, lexicon, labels, config)
    known = {draft.words for draft in drafts}
    for text, spans in zip(raw, places, strict=True):
        words = tuple(text[start:end] for start, end in spans)
        if words and words not in known:
            known.add(words)
            drafts.append(Draft(len(training) + len(drafts), words, None, -1))
    return drafts


def _vary(corpus: Corpus, lexicon: Lexicon, labels: Labels, config: LessonConfig) -> list[Draft]:
    swap = SlotSwap(corpus.rows, labels.tags)
    drafts = []
    for source, row in enumerate(corpus.rows):
        rng = random.Random(int.from_bytes(hashlib.sha256(f"{config.seed}/lesson/{source}".encode()).digest()[:8], "big"))
        rows = [row, *(swap(row, config.swap, rng) for _ in range(config.variants))]
        made = {tuple(each.words): each for each in rows}
        drafts += [
            Draft(source, tuple(lexicon.words[word] for word in each.words), None if each.tags is None else tuple(each.tags), each.intent)
            for each in made.values()
            if each.words
        ]
    return drafts


def answer(teacher: Network, drafts: Sequence[Draft], precision: str = "float32") -> Answers:
    """Return a teacher's logits for drafts; `precision` of matrix products, "float32" or "bfloat16"."""
    table = teacher.make_table()
    intents: list[torch.Tensor | None] = [None] * len(drafts)
    tags: list[torch.Tensor | None] = [None] * len(drafts)
    order = sorted(range(len(drafts)), key=lambda number: len(drafts[number].words))
    rows = [table.index(draft.words) for draft in drafts]
    with torch.inference_mode():
        for first in range(0, len(order), _BATCH):
            part = order[first : first + _BATCH]
            words, mask = pad_words([rows[number] for number in part])
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                encoding = teacher.encode_words(table, words, mask)
            for place, number in enumerate(part):
                intents[number] = encoding.intent[place].float()
                tags[number] = encoding.tags[place, : len(drafts[number].words)].float()
    return Answers(torch.stack([each for each in intents if each is not None]), torch.cat([each for each in tags if each is not None]))


def average_answers(answers: Sequence[Answers]) -> Answers:
    """Return logits of the mean of the teachers' probabilities (an ensemble, Hinton et al. 2015, arXiv:1503.02531, section 1)."""
    if len(answers) == 1:
        return answers[0]

    def mean(parts: list[torch.Tensor]) -> torch.Tensor:
        # Log probabilities below this are of no use and would leave float16's range.
        return torch.logsumexp(torch.stack([part.log_softmax(-1) for part in parts]), 0).sub(torch.tensor(float(len(parts))).log()).clamp(min=-60.0)

    return Answers(mean([each.intent for each in answers]), mean([each.tags for each in answers]))


def label_examples(
    folder: Path,
    teachers: Sequence[Path],
    training: Sequence[Example],
    unlabelled: Sequence[str],
    config: LessonConfig,
    *,
    precision: str = "float32",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Index:
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
        TeacherError: no teacher, or teachers of different labels, or lessons of something else in the folder.
        CheckpointError: a teacher cannot be read.
    """
    if not teachers:
        raise TeacherError("no teacher to learn from")
    known = [read_teacher(place) for place in teachers]
    labels: Labels = known[0].labels
    for place, facts in zip(teachers, known, strict=True):
        if facts.labels != labels:
            raise TeacherError(f"{place}: was trained for other labels than {teachers[0]}; train all teachers on the same data")
    drafts = make_drafts(training, unlabelled, labels, config)
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

    return write_lessons(
        folder,
        drafts,
        lambda part: average_answers([answer(model, part, precision) for model in load_teachers()]),
        fingerprint=hashlib.sha256(json.dumps(decisive).encode()).hexdigest(),
        labels=labels,
        teachers=[place.name for place in teachers],
        rows=len(training),
        on_progress=on_progress,
    )
