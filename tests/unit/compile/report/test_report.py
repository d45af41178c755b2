"""The report: every figure is in its JSON, nothing leads out of the file, and it can be read without seeing it."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from makers.report import make_document

from compile.report.document import Document, find_slot_errors
from compile.report.page import render

_VOID = {"meta", "br", "input", "img", "link", "hr", "path", "use", "rect"}


class _Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[tuple[str, str, str]] = []
        self.json = ""
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        attributes = self.elements[-1][1] if self.elements else {}
        if self.stack[-1:] == ["script"]:
            self.json += data
        elif self.stack[-1:] == ["data"]:
            self.data.append((str(attributes["data-path"]), str(attributes["value"]), data))
        elif self.stack[-1:] != ["style"]:
            self.texts.append(data)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    assert reader.stack == []
    return reader


@pytest.fixture(params=[(True, True), (False, True), (True, False)], ids=["taught", "untaught", "without"])
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Document:
    pytest.importorskip("matplotlib")
    return make_document(tmp_path, *request.param)


def test_every_figure_is_that_of_the_json(document: Document) -> None:
    page = _read(render(document))
    content = json.loads(page.json)
    assert content == json.loads(msgspec.json.encode(document))
    assert len(page.data) > (40 if document.parity is not None else 5)
    for path, value, shown in page.data:
        place: Any = content
        for part in path.split("."):
            place = place[int(part)] if isinstance(place, list) else place[part]
        assert float(value) == place, path
        number = float(re.sub(r"[,%]", "", shown))
        scale = 100 if shown.endswith("%") else 1
        assert number == pytest.approx(place * scale, rel=0.06, abs=0.51), (path, shown)


def test_nothing_leads_out_of_the_file_and_nothing_runs(document: Document) -> None:
    text = render(document)
    page = _read(text)
    assert not re.search(r"(https?:)?//[a-z]|@import|url\((?!#)", text)
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert [attributes["type"] for attributes in scripts] == ["application/json"]
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "form", "base")
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    policy = next(attributes for tag, attributes in page.elements if "http-equiv" in attributes)
    assert str(policy["content"]).startswith("default-src 'none'")


def test_what_comes_from_elsewhere_is_text(document: Document) -> None:
    text = render(document)
    assert "<script>alert" not in text
    assert "\x1b" not in text and "\u202e" not in text.partition('<script type="application/json"')[0]
    assert any("<script>alert('x')</script>" in shown for shown in _read(text).texts)


def test_it_can_be_read_without_seeing_it(document: Document) -> None:
    page = _read(render(document))
    assert ("html", {"lang": "en"}) in page.elements
    names = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    assert len(set(names)) == len(names)
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes["role"] == "img" and attributes["aria-labelledby"] in names
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "section":
            assert attributes["aria-labelledby"] in names
        for name in ("href", "xlink:href"):
            if attributes.get(name):
                assert str(attributes[name])[1:] in names
    order = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert order[0] == 1 and order.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(order))
    tables = [tag for tag, _ in page.elements if tag in ("table", "caption")]
    assert tables == ["table", "caption"] * (len(tables) // 2)
    assert [tag for tag, _ in page.elements].count("main") == 1


def test_charts_have_the_colours_of_the_page(document: Document) -> None:
    for chart in re.findall(r"<svg.*?</svg>", render(document), re.DOTALL):
        colors = set(re.findall(r"(?:fill|stroke): ?([^;\"]+)", chart))
        assert colors <= {"none", "currentColor", "var(--line)", *(f"var(--s{index})" for index in range(4))}


def test_equal_documents_give_equal_pages(document: Document) -> None:
    assert render(document) == render(document)


def test_variants_are_certified_or_unverified(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    shown = " ".join(_read(render(make_document(tmp_path))).texts)
    assert "certified" in shown and "A board <1>" in shown
    assert "unverified" in shown
    assert "not run" in shown  # why


def test_slots_of_an_utterance_are_named_beside_their_colours(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page = render(make_document(tmp_path))
    assert re.search(r'<mark class="m0">s0000<small>time</small></mark>', page)


@pytest.mark.parametrize(
    ("gold", "got", "kinds"),
    [
        ((("a", 0, 2),), (("a", 0, 2),), "right"),
        ((("a", 0, 2),), (), "missed"),
        ((("a", 0, 2),), (("b", 0, 2),), "other_label"),
        ((("a", 0, 2),), (("a", 0, 5),), "other_span"),
        ((("a", 0, 2),), (("b", 1, 5),), "other_label"),
        ((("a", 0, 2),), (("a", 4, 6),), "missed invented"),
        ((), (("a", 4, 6),), "invented"),
        ((("a", 0, 2), ("a", 0, 2)), (("a", 0, 2),), "right missed"),
    ],
)
def test_each_slot_has_one_fate(gold: Any, got: Any, kinds: str) -> None:
    (row,) = [row for row in find_slot_errors([("i", gold)], [("i", got)]) if row.label == "a"]
    fates = ("right", "missed", "other_label", "other_span", "invented")
    assert [kind for kind in fates if getattr(row, kind)] == [kind for kind in fates if kind in kinds.split()]
    assert row.gold == len(gold) == row.right + row.missed + row.other_label + row.other_span
