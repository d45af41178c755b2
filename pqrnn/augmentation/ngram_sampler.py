"""New texts that read like given ones, for a teacher to answer.

They are drawn word by word from n-gram counts (Shannon 1948, section 3).

Texts made up for a teacher to answer are what Tang et al. 2019 (arXiv:1903.12136) distil BERT into a BiLSTM with; He et
al. 2021 (arXiv:2106.06168) draw them from a language model.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

_LONGEST = 64


class NgramSampler:
    """Draws texts of which every word followed the words before it somewhere in the given ones.

    As many words before it are looked at as leave a choice, at most `order - 1`.
    """

    def __init__(self, texts: Iterable[Sequence[bytes]], order: int) -> None:
        """Count what follows what.

        Args:
            texts: The words of each text.
            order: Number of words that are looked at together, 2 or more.

        Raises:
            ValueError: `order` is less than 2.
        """
        if order < 2:
            raise ValueError(f"order must be 2 or more: {order}")
        self._order = order
        # None stands before the first word and after the last one. As often as it was seen, so that drawing one is
        # drawing by frequency.
        self._next: dict[tuple[bytes | None, ...], list[bytes | None]] = defaultdict(list)
        for words in texts:
            if words:
                line = [None, *words, None]
                for position in range(1, len(line)):
                    for length in range(1, min(order - 1, position) + 1):
                        self._next[tuple(line[position - length : position])].append(line[position])
        self._open = {context for context, words in self._next.items() if len(set(words)) > 1}

    def draw(self, rng: random.Random) -> tuple[bytes, ...]:
        """Return the words of a text; none if it would be longer than 64 words, or if there was nothing to count."""
        line: list[bytes | None] = [None]
        while self._next and len(line) <= _LONGEST + 1:
            contexts = [tuple(line[-length:]) for length in range(min(self._order - 1, len(line)), 0, -1)]
            seen = [context for context in contexts if context in self._next]
            word = rng.choice(self._next[next((context for context in seen if context in self._open), seen[0])])
            if word is None:
                return tuple(each for each in line if each is not None)
            line.append(word)
        return ()
