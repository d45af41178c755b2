"""The page of a report: HTML with its style, its charts and its data inside, for eyes, screen readers and programs.

Every number stands in a `data` element that names its path in the JSON of the page, so that a test can compare them.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from compile.report import sections
from compile.report.document import Document, encode
from compile.report.html import Page, text_of

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(document: Document) -> str:
    """Return a report as one HTML file."""
    page = Page(document)
    sections.add_quality(page)
    sections.add_targets(page)
    sections.add_latency(page)
    sections.add_size(page)
    sections.add_confusions(page)
    sections.add_worst(page)
    sections.add_noise(page)
    sections.add_environment(page)
    title = f"{text_of(document.package.name)}: parity and performance"
    links = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading, _ in page.sections)
    body = "\n".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(heading)}</h2>\n{content}\n</section>'
        for name, heading, content in page.sections
    )
    style = (files("compile.report") / "page.css").read_text(encoding="utf-8")
    data = encode(document).decode().replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>{title}</h1>
<p class="lead">{_lead(document)}</p>
{_cards(page)}
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="content">
{body}
</main>
<footer><p>Made by <code>pqrnn report</code>, {escape(document.created)}. All figures are in this file as JSON, in the
element <code>report</code>.</p></footer>
<script type="application/json" id="report">{data}</script>
</body>
</html>
"""


def _lead(document: Document) -> str:
    facts, parity = document.package, document.parity
    verdict = "not run on this machine"
    if document.golden is not None:
        failures = [*document.golden.parity.failures, *(parity.failures if parity is not None else [])]
        verdict = (
            '<span class="good">every check passed</span>'
            if not failures
            else f'<span class="bad">failed: {text_of("; ".join(failures))}</span>'
        )
    against = f", against {text_of(parity.data)}" if parity is not None and parity.data.strip(", split") else ""
    return (
        f"{text_of(facts.precision)}, {len(facts.intents)} intents, {len(facts.slot_labels)} slots{against}; {verdict}."
    )


def _cards(page: Page) -> str:
    cards = []
    if page.document.parity is not None:
        cards.append((page.number("parity.task.exact_match.value", ".1%"), "exact match"))
        if page.document.parity.task.retention is not None:
            cards.append((page.number("parity.task.retention.value", ".1%"), "of the teacher's exact match"))
        cards.append((page.number("parity.decisions.flips"), "texts decided otherwise than in PyTorch"))
    if page.document.latency:
        cards.append((f"{page.number('latency.0.median')} µs", "text to parse, median here"))
    cards.append((f"{page.number('package.total_bytes')}", "bytes in all"))
    return (
        f'<ul class="cards">{"".join(f"<li><strong>{value}</strong>{escape(what)}</li>" for value, what in cards)}</ul>'
    )
