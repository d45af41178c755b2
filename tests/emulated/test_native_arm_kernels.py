"""Native parsers of 32-bit ARM with kernels of our own: PyTorch's numbers in QEMU, and no call into a library."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from makers.small import LABELS, TEXTS, make_model

from compile.native.pipeline import NativeOptions, build_native_parsers
from pqrnn.checkpoint import Facts, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.quantization import prepare_qat
from runtime_py.package_format.manifest import Bucket

pytestmark = pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'")


# Without VFPv4 there is no fused multiply-add, so that only kernels spare a call for each number.
@pytest.mark.parametrize(("target", "bits"), [("linux-armv7-vfp3", 8), ("linux-armv7-neon", 4)])
def test_an_emulated_processor_has_the_numbers_of_pytorch(target: str, bits: int, tmp_path: Path) -> None:
    model = prepare_qat(make_model(1), [Example(text, "") for text in TEXTS], bits=bits).eval()
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
    (made,) = build_native_parsers(tmp_path / "small", tmp_path / "native", [target], options)
    if not made.proof.machine:
        pytest.skip(made.proof.reason)
    assert made.proof.machine.startswith("qemu-arm ")
    assert made.proof.largest < 2e-5  # sums of integers are exact: what is left is the rounding of float32 after them
    kernels = (tmp_path / "native" / target / "source" / "kernels.o").read_bytes()
    assert b"fmaf" not in kernels
    assert b"fmaxf" not in kernels
