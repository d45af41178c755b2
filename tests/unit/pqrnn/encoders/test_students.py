"""What students and teachers see: words over subwords, what is hidden, how a student begins, fewer pieces."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples

from pqrnn.distillation.subwords import TokenBatch
from pqrnn.encoders.batches import Reader, share_words
from pqrnn.encoders.students import HIDDEN_WORD, Student, SubwordStudent, WordStudent, make_student
from pqrnn.encoders.teachers import EncoderTeacher, load_language_head
from pqrnn.encoders.texts import Corpus, make_corpus
from pqrnn.encoders.vocabulary import prune_vocabulary
from pqrnn.errors import TeacherError, TrainingError
from pqrnn.features.segmentation import segment_texts
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.encoder_settings import StudentConfig
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TransformerConfig

SHAPE = TransformerConfig(width=16, heads=2, ffn=24)


def make(
    teacher: EncoderTeacher, corpus: Corpus, student: StudentConfig, relates: bool = True, **model: Any
) -> Student:
    torch.manual_seed(0)
    shape = {"network": "transformer", "layers": 2, "dropout": 0.0, "transformer": SHAPE, **model}
    config = ModelConfig(projection=ProjectionConfig(word_features=32, ngram_features=32), bottleneck=12, **shape)
    return make_student(config, student, teacher, corpus.words, relates=relates).eval()


@pytest.fixture(scope="module")
def teacher(encoder: Path) -> EncoderTeacher:
    return EncoderTeacher(str(encoder))


def test_words_share_their_subwords_by_hand() -> None:
    """Two texts of [CLS] a a b [SEP] and [CLS] c [SEP]."""
    batch = TokenBatch(
        torch.tensor([[1, 5, 6, 7, 2], [1, 8, 2, 0, 0]]),
        torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        torch.tensor([[1, 3], [1, 0]]),
    )
    shares = share_words(batch, torch.tensor([2, 1]), 1)
    assert shares.tolist() == [
        [[0.0, 0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0]],
        [[0.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 5],
    ]


@examples(30)
@given(st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=14), min_size=1, max_size=4))
def test_every_word_has_its_subwords_and_nothing_else(texts: list[list[int]]) -> None:
    """Also where a text has more subwords than the encoder reads."""
    corpus = Corpus([b"ab", b"kitchen", b"the", b"x", b"cellarman", b"lights", b"on", b"zz"], [], [], "")
    reader = Reader(corpus, TEACHER[0], 0.0)
    reading = reader.read([tuple(text) for text in texts], random.Random(0))
    sums = reading.shares.sum(-1)
    torch.testing.assert_close(sums, reading.mask[..., 0])
    table = reader._table
    for row, text in enumerate(texts):
        taken = set()
        for position, word in enumerate(text):
            tokens = reading.shares[row, position].nonzero()[:, 0].tolist()
            if len(text) <= 4:  # then nothing is cut
                ids = table.collate([[table.index([corpus.words[word]])[0]]], 99).tokens[0].tolist()[1:-1]
                assert reading.originals[row, tokens].tolist() == ids
                assert not taken & set(tokens)
            taken |= set(tokens)


TEACHER: list[EncoderTeacher] = []


@pytest.fixture(autouse=True)
def _keep(teacher: EncoderTeacher) -> None:
    TEACHER[:] = [teacher]


@pytest.mark.parametrize("share", [0.15, 0.5, 1.0])
def test_hidden_words_are_hidden_from_both(teacher: EncoderTeacher, corpus: Corpus, share: float) -> None:
    reader = Reader(corpus, teacher, share)
    reading = reader.read(corpus.texts[:6], random.Random(3))
    assert reading.hidden.any(1).all()
    mask_token = teacher.tokenizer.mask_token_id
    hidden = ((reading.shares > 0) & reading.hidden[..., None]).any(1)
    assert (reading.tokens.tokens[hidden] == mask_token).all()
    assert torch.equal(reading.tokens.tokens[~hidden], reading.originals[~hidden])
    for student in (make(teacher, corpus, StudentConfig()), make(teacher, corpus, StudentConfig(input="subwords"))):
        here, there = student.hidden_units(reading)
        assert len(here) == len(there) > 0
        wanted = reading.originals[there[:, 0], there[:, 1]]
        assert set(wanted.tolist()) <= set(student.guesses.tolist())
        assert (reading.tokens.tokens[there[:, 0], there[:, 1]] == mask_token).all()


def test_a_hidden_word_leaves_nothing_of_itself(teacher: EncoderTeacher, corpus: Corpus) -> None:
    """Whatever the word is, the student sees the same."""
    student = make(teacher, corpus, StudentConfig())
    reader = Reader(corpus, teacher, 0.0)
    reading = reader.read([corpus.texts[0]], random.Random(0))
    hidden = torch.zeros_like(reading.hidden)
    hidden[0, 1] = True
    other = reading.words.clone()
    other[0, 1] = (other[0, 1] + 1) % len(corpus.words)
    first, second = (
        student.trace(reading._replace(words=words, hidden=hidden)).states[-1] for words in (reading.words, other)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, student.trace(reading).states[-1])


def test_the_word_that_hides_others_is_one_word_that_no_text_has() -> None:
    found = segment_texts(ParserModel(ModelConfig(), 1, 1).projection, [HIDDEN_WORD + b" 0"])
    assert found == [[(0, 3), (4, 5)]]


@pytest.mark.parametrize("network", ["transformer", "qrnn"])
def test_the_trace_of_words_is_what_the_parser_computes(teacher: EncoderTeacher, corpus: Corpus, network: str) -> None:
    more: dict[str, Any] = (
        {"network": "qrnn", "state": 8, "transformer": TransformerConfig()} if network == "qrnn" else {}
    )
    student = make(teacher, corpus, StudentConfig(), **more)
    assert isinstance(student, WordStudent)
    reading = Reader(corpus, teacher, 0.0).read(corpus.texts[:3], random.Random(0))
    trace = student.trace(reading)
    encoding = student.model.encode_words(student._table, reading.words, reading.mask)
    assert torch.equal(trace.states[-1], encoding.states)
    assert len(trace.states) == student.depth + 1
    assert trace.relatives is not None and {part.shape[-1] for part in trace.relatives} == {16}
    assert (student.relatives is None) is (network == "transformer")
    assert all(not (state * (1 - reading.mask)).any() for state in trace.states)


def test_the_trace_of_the_teacher_is_its_own_attention(teacher: EncoderTeacher, corpus: Corpus) -> None:
    reading = Reader(corpus, teacher, 0.0).read(corpus.texts[:3], random.Random(0))
    trace = teacher.trace(reading.tokens)
    assert len(trace.states) == teacher.depth + 1
    layer = teacher.encoder.encoder.layer[-1].attention.self
    assert trace.relatives is not None
    for name, part in zip(("query", "key", "value"), trace.relatives, strict=True):
        torch.testing.assert_close(part, getattr(layer, name)(trace.states[-2]))
    first = EncoderTeacher(teacher.name, 1).trace(reading.tokens)
    assert first.relatives is not None and not torch.equal(first.relatives.keys, trace.relatives.keys)


def test_a_student_of_subwords_reads_what_its_tokenizer_writes(
    teacher: EncoderTeacher, corpus: Corpus, tmp_path: Path
) -> None:
    student = make(teacher, corpus, StudentConfig(input="subwords"))
    assert isinstance(student, SubwordStudent)
    assert len(student.guesses) <= len(teacher.tokenizer)
    reading = Reader(corpus, teacher, 0.0).read(corpus.texts[:4], random.Random(0))
    student.write(tmp_path)
    again = EncoderTeacher(str(tmp_path))
    other = Reader(corpus, again, 0.0).read(corpus.texts[:4], random.Random(0))
    assert torch.equal(reading.shares, other.shares)
    torch.testing.assert_close(student.trace(reading).states[-1], again.trace(other.tokens).states[-1])


def test_begins_with_the_embeddings_and_the_layers_of_the_teacher(teacher: EncoderTeacher, corpus: Corpus) -> None:
    shape = TransformerConfig(width=32, heads=2, ffn=64)
    student = make(teacher, corpus, StudentConfig(input="subwords", initial="layers"), transformer=shape)
    reading = Reader(corpus, teacher, 0.0).read(corpus.texts[:4], random.Random(0))
    for mine, its in zip(student.trace(reading).states, teacher.trace(reading.tokens).states, strict=True):
        torch.testing.assert_close(mine, its)  # all of its layers: the same encoder, with fewer pieces
    one = StudentConfig(input="subwords", initial="layers", layers_from="uniform")
    upper = make(teacher, corpus, one, transformer=shape, layers=1)
    assert isinstance(upper, SubwordStudent)
    for name, value in upper.encoder.encoder.layer[0].state_dict().items():
        assert torch.equal(value, teacher.encoder.encoder.layer[1].state_dict()[name])


def test_begins_with_the_principal_components_where_it_is_narrower(teacher: EncoderTeacher, corpus: Corpus) -> None:
    student = make(teacher, corpus, StudentConfig(input="subwords", initial="embeddings"))
    assert isinstance(student, SubwordStudent)
    mine = student.encoder.get_input_embeddings().weight.detach()
    its = teacher.embeddings[student.guesses]
    wanted = torch.linalg.svdvals(its)[:16]
    torch.testing.assert_close(torch.linalg.svdvals(mine), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("student", "model", "said"),
    [
        (StudentConfig(initial="layers"), {}, "begins at random"),
        (StudentConfig(input="subwords", initial="layers"), {}, "--width 32 --heads 2 --ffn 64"),
        (
            StudentConfig(input="subwords", initial="layers"),
            {"transformer": TransformerConfig(width=32, heads=4, ffn=64)},
            "--heads 2",
        ),
        (
            StudentConfig(input="subwords", initial="layers"),
            {"transformer": TransformerConfig(width=32, heads=2, ffn=64), "layers": 3},
            "2 layers",
        ),
        (
            StudentConfig(input="subwords", initial="embeddings"),
            {"transformer": TransformerConfig(width=64, heads=2, ffn=64)},
            "wider",
        ),
        (StudentConfig(input="subwords"), {"network": "qrnn", "transformer": TransformerConfig()}, "--input words"),
    ],
)
def test_what_cannot_begin_is_refused(
    teacher: EncoderTeacher, corpus: Corpus, student: StudentConfig, model: dict[str, Any], said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        make(teacher, corpus, student, **model)


def test_fewer_pieces_cut_the_texts_as_all_do(teacher: EncoderTeacher) -> None:
    words = [b"kitchen", b"bathroom", b"the", b"lights"]
    pruned = prune_vocabulary(teacher.tokenizer, words)
    assert len(pruned.kept) == len(pruned.tokenizer) < len(teacher.tokenizer) + 1
    for text in ("the kitchen", "bathroom lights", "abc xyz"):
        old = teacher.tokenizer(text)["input_ids"]
        new = pruned.tokenizer(text)["input_ids"]
        assert [pruned.kept[piece] for piece in new] == old
    assert pruned.tokenizer.mask_token_id is not None and pruned.tokenizer.pad_token_id == 0


def test_pieces_of_other_scripts_go_and_unigram_works(tmp_path: Path) -> None:
    """A tokenizer of the XLM-R kind: pieces with scores, its own names of special tokens, ids 0 to 3 in front."""
    tokenizer = make_unigram()
    pruned = prune_vocabulary(tokenizer, [b"lamp", b"lights", "café".encode()])
    pieces = pruned.tokenizer.convert_ids_to_tokens(list(range(len(pruned.tokenizer))))
    assert "Д" not in pieces and "▁Ток" not in pieces and "▁unused" not in pieces
    assert {"▁l", "amp", "<mask>", "<s>", "</s>"} <= set(pieces)
    for text in (" lamp", " lights", " café", " pal"):
        old, new = tokenizer(text)["input_ids"], pruned.tokenizer(text)["input_ids"]
        assert [pruned.kept[piece] for piece in new] == old
        assert (new[0], new[-1]) == (pruned.tokenizer.bos_token_id, pruned.tokenizer.eos_token_id)
    pruned.tokenizer.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again(" lamp")["input_ids"] == pruned.tokenizer(" lamp")["input_ids"]


def make_unigram() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [(piece, 0.0) for piece in special]
    pieces += [(letter, -9.0) for letter in "▁abcdefghijklmnopqrstuvwxyzéДТок"]
    pieces += [("▁l", -3.0), ("amp", -3.5), ("ights", -4.0), ("▁caf", -4.0), ("▁unused", -2.0), ("▁Ток", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([*special, "<mask>"])
    ids = {piece: tokenizer.token_to_id(piece) for piece in ("<s>", "</s>")}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=list(ids.items())
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
    )


def test_a_tokenizer_of_another_kind_is_refused_with_a_way_out() -> None:
    from tokenizers import Tokenizer, models

    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    with pytest.raises(TeacherError, match=r"kind BPE.*--no-prune"):
        prune_vocabulary(tokenizer, [b"a"])


def test_heads_that_guess_are_found_where_they_are(encoder: Path, guesser: Path) -> None:
    assert load_language_head(str(encoder)) is None
    head = load_language_head(str(guesser))
    assert head is not None
    model = transformers.AutoModelForMaskedLM.from_pretrained(guesser).eval()
    ids = torch.tensor([[2, 5, 4, 3]])
    with torch.no_grad():
        states = model.bert(ids).last_hidden_state
        torch.testing.assert_close(head(states), model(ids).logits)


def test_teachers_of_other_families_and_layers_are_refused(encoder: Path, tmp_path: Path) -> None:
    config = transformers.DistilBertConfig(vocab_size=60, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    transformers.DistilBertModel(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(encoder).save_pretrained(tmp_path)
    with pytest.raises(TeacherError, match=r"family distilbert.*bert, roberta"):
        EncoderTeacher(str(tmp_path))
    with pytest.raises(TeacherError, match="has 2 layers: --teacher-layer 3"):
        EncoderTeacher(str(encoder), 3)


def test_long_texts_are_cut_into_pieces_and_some_are_held_out() -> None:
    corpus = make_corpus(["one two three four five six seven", "a b", "a b", "x " * 2000, "天" * 900], 3)
    assert max(map(len, corpus.texts)) <= 3
    pieces = [b" ".join(corpus.words[word] for word in text) for text in (*corpus.texts, *corpus.held_out)]
    assert {b"one two three", b"four five six", b"seven", b"a b"} <= set(pieces)
    assert len(pieces) == len(set(pieces))
    assert len(corpus.held_out) == 1
    many = make_corpus([f"text number {number} of many" for number in range(500)], 8)
    assert (len(many.held_out), len(many.texts)) == (10, 490)
    assert not set(many.held_out) & set(many.texts)
