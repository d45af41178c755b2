"""From labelled utterances to a proved package, in stages that a kill cannot harm.

Every stage writes its own folder below the work folder and goes on where it was; a finished stage is noted in
`build.json` and not run again. The same command therefore ends in the same package, however often it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pqrnn import api
from pqrnn.api.runs import check_shape
from pqrnn.building.plan import AUTO, Stage, choose_encoder, plan_stages
from pqrnn.building.reporting import BuildReporter, Clock
from pqrnn.building.state import STATE, BuildState, StageResult, discard_build, open_state, save_state
from pqrnn.data.fingerprint import fingerprint_examples
from pqrnn.data.training_data import TrainingData, load_training_data
from pqrnn.data.unlabelled import load_unlabelled
from pqrnn.errors import BuildError
from pqrnn.recipes.recipes import BuildRecipe, recipe_of_round
from pqrnn.run_folder import FACTS, WEIGHTS
from runtime_py.package_format.manifest_bytes import MANIFEST_NAME

if TYPE_CHECKING:
    from pqrnn.training.reporting import TrainingOutcome


class BuildOutcome(NamedTuple):
    """What came of a build.

    Attributes:
        package: The package.
        work: The folder of the stages: runs, the teacher's answers, `build.json`.
        kept: The stage whose parser became the package.
        stages: What each stage gave, in order.
        failures: Goals that were missed; empty where all is well.
    """

    package: Path
    work: Path
    kept: str
    stages: dict[str, StageResult]
    failures: list[str]


class BuildPreview(NamedTuple):
    """What a build would do.

    Attributes:
        stages: All stages, in order.
        finished: Names of those that an earlier call finished.
        training: Training utterances.
        development: Development utterances.
        notes: What a person has to know: how the data were split, which encoder was chosen and why.
        recipe: All settings.
    """

    stages: list[Stage]
    finished: list[str]
    training: int
    development: int
    notes: list[str]
    recipe: BuildRecipe


def build(
    data: str,
    out: api.PathLike,
    *,
    recipe: BuildRecipe | None = None,
    encoder: str = AUTO,
    unlabelled: Sequence[str] = (),
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    work: api.PathLike | None = None,
    replace: bool = False,
    restart: bool = False,
    reporter: BuildReporter | None = None,
) -> BuildOutcome:
    """Make a package from labelled utterances: train, teach, quantize, compile, check.

    Args:
        data: Labelled utterances.
        out: The package, a folder.
        recipe: Settings of all stages.
        encoder: The encoder that becomes the teacher, "none", or "auto" (`pqrnn.building.plan.choose_encoder`).
        unlabelled: Further data whose texts the teacher answers.
        lang: Only these languages, as "en" or "en,de".
        dev: Development data, if not the `dev` split of `data`.
        dev_share: Share held out for development where there is no such split.
        work: Folder of the stages; by default `out` with `.build` behind it.
        replace: Replace a package of another build at `out`.
        restart: Throw away what an earlier call left in the work folder.
        reporter: Is told how the build goes.

    Raises:
        BuildError: The work folder holds another build, or there is a package of another build at `out`.
        PqrnnError, CompileError: A stage failed; the same call goes on with that stage.
    """
    run = _Build(data, Path(out), recipe, encoder, unlabelled, lang, dev, dev_share, work, reporter)
    return run.finish(replace, restart)


def preview_build(
    data: str,
    out: api.PathLike,
    *,
    recipe: BuildRecipe | None = None,
    encoder: str = AUTO,
    unlabelled: Sequence[str] = (),
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    work: api.PathLike | None = None,
) -> BuildPreview:
    """Say what `build` would do, without writing anything; arguments and errors as there."""
    return _Build(data, Path(out), recipe, encoder, unlabelled, lang, dev, dev_share, work, None).preview()


class _Build:
    """One build: its data, its plan, and the functions that run its stages."""

    def __init__(
        self,
        data: str,
        out: Path,
        recipe: BuildRecipe | None,
        encoder: str,
        unlabelled: Sequence[str],
        lang: str | None,
        dev: str | None,
        dev_share: float,
        work: api.PathLike | None,
        reporter: BuildReporter | None,
    ) -> None:
        self.data, self.out, self.unlabelled = data, out, list(unlabelled)
        self.source: dict[str, Any] = {"lang": lang, "dev": dev, "dev_share": dev_share}
        self.work = Path(work) if work is not None else out.with_name(f"{out.name}.build")
        self.reporter = reporter or BuildReporter()
        self.loaded: TrainingData = load_training_data(data, dev=dev, lang=lang, dev_share=dev_share)
        self.texts = load_unlabelled(self.unlabelled, data, lang, self.loaded.development)
        examples = [*self.loaded.training, *self.loaded.development]
        choice = choose_encoder(encoder, {example.locale for example in examples})
        self.notes = [note for note in (self.loaded.note, choice.why) if note]
        self.recipe = _with_encoder(recipe or BuildRecipe(), choice.name)
        check_shape(self.recipe.train.model)
        self.stages = plan_stages(
            self.recipe, choice.name is not None, len(self.loaded.training), len(self.texts), self.out
        )
        self.clock = Clock(self.stages, self.reporter)
        self.described = self._describe(choice.name)
        # In the order that earlier versions had, so that their builds go on.
        decisive = json.dumps(list(self.described.values()), sort_keys=True)
        self.state = BuildState(fingerprint=hashlib.sha256(decisive.encode()).hexdigest(), described=self.described)

    def preview(self) -> BuildPreview:
        state = open_state(self.work, self.state.fingerprint, self.described)
        finished = [name for name in state.stages if not state.stages[name].skipped]
        counts = len(self.loaded.training), len(self.loaded.development)
        return BuildPreview(self.stages, finished, *counts, self.notes, self.recipe)

    def finish(self, replace: bool, restart: bool) -> BuildOutcome:
        if restart:
            discard_build(self.work)
        self.state = open_state(self.work, self.state.fingerprint, self.described)
        if self.out.exists() and not replace and not self.state.writing:
            raise BuildError(f"{self.out}: exists and is not of this build; choose another --out, or --replace it")
        if not (self.work / STATE).is_file():
            save_state(self.work, self.state)
        for note in self.notes:
            self.reporter.note(note)
        self.reporter.plan(self.stages, list(self.state.stages))
        for position, stage in enumerate(self.stages, start=1):
            if stage.name in self.state.stages and self._is_there(stage):
                continue
            self.reporter.stage(position, stage)
            self.clock.enter(stage)
            begun = time.monotonic()
            result = self._run(stage)
            if not result.skipped:
                result = msgspec.structs.replace(result, seconds=round(time.monotonic() - begun, 1))
            self.state.stages[stage.name] = result
            save_state(self.work, self.state)
            self.reporter.end_stage(stage, result)
        return BuildOutcome(self.out, self.work, self.state.kept, self.state.stages, self._failures())

    def _is_there(self, stage: Stage) -> bool:
        """Say whether the result of a finished stage still exists; what was deleted is made again."""
        folder = self.state.stages[stage.name].folder
        if stage.kind == "compile":
            return (self.out / MANIFEST_NAME).is_file()
        return not folder or (self.work / folder / WEIGHTS).is_file()

    def _run(self, stage: Stage) -> StageResult:
        runners: Mapping[str, Callable[[Stage], StageResult]] = {
            "train": self._train,
            "finetune": self._finetune,
            "distill": self._distill,
            "average": self._average,
            "quantize": self._quantize,
            "compile": self._compile,
            "check": self._check,
        }
        return runners[stage.kind](stage)

    def _train(self, stage: Stage) -> StageResult:
        out = self.work / stage.name
        return self._learned(api.train(self.data, out, recipe=self.recipe.train, reporter=self.clock, **self.source))

    def _finetune(self, stage: Stage) -> StageResult:
        out = self.work / stage.name
        result = self._learned(
            api.finetune(self.data, out, recipe=self.recipe.finetune, reporter=self.clock, **self.source)
        )
        supervised, teacher = self.state.stages["supervised"].exact_match or 0.0, result.exact_match or 0.0
        if teacher > supervised:
            return result
        note = (
            f"weaker than the supervised parser ({teacher:.2%} against {supervised:.2%}): it teaches nothing, and the "
            "supervised parser is kept"
        )
        return msgspec.structs.replace(result, note=note)

    @property
    def _teaches(self) -> bool:
        return "teacher" in self.state.stages and not self.state.stages["teacher"].note

    def _distill(self, stage: Stage) -> StageResult:
        if not self._teaches:
            return StageResult(skipped=True, note="no teacher that is better than the supervised parser")
        outcome = api.distill(
            self.data,
            self.work / stage.name,
            [self.work / "teacher"],
            recipe=recipe_of_round(self.recipe, stage.round, stage.seed),
            unlabelled=self.unlabelled,
            logits=self.work / f"lessons-{stage.round + 1}",
            initial=self.work / f"round-{stage.round}" if stage.round else None,
            reporter=self.clock,
            on_answers=self.clock.answers,
            **self.source,
        )
        return self._learned(outcome)

    def _average(self, stage: Stage) -> StageResult:
        runs = [self.work / other.name for other in self.stages if other.seed is not None]
        if not self._teaches:
            return StageResult(skipped=True, note="nothing to average")
        out = self.work / stage.name
        if out.exists():  # of a call that was stopped before it was noted
            shutil.rmtree(out)
        return self._learned(api.average(runs, self.data, out, **self.source))

    def _quantize(self, stage: Stage) -> StageResult:
        scores = {name: result.exact_match for name, result in self.state.stages.items() if self._may_ship(name)}
        best = max(score for score in scores.values() if score is not None)
        self.state.kept = [name for name, score in scores.items() if score == best][-1]
        out = self.work / stage.name
        quantization = self.recipe.quantize.quantization
        if not quantization.epochs and out.exists():
            shutil.rmtree(out)
        if self.recipe.train.model.network != "qrnn":
            return self._keep(out)
        rounds = [other.round for other in self.stages if other.name == self.state.kept]
        taught = quantization.epochs and rounds and rounds[0] >= 0
        outcome = api.quantize(
            self.work / self.state.kept,
            self.data,
            out,
            recipe=self.recipe.quantize,
            logits=self.work / f"lessons-{rounds[0] + 1}" if taught else None,
            reporter=self.clock,
            **self.source,
        )
        result = self._learned(outcome)
        return msgspec.structs.replace(result, note=f"of {self.state.kept}, which scored best")

    def _keep(self, out: Path) -> StageResult:
        """Take the best parser as it is, of a network that has no form in 8 bits."""
        kept = self.work / self.state.kept
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        for name in (WEIGHTS, FACTS):
            shutil.copyfile(kept / name, out / name)
        note = f"{self.state.kept}, which scored best, in float32"
        return msgspec.structs.replace(self.state.stages[self.state.kept], folder=out.name, note=note, seconds=0.0)

    def _may_ship(self, name: str) -> bool:
        """Say whether a finished stage left a parser that can be shipped."""
        kinds = {stage.name: stage.kind for stage in self.stages}
        return kinds[name] in ("train", "distill", "average") and not self.state.stages[name].skipped

    def _compile(self, stage: Stage) -> StageResult:
        self.state.writing = True  # noted first: a kill right after the package appears must not make it a stranger's
        save_state(self.work, self.state)
        outcome = api.compile(
            self.work / "quantize",
            self.out,
            self.recipe.compile.targets,
            replace=True,
            batch=self.recipe.compile.batch,
            on_progress=self.reporter.compiling,
        )
        size = sum(entry.bytes for entry in outcome.manifest.files.values())
        note = "; ".join(f"{name}: not in the package ({error})" for name, error in outcome.failures.items())
        return StageResult(bytes=size, note=note)

    def _check(self, stage: Stage) -> StageResult:
        from compile.verify.parity import compare_decisions
        from pqrnn.checkpoint import load_checkpoint
        from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
        from pqrnn.evaluation.metrics import score_frames
        from runtime_py import Parser
        from runtime_py.errors import UnsupportedTargetError
        from runtime_py.tools.check import check_package

        try:
            golden = check_package(self.out, None, 3)
        except UnsupportedTargetError as error:
            return StageResult(skipped=True, note=f"not checked on this machine, which runs none of its code: {error}")
        examples = self.loaded.development
        texts = [example.text for example in examples]
        with Parser.load(self.out, on_long="truncate") as parser:
            frames = [frame_of_parse(parser(text)) for text in texts]
            found = compare_decisions(load_checkpoint(self.work / "quantize"), parser, texts)
        scores = score_frames([frame_of_example(example) for example in examples], frames).as_dict()
        flips = found.intent_flips + found.slot_flips
        passed = "golden vectors pass" if golden.passed else "GOLDEN VECTORS FAIL"
        note = f"{passed}; {flips} intents and slots of {len(texts)} texts differ from PyTorch"
        return StageResult(dev=scores, note=note, flips=flips, passed=golden.passed)

    def _failures(self) -> list[str]:
        """Return the goals that the package misses."""
        goals, result = self.recipe.goals, self.state.stages["check"]
        failures = [] if result.passed else ["the golden vectors of the package do not pass on this machine"]
        if result.flips > goals.max_flips:
            failures.append(f"{result.flips} decisions differ from PyTorch, and the goal is at most {goals.max_flips}")
        if result.exact_match is None and goals.exact_match:
            failures.append(f"the goal of {goals.exact_match:.2%} exact match: {result.note}")
        elif (result.exact_match or 0.0) < goals.exact_match:
            failures.append(f"exact match {result.exact_match:.2%} is below the goal of {goals.exact_match:.2%}")
        if self.state.stages["compile"].note:
            failures.append(self.state.stages["compile"].note)
        return failures

    def _learned(self, outcome: TrainingOutcome) -> StageResult:
        folder = outcome.folder.relative_to(self.work).as_posix()
        return StageResult(folder=folder, dev=outcome.metrics["dev"], bytes=(outcome.folder / WEIGHTS).stat().st_size)

    def _describe(self, encoder: str | None) -> dict[str, Any]:
        """Return everything that decides the result, by name."""
        recipe = msgspec.to_builtins(self.recipe)
        for part in (recipe["train"], recipe["finetune"], *recipe["rounds"]):
            part["training"].pop("threads")
        described = {
            "recipe": recipe,
            "encoder": encoder,
            "training utterances": fingerprint_examples(self.loaded.training),
            "development utterances": fingerprint_examples(self.loaded.development),
            "unlabelled texts": hashlib.sha256("\n".join(self.texts).encode()).hexdigest(),
        }
        kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(described))  # as it is read from a file
        return kept


def _with_encoder(recipe: BuildRecipe, encoder: str | None) -> BuildRecipe:
    if encoder is None:
        return recipe
    teacher = msgspec.structs.replace(recipe.finetune.teacher, encoder=encoder)
    return msgspec.structs.replace(recipe, finetune=msgspec.structs.replace(recipe.finetune, teacher=teacher))
