"""The parser: projection, bottleneck, bidirectional QRNN layers, attention pooling, intent head and slot head.

pQRNN (Kaliamoorthi et al. 2021, arXiv:2101.08890) with what the paper leaves open filled in: a tag for every word from its own states *and* from the
pooled utterance, so that slots can depend on what is being asked for.
"""

from __future__ import annotations

import copy
from typing import NamedTuple, cast

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.distributed import world_size
from pqrnn.features.projection import Projection, ProjectionConfig
from pqrnn.features.word_table import WordFeatures
from pqrnn.model.batch_norm import MaskedBatchNorm, fold_into_linear
from pqrnn.model.fused_qrnn import pack_words, run_layer
from pqrnn.model.int8 import IntegerLinear, ActivationRange
from pqrnn.model.network import Encoding, Network, WordTable
from pqrnn.model.qat import QuantizedLinear, shorten
from pqrnn.model.recurrence import recur_by_loop, recur_by_scan


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that shapes the network.

    Attributes:
        projection: of bytes to ternary features.
        bottleneck: width of the dense layer over the features.
        context: ternary features of each pair and each triple of neighbouring words (`add_context`); 0 for none, at most half of the word features.
        state: QRNN state per direction; a layer's output is twice as wide.
        layers: QRNN layers.
        kernel: words that a gate sees: this one and `kernel - 1` before it (after it, backwards).
        pool_heads: of the attention that pools words for the intent; a divisor of twice the state.
        pool_peaks: whether the intent also sees each channel's largest state over the words.
        pool_inputs: whether it also sees the largest of each channel of the bottleneck: which words are there, whatever their order.
        refinements: rounds in which tags are made to agree with their neighbours; 0 for none.
        norm: "batch" (masked, folded away at export) or "none".
        dropout: of the channels of layer inputs, in training.
        word_dropout: share of words whose features are zeroed in training.
        zoneout: share of states kept unchanged in training (layer l uses `zoneout ** l`, as pQRNN's open code).
        precision: "float32", or "int8": all matrices and what they are multiplied with have 8 bits (`pqrnn.model.int8`); without a norm.
    """

    projection: ProjectionConfig = ProjectionConfig()
    bottleneck: int = 256
    context: int = 0
    state: int = 192
    layers: int = 2
    kernel: int = 2
    pool_heads: int = 1
    pool_peaks: bool = True
    pool_inputs: bool = False
    refinements: int = 2
    norm: str = "batch"
    dropout: float = 0.3
    word_dropout: float = 0.05
    zoneout: float = 0.1
    precision: str = "float32"

    @property
    def features(self) -> int:
        """Inputs of the bottleneck per word."""
        return self.projection.features + 3 * self.context

    def make_linear(self, inputs: int, outputs: int, kind: ActivationRange, *, bias: bool = True, taps: int = 1) -> nn.Linear:
        """Return an untrained linear layer whose inputs lie in a range, `taps` of its outputs in one scale."""
        if self.precision == "float32":
            return nn.Linear(inputs, outputs, bias)
        return QuantizedLinear(inputs, outputs, kind, bias=bias, taps=taps, headroom=1.0 / (1.0 - self.dropout))


class ParserOutputs(NamedTuple):
    """The compiled entry's results (ABI 1): `Encoding` plus `spans` int32[B, W, 2] and `word_count` int32[B] of `pqrnn.features.projection.Words`."""

    intent: Tensor
    tags: Tensor
    spans: Tensor
    word_count: Tensor


def widen(value: Tensor) -> Tensor:
    """Return bfloat16 and float16 as float32, anything else as it is."""
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value


def add_context(features: Tensor, width: int) -> Tensor:
    """Return the features of words beside those of their bigrams and trigrams, which are products of ternary features and so ternary again.

    A product of independent hashes is a hash of the pair (as tensor sketches have it: Pham and Pagh 2013, doi:10.1145/2487575.2487591), not 0 with
    probability 1/4 (of a triple 1/8). Scripts without spaces, whose words are single graphemes here, get their character n-grams from it.

    Args:
        features: [B, W, F] of a signed type, the first `2 * width` of the F ternary, zero where no word is.
        width: of each kind; 0 for none.

    Returns:
        [B, W, F + 3 * width] of the same type: the features, then this word with the next one, with the one before, and with both.
    """
    if not width:
        return features
    first, second, third = features[..., :width], features[..., width : 2 * width], features[..., width // 2 : width // 2 + width]
    after = functional.pad(first[:, :-1] * second[:, 1:], (0, 0, 0, 1))
    before = functional.pad(after[:, :-1], (0, 0, 1, 0))
    both = functional.pad(before[:, :-1] * third[:, 1:], (0, 0, 0, 1))
    return torch.cat([features, after, before, both], -1)


class QrnnLayer(nn.Module):
    """One bidirectional QRNN layer with fo-pooling; all taps, gates and directions in one matrix product.

    With kernel k and state s the product has 2 * k * 3 * s columns, ordered by direction, tap, gate (candidate z, forget f, output o).
    """

    def __init__(self, width: int, config: ModelConfig, depth: int) -> None:
        """`width`: of the input; `depth`: number of the layer, from 1."""
        super().__init__()
        self.state, self.kernel, self.zoneout = config.state, config.kernel, config.zoneout**depth
        gates = 3 * config.state
        kind = ActivationRange.POSITIVE if depth == 1 else ActivationRange.SIGNED
        self.product = config.make_linear(width, 2 * config.kernel * gates, kind, bias=False, taps=config.kernel)
        bound = (6.0 / (config.kernel * width + config.state)) ** 0.5
        nn.init.uniform_(self.product.weight, -bound, bound)
        self.norm = MaskedBatchNorm(2 * gates) if config.norm == "batch" else None
        self.bias = nn.Parameter(torch.zeros(2 * gates))
        self.short_bias = config.precision == "int8"

    def forward(self, value: Tensor, mask: Tensor, *, scan: bool) -> Tensor:
        """Encode float32[B, T, width], zero where `mask` (float32[B, T, 1]) is, into float32[B, T, 2 * state], zero there too."""
        if self._can_fuse(value, mask):
            return self._forward_fused(value, mask)
        words = value.shape[1]
        # In training the product may be of lower precision (autocast); what follows it never is.
        taps = widen(self.product(value)).chunk(2 * self.kernel, -1)
        forward, backward = taps[0], taps[self.kernel]
        for reach in range(1, min(self.kernel, words)):
            forward = forward + functional.pad(taps[reach][:, :-reach], (0, 0, reach, 0))
            backward = backward + functional.pad(taps[self.kernel + reach][:, reach:], (0, 0, 0, reach))
        gates = torch.cat([forward, backward], -1)
        if self.norm is not None:
            gates = self.norm(gates, mask)
        gates = gates + (shorten(self.bias) if self.short_bias else self.bias)
        recur = recur_by_scan if scan else recur_by_loop
        outs = []
        for number, half in enumerate(gates.chunk(2, -1)):
            candidate, forget, output = half.chunk(3, -1)
            forget = torch.sigmoid(forget)
            if self.training and self.zoneout:
                forget = torch.maximum(forget, torch.bernoulli(torch.full_like(forget, self.zoneout)))
            update = (1.0 - forget) * torch.tanh(candidate) * mask
            outs.append(torch.sigmoid(output) * recur(forget, update, reverse=number == 1))
        return torch.cat(outs, -1) * mask

    def _can_fuse(self, value: Tensor, mask: Tensor) -> bool:
        """Say whether `_forward_fused` can do it: in training on one processor, in floating point and with a norm, whose statistics no other process shares."""
        trained = self.norm is not None and self.norm.training and self.training
        return trained and type(self.product) is nn.Linear and value.device.type == "cpu" and world_size() == 1 and bool(mask.any())

    def _forward_fused(self, value: Tensor, mask: Tensor) -> Tensor:
        """Do what `forward` does, in less time (`pqrnn.model.fused_qrnn`)."""
        assert self.norm is not None
        packing = pack_words(mask)
        rows = value.flatten(0, 1)[packing.places]
        weight = self.product.weight.unflatten(0, (2, self.kernel, -1))
        out, mean, variance = run_layer(
            rows, weight, self.norm.weight, self.norm.bias + self.bias, packing, epsilon=self.norm.epsilon, zoneout=self.zoneout
        )
        self.norm.follow(mean, variance)
        result = value.new_zeros((mask.numel(), 2 * self.state))
        return result.index_copy(0, packing.places, out).unflatten(0, mask.shape[:2])

    def fold(self) -> None:
        """Work the norm's statistics into the product and the bias, and turn what has 8 bits into integers."""
        with torch.no_grad():
            if self.norm is not None:
                scale, shift = self.norm.affine()
                columns = scale.reshape(2, 1, -1).expand(-1, self.kernel, -1).reshape(-1, 1)
                self.product.weight.mul_(columns)
                self.bias.add_(shift)
                self.norm = None
            if self.short_bias:
                self.bias.copy_(shorten(self.bias))
                self.short_bias = False


class ParserModel(Network):
    """Bytes in, logits out. `forward` is the compiled program; `encode` is the part after the projection, which training uses on cached features."""

    def __init__(self, config: ModelConfig, intents: int, tags: int) -> None:
        """`intents`, `tags`: how many labels each head has.

        Raises:
            ValueError: `config.norm` or `config.precision` is unknown, they do not go together, or the heads do not divide the width.
        """
        super().__init__()
        if 2 * config.state % config.pool_heads:
            raise ValueError(f"pool_heads must divide twice the state: {config.pool_heads}, {2 * config.state}")
        if config.norm not in ("batch", "none"):
            raise ValueError(f"norm must be 'batch' or 'none', not {config.norm!r}")
        if config.precision not in ("float32", "int8"):
            raise ValueError(f"precision must be 'float32' or 'int8', not {config.precision!r}")
        if config.precision == "int8" and config.norm != "none":
            raise ValueError("a parser in int8 has no norm: it is worked into the weights before they are quantized")
        if not 0 <= 2 * config.context <= config.projection.word_features:
            raise ValueError(f"context must be at most half of the word features: {config.context}, {config.projection.word_features}")
        self.config = config
        self.projection = Projection(config.projection)
        width = 2 * config.state
        self.bottleneck = config.make_linear(config.features, config.bottleneck, ActivationRange.INTEGERS)
        self.bottleneck_norm = MaskedBatchNorm(config.bottleneck) if config.norm == "batch" else None
        self.layers = nn.ModuleList(QrnnLayer(config.bottleneck if i == 0 else width, config, i + 1) for i in range(config.layers))
        self.pool = config.make_linear(width, config.pool_heads, ActivationRange.SIGNED)
        seen = width + (width if config.pool_peaks else 0)
        inputs = config.bottleneck if config.pool_inputs else 0
        apart = inputs > 0 and config.precision == "int8"  # of another range than the states
        self.intent = config.make_linear(seen if apart else seen + inputs, intents, ActivationRange.SIGNED)
        self.intent_from_inputs = config.make_linear(inputs, intents, ActivationRange.POSITIVE, bias=False) if apart else None
        self.tags = config.make_linear(width, tags, ActivationRange.SIGNED)
        self.tags_from_pool = config.make_linear(width, tags, ActivationRange.SIGNED, bias=False)
        # Rounds of refinement: the neighbours' tag probabilities, through one learned matrix a side.
        self.neighbours = config.make_linear(tags, 2 * tags, ActivationRange.SHARE, bias=False) if config.refinements else None
        if self.neighbours is not None:
            nn.init.zeros_(self.neighbours.weight)

    def forward(self, text: Tensor, words: int) -> ParserOutputs:
        """Parse int32[B, N/4] (`pqrnn.features.projection.pack_texts`), the first `words` words of each text."""
        found = self.projection(text, words)
        mask = (torch.arange(words, dtype=torch.int32, device=text.device) < found.word_count[:, None]).float()[..., None]
        encoding = self.encode(self.embed(found.features), mask, scan=True)
        return ParserOutputs(encoding.intent, encoding.tags, found.spans, found.word_count)

    def make_table(self) -> WordFeatures:
        """Return an empty table of projected words."""
        return WordFeatures(self.projection)

    def encode_words(self, table: WordTable, words: Tensor, mask: Tensor) -> Encoding:
        """Encode utterances, int64[B, W] rows of the table."""
        known = cast(WordFeatures, table)
        if not self.config.context:
            return self.encode(known.project(words, self.bottleneck), mask)  # of each distinct word once
        return self.encode(self.embed(known.table[words] * mask), mask)

    def embed(self, features: Tensor) -> Tensor:
        """Return the bottleneck's products, float32[B, W, bottleneck], of the words of texts: float32[B, W, F], zero where no word is."""
        product: Tensor = self.bottleneck(add_context(features, self.config.context))
        return product

    def encode(self, value: Tensor, mask: Tensor, *, scan: bool = False) -> Encoding:
        """Encode the bottleneck's products.

        Args:
            value: float32[B, W, bottleneck], of `embed`.
            mask: float32[B, W, 1], one where a word is.
            scan: recurrence without a loop (`pqrnn.model.recurrence`).
        """
        config = self.config
        value = widen(value)
        if self.bottleneck_norm is not None:
            value = self.bottleneck_norm(value, mask)
        value = torch.relu(value) * mask
        if self.training and config.word_dropout:
            value = value * torch.bernoulli(torch.full_like(mask, 1.0 - config.word_dropout))
        words = value
        for layer in self.layers:
            value = layer(self._drop(value), mask, scan=scan)
        states, value = value, self._drop(value)
        pooled = self._pool(value, mask)
        unary = widen(self.tags(value)) + widen(self.tags_from_pool(pooled))[:, None, :]
        if config.pool_peaks:
            peaks = (value + (mask - 1.0) * 2.0).amax(1)  # states lie in [-1, 1], a little more under dropout: padding is never the largest
            pooled = torch.cat([pooled, peaks * mask[:, 0]], -1)  # and a text without words has none
        if not config.pool_inputs:
            intent = widen(self.intent(pooled))
        else:
            inputs = self._drop(words).amax(1)  # not negative, and zero for padding
            if self.intent_from_inputs is None:
                intent = widen(self.intent(torch.cat([pooled, inputs], -1)))
            else:
                intent = widen(self.intent(pooled)) + widen(self.intent_from_inputs(inputs))
        return Encoding(intent, self._refine(unary, mask), states)

    def _pool(self, value: Tensor, mask: Tensor) -> Tensor:
        """Attention pooling, float32[B, W, width] to [B, width]: each head weighs the words for its own share of the channels."""
        batch, words, width = value.shape
        heads = self.config.pool_heads
        scores = (widen(self.pool(value)) + (mask - 1.0) * 1e6).transpose(1, 2)
        attention = torch.softmax(scores, -1)[:, :, None, :]  # [B, heads, 1, W]: the softmax stays on the last dimension, as GPUs need it
        channels = value.reshape(batch, words, heads, width // heads).transpose(1, 2)
        return torch.matmul(attention, channels).reshape(batch, width)

    def _refine(self, unary: Tensor, mask: Tensor) -> Tensor:
        """Let tags agree with their neighbours: mean-field rounds of a linear-chain CRF, unrolled (Zheng et al. 2015, arXiv:1502.03240).

        A tag's logits are its own plus what the tags before and after it make likely, given their probabilities of the round before. Unlike Viterbi
        decoding this is part of the program, so that every host only takes the largest logit.
        """
        tags = unary
        if self.neighbours is None or unary.shape[1] == 1:
            return tags
        for _ in range(self.config.refinements):
            before, after = widen(self.neighbours(torch.softmax(tags, -1) * mask)).chunk(2, -1)
            tags = unary + functional.pad(before[:, :-1], (0, 0, 1, 0)) + functional.pad(after[:, 1:], (0, 0, 0, 1))
        return tags

    def _drop(self, value: Tensor) -> Tensor:
        """Variational dropout (Gal and Ghahramani 2016, arXiv:1512.05287): the same channels for all words of an utterance."""
        if not self.training or not self.config.dropout:
            return value
        kept = 1.0 - self.config.dropout
        return value * torch.bernoulli(torch.full((value.shape[0], 1, value.shape[2]), kept, device=value.device)).div_(kept)

    def folded(self) -> ParserModel:
        """Return a copy for evaluation whose norms are worked into the matrices, and whose 8 bits are integers: the same function, less work."""
        model = copy.deepcopy(self).eval()
        if model.bottleneck_norm is not None:
            model.bottleneck = fold_into_linear(model.bottleneck, *model.bottleneck_norm.affine())
            model.bottleneck_norm = None
        for layer in model.layers:
            if isinstance(layer, QrnnLayer):
                layer.fold()
        for name, module in list(model.named_modules()):
            if isinstance(module, QuantizedLinear):
                model.set_submodule(name, module.frozen())
        return model

    def stored(self) -> dict[str, Tensor]:
        """Return what a checkpoint holds: of a parser in 8 bits the integers, and scales and biases in float16."""
        if self.config.precision == "float32":
            return self.state_dict()
        return {name: value.half() if value.is_floating_point() else value for name, value in self.folded().state_dict().items()}

    def parameters_count(self) -> int:
        """Trained numbers of the folded model, which is what ships."""
        model = self.folded()
        integers = sum(module.parameters_count() for module in model.modules() if isinstance(module, IntegerLinear))
        return integers + sum(p.numel() for p in model.parameters())
