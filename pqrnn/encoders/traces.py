"""What goes on inside an encoder, as objectives compare it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from pqrnn.distillation.subwords import TokenBatch
from pqrnn.errors import TeacherError
from pqrnn.model.network import WordTable
from pqrnn.model.parser import ParserModel
from pqrnn.model.transformer import Relatives, TransformerLayer

_PARTS = ("query", "key", "value")


class Trace(NamedTuple):
    """States of all layers, and the relatives of one.

    Attributes:
        states: What goes into the first layer, then the output of every layer, float32[B, T, d] each. No student
            learns the first of them, and that of a network on the projection is not kept: it is the last one again.
        relatives: Queries, keys and values of one layer, float32[B, T, d] each; None for a network that has none.
        mask: One where a token (or word) is, float32[B, T, 1].
    """

    states: tuple[Tensor, ...]
    relatives: Relatives | None
    mask: Tensor

    def pooled(self, shares: Tensor, mask: Tensor) -> Trace:
        """Return the trace of words: means over their subwords.

        Args:
            shares: Share of every subword in a word, float32[B, W, T].
            mask: One where a word is, float32[B, W, 1].
        """
        relatives = None if self.relatives is None else Relatives(*(shares @ part for part in self.relatives))
        return Trace(tuple(shares @ part for part in self.states), relatives, mask)


def check_family(encoder: nn.Module, name: str) -> None:
    """Refuse an encoder whose layers are not those of BERT.

    Raises:
        TeacherError: It is of another family.
    """
    try:
        for layer in encoder.get_submodule("encoder").layer:  # type: ignore[union-attr]
            _ = [getattr(layer.attention.self, part) for part in ("query", "key", "value")]
    except AttributeError as error:
        kind = getattr(getattr(encoder, "config", None), "model_type", type(encoder).__name__)
        raise TeacherError(
            f"encoder {name!r} is of the family {kind}, whose queries, keys and values are not known here; choose one "
            "of BERT's family: bert, roberta, xlm-roberta, camembert, electra"
        ) from error


def trace_encoder(encoder: Any, batch: TokenBatch, layer: int) -> Trace:
    """Run an encoder of BERT's family.

    Args:
        encoder: The encoder, of the Hugging Face library.
        batch: What it reads.
        layer: Layer whose queries, keys and values are wanted, from 1.
    """
    attention = encoder.encoder.layer[layer - 1].attention.self
    with _outputs({name: getattr(attention, name) for name in _PARTS}) as seen:
        found = encoder(input_ids=batch.tokens, attention_mask=batch.attention, output_hidden_states=True)
    relatives = Relatives(*(seen[name] for name in _PARTS))
    return Trace(tuple(state.float() for state in found.hidden_states), relatives, batch.attention[..., None].float())


def trace_parser(model: ParserModel, table: WordTable, words: Tensor, mask: Tensor) -> Trace:
    """Run a network on the projection; the last states are those that its heads read.

    Args:
        model: The network.
        table: Its table of words.
        words: Rows of the table, int64[B, W].
        mask: One where a word is, float32[B, W, 1].
    """
    layers = {str(number): layer for number, layer in enumerate(model.layers)}
    last = model.layers[-1]
    if isinstance(last, TransformerLayer):
        layers["product"] = last.product
    with _outputs(layers) as seen:
        encoding = model.encode_words(table, words, mask)
    relatives = Relatives(*seen["product"].chunk(3, -1)) if "product" in seen else None
    inner = [seen[str(number)] for number in range(len(model.layers) - 1)]
    return Trace((encoding.states, *inner, encoding.states), relatives, mask)


@contextmanager
def _outputs(modules: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Give what modules return while the block lasts, in float32."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            seen[name] = output.float()

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
