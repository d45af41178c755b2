"""Pre-trained encoders of BERT's family that read fewer subwords: their layers as `pqrnn.model.transformer` runs them.

Weights and modules are those of the Hugging Face library; what a layer does is said again here, because the library's
own attention keeps no probabilities and passes on every subword.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from pqrnn.model.length_config import LengthConfig
from pqrnn.model.transformer import HIDDEN, SomeWords, run_layers
from pqrnn.model.word_selection import Selection, gather_rows, measure_significance, select_words

_ALWAYS = 1e6  # the significance of the first subword, from which the intent is read


def count_layers(encoder: nn.Module) -> int:
    """Return the layers of an encoder of BERT's family (BERT, RoBERTa, ELECTRA, CamemBERT, XLM-R); 0 for any other."""
    layers: Any = getattr(getattr(encoder, "encoder", None), "layer", ())
    parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output", "intermediate")
    try:
        for layer in layers:
            for part in (*parts, "output"):
                layer.get_submodule(part)
    except AttributeError:
        return 0
    return len(layers)


def run_encoder(
    encoder: nn.Module, tokens: Tensor, attention: Tensor, lengths: LengthConfig, types: Tensor | None = None
) -> Tensor:
    """Return the states of all subwords, float[B, T, d]; those that were dropped have the last state that they had.

    The first subword is never dropped.

    Args:
        encoder: An encoder of BERT's family.
        tokens: Ids of the subwords, integers [B, T].
        attention: One for a subword and zero for padding, integers [B, T].
        lengths: How many subwords each layer passes on.
        types: Token types of the subwords, integers [B, T]; None for 0.
    """
    parts = cast(Any, encoder)
    value = parts.embeddings(input_ids=tokens, token_type_ids=types)
    if hasattr(parts, "embeddings_project"):  # ELECTRA's narrow ones
        value = parts.embeddings_project(value)
    mask = attention[..., None].to(value.dtype)
    layers = [layer if hasattr(layer, "forward_some") else EncoderLayer(layer) for layer in parts.encoder.layer]
    return run_layers(layers, value, mask, lengths)


def keep_first(significance: Tensor) -> Tensor:
    """Return the significance of subwords, float[B, T], with that of the first above all others."""
    return torch.cat([torch.full_like(significance[:, :1], _ALWAYS), significance[:, 1:]], 1)


class EncoderLayer:
    """A layer of the library, with the norm behind each part."""

    def __init__(self, layer: Any) -> None:
        """Take a layer of the library; its modules may have been replaced by others of the same meaning."""
        self._layer, self._attention = layer, layer.attention.self
        self._heads = int(self._attention.num_attention_heads)

    def forward_some(
        self, words: SomeWords, total: Tensor, share: int, rows: int
    ) -> tuple[SomeWords, tuple[Tensor, Selection] | None]:
        """Encode subwords of which only some go on, as `TransformerLayer.forward_some`."""
        value, mask, _ = words
        queries, keys, values = map(self._split, self.relate(value))
        scores = torch.matmul(queries, keys.transpose(2, 3)) * (queries.shape[-1] ** -0.5)
        hidden = ((mask - 1.0) * HIDDEN).reshape(mask.shape[0], 1, 1, -1)
        attention = torch.softmax(scores.float() + hidden, -1)
        if not rows:
            return words._replace(value=self._finish(attention, values, value)), None
        selection = select_words(keep_first(measure_significance(attention, mask)), total, share, rows)
        asking = gather_rows(attention.transpose(1, 2).flatten(2), selection.indices)
        asking = asking.unflatten(2, (self._heads, -1)).transpose(1, 2)
        chosen = self._finish(asking, values, gather_rows(value, selection.indices))
        return SomeWords(chosen, selection.mask.to(mask.dtype)), (value, selection)

    def relate(self, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of states, float[B, T, d] each; heads lie one after the other."""
        return self._attention.query(value), self._attention.key(value), self._attention.value(value)

    def _finish(self, attention: Tensor, values: Tensor, value: Tensor) -> Tensor:
        mixed = torch.matmul(self._attention.dropout(attention).to(values.dtype), values).transpose(1, 2).flatten(2)
        return self.feed(mixed, value)

    def feed(self, mixed: Tensor, value: Tensor) -> Tensor:
        """Return what the layer passes on of what subwords get by attention, and of their states before it."""
        attended = self._layer.attention.output(mixed, value)
        finished: Tensor = self._layer.output(self._layer.intermediate(attended), attended)
        return finished

    def _split(self, value: Tensor) -> Tensor:
        return value.unflatten(-1, (self._heads, -1)).transpose(1, 2)
