"""What a step of task-agnostic distillation reads."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pqrnn.dataset.collate import pad_words
from pqrnn.distillation.subwords import TokenBatch, WordTokens
from pqrnn.encoders.students import Reading
from pqrnn.encoders.teachers import EncoderTeacher
from pqrnn.encoders.texts import Corpus
from pqrnn.seeding import make_random

_WINDOW = 50  # batches that are sorted by length together


class Reader:
    """Turns texts of a corpus into batches: the same for the same seed and step, whatever ran before."""

    def __init__(self, corpus: Corpus, teacher: EncoderTeacher, hidden_share: float) -> None:
        """Cut all words into the teacher's subwords.

        Args:
            corpus: The texts.
            teacher: The teacher.
            hidden_share: Share of the words to hide, at least one of each text; 0 hides none.
        """
        self.corpus, self._share = corpus, hidden_share
        self._hidden_token = teacher.mask_token if hidden_share else 0
        self._longest, self._last = teacher.longest, teacher.last
        self._table = WordTokens(teacher.tokenizer)
        self._table.index(corpus.words)

    def read(self, texts: Sequence[tuple[int, ...]], rng: random.Random) -> Reading:
        """Return a batch of texts, as rows of the corpus's words; `rng` chooses what is hidden."""
        words, mask = pad_words(texts)
        tokens = self._table.collate(texts, self._longest)
        shares = share_words(tokens, mask[..., 0].sum(1).long(), self._last)
        hidden = torch.zeros(words.shape, dtype=torch.bool)
        if self._share:
            for row, text in enumerate(texts):
                hidden[row, rng.sample(range(len(text)), max(1, round(self._share * len(text))))] = True
        inside = ((shares > 0) & hidden[..., None]).any(1)
        read = torch.where(inside, self._hidden_token, tokens.tokens)
        return Reading(tokens._replace(tokens=read), tokens.tokens, words, mask, shares, hidden)

    def steps(self, seed: int, size: int, first: int, last: int) -> Iterator[tuple[int, Reading]]:
        """Yield the number and the batch of the steps from `first` up to but without `last`, of `size` texts each."""
        texts = self.corpus.texts
        per_epoch = math.ceil(len(texts) / size)
        epoch, batches = -1, list[list[int]]()
        for step in range(first, last):
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                batches = order_batches([len(text) for text in texts], size, make_random(seed, "epoch", epoch))
            rng = make_random(seed, "step", step)
            torch.manual_seed(rng.getrandbits(48))
            yield step, self.read([texts[index] for index in batches[step % per_epoch]], rng)

    def held_out(self, size: int) -> Iterator[Reading]:
        """Yield the texts that are not learned, always with the same words hidden."""
        texts = sorted(self.corpus.held_out, key=len)
        for first in range(0, len(texts), size):
            yield self.read(texts[first : first + size], make_random(0, "held out", first))


def order_batches(lengths: Sequence[int], size: int, rng: random.Random) -> list[list[int]]:
    """Return batches of texts of similar length, as positions, in random order.

    Args:
        lengths: Lengths of the texts.
        size: Texts of a batch.
        rng: Generator.
    """
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), size * _WINDOW):
        window = sorted(order[start : start + size * _WINDOW], key=lambda index: lengths[index])
        batches += [window[first : first + size] for first in range(0, len(window), size)]
    rng.shuffle(batches)
    return batches


def share_words(batch: TokenBatch, counts: Tensor, last: int) -> Tensor:
    """Return the share of every subword in every word, float32[B, W, T]; the shares of a word add up to 1.

    A word beyond the longest text that the encoder reads stands for its last token, as its start says.

    Args:
        batch: The subwords.
        counts: Words of each text, int64[B].
        last: Tokens that the tokenizer puts after a text.
    """
    positions = torch.arange(batch.tokens.shape[1])
    numbers = torch.arange(batch.starts.shape[1])
    ends = batch.attention.sum(1, keepdim=True) - last
    following = torch.cat([batch.starts[:, 1:], ends], 1)
    following = torch.where(numbers < counts[:, None] - 1, following, ends)
    following = torch.maximum(following, batch.starts + 1)
    inside = (positions >= batch.starts[..., None]) & (positions < following[..., None])
    shares = (inside & (numbers < counts[:, None])[..., None]).float()
    return shares / shares.sum(-1, keepdim=True).clamp(min=1.0)
