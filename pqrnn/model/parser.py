"""The parser: projection, bottleneck, bidirectional QRNN layers, attention pooling, intent head and slot head.

pQRNN (Kaliamoorthi et al. 2021, arXiv:2101.08890) with what the paper leaves open filled in: a tag for every word from
its own states *and* from the pooled utterance, so that slots can depend on what is being asked for. In the place of the
QRNN layers there may be transformer layers (`pqrnn.model.transformer`); everything around them is the same.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.features.projection import Projection
from pqrnn.features.word_table import WordFeatures
from pqrnn.model.batch_norm import MaskedBatchNorm, fold_into_linear
from pqrnn.model.int8 import ActivationRange, IntegerLinear
from pqrnn.model.length_config import LengthConfig, check_lengths
from pqrnn.model.linear import make_linear
from pqrnn.model.macs import count_macs
from pqrnn.model.network import Encoding, Network, WordTable
from pqrnn.model.nibbles import pack_nibbles, unpack_nibbles
from pqrnn.model.qat import QuantizedLinear
from pqrnn.model.qrnn import QrnnLayer, widen
from pqrnn.model.shape import check_shape
from pqrnn.model.transformer import HIDDEN, TransformerLayer, run_layers
from pqrnn.recipes.settings import ModelConfig


class ParserOutputs(NamedTuple):
    """The compiled entry's results (ABI 1).

    They are those of `Encoding`, and `spans` int32[B, W, 2] and `word_count` int32[B] of
    `pqrnn.features.projection.Words`.
    """

    intent: Tensor
    tags: Tensor
    spans: Tensor
    word_count: Tensor


def add_context(features: Tensor, width: int) -> Tensor:
    """Return the features of words beside those of their bigrams and trigrams.

    Those are products of ternary features and so ternary again. A product of independent hashes is a hash of the pair
    (as tensor sketches have it: Pham and Pagh 2013, doi:10.1145/2487575.2487591), not 0 with probability 1/4 (of a
    triple 1/8). Scripts without spaces, whose words are single graphemes here, get their character n-grams from it.

    Args:
        features: Features of a signed type, [B, W, F], the first `2 * width` of the F ternary, zero where no word is.
        width: Features of each kind; 0 for none.

    Returns:
        Features of the same type, [B, W, F + 3 * width]: those given, then those of this word with the next one, with
        the one before, and with both.
    """
    if not width:
        return features
    first, second, third = (
        features[..., :width],
        features[..., width : 2 * width],
        features[..., width // 2 : width // 2 + width],
    )
    after = functional.pad(first[:, :-1] * second[:, 1:], (0, 0, 0, 1))
    before = functional.pad(after[:, :-1], (0, 0, 1, 0))
    both = functional.pad(before[:, :-1] * third[:, 1:], (0, 0, 0, 1))
    return torch.cat([features, after, before, both], -1)


class ParserModel(Network):
    """Bytes in, logits out.

    `forward` is the compiled program; `encode` is the part after the projection, which training uses on cached
    features.
    """

    def __init__(self, config: ModelConfig, intents: int, tags: int) -> None:
        """`intents`, `tags`: how many labels each head has.

        Raises:
            ValueError: There is no parser of that shape (`pqrnn.model.shape`).
        """
        super().__init__()
        check_shape(config)
        self.config = config
        self.projection = Projection(config.projection)
        self.bottleneck = make_linear(config, config.features, config.bottleneck, ActivationRange.INTEGERS)
        self.bottleneck_norm = MaskedBatchNorm(config.bottleneck) if config.norm == "batch" else None
        self.is_recurrent = config.network == "qrnn"
        width = config.states
        # Layers that add to what they read need it in their own width, and a norm after the last of them.
        kind = ActivationRange.SIGNED if self.is_recurrent else ActivationRange.MEASURED
        self.entry = make_linear(config, config.bottleneck, width, kind) if not self.is_recurrent else None
        self.states_norm = nn.LayerNorm(width) if not self.is_recurrent else None
        self.layers = nn.ModuleList(
            QrnnLayer(config.bottleneck if i == 0 else width, config, i + 1)
            if self.is_recurrent
            else TransformerLayer(config)
            for i in range(config.layers)
        )
        self.pool = make_linear(config, width, 1, kind)
        pooled_width = 2 * width if config.pool_peaks else width
        self.intent = make_linear(config, pooled_width, intents, kind)
        self.tags = make_linear(config, width, tags, kind)
        self.tags_from_pool = make_linear(config, width, tags, kind, bias=False)
        # Rounds of refinement: the neighbours' tag probabilities, through one learned matrix a side.
        self.neighbours = (
            make_linear(config, tags, 2 * tags, ActivationRange.SHARE, bias=False) if config.refinements else None
        )
        if self.neighbours is not None:
            nn.init.zeros_(self.neighbours.weight)

    @property
    def adaptive_layers(self) -> int:
        """Number of layers that a length configuration is about; 0 for a QRNN, which has to read every word."""
        return 0 if self.is_recurrent else len(self.layers)

    def count_macs(self, units: int, lengths: LengthConfig | None = None) -> int:
        """Return the MACs of a text of so many words."""
        if self.is_recurrent:
            return super().count_macs(units, lengths)
        return count_macs(self.config, len(self.intent.weight), len(self.tags.weight), units, lengths)

    def forward(self, text: Tensor, words: int, lengths: LengthConfig | None = None) -> ParserOutputs:
        """Parse int32[B, N/4] (`pqrnn.features.utf8.pack_texts`), the first `words` words of each text.

        With `lengths`, by the part of the network that they name.
        """
        found = self.projection(text, words)
        mask = (torch.arange(words, dtype=torch.int32, device=text.device) < found.word_count[:, None]).float()[
            ..., None
        ]
        encoding = self.encode(self.embed(found.features), mask, scan=True, lengths=lengths)
        return ParserOutputs(encoding.intent, encoding.tags, found.spans, found.word_count)

    def make_table(self) -> WordFeatures:
        """Return an empty table of projected words."""
        return WordFeatures(self.projection)

    def encode_words(
        self, table: WordTable, words: Tensor, mask: Tensor, lengths: LengthConfig | None = None
    ) -> Encoding:
        """Encode utterances, int64[B, W] rows of the table."""
        known = cast(WordFeatures, table)
        if not self.config.context:  # each distinct word is projected once
            return self.encode(known.project(words, self.bottleneck), mask, lengths=lengths)
        return self.encode(self.embed(known.table[words] * mask), mask, lengths=lengths)

    def embed(self, features: Tensor) -> Tensor:
        """Return the bottleneck's products, float32[B, W, bottleneck], of the words of texts.

        Their features are float32[B, W, F], zero where no word is.
        """
        product: Tensor = self.bottleneck(add_context(features, self.config.context))
        return product

    def encode(
        self, value: Tensor, mask: Tensor, *, scan: bool = False, lengths: LengthConfig | None = None
    ) -> Encoding:
        """Encode the bottleneck's products.

        Args:
            value: Products of `embed`, float32[B, W, bottleneck].
            mask: One where a word is, float32[B, W, 1].
            scan: Whether the recurrence is computed without a loop (`pqrnn.model.recurrence`).
            lengths: How many words each transformer layer passes on; None for all. Words that were dropped have the
                last state that they had.

        Raises:
            ValueError: There is no such length configuration of this network.
        """
        config = self.config
        value = widen(value)
        if self.bottleneck_norm is not None:
            value = self.bottleneck_norm(value, mask)
        value = torch.relu(value) * mask
        if self.training and config.word_dropout:
            value = value * torch.bernoulli(torch.full_like(mask, 1.0 - config.word_dropout))
        if self.entry is not None:
            value = widen(self.entry(self._drop(value))) * mask
        if lengths is not None:
            self._check_lengths(lengths)
            value = run_layers(cast(Sequence[TransformerLayer], self.layers), value, mask, lengths)
        else:
            for layer in self.layers:
                value = layer(self._drop(value) if self.is_recurrent else value, mask, scan=scan)
        if self.states_norm is not None:
            value = self.states_norm(value) * mask
        states, value = value, self._drop(value)
        pooled = self._pool(value, mask)
        unary = widen(self.tags(value)) + widen(self.tags_from_pool(pooled))[:, None, :]
        if config.pool_peaks:
            # Padding is never the largest: states of a QRNN lie in [-1, 1], a little more under dropout.
            peaks = (value + (mask - 1.0) * (2.0 if self.is_recurrent else HIDDEN)).amax(1)
            pooled = torch.cat([pooled, peaks * mask[:, 0]], -1)  # and a text without words has none
        return Encoding(widen(self.intent(pooled)), self._refine(unary, mask), states)

    def _check_lengths(self, lengths: LengthConfig) -> None:
        if self.is_recurrent:
            raise ValueError(
                f"a length configuration ({lengths.describe()}) is for transformers: a QRNN has to read every word"
            )
        check_lengths(lengths, len(self.layers))

    def _pool(self, value: Tensor, mask: Tensor) -> Tensor:
        """Return the mean of the words' states, float32[B, W, width] to [B, width], weighed by attention."""
        # The softmax stays on the last dimension, as GPUs need it.
        scores = (widen(self.pool(value)) + (mask - 1.0) * 1e6).transpose(1, 2)
        return torch.matmul(torch.softmax(scores, -1), value).reshape(value.shape[0], value.shape[2])

    def _refine(self, unary: Tensor, mask: Tensor) -> Tensor:
        """Let tags agree with their neighbours.

        These are mean-field rounds of a linear-chain CRF, unrolled (Zheng et al. 2015, arXiv:1502.03240). A tag's
        logits are its own plus what the tags before and after it make likely, given their probabilities of the round
        before. Unlike Viterbi decoding this is part of the program, so that every host only takes the largest logit.
        """
        tags = unary
        if self.neighbours is None or unary.shape[1] == 1:
            return tags
        for _ in range(self.config.refinements):
            before, after = widen(self.neighbours(torch.softmax(tags, -1) * mask)).chunk(2, -1)
            tags = unary + functional.pad(before[:, :-1], (0, 0, 1, 0)) + functional.pad(after[:, 1:], (0, 0, 0, 1))
        return tags

    def _drop(self, value: Tensor) -> Tensor:
        """Drop the same channels for all words of an utterance.

        This is variational dropout (Gal and Ghahramani 2016, arXiv:1512.05287).
        """
        if not self.training or not self.config.dropout:
            return value
        kept = 1.0 - self.config.dropout
        return value * torch.bernoulli(torch.full((value.shape[0], 1, value.shape[2]), kept, device=value.device)).div_(
            kept
        )

    def folded(self) -> ParserModel:
        """Return a copy for evaluation whose norms are worked into the matrices, and whose 8 bits are integers.

        It is the same function with less work.
        """
        model = copy.deepcopy(self).eval()
        if model.bottleneck_norm is not None:
            model.bottleneck = fold_into_linear(model.bottleneck, *model.bottleneck_norm.affine())
            model.bottleneck_norm = None
        for layer in model.layers:
            if isinstance(layer, QrnnLayer):
                layer.fold()
        for name, module in list(model.named_modules()):
            if isinstance(module, QuantizedLinear):
                model.set_submodule(name, module.convert())
        return model

    def stored(self) -> dict[str, Tensor]:
        """Return what a checkpoint holds: of a parser in 8 bits the integers, and scales and biases in float16.

        Weights of 4 bits lie two in a byte. Norms and distances of transformers stay float32.
        """
        if self.config.precision == "float32":
            return self.state_dict()
        model = self.folded()
        whole = () if self.is_recurrent else {name for name, _ in model.named_parameters()}
        weights = {
            name: value.half() if value.is_floating_point() and name not in whole else value
            for name, value in model.state_dict().items()
        }
        for name in model._packed():
            weights[name] = pack_nibbles(weights[name])
        return weights

    def restore(self, stored: Mapping[str, Tensor]) -> None:
        """Take what a checkpoint holds; this parser is folded where it is in 8 bits."""
        weights = dict(stored)
        for name, layer in self._packed().items():
            try:
                weights[name] = unpack_nibbles(weights[name], layer.weight.shape[1])
            except ValueError as error:
                raise ValueError(f"{name} {error}") from error
        self.load_state_dict(weights)

    def _packed(self) -> dict[str, IntegerLinear]:
        """Return the layers whose weights lie two in a byte on disk, by the names of those weights."""
        return {
            f"{name}.weight": module
            for name, module in self.named_modules()
            if isinstance(module, IntegerLinear) and module.bits == 4
        }

    def parameters_count(self) -> int:
        """Trained numbers of the folded model, which is what ships."""
        model = self.folded()
        integers = sum(module.parameters_count() for module in model.modules() if isinstance(module, IntegerLinear))
        return integers + sum(p.numel() for p in model.parameters())
