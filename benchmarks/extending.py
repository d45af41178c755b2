r"""What `pqrnn extend` is worth: how much of the old commands a parser loses by a new one, and how well it learns it.

    python -m benchmarks.extending snips-en --data DATA/snips --rows 5 --rows 20 --rows 50
    python -m benchmarks.extending mtop-en --data mtop:DATA/mtop/spans --lang en --rows 20

The new command is one that no data set has: the speed of a fan, with two new slots (`new_command.toml`). It is learned
from so many sentences, drawn from the grammar, with the settings that `pqrnn extend` has by itself. What old commands
lose is measured on the development split with its gold labels; a negative loss is a gain. *New sentences right* are
others of the same grammar, *with other values* such whose devices and speeds no learned sentence has. Minutes are of
the processor, all of the call. `--without` extends without the old data, where nothing but new labels learns. Rows are
kept in `results/extending.json`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pqrnn
from benchmarks.results import merge_results, tell_command
from pqrnn.checkpoint import load_checkpoint
from pqrnn.cli.training_bar import TrainingBar
from pqrnn.data.examples import Example
from pqrnn.data.grammar.loading import load_examples_from_grammar
from pqrnn.data.loader import load_examples
from pqrnn.data.writer import write_jsonl
from pqrnn.evaluation.evaluate import evaluate_predictions
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.evaluation.results import ResultRow
from pqrnn.recipes.extend_settings import ExtendRecipe
from pqrnn.zoo.shelf import SHIPPED

NAME = "extending"
COMMAND = Path(__file__).parent / "new_command.toml"
OTHER_COMMAND = Path(__file__).parent / "new_command_other_values.toml"
_SCORED = 300
_SEED = 1


def draw(grammar: Path) -> list[Example]:
    """Return all sentences that a grammar gives, in an order that does not change."""
    rows = load_examples_from_grammar(grammar, "all", None, None, 0)
    random.Random(_SEED).shuffle(rows)
    return rows


def exact_match(folder: Path, examples: Sequence[Example]) -> float:
    """Return the share of utterances that a parser has right, intent and all slots."""
    checkpoint = load_checkpoint(folder)
    answers = compute_logits(checkpoint.model, [row.text for row in examples])
    found = evaluate_predictions(examples, answers, checkpoint.facts.labels.decoder())
    return found.scores.exact_match.value


def measure(run: str, data: str, lang: str | None, count: int, *, without: bool) -> list[ResultRow]:
    """Extend a parser of the zoo by so many sentences, and return rows."""
    sentences = draw(COMMAND)
    learned, others = sentences[:count], sentences[-_SCORED:]
    development = load_examples(data, split="dev", locale=lang)
    recipe = pqrnn.change(ExtendRecipe(), {"training.threads": 1})
    with tempfile.TemporaryDirectory() as folder, TrainingBar(quiet=False) as bar:
        rows, out = Path(folder) / "rows.jsonl", Path(folder) / "extended"
        write_jsonl(learned, rows)
        start = time.process_time()
        pqrnn.extend(
            SHIPPED / run,
            str(rows),
            out,
            old_data=() if without else (data,),
            lang=lang,
            recipe=recipe,
            reporter=bar,
            on_answers=bar.answers,
        )
        minutes = (time.process_time() - start) / 60
        before, after = exact_match(SHIPPED / run, development), exact_match(out, development)
        others_values = draw(OTHER_COMMAND)[:_SCORED]
        figures = (
            ("old exact match before", before, len(development), ""),
            ("old exact match lost", 100 * (before - after), len(development), "points"),
            ("new sentences right", exact_match(out, others), len(others), ""),
            ("new sentences with other values right", exact_match(out, others_values), len(others_values), ""),
            ("processor time", minutes, 1, "min"),
        )
    work = f"{run}, {count} rows{', without old data' if without else ''}"
    return [ResultRow(work=work, metric=metric, value=value, n=n, unit=unit) for metric, value, n, unit in figures]


def main() -> None:
    """Extend, measure, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a parser of the zoo")
    parser.add_argument("--data", required=True, help="the data that it was trained on")
    parser.add_argument("--lang", help="only this language of them")
    parser.add_argument("--rows", type=int, action="append", help="sentences that are learned; again for more")
    parser.add_argument("--without", action="store_true", help="without the old data")
    arguments = parser.parse_args()
    for count in arguments.rows or (20,):
        rows = measure(arguments.run, arguments.data, arguments.lang, count, without=arguments.without)
        merge_results(NAME, rows, tell_command("benchmarks.extending"))


if __name__ == "__main__":
    main()
