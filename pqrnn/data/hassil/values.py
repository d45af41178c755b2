"""What Home Assistant wants for the words of a slot: ``blind`` for *Jalousien*, 70 for *seventy*."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from pqrnn.data.grammar import Grammar
from pqrnn.data.grammar.nodes import ListRef, Node, children
from pqrnn.data.hassil.loading import HassilData

Value = str | int | float
_MOST_FORMS = 500  # of one value


def list_values(data: HassilData) -> dict[str, dict[str, Value]]:
    """Return values by slot and text, for texts that are not their own value; numbers in digits need none.

    A text that two lists of a slot read differently has the value of the first.
    """
    from hassil.intents import RangeSlotList, TextSlotList

    from pqrnn.data.hassil.conversion import number_words, parse_list

    rules = data.merged.get("expansion_rules") or {}
    lists = dict(data.merged.get("lists") or {})
    for file in data.files:
        for intent in (file.document.get("intents") or {}).values():
            for block in intent["data"]:
                lists |= block.get("lists") or {}
    table: dict[str, dict[str, Value]] = {}
    for name, slots in sorted(_slots_of(data.grammar).items()):
        found = parse_list(name, lists[name]) if name in lists else None
        pairs: Iterator[tuple[str, Value]] = iter(())
        if isinstance(found, RangeSlotList):
            times = found.multiplier or 1
            pairs = ((form, number * times) for number, forms in number_words(found, data.language) for form in forms)
        elif isinstance(found, TextSlotList):
            pairs = _text_values(found.values, rules)
        for text, value in pairs:
            for slot in slots if text and text != value else ():
                table.setdefault(slot, {}).setdefault(text, value)
    return table


def _text_values(values: Iterable[Any], rules: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    from hassil.errors import HassilError
    from hassil.parse_expression import parse_sentence
    from hassil.sample import sample_expression

    parsed = {name: parse_sentence(body) for name, body in rules.items()}
    for value in values:
        out = value.value_out
        if not isinstance(out, str | int | float) or isinstance(out, bool):
            continue
        with suppress(HassilError):  # a list within a value
            for text in islice(sample_expression(value.text_in, {}, parsed), _MOST_FORMS):
                yield text.strip(), out


def _slots_of(grammar: Grammar) -> dict[str, set[str]]:
    """Return the slots that each list fills; what a list's name has of a scope is left out."""
    found: dict[str, set[str]] = {}
    stack: list[Node] = [each.node for each in grammar.sentences]
    stack += [*grammar.definitions.rules.values(), *grammar.definitions.lists.values()]
    while stack:
        node = stack.pop()
        if isinstance(node, ListRef):
            found.setdefault(node.name.partition("@")[0], set()).add(node.label)
        stack += children(node)
    return found
