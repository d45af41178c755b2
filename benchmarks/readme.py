"""Tables, figures and the picture of the front page and of the results page, from kept results.

    python -m benchmarks.readme            # rewrites what stands between the markers, and the picture
    python -m benchmarks.readme --check    # says whether they are up to date

A marker pair is `<!-- table: NAME -->` or `<!-- figure: NAME -->` and `<!-- end -->`. Tables are those of
`benchmarks.tables`, `benchmarks.highlights` and `benchmarks.house_tables`; figures stand within a line.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from benchmarks.highlights import HIGHLIGHTS, render_figure
from benchmarks.house_tables import HOUSE
from benchmarks.overview import draw_overview
from benchmarks.results import FOLDER
from benchmarks.tables import TABLES

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS_PAGE = FOLDER / "README.md"
OVERVIEW = FOLDER / "overview.svg"
SERVICE_PAGE = ROOT / "runtime_py" / "service" / "README.md"
EXTENDING_PAGE = ROOT / "pqrnn" / "extending" / "README.md"
DISTILLATION_PAGE = ROOT / "pqrnn" / "distillation" / "README.md"
PAGES = (README, RESULTS_PAGE, SERVICE_PAGE, EXTENDING_PAGE, DISTILLATION_PAGE)

_TABLE = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_FIGURE = re.compile(r"(<!-- figure: ([\w ]+) -->)[^\n]*?(<!-- end -->)")


def render_page(text: str) -> str:
    """Return a page with every marked table and figure made anew.

    Raises:
        KeyError: A marker names an unknown table or figure.
    """
    tables = {**TABLES, **HIGHLIGHTS, **HOUSE}
    text = _TABLE.sub(lambda match: match[1] + tables[match[2]]() + match[3], text)
    return _FIGURE.sub(lambda match: match[1] + render_figure(match[2]) + match[3], text)


def render_all() -> dict[Path, str]:
    """Return the text that every generated file should have."""
    pages = {page: render_page(page.read_text(encoding="utf-8")) for page in PAGES}
    return {**pages, OVERVIEW: draw_overview()}


def find_stale() -> list[Path]:
    """Return the generated files that differ from the kept results."""
    return [
        path for path, text in render_all().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Rewrite the pages, or check them."""
    if "--check" in sys.argv[1:]:
        stale = [str(path.relative_to(ROOT)) for path in find_stale()]
        if stale:
            print(f"stale: {', '.join(stale)}; run python -m benchmarks.readme")
        else:
            print("the README, the results page and the picture are up to date")
        return int(bool(stale))
    for path, text in render_all().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
