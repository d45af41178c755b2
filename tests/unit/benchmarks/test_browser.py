"""A page in headless Chromium gets the files of its folders, and nothing beside them, and its answer comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.browser import BROWSER, BrowserError, ask_browser, browser_version

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here: apt-get install chromium")

_PAGE = """<!doctype html><script type="module">
import { word } from '/site/word.mjs';
const secret = await fetch('/site/..%2fsecret.txt');
const other = await fetch('/elsewhere/secret.txt');
const told = { word, isolated: crossOriginIsolated, outside: [secret.status, other.status] };
await fetch('/answer', { method: 'POST', body: JSON.stringify(told) });
</script>"""


def test_a_page_answers(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (site / "word.mjs").write_text("export const word = 'Zoë';", "utf-8")
    (site / "page.html").write_text(_PAGE)
    answer = ask_browser({"site": site}, "site/page.html", 60)
    assert answer == {"word": "Zoë", "isolated": True, "outside": [404, 404]}
    assert browser_version().split()[0] in ("Chromium", "Google")


def test_a_page_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!doctype html>nothing")
    with pytest.raises(BrowserError, match="no answer in 1 s"):
        ask_browser({"site": tmp_path}, "site/page.html", 1)
