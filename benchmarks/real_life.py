r"""How many points of exact match a parser loses where texts are written as people and recognisers write them.

    python -m benchmarks.real_life RUN --data DATA --lang en --work "mtop-en"
    python -m benchmarks.real_life RUN --data DATA --lang en --work "mtop-en" --split dev   # to choose by

Each change (`pqrnn.evaluation.perturbations`) is made of every utterance of the test split that it changes. The figure
is the exact match of these utterances as they are less that of the changed ones, with a paired bootstrap interval.
Rows are kept in `results/real_life.json`: those of a work replace its earlier ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.results import keep_results, print_rows, tell_command
from pqrnn.data.examples import Example
from pqrnn.data.loader import load_examples
from pqrnn.distillation.loading import load_teacher
from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
from pqrnn.evaluation.perturbations import PERTURBATIONS, perturb
from pqrnn.evaluation.prediction import compute_logits, decide
from pqrnn.evaluation.results import ResultRow
from pqrnn.model.network import Network
from runtime_py.decode.decoder import Decoder

NAME = "real_life"
_RESAMPLES = 1000


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a parser or a teacher")
    parser.add_argument("--data", required=True, help="labelled utterances")
    parser.add_argument("--lang", help="only these languages")
    parser.add_argument("--split", default="test")
    parser.add_argument("--work", required=True, help="name of the parser")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    arguments = parser.parse_args()
    model, facts = load_teacher(arguments.run)
    examples = load_examples(arguments.data, split=arguments.split, locale=arguments.lang)
    rows = measure(model, facts.labels.decoder(), examples, arguments.work)
    for row in rows:
        interval = f"[{100 * (row.low or 0):.2f}, {100 * (row.high or 0):.2f}]"
        print(f"{row.metric:45} {100 * row.value:6.2f}  {interval:17} {row.n}")
    if arguments.only_print:
        print_rows(NAME, rows)
    else:
        keep_results(NAME, rows, tell_command("benchmarks.real_life"), replace_works=[arguments.work])


def measure(model: Network, decoder: Decoder, examples: Sequence[Example], work: str) -> list[ResultRow]:
    """Return a row for each change that changes some of the utterances, and one for the texts as they are."""
    plain = find_right(model, decoder, examples)
    rows = [_row(work, "exact match", plain, "")]
    for perturbation in PERTURBATIONS:
        changed = [(index, perturb(example, perturbation)) for index, example in enumerate(examples)]
        kept = [(index, example) for index, example in changed if example is not None]
        if kept:
            right = find_right(model, decoder, [example for _, example in kept])
            lost = plain[[index for index, _ in kept]] - right
            rows.append(_row(work, f"points lost, {perturbation.name}", lost, "of the utterances that it changes"))
    return rows


def find_right(model: Network, decoder: Decoder, examples: Sequence[Example]) -> np.ndarray:
    """Return 1.0 for each utterance of which intent and all slots are right, else 0.0."""
    texts = [example.text for example in examples]
    parses = decide(decoder, texts, compute_logits(model, texts))
    return np.array(
        [frame_of_parse(parse) == frame_of_example(example) for parse, example in zip(parses, examples, strict=True)],
        np.float64,
    )


def _row(work: str, metric: str, values: np.ndarray, note: str) -> ResultRow:
    draws = np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return ResultRow(
        work=work,
        metric=metric,
        value=round(float(values.mean()), 6),
        low=round(float(low), 6),
        high=round(float(high), 6),
        n=len(values),
        note=note,
    )


if __name__ == "__main__":
    main()
