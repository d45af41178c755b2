r"""What the weights of frames give where training lacks pairs of intent and slot that people say.

    python -m benchmarks.unseen_pairs cut DATA --lang en --rows 5000 --share 0.055 --seed 1 --out runs/massive-cut
    pqrnn train --data runs/massive-cut --out runs/massive-cut-parser --epochs 20 --patience 0
    python -m benchmarks.unseen_pairs measure runs/massive-cut-parser --data runs/massive-cut --work "massive-en, cut"

The first command draws pairs that are rare in training until so many of the test utterances have one, and leaves the
training rows with them out. The last one chooses the weights on the development split, as training does
(`pqrnn.evaluation.frame_weights`), and scores the test split under four decisions: the words' largest logits alone;
unseen pairs forbidden, as for packages before schema 1.5; the default weights; the chosen ones. Rows are kept in
`results/unseen_pairs.json`.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import keep_results, tell_command
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example
from pqrnn.data.loader import load_examples
from pqrnn.data.writer import write_jsonl
from pqrnn.evaluation.evaluate import evaluate_predictions
from pqrnn.evaluation.frame_weights import DEFAULT, choose_frame_weights
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.evaluation.results import ResultRow
from runtime_py.decode.decoder import Decoder
from runtime_py.decode.frame_weights import FrameWeights

NAME = "unseen_pairs"

Pair = tuple[str, str]  # intent, label of a slot


def main() -> None:
    """Cut, or measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    cut = verbs.add_parser("cut", help="write a data set whose training rows lack pairs")
    cut.add_argument("data", help="labelled utterances with all three splits")
    cut.add_argument("--lang", help="only these languages")
    cut.add_argument("--rows", type=int, default=0, help="training rows that are kept; 0 keeps all")
    cut.add_argument("--share", type=float, default=0.05, help="share of test utterances that have a pair that was cut")
    cut.add_argument("--seed", type=int, default=0)
    cut.add_argument("--out", type=Path, required=True, help="folder for the data set")
    score = verbs.add_parser("measure", help="score a parser that was trained on it")
    score.add_argument("run", type=Path)
    score.add_argument("--data", required=True, help="the data set that was cut")
    score.add_argument("--work", required=True, help="name of the rows")
    arguments = parser.parse_args()
    if arguments.verb == "cut":
        splits = {
            name: load_examples(arguments.data, split=name, locale=arguments.lang) for name in ("train", "dev", "test")
        }
        made = cut_pairs(splits, arguments.rows, arguments.share, random.Random(arguments.seed))
        for name, examples in made.items():
            write_jsonl(examples, arguments.out / f"{name}.jsonl")
            print(
                f"{name}: {len(examples)} utterances, {share_unseen(made['train'], examples):.1%} with an unseen pair"
            )
        return
    rows = measure(arguments.run, arguments.data, arguments.work)
    for row in rows:
        print(f"{row.metric:60} {100 * row.value:6.2f}  {row.n}")
    keep_results(NAME, rows, tell_command("benchmarks.unseen_pairs"), replace_works=[arguments.work])


def list_pairs(example: Example) -> set[Pair]:
    """Return an utterance's intent with each of its slots."""
    return {(example.intent, slot.label) for slot in example.slots}


def share_unseen(training: Sequence[Example], examples: Sequence[Example]) -> float:
    """Return the share of utterances with a pair that no training utterance has."""
    known = {pair for example in training for pair in list_pairs(example)}
    return sum(bool(list_pairs(example) - known) for example in examples) / max(len(examples), 1)


def cut_pairs(
    splits: dict[str, list[Example]], rows: int, share: float, rng: random.Random
) -> dict[str, list[Example]]:
    """Return the splits without the training rows that have some pairs, drawn at random.

    A pair may be drawn where most rows of its intent, and most of its slot, lack it. Utterances of development and test
    whose intent or slot training has lost altogether are left out.

    Args:
        splits: Utterances by "train", "dev" and "test".
        rows: Training rows that are kept, drawn at random; 0 keeps all.
        share: Share of test utterances that have a pair that was cut, at least.
        rng: Draws.
    """
    training, test = splits["train"], splits["test"]
    times = Counter(pair for example in training for pair in list_pairs(example))
    intents = Counter(example.intent for example in training)
    slots = Counter(label for example in training for label in {slot.label for slot in example.slots})
    tested = {pair for example in test for pair in list_pairs(example)}
    rare = [
        pair
        for pair, count in sorted(times.items())
        if pair in tested and 2 * count < intents[pair[0]] and 2 * count < slots[pair[1]]
    ]
    rng.shuffle(rare)
    cut: set[Pair] = set()
    for pair in rare:
        if sum(bool(list_pairs(example) & cut) for example in test) >= share * len(test):
            break
        cut.add(pair)
    kept = [example for example in training if not list_pairs(example) & cut]
    rng.shuffle(kept)
    kept = kept[: rows or None]
    left = {example.intent for example in kept}, {slot.label for example in kept for slot in example.slots}
    return {
        "train": kept,
        **{
            name: [
                example
                for example in splits[name]
                if example.intent in left[0] and all(slot.label in left[1] for slot in example.slots)
            ]
            for name in ("dev", "test")
        },
    }


def measure(run: Path, data: str, work: str) -> list[ResultRow]:
    """Return the scores of a parser's test split under each decision."""
    checkpoint = load_checkpoint(run)
    labels = checkpoint.facts.labels
    splits = {name: load_examples(data, split=name) for name in ("train", "dev", "test")}
    answers = {
        name: compute_logits(checkpoint.model, [example.text for example in splits[name]]) for name in ("dev", "test")
    }
    chosen = choose_frame_weights(labels, splits["dev"], answers["dev"])
    framed = (labels.intents, labels.tags, labels.frames, labels.frame_counts)
    decisions = {
        "largest logits alone": Decoder(labels.intents, labels.tags),
        "unseen pairs forbidden": Decoder(*framed, FrameWeights()),
        "default weights": Decoder(*framed, DEFAULT),
        "weights chosen on dev": Decoder(*framed, chosen),
    }
    unseen = share_unseen(splits["train"], splits["test"])
    note = f"{unseen:.1%} of the test utterances have an unseen pair; chosen: {chosen}"
    rows = []
    for name, decoder in decisions.items():
        scores = evaluate_predictions(splits["test"], answers["test"], decoder).scores
        for metric, figure in (("exact match", scores.exact_match), ("intent accuracy", scores.intent_accuracy)):
            rows.append(
                ResultRow(
                    work=work,
                    metric=f"{metric}, {name}",
                    value=round(figure.value, 6),
                    low=round(figure.low, 6),
                    high=round(figure.high, 6),
                    n=figure.n,
                    note=note,
                )
            )
    return rows


if __name__ == "__main__":
    main()
