r"""Ways to distil an encoder without a task, compared: objectives x shapes x tasks, at an equal budget of steps.

    python -m benchmarks.distillation --work english --data mtop:DATA/mtop/spans --data DATA/snips --lang en \
        --task "snips=DATA/snips" --task "mtop=mtop:DATA/mtop/spans" --shape words:3x192 --keep

Every student reads the same batches in the same order, so one pass of the teacher serves all of them; each ends in the
weights that `pqrnn distill-encoder` with the same settings gives it. Then each becomes a parser of every task, from a
fixed number of its labelled utterances (few, because that is where an encoder helps), and is scored on the development
split: nothing here looks at a test split. The floor is the same network, untrained; the ceiling the teacher itself,
fine-tuned on the same utterances.

A student that is in the work folder already is not distilled again, and a score that is there is not made again.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.results import keep_results, print_rows, tell_command
from pqrnn import change
from pqrnn.api.encoders import begin_with
from pqrnn.data.examples import Example
from pqrnn.data.loader import load_examples
from pqrnn.encoders.checkpoint import is_encoder
from pqrnn.encoders.run import Run, describe_run
from pqrnn.encoders.teachers import EncoderTeacher
from pqrnn.encoders.texts import Corpus, load_texts, make_corpus
from pqrnn.evaluation.results import ResultRow
from pqrnn.recipes.encoder_settings import DistillEncoderRecipe
from pqrnn.recipes.settings import AUTO, TeacherConfig, TrainingConfig
from pqrnn.run_folder import FACTS
from pqrnn.seeding import make_random
from pqrnn.training.reporting import TrainingReporter
from pqrnn.training.resume import TrainingState
from pqrnn.training.step_loop import begin_run
from pqrnn.training.trainer import train

OBJECTIVES: dict[str, dict[str, Any]] = {
    "od": {"objective.objective": "od"},
    "hs last": {"objective.objective": "hs", "objective.mapping": "last"},
    "hs last-k": {"objective.objective": "hs", "objective.mapping": "last-k"},
    "hs uniform": {"objective.objective": "hs", "objective.mapping": "uniform"},
    "hs uniform-consecutive": {"objective.objective": "hs", "objective.mapping": "uniform-consecutive"},
    "hs uniform-last": {"objective.objective": "hs", "objective.mapping": "uniform-last"},
    "mha": {"objective.objective": "mha"},
}
FLOOR, CEILING = "untrained", "teacher"


class Shape(NamedTuple):
    """A student's shape, as "words:3x192", "subwords:2x128" or "qrnn:2x384"; the last number is the width."""

    kind: str
    layers: int
    width: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.layers}x{self.width}"

    def settings(self) -> dict[str, Any]:
        """Return the settings of `pqrnn distill-encoder` for it; heads are 32 wide, feed-forward layers 4 times."""
        if self.kind == "qrnn":
            return {"model.network": "qrnn", "model.layers": self.layers, "model.state": self.width // 2}
        return {
            "student.input": self.kind,
            "model.layers": self.layers,
            "model.transformer.width": self.width,
            "model.transformer.heads": max(self.width // 32, 1),
            "model.transformer.ffn": 4 * self.width,
        }


class Task(NamedTuple):
    """A task: its name, the utterances that are learned, and those that parsers are scored on."""

    name: str
    training: list[Example]
    development: list[Example]


class CachedTeacher(EncoderTeacher):
    """A teacher that answers once what several students ask in turn."""

    def trace(self, batch: Any) -> Any:
        """Return the trace of a batch, the last one again where the batch is the same."""
        last = getattr(self, "_answered", None)
        if last is not None and last[0].shape == batch.tokens.shape and torch.equal(last[0], batch.tokens):
            return last[1]
        self._answered = (batch.tokens, super().trace(batch))
        return self._answered[1]


def main() -> None:
    """Distil, fine-tune, score, keep."""
    arguments = _read_arguments()
    torch.set_num_threads(arguments.threads)
    settings = {
        "training.steps": arguments.steps,
        "training.seed": arguments.seed,
        "training.precision": arguments.precision,
        "objective.head_steps": arguments.head_steps,
    }
    tasks = [read_task(text, arguments.lang, arguments.labels, arguments.seed) for text in arguments.task]
    rows: list[ResultRow] = []
    for shape in arguments.shape:
        recipes = {
            name: change(DistillEncoderRecipe(), {**shape.settings(), **settings, **OBJECTIVES[name]})
            for name in arguments.objectives
        }
        folders = {
            name: arguments.folder
            / f"{arguments.work}-{shape}-{name}-{arguments.seed}".replace(" ", "-").replace(":", "-")
            for name in (*recipes, FLOOR)
        }
        if not arguments.finished and not all(is_encoder(folders[name]) for name in recipes):
            texts, left_out = load_texts(arguments.data, arguments.text, arguments.lang)
            corpus = make_corpus(texts, arguments.longest, left_out)
            print(f"{arguments.work}: {corpus.note}", flush=True)
            distil_together(recipes, folders, CachedTeacher(arguments.teacher), corpus)
        floor = change(DistillEncoderRecipe(), {**shape.settings(), **settings})
        for task in tasks:
            for name in (FLOOR, *recipes):
                if arguments.finished and not _is_scored(folders[name], task):
                    continue
                recipe = recipes.get(name, floor)
                scores = score_student(folders[name], None if name == FLOOR else folders[name], recipe, task, arguments)
                rows.append(make_row(arguments, str(shape), task, name, scores))
                print(f"{rows[-1].work:44} {rows[-1].peer:24} {rows[-1].value:.4f}", flush=True)
    if arguments.ceiling:
        folder = arguments.folder / f"{arguments.work}-{CEILING}-{arguments.seed}"
        for task in tasks:
            if arguments.finished and not _is_scored(folder, task):
                continue
            scores = score_teacher(folder, task, arguments)
            rows.append(make_row(arguments, CEILING, task, CEILING, scores))
    if arguments.keep:
        keep_results(
            "distillation", rows, tell_command("benchmarks.distillation"), replace_works={row.work for row in rows}
        )
    else:
        print_rows("distillation", rows)


def distil_together(
    recipes: Mapping[str, DistillEncoderRecipe], folders: Mapping[str, Path], teacher: EncoderTeacher, corpus: Corpus
) -> None:
    """Distil students side by side, those that are not there yet, each step one pass of the teacher.

    Args:
        recipes: Settings of each student, by name.
        folders: Folder of each.
        teacher: The teacher.
        corpus: The texts.
    """
    runs: dict[str, Run] = {}
    found: dict[str, tuple[dict[str, Any], TrainingState]] = {}
    for name, recipe in recipes.items():
        if is_encoder(folders[name]):
            continue
        described = describe_run(teacher, corpus, recipe)
        state = begin_run(described)
        folders[name].mkdir(parents=True, exist_ok=True)
        runs[name] = Run(folders[name], teacher, corpus, recipe, state.settings, TrainingReporter())
        found[name] = (described, state)
    steps = max((run.recipe.training.steps for run in runs.values()), default=0)
    batches = {name: run.batches(0) for name, run in runs.items()}
    for step in range(steps):
        for name, run in runs.items():
            number, reading = next(batches[name])
            loss = run.step(number, reading)
            found[name][1].step = number + 1
            if step % 50 == 0 or step + 1 == steps:
                print(f"step {step + 1} of {steps}: {name} {loss:.4f}", flush=True)
    for name, run in runs.items():
        run.finish(found[name][1], found[name][0], {"teacher": teacher.name}, False)


def read_task(text: str, locale: str | None, labels: int, seed: int, most: int = 700) -> Task:
    """Return a task given as NAME=DATA, with so many training utterances, and at most so many to be scored on."""
    name, equals, spec = text.partition("=")
    if not equals:
        raise SystemExit(f"--task {text}: expected NAME=DATA")
    training = load_examples(spec, split="train", locale=locale)
    development = load_examples(spec, split="dev", locale=locale)
    rng = make_random(seed, "labels", 0)
    chosen = rng.sample(training, min(labels, len(training)))
    return Task(name, chosen, development if len(development) <= most else rng.sample(development, most))


def score_student(
    folder: Path, encoder: Path | None, recipe: DistillEncoderRecipe, task: Task, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Make a parser of a student, and return its development scores; of an untrained one where there is no encoder."""
    if recipe.student.input == "subwords":
        if encoder is None:
            encoder = folder / "untrained"
            if not is_encoder(encoder):
                corpus = make_corpus([example.text for example in task.training], arguments.longest)
                one = change(recipe, {"training.steps": 1, "training.learning_rate": 1e-12})
                distil_together({FLOOR: one}, {FLOOR: encoder}, CachedTeacher(arguments.teacher), corpus)
        config = TeacherConfig(encoder=str(encoder), train_embeddings=True)
        training = _training(arguments, 5e-4)
        return _score(folder / f"{task.name}-{len(task.training)}", task, config, training, None)
    training = _training(arguments, 2e-3)
    initial = None if encoder is None else begin_with(encoder, recipe.model, task.training, arguments.seed)
    return _score(folder / f"{task.name}-{len(task.training)}", task, recipe.model, training, initial)


def score_teacher(folder: Path, task: Task, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune the teacher on the same utterances, and return its development scores."""
    config = TeacherConfig(encoder=arguments.teacher)
    return _score(folder / f"{task.name}-{len(task.training)}", task, config, _training(arguments, 2e-4), None)


def _is_scored(folder: Path, task: Task) -> bool:
    """Say whether the parser of a task was made already."""
    return (folder / f"{task.name}-{len(task.training)}" / FACTS).is_file()


def _training(arguments: argparse.Namespace, rate: float) -> TrainingConfig:
    settings = {"epochs": arguments.epochs, "batch": 32, "learning_rate": rate, "seed": arguments.seed}
    return TrainingConfig(**settings, warmup=50, patience=0, average=0.99, threads=arguments.threads)


def _score(folder: Path, task: Task, model: Any, training: TrainingConfig, initial: Any) -> dict[str, Any]:
    outcome = train(folder, task.training, task.development, model, training, initial=initial)
    scores: dict[str, Any] = outcome.metrics["dev"]
    return scores


def make_row(arguments: argparse.Namespace, shape: str, task: Task, name: str, scores: dict[str, Any]) -> ResultRow:
    """Return the row of a student."""
    figure = scores["exact_match"]
    intent, slots = (scores[part]["value"] for part in ("intent_accuracy", "slot_f1"))
    note = f"seed {arguments.seed}; {arguments.steps} steps of distillation; intent {intent:.4f}, slot F1 {slots:.4f}"
    return ResultRow(
        work=f"{arguments.work}, {shape}, {task.name} with {len(task.training)} labels",
        metric="development exact match",
        value=figure["value"],
        low=figure["low"],
        high=figure["high"],
        n=figure["n"],
        peer=name,
        note=note,
    )


def _read_shape(text: str) -> Shape:
    match = re.fullmatch(r"(words|subwords|qrnn):(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text}: expected words:3x192, subwords:3x192 or qrnn:2x384")
    return Shape(match[1], int(match[2]), int(match[3]))


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, help="name of the setting, such as english")
    parser.add_argument("--teacher", default="minilm", help="encoder of BERT's family")
    parser.add_argument("--data", action="append", default=[], help="data sets whose texts are distilled from")
    parser.add_argument("--text", action="append", default=[], type=Path, help="plain files of texts")
    parser.add_argument("--lang", help="languages of all data sets")
    parser.add_argument("--task", action="append", default=[], help="NAME=DATA, labelled utterances to learn")
    parser.add_argument("--shape", action="append", type=_read_shape, required=True, help="such as words:3x192")
    parser.add_argument("--objectives", nargs="+", choices=list(OBJECTIVES), default=list(OBJECTIVES))
    parser.add_argument("--steps", type=int, default=1000, help="steps of distillation, of 64 texts")
    parser.add_argument("--precision", default=AUTO, help="of distillation: auto, bfloat16 or float32")
    parser.add_argument("--head-steps", type=int, default=300, help="steps in which the teacher learns to guess")
    parser.add_argument("--labels", type=int, default=1000, help="labelled utterances of every task")
    parser.add_argument("--epochs", type=int, default=15, help="passes over them")
    parser.add_argument("--longest", type=int, default=32, help="words of a piece of text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ceiling", action="store_true", help="fine-tune the teacher, too")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/distillation"), help="folder for students and parsers"
    )
    parser.add_argument("--finished", action="store_true", help="rows of what is there; nothing is learned")
    parser.add_argument("--keep", action="store_true", help="keep the rows in benchmarks/results/distillation.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
