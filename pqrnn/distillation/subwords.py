"""A teacher's view of words: the subword tokens of each, cut once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class TokenBatch(NamedTuple):
    """Subwords of a batch, and where words begin.

    Attributes:
        tokens: Ids of the subwords, int64[B, T].
        attention: One for a subword and zero for padding, int64[B, T].
        starts: Index of each word's first subword, int64[B, W], 0 for padding.
    """

    tokens: Tensor
    attention: Tensor
    starts: Tensor


class WordTokens:
    """Subword tokens of distinct words: a table that grows as words are met (`pqrnn.model.network.WordTable`).

    Attributes:
        first: Ids of the tokens before a text.
        last: Ids of the tokens after it.
        padding: Id that fills up a batch.
        unknown: Id of a word that is cut into nothing.
    """

    def __init__(self, tokenizer: Any, spell: Callable[[str], str] | None = None) -> None:
        """Make an empty table.

        Args:
            tokenizer: Tokenizer of the Hugging Face library that cuts words into subwords.
            spell: How a word is spelled for it, such as in Latin letters; None leaves it as it is.
        """
        self._tokenizer, self._spell = tokenizer, spell
        self._rows: dict[bytes, int] = {}
        self._tokens: list[list[int]] = []
        first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        last = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        self.first = [first] if first is not None else []
        self.last = [last] if last is not None else []
        self.padding = tokenizer.pad_token_id or 0
        self.unknown = tokenizer.unk_token_id or 0

    def __len__(self) -> int:
        """Distinct words so far."""
        return len(self._rows)

    def index(self, words: Iterable[bytes]) -> list[int]:
        """Return the row of each word, cutting those not met before; a word without any token is the unknown token."""
        wanted = list(words)
        fresh = list(dict.fromkeys(word for word in wanted if word not in self._rows))
        if fresh:
            # A space before each, as inside a sentence: byte-level tokenizers cut a word at the beginning differently.
            texts = [word.decode("utf-8", "replace") for word in fresh]
            texts = [f" {text if self._spell is None else self._spell(text)}" for text in texts]
            for word, ids in zip(fresh, self._tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True):
                self._rows[word] = len(self._tokens)
                self._tokens.append(list(ids) or [self.unknown])
        return [self._rows[word] for word in wanted]

    def collate(self, rows: Sequence[Sequence[int]], longest: int) -> TokenBatch:
        """Join the tokens of utterances given as rows of this table.

        Args:
            rows: Rows of the words of each utterance.
            longest: Most tokens that the encoder reads; what is beyond is cut, and a word beyond points at the last
                token.
        """
        joined, begins = [], []
        for words in rows:
            tokens, starts = list(self.first), []
            for row in words:
                starts.append(len(tokens))
                tokens += self._tokens[row]
            tokens = tokens[: longest - len(self.last)] + self.last
            joined.append(tokens)
            begins.append([min(start, len(tokens) - 1) for start in starts])
        width, words_width = max(map(len, joined)), max(1, *map(len, begins))
        return TokenBatch(
            torch.tensor([tokens + [self.padding] * (width - len(tokens)) for tokens in joined]),
            torch.tensor([[1] * len(tokens) + [0] * (width - len(tokens)) for tokens in joined]),
            torch.tensor([starts + [0] * (words_width - len(starts)) for starts in begins]),
        )
