"""What a model says about texts, in PyTorch, decided by the very decoder that runs on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pqrnn.corpus import Corpus, collate
from pqrnn.features import group_texts
from pqrnn.metrics import Frame
from pqrnn.model import ParserModel
from pqrnn.network import Network, WordTable
from pqrnn.projection import pack_texts
from pqrnn.scoring import frame_of_parse
from runtime_py.decoding import Decoder, Parse, encode_text

_BATCH = 128


def predict_texts(model: ParserModel, decoder: Decoder, texts: Sequence[str | bytes]) -> list[Parse]:
    """Parse texts with the whole program, from bytes. Never cuts a text. `model` must be in evaluation mode."""
    pairs = [encode_text(text) for text in texts]
    parses: list[Parse | None] = [None] * len(pairs)
    with torch.inference_mode():
        for size, rows in group_texts([raw for _, raw in pairs]):
            packed = pack_texts([pairs[row][1] for row in rows], size)
            words = max(1, int(model.projection.segment(packed, 1)[1].max()))
            found = model(packed, words)
            for place, row in enumerate(rows):
                count = int(found.word_count[place])
                results = (found.intent[place].numpy(), found.tags[place, :count].numpy(), found.spans[place, :count].numpy())
                parses[row] = decoder.parse(*pairs[row], *results)
    return [parse for parse in parses if parse is not None]


def predict_corpus(model: Network, decoder: Decoder, corpus: Corpus, table: WordTable) -> list[Frame]:
    """Frames of a corpus from words looked up: the same answers as `predict_texts`, quicker, for the development split at every epoch."""
    frames: list[Frame] = [("", ())] * len(corpus.rows)
    order = sorted(range(len(corpus.rows)), key=lambda row: len(corpus.rows[row].words))
    with torch.inference_mode():
        for first in range(0, len(order), _BATCH):
            rows = order[first : first + _BATCH]
            batch = collate([corpus.rows[row] for row in rows])
            encoding = model.encode_words(table, batch.words, batch.mask)
            for place, row in enumerate(rows):
                text, spans = corpus.examples[row].text, corpus.spans[row]
                tags = encoding.tags[place, : len(spans)].numpy()
                parse = decoder.parse(text, text.encode(), encoding.intent[place].numpy(), tags, torch.tensor(spans, dtype=torch.int32).numpy())
                frames[row] = frame_of_parse(parse)
    return frames
