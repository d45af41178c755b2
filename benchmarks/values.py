"""What share of texts is read as values: the phrases of the tests, and slots of a real data set.

    python -m benchmarks.values --data DATA/mtop/spans

It prints, for each language, how many of the phrases have all their readings, and what share of the slots of times of
the development split has any; a text without a reading is shown with --missed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import datetime
from pathlib import Path

from pqrnn.data.loader import load_examples
from runtime_py.values.normalising import Normaliser
from runtime_py.values.readings import KIND_OF_NAME, fold_slot
from runtime_py.values.scanning import LANGUAGES

NOW = datetime(2026, 11, 25, 10)
_PHRASES = Path(__file__).resolve().parents[1] / "tests" / "unit" / "runtime_py" / "values"
FILES = ("phrases.tsv", "phrases_held_out.tsv")


def count_phrases(path: Path) -> dict[str, tuple[int, int]]:
    """Return, for each language, how many phrases of a file have all their readings, and how many there are."""
    right, total = Counter[str](), Counter[str]()
    readers = {locale: Normaliser(locale, now=NOW) for locale in LANGUAGES}
    for line in path.read_text(encoding="utf-8").splitlines():
        locale, kind, text, want = line.split("\t")
        total[locale] += 1
        readings = readers[locale].read(text, kind).readings  # type: ignore[arg-type]
        right[locale] += " ; ".join(map(str, readings)) == want
    return {locale: (right[locale], total[locale]) for locale in total}


def count_slots(data: str, locale: str) -> tuple[int, Counter[str], Counter[str]]:
    """Return how many slots of times were read, the texts of others, and how many readings slots have."""
    reader = Normaliser(locale, now=NOW)
    read, missed, readings = 0, Counter[str](), Counter[str]()
    for example in load_examples(f"mtop:{data}", split="dev", locale=locale):
        for slot in example.slots:
            if KIND_OF_NAME.get(fold_slot(slot.label)) == "date_time":
                text = example.text[slot.start : slot.end]
                found = reader.read(text, "date_time").readings
                readings[str(len(found))] += 1
                read += bool(found)
                missed[text] += not found
    return read, +missed, readings


def main() -> None:
    """Print the shares."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--data", help="folder of MTOP's spans; without it, phrases alone")
    options.add_argument("--missed", type=int, default=0, metavar="N", help="most texts to show that were not read")
    chosen = options.parse_args()
    for name in FILES:
        print(name, {locale: f"{right}/{total}" for locale, (right, total) in count_phrases(_PHRASES / name).items()})
    for locale in LANGUAGES if chosen.data else ():
        read, missed, readings = count_slots(chosen.data, locale)
        total = read + sum(missed.values())
        print(locale, f"{100 * read / total:.1f}% of {total} slots read; by number of readings:", dict(readings))
        for text, count in missed.most_common(chosen.missed):
            print("   ", count, text)


if __name__ == "__main__":
    main()
