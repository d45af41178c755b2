"""Every setting of networks, training and distillation: its default, its bounds and what it means, once.

The structs hold no code but their checks and import no PyTorch: the command line takes options, defaults and help from
them (`pqrnn.cli.recipe_options`), recipes in TOML are read into them (`pqrnn.recipes.files`), and checkpoints keep
them. A field whose name in files differs from its name here keeps the name that earlier versions wrote.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

PROJECTION_VERSION = 2
WEIGHT_BITS = (8, 4)  # of a weight in int8
PROJECTION_VERSIONS = (1, 2)  # those that can be computed
AUTO = "auto"

# Far above every parser that was trained, and small enough that a checkpoint of strangers does no harm.
_FEATURES, _STATES, _LAYERS, _ROUNDS = (Meta(ge=a, le=b) for a, b in ((0, 1 << 16), (1, 1 << 14), (1, 64), (0, 64)))
_Lengths = Annotated[tuple[Annotated[int, Meta(ge=1, le=64)], ...], Meta(max_length=16)]

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Weight = Annotated[float, Meta(ge=0.0)]


def option(text: str, flag: str = "", *former: str) -> Meta:
    """Describe a field, and name the command-line option that sets it.

    Args:
        text: What the field means, as one plain sentence.
        flag: The option, as "--epochs"; a field without one is set by recipes alone.
        former: Names that the option had in earlier versions; they still work and are not shown.
    """
    return Meta(description=text, extra={"flag": flag, "former": former})


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of all settings: frozen, given by name, and without unknown fields."""


class ProjectionConfig(Settings, frozen=True, kw_only=True):
    """The shape of the projection from bytes to ternary features."""

    word_features: Annotated[
        int, _FEATURES, option("Ternary features of a word's own hash, a multiple of 16.", "--features")
    ] = 512
    ngram_features: Annotated[
        int,
        _FEATURES,
        option(
            "Ternary features of a word's character n-grams and shape, a multiple of 16; 0 leaves them out.",
            "--ngram-features",
        ),
    ] = 512
    ngrams: Annotated[_Lengths, option("Lengths of the character n-grams.")] = (2, 3, 4)
    version: Annotated[int, option("Version of the algorithm: the same version gives the same bits for ever.")] = (
        PROJECTION_VERSION
    )

    @property
    def features(self) -> int:
        """Ternary numbers per word."""
        return self.word_features + self.ngram_features


class TransformerConfig(Settings, frozen=True, kw_only=True):
    """The shape of transformer layers on the projection; `layers` and `dropout` are those of the parser."""

    width: Annotated[int, _STATES, option("Width of a transformer's states, a multiple of its heads.", "--width")] = 128
    heads: Annotated[int, _STATES, option("Attention heads of a transformer's layer.", "--heads")] = 4
    ffn: Annotated[int, _STATES, option("Inner width of a transformer's feed-forward layers.", "--ffn")] = 512
    reach: Annotated[
        int,
        _FEATURES,
        option(
            "Distance up to which a transformer tells positions apart: farther words all count as that far; 0 sees no "
            "order.",
            "--reach",
        ),
    ] = 16


class ModelConfig(Settings, frozen=True, kw_only=True):
    """The shape of a parser, and what regularizes it in training."""

    network: Annotated[
        str, option("Layers over the words: `qrnn` or `transformer`, which is larger and slower.", "--network")
    ] = "qrnn"
    projection: ProjectionConfig = ProjectionConfig()
    transformer: TransformerConfig = TransformerConfig()
    bottleneck: Annotated[int, _STATES, option("Width of the dense layer over the features.", "--bottleneck")] = 256
    context: Annotated[
        int,
        _FEATURES,
        option(
            "Ternary features of each pair and triple of neighbouring words, at most half of the word features; "
            "256 for Thai, Chinese and Japanese, 0 for none.",
            "--context",
        ),
    ] = 0
    state: Annotated[
        int, _STATES, option("QRNN state per direction; the output of a layer is twice as wide.", "--state")
    ] = 192
    layers: Annotated[int, _LAYERS, option("Layers of the network.", "--layers")] = 2
    kernel: Annotated[
        int, _LAYERS, option("Words that a gate sees: this one and those before it (after it, backwards).", "--kernel")
    ] = 2
    pool_peaks: Annotated[
        bool, option("The intent also sees the largest state of each channel over the words.", "--pool-peaks")
    ] = True
    refinements: Annotated[
        int, _ROUNDS, option("Rounds in which tags are made to agree with their neighbours.", "--refinements")
    ] = 2
    norm: Annotated[str, option("Normalization: `batch` (masked, folded away when compiled) or `none`.", "--norm")] = (
        "batch"
    )
    dropout: Annotated[Share, option("Share of the channels of layer inputs dropped in training.", "--dropout")] = 0.3
    word_dropout: Annotated[
        Share, option("Share of words whose features are zeroed in training.", "--word-dropout")
    ] = 0.05
    zoneout: Annotated[
        Share,
        option(
            "Share of QRNN states kept unchanged in training; layer l uses this to the power of l, as pQRNN's open "
            "code does.",
            "--zoneout",
        ),
    ] = 0.1
    precision: Annotated[
        str, option("Precision of the shipped parser, `float32` or `int8`; `pqrnn quantize` sets it.")
    ] = "float32"
    weight_bits: Annotated[
        int, option("Bits of a weight in int8, 8 or 4; `pqrnn quantize --bits` sets it, activations keep 8.")
    ] = 8

    @property
    def features(self) -> int:
        """Inputs of the bottleneck per word."""
        return self.projection.features + 3 * self.context

    @property
    def weights(self) -> str:
        """What a weight is, for tables: `float32`, `int8` or `4 bits`."""
        return self.precision if self.weight_bits == 8 else f"{self.weight_bits} bits"

    @property
    def states(self) -> int:
        """Width of the words' last hidden states."""
        return 2 * self.state if self.network == "qrnn" else self.transformer.width


class TeacherConfig(Settings, frozen=True, kw_only=True):
    """A pre-trained encoder with an intent head and a slot head."""

    encoder: Annotated[
        str,
        option(
            "Pre-trained encoder: `minilm` (English, installed as a package), a folder in the Hugging Face layout, or "
            "an id on the Hugging Face hub.",
            "--encoder",
        ),
    ] = "minilm"
    dropout: Annotated[Share, option("Dropout before the heads in training.")] = 0.1
    head_scale: Annotated[
        float, Meta(gt=0.0), option("Learning rate of the new heads, relative to that of the encoder.")
    ] = 5.0
    train_embeddings: Annotated[
        bool,
        option(
            "Train the embeddings of subwords as well; fixed ones keep what they know of words that the data lack.",
            "--train-embeddings",
        ),
    ] = False
    romanise: Annotated[
        bool,
        option(
            "Spell words in Latin letters for the encoder, so that an English one reads loanwords in any script.",
            "--romanize",
            "--romanise",
        ),
    ] = False


class AdaptiveConfig(Settings, frozen=True, kw_only=True):
    """Training of a transformer's smaller parts beside the whole (arXiv:2010.07003), for budgets of work."""

    enabled: Annotated[
        bool,
        option(
            "Also train the parts of a transformer that drop words and layers, so that one parser serves any budget of "
            "work (`pqrnn budget`).",
            "--adaptive",
        ),
    ] = False
    sandwich: Annotated[
        int,
        Meta(ge=0, le=64),
        option("Parts drawn at random in each step, beside the whole network and the smallest part.", "--sandwich"),
    ] = 2
    length_drop: Annotated[Share, option("Largest share of the words left that a layer may drop.", "--length-drop")] = (
        0.2
    )
    layer_drop: Annotated[
        Share, option("Probability with which a part drawn at random leaves a layer out.", "--layer-drop")
    ] = 0.2


class TrainingConfig(Settings, frozen=True, kw_only=True):
    """One training run: optimizer, schedule, augmentation, and when it stops."""

    epochs: Annotated[
        int,
        Meta(ge=1),
        option("Passes over the training data; the learning rate falls to zero over them along a cosine.", "--epochs"),
    ] = 40
    batch: Annotated[int, Meta(ge=1), option("Utterances in an optimizer step.", "--batch")] = 64
    learning_rate: Annotated[
        float, Meta(gt=0.0), option("Highest learning rate of AdamW, reached after the warm-up.", "--learning-rate")
    ] = 3e-3
    warmup: Annotated[int, Meta(ge=0), option("Steps over which the learning rate rises, at most a tenth of all.")] = (
        200
    )
    weight_decay: Annotated[Weight, option("Weight decay of matrices.")] = 0.01
    clip: Annotated[float, Meta(gt=0.0), option("Largest norm of the gradient.")] = 5.0
    smoothing: Annotated[
        Share,
        option(
            "Label smoothing of the gold intent; beside a teacher's soft answers it only blurs, so distillation has 0.",
            "--smoothing",
        ),
    ] = 0.1
    intent_weight: Annotated[
        Weight,
        option(
            "Weight of the gold intent in the loss, against the sum over the tags; a teacher's answers about the "
            "intent have a weight of their own.",
            "--intent-weight",
        ),
    ] = 2.0
    average: Annotated[
        Share, option("Decay of the moving average of the weights, which is what is evaluated and kept.")
    ] = 0.999
    swap: Annotated[
        Share,
        option("Share of slot values replaced in a training step by another value of the same slot.", "--swap"),
    ] = 0.3
    misspell: Annotated[Share, option("Share of words misspelled in a training step.", "--misspell")] = 0.03
    restyle: Annotated[
        Share,
        option(
            "Share of utterances rewritten in a training step as people and recognisers write: a word of courtesy "
            "more, apostrophes, accents, hyphens or marks fewer. Teachers' answers to the text before still count.",
            "--restyle",
        ),
    ] = 0.1
    patience: Annotated[
        int,
        Meta(ge=0),
        option("Epochs without a better development score after which training stops; 0 never stops.", "--patience"),
    ] = 10
    seed: Annotated[int, option("Seed of everything random.", "--seed")] = 0
    precision: Annotated[
        str,
        option(
            "Precision of matrix products in training: `float32`, `bfloat16`, or `auto`, which is what the processor "
            "multiplies fastest; weights and sums stay float32.",
            "--precision",
        ),
    ] = "float32"
    threads: Annotated[int, Meta(ge=0), option("CPU threads; 0 leaves PyTorch's default.", "--threads")] = 0
    adaptive: AdaptiveConfig = AdaptiveConfig()

    def __post_init__(self) -> None:
        """Refuse what would be taken for something else.

        Raises:
            ValueError: The precision is unknown.
        """
        if self.precision not in ("float32", "bfloat16", AUTO):
            raise ValueError(f"precision must be 'float32' or 'bfloat16', not {self.precision!r}")


class TransferConfig(Settings, frozen=True, kw_only=True):
    """The texts that teachers answer beside the training utterances; a share of 0 leaves a kind of change out."""

    variants: Annotated[int, Meta(ge=0), option("Variants of each training utterance.", "--variants")] = 6
    variant_swap: Annotated[
        Share,
        option(
            "Share of slot values replaced in a variant by another value of the same slot and language.",
            "--variant-swap",
            "--swap",
        ),
    ] = msgspec.field(default=0.5, name="swap")
    cross: Annotated[
        Share,
        option(
            "Share of variants that go on, from one of their slots, as another utterance of the same intent does.",
            "--cross",
        ),
    ] = 0.0
    drop: Annotated[Share, option("Share of variants that lack one of their slots.", "--drop")] = 0.0
    switch: Annotated[
        Share,
        option(
            "Share of slot values, and of the utterances that variants go on as, taken from another language "
            "(code-switching).",
            "--switch",
        ),
    ] = 0.0
    variant_misspell: Annotated[
        Share,
        option(
            "Share of words misspelled in a variant, as the teacher reads it.",
            "--variant-misspell",
            "--misspell-variants",
        ),
    ] = msgspec.field(default=0.0, name="misspell")
    variant_restyle: Annotated[
        Share,
        option(
            "Share of variants rewritten so before the teacher reads them, for teachers that read such texts well.",
            "--variant-restyle",
        ),
    ] = 0.0
    sampled: Annotated[
        float,
        Meta(ge=0.0),
        option(
            "Texts drawn from n-grams of all texts, for each training utterance; only the teachers' answers to them "
            "are learned.",
            "--sampled",
        ),
    ] = 0.0
    ngram_order: Annotated[
        int,
        Meta(ge=2),
        option("Words of these n-grams; more where words are single graphemes.", "--ngram-order", "--order"),
    ] = msgspec.field(default=4, name="order")
    relation_heads: Annotated[
        int,
        Meta(ge=0),
        option(
            "Heads of the relations between words that are kept beside the answers, a divisor of the widths of teacher "
            "and student; 0 keeps none, for they are large.",
        ),
    ] = msgspec.field(default=0, name="relations")
    seed: Annotated[int, option("Seed of the variants and of the texts drawn.")] = 0


class DistillationConfig(Settings, frozen=True, kw_only=True):
    """How gold labels and the teachers' answers are weighed."""

    temperature: Annotated[
        float, Meta(gt=0.0), option("Temperature that softens both distributions.", "--temperature")
    ] = 2.0
    hard: Annotated[Weight, option("Weight of the loss on gold labels.", "--hard")] = 0.3
    soft: Annotated[Weight, option("Weight of the loss on the teachers' distributions.", "--soft")] = 0.7
    soft_intent_weight: Annotated[
        Weight,
        option(
            "Weight of the intent in the loss on the teachers' distributions, against the sum over the tags.",
            "--soft-intent-weight",
        ),
    ] = msgspec.field(default=2.0, name="intent_weight")
    relation_weight: Annotated[
        Weight,
        option(
            "Weight of the loss on how words relate in the teacher's hidden states; its answers get larger files.",
            "--relation-weight",
            "--relations",
        ),
    ] = msgspec.field(default=0.0, name="relations")
    original: Annotated[
        Share,
        option(
            "Share of the steps in which an utterance is learned as it is, not as one of its variants.", "--original"
        ),
    ] = 0.3
