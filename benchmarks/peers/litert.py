"""LiteRT (formerly TensorFlow Lite) with its XNNPACK delegate, converted by litert-torch.

It is measured in float32, and with its dynamic quantization to 8 bits.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.peer import PEERS, Answer, Call, Features, Peer, write_once

if TYPE_CHECKING:
    from pqrnn.model.parser import ParserModel


class LiteRt(Peer):
    """LiteRT on one thread.

    In int8, weights have a scale for each output and activations are quantized at run time ("dynamic range").
    """

    packages, modules, environment = ("ai-edge-litert", "litert-torch"), ("ai_edge_litert",), "litert"

    def __init__(self, precision: str) -> None:
        """Take the precision of the weights, "f32" or "int8"."""
        self.precision = precision
        self.name = "LiteRT" if precision == "f32" else "LiteRT int8"

    def why_absent(self) -> str:
        """Return why the peer cannot run here; its converter has a separate environment and stays out of ours."""
        return super().why_absent() or (
            "" if _converter() else f"its converter litert-torch is not installed in {PEERS.name}/{self.environment}"
        )

    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """Write the encoder, as `Peer.convert` says."""
        import torch

        from benchmarks.peers.encoder import make_encoder

        encoder = write_once(
            folder / f"encoder-{form}.pt",
            partial(torch.save, (make_encoder(model, form), model.config.projection.features)),
        )
        whole = write_once(folder / f"litert-f32-{form}-{words}.tflite", partial(_run, "convert", encoder, words))
        if self.precision == "f32":
            return whole
        return write_once(folder / f"litert-int8-{form}-{words}.tflite", partial(_run, "quantize", whole, words))

    def open(self, path: Path) -> Call:
        """Load a file, as `Peer.open` says."""
        self._reach()
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        # Intent [1, I], then tags [1, W, L].
        details = sorted(interpreter.get_output_details(), key=lambda detail: len(detail["shape"]))
        results = [detail["index"] for detail in details]

        def call(features: Features) -> Answer:
            interpreter.set_tensor(source, features)
            interpreter.invoke()
            return tuple(interpreter.get_tensor(tensor) for tensor in results)

        return call


def _converter() -> Path | None:
    folder = PEERS / LiteRt.environment
    return folder / "bin" / "python" if list(folder.glob("lib/python3.*/site-packages/litert_torch")) else None


def _run(step: str, source: Path, words: int, target: Path) -> None:
    """Run a step of this very file in the converter's environment."""
    command = [str(_converter()), "-m", "benchmarks.peers.litert", step, str(source), str(words), str(target)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(
            f"litert-torch cannot {step} the encoder for {words} words: {lines[-1] if lines else done.returncode}"
        )


def _convert(source: Path, words: int, target: Path) -> None:
    import litert_torch
    import torch

    encoder, width = torch.load(source, weights_only=False)
    whole = target.with_name(f"{target.name}.tflite")  # it refuses other endings
    with torch.no_grad():
        litert_torch.convert(encoder.eval(), (torch.randint(-1, 2, (1, words, width)).float(),)).export(str(whole))
    whole.replace(target)


def _quantize(source: Path, words: int, target: Path) -> None:
    from ai_edge_quantizer import quantizer, recipe

    target.write_bytes(quantizer.Quantizer(str(source), recipe.dynamic_wi8_afp32()).quantize().quantized_model)


if __name__ == "__main__":
    {"convert": _convert, "quantize": _quantize}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
