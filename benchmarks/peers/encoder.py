"""The encoder that peers run: from the features of all words of one text to logits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers.peer import Features
from pqrnn.features.segmentation import group_texts
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.parser import ParserModel
from pqrnn.run_folder import WEIGHTS


class Encoder(nn.Module):
    """All of a parser behind its projection, for texts without padding."""

    def __init__(self, model: ParserModel, *, scan: bool) -> None:
        """Take the layers of a parser.

        Args:
            model: The parser, with its norms folded in.
            scan: Whether the recurrence is a scan rather than a loop.
        """
        super().__init__()
        self.model, self.scan = model, scan

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Turn features float32 [1, W, F] into intent logits [1, I] and tag logits [1, W, L]."""
        mask = torch.ones_like(features[..., :1])
        encoding = self.model.encode(self.model.embed(features), mask, scan=self.scan)
        return encoding.intent, encoding.tags


def project_texts(model: ParserModel, texts: list[bytes]) -> list[Features]:
    """Return the features of every text, float32 [1, W, F], where W is its number of words."""
    features: list[Features] = [np.zeros(0, np.float32)] * len(texts)
    with torch.inference_mode():
        for size, indices in group_texts(texts):
            packed = pack_texts([texts[index] for index in indices], size)
            counts = model.projection.segment(packed, 1)[1].tolist()
            projected = model.projection(packed, max(counts)).features.numpy()
            for row, (index, count) in enumerate(zip(indices, counts, strict=True)):
                features[index] = np.ascontiguousarray(projected[row : row + 1, :count])
    return features


def count_products(model: ParserModel, words: int) -> int:
    """Return the multiply-adds of the encoder's matrix products for a text of so many words, as PyTorch counts them."""
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        Encoder(model, scan=False)(torch.zeros((1, words, model.config.projection.features)))
    return counter.get_total_flops() // 2


def digest_weights(run: Path) -> str:
    """Return a digest of the weights of a trained parser, for names of kept files."""
    return hashlib.sha256((run / WEIGHTS).read_bytes()).hexdigest()[:16]


def make_example(model: ParserModel, words: int) -> Tensor:
    """Return ternary features that no text has, float32 [1, words, F]."""
    generator = torch.Generator().manual_seed(words)
    return torch.randint(-1, 2, (1, words, model.config.projection.features), generator=generator).float()


def make_encoder(model: ParserModel, form: str) -> Encoder:
    """Return the encoder with the recurrence as a "loop" or a "scan"."""
    return Encoder(model, scan=form == "scan").eval()
