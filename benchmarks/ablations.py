r"""What single choices are worth.

Students differ from the default in one thing; they are scored on the development split and weighed in 8 bits.

    python -m benchmarks.ablations --work mtop-en --data ../shared/data/mtop/spans --lang en \
        --teacher runs/teacher --epochs 8 --limit 4000 --seeds 3

A run is a folder of its own under `runs/ablations`, so a stop loses nothing and the same command goes on; its rows are
kept in `results/ablations.json` the moment it has ended. Every seed visits all settings before the next one begins.
`--epochs` and `--limit` make it affordable, and every row says what it had. The test split is never looked at. `--list`
shows the settings. Runs that were made otherwise are taken in by their folders:

    python -m benchmarks.ablations --work "mtop-en supervised" --data ../shared/data/mtop/spans --lang en \
        --finished default=RUN --finished "no norm=RUN"
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.ablation_settings import Setting, Student, change_student, default_student, list_settings
from benchmarks.pareto import draw_pareto
from benchmarks.results import FOLDER, ResultRow, load_results, merge_results, tell_command
from pqrnn.checkpoint import FACTS, WEIGHTS, load_checkpoint, load_facts
from pqrnn.data.examples import Example
from pqrnn.data.loader import load_examples
from pqrnn.data.unlabelled import load_unlabelled
from pqrnn.distillation.labelling import label_transfer_set
from pqrnn.distillation.logit_store import LogitStore, read_logits
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.quantization import quantize_checkpoint
from pqrnn.recipes.settings import TransferConfig
from pqrnn.seeding import make_random
from pqrnn.training.config import choose_precision, resolve_precision
from pqrnn.training.trainer import train

NAME = "ablations"
PICTURE = FOLDER / "pareto.png"
RUNS = Path("runs/ablations")
_METRICS = ("exact_match", "intent_accuracy", "slot_f1")


class Budget(NamedTuple):
    """What every run of a work has: epochs, and training utterances of all that there are."""

    epochs: int
    utterances: int
    available: int

    @property
    def text(self) -> str:
        """For people, and for telling results of different budgets apart."""
        return f"{self.epochs} epochs over {self.utterances:,} of {self.available:,} utterances"


class Laboratory:
    """Data, teachers and a place for runs: makes students and keeps what they score."""

    def __init__(
        self,
        work: str,
        folder: Path,
        spec: str,
        lang: str | None,
        teachers: Sequence[Path],
        base: Student,
        limit: int | None,
        unlabelled: Sequence[str] = (),
    ) -> None:
        """Load the data.

        Args:
            work: what the runs are called in the results.
            folder: for their folders.
            spec: of the data.
            lang: languages of them.
            teachers: folders of trained teachers.
            base: the default.
            limit: how many training utterances are used; None for all.
            unlabelled: further data whose texts may be answered by the teachers.
        """
        everything = load_examples(spec, split="train", locale=lang)
        self.training = choose_part(everything, limit)
        self.development = load_examples(spec, split="dev", locale=lang)
        self.teachers, self.base, self.source = list(teachers), base, {"spec": spec, "locale": lang or ""}
        self.budget = Budget(base.recipe.training.epochs, len(self.training), len(everything))
        self.work = f"{work}, {self.budget.text}"
        self.folder = folder / _slug(self.work)
        self.unlabelled = load_unlabelled(unlabelled, spec, lang, self.development)
        self._lessons: tuple[str, LogitStore] | None = None

    def measure(self, setting: Setting, seed: int) -> list[ResultRow]:
        """Train a student, or go on, quantize it, and return its rows.

        Raises:
            PqrnnError: the setting cannot be trained.
        """
        student = change_student(self.base, {**setting.changes, "training.seed": seed})
        recipe = student.recipe
        training = resolve_precision(recipe.training)
        folder = self.folder / _slug(setting.name) / f"seed-{seed}"
        objective = DistillationObjective(self._label(student), recipe.distillation) if student.teachers else None
        outcome = train(
            folder,
            self.training,
            self.development,
            recipe.model,
            training,
            objective=objective,
            source=self.source,
        )
        return measure_run(outcome.folder, folder / "int8", self.work, setting.name, self.training, self.development)

    def _label(self, student: Student) -> LogitStore:
        """Return the teachers' answers to the texts of a recipe, made once for all runs that want the same."""
        teachers = self.teachers[: student.teachers]
        texts = self.unlabelled if student.unlabelled else []
        decisive = [
            msgspec.to_builtins(student.recipe.transfer),
            [str(each.resolve()) for each in teachers],
            len(texts),
        ]
        key = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]
        if self._lessons is None or self._lessons[0] != key:
            folder = self.folder / "lessons" / key
            config: TransferConfig = student.recipe.transfer
            label_transfer_set(
                folder,
                teachers,
                self.training,
                texts,
                config,
                precision=resolve_precision(student.recipe.training).precision,
                on_progress=_show_labelling,
            )
            self._lessons = key, read_logits(folder)
        return self._lessons[1]


def measure_run(
    run: Path, whole: Path, work: str, name: str, training: Sequence[Example], development: Sequence[Example]
) -> list[ResultRow]:
    """Return the rows of a finished run.

    These are its development scores, as it was trained and in 8 bits, and the bytes of its weights in 8 bits.

    Args:
        run: folder of the checkpoint.
        whole: folder for the parser in 8 bits; one that is there is taken.
        work: name of the rows.
        name: what differs.
        training: what it was trained on.
        development: what it is scored on.
    """
    if not (whole / FACTS).is_file():
        quantize_checkpoint(load_checkpoint(run), training, development, whole)
    facts = load_facts(run)
    note = f"seed {facts.training['seed']}"
    rows = [
        ResultRow(
            work=work,
            metric=f"{metric.replace('_', ' ')}{suffix}",
            value=each[metric]["value"],
            low=each[metric]["low"],
            high=each[metric]["high"],
            n=int(each[metric]["n"]),
            peer=name,
            note=note,
        )
        for suffix, each in (("", facts.metrics["dev"]), (", int8", load_facts(whole).metrics["dev"]))
        for metric in _METRICS
    ]
    return [
        *rows,
        ResultRow(
            work=work,
            metric="int8 artifact",
            value=(whole / WEIGHTS).stat().st_size,
            unit="bytes",
            peer=name,
            note=note,
        ),
    ]


def choose_part(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """Return so many examples, drawn once for all, in their own order.

    Every intent and slot that there is stays: labels are not to depend on the budget.
    """
    if limit is None or limit >= len(examples):
        return list(examples)
    order = list(range(len(examples)))
    make_random(0, "ablations", 0).shuffle(order)
    seen: set[str] = set()
    first = []
    for number in order:
        names = {examples[number].intent, *(slot.label for slot in examples[number].slots)}
        if not names <= seen:
            seen |= names
            first.append(number)
    chosen = list(dict.fromkeys([*first, *order]))[:limit]
    return [examples[number] for number in sorted(chosen)]


def main() -> None:
    """Train, print, keep, draw."""
    arguments = _read_arguments()
    if arguments.draw:
        draw_pareto(load_results(NAME).rows, PICTURE)
        return
    if arguments.finished:
        _take_in(arguments)
        return
    overrides = {"training.precision": choose_precision(), **dict(map(_read_change, arguments.set))}
    if arguments.epochs:
        overrides["training.epochs"] = arguments.epochs
    teachers = [Path(each) for each in arguments.teacher]
    base = default_student(len(teachers), overrides)
    languages = {example.locale for example in load_examples(arguments.data, split="dev", locale=arguments.lang)}
    settings = _choose(list_settings(base, len(teachers), len(languages), bool(arguments.unlabelled)), arguments.only)
    if arguments.list:
        for setting in settings:
            print(setting.name, setting.changes or "")
        return
    laboratory = Laboratory(
        arguments.work,
        arguments.runs,
        arguments.data,
        arguments.lang,
        teachers,
        base,
        arguments.limit,
        arguments.unlabelled,
    )
    plan = [(setting, seed) for seed in range(arguments.seeds) for setting in settings]
    print(
        f"{laboratory.work}: {len(plan)} runs, development split of {len(laboratory.development):,} utterances",
        flush=True,
    )
    begin = time.monotonic()
    for number, (setting, seed) in enumerate(plan, start=1):
        if arguments.minutes and time.monotonic() - begin > 60 * arguments.minutes:
            print(
                f"{arguments.minutes} minutes are over: {len(plan) - number + 1} runs are left, the same command "
                f"goes on",
                flush=True,
            )
            break
        started = time.monotonic()
        rows = laboratory.measure(setting, seed)
        _keep(rows, arguments.keep)
        print(f"{number:3}/{len(plan)} {_describe(rows)}, {time.monotonic() - started:.0f} s", flush=True)


def _take_in(arguments: argparse.Namespace) -> None:
    """Measure runs that are there."""
    training = load_examples(arguments.data, split="train", locale=arguments.lang)
    development = load_examples(arguments.data, split="dev", locale=arguments.lang)
    for named in arguments.finished:
        name, _, folder = named.partition("=")
        facts = load_facts(Path(folder))
        budget = Budget(facts.training["epochs"], sum(texts for _, _, texts in facts.lengths), len(training))
        work = f"{arguments.work}, {budget.text}" if arguments.budget else arguments.work
        rows = measure_run(
            Path(folder), arguments.runs / "taken-in" / Path(folder).name, work, name, training, development
        )
        _keep(rows, arguments.keep)
        print(_describe(rows), flush=True)


def _keep(rows: Sequence[ResultRow], keep: bool) -> None:
    if keep:
        found = merge_results(NAME, rows, tell_command("benchmarks.ablations"))
        draw_pareto(found.rows, PICTURE)


def _describe(rows: Sequence[ResultRow]) -> str:
    value = {row.metric: row.value for row in rows}
    return (
        f"{rows[0].peer:34} {rows[0].note}: exact match {value['exact match']:.2%}, int8 "
        f"{value['exact match, int8']:.2%}, "
        f"intent {value['intent accuracy']:.2%}, slot F1 {value['slot f1']:.2%}, {value['int8 artifact']:,.0f} bytes"
    )


def _choose(settings: Sequence[Setting], only: str | None) -> list[Setting]:
    if not only:
        return list(settings)
    wanted = [each.strip() for each in only.split(",")]
    unknown = [each for each in wanted if each not in {setting.axis for setting in settings}]
    if unknown:
        sys.exit(
            f"{unknown[0]}: no such axis; there are {', '.join(dict.fromkeys(setting.axis for setting in settings))}"
        )
    return [setting for setting in settings if setting.axis in ("default", *wanted)]


def _read_change(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def _show_labelling(done: int, total: int) -> None:
    if done == total or done % 20480 == 0:
        print(f"    the teacher answers: {done:,} of {total:,}", flush=True)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="mtop-en", help="name of the rows; the budget is added")
    parser.add_argument("--data", default="home", help="labelled utterances with splits, as for `pqrnn train`")
    parser.add_argument("--lang", help="only these languages")
    parser.add_argument(
        "--teacher",
        action="append",
        default=[],
        help="folder of a teacher; again for more, which are averaged; none: labels alone",
    )
    parser.add_argument(
        "--finished",
        action="append",
        default=[],
        metavar="NAME=RUN",
        help="take in a run that is there; again for more",
    )
    parser.add_argument(
        "--no-budget",
        dest="budget",
        action="store_false",
        help="with --finished: leave epochs and utterances out of the rows' name",
    )
    parser.add_argument(
        "--unlabelled",
        action="append",
        default=[],
        help="further data whose texts the teachers answer in one of the settings",
    )
    parser.add_argument("--epochs", type=int, help="of every run, instead of the default's")
    parser.add_argument("--limit", type=int, help="training utterances; by default all")
    parser.add_argument("--seeds", type=int, default=1, help="how many times each, with another seed")
    parser.add_argument("--only", metavar="AXIS,AXIS", help="only these, and the default")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help='changes the default of all runs, as "model.state=160"',
    )
    parser.add_argument("--minutes", type=float, help="begin no further run after so many")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where the runs are")
    parser.add_argument("--list", action="store_true", help="only list the settings")
    parser.add_argument("--draw", action="store_true", help="only draw the picture of what is kept")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
