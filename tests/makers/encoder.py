"""A small untrained BERT in the Hugging Face layout, with a tokenizer that cuts words into pieces."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PIECES = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *_LETTERS,
    *(f"##{letter}" for letter in _LETTERS),
    *("the", "##oom", "lights"),
]


def write_encoder(folder: Path, layers: int = 2) -> Path:
    """Write the encoder into a folder that exists, and return the folder."""
    (folder / "vocab.txt").write_text("\n".join(_PIECES))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(_PIECES),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder
