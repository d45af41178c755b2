"""Utterances rewritten as people and speech recognisers write them; the meaning stays.

What one reads as the same text needs none of this: the projection folds capitals, compositions, invisible characters,
final marks and emoji. What is left differs in words:

- *courtesy*: a word of courtesy before or after ("please", "thanks");
- *apostrophes*: left out, and what they parted joined ("whats", "dont");
- *accents*: left out ("reveille"), or umlauts written as two letters ("fuer");
- *marks*: punctuation outside of slots left out, and hyphens between letters.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pqrnn.augmentation.slot_swap import TagSet
from pqrnn.augmentation.spelling import leave_accents
from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import are_words
from pqrnn.model.network import WordTable

_Key = TypeVar("_Key")

_COURTESY: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # before and after
    "en": (("please", "hey", "ok", "could you please"), ("please", "thanks", "thank you", "now please")),
    "de": (("bitte", "hey", "ok", "kannst du bitte"), ("bitte", "danke", "danke schön", "vielen dank")),
    "fr": (("s ' il te plaît", "hé", "ok"), ("s ' il te plaît", "s ' il vous plaît", "merci", "merci beaucoup")),
    "es": (("por favor", "oye", "ok"), ("por favor", "gracias", "muchas gracias")),
    "hi": (("कृपया", "सुनो", "प्लीज़"), ("प्लीज़", "धन्यवाद", "शुक्रिया", "कृपया")),
    "th": (("ช่ ว ย", "ก รุ ณ า", "ข อ"), ("ด้ ว ย", "ค รั บ", "ค่ ะ", "ข อ บ คุ ณ", "ห น่ อ ย")),
}
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_APOSTROPHES = frozenset(each.encode() for each in "'’‘ʼ`´")
_MARKS = frozenset(each.encode() for each in ",.;:!?…")
_HYPHENS = frozenset(each.encode() for each in "-‐‑–")


class Restyler:
    """Rewrites rows of a table of words."""

    def __init__(
        self, texts: Sequence[Sequence[bytes]], tags: Sequence[str], projection: Projection, table: WordTable
    ) -> None:
        """Add every word that may be needed to the table, at once.

        Args:
            texts: The words of every utterance that may be rewritten.
            tags: Tag list of the model.
            projection: Says what is a word: nothing becomes two, as Thai letters that an apostrophe parts would.
            table: Table of words that rows are of.
        """
        self._tags = TagSet(tags)
        self._outside = tags.index("O")
        known = {word: word.decode("utf-8", "replace") for text in texts for word in text}
        self._joined = _keep_words(projection, _join_all(texts))
        bare = _keep_words(projection, {word: leave_accents(text).encode() for word, text in known.items()})
        spelled = _keep_words(projection, {word: text.translate(_UMLAUTS).encode() for word, text in known.items()})
        phrases = {phrase for pair in _COURTESY.values() for side in pair for phrase in side}
        fresh = [*bare.values(), *spelled.values(), *self._joined.values()]
        fresh += [word.encode() for phrase in phrases for word in phrase.split()]
        table.index(dict.fromkeys([*known, *fresh]))  # at once: a table that grows is copied
        self._words = dict(zip(table.index(known), known, strict=True))
        self._bare, self._spelled = (
            dict(zip(table.index(made), table.index(made.values()), strict=True)) for made in (bare, spelled)
        )
        self._rows_of_joined = dict(zip(self._joined, table.index(self._joined.values()), strict=True))
        self._phrases = {phrase: table.index(word.encode() for word in phrase.split()) for phrase in phrases}

    def __call__(self, row: EncodedUtterance, share: float, rng: random.Random) -> EncodedUtterance:
        """Return the row, with probability `share` rewritten in one way that applies to it.

        A teacher's answer to it stays that to the text as it was: the row says which of its words are which of that.
        """
        if rng.random() >= share:
            return row
        row = row._replace(origins=list(range(len(row.words)))) if row.logit_index >= 0 else row
        kinds = [self._add_courtesy, self._leave_apostrophes, self._respell, self._leave_marks]
        rng.shuffle(kinds)
        for kind in kinds:
            made = kind(row, rng)
            if made.words and made.words != row.words:
                return made
        return row

    def _add_courtesy(self, row: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        """Add a phrase of the row's language; of any, where the data do not say the language."""
        before, after = _COURTESY.get(row.language) or _COURTESY[rng.choice(sorted(_COURTESY))]
        if rng.random() < 0.4:
            return self._extend(self._phrases[rng.choice(before)], row, [])
        return self._extend([], row, self._phrases[rng.choice(after)])

    def _extend(self, before: list[int], row: EncodedUtterance, after: list[int]) -> EncodedUtterance:
        def extend(values: list[int] | None, added: int) -> list[int] | None:
            return None if values is None else [added] * len(before) + values + [added] * len(after)

        tags, origins = extend(row.tags, self._outside), extend(row.origins, -1)
        return row._replace(words=[*before, *row.words, *after], tags=tags, origins=origins)

    def _respell(self, row: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        other = self._bare
        if any(word in self._spelled and self._spelled[word] != word for word in row.words) and rng.random() < 0.5:
            other = self._spelled
        return row._replace(words=[other.get(word, word) for word in row.words])

    def _leave_marks(self, row: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        """Leave out the marks that are in no slot, and hyphens that begin none."""
        tags = row.tags or [self._outside] * len(row.words)
        texts = [self._words.get(word, b"") for word in row.words]

        def goes(index: int) -> bool:
            outside = tags[index] == self._outside
            beside = (*texts[max(index - 1, 0) : index], *texts[index + 1 : index + 2])
            between = len(beside) == 2 and all(text.decode("utf-8", "replace").isalpha() for text in beside)
            if texts[index] in _HYPHENS:
                return between and (outside or self._tags.is_inside(tags[index]))
            return outside and texts[index] in _MARKS

        kept = [index for index in range(len(tags)) if not goes(index)]
        return self._pick(row, kept)

    def _leave_apostrophes(self, row: EncodedUtterance, rng: random.Random) -> EncodedUtterance:
        """Leave out apostrophes, and join the words beside each, unless they are of two slots."""
        words: list[int] = []
        tags: list[int] = []
        origins: list[int] = []
        given = row.tags or [self._outside] * len(row.words)
        for index, (word, tag) in enumerate(zip(row.words, given, strict=True)):
            middle = len(words) >= 2 and self._words.get(words[-1]) in _APOSTROPHES
            pair = (self._words.get(words[-2], b""), self._words.get(word, b"")) if middle else (b"", b"")
            joined = self._rows_of_joined.get(pair)
            together = self._tags.join(tags[-2], tag) if joined is not None else None
            if joined is None or together is None:
                words.append(word)
                tags.append(tag)
                origins.append(index)
            else:
                first = origins[-2] if together == tags[-2] else index
                words[-2:], tags[-2:], origins[-2:] = [joined], [together], [first]
        return row._replace(
            words=words,
            tags=None if row.tags is None else tags,
            origins=None if row.origins is None else [row.origins[index] for index in origins],
        )

    def _pick(self, row: EncodedUtterance, kept: Sequence[int]) -> EncodedUtterance:
        def pick(values: list[int] | None) -> list[int] | None:
            return None if values is None else [values[index] for index in kept]

        return row._replace(words=[row.words[index] for index in kept], tags=pick(row.tags), origins=pick(row.origins))


def _keep_words(projection: Projection, made: Mapping[_Key, bytes]) -> dict[_Key, bytes]:
    """Leave out what is not one word."""
    good = are_words(projection, list(made.values()))
    return {key: word for (key, word), ok in zip(made.items(), good, strict=True) if ok}


def _join_all(texts: Sequence[Sequence[bytes]]) -> dict[tuple[bytes, bytes], bytes]:
    """Return the pairs of words that an apostrophe parts somewhere, with what they are when joined."""
    found = {}
    for text in texts:
        for left, mark, right in zip(text, text[1:], text[2:], strict=False):
            if mark in _APOSTROPHES and (left + right).decode("utf-8", "replace").isalpha():
                found[left, right] = left + right
    return found
