"""The texts that teachers are asked about:

training utterances, variants of them, texts without labels, texts drawn from n-grams.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import torch

from pqrnn.augmentation.misspelling import Misspeller
from pqrnn.augmentation.ngram_sampler import NgramSampler
from pqrnn.augmentation.recombination import Recombination
from pqrnn.augmentation.slot_swap import SlotSwap
from pqrnn.data.examples import Example
from pqrnn.dataset.encoded import EncodedDataset, EncodedUtterance, encode_examples
from pqrnn.distillation.logit_store import TransferText
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts
from pqrnn.recipes.settings import ProjectionConfig, TransferConfig
from pqrnn.seeding import make_random
from runtime_py.decode.labels import Labels

_TRIES = 4  # draws for each text that is wanted: many are known




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


def make_transfer_set(
    training: Sequence[Example], unlabelled: Sequence[str], labels: Labels, config: TransferConfig
) -> list[TransferText]:
    """Return every training utterance, its variants, the texts without labels, and those drawn from n-grams;

    none twice for one source.

    A variant keeps the gold labels where its template is one that the training utterances have with this intent:
    always, where only values were replaced or words misspelled. Of others only the teachers' answers are learned.
    """
    projection = Projection(ProjectionConfig())
    lexicon = Lexicon()
    with torch.inference_mode():
        corpus = encode_examples(training, projection, lexicon, labels.intents, labels.tags)
        raw = [text.encode() for text in dict.fromkeys(unlabelled)]
        places = segment_texts(projection, raw)
        misspell = (
            Misspeller(list(lexicon.words), projection, lexicon, make_random(config.seed, "misspell", 0))
            if config.variant_misspell
            else None
        )
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


def _sample(
    corpus: EncodedDataset,
    lexicon: Lexicon,
    drafts: Sequence[TransferText],
    known: set[tuple[bytes, ...]],
    config: TransferConfig,
) -> list[TransferText]:
    rows = len(corpus.rows)
    learned = [tuple(lexicon.words[word] for word in row.words) for row in corpus.rows]
    sampler = NgramSampler([*learned, *(draft.words for draft in drafts if draft.source >= rows)], config.ngram_order)
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


def _vary(
    corpus: EncodedDataset, lexicon: Lexicon, labels: Labels, config: TransferConfig, misspell: Misspeller | None
) -> list[TransferText]:
    swap, recombination = SlotSwap(corpus.rows, labels.tags), Recombination(corpus.rows, labels.tags)

    def change(row: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        base = recombination.cross(row, rng, config.switch) if rng.random() < config.cross else row
        base = recombination.drop(base, rng) if rng.random() < config.drop else base
        made = swap(base, config.variant_swap, rng, config.switch)
        if base is not row and not recombination.is_known(base):
            made = made._replace(tags=None, intent=-1)
        return made if misspell is None else misspell(made, config.variant_misspell, rng)

    drafts = []
    for source, row in enumerate(corpus.rows):
        rng = make_random(config.seed, "lesson", source)  # the word decides what is drawn, so it stays
        made: dict[tuple[int, ...], EncodedUtterance] = {tuple(row.words): row}
        for _ in range(config.variants):
            variant = change(row, rng)
            made.setdefault(tuple(variant.words), variant)
        drafts += [
            TransferText(
                source,
                tuple(lexicon.words[word] for word in each.words),
                None if each.tags is None else tuple(each.tags),
                each.intent,
            )
            for each in made.values()
            if each.words
        ]
    return drafts
