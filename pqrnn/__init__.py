"""Labelled text in, tiny compiled parser out.

    import pqrnn

    pqrnn.train("home:en", "runs/home")  # a parser from labelled utterances
    pqrnn.compile("runs/home", "home.pqrnn")  # a package that is proved to answer like PyTorch
    pqrnn.build("my_commands.toml", "home.pqrnn")  # all of it: teacher, distillation, 8 bits, package, proof

The device side is `runtime_py`. Names are resolved on first use: `import pqrnn` loads no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pqrnn.api import (
        average,
        budget,
        budget_questions,
        calibrate,
        compile,
        compile_questions,
        distill,
        distill_encoder,
        evaluate,
        evaluate_questions,
        extend,
        finetune,
        finetune_questions,
        load_checkpoint,
        quantize,
        quantize_questions,
        train,
    )
    from pqrnn.building.build import build
    from pqrnn.errors import PqrnnError
    from pqrnn.recipes.budget_settings import BudgetRecipe
    from pqrnn.recipes.encoder_settings import DistillEncoderRecipe
    from pqrnn.recipes.extend_settings import ExtendRecipe
    from pqrnn.recipes.fields import change
    from pqrnn.recipes.files import read_recipe
    from pqrnn.recipes.question_settings import FinetuneQuestionsRecipe
    from pqrnn.recipes.recipes import BuildRecipe, DistillRecipe, FinetuneRecipe, QuantizeRecipe, TrainRecipe

_EXPORTS = {
    "BudgetRecipe": "pqrnn.recipes.budget_settings",
    "BuildRecipe": "pqrnn.recipes.recipes",
    "DistillEncoderRecipe": "pqrnn.recipes.encoder_settings",
    "DistillRecipe": "pqrnn.recipes.recipes",
    "ExtendRecipe": "pqrnn.recipes.extend_settings",
    "FinetuneQuestionsRecipe": "pqrnn.recipes.question_settings",
    "FinetuneRecipe": "pqrnn.recipes.recipes",
    "PqrnnError": "pqrnn.errors",
    "QuantizeRecipe": "pqrnn.recipes.recipes",
    "TrainRecipe": "pqrnn.recipes.recipes",
    "average": "pqrnn.api",
    "budget": "pqrnn.api",
    "budget_questions": "pqrnn.api",
    "build": "pqrnn.building.build",
    "calibrate": "pqrnn.api",
    "change": "pqrnn.recipes.fields",
    "compile": "pqrnn.api",
    "compile_questions": "pqrnn.api",
    "distill": "pqrnn.api",
    "distill_encoder": "pqrnn.api",
    "evaluate": "pqrnn.api",
    "evaluate_questions": "pqrnn.api",
    "extend": "pqrnn.api",
    "finetune": "pqrnn.api",
    "finetune_questions": "pqrnn.api",
    "load_checkpoint": "pqrnn.api",
    "quantize": "pqrnn.api",
    "quantize_questions": "pqrnn.api",
    "read_recipe": "pqrnn.recipes.files",
    "train": "pqrnn.api",
}

__all__ = [
    "BudgetRecipe",
    "BuildRecipe",
    "DistillEncoderRecipe",
    "DistillRecipe",
    "ExtendRecipe",
    "FinetuneQuestionsRecipe",
    "FinetuneRecipe",
    "PqrnnError",
    "QuantizeRecipe",
    "TrainRecipe",
    "average",
    "budget",
    "budget_questions",
    "build",
    "calibrate",
    "change",
    "compile",
    "compile_questions",
    "distill",
    "distill_encoder",
    "evaluate",
    "evaluate_questions",
    "extend",
    "finetune",
    "finetune_questions",
    "load_checkpoint",
    "quantize",
    "quantize_questions",
    "read_recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import the module behind a public name on first use (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
