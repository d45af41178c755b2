"""The texts that teachers are asked about.

They are the training utterances, variants of them, texts without labels, and texts drawn from n-grams.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import torch

from pqrnn.augmentation.misspelling import Misspeller
from pqrnn.augmentation.ngram_sampler import NgramSampler
from pqrnn.augmentation.recombination import Recombination
from pqrnn.augmentation.restyling import Restyler
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
    """Distinct words by index (`pqrnn.model.network.WordTable` without anything behind the words)."""

    def __init__(self) -> None:
        """Start empty."""
        self.words: list[bytes] = []
        self._indices: dict[bytes, int] = {}

    def __len__(self) -> int:
        """Return how many distinct words there are so far."""
        return len(self.words)

    def index(self, words: Iterable[bytes]) -> list[int]:
        """Return the index of each word."""
        indices = []
        for word in words:
            if word not in self._indices:
                self._indices[word] = len(self.words)
                self.words.append(word)
            indices.append(self._indices[word])
        return indices


def make_transfer_set(
    training: Sequence[Example], unlabelled: Sequence[str], labels: Labels, config: TransferConfig
) -> list[TransferText]:
    """Return every training utterance, its variants, the texts without labels, and those drawn from n-grams.

    No text comes twice for one source. A variant keeps the gold labels where its template is one that the training
    utterances have with this intent: always, where only values were replaced or words misspelled. Of others only the
    teachers' answers are learned.
    """
    lexicon = Lexicon()
    with torch.inference_mode():
        dataset = encode_examples(training, lexicon, labels.intents, labels.tags)
        projection = Projection(ProjectionConfig(version=dataset.examples.version))
        raw = [text.encode() for text in dict.fromkeys(unlabelled)]
        spans_of_texts = segment_texts(projection, raw)
        misspell = (
            Misspeller(list(lexicon.words), projection, lexicon, make_random(config.seed, "misspell", 0))
            if config.variant_misspell
            else None
        )
        restyle = Restyler(dataset.examples.words, labels.tags, projection, lexicon) if config.variant_restyle else None
    texts = _vary(dataset, lexicon, labels, config, misspell, restyle)
    known = {text.words for text in texts}
    for text, spans in zip(raw, spans_of_texts, strict=True):
        words = tuple(text[start:end] for start, end in spans)
        if words and words not in known:
            known.add(words)
            texts.append(TransferText(len(training) + len(texts), words, None, -1))
    if config.sampled:
        texts += _sample(dataset, lexicon, texts, known, config)
    return texts


def _sample(
    dataset: EncodedDataset,
    lexicon: Lexicon,
    texts: Sequence[TransferText],
    known: set[tuple[bytes, ...]],
    config: TransferConfig,
) -> list[TransferText]:
    labelled = len(dataset.utterances)
    learned = [tuple(lexicon.words[word] for word in utterance.words) for utterance in dataset.utterances]
    sampler = NgramSampler([*learned, *(text.words for text in texts if text.source >= labelled)], config.ngram_order)
    rng = make_random(config.seed, "sampled", 0)
    found: dict[tuple[bytes, ...], None] = {}
    wanted = round(config.sampled * labelled)
    for _ in range(_TRIES * wanted):
        words = sampler.draw(rng)
        if words and words not in known:
            found[words] = None
        if len(found) == wanted:
            break
    return [TransferText(labelled + len(texts) + index, words, None, -1) for index, words in enumerate(found)]


def _vary(
    dataset: EncodedDataset,
    lexicon: Lexicon,
    labels: Labels,
    config: TransferConfig,
    misspell: Misspeller | None,
    restyle: Restyler | None,
) -> list[TransferText]:
    swap, recombination = SlotSwap(dataset.utterances, labels.tags), Recombination(dataset.utterances, labels.tags)

    def change(utterance: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        base = recombination.cross(utterance, rng, config.switch) if rng.random() < config.cross else utterance
        base = recombination.drop(base, rng) if rng.random() < config.drop else base
        made = swap(base, config.variant_swap, rng, config.switch)
        if base is not utterance and not recombination.is_known(base):
            made = made._replace(tags=None, intent=-1)
        made = made if restyle is None else restyle(made, config.variant_restyle, rng)
        return made if misspell is None else misspell(made, config.variant_misspell, rng)

    texts = []
    for source, utterance in enumerate(dataset.utterances):
        rng = make_random(config.seed, "lesson", source)  # the word decides what is drawn, so it stays
        made: dict[tuple[int, ...], EncodedUtterance] = {tuple(utterance.words): utterance}
        for _ in range(config.variants):
            variant = change(utterance, rng)
            made.setdefault(tuple(variant.words), variant)
        texts += [
            TransferText(
                source,
                tuple(lexicon.words[word] for word in variant.words),
                None if variant.tags is None else tuple(variant.tags),
                variant.intent,
            )
            for variant in made.values()
            if variant.words
        ]
    return texts
