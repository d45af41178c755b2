"""WebAssembly with kernels of our own: Node has PyTorch's numbers, in every precision, and no library is called."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from makers.int8 import make_int8
from makers.small import LABELS, TEXTS, make_model

from compile.native.pipeline import NativeOptions, build_native_parsers
from compile.native.proof import answer_texts
from compile.native.web import node_command
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.evaluation.prediction import compute_logits
from pqrnn.model.parser import ParserModel
from pqrnn.quantization import prepare_qat
from runtime_py.package_format.manifest import Bucket

pytestmark = [
    pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'"),
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
]


def _make_four_bits(seed: int) -> ParserModel:
    return prepare_qat(make_model(seed), [Example(text, "") for text in TEXTS], bits=4).eval()


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [(make_int8, 2e-5), (_make_four_bits, 2e-5), (make_model, 1e-4)],
    ids=["int8", "4 bits", "f32"],
)
def test_node_has_the_numbers_of_pytorch(make: Callable[[int], ParserModel], tolerance: float, tmp_path: Path) -> None:
    """Sums of integers are exact, so what is left is the rounding of float32 after them."""
    model = make(1)
    with torch.no_grad():  # far apart, so that no text is too undecided to be kept
        for head in (model.intent, model.tags):
            head.bias.add_(torch.arange(float(len(head.bias))).flip(0))
    facts = Facts(
        config=model.config,
        labels=LABELS,
        data={},
        revision="0",
        training={},
        metrics={},
        lengths=[],
        golden_texts=TEXTS,
    )
    save_checkpoint(tmp_path / "small", model, facts)
    options = NativeOptions(buckets=[Bucket(words=24, bytes=128, entry="parse_24")], sources=True)
    (made,) = build_native_parsers(tmp_path / "small", tmp_path / "native", ["webassembly"], options)
    assert made.proof.machine == "Node"
    web = tmp_path / "native" / "webassembly"
    command = node_command(web, tmp_path)
    assert command is not None
    answers = answer_texts(command, [text.encode() for text in TEXTS], "Node")
    for answer, wanted in zip(answers, compute_logits(model.folded(), TEXTS), strict=True):
        assert np.abs(np.array(answer["intent_logits"], np.float32) - wanted.intent).max() < tolerance
