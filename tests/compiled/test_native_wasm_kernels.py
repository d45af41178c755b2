"""WebAssembly with kernels of our own: Node has PyTorch's numbers, in every precision."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers.native_small import TOLERANCE, build_small
from makers.small import TEXTS

from compile.native.proof import answer_texts
from compile.native.web import node_command
from pqrnn.evaluation.prediction import compute_logits
from runtime_py.native.manifest import read_manifest

pytestmark = [
    pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'"),
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
]


@pytest.mark.parametrize("bits", [8, 4, 32])
def test_node_has_the_numbers_of_pytorch(bits: int, tmp_path: Path) -> None:
    made, model = build_small(tmp_path, "webassembly", bits)
    assert made.proof.machine == "Node"
    plain, relaxed = read_manifest(tmp_path / "native").variants
    assert (plain.target, plain.library) == ("webassembly", "webassembly/small.wasm")
    assert (relaxed.target, relaxed.library) == ("webassembly-relaxed", "webassembly/small.relaxed.wasm")
    assert relaxed.features == ("relaxed-simd", "simd128")
    if relaxed.proved_on is None:
        assert "this Node does not take small.relaxed.wasm" in str(relaxed.unverified_reason)
    names = ("small.wasm", "", *(() if relaxed.proved_on is None else ("small.relaxed.wasm",)))
    said = [_answer(tmp_path, name) for name in names]
    for answers in said:
        for answer, wanted in zip(answers, compute_logits(model.folded(), TEXTS), strict=True):
            assert np.abs(np.array(answer["intent_logits"], np.float32) - wanted.intent).max() < TOLERANCE[bits]


def _answer(folder: Path, module: str) -> list[dict[str, Any]]:
    command = node_command(folder / "native" / "webassembly", folder, module)
    assert command is not None
    return answer_texts(command, [text.encode() for text in TEXTS], "Node")
