"""A span model as programs: subwords of a window in, logits of starts and ends out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from compile.lowering.export import trace
from compile.support.errors import PlanError
from pqrnn.model.length_config import LengthConfig, full_config
from pqrnn.questions.checkpoint import SpanBudget, SpanFacts
from pqrnn.questions.model import SpanModel
from runtime_py.questions.manifest import PartOfNetwork, entry_name

if TYPE_CHECKING:
    from torch.export import ExportedProgram

WHOLE = "whole"
_SHORTER = (128, 256)  # windows beside the longest: a paragraph of SQuAD has 150 subwords with its question


class WindowProgram(nn.Module):
    """A part of a model, with the inputs and outputs of a package's functions.

    It takes int32[1, T] subwords, int32[1], how many come before the context, and int32[1], how many are no padding,
    and returns float32[1, T] logits to begin the answer and as many to end it.
    """

    def __init__(self, model: SpanModel, lengths: LengthConfig) -> None:
        """Wrap a model; `lengths` says how many subwords each layer passes on."""
        super().__init__()
        self.model, self.lengths = model, lengths

    def forward(self, tokens: Tensor, head: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of all subwords."""
        start, end = self.model(tokens, head, count, self.lengths)
        return start, end


def choose_windows(longest: int, wanted: Iterable[int] | None = None) -> tuple[int, ...]:
    """Return the window lengths that get functions, in rising order; the last is the longest that the model reads.

    Args:
        longest: Subwords of a window, at most.
        wanted: Lengths to have beside it; by default 128 and 256.

    Raises:
        PlanError: A length is longer than that, or too short for a question and a context.
    """
    shorter = [each for each in _SHORTER if each < longest] if wanted is None else list(wanted)
    if any(not 4 <= each <= longest for each in shorter):
        raise PlanError(f"windows of {shorter} subwords: expected 4 to {longest}, which is what the model reads")
    return tuple(sorted({*shorter, longest}))


def choose_parts(model: SpanModel, facts: SpanFacts) -> list[tuple[PartOfNetwork, LengthConfig]]:
    """Return the parts that get functions, by rising cost, the whole network last."""
    whole = full_config(model.layers)
    budgets: Sequence[SpanBudget] = facts.budgets
    if not budgets:
        mean = sum(model.count_macs(subwords) * times for subwords, times in facts.lengths)
        macs = max(round(mean / max(sum(times for _, times in facts.lengths), 1)), 1)
        budgets = [SpanBudget(lengths=whole, macs=macs, share=1.0, exact_match=0.0, f1=0.0, questions=1)]
    return [(_describe_part(each), each.lengths) for each in budgets]


def _describe_part(budget: SpanBudget) -> PartOfNetwork:
    name = WHOLE if budget.lengths.is_full else f"part{round(1000 * budget.share)}"
    kept, skipped = list(budget.lengths.kept), list(budget.lengths.skipped)
    return PartOfNetwork(
        name=name,
        macs=budget.macs,
        share=budget.share,
        exact_match=budget.exact_match,
        f1=budget.f1,
        kept=kept,
        skipped=skipped,
    )


def name_entries(parts: Sequence[PartOfNetwork], windows: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Return the functions of a package: name to the position of the part and the window's length."""
    names = [part.name for part in parts]
    return {
        entry_name(number, len(parts), window, names): (number, window)
        for number in range(len(parts))
        for window in windows
    }


def export_windows(
    model: SpanModel,
    lengths: Sequence[LengthConfig],
    entries: Mapping[str, tuple[int, int]],
    on_entry: Callable[[str], None] = lambda _: None,
) -> dict[str, ExportedProgram]:
    """Trace every function.

    Args:
        model: The model.
        lengths: What each layer of the parts passes on.
        entries: Functions, as `name_entries` gives them.
        on_entry: Called before each.

    Raises:
        ExportError: PyTorch cannot trace one of them.
    """
    fixed = copy.deepcopy(model).eval()
    programs = {}
    for name, (part, window) in entries.items():
        on_entry(name)
        example = (
            torch.zeros((1, window), dtype=torch.int32),
            torch.ones(1, dtype=torch.int32),
            torch.full((1,), 2, dtype=torch.int32),
        )
        program = WindowProgram(fixed, lengths[part]).eval()
        programs[name] = trace(program, example, name, f"{window} subwords")
    return programs
