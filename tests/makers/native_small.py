"""The small parser as a native parser in every precision; building one compares its numbers with PyTorch's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from compile.native.pipeline import NativeOptions, NativeParser, build_native_parsers
from makers.small import LABELS, TEXTS, make_model
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.model.parser import ParserModel
from pqrnn.quantization import prepare_qat
from runtime_py.package_format.manifest import Bucket

TOLERANCE = {32: 1e-4, 8: 2e-5, 4: 2e-5}
"""By bits of a weight: sums of integers are exact, so what is left is the rounding of float32 after them."""


def build_small(folder: Path, target: str, bits: int, *, kernels: bool = True) -> tuple[NativeParser, ParserModel]:
    """Build the small parser into ``folder / "native"``, with its sources; return it and the model.

    Where the target has a faster twin, that is built beside it, and found in the folder's manifest.

    Args:
        folder: Folder for the checkpoint and the libraries.
        target: Name of the target.
        bits: Bits of a weight: 32 for float32, 8 or 4.
        kernels: Whether this project's own kernels are used.
    """
    model = make_model(1)
    if bits < 32:
        model = prepare_qat(model, [Example(text, "") for text in TEXTS], bits=bits).eval()
    with torch.no_grad():  # far apart, so that no text is too undecided to be kept
        for head in (model.intent, model.tags):
            assert isinstance(head, nn.Module) and isinstance(head.bias, torch.Tensor)
            head.bias.add_(torch.arange(float(len(head.bias))).flip(0))
    facts = Facts(
        config=model.config,
        labels=LABELS,
        data={},
        revision="0",
        training={},
        metrics={},
        lengths=[],
        golden_texts=TEXTS,
    )
    save_checkpoint(folder / "small", model, facts)
    options = NativeOptions(buckets=[Bucket(words=24, bytes=128, entry="parse_24")], sources=True, kernels=kernels)
    made, *_ = build_native_parsers(folder / "small", folder / "native", [target], options)
    return made, model
