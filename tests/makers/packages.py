"""The small parser's run, and packages of it for this machine, which several test files read: compiled once in a run.

Another package of the same run, or of the same weights with the same buckets, finds its modules in the cache.
"""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Literal

import torch

from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import CompileOutcome, compile_checkpoint
from makers.int8 import make_int8
from makers.shared import share_file
from makers.small import BUCKETS, LABELS, TEXTS, make_model
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.model.parser import ParserModel
from pqrnn.model.qat import QuantizedLinear

Precision = Literal["float32", "int8"]
# Without kernels the compiler makes a hundred and fifty pieces of code an entry: one is enough, and holds every text.
STOCK_BUCKETS = BUCKETS[1:]
# The interpreter and GPUs, which get the parser of seed 8 in 8 bits with products in float32, share its trace.
WIDE_BUCKETS = make_buckets([(8, 64)])


def make_decided_int8(seed: int) -> ParserModel:
    """The small parser in 8 bits, its answers so far apart that no text is too undecided to be kept."""
    model = make_int8(seed)
    with torch.no_grad():
        for head in (model.intent, model.tags):
            assert isinstance(head, QuantizedLinear)
            head.bias.add_(torch.arange(float(head.out_features)).flip(0))
    return model


def write_small_run(folder: Path, precision: Precision = "float32", seed: int = 1) -> Path:
    """Write the checkpoint of the small parser, as `pqrnn train` would have, and return its folder."""
    model = make_model(seed) if precision == "float32" else make_decided_int8(seed)
    facts = Facts(
        config=model.config,
        labels=LABELS,
        data={"train": "sha256:0123"},
        revision="0123abc",
        training={},
        metrics={"exact_match": 0.5},
        lengths=[(4, 16, 10), (8, 40, 20)],
        golden_texts=TEXTS,
    )
    save_checkpoint(folder, model, facts)
    return folder


def compile_small(precision: Precision, kernels: bool = True) -> CompileOutcome:
    """Compile the small parser for this machine; what comes back is for reading alone.

    Args:
        precision: Precision of the parser; its run is `run` beside the package.
        kernels: Whether it gets this project's kernels, and all of `BUCKETS`, or neither.
    """

    def make(folder: Path) -> None:
        run = write_small_run(folder / "run", precision)
        options = CompileOptions(buckets=BUCKETS if kernels else STOCK_BUCKETS, kernels=kernels)
        outcome = compile_checkpoint(run, folder / "small.pqrnn", ["host"], options)
        (folder / "outcome.pickle").write_bytes(pickle.dumps(outcome))

    folder = share_file("small", ("package", precision, kernels), make)
    outcome: CompileOutcome = pickle.loads((folder / "outcome.pickle").read_bytes())
    return dataclasses.replace(outcome, package=folder / "small.pqrnn")
