"""Reads a grammar file and checks all of it, so that whatever is wrong is said before the first sentence is drawn."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from pqrnn.data.grammar.analysis import Analysis, references
from pqrnn.data.grammar.derivation import Definitions
from pqrnn.data.grammar.errors import GrammarError, SourcePosition, did_you_mean, template_error
from pqrnn.data.grammar.generator import Grammar, Sentence
from pqrnn.data.grammar.nodes import Choice, ListRef, Node, Number, Permutation, Sequence
from pqrnn.data.grammar.template import NAME, parse_template
from runtime_py.bounded_files import read_bounded
from runtime_py.values.readings import KINDS

_SECTIONS = ("locale", "kinds", "lists", "rules", "intents")
_ENTRY_KEYS = ("text", "weight")
_RANGE_KEYS = ("from", "to", "step", "template", "pad", "digits", "weight")
_RANGE_VARIABLE = "n"
_DIGITS = "0123456789"
_DEEPEST = 20
_LARGEST_FILE = 16 << 20  # bytes
_DEEPEST_TREE = 200  # of brackets and references, one in the other: what draws a sentence goes as deep
_LARGEST = 10**100  # far below what a random number, a float, can choose between


def load_grammar(path: Path | str) -> Grammar:
    """Read a grammar file.

    Args:
        path: A TOML file; its form is described in :mod:`pqrnn.data.grammar`.

    Raises:
        GrammarError: The file is missing or something in it is wrong; the message says where, and what was expected.
    """
    path = Path(path)
    try:
        text = read_bounded(path, _LARGEST_FILE, pipes=True).decode().replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise GrammarError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise GrammarError(f"{path}: byte {error.start} is not UTF-8; expected a TOML file in UTF-8") from error
    return parse_grammar(text, name=str(path))


def parse_grammar(text: str, name: str = "grammar") -> Grammar:
    """Read a grammar from the text of a TOML file.

    Args:
        text: The file's contents.
        name: What to call it in messages and in ``Example.source``.

    Raises:
        GrammarError: As :func:`load_grammar`.
    """
    text = text.removeprefix("\ufeff")
    try:
        return _GrammarReader(name, text, tomllib.loads(text)).read()
    except tomllib.TOMLDecodeError as error:
        raise GrammarError(f"{name}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise GrammarError(f"{name}: brackets, lists and rules are nested too deep; expected a flatter form") from error
    except (ValueError, OverflowError) as error:  # Python's own limit on the digits of a number
        raise GrammarError(f"{name}: a number with too many digits: {error}; expected shorter ones") from error


@dataclass(frozen=True, slots=True)
class _Entry:
    """One template with its position, and its tree."""

    position: SourcePosition
    template: str
    node: Node
    weight: float


@dataclass(slots=True)
class _Definition:
    """A list or a rule: all its entries."""

    kind: str
    name: str
    entries: list[_Entry] = field(default_factory=list)

    def node(self) -> Node:
        if len(self.entries) == 1:
            return self.entries[0].node
        weights = tuple(entry.weight for entry in self.entries)
        # Equal weights are dropped so that [x, x] and weights of 1 draw the very same sentences.
        equal = len(set(weights)) == 1
        return Choice(tuple(entry.node for entry in self.entries), None if equal else weights)


class _GrammarReader:
    """Holds the file while it is read; every complaint starts with the file's name."""

    def __init__(self, name: str, text: str, document: Mapping[str, object]) -> None:
        self.name = name
        self.lines = text.splitlines()
        self.document = document
        self.definitions: dict[tuple[str, str], _Definition] = {}

    def fail(self, message: str, line: int | None = None) -> NoReturn:
        raise GrammarError(f"{self.name}{'' if line is None else f':{line}'}: {message}")

    def read(self) -> Grammar:
        for key in self.document:
            if key not in _SECTIONS:
                self.fail(f"unknown section {key!r}{did_you_mean(key, _SECTIONS)}; expected {', '.join(_SECTIONS)}")
        locale = self.document.get("locale", "")
        if not isinstance(locale, str):
            self.fail(f"'locale' is {locale!r}; expected a string such as \"en\"")
        for kind, section in (("list", "lists"), ("rule", "rules")):
            for key, content in self.table(section).items():
                if not NAME.fullmatch(key):
                    self.fail(f"{kind} {key!r}: not a name; expected one without spaces, brackets, ':' and ';'")
                self.definitions[kind, key] = self.definition(kind, key, content)
        sentences = [
            (intent, entry)
            for intent, content in self.table("intents").items()
            for entry in self.definition("intent", intent, content).entries
        ]
        if not sentences:
            self.fail('no sentences; expected an [intents] section with lines such as light_on = ["turn on the light"]')
        return self.check(locale, sentences)

    def table(self, section: str) -> Mapping[str, object]:
        content = self.document.get(section, {})
        if not isinstance(content, dict):
            self.fail(f"'{section}' is {_kind(content)}; expected a section [{section}] with name = ... lines")
        return content

    # Entries -----------------------------------------------------------------------------------------------------

    def definition(self, kind: str, name: str, content: object) -> _Definition:
        where = f"{kind} {name!r}"
        items = content if isinstance(content, list) else [content]
        line = self.find_key(kind, name)
        if not items:
            self.fail(f"{where} is empty; expected at least one {'sentence' if kind == 'intent' else 'value'}", line)
        found = _Definition(kind, name)
        for number, item in enumerate(items, 1):
            entry = f"{where}, entry {number}" if len(items) > 1 else where
            found.entries.append(self.entry(kind, entry, line, item))
            line = found.entries[-1].position.line or line
        return found

    def entry(self, kind: str, where: str, line: int | None, item: object) -> _Entry:
        if isinstance(item, str):
            position = SourcePosition(self.name, self.find_text(item, line), where)
            return _Entry(position, item, parse_template(item, position), 1.0)
        if isinstance(item, dict):
            weight = self.weight(where, line, item)
            if "from" in item or "to" in item:
                if kind != "list":
                    self.fail(f"{where}: a number range; expected a sentence (ranges belong in [lists])", line)
                return self.range(where, line, item, weight)
            self.check_keys(where, line, item, _ENTRY_KEYS)
            template = item.get("text")
            if isinstance(template, str):
                position = SourcePosition(self.name, self.find_text(template, line), where)
                return _Entry(position, template, parse_template(template, position), weight)
        forms = ['"a template"', '{ text = "a template", weight = 2 }']
        if kind == "list":
            forms.append("{ from = 1, to = 10 }")
        self.fail(f"{where} is {_kind(item)}; expected {' or '.join(forms)}", line)

    def weight(self, where: str, line: int | None, item: Mapping[str, object]) -> float:
        weight = item.get("weight", 1)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9:
            self.fail(f"{where}: weight {weight!r}; expected a number above 0", line)
        return float(weight)

    def check_keys(self, where: str, line: int | None, item: Mapping[str, object], known: tuple[str, ...]) -> None:
        for key in item:
            if key not in known:
                self.fail(f"{where}: unknown key {key!r}{did_you_mean(key, known)}; expected {', '.join(known)}", line)

    def range(self, where: str, line: int | None, item: Mapping[str, object], weight: float) -> _Entry:
        self.check_keys(where, line, item, _RANGE_KEYS)
        first, last = self.whole(where, line, item, "from", None), self.whole(where, line, item, "to", None)
        step, pad = self.whole(where, line, item, "step", 1), self.whole(where, line, item, "pad", 0)
        digits = item.get("digits", _DIGITS)
        for key, value in (("from", first), ("to", last), ("step", step)):
            if abs(value) > _LARGEST:
                self.fail(f"{where}: {key} has more than 100 digits; expected smaller numbers", line)
        if step < 1:
            self.fail(f"{where}: step {step}; expected 1 or more", line)
        if last < first:
            self.fail(f"{where}: from {first} to {last} holds no number; expected 'to' to be at least 'from'", line)
        if not 0 <= pad <= 20:
            self.fail(f"{where}: pad {pad}; expected a number of digits from 0 to 20", line)
        if not isinstance(digits, str) or len(digits) != 10:
            self.fail(f"{where}: digits {digits!r}; expected a string of the ten digits, 0 first", line)
        number = Number(first, step, (last - first) // step + 1, pad, digits)
        variants = item.get("template", "{n}")
        options: list[Node] = []
        for template in variants if isinstance(variants, list) and variants else [variants]:
            if not isinstance(template, str):
                self.fail(f'{where}: template {template!r}; expected a string such as "{{n}} percent"', line)
            position = SourcePosition(self.name, self.find_text(template, line), where)
            node, found = _put_number(parse_template(template, position), number)
            if not found:
                raise template_error(position, template, 0, len(template), "no {n}", "the number's place, {n}")
            options.append(node)
        position = SourcePosition(self.name, line, where)
        node = options[0] if len(options) == 1 else Choice(tuple(options))
        return _Entry(position, str(variants), node, weight)

    def whole(self, where: str, line: int | None, item: Mapping[str, object], key: str, default: int | None) -> int:
        value = item.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            found = f"{key} is {value!r}" if key in item else f"{key!r} is missing"
            self.fail(f"{where}: {found}; expected a whole number, as in {{ from = 0, to = 100, step = 5 }}", line)
        return value

    # Line numbers: tomllib gives none, so the file's text is searched for the entry. None where that fails. ---------

    def find_key(self, kind: str, name: str) -> int | None:
        section = f"{kind}s"
        header = re.compile(r"\s*\[+\s*([^\]]*?)\s*\]+\s*(#.*)?$")
        spelled = rf"(?:{re.escape(name)}|\"{re.escape(name)}\"|'{re.escape(name)}')"
        key, dotted = re.compile(rf"\s*{spelled}\s*="), re.compile(rf"{section}\s*\.\s*{spelled}\s*(?:=|$)")
        current = ""
        for number, line in enumerate(self.lines, 1):
            found = header.match(line)
            if found:
                current = found[1]
            here = dotted.match(current if found else line.strip())
            if here or (not found and current == section and key.match(line)):
                return number
        return None

    def find_text(self, text: str, line: int | None) -> int | None:
        if line is None:
            return None
        quoted = (f'"{text}"', f"'{text}'")
        for number in range(line, len(self.lines) + 1):
            if any(spelling in self.lines[number - 1] for spelling in quoted):
                return number
        return line

    # The whole ---------------------------------------------------------------------------------------------------

    def check(self, locale: str, sentences: list[tuple[str, _Entry]]) -> Grammar:
        everything = [entry for found in self.definitions.values() for entry in found.entries]
        for entry in everything + [entry for _, entry in sentences]:
            for reference in references(entry.node):
                self.check_reference(entry, reference.name, reference.start, reference.end, _kind_of(reference))
        self.check_recursion()
        definitions = Definitions(
            lists={name: found.node() for (kind, name), found in self.definitions.items() if kind == "list"},
            rules={name: found.node() for (kind, name), found in self.definitions.items() if kind == "rule"},
        )
        analysis = Analysis(definitions)
        for entry in everything + [entry for _, entry in sentences]:
            if (depth := analysis.depth(entry.node)) > _DEEPEST_TREE:
                problem = f"nested {depth} deep, with the lists and rules that it refers to"
                expected = f"at most {_DEEPEST_TREE}"
                raise template_error(entry.position, entry.template, 0, len(entry.template), problem, expected)
        for (kind, _), found in self.definitions.items():
            if kind == "list":
                self.check_not_empty(analysis, found.entries, "a list value that can be empty")
        self.check_not_empty(analysis, [entry for _, entry in sentences], "a sentence that can be empty")
        grammar = Grammar(
            name=self.name,
            locale=locale,
            sentences=tuple(
                Sentence(intent, entry.template, entry.node, entry.weight, _source(entry.position))
                for intent, entry in sentences
            ),
            definitions=definitions,
            unused=self.find_unused(sentences),
            kinds={slot: str(kind) for slot, kind in self.table("kinds").items()},
        )
        self.check_kinds(grammar)
        return grammar

    def check_kinds(self, grammar: Grammar) -> None:
        labels = grammar.labels
        for slot, kind in self.table("kinds").items():
            line = self.find_key("kind", slot)
            if slot not in labels:
                near = did_you_mean(slot, labels)
                self.fail(f"kind of {slot!r}: no such slot{near}; expected one of {', '.join(labels) or 'none'}", line)
            if kind not in KINDS:
                self.fail(f"kind of {slot!r} is {kind!r}; expected one of {', '.join(KINDS)}", line)

    def check_reference(self, entry: _Entry, name: str, start: int, end: int, kind: str) -> None:
        if (kind, name) in self.definitions:
            return
        known = [known for known_kind, known in self.definitions if known_kind == kind]
        other = "rule" if kind == "list" else "list"
        problem = f"unknown {kind} {name!r}{did_you_mean(name, known)}"
        expected = f"one of the {kind}s: {', '.join(sorted(known))}" if known else f"a [{kind}s] section that has it"
        if (other, name) in self.definitions:
            expected = f"<{name}>: it is a rule" if other == "rule" else f"{{{name}}}: it is a list"
        raise template_error(entry.position, entry.template, start, end, problem, expected)

    def check_recursion(self) -> None:
        """Walk the references depth first; after this no walk through the templates can go on for ever or too deep."""
        done: set[tuple[str, str]] = set()
        for start in self.definitions:
            path: list[tuple[str, str]] = []
            todo = [(start, False)]
            while todo:
                here, leaving = todo.pop()
                if leaving:
                    done.add(path.pop())
                    continue
                if here in path:
                    circle = " -> ".join(f"{kind} {name!r}" for kind, name in [*path[path.index(here) :], here])
                    position = self.definitions[here].entries[0].position
                    raise GrammarError(f"{position}: refers to itself: {circle}; expected an end without recursion")
                if here in done:
                    continue
                if len(path) == _DEEPEST:
                    self.fail(f"lists and rules refer to each other more than {_DEEPEST} deep, from {start[1]!r} on")
                path.append(here)
                todo.append((here, True))
                for entry in self.definitions[here].entries:
                    todo += [((_kind_of(found), found.name), False) for found in references(entry.node)]

    def check_not_empty(self, analysis: Analysis, entries: list[_Entry], problem: str) -> None:
        for entry in entries:
            if analysis.can_be_empty(entry.node):
                template = entry.template
                expected = "at least one part that is not optional"
                raise template_error(entry.position, template, 0, len(template), problem, expected)

    def find_unused(self, sentences: list[tuple[str, _Entry]]) -> tuple[str, ...]:
        reached: set[tuple[str, str]] = set()
        todo = [entry for _, entry in sentences]
        while todo:
            for found in references(todo.pop().node):
                key = _kind_of(found), found.name
                if key not in reached:
                    reached.add(key)
                    todo += self.definitions[key].entries
        return tuple(f"{kind} {name!r}" for kind, name in self.definitions if (kind, name) not in reached)


def _put_number(node: Node, number: Number) -> tuple[Node, bool]:
    """Replace ``{n}`` in a range's template; also return whether there was one in every way to read it."""
    match node:
        case ListRef(name, label) if name == label == _RANGE_VARIABLE:
            return number, True
        case Sequence(parts):
            found = [_put_number(part, number) for part in parts]
            return Sequence(tuple(part for part, _ in found)), any(here for _, here in found)
        case Permutation(parts):
            found = [_put_number(part, number) for part in parts]
            return Permutation(tuple(part for part, _ in found)), any(here for _, here in found)
        case Choice(options, weights):
            found = [_put_number(option, number) for option in options]
            return Choice(tuple(option for option, _ in found), weights), all(here for _, here in found)
        case _:
            return node, False


def _kind_of(reference: object) -> str:
    return "list" if isinstance(reference, ListRef) else "rule"


def _source(position: SourcePosition) -> str:
    name = re.split(r"[\\/]", position.file)[-1]
    return f"{name}:{position.entry}" if position.line is None else f"{name}:{position.line}"


def _kind(value: object) -> str:
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", dict: "a table", list: "an array"}
    return names.get(type(value), "a date or time")
