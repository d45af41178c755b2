"""The parts that a report's page is made of: text, numbers with their path in the JSON, tables, figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import msgspec

from compile.report.document import Document
from runtime_py.terminal import printable


class Page:
    """Collects the sections of a page; numbers are looked up in the document by their path."""

    def __init__(self, document: Document) -> None:
        """Begin a page without sections."""
        self.document = document
        self.plain: Any = msgspec.to_builtins(document)
        self.sections: list[tuple[str, str, str]] = []

    def look(self, path: str) -> Any:
        """Return what stands at a path of the document, as `parity.task.languages.0.n`."""
        value: Any = self.plain
        for part in path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        return value

    def number(self, path: str, form: str = ",.0f") -> str:
        """Return a number of the document, as `format` writes it."""
        value = self.look(path)
        if value is None:
            return "–"
        return f'<data data-path="{escape(path)}" value="{value!r}">{value:{form}}</data>'

    def share(self, path: str) -> str:
        """Return a figure with its interval."""
        if self.look(path) is None:
            return "–"
        low, high = (self.number(f"{path}.{end}", ".1%") for end in ("low", "high"))
        return f'{self.number(f"{path}.value", ".2%")} <span class="soft">[{low}, {high}]</span>'

    def add(self, name: str, title: str, *parts: str) -> None:
        """Add a section of parts in HTML; `name` is what links lead to."""
        self.sections.append((name, title, "\n".join(parts)))


def text_of(value: object) -> str:
    """Return text of any origin for HTML."""
    return escape(printable(str(value)))


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Return a table; cells are HTML, the first of a row is its heading."""
    kinds = [' class="n"' if index in numbers else "" for index in range(len(columns))]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(columns, kinds, strict=True))
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(rest, kinds[1:], strict=True))
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table><caption>'
        f"{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def figure(svg: str, caption: str) -> str:
    """Return a chart with its caption."""
    scroll = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">{svg}</div>'
    return f"<figure>{scroll}<figcaption>{escape(caption)}</figcaption></figure>"
