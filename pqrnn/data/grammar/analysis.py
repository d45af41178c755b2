"""Facts about templates that need no sentence to be made: what they refer to, how many there are, what can be empty."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import factorial, prod

from pqrnn.data.grammar.derivation import SPACES, Definitions
from pqrnn.data.grammar.nodes import Choice, ListRef, Node, Number, Permutation, RuleRef, Sequence, Text, children


def references(node: Node) -> Iterator[ListRef | RuleRef]:
    """Yield the references in a tree, in the order they are written."""
    if isinstance(node, ListRef | RuleRef):
        yield node
    for child in children(node):
        yield from references(child)


class Analysis:
    """Answers about trees over one set of definitions, each definition looked into once.

    The definitions must be free of recursion and of unknown names.
    """

    def __init__(self, definitions: Definitions) -> None:
        """Keep the definitions."""
        self._definitions = definitions
        self._count_list = cache(lambda name: self.count(definitions.lists[name]))
        self._count_rule = cache(lambda name: self.count(definitions.rules[name]))
        self._empty_rule = cache(lambda name: self.can_be_empty(definitions.rules[name]))
        self._depth_of_list = cache(lambda name: self.depth(definitions.lists[name]))
        self._depth_of_rule = cache(lambda name: self.depth(definitions.rules[name]))
        self._labels_of_rule = cache(lambda name: self.labels(definitions.rules[name]))

    def count(self, node: Node) -> int:
        """Return the exact number of ways to walk through a tree."""
        match node:
            case Text():
                return 1
            case Sequence(parts):
                return prod(map(self.count, parts))
            case Choice(options):
                return sum(map(self.count, options))
            case Permutation(parts):
                return factorial(len(parts)) * prod(map(self.count, parts))
            case Number(size=size):
                return size
            case ListRef(name):
                return int(self._count_list(name))
            case RuleRef(name):
                return int(self._count_rule(name))

    def depth(self, node: Node) -> int:
        """Return how deep a walk through a tree goes, lists and rules included."""
        match node:
            case ListRef(name):
                return 1 + int(self._depth_of_list(name))
            case RuleRef(name):
                return 1 + int(self._depth_of_rule(name))
            case _:
                return 1 + max(map(self.depth, children(node)), default=0)

    def can_be_empty(self, node: Node) -> bool:
        """Return whether some walk writes nothing visible; list values are held to be never empty."""
        match node:
            case Text(value):
                return not value.strip(SPACES)
            case Sequence(parts) | Permutation(parts):
                return all(map(self.can_be_empty, parts))
            case Choice(options):
                return any(map(self.can_be_empty, options))
            case Number() | ListRef():
                return False
            case RuleRef(name):
                return bool(self._empty_rule(name))

    def labels(self, node: Node) -> frozenset[str]:
        """Return the slot labels that a sentence of this tree may carry."""
        match node:
            case ListRef(_, label):
                return frozenset((label,))
            case RuleRef(name):
                return frozenset(self._labels_of_rule(name))
            case _:
                return frozenset[str]().union(*map(self.labels, children(node)))
