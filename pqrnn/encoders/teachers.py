"""The encoder that teaches: what goes on inside it, and its guesses of hidden words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.distillation.pretrained import find_encoder, load_encoder
from pqrnn.distillation.subwords import TokenBatch
from pqrnn.encoders.traces import Trace, check_family, trace_encoder
from pqrnn.errors import TeacherError

_EPSILON = 1e-12


class EncoderTeacher:
    """A frozen encoder of BERT's family.

    Attributes:
        name: Name, folder or id that it was loaded by.
        encoder: The encoder.
        tokenizer: Its tokenizer.
        depth: Number of layers.
        width: Width of its states.
        layer: Layer whose relations are taught, from 1.
        longest: Most tokens of a text.
        last: Tokens that the tokenizer puts after a text.
    """

    def __init__(self, name: str, layer: int = 0) -> None:
        """Load an encoder.

        Args:
            name: As for `pqrnn.distillation.pretrained.load_encoder`.
            layer: Layer whose relations are taught, from 1; 0 for the last one.

        Raises:
            TeacherError: It cannot be loaded, is of another family, or has no such layer.
        """
        self.name = name
        self.encoder, self.tokenizer = load_encoder(name)
        check_family(self.encoder, name)
        self.encoder.eval().requires_grad_(False)
        self.depth = len(self.encoder.encoder.layer)
        self.width = int(self.encoder.config.hidden_size)
        if not 0 <= layer <= self.depth:
            raise TeacherError(f"encoder {name!r} has {self.depth} layers: --teacher-layer {layer} is none of them")
        self.layer = layer or self.depth
        self.longest = longest_text(self.encoder)
        self.last = int(any(getattr(self.tokenizer, part) is not None for part in ("sep_token_id", "eos_token_id")))

    def trace(self, batch: TokenBatch) -> Trace:
        """Return what goes on inside, without a gradient."""
        with torch.no_grad():
            return trace_encoder(self.encoder, batch, self.layer)

    @property
    def mask_token(self) -> int:
        """The token that hides a subword.

        Raises:
            TeacherError: Its tokenizer has none.
        """
        token = self.tokenizer.mask_token_id
        if token is None:
            raise TeacherError(
                f"encoder {self.name!r}: its tokenizer has no token that hides a word, which the objective od needs; "
                "choose hs or mha"
            )
        return int(token)

    @property
    def embeddings(self) -> Tensor:
        """Embeddings of its subwords, float32[V, width]."""
        weight: Tensor = self.encoder.get_input_embeddings().weight
        return weight.detach()


def longest_text(encoder: Any) -> int:
    """Return how many tokens an encoder reads; RoBERTa's kind counts its positions from the padding token on."""
    return int(encoder.config.max_position_embeddings) - position_offset(encoder)


def position_offset(encoder: Any) -> int:
    """Return the row of an encoder's positions that the first token has."""
    kind = str(encoder.config.model_type)
    return int(encoder.config.pad_token_id) + 1 if "roberta" in kind or kind == "camembert" else 0


class LanguageHead(nn.Module):
    """Guesses hidden subwords from states: float32[N, d] to logits float32[N, V], as BERT's own head does."""

    def __init__(self, width: int, vocabulary: int, embeddings: Tensor | None = None) -> None:
        """Make an untrained head.

        Args:
            width: Width of the states.
            vocabulary: Number of subwords.
            embeddings: Embeddings that guesses are compared with, float32[V, width], which are not learned here; None
                for a matrix of the head's own.
        """
        super().__init__()
        self.dense, self.norm = nn.Linear(width, width), nn.LayerNorm(width, _EPSILON)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.matrix = nn.Parameter(torch.randn(vocabulary, width) * width**-0.5) if embeddings is None else None
        self._embeddings = [] if embeddings is None else [embeddings]  # in a list: no parameter of this module

    def forward(self, states: Tensor) -> Tensor:
        """Return the logits."""
        inner = self.norm(functional.gelu(self.dense(states).float()))
        return functional.linear(inner, self._embeddings[0] if self.matrix is None else self.matrix).float() + self.bias


def load_language_head(name: str) -> Callable[[Tensor], Tensor] | None:
    """Return the head with which an encoder was trained to guess hidden subwords; None where it came without one.

    Raises:
        TeacherError: The encoder cannot be loaded.
    """
    import transformers

    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # what is missing is no news here
    try:
        model, info = transformers.AutoModelForMaskedLM.from_pretrained(
            find_encoder(name), dtype="float32", output_loading_info=True
        )
    except (OSError, ValueError, KeyError):
        return None  # of a family without such a head
    finally:
        transformers.utils.logging.set_verbosity(before)
    prefix = f"{model.base_model_prefix}."
    heads = [child for part, child in model.named_children() if f"{part}." != prefix]
    if len(heads) != 1 or any(not key.startswith(prefix) for key in info["missing_keys"]):
        return None
    head: nn.Module = heads[0].eval().requires_grad_(False)
    return head
