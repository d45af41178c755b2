r"""Reads one sentence template into a tree.

The language (see :mod:`pqrnn.data.grammar` for the manual)::

    template    = part*
    part        = text | "[" group "]" | "(" group ")" | "{" name (":" label)? "}" | "<" name ">"
    group       = template ("|" template)*      alternatives
                | template (";" template)+      the same parts in every order
    text        = any character but \ [ ] ( ) { } < > |, or "\" followed by any character

``;`` is special only between the brackets of a group.
"""

from __future__ import annotations

import re
from typing import NoReturn

from pqrnn.data.grammar.errors import SourcePosition, template_error
from pqrnn.data.grammar.nodes import Choice, ListRef, Node, Permutation, RuleRef, Sequence, Text

# Anything but white space and the characters of the language: names may be in any script.
NAME = re.compile(r"[^\s\\\[\](){}<>|:;]+")
_CLOSING = {"[": "]", "(": ")", "{": "}", "<": ">"}
_SPECIAL = frozenset("\\[](){}<>|")
_DEEPEST = 40


def parse_template(template: str, source: SourcePosition) -> Node:
    """Parse a template.

    Args:
        template: The template as written.
        source: Where it stands, for the error messages.

    Returns:
        The tree; references are not yet looked up.

    Raises:
        GrammarError: The template is not well formed, with the position of the mistake.
    """
    reader = _Reader(template, source)
    node = reader.sequence(depth=0, in_group=False)
    if reader.position < len(template):
        reader.fail_at_stray()
    if not template.strip():
        reader.fail(0, max(1, len(template)), "the template is empty", "a sentence such as 'turn on the light'")
    return node


class _Reader:
    """Recursive-descent reader; ``position`` is the next unread character."""

    def __init__(self, template: str, source: SourcePosition) -> None:
        self.template = template
        self.source = source
        self.position = 0

    def fail(self, start: int, end: int, problem: str, expected: str = "") -> NoReturn:
        raise template_error(self.source, self.template, start, end, problem, expected)

    def fail_at_stray(self) -> NoReturn:
        char = self.template[self.position]
        here = self.position
        if char == "|":
            self.fail(here, here + 1, "'|' outside of brackets", "alternatives in brackets: (this|that), or '\\|'")
        opening = {closing: opening for opening, closing in _CLOSING.items()}[char]
        self.fail(here, here + 1, f"{char!r} without an opening {opening!r}", f"'\\{char}' for the character itself")

    def sequence(self, depth: int, in_group: bool) -> Node:
        """Read parts up to a closing bracket, a separator or the end, and leave those unread."""
        parts: list[Node] = []
        while self.position < len(self.template):
            char = self.template[self.position]
            if char in "])}>|" or (char == ";" and in_group):
                break
            if char in "[(":
                parts.append(self.group(depth + 1))
            elif char in "{<":
                parts.append(self.reference())
            else:
                parts.append(self.text(in_group))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def text(self, in_group: bool) -> Text:
        chars: list[str] = []
        while self.position < len(self.template):
            char = self.template[self.position]
            if char == "\\":
                if self.position + 1 == len(self.template):
                    self.fail(self.position, self.position + 1, "nothing after the backslash", "a character to escape")
                char = self.template[self.position + 1]
                self.position += 1
            elif char in _SPECIAL or (char == ";" and in_group):
                break
            chars.append(char)
            self.position += 1
        return Text("".join(chars))

    def group(self, depth: int) -> Node:
        opening_at = self.position
        opening = self.template[opening_at]
        closing = _CLOSING[opening]
        if depth > _DEEPEST:
            self.fail(opening_at, opening_at + 1, f"brackets nested more than {_DEEPEST} deep", "a <rule> instead")
        self.position += 1
        options: list[Node] = []
        separators: list[str] = []
        while True:
            options.append(self.option(opening_at, depth))
            if self.position == len(self.template):
                self.fail(opening_at, opening_at + 1, f"{opening!r} is never closed", f"{closing!r} further on")
            char = self.template[self.position]
            if char == closing:
                break
            if char not in "|;":
                self.fail(self.position, self.position + 1, f"{char!r} inside {opening!r}", f"{closing!r} first")
            if separators and char != separators[0]:
                self.fail(
                    self.position, self.position + 1, "'|' and ';' in the same brackets", "inner brackets: (a;(b|c))"
                )
            separators.append(char)
            self.position += 1
        self.position += 1
        node: Node
        if len(options) == 1:
            node = options[0]
        else:
            node = Permutation(tuple(options)) if separators[0] == ";" else Choice(tuple(options))
        if opening == "(":
            return node
        # [a|b] is one option of three, not an even chance of nothing inside an even chance of a or b: that would
        # be hard to tell from ([a]|[b]); the chance of leaving the part out is one half whatever is inside.
        return Choice((node, Text("")))

    def option(self, opening_at: int, depth: int) -> Node:
        start = self.position
        node = self.sequence(depth, in_group=True)
        if self.position == start:  # a space alone is fine: "(-| )"
            if self.position == len(self.template):
                self.fail(opening_at, opening_at + 1, f"{self.template[opening_at]!r} is never closed")
            self.fail(start, self.position + 1, "an empty alternative", "some text; an optional part is [like this]")
        return node

    def reference(self) -> Node:
        start = self.position
        opening = self.template[start]
        closing = _CLOSING[opening]
        end = self.template.find(closing, start)
        if end < 0:
            self.fail(start, start + 1, f"{opening!r} is never closed", f"{closing!r} after the name")
        self.position = end + 1
        inside = self.template[start + 1 : end]
        names = [name.strip() for name in inside.split(":")] if opening == "{" else [inside.strip()]
        what = "a list name or list:slot" if opening == "{" else "a rule name"
        allowed = f"{what} between {opening!r} and {closing!r} (no spaces or brackets)"
        if len(names) > 2:
            self.fail(start, end + 1, "more than one ':'", allowed)
        for name in names:
            if not NAME.fullmatch(name):
                self.fail(start, end + 1, f"{name!r} is not a name" if name else "a name is missing", allowed)
        if opening == "<":
            return RuleRef(names[0], start, end + 1)
        return ListRef(names[0], names[-1], start, end + 1)
