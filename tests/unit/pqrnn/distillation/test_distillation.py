"""Distillation, from the teacher's answers to the student's losses.

Losses against their definitions, logit stores that survive kills and damage, teachers that answer about the student's
words.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers.encoder import write_encoder
from safetensors.torch import load_file

from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.dataset.encoded import EncodedUtterance
from pqrnn.distillation import logit_store as lessons_module
from pqrnn.distillation.labelling import answer, average_logits, label_transfer_set
from pqrnn.distillation.loading import carry_weights, load_teacher
from pqrnn.distillation.logit_store import TeacherLogits, TransferText, read_logits, write_logits
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.distillation.pretrained import find_encoder, load_encoder
from pqrnn.distillation.romanization import romanise
from pqrnn.distillation.subwords import WordTokens
from pqrnn.distillation.teacher import TeacherModel
from pqrnn.distillation.transfer_set import make_transfer_set
from pqrnn.errors import CheckpointError, TeacherError, TrainingError
from pqrnn.model.losses import (
    IGNORED,
    SHARPNESS,
    Totals,
    distillation_loss,
    joint_loss,
    relate,
    relation_loss,
    soft_loss,
)
from pqrnn.model.network import Encoding
from pqrnn.recipes.settings import (
    DistillationConfig,
    ModelConfig,
    ProjectionConfig,
    TeacherConfig,
    TrainingConfig,
    TransferConfig,
)
from pqrnn.training.trainer import train
from runtime_py.decode.labels import Labels

transformers = pytest.importorskip("transformers", reason="teachers need the extra 'teacher'")

_ROOMS = ("kitchen", "hall", "living room", "cellar", "garage", "bedroom")
_MODEL = ModelConfig(projection=ProjectionConfig(word_features=64, ngram_features=64), bottleneck=32, state=16)
_CONFIG = TrainingConfig(epochs=2, batch=8, learning_rate=1e-2, patience=0)


def _examples() -> list[Example]:
    made = []
    for verb, intent in (("switch on", "on"), ("turn off", "off")):
        for room in _ROOMS:
            text = f"please {verb} the {room} lights"
            start = text.index(room)
            made.append(Example(text, intent, (SlotSpan("room", start, start + len(room)),)))
    return made


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained encoder in the Hugging Face layout."""
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def teacher(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train(folder, _examples(), _examples(), TeacherConfig(encoder=str(encoder)), _CONFIG)
    return folder


def _kl(teacher: list[float], student: list[float], temperature: float) -> float:
    """The definition, in float64 and plain Python."""

    def softmax(logits: list[float]) -> list[float]:
        top = max(logits)
        powers = [math.exp((logit - top) / temperature) for logit in logits]
        return [power / sum(powers) for power in powers]

    return temperature**2 * sum(p * math.log(p / q) for p, q in zip(softmax(teacher), softmax(student), strict=True))


_LOGITS = st.lists(st.floats(-6, 6), min_size=4, max_size=4)


@given(_LOGITS, _LOGITS, st.floats(0.5, 8.0))
def test_soft_loss_is_the_scaled_divergence(teacher: list[float], student: list[float], temperature: float) -> None:
    found = soft_loss(
        torch.tensor(student, dtype=torch.float64), torch.tensor(teacher, dtype=torch.float64), temperature
    )
    assert float(found) == pytest.approx(_kl(teacher, student, temperature), abs=1e-9)
    assert float(soft_loss(torch.tensor(teacher), torch.tensor(teacher), temperature)) == pytest.approx(0.0, abs=1e-5)


def test_distillation_loss_sums_words_and_skips_padding() -> None:
    torch.manual_seed(1)
    student, targets = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    intent, intent_targets = torch.randn(2, 5), torch.randn(2, 5)
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])[..., None]
    expected = (
        sum(_kl(targets[b, w].tolist(), student[b, w].tolist(), 2.0) for b, w in ((0, 0), (0, 1), (0, 2), (1, 0))) / 2
    )
    expected += 3.0 * sum(_kl(intent_targets[b].tolist(), intent[b].tolist(), 2.0) for b in (0, 1)) / 2
    assert float(distillation_loss(intent, student, intent_targets, targets, mask, 2.0, 3.0)) == pytest.approx(
        expected, rel=1e-4
    )


def test_joint_loss_leaves_out_unknown_labels() -> None:
    intent, tags = torch.randn(2, 5), torch.randn(2, 3, 4)
    known = joint_loss(intent[:1], tags[:1], torch.tensor([2]), torch.tensor([[0, 1, 2]]))
    both = joint_loss(intent, tags, torch.tensor([2, IGNORED]), torch.tensor([[0, 1, 2], [IGNORED] * 3]))
    intent_part = torch.nn.functional.cross_entropy(intent[:1], torch.tensor([2]))
    assert float(both) == pytest.approx(float(intent_part + (known - intent_part) / 2), rel=1e-5)
    nothing = joint_loss(intent, tags, torch.tensor([IGNORED] * 2), torch.full((2, 3), IGNORED))
    assert float(nothing) == 0.0


def _relations(states: list[list[float]], heads: int) -> list[list[list[float]]]:
    """The definition, in plain Python: [head][word][word]."""
    size = len(states[0]) // heads

    def cosine(left: list[float], right: list[float]) -> float:
        dot = sum(a * b for a, b in zip(left, right, strict=True))
        return dot / math.sqrt(sum(a * a for a in left) * sum(b * b for b in right))

    made = []
    for head in range(heads):
        parts = [row[head * size : (head + 1) * size] for row in states]
        powers = [[math.exp(SHARPNESS * cosine(left, right)) for right in parts] for left in parts]
        made.append([[power / sum(row) for power in row] for row in powers])
    return made


def test_relations_are_softmaxed_cosines_of_each_heads_share() -> None:
    torch.manual_seed(2)
    states, mask = torch.randn(2, 4, 6), torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]])[..., None]
    found = relate(states, mask, 3).exp()
    for row, words in ((0, 4), (1, 2)):
        torch.testing.assert_close(
            found[row, :, :words, :words],
            torch.tensor(_relations(states[row, :words].tolist(), 3)),
            rtol=1e-4,
            atol=1e-6,
        )
    assert not found[1, :, :2, 2:].any()  # nothing relates to padding


def test_relation_loss_is_the_divergence_by_head_and_word_and_knows_no_widths() -> None:
    torch.manual_seed(3)
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])[..., None]
    teacher, student = torch.randn(2, 3, 8), torch.randn(2, 3, 4, requires_grad=True)  # of unlike width
    targets = relate(teacher, mask, 2).exp()
    expected = 0.0
    for row, words in ((0, 3), (1, 2)):
        theirs, ours = (_relations(states[row, :words].tolist(), 2) for states in (teacher, student.detach()))
        for head in range(2):
            expected += (
                sum(
                    p * math.log(p / q)
                    for ps, qs in zip(theirs[head], ours[head], strict=True)
                    for p, q in zip(ps, qs, strict=True)
                )
                / 2
                / 2
            )
    found = relation_loss(student, targets, mask)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-3)
    assert float(relation_loss(student.detach(), targets, mask, Totals(1.0, 1.0))) == pytest.approx(
        2 * expected, rel=1e-3
    )
    found.backward()
    assert student.grad is not None and student.grad[1, 2].abs().sum() == 0.0 and student.grad[0].abs().sum() > 0.0
    assert float(relation_loss(teacher, targets, mask)) == pytest.approx(0.0, abs=1e-5)
    assert bool(torch.isfinite(relation_loss(torch.zeros(2, 3, 4), targets, mask)))  # states of a dropped word


def _drafts(number: int) -> list[TransferText]:
    return [
        TransferText(
            n // 2,
            (b"word", str(n).encode(), "über".encode()),
            (0, n % 2, 1) if n % 3 else None,
            n % 2 if n % 3 else -1,
        )
        for n in range(number)
    ]


def _label(part: list[TransferText] | tuple[TransferText, ...]) -> TeacherLogits:
    words = [word for draft in part for word in draft.words]
    return TeacherLogits(
        torch.tensor([[float(draft.source), -1.0] for draft in part]),
        torch.tensor([[float(len(word)), 0.5] for word in words]),
    )


_LABELS = Labels(("a", "b"), ("O", "B-x"))


def _write(folder: Path, drafts: list[TransferText], label: object = _label, fingerprint: str = "f") -> None:
    write_logits(folder, drafts, label, fingerprint=fingerprint, labels=_LABELS, teachers=["t"], utterances=10)  # type: ignore[arg-type]


def test_lessons_come_back_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons_module, "SHARD", 4)
    drafts = _drafts(11)
    _write(tmp_path, drafts)
    found = read_logits(tmp_path)
    assert found.texts == drafts
    targets = found.targets([3, 7], 5)
    assert targets.intent.tolist() == [[1.0, -1.0], [3.0, -1.0]]
    assert targets.tags.shape == (2, 5, 2)
    assert targets.tags[0, :3, 0].tolist() == [4.0, 1.0, 5.0] and not targets.tags[:, 3:].any()


def test_labelling_goes_on_after_a_kill_and_mends_a_damaged_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons_module, "SHARD", 4)
    drafts, asked = _drafts(11), []

    def killed_at_second(part: list[TransferText]) -> TeacherLogits:
        asked.append(len(part))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return _label(part)

    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path, drafts, killed_at_second)
    with pytest.raises(TeacherError, match="4 of 11 texts are labelled"):
        read_logits(tmp_path)
    asked.clear()
    asked += [0, 0]
    _write(tmp_path, drafts, killed_at_second)
    assert asked[2:] == [4, 3]  # the first shard was not labelled again
    path = tmp_path / "00001.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x77")
    with pytest.raises(TeacherError, match=r"00001.*damaged"):
        read_logits(tmp_path)
    _write(tmp_path, drafts)
    assert read_logits(tmp_path).texts == drafts
    with pytest.raises(TeacherError, match="another teacher"):
        _write(tmp_path, drafts, fingerprint="g")


def test_words_point_at_their_first_piece(encoder: Path) -> None:
    table = WordTokens(load_encoder(str(encoder))[1])
    rows = table.index([b"the", b"room", b"lights", "\u2603".encode()])
    batch = table.collate([rows, rows[:1]], 40)
    pieces = (encoder / "vocab.txt").read_text().split("\n")
    first = [pieces[token] for token in batch.tokens[0].tolist()]
    assert first == ["[CLS]", "the", "r", "##oom", "lights", "[UNK]", "[SEP]"]
    assert [first[start] for start in batch.starts[0].tolist()] == ["the", "r", "lights", "[UNK]"]
    assert batch.attention.sum(1).tolist() == [7, 3]
    assert table.collate([rows * 20], 16).tokens.shape == (1, 16)  # cut where the encoder ends
    assert table.collate([[]], 16).tokens.tolist() == [[2, 3]]


def test_words_of_any_script_can_be_read_in_latin_letters(encoder: Path) -> None:
    tokenizer = load_encoder(str(encoder))[1]
    pieces = (encoder / "vocab.txt").read_text().split("\n")

    def read(table: WordTokens, word: str) -> list[str]:
        batch = table.collate([table.index([word.encode()])], 40)
        return [pieces[token] for token in batch.tokens[0, 1:-1].tolist()]

    assert read(WordTokens(tokenizer), "अलार्म") == ["[UNK]"]
    latin = WordTokens(tokenizer, romanise)
    assert read(latin, "अलार्म") == ["a", "##l", "##a", "##r", "##m"]
    assert read(latin, "alarm") == read(latin, "अलार्म")
    assert romanise("größe") == "grosse" and romanise("\u200d") == "\u200d"  # nothing to read stays


@given(st.text(max_size=20))
def test_latin_letters_are_ascii_wherever_there_are_any(text: str) -> None:
    spelled = romanise(text)
    assert spelled == text or spelled.isascii()
    if text.isascii():
        assert spelled == text


def test_a_teacher_goes_on_from_another_one_with_other_labels(teacher: Path, encoder: Path, tmp_path: Path) -> None:
    model, facts = load_teacher(teacher)
    assert isinstance(model, TeacherModel)
    wanted = Labels(("dim", "on"), ("O", "B-room"))
    weights = carry_weights(model, facts.labels, wanted)
    known = model.state_dict()
    assert not weights["intent.weight"][0].any() and torch.equal(
        weights["intent.weight"][1], known["intent.weight"][facts.labels.intents.index("on")]
    )
    assert torch.equal(weights["tags.bias"][1], known["tags.bias"][facts.labels.tags.index("B-room")])
    other = TeacherModel(TeacherConfig(encoder=str(encoder)), 2, 2)
    other.load_state_dict(weights)  # which says so if a shape or a name were wrong
    drafts = [TransferText(0, (b"turn", b"on"), None, -1)]
    before, after = answer(model, drafts), answer(other.eval(), drafts)
    torch.testing.assert_close(after.intent[:, 1], before.intent[:, facts.labels.intents.index("on")])
    torch.testing.assert_close(after.tags[:, 1], before.tags[:, facts.labels.tags.index("B-room")])

    from pqrnn.api.learning import _carry_teacher

    student = tmp_path / "student"
    train(student, _examples(), _examples(), _MODEL, _CONFIG)
    with pytest.raises(TeacherError, match="a parser, expected a fine-tuned encoder"):
        _carry_teacher(student, _examples())
    assert torch.equal(_carry_teacher(teacher, _examples())["tags.weight"], known["tags.weight"])


def test_a_teacher_is_trained_read_back_and_answers_by_word(teacher: Path) -> None:
    model, facts = load_teacher(teacher)
    assert isinstance(model, TeacherModel) and facts.labels.intents == ("off", "on")
    with pytest.raises(CheckpointError):
        load_checkpoint(teacher)  # it is no student
    drafts = [TransferText(0, (b"turn", b"off"), None, -1), TransferText(1, (b"lights",), None, -1)]
    together, alone = answer(model, drafts), answer(model, drafts[1:])
    assert together.intent.shape == (2, 2) and together.tags.shape == (3, 3)
    torch.testing.assert_close(together.intent[1:], alone.intent, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.tags[2:], alone.tags, rtol=1e-4, atol=1e-5)


def test_embeddings_stay_unless_asked_for(teacher: Path, encoder: Path) -> None:
    before = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"]
    after = load_file(teacher / "model.safetensors")
    assert torch.equal(before, after["encoder.embeddings.word_embeddings.weight"])
    moved = load_file(encoder / "model.safetensors")["encoder.layer.0.output.dense.weight"]
    assert not torch.equal(moved, after["encoder.encoder.layer.0.output.dense.weight"])


def test_an_ensemble_is_the_mean_of_probabilities() -> None:
    parts = [TeacherLogits(torch.randn(3, 4), torch.randn(5, 2)) for _ in range(3)]
    found = average_logits(parts)
    expected = np.mean([part.intent.double().softmax(-1).numpy() for part in parts], axis=0)
    np.testing.assert_allclose(found.intent.double().softmax(-1).numpy(), expected, atol=1e-6)


def test_drafts_are_variants_with_gold_labels_and_texts_without() -> None:
    labels = Labels(("off", "on"), ("O", "B-room", "I-room"))
    drafts = make_transfer_set(
        _examples(),
        ["what a day", "please switch on the hall lights"],
        labels,
        _transfer(variants=5, variant_swap=1.0),
    )
    known = [draft for draft in drafts if draft.source < len(_examples())]
    assert {draft.source for draft in known} == set(range(len(_examples())))
    assert len(known) > len(_examples())
    for draft in known:
        assert draft.tags is not None and len(draft.tags) == len(draft.words)
        value = b" ".join(word for word, tag in zip(draft.words, draft.tags, strict=True) if tag).decode()
        assert value in _ROOMS
    assert [draft.words for draft in drafts[len(known) :]] == [
        (b"what", b"a", b"day")
    ]  # the other is a training utterance


def _two_languages() -> list[Example]:
    """As `_examples`, with a carrier each that only one utterance has, and the same in a second language."""
    made = []
    for pattern, language, rooms in (
        ("please switch on the {} lights", "en", _ROOMS),
        ("bitte schalte das Licht in {} ein", "de", ("Küche", "Bad")),
    ):
        for room in rooms:
            start = pattern.index("{")
            made.append(
                Example(pattern.format(room), "on", (SlotSpan("room", start, start + len(room)),), locale=language)
            )
    made.append(Example("lights on in hall now", "on", (SlotSpan("room", 13, 17),), locale="en"))
    made.append(Example("off with hall", "off", (SlotSpan("room", 9, 13),), locale="en"))
    return made


_ROOM_LABELS = Labels(("off", "on"), ("O", "B-room", "I-room"))


def _transfer(**changes: Any) -> TransferConfig:
    """Settings that rewrite no variant, so that what else is done can be told."""
    return TransferConfig(**changes)


def test_recombined_drafts_keep_gold_labels_only_where_their_template_is_known() -> None:
    training = _two_languages()
    drafts = make_transfer_set(
        training, [], _ROOM_LABELS, _transfer(variants=40, variant_swap=0.0, cross=0.7, drop=0.3)
    )
    texts = {b" ".join(draft.words): draft for draft in drafts}
    assert texts[b"please switch on the hall now"].intent == -1 and texts[b"please switch on the hall now"].tags is None
    assert texts[b"please switch on the lights"].intent == -1  # dropped
    assert texts[b"please switch on the hall lights"].intent == 1
    assert not any(b"bitte" in text and b"lights" in text for text in texts)  # languages are not mixed unless asked for
    carriers = {
        b"please switch on the X lights",
        b"lights on in X now",
        b"off with X",
        b"bitte schalte das licht in X ein",
    }
    for text, draft in texts.items():
        if draft.intent >= 0:
            assert draft.tags is not None
            words = [b"X" if tag else word.lower() for word, tag in zip(draft.words, draft.tags, strict=True)]
            assert (
                b" ".join(
                    word for word, next_ in zip(words, [*words[1:], b""], strict=True) if (word, next_) != (b"X", b"X")
                )
                in carriers
            ), text


def test_switched_drafts_mix_languages_and_each_change_can_be_off() -> None:
    training = _two_languages()
    plain = make_transfer_set(training, [], _ROOM_LABELS, _transfer(variants=20, variant_swap=0.0))
    assert [draft.words for draft in plain] == [
        tuple(example.text.encode().split()) for example in training
    ]  # nothing on: nothing new
    switched = make_transfer_set(training, [], _ROOM_LABELS, _transfer(variants=40, variant_swap=0.0, switch=0.5))
    texts = {b" ".join(draft.words): draft for draft in switched}
    mixed = texts["please switch on the Küche lights".encode()]
    assert mixed.intent == 1 and mixed.tags == (0, 0, 0, 0, 1, 0)  # a value of the same slot keeps the labels
    assert b"bitte schalte das Licht in living room ein" in texts
    crossed = make_transfer_set(
        training, [], _ROOM_LABELS, _transfer(variants=40, variant_swap=0.0, switch=0.5, cross=1.0)
    )
    joined = {b" ".join(draft.words): draft for draft in crossed}["please switch on the Küche ein".encode()]
    assert joined.tags is None  # carriers of two languages: the teacher decides


def test_misspelled_drafts_keep_gold_labels_and_originals_stay() -> None:
    drafts = make_transfer_set(
        _examples(), [], _ROOM_LABELS, _transfer(variants=5, variant_swap=0.0, variant_misspell=0.3)
    )
    by_source: dict[int, list[TransferText]] = {}
    for draft in drafts:
        by_source.setdefault(draft.source, []).append(draft)
    for source, example in enumerate(_examples()):
        first, *others = by_source[source]
        assert first.words == tuple(example.text.encode().split()) and others
        assert all(
            (each.tags, each.intent) == (first.tags, first.intent) and each.words != first.words for each in others
        )
    assert (
        make_transfer_set(_examples(), [], _ROOM_LABELS, _transfer(variants=5, variant_swap=0.0, variant_misspell=0.3))
        == drafts
    )
    assert (
        make_transfer_set(
            _examples(), [], _ROOM_LABELS, _transfer(variants=5, variant_swap=0.0, variant_misspell=0.3, seed=1)
        )
        != drafts
    )


def test_drawn_texts_are_new_and_have_no_labels_of_their_own() -> None:
    training, labels = _examples(), Labels(("off", "on"), ("O", "B-room", "I-room"))
    plain = make_transfer_set(training, ["turn the fan on please"], labels, _transfer(variants=1))
    drafts = make_transfer_set(training, ["turn the fan on please"], labels, _transfer(variants=1, sampled=0.5))
    assert drafts[: len(plain)] == plain  # what was asked before stays as it was
    drawn = drafts[len(plain) :]
    assert 0 < len(drawn) <= 6 and {draft.words for draft in drawn}.isdisjoint(draft.words for draft in plain)
    assert all(draft.tags is None and draft.intent == -1 for draft in drawn)
    assert len({draft.source for draft in drafts}) == len({draft.source for draft in plain}) + len(drawn)
    assert drafts == make_transfer_set(training, ["turn the fan on please"], labels, _transfer(variants=1, sampled=0.5))


def test_a_student_learns_from_lessons_and_goes_on_after_a_kill(teacher: Path, tmp_path: Path) -> None:
    label_transfer_set(tmp_path / "lessons", [teacher], _examples(), ["dim the attic"], TransferConfig(variants=2))
    made = read_logits(tmp_path / "lessons")
    assert made.texts[-1].intent == -1
    (teacher / "model.safetensors").rename(tmp_path / "away")  # nothing is left to label, so the teacher is not loaded
    label_transfer_set(tmp_path / "lessons", [teacher], _examples(), ["dim the attic"], TransferConfig(variants=2))
    (tmp_path / "away").rename(teacher / "model.safetensors")
    objective = DistillationObjective(made, DistillationConfig())
    train(tmp_path / "whole", _examples(), _examples(), _MODEL, _CONFIG, objective=objective)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", _examples(), _examples(), _MODEL, _CONFIG, objective=objective, stop_after=3)
    train(tmp_path / "killed", _examples(), _examples(), _MODEL, _CONFIG, objective=objective)
    assert (tmp_path / "killed" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
    facts = load_checkpoint(tmp_path / "whole").facts
    assert facts.data["lessons"] == made.digest and facts.training["teachers"] == ["run"]
    with pytest.raises(TrainingError, match="other settings or data"):
        train(tmp_path / "whole", _examples(), _examples(), _MODEL, _CONFIG)
    renamed = [Example(each.text, f"light {each.intent}", each.slots) for each in _examples()]
    with pytest.raises(TrainingError, match="other intents or slots"):
        train(tmp_path / "other", renamed, renamed, _MODEL, _CONFIG, objective=objective)
    with pytest.raises(TrainingError, match="lessons are about 12"):
        train(tmp_path / "other", _examples()[:5], _examples(), _MODEL, _CONFIG, objective=objective)


def test_a_teacher_of_more_labels_teaches_those_of_the_data(teacher: Path, tmp_path: Path) -> None:
    some = [Example(example.text, example.intent) for example in _examples() if example.intent == "on"]
    label_transfer_set(tmp_path / "lessons", [teacher], some, [], TransferConfig(variants=0))
    made = read_logits(tmp_path / "lessons")
    assert made.index.labels == Labels(("on",), ("O",))
    network, facts = load_teacher(teacher)
    whole = answer(network, made.texts)
    columns = facts.labels.intents.index("on"), facts.labels.tags.index("O")
    torch.testing.assert_close(
        made.intent.float(), whole.intent[:, [columns[0]]], rtol=2e-3, atol=2e-3
    )  # kept in float16
    other = [*some, Example("dim the attic", "dim", (SlotSpan("level", 0, 3),))]
    with pytest.raises(TeacherError, match="does not know dim, B-level, I-level"):
        label_transfer_set(tmp_path / "other", [teacher], other, [], TransferConfig(variants=0))


def test_the_loss_of_a_lesson_is_the_weighed_sum_of_both(tmp_path: Path) -> None:
    """Each weight multiplies its own part, that of the intent under the teacher's answers only there."""
    _write(tmp_path, _drafts(4))
    lessons = read_logits(tmp_path)
    rows = [EncodedUtterance([0, 1, 2], None, 0, logit_index) for logit_index in (3, 1)]
    mask = torch.ones(2, 3, 1)
    encoding = Encoding(torch.randn(2, 2), torch.randn(2, 3, 2), torch.randn(2, 3, 4))
    targets = lessons.targets([3, 1], 3)
    intent = sum(_kl(targets.intent[row].tolist(), encoding.intent[row].tolist(), 3.0) for row in range(2)) / 2
    tags = (
        sum(
            _kl(targets.tags[row, word].tolist(), encoding.tags[row, word].tolist(), 3.0)
            for row in range(2)
            for word in range(3)
        )
        / 2
    )
    objective = DistillationObjective(
        lessons, DistillationConfig(temperature=3.0, hard=0.25, soft=0.5, soft_intent_weight=8.0)
    )
    found = objective.blend(torch.tensor(10.0), encoding, rows, mask)
    assert float(found) == pytest.approx(0.25 * 10.0 + 0.5 * (8.0 * intent + tags), rel=1e-4)


def test_a_rewritten_text_is_answered_word_by_word_as_it_was(tmp_path: Path) -> None:
    _write(tmp_path, _drafts(4))
    lessons = read_logits(tmp_path)
    plain, rewritten = lessons.targets([3, 1], 3), lessons.targets([3, 1], 4, [[-1, 0, 2], None])
    assert torch.equal(rewritten.intent, plain.intent)
    assert torch.equal(rewritten.tags[0, 1:3], plain.tags[0, [0, 2]])
    assert torch.equal(rewritten.tags[1, :3], plain.tags[1])
    outside = lessons.index.labels.tags.index("O")
    assert float((rewritten.tags[0, 0] / 10.0).softmax(-1)[outside]) > 0.999


def test_relations_are_kept_when_asked_for_and_pull_the_student_to_them(teacher: Path, tmp_path: Path) -> None:
    label_transfer_set(
        tmp_path / "lessons",
        [teacher, teacher],
        _examples(),
        ["dim the attic"],
        TransferConfig(variants=1, relation_heads=4),
    )
    made = read_logits(tmp_path / "lessons")
    model, _ = load_teacher(teacher)
    numbers = [3, len(made.texts) - 1]
    targets = made.targets(numbers, 9)
    for row, number in enumerate(numbers):
        draft = made.texts[number]
        table = model.make_table()
        words, mask = torch.tensor([table.index(draft.words)]), torch.ones(1, len(draft.words), 1)
        with torch.inference_mode():
            expected = relate(model.encode_words(table, words, mask).states, mask, 4).exp()[0]
        assert targets.relations is not None
        torch.testing.assert_close(
            targets.relations[row, :, : len(draft.words), : len(draft.words)], expected, rtol=0, atol=2e-3
        )
        assert (
            not targets.relations[row, :, len(draft.words) :].any()
            and not targets.relations[row, :, :, len(draft.words) :].any()
        )
    config = TrainingConfig(epochs=15, batch=4, learning_rate=1e-2, patience=0, swap=0.0, misspell=0.0)
    distances = []
    for weight in (0.0, 5.0):
        how = DistillationObjective(made, DistillationConfig(relation_weight=weight))
        train(tmp_path / str(weight), _examples(), _examples(), _MODEL, config, objective=how)
        student, _ = load_teacher(tmp_path / str(weight))
        found = answer(student, made.texts, relations=4).relations
        assert found is not None
        theirs = torch.cat([made.relations(number).flatten() for number in range(len(made.texts))]).float()
        distances.append(float((found - theirs).abs().mean()))
    assert distances[1] < 0.7 * distances[0]


def test_relations_that_were_not_kept_or_do_not_fit_are_said(teacher: Path, tmp_path: Path) -> None:
    label_transfer_set(tmp_path / "lessons", [teacher], _examples(), [], TransferConfig(variants=0))
    plain = read_logits(tmp_path / "lessons")
    assert plain.heads == 0 and plain.targets([0], 8).relations is None
    assert "relations" not in load_file(tmp_path / "lessons" / "00000.safetensors")
    with pytest.raises(TrainingError, match="hold no relations"):
        train(
            tmp_path / "run",
            _examples(),
            _examples(),
            _MODEL,
            _CONFIG,
            objective=DistillationObjective(plain, DistillationConfig(relation_weight=1.0)),
        )
    with pytest.raises(TeacherError, match="do not divide the teacher's width, 32"):
        label_transfer_set(tmp_path / "odd", [teacher], _examples(), [], TransferConfig(variants=0, relation_heads=5))


def test_soft_answers_alone_pull_the_student_to_the_teacher(teacher: Path, tmp_path: Path) -> None:
    """With no weight on labels the student ends nearer to its teacher's distribution than a student of the labels."""
    label_transfer_set(tmp_path / "lessons", [teacher], _examples(), [], TransferConfig(variants=0))
    made = read_logits(tmp_path / "lessons")
    config = TrainingConfig(epochs=30, batch=4, learning_rate=1e-2, patience=0, swap=0.0, misspell=0.0)
    distances = []
    for name, hard, soft in (("soft", 0.0, 1.0), ("hard", 1.0, 0.0)):
        train(
            tmp_path / name,
            _examples(),
            _examples(),
            _MODEL,
            config,
            objective=DistillationObjective(made, DistillationConfig(temperature=1.0, hard=hard, soft=soft)),
        )
        student, _ = load_teacher(tmp_path / name)  # a student may teach, too
        distances.append(float(soft_loss(answer(student, made.texts).intent, made.intent.float(), 1.0).mean()))
    assert distances[0] < 0.5 * distances[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [("./no/such/folder", "no such folder"), ("/also/not/there", "no such folder"), ("a/b/c", "no such folder")],
)
def test_encoders_that_are_missing_are_said(name: str, message: str) -> None:
    with pytest.raises(TeacherError, match=message):
        find_encoder(name)


def test_a_folder_without_an_encoder_and_a_damaged_one_are_said(tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(TeacherError, match="no encoder in the Hugging Face layout"):
        find_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(TeacherError, match="cannot be loaded"):
        load_encoder(str(tmp_path))


def test_offline_hub_names_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(TeacherError, match=r"cannot be loaded: .*\n?.*Without a network, give a folder"):
        load_encoder("nobody/no-such-encoder")


def test_variants_are_rewritten_as_people_write() -> None:
    """With the gold labels, for what is added or left out means nothing."""
    config = _transfer(variants=20, variant_swap=0.0)
    plain = {text.words for text in make_transfer_set(_examples(), [], _ROOM_LABELS, config)}
    config = msgspec.structs.replace(config, variant_restyle=1.0)
    fresh = [each for each in make_transfer_set(_examples(), [], _ROOM_LABELS, config) if each.words not in plain]
    assert len(fresh) > len(_examples())
    assert all(text.tags is not None and len(text.tags) == len(text.words) and text.intent >= 0 for text in fresh)
