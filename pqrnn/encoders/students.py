"""The encoders that learn: of subwords, as the teacher has them, or of words on our projection."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor, nn

from pqrnn.distillation.subwords import TokenBatch, WordTokens
from pqrnn.encoders.teachers import EncoderTeacher, LanguageHead, position_offset
from pqrnn.encoders.traces import Trace, trace_encoder, trace_parser
from pqrnn.encoders.vocabulary import Vocabulary, keep_all, prune_vocabulary
from pqrnn.errors import TrainingError
from pqrnn.model.parser import ParserModel
from pqrnn.model.transformer import Relatives
from pqrnn.recipes.encoder_settings import StudentConfig
from pqrnn.recipes.settings import ModelConfig
from pqrnn.run_folder import WEIGHTS
from runtime_py.atomic_files import write_atomic

HIDDEN_WORD = "\ue000".encode()  # a private character that no text has stands for a word that is to be guessed


class Reading(NamedTuple):
    """A batch as the teacher and the student read it.

    Attributes:
        tokens: The teacher's subwords, hidden ones hidden.
        originals: The same subwords with none hidden, int64[B, T].
        words: Indices of the words, int64[B, W].
        mask: One where a word is, float32[B, W, 1].
        shares: Share of every subword in every word, float32[B, W, T].
        hidden: Whether a word is hidden, bool[B, W].
    """

    tokens: TokenBatch
    originals: Tensor
    words: Tensor
    mask: Tensor
    shares: Tensor
    hidden: Tensor


class Student(nn.Module, ABC):
    """An encoder in training, with what it needs for that alone.

    Attributes:
        depth: Number of layers.
        width: Width of its states.
        guesses: The teacher's ids of the subwords among which hidden ones are guessed, int64[V].
    """

    depth: int
    width: int
    guesses: Tensor

    @abstractmethod
    def trace(self, reading: Reading) -> Trace:
        """Return what goes on inside."""

    @abstractmethod
    def view(self, trace: Trace, reading: Reading) -> Trace:
        """Return a trace of the teacher in the student's units: subwords or words."""

    @abstractmethod
    def hidden_units(self, reading: Reading) -> tuple[Tensor, Tensor]:
        """Return the positions of what is hidden, as the student's units and as the teacher's, int64[N, 2] each."""

    @abstractmethod
    def make_head(self) -> LanguageHead:
        """Return an untrained head that guesses hidden subwords."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write the encoder, and nothing that only its training needed."""

    @abstractmethod
    def parameters_count(self) -> int:
        """Return how many numbers the encoder has."""


class WordStudent(Student):
    """A network on the projection. One without attention gets queries, keys and values for its training."""

    def __init__(self, config: ModelConfig, words: Sequence[bytes], used: Sequence[int], relates: bool) -> None:
        """Make an untrained network.

        Args:
            config: Its shape.
            words: Distinct words of the texts, in the order of their indices.
            used: Subwords of the texts by the teacher's ids.
            relates: Whether queries, keys and values are learned from.
        """
        super().__init__()
        self.model = ParserModel(config, 1, 1)
        self.depth, self.width = config.layers, config.states
        self.guesses = torch.tensor(used)
        self._table = self.model.make_table()
        with torch.inference_mode():
            rows = self._table.index([*words, HIDDEN_WORD])
        self._rows = torch.tensor(rows[:-1] or [0])
        self._hidden_row = rows[-1]
        self.relatives = nn.Linear(self.width, 3 * self.width) if relates and config.network == "qrnn" else None

    def trace(self, reading: Reading) -> Trace:
        """Return what goes on inside; hidden words are all one and the same."""
        rows = torch.where(reading.hidden, self._hidden_row, self._rows[reading.words])
        trace = trace_parser(self.model, self._table, rows, reading.mask)
        if self.relatives is None:
            return trace
        return trace._replace(relatives=Relatives(*self.relatives(trace.states[-1]).float().chunk(3, -1)))

    def view(self, trace: Trace, reading: Reading) -> Trace:
        """Return means over the subwords of words."""
        return trace.pooled(reading.shares, reading.mask)

    def hidden_units(self, reading: Reading) -> tuple[Tensor, Tensor]:
        """Return the hidden words, and the first subword of each."""
        words = reading.hidden.nonzero()
        return words, torch.stack([words[:, 0], reading.tokens.starts[words[:, 0], words[:, 1]]], 1)

    def make_head(self) -> LanguageHead:
        """Return a head with a matrix of its own."""
        return LanguageHead(self.width, len(self.guesses))

    def body(self) -> dict[str, Tensor]:
        """Return the weights of the network without its heads."""
        return {name: value for name, value in self.model.state_dict().items() if is_body(name)}

    def write(self, folder: Path) -> None:
        """Write the weights."""
        write_atomic(folder / WEIGHTS, save({name: value.contiguous() for name, value in self.body().items()}))

    def parameters_count(self) -> int:
        """Return how many numbers the network has without its heads."""
        return sum(value.numel() for name, value in self.model.named_parameters() if is_body(name))


def is_body(name: str) -> bool:
    """Say whether a weight of a parser is of its body: what comes before the heads."""
    return name.partition(".")[0] in ("bottleneck", "bottleneck_norm", "entry", "layers", "states_norm")


class SubwordStudent(Student):
    """A BERT that reads the teacher's subwords, those that the texts use or all of them."""

    def __init__(
        self, config: ModelConfig, student: StudentConfig, teacher: EncoderTeacher, vocabulary: Vocabulary
    ) -> None:
        """Make a network that begins as `student` says.

        Args:
            config: Its shape: layers, dropout, and width, heads and ffn of the transformer.
            student: How it begins.
            teacher: The teacher.
            vocabulary: Its subwords.

        Raises:
            TrainingError: It is to begin with layers of the teacher, and has another shape.
        """
        super().__init__()
        import transformers

        shape = config.transformer
        self.depth, self.width = config.layers, shape.width
        self.vocabulary = vocabulary
        self.guesses = torch.tensor(vocabulary.kept)
        self._ids = torch.zeros(len(teacher.embeddings), dtype=torch.int64)
        self._ids[self.guesses] = torch.arange(len(vocabulary.kept))
        bert = transformers.BertConfig(
            vocab_size=len(vocabulary.kept),
            hidden_size=shape.width,
            num_hidden_layers=config.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.ffn,
            max_position_embeddings=teacher.longest,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            pad_token_id=vocabulary.tokenizer.pad_token_id or 0,
            type_vocab_size=max(int(getattr(teacher.encoder.config, "type_vocab_size", 1)), 1),
            layer_norm_eps=float(teacher.encoder.config.layer_norm_eps),
        )
        self.encoder = transformers.BertModel(bert, add_pooling_layer=False)
        if student.initial != "random":
            with torch.no_grad():
                _copy_embeddings(self.encoder, teacher, vocabulary.kept)
        if student.initial == "layers":
            _copy_layers(self.encoder, teacher, student.layers_from)

    def trace(self, reading: Reading) -> Trace:
        """Return what goes on inside."""
        tokens = reading.tokens
        return trace_encoder(self.encoder, tokens._replace(tokens=self._ids[tokens.tokens]), self.depth)

    def view(self, trace: Trace, reading: Reading) -> Trace:
        """Return the trace as it is."""
        return trace

    def hidden_units(self, reading: Reading) -> tuple[Tensor, Tensor]:
        """Return all subwords of the hidden words, for both."""
        tokens = ((reading.shares > 0) & reading.hidden[..., None]).any(1).nonzero()
        return tokens, tokens

    def make_head(self) -> LanguageHead:
        """Return a head that compares with the student's own embeddings, and so teaches them, too."""
        return LanguageHead(self.width, len(self.guesses), self.encoder.get_input_embeddings().weight)

    def write(self, folder: Path) -> None:
        """Write encoder and tokenizer in the Hugging Face layout."""
        self.encoder.save_pretrained(folder)
        self.vocabulary.tokenizer.save_pretrained(folder)

    def parameters_count(self) -> int:
        """Return how many numbers the encoder has, embeddings included."""
        return sum(parameter.numel() for parameter in self.encoder.parameters())


def _copy_embeddings(encoder: Any, teacher: EncoderTeacher, kept: Sequence[int]) -> None:
    """Begin with the teacher's embeddings, in a narrower student with their principal components."""
    mine, its = encoder.embeddings, teacher.encoder.embeddings
    words = its.word_embeddings.weight[torch.tensor(kept)].float()
    width = mine.word_embeddings.weight.shape[1]
    if words.shape[1] < width:
        raise TrainingError(
            f"--initial begins with the teacher's embeddings, {words.shape[1]} wide: --width {width} is wider"
        )
    basis = torch.eye(width)
    if words.shape[1] > width:
        basis = torch.linalg.eigh(words.T @ words).eigenvectors.flip(1)[:, :width]
    else:
        mine.LayerNorm.load_state_dict(its.LayerNorm.state_dict())
    offset = position_offset(teacher.encoder)
    mine.word_embeddings.weight.copy_(words @ basis)
    positions = its.position_embeddings.weight[offset : offset + len(mine.position_embeddings.weight)].float()
    mine.position_embeddings.weight.copy_(positions @ basis)
    mine.token_type_embeddings.weight.copy_(its.token_type_embeddings.weight.float() @ basis)


def _copy_layers(encoder: Any, teacher: EncoderTeacher, layers_from: str) -> None:
    """Begin with layers of the teacher: the lowest ones, or every so many."""
    theirs = teacher.encoder.encoder.layer
    depth = len(encoder.encoder.layer)
    if depth > len(theirs):
        raise TrainingError(f"the teacher has {len(theirs)} layers, and a student of {depth} is to begin with them")
    heads = (encoder.config.num_attention_heads, teacher.encoder.config.num_attention_heads)
    for number, layer in enumerate(encoder.encoder.layer):
        source = number if layers_from == "lower" else (number + 1) * len(theirs) // depth - 1
        try:
            if heads[0] != heads[1]:
                raise RuntimeError(f"{heads[0]} heads here, {heads[1]} there")
            layer.load_state_dict(theirs[source].state_dict())
        except RuntimeError as error:
            config = teacher.encoder.config
            raise TrainingError(
                "a student that begins with the teacher's layers has its shape: --width "
                f"{config.hidden_size} --heads {config.num_attention_heads} --ffn {config.intermediate_size}"
            ) from error


def make_student(
    config: ModelConfig,
    student: StudentConfig,
    teacher: EncoderTeacher,
    words: Sequence[bytes],
    *,
    relates: bool,
) -> Student:
    """Return an untrained student.

    Args:
        config: Its shape.
        student: What it reads, and how it begins.
        teacher: The teacher.
        words: Distinct words of the texts, in the order of their indices.
        relates: Whether relations are learned.

    Raises:
        TeacherError: The teacher's tokenizer cannot be pruned.
        TrainingError: It cannot begin as it is to begin.
    """
    if student.input == "words":
        if student.initial != "random":
            raise TrainingError("a network on words has no embeddings, so it begins at random (--initial random)")
        table = WordTokens(teacher.tokenizer)
        rows = table.index(words)
        used = sorted(set(table.collate([rows], sys.maxsize).tokens[0].tolist())) if rows else []
        return WordStudent(config, words, used, relates)
    if config.network != "transformer":
        raise TrainingError("a network on subwords is a transformer: --network transformer, or --input words")
    tokenizer = teacher.tokenizer
    return SubwordStudent(
        config, student, teacher, prune_vocabulary(tokenizer, words) if student.prune else keep_all(tokenizer)
    )
