"""WebAssembly with kernels of our own: Node has PyTorch's numbers, in every precision."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from makers.native_small import TOLERANCE, build_small
from makers.small import TEXTS

from compile.native.proof import answer_texts
from compile.native.web import node_command
from pqrnn.evaluation.prediction import compute_logits

pytestmark = [
    pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'"),
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
]


@pytest.mark.parametrize("bits", [8, 4, 32])
def test_node_has_the_numbers_of_pytorch(bits: int, tmp_path: Path) -> None:
    made, model = build_small(tmp_path, "webassembly", bits)
    assert made.proof.machine == "Node"
    command = node_command(tmp_path / "native" / "webassembly", tmp_path)
    assert command is not None
    answers = answer_texts(command, [text.encode() for text in TEXTS], "Node")
    for answer, wanted in zip(answers, compute_logits(model.folded(), TEXTS), strict=True):
        assert np.abs(np.array(answer["intent_logits"], np.float32) - wanted.intent).max() < TOLERANCE[bits]
