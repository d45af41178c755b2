"""A tiny encoder that teaches, and texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from makers.encoder import write_encoder

from pqrnn.encoders.texts import Corpus, make_corpus

ROOMS = ("kitchen", "hall", "cellar", "garage", "attic", "garden", "bathroom")
TEXTS = [
    f"{verb} the {room} {thing}"
    for verb in ("switch on", "please turn off", "dim")
    for room in ROOMS
    for thing in ("lights", "lamp in the corner")
]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without a head that guesses hidden words; its weights are large enough for words to matter."""
    import torch
    import transformers

    folder = write_encoder(tmp_path_factory.mktemp("encoder"))
    model = transformers.AutoModel.from_pretrained(folder)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1:
                value.mul_(3.0 if "embeddings" in name else 8.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def guesser(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT that was saved with such a head."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("guesser")
    torch.manual_seed(1)
    transformers.BertForMaskedLM(transformers.AutoConfig.from_pretrained(encoder)).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return make_corpus(TEXTS, 16)
