"""The objectives: values computed by hand, a plain oracle, and what has to leave them unchanged."""

from __future__ import annotations

import math

import numpy as np
import oracles.distillation as oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from torch import Tensor

from pqrnn.encoders.objectives import (
    OBJECTIVES,
    choose_heads,
    hidden_loss,
    log_relations,
    output_loss,
    relation_loss,
)
from pqrnn.model.transformer import Relatives
from pqrnn.recipes.encoder_settings import ObjectiveConfig


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_mask(lengths: list[int]) -> Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).float()[..., None]


def relatives(seed: int, *shape: int) -> Relatives:
    return Relatives(*(draw(seed + part, *shape) for part in range(3)))


def doubles(parts: Relatives | list[Tensor]) -> list[np.ndarray]:
    return [part.double().numpy() for part in parts]


def test_outputs_by_hand() -> None:
    """A teacher that says 3/4 and 1/4, a student that says 1/2 and 1/2."""
    teacher, student = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[5.0, 5.0]])
    assert float(output_loss(student, teacher)) == pytest.approx(math.log(2.0))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert float(output_loss(teacher + 7.0, teacher)) == pytest.approx(entropy)  # no less than the teacher's entropy
    assert float(output_loss(torch.cat([student, teacher]), torch.cat([teacher] * 2))) == pytest.approx(
        (math.log(2.0) + entropy) / 2
    )


def test_hidden_states_by_hand() -> None:
    """Two pairs of layers; the second text has one token, and its padding is far off."""
    mask = make_mask([2, 1])
    mine = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [99.0, 99.0]]])
    its = torch.tensor([[[1.0, 0.0], [3.0, 4.0]], [[1.0, 1.0], [0.0, 0.0]]])
    one = (4.0 + 1.0 + 1.0) / 6.0
    assert float(hidden_loss([mine], [its], mask)) == pytest.approx(one)
    assert float(hidden_loss([mine, its], [its, its], mask)) == pytest.approx(one)
    assert float(hidden_loss([mine, mine], [its, its], mask)) == pytest.approx(2 * one)


def test_relations_by_hand() -> None:
    """Two tokens, one head of width 1: products 1, 2, 2, 4 against products that are all 0."""
    mask = make_mask([2])
    value, zero = torch.tensor([[[1.0], [2.0]]]), torch.zeros(1, 2, 1)

    def divergence(first: float, second: float) -> float:
        share = math.exp(first) / (math.exp(first) + math.exp(second))
        return share * math.log(2 * share) + (1 - share) * math.log(2 * (1 - share))

    wanted = (divergence(1.0, 2.0) + divergence(2.0, 4.0)) / 2
    teacher, student = Relatives(value, zero, zero), Relatives(zero, zero, zero)
    assert float(relation_loss(student, teacher, mask, 1)) == pytest.approx(wanted / 3)  # keys and values agree
    wide = Relatives(
        *(torch.cat([part, part], -1) for part in teacher)
    )  # of width 2: products twice as large over sqrt 2
    scaled = (divergence(math.sqrt(2.0), math.sqrt(8.0)) + divergence(math.sqrt(8.0), math.sqrt(32.0))) / 2
    assert float(relation_loss(student, wide, mask, 1)) == pytest.approx(scaled / 3)
    flat = Relatives(*(torch.zeros(1, 2, 2) for _ in range(3)))
    assert float(relation_loss(flat, wide, mask, 2)) == pytest.approx(wanted / 3)  # each head is the narrow one again


@examples(20)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 99))
def test_relations_equal_the_oracle_whatever_the_widths(lengths: list[int], seed: int) -> None:
    mask, longest = make_mask(lengths), max(lengths)
    mine, its = relatives(seed, len(lengths), longest, 8), relatives(seed + 50, len(lengths), longest, 12)
    for heads in (1, 2, 4):
        found = float(relation_loss(mine, its, mask, heads))
        assert found == pytest.approx(oracle.relation_loss(doubles(mine), doubles(its), lengths, heads), abs=1e-5)
        assert found >= -1e-6
    assert float(relation_loss(mine, mine, mask, 2)) == pytest.approx(0.0, abs=1e-6)


@examples(20)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 99))
def test_hidden_states_equal_the_oracle(lengths: list[int], pairs: int, seed: int) -> None:
    shape = (len(lengths), max(lengths), 6)
    mine, its = ([draw(seed + 10 * pair + side, *shape) for pair in range(pairs)] for side in (0, 1))
    wanted = oracle.hidden_loss(doubles(mine), doubles(its), lengths)
    assert float(hidden_loss(mine, its, make_mask(lengths))) == pytest.approx(wanted, rel=1e-5)


@examples(20)
@given(st.integers(1, 6), st.integers(2, 9), st.integers(0, 99))
def test_outputs_equal_the_oracle(tokens: int, vocabulary: int, seed: int) -> None:
    mine, its = 3 * draw(seed, tokens, vocabulary), 3 * draw(seed + 1, tokens, vocabulary)
    wanted = oracle.output_loss(mine.double().numpy(), its.double().numpy())
    assert float(output_loss(mine, its)) == pytest.approx(wanted, rel=1e-5)


def test_padding_has_no_part() -> None:
    lengths = [3, 1, 2]
    mask = make_mask(lengths)
    mine, its = relatives(1, 3, 3, 8), relatives(9, 3, 3, 8)
    spoiled = Relatives(*(torch.where(mask > 0, part, torch.full((), 50.0)) for part in mine))
    assert float(relation_loss(spoiled, its, mask, 4)) == pytest.approx(float(relation_loss(mine, its, mask, 4)))
    assert float(hidden_loss(list(spoiled), list(its), mask)) == pytest.approx(
        float(hidden_loss(list(mine), list(its), mask))
    )
    assert float(log_relations(mine.queries, mask, 2).exp()[1, :, 0, 1:].max()) == 0.0


def test_texts_of_a_batch_count_by_their_tokens() -> None:
    """The mean is over tokens: two texts at once are the mean of both, weighed by their lengths."""
    mask = make_mask([4, 2])
    mine, its = relatives(1, 2, 4, 8), relatives(9, 2, 4, 8)
    parts = []
    for row, length in ((0, 4), (1, 2)):
        here, there = (Relatives(*(each[row : row + 1, :length] for each in relations)) for relations in (mine, its))
        parts.append(float(relation_loss(here, there, make_mask([length]), 4)) * length)
    assert float(relation_loss(mine, its, mask, 4)) == pytest.approx(sum(parts) / 6, rel=1e-5)


def test_gradients_lead_to_the_teacher() -> None:
    mask = make_mask([4, 3])
    its = relatives(9, 2, 4, 12)
    mine = [part.requires_grad_() for part in relatives(1, 2, 4, 8)]
    optimizer = torch.optim.Adam(mine, lr=0.05)
    first = float(relation_loss(Relatives(*mine), its, mask, 4).detach())
    for _ in range(200):
        optimizer.zero_grad()
        loss = relation_loss(Relatives(*mine), its, mask, 4)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1 * first


@pytest.mark.parametrize(
    ("student", "teacher", "heads"),
    [(384, 384, 48), (192, 384, 48), (128, 384, 32), (384, 768, 48), (30, 384, 6), (7, 384, 1)],
)
def test_as_many_relation_heads_as_divide_both(student: int, teacher: int, heads: int) -> None:
    assert choose_heads(student, teacher) == heads
    assert choose_heads(student, teacher, 1) == 1


def test_relation_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"5 relation heads do not divide .* 192 and 384"):
        choose_heads(192, 384, 5)


def test_the_registry_says_what_each_is() -> None:
    for name, objective in OBJECTIVES.items():
        assert ObjectiveConfig(objective=name).objective == objective.name
        assert objective.formula and "arXiv" in objective.source and callable(objective.loss)
    with pytest.raises(ValueError, match="mha, hs, od, not 'kd'"):
        ObjectiveConfig(objective="kd")
    with pytest.raises(ValueError, match="uniform-last, not 'all'"):
        ObjectiveConfig(mapping="all")
