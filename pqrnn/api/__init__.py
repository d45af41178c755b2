"""What the command line does, as functions: `import pqrnn; pqrnn.train("home:en", "runs/home")`.

Every function takes data as the command line does (`PATH`, `format:PATH`, `grammar:FILE`, `home:en`), writes a folder
that a stop at any time leaves whole, and goes on with the same call. Settings come as a recipe (`pqrnn.recipes`);
PyTorch is imported when a function runs.
"""

from pqrnn.api.budgeting import budget
from pqrnn.api.calibrating import calibrate
from pqrnn.api.encoders import distill_encoder
from pqrnn.api.extending import extend
from pqrnn.api.finishing import average, compile, evaluate, load_checkpoint, quantize
from pqrnn.api.learning import distill, finetune, train
from pqrnn.api.questions import (
    budget_questions,
    compile_questions,
    evaluate_questions,
    finetune_questions,
    quantize_questions,
)
from pqrnn.api.runs import PathLike

__all__ = [
    "PathLike",
    "average",
    "budget",
    "budget_questions",
    "calibrate",
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
    "train",
]
