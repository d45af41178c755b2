"""A fine-tuned encoder as two programs a bucket: bytes to words, and subwords to logits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch
from torch import Tensor, nn

from compile.lowering.buckets import choose_buckets
from compile.lowering.export import trace
from compile.support.errors import PlanError
from pqrnn.checkpoint import Checkpoint, Facts, load_checkpoint, read_facts
from pqrnn.distillation.loading import load_teacher
from pqrnn.distillation.subwords import WordTokens
from pqrnn.distillation.teacher import TeacherModel
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.network import Encoding, Network, WordTable
from pqrnn.recipes.settings import TeacherConfig
from runtime_py.package_format.manifest import Bucket, Tokenizer

if TYPE_CHECKING:
    from torch.export import ExportedProgram

TOKENIZER = "tokenizer/tokenizer.json"
_BUCKETS = 4  # weights are shared, yet each is some hundred launches more to compile


class SubwordParser(Network):
    """A fine-tuned encoder as it is compiled.

    Attributes:
        teacher: The encoder with its heads.
        longest: Most subwords that it reads.
    """

    def __init__(self, teacher: TeacherModel) -> None:
        """Take a copy of an encoder in evaluation mode, whose attention is computed in operations that IREE knows."""
        super().__init__()
        self.teacher = copy.deepcopy(teacher).eval()
        self.teacher.encoder.set_attn_implementation("eager")
        self.projection, self.longest = self.teacher.projection, self.teacher.longest

    def forward(self, tokens: Tensor, count: Tensor, lengths: LengthConfig | None = None) -> tuple[Tensor, Tensor]:
        """Turn int32[B, T] subwords, of which `count`, int32[B], are of the text, into logits of intents and tags.

        With `lengths`, by the part of the encoder that they name.
        """
        positions = torch.arange(tokens.shape[1], dtype=torch.int32, device=tokens.device)
        return self.teacher.encode_tokens(tokens, (positions < count[:, None]).to(torch.int32), lengths)

    def make_table(self) -> WordTokens:
        """Return an empty table of subwords."""
        return self.teacher.make_table()

    def encode_words(
        self, table: WordTable, words: Tensor, mask: Tensor, lengths: LengthConfig | None = None
    ) -> Encoding:
        """Encode utterances given as rows of the table, as in training."""
        return self.teacher.encode_words(table, words, mask, lengths)

    @property
    def adaptive_layers(self) -> int:
        """Number of layers of an encoder of BERT's family; 0 for any other."""
        return self.teacher.adaptive_layers

    def count_macs(self, units: int, lengths: LengthConfig | None = None) -> int:
        """Return the MACs of a text of so many subwords."""
        return self.teacher.count_macs(units, lengths)

    def parameters_count(self) -> int:
        """Return how many numbers the encoder and the heads have."""
        return self.teacher.parameters_count()

    def describe_tokenizer(self) -> Tokenizer:
        """Return what the manifest says of the tokenizer."""
        tokens = self.make_table()
        ends = [ids[0] if ids else None for ids in (tokens.first, tokens.last)]
        return Tokenizer(TOKENIZER, tokens.unknown, tokens.padding, *ends)


class SubwordSource(msgspec.Struct, frozen=True):
    """A fine-tuned encoder ready to be compiled, and its facts: for parsers of subwords what `Checkpoint` is."""

    model: SubwordParser
    facts: Facts[TeacherConfig]


class _Words(nn.Module):
    """Bytes to words: int32[1, N / 4] to spans int32[1, T, 2] and their number int32[1]."""

    def __init__(self, projection: Projection, words: int) -> None:
        super().__init__()
        self.projection, self.words = projection, words

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor]:
        return self.projection.segment(text, self.words)


class _Part(nn.Module):
    """Subwords to logits, by a part of an encoder."""

    def __init__(self, model: SubwordParser, lengths: LengthConfig) -> None:
        super().__init__()
        self.model, self.lengths = model, lengths

    def forward(self, tokens: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        return self.model(tokens, count, self.lengths)


def files_of(model: nn.Module) -> dict[str, bytes]:
    """Return the files that a package of a model has beside its code: the tokenizer of a parser of subwords."""
    if not isinstance(model, SubwordParser):
        return {}
    return {TOKENIZER: model.teacher.tokenizer.backend_tokenizer.to_str().encode()}


def is_finetuned(folder: Path) -> bool:
    """Say whether a folder holds a fine-tuned encoder rather than a parser on the projection."""
    from pqrnn.errors import CheckpointError

    try:
        read_facts(folder, TeacherConfig)
    except CheckpointError:
        return False
    return True


def load_compiled(folder: Path) -> Checkpoint | SubwordSource:
    """Read what a package was compiled from: a parser on the projection, or a fine-tuned encoder.

    Raises:
        CheckpointError: There is neither, or a file is damaged.
        TeacherError: What the encoder was made from cannot be loaded.
        PlanError: As for `load_source`.
    """
    return load_source(folder) if is_finetuned(folder) else load_checkpoint(folder)


def load_source(folder: Path) -> SubwordSource:
    """Read a fine-tuned encoder.

    Raises:
        CheckpointError: A file is missing or damaged.
        TeacherError: What it was made from cannot be loaded.
        PlanError: It reads words in a form that a device cannot make, or its tokenizer is no file.
    """
    facts = read_facts(folder, TeacherConfig)
    if facts.config.romanise:
        raise PlanError(
            f"{folder}: spells words in Latin letters for its encoder (--romanize), which a package cannot do; distil "
            "a parser from it and compile that"
        )
    teacher, facts = load_teacher(folder)
    assert isinstance(teacher, TeacherModel)
    if not getattr(teacher.tokenizer, "is_fast", False):
        raise PlanError(
            f"{folder}: its tokenizer is none of the library tokenizers, which is what cuts words on a device; distil "
            "a parser from it and compile that"
        )
    return SubwordSource(SubwordParser(teacher), facts)


def choose_subword_buckets(model: SubwordParser, facts: Facts[TeacherConfig]) -> tuple[Bucket, ...]:
    """Choose buckets by the lengths of the training texts in subwords, which are told from a few texts."""
    texts = [text.encode("utf-8", "replace") for text in facts.golden_texts if text]
    table, words = model.make_table(), 0
    with torch.inference_mode():
        rows = [
            table.index([text[a:b] for a, b in spans]) for text, spans in zip(texts, _find(model, texts), strict=True)
        ]
    words = sum(map(len, rows))
    ends = len(table.first) + len(table.last)
    pieces = sum(len(table.collate([row], model.longest).tokens[0]) - ends for row in rows)
    ratio = max(pieces / words if words else 1.0, 1.0)
    lengths = [(round(count * ratio) + ends, size, times) for count, size, times in facts.lengths]
    return tuple(
        bucket for bucket in choose_buckets(lengths, most=_BUCKETS) if bucket.words <= model.longest
    ) or choose_buckets([], most=1)


def _find(model: SubwordParser, texts: Sequence[bytes]) -> list[list[tuple[int, int]]]:
    return segment_texts(model.projection, texts)


def export_subwords(
    model: SubwordParser,
    buckets: Sequence[Bucket],
    on_entry: Callable[[Bucket], None] = lambda _: None,
    parts: Mapping[str, LengthConfig] | None = None,
) -> dict[str, ExportedProgram]:
    """Trace both programs for every bucket.

    Args:
        model: The parser.
        buckets: Buckets, whose words are subwords.
        on_entry: Called before each bucket.
        parts: Parts of the encoder that get programs of their own, by name.

    Raises:
        ExportError: PyTorch cannot trace one of them.
    """
    programs: dict[str, ExportedProgram] = {}
    for bucket in buckets:
        on_entry(bucket)
        text = torch.zeros((1, bucket.bytes // 4), dtype=torch.int32)
        tokens, count = torch.zeros((1, bucket.words), dtype=torch.int32), torch.ones(1, dtype=torch.int32)
        what = f"{bucket.words} subwords"
        words = _Words(model.projection, bucket.words)
        programs[f"{bucket.entry}_words"] = trace(words, (text,), bucket.entry, what)
        programs[bucket.entry] = trace(model, (tokens, count), bucket.entry, what)
        for name, lengths in (parts or {}).items():
            entry = bucket.of_part(name).entry
            programs[entry] = trace(_Part(model, lengths).eval(), (tokens, count), entry, what)
    return programs
