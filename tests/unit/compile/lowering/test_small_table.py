"""The table of code points in three stages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from makers.small import make_model

from compile.lowering.small_table import SmallTableReader, with_small_table
from pqrnn.features.characters import CharacterReader
from pqrnn.features.unicode_table import CODE_POINTS, load_unicode_table


@pytest.mark.parametrize("version", [1, 2])
def test_every_code_point_has_its_entry_in_fewer_bytes(version: int) -> None:
    plain = CharacterReader(version)
    small = SmallTableReader(plain)
    entries = small.look_up(torch.arange(CODE_POINTS, dtype=torch.int32)[None])[0]
    np.testing.assert_array_equal(entries.numpy(), load_unicode_table(version).entries())
    sizes = [sum(buffer.nbytes for buffer in reader.buffers()) for reader in (small, plain)]
    assert sizes[0] < sizes[1] / 2
    assert not {"stage1", "stage2"} & set(dict(small.named_buffers()))


def test_a_parser_is_left_as_it_is() -> None:
    model = make_model(1).folded()
    assert type(with_small_table(model).projection.reader) is SmallTableReader
    assert type(model.projection.reader) is CharacterReader
