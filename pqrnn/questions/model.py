"""An encoder of BERT's family with a head that gives each subword logits to begin and to end an answer.

As in Devlin et al. 2019 (arXiv:1810.04805, section 4.2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pqrnn.distillation.pretrained import load_encoder
from pqrnn.distillation.short_encoder import count_layers, run_encoder
from pqrnn.encoders.teachers import longest_text
from pqrnn.errors import TeacherError
from pqrnn.model.int8 import ActivationRange, IntegerLinear
from pqrnn.model.int8_embedding import IntegerEmbedding
from pqrnn.model.length_config import LengthConfig, check_lengths
from pqrnn.model.losses import soft_loss
from pqrnn.model.macs import count_layer_macs
from pqrnn.model.qrnn import widen
from pqrnn.model.transformer import HIDDEN
from pqrnn.recipes.question_settings import SpanConfig
from runtime_py.package_format.tokenizer_file import load_tokenizer
from runtime_py.questions.pairs import PairLayout, PairReader


class SpanLogits(NamedTuple):
    """Logits of subwords, float32[B, T] each.

    Attributes:
        start: To be the first of the answer.
        end: To be the last one.
    """

    start: Tensor
    end: Tensor

    def within(self, inside: Tensor) -> SpanLogits:
        """Return them with those outside of the context, where `inside`, bool[B, T], is false, far below all others."""
        return SpanLogits(*(logits.masked_fill(~inside, -HIDDEN) for logits in self))


class SpanModel(nn.Module):
    """Subwords of a question and a context in, logits of spans out.

    Attributes:
        config: Its configuration.
        encoder: The encoder, a module of the Hugging Face library.
        tokenizer_file: What the library `tokenizers` reads.
        layout: How question and context stand together.
    """

    def __init__(self, config: SpanConfig) -> None:
        """Load the encoder; the head is untrained.

        Raises:
            TeacherError: The encoder cannot be loaded, is of another family, reads less than a window, or its tokenizer
                does not fit.
        """
        super().__init__()
        self.config = config
        self.encoder, tokenizer = load_encoder(config.encoder)
        self.layers = count_layers(self.encoder)
        if not self.layers:
            raise TeacherError(
                f"encoder {config.encoder!r} is a {getattr(self.encoder.config, 'model_type', 'network')}: questions "
                "are answered by encoders of BERT's family (BERT, RoBERTa, ELECTRA, CamemBERT, XLM-R)"
            )
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # it reads the first subword alone, which no answer is
        self.layout = describe_layout(tokenizer, self.encoder, config)
        self.tokenizer_file: bytes = tokenizer.backend_tokenizer.to_str().encode()
        self.dropout = nn.Dropout(config.dropout)
        self.spans = nn.Linear(int(self.encoder.config.hidden_size), 2)
        self.encoder.get_input_embeddings().requires_grad_(config.train_embeddings)
        if config.precision == "int8":
            for name, linear in self.linears().items():
                inputs, outputs, bias = linear.in_features, linear.out_features, linear.bias is not None
                self.set_submodule(name, IntegerLinear(inputs, outputs, ActivationRange.MEASURED, bias=bias))
            self.set_embeddings(IntegerEmbedding(*self.encoder.get_input_embeddings().weight.shape))

    def linears(self) -> dict[str, nn.Linear]:
        """Return the linear layers within the encoder's layers by name: those that have a form in integers."""
        layers = self.encoder.encoder.layer.named_modules(prefix="encoder.encoder.layer")
        return {name: module for name, module in layers if isinstance(module, nn.Linear)}

    def set_embeddings(self, embeddings: IntegerEmbedding) -> None:
        """Take embeddings of subwords in 8 bits in the place of the encoder's own."""
        self.encoder.set_input_embeddings(embeddings)

    def forward(self, tokens: Tensor, head: Tensor, count: Tensor, lengths: LengthConfig | None = None) -> SpanLogits:
        """Return logits of all subwords; those of padding and question mean nothing (`SpanLogits.within`).

        Args:
            tokens: Ids, integers [B, T].
            head: Subwords before the context, integers [B].
            count: Subwords with the context and what follows, integers [B]; the rest is padding.
            lengths: How many subwords each layer passes on; None for all.
        """
        positions = torch.arange(tokens.shape[1], dtype=torch.int32, device=tokens.device)
        attention = (positions < count[:, None]).to(torch.int32)
        types = (positions >= head[:, None]).to(torch.int32) * self.layout.context_type
        if lengths is None:
            states = self.encoder(input_ids=tokens, attention_mask=attention, token_type_ids=types).last_hidden_state
        else:
            check_lengths(lengths, self.layers)
            states = run_encoder(self.encoder, tokens, attention, lengths, types)
        start, end = widen(self.spans(self.dropout(states))).unbind(-1)
        return SpanLogits(start, end)

    def make_reader(self) -> PairReader:
        """Return what cuts questions and contexts for this model."""
        return PairReader(load_tokenizer(self.tokenizer_file, self.config.encoder), self.layout)

    def rate_scale(self, name: str) -> float:
        """Return the learning rate of a weight, relative to the encoder's."""
        return 1.0 if name.startswith("encoder.") else self.config.head_scale

    def count_macs(self, subwords: int, lengths: LengthConfig | None = None) -> int:
        """Return the MACs of a window of so many subwords."""
        shape = self.encoder.config
        sizes = (int(shape.hidden_size), int(shape.intermediate_size))
        return count_layer_macs(*sizes, self.layers, subwords, lengths) + 2 * subwords * sizes[0]

    def parameters_count(self) -> int:
        """Return how many numbers the encoder and the head have."""
        integers = sum(layer.parameters_count() for layer in self.modules() if isinstance(layer, IntegerLinear))
        embeddings = sum(each.weight.numel() for each in self.modules() if isinstance(each, IntegerEmbedding))
        return integers + embeddings + sum(parameter.numel() for parameter in self.parameters())


def describe_layout(tokenizer: Any, encoder: Any, config: SpanConfig) -> PairLayout:
    """Return how an encoder reads a pair of texts, as its own tokenizer lays one out.

    Raises:
        TeacherError: The tokenizer is none of the library `tokenizers`, knows ids that the encoder does not, puts the
            two texts together in another way than one behind the other, or a window is longer than the encoder reads.
    """
    where = f"encoder {config.encoder!r}"
    if not getattr(tokenizer, "is_fast", False):
        raise TeacherError(f"{where}: its tokenizer is none of the library tokenizers, which is what a package cuts by")
    known = int(encoder.get_input_embeddings().weight.shape[0])
    if len(tokenizer) > known:
        raise TeacherError(
            f"{where}: its tokenizer knows {len(tokenizer):,} subwords, and the encoder {known:,}: they do not belong "
            "together"
        )
    pair = tokenizer("a", "b", return_token_type_ids=True)
    ids, parts = pair["input_ids"], pair.sequence_ids(0)
    inside = [number for number, part in enumerate(parts) if part is not None]
    question = [number for number in inside if parts[number] == 0]
    context = [number for number in inside if parts[number] == 1]
    if not question or not context or question[-1] > context[0]:
        raise TeacherError(f"{where}: its tokenizer does not put a context behind a question")
    typed = int(getattr(encoder.config, "type_vocab_size", 1)) > 1
    positions = longest_text(encoder)
    if config.longest > positions:
        raise TeacherError(
            f"{where}: reads up to {positions} subwords, and a window is to have {config.longest}: give --longest "
            f"{positions}"
        )
    try:
        return PairLayout(
            first=tuple(ids[: question[0]]),
            between=tuple(ids[question[-1] + 1 : context[0]]),
            last=tuple(ids[context[-1] + 1 :]),
            padding=tokenizer.pad_token_id or 0,
            context_type=int(pair["token_type_ids"][context[0]]) if typed else 0,
            longest=config.longest,
            stride=config.stride,
            longest_question=config.longest_question,
            longest_answer=config.longest_answer,
        )
    except ValueError as error:
        raise TeacherError(f"{where}: {error}") from error


def span_loss(logits: SpanLogits, inside: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return the mean over windows of `-(log p(first) + log p(last)) / 2`, over the subwords of the context.

    Args:
        logits: Logits, float32[B, T].
        inside: Whether a subword is of the context, bool[B, T].
        first: Position of the first subword of the answer, int64[B].
        last: Position of its last one, int64[B].
    """
    start, end = logits.within(inside)
    return 0.5 * (functional.cross_entropy(start, first) + functional.cross_entropy(end, last))


def span_distance(logits: SpanLogits, targets: SpanLogits, inside: Tensor) -> Tensor:
    """Return the mean over windows of the divergence from the targets' distributions, of starts and ends alike.

    It is `span_loss` with the distributions of another network for labels, less their entropy.
    """
    pairs = zip(logits.within(inside), targets.within(inside), strict=True)
    start, end = (soft_loss(mine, its, 1.0).mean() for mine, its in pairs)
    return 0.5 * (start + end)
