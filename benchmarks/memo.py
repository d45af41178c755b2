"""What a memo of frequent words would save: their bottleneck, and the products of the first layer, made at build time.

    python -m benchmarks.memo mtop-en --data ../shared/data/mtop/spans --lang en

Without context features a word's bottleneck depends on the word alone, so a parser could keep it for the most frequent
words of the training split. Nothing is timed here; what is kept bounds any such memo from above:

* *products saved* of a text of the test split on average: those of the bottleneck (and of the first layer) for the
  words that the memo has. A call in a row takes its time from products, so this is the most that it gains there.
* *bytes saved, cold*: weights that a text does not read because the memo has all of its words, on average over texts,
  less the rows of the memo that are read instead. A call with empty caches takes its time from bytes.
* *bytes of the memo*, which the file grows by: a bottleneck of one byte a channel, the first layer's products as sums
  of four bytes.

Rows are kept in `results/native.json`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import merge_results, print_rows, tell_command
from pqrnn.checkpoint import load_checkpoint
from pqrnn.cli.locate import find_run
from pqrnn.data.loader import load_examples
from pqrnn.evaluation.results import ResultRow
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts

SIZES = (256, 1024, 4096)
_SUM = 4  # bytes of a sum of products


@dataclass(frozen=True, slots=True)
class Saving:
    """What a memo saves of every text on average, as shares, and what it takes.

    Attributes:
        words: Share of the words of the texts that the memo has.
        texts: Share of the texts of which it has every word.
        products: Share of all products of a text that are not computed.
        bytes: Share of the bytes of all weights that are not read, less what is read of the memo.
        size: Bytes of the memo.
    """

    words: float
    texts: float
    products: float
    bytes: float
    size: int


def bound_saving(
    counts: Counter[bytes], texts: Sequence[Sequence[bytes]], size: int, weights: int, saved: int, row: int
) -> Saving:
    """Return the most that a memo can save.

    Args:
        counts: How often the training split has a word.
        texts: Words of the texts to parse.
        size: Number of words in the memo.
        weights: Number of all weights, one byte each; each is one product a word.
        saved: Number of the weights whose products the memo has.
        row: Bytes of the memo for a word.
    """
    known = {word for word, _ in counts.most_common(size)}
    hits = [sum(word in known for word in words) for words in texts]
    lengths = [len(words) for words in texts]
    whole = [hit == length for hit, length in zip(hits, lengths, strict=True)]
    read = [saved * complete - row * hit for hit, complete in zip(hits, whole, strict=True)]
    return Saving(
        words=sum(hits) / sum(lengths),
        texts=sum(whole) / len(texts),
        products=sum(hits) * saved / (sum(lengths) * weights),
        bytes=sum(read) / (len(texts) * weights),
        size=len(known) * row,
    )


def main() -> None:
    """Count, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a trained parser, or the name of one in the zoo")
    parser.add_argument("--data", required=True, help="labelled utterances with a training and a test split")
    parser.add_argument("--lang", help="only this language")
    parser.add_argument("--no-keep", action="store_true", help="print only")
    arguments = parser.parse_args()
    model = load_checkpoint(find_run(arguments.run)).model.eval().folded()
    words = {split: _read_words(model.projection, arguments.data, split, arguments.lang) for split in ("train", "test")}
    counts = Counter(word for text in words["train"] for word in text)
    weights = {name: part for name, part in model.named_buffers() if name.endswith(".weight")}
    every = sum(part.numel() for part in weights.values())
    bottleneck, product = weights["bottleneck.weight"], weights["layers.0.product.weight"]
    rows = []
    for size in SIZES:
        for what, saved, row in (
            ("bottleneck", bottleneck.numel(), bottleneck.shape[1]),
            ("bottleneck and first layer", bottleneck.numel() + product.numel(), _SUM * product.shape[1]),
        ):
            saving = bound_saving(counts, words["test"], size, every, saved, row)
            note = f"{100 * saving.words:.1f} % of words, every word of {100 * saving.texts:.1f} % of texts"
            for metric, value, unit in (
                ("products saved at most", saving.products, "share"),
                ("bytes saved at most, cold", saving.bytes, "share"),
                ("bytes", saving.size, "bytes"),
            ):
                work = f"{arguments.run.name}, memo of {size} words, {what}"
                rows.append(
                    ResultRow(
                        work=work, metric=metric, value=round(value, 4), n=len(words["test"]), unit=unit, note=note
                    )
                )
    if arguments.no_keep:
        print_rows("native", rows)
    else:
        merge_results("native", rows, tell_command("benchmarks.memo"))


def _read_words(projection: Projection, data: str, split: str, lang: str | None) -> list[list[bytes]]:
    texts = [example.text.encode() for example in load_examples(data, split=split, locale=lang)]
    spans = segment_texts(projection, texts)
    return [[text[start:end] for start, end in words] for text, words in zip(texts, spans, strict=True)]


if __name__ == "__main__":
    main()
