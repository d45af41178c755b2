"""The report in a real browser: nothing is asked for, nothing complains, and an accessibility checker finds nothing.

Chromium is taken where the machine has it, and axe-core from the file that $AXE_CORE names (`npm pack axe-core`).
"""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from makers.report import make_document

from benchmarks.browser import BROWSER
from compile.report.page import render

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here: apt-get install chromium"),
]
# The page's own policy forbids scripts: this one stands in a copy without it.
_SCRIPT = """
const add = text => { const out = document.createElement("pre"); out.id = "OUT"; out.textContent = text;
                      document.body.appendChild(out); };
const seen = performance.getEntriesByType("resource").map(entry => entry.name);
const run = window.axe ? axe.run(document, {resultTypes: ["violations"]}) : Promise.resolve({violations: []});
run.then(result => add(JSON.stringify({seen, wrong: result.violations.map(
  each => [each.id, each.impact, each.nodes.map(node => node.html.slice(0, 200))])})));
"""


def _open(page: Path, *options: str) -> tuple[str, list[str]]:
    """Return the document as the browser has it, and what it wrote to the console."""
    assert BROWSER is not None
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
    command += [f"--user-data-dir={page.parent / 'profile'}", "--enable-logging=stderr", "--dump-dom", *options]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=300, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize(
    "options", [(), ("--blink-settings=preferredColorScheme=0",), ("--window-size=390,900",)], ids=str
)
def test_a_browser_shows_it_and_has_nothing_to_say(tmp_path: Path, options: tuple[str, ...]) -> None:
    page = render(make_document(tmp_path))
    (tmp_path / "plain.html").write_text(page, encoding="utf-8")
    _, console = _open(tmp_path / "plain.html", *options)
    assert console == []
    checker = Path(os.environ["AXE_CORE"]).read_text(encoding="utf-8") if "AXE_CORE" in os.environ else ""
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    scripts = f"<script>{checker}</script><script>{_SCRIPT}</script></body>"
    (tmp_path / "checked.html").write_text(bare.replace("</body>", scripts), encoding="utf-8")
    document, _ = _open(tmp_path / "checked.html", *options)
    (said,) = re.findall(r'<pre id="OUT">(.*?)</pre>', document, re.DOTALL)
    found: dict[str, Any] = json.loads(html.unescape(said))
    assert found == {"seen": [], "wrong": []}
