"""From Home Assistant's templates, as `hassil` reads them, to the nodes of our grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hassil.errors import HassilError
from hassil.expression import Alternative, Expression, ListReference, RuleReference, TextChunk
from hassil.expression import Permutation as TheirPermutation
from hassil.expression import Sequence as TheirSequence
from hassil.intents import RangeFractionType, RangeSlotList, SlotList, TextSlotList, WildcardSlotList, _parse_list
from hassil.numbers import get_rbnf_engine
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError

from pqrnn.data.grammar.derivation import Definitions
from pqrnn.data.grammar.errors import did_you_mean
from pqrnn.data.grammar.nodes import Choice, ListRef, Node, Number, Permutation, RuleRef, Text
from pqrnn.data.grammar.nodes import Sequence as OurSequence
from pqrnn.data.hassil.sources import SentenceFile
from pqrnn.errors import DataFormatError

_MOST_WORDS = 201  # numbers of a range that are also written in words
_IN_WORDS = 0.35  # share of numbers that are
_FRACTIONS = 0.1
_DEEPEST = 30
ANY = "any"  # the list whose values fill wildcards


class UnusableError(Exception):
    """A template says something that this home has not."""


@dataclass(frozen=True)
class Scope:
    """What names mean in a block of sentences.

    Attributes:
        key: What tells it from others; empty for that of the whole file.
        rules: Rules of the block alone.
        lists: Lists of the block alone.
        domains: The domains that a name may be of, or None for any.
    """

    key: str = ""
    rules: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Any] = field(default_factory=dict)
    domains: tuple[str, ...] | None = None


class Converter:
    """Converts templates; rules and lists are converted once for each scope that they are used in."""

    def __init__(
        self, language: str, rules: Mapping[str, Any], lists: Mapping[str, Any], home: Mapping[str, Any]
    ) -> None:
        """Take what names stand for.

        Args:
            language: Language of numbers in words.
            rules: Rules by name, as templates.
            lists: Lists by name, in the form of the files.
            home: Lists that stand in for those that are missing or have no values.
        """
        self._language = language
        self._rules = rules
        self._lists = lists
        self._home = home
        self._made_lists: dict[str, Node] = {}
        self._made_rules: dict[str, Node] = {}
        self._path: list[str] = []
        self.used: set[str] = set()

    @property
    def definitions(self) -> Definitions:
        """What the names in the nodes stand for."""
        return Definitions(self._made_lists, self._made_rules)

    def convert(self, template: str, scope: Scope) -> Node:
        """Convert a template.

        Raises:
            UnusableError: It refers to something that this home has not.
            ValueError: It is wrong; the message says how.
        """
        if not isinstance(template, str):
            raise ValueError(f"{template!r} where a sentence was expected")
        try:
            expression = parse_sentence(template).expression
        except (HassilError, ParseError, ValueError, IndexError, AssertionError) as error:
            raise ValueError(f"no sentence template: {error or type(error).__name__}") from error
        return self._node(expression, scope)

    def _node(self, expression: Expression, scope: Scope) -> Node:
        match expression:
            case TextChunk():
                return Text(expression.original_text)
            case Alternative():
                return self._choice(expression.items, scope)
            case TheirPermutation():
                return Permutation(tuple(self._node(item, scope) for item in expression.items))
            case TheirSequence():
                return OurSequence(tuple(self._node(item, scope) for item in expression.items))
            case RuleReference():
                return self._rule(expression.rule_name, scope)
            case ListReference():
                return self._list(expression, scope)
        raise ValueError(f"a part of an unknown kind: {type(expression).__name__}")

    def _choice(self, items: Sequence[Expression], scope: Scope) -> Node:
        """Return the alternatives that this home can say; that some cannot be said is no mistake."""
        options: list[Node] = []
        reason = ""
        for item in items:
            try:
                options.append(self._node(item, scope))
            except UnusableError as error:
                reason = str(error)
        if not options:
            raise UnusableError(reason)
        return Choice(tuple(options))

    def _rule(self, name: str, scope: Scope) -> Node:
        known = {**self._rules, **scope.rules}
        if name not in known:
            raise ValueError(f"the rule <{name}> is not there{did_you_mean(name, known)}")
        self.used.add(f"rule {name!r}")
        key = f"{name}{scope.key}"
        if key not in self._made_rules:
            if key in self._path or len(self._path) > _DEEPEST:
                raise ValueError(f"the rule <{name}> refers to itself: {' -> '.join([*self._path, key])}")
            self._path.append(key)
            try:
                self._made_rules[key] = self.convert(known[name], scope)
            finally:
                self._path.pop()
        return RuleRef(key, 0, 0)

    def _list(self, reference: ListReference, scope: Scope) -> Node:
        name, label = reference.list_name, reference.slot_name
        key = f"{name}{scope.key}"
        if (bounds := reference.get_inline_range()) is not None:
            first, last, step = bounds
            key = f"{first}..{last},{step}"
            self._made_lists.setdefault(key, self._range(RangeSlotList(key, first, last, step)))
            return ListRef(key, label, 0, 0)
        self.used.add(f"list {name!r}")
        if key not in self._made_lists:
            self._made_lists[key] = self._values(name, scope)
        return ListRef(key, label, 0, 0)

    def _values(self, name: str, scope: Scope) -> Node:
        known = {**self._home, **self._lists, **scope.lists}
        if name not in known:
            raise ValueError(f"the list {{{name}}} is not there{did_you_mean(name, known)}; write it under `lists:`")
        found = parse_list(name, known[name])
        if isinstance(found, WildcardSlotList):
            stand_in = self._home.get(name) or self._home.get(ANY)
            if stand_in is None:
                raise ValueError(
                    f"nothing says what may stand for the wildcard {{{name}}}; give values to a list {ANY!r}"
                )
            found = parse_list(name, stand_in)
        if isinstance(found, RangeSlotList):
            return self._range(found)
        assert isinstance(found, TextSlotList)
        options = []
        for value in found.values:
            domain = (value.context or {}).get("domain")
            if name != "name" or scope.domains is None or domain is None or domain in scope.domains:
                options.append((self._node(value.text_in, scope), _weight(value.text_in)))
        if not options:
            raise UnusableError(f"no value of {{{name}}} is of the domain {' or '.join(scope.domains or ('',))}")
        return Choice(tuple(node for node, _ in options), tuple(weight for _, weight in options))

    def _range(self, found: RangeSlotList) -> Node:
        size = (found.stop - found.start) // found.step + 1
        options: list[tuple[Node, float]] = []
        if found.digits:
            number = Number(found.start, found.step, size)
            options.append((number, 1 - _IN_WORDS))
            fractions = RangeFractionType.get_fractions(found.fraction_type)
            if fractions:
                marks = (".",) if self._language.partition("-")[0] in ("en", "hi", "th") else (",", ".")
                tails = tuple(Text(f"{mark}{str(part)[2:]}") for mark in marks for part in fractions)
                options.append((OurSequence((number, Choice(tails))), _FRACTIONS))
        words = [Choice(tuple(map(Text, forms))) for _, forms in number_words(found, self._language)]
        if words:
            options.append((Choice(tuple(words)), _IN_WORDS))
        if not options:
            raise UnusableError(f"the numbers of {found.name} cannot be written in this language")
        return Choice(tuple(node for node, _ in options), tuple(weight for _, weight in options))


def number_words(found: RangeSlotList, language: str) -> list[tuple[float, list[str]]]:
    """Return the numbers of a range with the ways to write them in words; none for large ranges and some languages."""
    if not found.words or (found.stop - found.start) // found.step >= _MOST_WORDS:
        return []
    try:
        engine = get_rbnf_engine(found.words_language or language)
    except ValueError:
        return []
    numbers = range(found.start, found.stop + 1, found.step)
    written = [sorted(set(engine.format_number(number).text_by_ruleset.values())) for number in numbers]
    # What CLDR has between syllables of Thai is invisible, and nobody types it.
    plain = [[each.replace("\u200b", "").replace("\u00ad", "") for each in forms] for forms in written]
    return list(zip(numbers, plain, strict=True))


def parse_list(name: str, document: Any) -> SlotList:
    """Read a list in the form of the files.

    Raises:
        ValueError: It is of another form.
    """
    try:
        return _parse_list(name, document)
    except (HassilError, ParseError, KeyError, TypeError, AttributeError, ValueError, AssertionError) as error:
        said = str(error) or type(error).__name__
        raise ValueError(
            f"the list {{{name}}} is not of the form `values: […]`, `range: {{from, to}}` or `wildcard: true` ({said})"
        ) from error


def _weight(expression: Expression) -> float:
    """Return how many names a value stands for, roughly: a template of ten counts as ten."""
    return float(len(expression.items)) if isinstance(expression, Alternative) else 1.0


def convert_errors(file: SentenceFile, piece: str, error: ValueError) -> DataFormatError:
    """Return the error of a file for a mistake in a piece of it."""
    return DataFormatError(
        file.name, file.line_of(piece), f"{piece!r}: {error}", "sentences as Home Assistant has them"
    )
