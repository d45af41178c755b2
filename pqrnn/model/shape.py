"""Which shapes a parser can have."""

from __future__ import annotations

from pqrnn.recipes.settings import WEIGHT_BITS, ModelConfig

NETWORKS = ("qrnn", "transformer")
_OF_QRNN = ("state", "kernel", "zoneout")


def check_shape(config: ModelConfig) -> None:
    """Refuse a shape of which there is no parser.

    A setting of the network that was not chosen is refused, too: it would have no effect.

    Raises:
        ValueError: With the setting, and what it may be.
    """
    if config.norm not in ("batch", "none"):
        raise ValueError(f"norm must be 'batch' or 'none', not {config.norm!r}")
    if config.precision not in ("float32", "int8"):
        raise ValueError(f"precision must be 'float32' or 'int8', not {config.precision!r}")
    if config.precision == "int8" and config.norm != "none":
        raise ValueError("a parser in int8 has no norm: it is worked into the weights before they are quantized")
    if config.weight_bits not in WEIGHT_BITS:
        raise ValueError(f"weight_bits must be 8 or 4, not {config.weight_bits}")
    if config.precision == "float32" and config.weight_bits != 8:
        raise ValueError(
            f"weight_bits = {config.weight_bits} is a setting of precision 'int8': train in 'float32', and "
            "`pqrnn quantize --bits` goes on from there"
        )
    if not 0 <= 2 * config.context <= config.projection.word_features:
        raise ValueError(
            f"context must be at most half of the word features: {config.context}, {config.projection.word_features}"
        )
    if config.network not in NETWORKS:
        raise ValueError(f"network must be 'qrnn' or 'transformer', not {config.network!r}")
    if config.network == "qrnn":
        _check_unused(config.transformer, config.transformer.__struct_fields__, "transformers")
    else:
        _check_unused(config, _OF_QRNN, "QRNNs")
        _check_transformer(config)


def count_weights(config: ModelConfig, intents: int, tags: int) -> int:
    """Return how many weights a parser of that shape has in its matrices: no parser has fewer numbers.

    Args:
        config: The shape.
        intents: Number of intents.
        tags: Number of tags.
    """
    states = config.states
    weights = config.features * config.bottleneck + (intents + tags) * states
    if config.network == "qrnn":
        widths = [config.bottleneck, *[states] * (config.layers - 1)]
        return weights + sum(6 * config.kernel * config.state * width for width in widths)
    shape = config.transformer
    return weights + config.layers * (4 * shape.width**2 + 2 * shape.width * shape.ffn)


def _check_unused(section: object, names: tuple[str, ...], whose: str) -> None:
    usual = type(section)()
    for name in names:
        if (value := getattr(section, name)) != getattr(usual, name):
            raise ValueError(f"{name} = {value} is a setting of {whose}, and this network is another one (--network)")


def _check_transformer(config: ModelConfig) -> None:
    shape = config.transformer
    if shape.width % shape.heads:
        raise ValueError(f"width must be a multiple of the heads: {shape.width}, {shape.heads}")
    if config.weight_bits != 8:
        raise ValueError(f"a transformer has no form in {config.weight_bits} bits: quantize it to 8 (--bits 8)")
