"""What a model says about texts, in PyTorch, decided by the very decoder that runs on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pqrnn.dataset.collate import collate, pad_words
from pqrnn.dataset.encoded import EncodedDataset
from pqrnn.evaluation.frames import frame_of_parse
from pqrnn.evaluation.metrics import Frame
from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import group_texts, segment_texts
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.length_config import LengthConfig
from pqrnn.model.network import Network, WordTable
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ProjectionConfig
from runtime_py.decode.answers import Parse, encode_text
from runtime_py.decode.decoder import Decoder

_BATCH = 128


class Prediction(NamedTuple):
    """Outputs for one text, without padding rows.

    Attributes:
        intent: Logits of the intents, float [I].
        tags: Logits of the tags, float [words, L].
        spans: Start and end byte of every word, int32 [words, 2].
    """

    intent: NDArray[Any]
    tags: NDArray[Any]
    spans: NDArray[np.int32]


def compute_logits(
    model: Network, texts: Sequence[str | bytes], lengths: LengthConfig | None = None
) -> list[Prediction]:
    """Return the outputs for texts, never cut, by all of a network or by a part.

    Those of a parser come from bytes, by the whole program; those of a teacher from its words. `model` must be in
    evaluation mode.
    """
    raw = [encode_text(text)[1] for text in texts]
    with torch.inference_mode():
        if isinstance(model, ParserModel):
            answers = _logits_of_bytes(model, raw, lengths)
        else:
            answers = _logits_of_words(model, raw, lengths)
    return [answers[row] for row in range(len(texts))]


def _logits_of_bytes(model: ParserModel, raw: Sequence[bytes], lengths: LengthConfig | None) -> dict[int, Prediction]:
    answers = {}
    for size, indices in group_texts(raw):
        packed = pack_texts([raw[index] for index in indices], size)
        words = max(1, int(model.projection.segment(packed, 1)[1].max()))
        intent, tags, spans, counts = model(packed, words, lengths)
        for row, index in enumerate(indices):
            count = int(counts[row])
            answers[index] = Prediction(intent[row].numpy(), tags[row, :count].numpy(), spans[row, :count].numpy())
    return answers


def _logits_of_words(model: Network, raw: Sequence[bytes], lengths: LengthConfig | None) -> dict[int, Prediction]:
    spans_of_texts = segment_texts(Projection(ProjectionConfig()), raw)
    table = model.make_table()
    table.index(
        dict.fromkeys(text[start:end] for text, spans in zip(raw, spans_of_texts, strict=True) for start, end in spans)
    )
    words = [
        table.index(text[start:end] for start, end in spans) for text, spans in zip(raw, spans_of_texts, strict=True)
    ]
    order = sorted(range(len(raw)), key=lambda index: len(words[index]))
    answers = {}
    for first in range(0, len(order), _BATCH):
        indices = order[first : first + _BATCH]
        encoding = model.encode_words(table, *pad_words([words[index] for index in indices]), lengths)
        for row, index in enumerate(indices):
            spans = np.array(spans_of_texts[index], np.int32).reshape(-1, 2)
            answers[index] = Prediction(encoding.intent[row].numpy(), encoding.tags[row, : len(spans)].numpy(), spans)
    return answers


def predict_texts(model: Network, decoder: Decoder, texts: Sequence[str | bytes]) -> list[Parse]:
    """Parse texts; as `compute_logits`."""
    return decide(decoder, texts, compute_logits(model, texts))


def decide(decoder: Decoder, texts: Sequence[str | bytes], answers: Sequence[Prediction]) -> list[Parse]:
    """Return what answers mean."""
    return [
        decoder.parse(*encode_text(text), answer.intent, answer.tags, answer.spans)
        for text, answer in zip(texts, answers, strict=True)
    ]


def predict_encoded(
    model: Network, decoder: Decoder, dataset: EncodedDataset, table: WordTable, lengths: LengthConfig | None = None
) -> list[Frame]:
    """Return the frames of a data set from words looked up, by all of a network or by a part.

    The answers are those of `predict_texts`, and quicker: for the development split at every epoch.
    """
    answers = compute_encoded_logits(model, dataset, table, lengths)
    return [frame_of_parse(parse) for parse in decide(decoder, [each.text for each in dataset.examples], answers)]


def compute_encoded_logits(
    model: Network, dataset: EncodedDataset, table: WordTable, lengths: LengthConfig | None = None
) -> list[Prediction]:
    """Return the outputs for the texts of a data set from words looked up, by all of a network or by a part."""
    utterances = dataset.utterances
    answers: dict[int, Prediction] = {}
    order = sorted(range(len(utterances)), key=lambda index: len(utterances[index].words))
    with torch.inference_mode():
        for first in range(0, len(order), _BATCH):
            indices = order[first : first + _BATCH]
            batch = collate([utterances[index] for index in indices])
            encoding = model.encode_words(table, batch.words, batch.mask, lengths)
            for row, index in enumerate(indices):
                spans = np.array(dataset.spans[index], np.int32).reshape(-1, 2)
                answers[index] = Prediction(
                    encoding.intent[row].numpy(), encoding.tags[row, : len(spans)].numpy(), spans
                )
    return [answers[row] for row in range(len(utterances))]
