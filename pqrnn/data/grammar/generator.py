"""A grammar that has been read and checked: counting, drawing and listing its sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.data.grammar.analysis import Analysis
from pqrnn.data.grammar.derivation import Definitions, OdometerChooser, RandomChooser, derive
from pqrnn.data.grammar.nodes import Node
from pqrnn.data.grammar.splits import SplitName, split_key, split_of

# An intent with fewer sentences than this has nothing to hold out: all of it is training data.
FEWEST_TO_SPLIT = 20

# After so many repeats in a row a template is taken for nearly used up: a small one is then listed to the end,
# a large one is left alone after many more.
_REPEATS_BEFORE_LISTING = 40
_REPEATS_BEFORE_GIVING_UP = 1000
_LARGEST_LISTED = 5000


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence template of an intent.

    Attributes:
        intent: The intent that it expresses.
        template: The template as written.
        node: The same as a tree.
        weight: How often it is drawn, relative to the other templates of the file.
        source: Where it is written, as ``file:line``.
    """

    intent: str
    template: str
    node: Node
    weight: float
    source: str


@dataclass(frozen=True, slots=True)
class Grammar:
    """Sentence templates with everything they refer to; made by :func:`~pqrnn.data.grammar.load_grammar`.

    Attributes:
        name: Where it came from, for messages.
        locale: Its language, ``""`` if the file does not say.
        sentences: The templates, in the order of the file.
        definitions: The lists and rules.
        unused: Lists and rules that no sentence reaches, as ``list 'x'`` or ``rule 'y'``.
        kinds: What slots hold, for those whose texts can be normalised, as ``{"level": "percent"}``.
    """

    name: str
    locale: str
    sentences: tuple[Sentence, ...]
    definitions: Definitions
    unused: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    _analysis: Analysis = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the answers about the definitions."""
        object.__setattr__(self, "_analysis", Analysis(self.definitions))

    @property
    def intents(self) -> tuple[str, ...]:
        """The intents, sorted."""
        return tuple(sorted({sentence.intent for sentence in self.sentences}))

    @property
    def labels(self) -> tuple[str, ...]:
        """The slot labels that some sentence may carry, sorted."""
        return tuple(sorted(frozenset[str]().union(*self.labels_by_intent().values())))

    def labels_by_intent(self) -> Mapping[str, frozenset[str]]:
        """Return the slot labels that the sentences of each intent may carry."""
        labels: dict[str, frozenset[str]] = {}
        for sentence in self.sentences:
            found = self._analysis.labels(sentence.node)
            labels[sentence.intent] = labels.get(sentence.intent, frozenset()) | found
        return labels

    def count(self, intent: str | None = None) -> int:
        """Return exactly how many sentences the grammar (or one intent of it) can make, without making them.

        Different ways to the same text count separately.
        """
        return sum(
            self._analysis.count(sentence.node) for sentence in self.sentences if intent in (None, sentence.intent)
        )

    def values(self, name: str) -> Iterator[str]:
        """Yield every value of a list, in the order of the file.

        Raises:
            KeyError: There is no such list.
        """
        yield from (text for text, _ in self._walks(self.definitions.lists[name]))

    def expand(self) -> Iterator[Example]:
        """Yield every sentence, template by template; there may be very many (:meth:`count`)."""
        for sentence in self.sentences:
            yield from self._expand(sentence)

    def draw(self, seed: int = 0) -> Iterator[Example]:
        """Yield sentences for ever, each drawn independently of the others.

        Every template is as likely as its weight says, whatever the number of sentences in it; so is every value of a
        list, and every alternative in brackets; an optional part is there half of the time.

        Args:
            seed: The same seed gives the same sentences on every machine and Python version.
        """
        chooser = RandomChooser(_derive_seed("draw", seed))
        cumulative = tuple(accumulate(sentence.weight for sentence in self.sentences))
        while True:
            yield self._draw(self.sentences[chooser.choose_cumulative(cumulative)], chooser)

    def sample(self, n: int, seed: int = 0, *, split: SplitName | None = None) -> list[Example]:
        """Draw ``n`` different texts, or all that there are if there are fewer.

        Drawn as in :meth:`draw`, but no text comes twice and a template whose sentences are used up drops out.

        Args:
            n: How many.
            seed: The same seed gives the same sentences on every machine and Python version.
            split: Only texts of this split. It is a matter of the text alone (:func:`split_of`), so samples of
                different splits never share one, whatever their seeds. The sentences of an intent that has fewer than
                :data:`FEWEST_TO_SPLIT` are all in ``train``.
        """
        chooser = RandomChooser(_derive_seed("sample", seed))
        only_train = self._texts_not_to_split() if split else frozenset()
        seen: set[str] = set()
        examples: list[Example] = []
        sources = [self._draw_new(sentence, chooser, seen) for sentence in self.sentences]
        weights = [sentence.weight for sentence in self.sentences]
        cumulative = tuple(accumulate(weights))
        while len(examples) < n and sources:
            index = chooser.choose_cumulative(cumulative)
            example = next(sources[index], None)
            if example is None:
                del sources[index], weights[index]
                cumulative = tuple(accumulate(weights))
            elif split is None or split == (
                "train" if split_key(example.text) in only_train else split_of(example.text)
            ):
                examples.append(example)
        return examples

    def _texts_not_to_split(self) -> frozenset[str]:
        """Return the keys of the sentences of the intents that are too small to be split."""
        small = {intent for intent in self.intents if self.count(intent) < FEWEST_TO_SPLIT}
        return frozenset(
            split_key(example.text)
            for sentence in self.sentences
            if sentence.intent in small
            for example in self._expand(sentence)
        )

    def _draw_new(self, sentence: Sentence, chooser: RandomChooser, seen: set[str]) -> Iterator[Example]:
        """Yield sentences of one template whose text is not in ``seen``, and put them there, until none is left."""
        repeats = 0
        size = self._analysis.count(sentence.node)
        while repeats < (_REPEATS_BEFORE_LISTING if size <= _LARGEST_LISTED else _REPEATS_BEFORE_GIVING_UP):
            example = self._draw(sentence, chooser)
            if example.text in seen:
                repeats += 1
                continue
            repeats = 0
            seen.add(example.text)
            yield example
        rest = list(self._expand(sentence)) if size <= _LARGEST_LISTED else []
        while rest:
            last = rest.pop()
            if rest:
                index = chooser.choose(len(rest) + 1, None)
                if index < len(rest):
                    rest[index], last = last, rest[index]
            if last.text not in seen:
                seen.add(last.text)
                yield last

    def _draw(self, sentence: Sentence, chooser: RandomChooser) -> Example:
        text, slots = derive(sentence.node, self.definitions, chooser)
        return Example(text, sentence.intent, slots, self.locale, sentence.source)

    def _expand(self, sentence: Sentence) -> Iterator[Example]:
        for text, slots in self._walks(sentence.node):
            yield Example(text, sentence.intent, slots, self.locale, sentence.source)

    def _walks(self, node: Node) -> Iterator[tuple[str, tuple[SlotSpan, ...]]]:
        """Yield the outcome of every walk from a node."""
        chooser = OdometerChooser()
        more = True
        while more:
            yield derive(node, self.definitions, chooser)
            more = chooser.advance()


def _derive_seed(purpose: str, seed: int) -> int:
    """Return a seed of its own for each purpose: neighbouring seeds must not give related sequences."""
    return int.from_bytes(hashlib.sha256(f"pqrnn grammar {purpose} {seed}".encode()).digest(), "big")
