"""Stage 1: PyTorch traces the model once for every length bucket."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from compile.support.errors import ExportError
from runtime_py.package_format.manifest import Bucket

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from compile.kernels.modules import KernelParser
    from pqrnn.model.length_config import LengthConfig
    from pqrnn.model.parser import ParserModel


class TextEntry(nn.Module):
    """The model with a fixed number of words: int32[B, N/4] to the four outputs of ABI 1.

    All entries hold the same model, so they share its weights.
    """

    def __init__(self, model: ParserModel | KernelParser, words: int, lengths: LengthConfig | None = None) -> None:
        """Wrap a model.

        Args:
            model: The parser, with its norms folded.
            words: Number of word rows of the results.
            lengths: How many words each layer of a transformer passes on; None for all.
        """
        super().__init__()
        self.model = model
        self.words = words
        self.lengths = () if lengths is None else (lengths,)

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what `ParserModel.forward` does."""
        intent, tags, spans, count = self.model(text, self.words, *self.lengths)
        return intent, tags, spans, count


def _softmax(value: Tensor, dim: int, half_to_float: bool) -> Tensor:
    """Return the softmax, computed from its parts.

    The largest value is computed as the negative of the smallest, because the compiler would put the usual parts
    together again.
    """
    largest = -torch.amin(-value, dim, keepdim=True)
    powers = torch.exp(value - largest)
    return powers / torch.sum(powers, dim, keepdim=True)


def _squeeze(value: Tensor, dims: int | Sequence[int]) -> Tensor:
    wanted = {dim % max(value.ndim, 1) for dim in ([dims] if isinstance(dims, int) else dims)}
    return value.reshape([size for dim, size in enumerate(value.shape) if dim not in wanted or size != 1])


def decompositions() -> dict[Any, Any]:
    """Return PyTorch's own decompositions, with `squeeze` (also in `unbind`) as a reshape.

    The importer does not know PyTorch's decomposed form of `squeeze`.
    """
    table = dict(torch.export.default_decompositions())
    return table | {torch.ops.aten.squeeze.dim: _squeeze, torch.ops.aten.squeeze.dims: _squeeze}


def export_entries(
    model: ParserModel | KernelParser,
    buckets: Sequence[Bucket],
    on_entry: Callable[[Bucket], None] = lambda _: None,
    batch: int = 1,
    parts: Mapping[str, LengthConfig] | None = None,
) -> dict[str, ExportedProgram]:
    """Trace the model for every bucket.

    Args:
        model: Parser in evaluation mode, with its norms folded (`ParserModel.folded`).
        buckets: Shapes and names of the entries.
        on_entry: Called before each bucket.
        batch: Number of texts in a call of the second entry that every bucket gets; 1 for no second entry.
        parts: Parts of a transformer that get entries of their own, by name (`Bucket.of_part`).

    Returns:
        Programs by name of the entry, of int32[B, bytes / 4] to intent float32[B, I], tags float32[B, words, L], spans
        int32[B, words, 2], count int32[B].

    Raises:
        ExportError: PyTorch cannot trace the model.
    """
    programs: dict[str, ExportedProgram] = {}
    for bucket in buckets:
        on_entry(bucket)
        entries = [(bucket, None), *((bucket.of_part(name), lengths) for name, lengths in (parts or {}).items())]
        for entry, lengths in entries:
            programs[entry.entry] = _trace(model, entry, 1, lengths)
            if batch > 1:
                programs[entry.batched] = _trace(model, entry, batch, lengths)
    return programs


def _trace(
    model: ParserModel | KernelParser, bucket: Bucket, batch: int, lengths: LengthConfig | None
) -> ExportedProgram:
    example = torch.zeros((batch, bucket.bytes // 4), dtype=torch.int32)
    return trace(TextEntry(model, bucket.words, lengths), (example,), bucket.entry, f"{bucket.words} words")


def trace(module: nn.Module, example: tuple[Tensor, ...], entry: str, what: str) -> ExportedProgram:
    """Trace a module.

    Args:
        module: The module, in evaluation mode.
        example: Inputs of the shapes and types that it is to have.
        entry: Name of the entry, for errors.
        what: What it is traced for, for errors.

    Raises:
        ExportError: PyTorch cannot trace it.
    """
    try:
        with torch.no_grad(), _quiet():
            # Not strict: the model is traced as Python runs it. Decomposed: the importer does not know the operators of
            # Python (`^`, `>>`).
            return torch.export.export(module, example, strict=False).run_decompositions(decompositions())
    except Exception as error:
        raise ExportError(
            f"{entry}: PyTorch cannot trace the model for {what}",
            f"{type(error).__name__}: {error}",
            {"traceback.txt": traceback.format_exc().encode()},
        ) from error


def split_softmax(programs: dict[str, ExportedProgram]) -> dict[str, ExportedProgram]:
    """Return the programs with every softmax taken apart, for 32-bit ARM and WebAssembly.

    The compiler's own softmax takes the maximum that ignores NaN, for which that processor has no
    instruction: LLVM calls `fmaxf`, and a compiled module has no library to call. Other targets keep theirs, which is
    one launch of code instead of five.
    """
    with _quiet():
        return {
            name: program.run_decompositions({torch.ops.aten._softmax.default: _softmax})
            for name, program in programs.items()
        }


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide a warning that is about PyTorch's own code."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
        yield
