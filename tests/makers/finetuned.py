"""A tiny encoder, fine-tuned for a few steps, with a part for half of the work, and its package: made once in a run."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import msgspec

import pqrnn
from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import CompileOutcome, compile_checkpoint
from makers.encoder import write_encoder
from makers.rooms import make_rooms
from makers.shared import share_file
from pqrnn.checkpoint import read_facts, save_facts
from pqrnn.data.writer import write_jsonl
from pqrnn.model.budget import Budget
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.recipes.recipes import FinetuneRecipe
from pqrnn.recipes.settings import TeacherConfig

PART = LengthConfig((50, 50), (1,))


def compile_finetuned() -> CompileOutcome:
    """Compile the encoder for this machine; beside the package are its `run` and its data, `rooms.jsonl`."""
    encoder = share_file("encoder", "encoder", _make_encoder)  # a run names its folder

    def make(folder: Path) -> None:
        folder.mkdir()
        write_jsonl(make_rooms(), folder / "rooms.jsonl")
        settings = {"teacher.encoder": str(encoder), "training.epochs": 12, "training.learning_rate": 3e-3}
        recipe = pqrnn.change(FinetuneRecipe(), {**settings, "training.batch": 8, "training.warmup": 0})
        pqrnn.finetune(str(folder / "rooms.jsonl"), folder / "run", recipe=recipe, dev=str(folder / "rooms.jsonl"))
        budgets = [
            Budget(lengths=lengths, macs=macs, share=macs / 2, exact_match=0.4 + 0.1 * macs, utterances=9)
            for macs, lengths in ((1, PART), (2, full_config(2)))
        ]
        facts = read_facts(folder / "run", TeacherConfig)
        save_facts(folder / "run", msgspec.structs.replace(facts, budgets=budgets))
        options = CompileOptions(buckets=make_buckets([(36, 128)]))
        outcome = compile_checkpoint(folder / "run", folder / "small.pqrnn", ["host"], options)
        (folder / "outcome.pickle").write_bytes(pickle.dumps(outcome))

    folder = share_file("finetuned", "finetuned", make)
    outcome: CompileOutcome = pickle.loads((folder / "outcome.pickle").read_bytes())
    return dataclasses.replace(outcome, package=folder / "small.pqrnn")


def _make_encoder(folder: Path) -> None:
    folder.mkdir()
    write_encoder(folder)
