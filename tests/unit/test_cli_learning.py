"""Settings from the command line: what makes no run is said in a sentence, by every verb that trains."""

from __future__ import annotations

import pytest

from pqrnn.cli.learning import make_config, make_shape
from pqrnn.errors import TrainingError
from pqrnn.training import choose_precision


def test_a_precision_that_there_is_not_is_refused() -> None:
    with pytest.raises(TrainingError, match="precision must be 'float32' or 'bfloat16', not 'foo'"):
        make_config("foo", epochs=1)
    assert make_config("auto").precision == choose_precision()
    assert make_config("float32", epochs=3).epochs == 3


def test_a_shape_that_there_is_not_is_refused() -> None:
    with pytest.raises(TrainingError, match="pool_heads must divide twice the state"):
        make_shape(64, 64, state=16, pool_heads=7)
    shape = make_shape(64, 0, state=16)
    assert (shape.projection.word_features, shape.projection.ngram_features, shape.state) == (64, 0, 16)
