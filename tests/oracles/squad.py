"""The official script for SQuAD 1.1, said again from its description: character by character and word by word."""

from __future__ import annotations

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def words_of(answer: str) -> list[str]:
    """The words that are compared."""
    bare = "".join(letter for letter in answer.lower() if letter not in PUNCTUATION)
    pieces, word = [], ""
    for letter in bare + " ":
        if letter.isalnum() or letter == "_":
            word += letter
            continue
        pieces += [" " if word in ("a", "an", "the") else word, letter]
        word = ""
    return "".join(pieces).split()


def exact_match(prediction: str, golds: list[str]) -> int:
    """Whether a prediction is one of the gold answers."""
    return int(any(words_of(prediction) == words_of(gold) for gold in golds))


def f1(prediction: str, golds: list[str]) -> float:
    """The best harmonic mean of precision and recall over words."""
    best = 0.0
    for gold in golds:
        left, mine = words_of(gold), words_of(prediction)
        size, same = len(left), 0
        for word in mine:
            if word in left:
                left.remove(word)
                same += 1
        if same:
            precision, recall = same / len(mine), same / size
            best = max(best, 2 * precision * recall / (precision + recall))
    return best
