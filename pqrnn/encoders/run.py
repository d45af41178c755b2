"""A run of task-agnostic distillation: it goes on where it was stopped, and ends in the same weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import torch
from torch import nn

from pqrnn.checkpoint import read_revision
from pqrnn.encoders.batches import Reader
from pqrnn.encoders.checkpoint import DATA, FORMAT, HEAD, EncoderFacts, discard, find_facts, write_facts
from pqrnn.encoders.language import make_guess
from pqrnn.encoders.learning import Lesson
from pqrnn.encoders.students import Reading, Student, make_student
from pqrnn.encoders.teachers import EncoderTeacher
from pqrnn.encoders.texts import Corpus
from pqrnn.errors import TrainingError
from pqrnn.recipes.encoder_settings import DistillEncoderRecipe
from pqrnn.recipes.settings import AUTO, TrainingConfig
from pqrnn.run_folder import LOG, STATE
from pqrnn.training.config import choose_precision, learning_rate
from pqrnn.training.reporting import TrainingReporter
from pqrnn.training.resume import TrainingState, load_state, save_state
from pqrnn.training.run_settings import hash_weights
from pqrnn.training.step_loop import Duties, begin_run, encode_log, end_record, find_progress, run_steps, take_step
from runtime_py.atomic_files import write_atomic

_SAVE_SECONDS = 60.0
_RECORDS = 20  # lines of the log in a run


class EncoderOutcome(NamedTuple):
    """What came of a run.

    Attributes:
        folder: Folder of the encoder.
        facts: What the folder says of it.
        ended: "done", "ended early" or "was finished".
    """

    folder: Path
    facts: EncoderFacts
    ended: str


def run(
    folder: Path,
    teacher: EncoderTeacher,
    corpus: Corpus,
    recipe: DistillEncoderRecipe,
    *,
    source: Mapping[str, Any],
    restart: bool = False,
    finish: bool = False,
    reporter: TrainingReporter | None = None,
    stop_after: int | None = None,
) -> EncoderOutcome:
    """Distil an encoder, or go on where an earlier call with the same settings was stopped.

    Args:
        folder: Folder of the encoder to be.
        teacher: The teacher.
        corpus: The texts.
        recipe: All settings.
        source: Where texts and teacher came from, for people.
        restart: Whether an earlier run in `folder` is thrown away.
        finish: Whether an unfinished run in `folder` ends where it is.
        reporter: Is told of progress.
        stop_after: Step after which `KeyboardInterrupt` is raised without saving: a kill, for tests.

    Raises:
        TrainingError: The settings do not suit each other or the teacher, `folder` holds a run with other settings,
            nothing there can be finished, or the loss is no number any more.
        TeacherError: The teacher cannot teach that.
    """
    if restart and finish:
        raise TrainingError("--restart throws the run away that --finish is to end: give one of them")
    precision = choose_precision() if recipe.training.precision == AUTO else recipe.training.precision
    recipe = msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, precision=precision))
    described = describe_run(teacher, corpus, recipe)
    fingerprint = begin_run(described).settings
    if restart:
        discard(folder)
    found = find_facts(folder, fingerprint, described)
    if found is not None:
        return EncoderOutcome(folder, found, "was finished")
    progress = find_progress(folder / STATE, folder, described, finish, DATA)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    reporter = reporter or TrainingReporter()
    made = Run(folder, teacher, corpus, recipe, fingerprint, reporter)
    early = made.learn(progress, finish, stop_after)
    return EncoderOutcome(
        folder, made.finish(progress, described, dict(source), early), "ended early" if early else "done"
    )


class Run:
    """One run: student, teacher, optimizer, and the loop over the steps.

    Attributes:
        student: The student.
        reader: Its batches.
        recipe: All settings.
    """

    def __init__(
        self,
        folder: Path,
        teacher: EncoderTeacher,
        corpus: Corpus,
        recipe: DistillEncoderRecipe,
        fingerprint: str,
        reporter: TrainingReporter,
    ) -> None:
        """Make the student, as it begins, and what teaches it; arguments as of `run`."""
        self.folder, self.recipe, self.reporter, self.corpus = folder, recipe, reporter, corpus
        config, objective = recipe.training, recipe.objective
        guessing = objective.objective == "od"
        torch.manual_seed(config.seed)
        relates = objective.objective == "mha"
        self.student: Student = make_student(recipe.model, recipe.student, teacher, corpus.words, relates=relates)
        self.reader = Reader(corpus, teacher, objective.hidden_share if guessing else 0.0)
        guess = None
        if guessing:
            key = hashlib.sha256(f"{fingerprint}/{len(self.student.guesses)}".encode()).hexdigest()
            state = torch.get_rng_state()
            guess = make_guess(
                teacher, self.student.guesses, self.reader, objective.head_steps, folder / HEAD, key, reporter.note
            )
            torch.set_rng_state(state)  # the student is the same whether the head was there or not
        self.lesson = Lesson(self.student, teacher, objective, guess)
        self.optimizer = torch.optim.AdamW(_group(self.lesson, config.weight_decay), betas=(0.9, 0.98), fused=True)
        self._schedule = TrainingConfig(learning_rate=config.learning_rate, warmup=config.warmup)

    def learn(self, progress: TrainingState, finish: bool, stop_after: int | None) -> bool:
        """Run the steps that are left; say whether the run ended before the last of them."""
        config = self.recipe.training
        if progress.step:
            load_state(self.folder / STATE, {"lesson": self.lesson}, self.optimizer)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reporter.start(config.steps, progress.step, self._tell())
        if finish:
            return progress.step < config.steps
        run_steps(
            progress,
            config.steps,
            self.batches(progress.step),
            Duties(self.step, lambda: self._record(progress), lambda: self._save(progress)),
            self.reporter,
            every=max(config.steps // _RECORDS, 1),
            save_seconds=_SAVE_SECONDS,
            stop_after=stop_after,
        )
        return progress.step < config.steps

    def batches(self, first: int) -> Iterator[tuple[int, Reading]]:
        """Yield the number and the batch of every step from `first` on; each draws its dice anew."""
        config = self.recipe.training
        return self.reader.steps(config.seed, config.batch, first, config.steps)

    def step(self, number: int, reading: Reading) -> float:
        """Learn a batch and return its loss.

        Args:
            number: Number of the step, from 0.
            reading: The batch.

        Raises:
            DivergenceError: The loss or its gradient is no finite number.
        """
        config = self.recipe.training
        self.lesson.train()
        return take_step(
            lambda: self.lesson(reading),
            self.lesson.parameters(),
            self.optimizer,
            rate=learning_rate(self._schedule, number, config.steps),
            precision=config.precision,
            clip=config.clip,
            where=f"{self.folder}: step {number + 1}",
        )

    def finish(
        self, progress: TrainingState, described: dict[str, Any], source: dict[str, Any], early: bool
    ) -> EncoderFacts:
        """Write the encoder and what is to be said of it, and remove the state."""
        self.student.eval()
        facts = EncoderFacts(
            format=FORMAT,
            input=self.recipe.student.input,
            config=self.recipe.model,
            parameters=self.student.parameters_count(),
            source={**source, "texts": self.corpus.note},
            recipe=msgspec.to_builtins(self.recipe),
            steps=progress.step,
            held_out=self._held_out(),
            fingerprint=progress.settings,
            described=described,
            revision=read_revision(),
            ended_early=early,
        )
        try:
            self.student.write(self.folder)
            write_facts(self.folder, facts)
        except OSError as error:
            raise self._unwritable(error) from error
        for name in (STATE, HEAD):
            (self.folder / name).unlink(missing_ok=True)
        return facts

    def _record(self, progress: TrainingState) -> None:
        """Note how well the texts that are not learned are understood."""
        end_record(progress, held_out=round(self._held_out(), 7))
        try:
            write_atomic(self.folder / LOG, encode_log(progress))
        except OSError as error:
            raise self._unwritable(error) from error

    @torch.no_grad()
    def _held_out(self) -> float:
        """Return the loss on the texts that are not learned."""
        self.lesson.eval()
        config = self.recipe.training
        state = torch.get_rng_state()
        total = count = 0.0
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
            for reading in self.reader.held_out(config.batch):
                total += float(self.lesson(reading)) * len(reading.words)
                count += len(reading.words)
        torch.set_rng_state(state)
        return total / max(count, 1.0)

    def _save(self, progress: TrainingState) -> None:
        try:
            save_state(self.folder / STATE, progress, {"lesson": self.lesson}, self.optimizer)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> TrainingError:
        return TrainingError(
            f"{self.folder}: cannot be written ({error.strerror or error}); what was written before is whole: make "
            "room, and the same command goes on from there"
        )

    def _tell(self) -> str:
        student = self.student
        return (
            f"{self.corpus.note}\n{self.lesson.note}\nstudent of {self.recipe.student.input}: {student.depth} layers, "
            f"{student.width} wide, {student.parameters_count():,} parameters"
        )


def describe_run(teacher: EncoderTeacher, corpus: Corpus, recipe: DistillEncoderRecipe) -> dict[str, Any]:
    """Return all that decides the result, by name."""
    settings = msgspec.to_builtins(recipe)
    del settings["training"]["threads"]
    texts = hashlib.sha256(repr((corpus.words, corpus.texts, corpus.held_out)).encode()).hexdigest()
    weights = teacher.encoder.state_dict().items()
    # What no objective reads may be missing from an encoder's file, and is drawn anew then.
    tensors = {name: value.contiguous() for name, value in weights if not name.startswith("pooler.")}
    described = {"recipe": settings, "teacher": hash_weights(tensors), "texts": texts}
    return cast(dict[str, Any], json.loads(json.dumps(described)))  # as files have it: lists for tuples


def _group(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters that are learned, each once; only matrices decay."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [each for each in learned if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in learned if each.ndim <= 1], "weight_decay": 0.0},
    ]
