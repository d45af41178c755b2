"""LiteRT (formerly TensorFlow Lite) with its XNNPACK delegate, converted by litert-torch; in float32, and with its dynamic quantisation to 8 bits."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.peer import PEERS, Answer, Call, Features, Peer, write_once

if TYPE_CHECKING:
    from pqrnn.model import ParserModel


class LiteRt(Peer):
    """One thread; int8: weights in 8 bits for each output, activations at run time ("dynamic range")."""

    packages, modules, environment = ("ai-edge-litert", "litert-torch"), ("ai_edge_litert",), "litert"

    def __init__(self, precision: str) -> None:
        """`precision`: "f32" or "int8"."""
        self.precision = precision
        self.name = "LiteRT" if precision == "f32" else "LiteRT int8"

    def why_absent(self) -> str:
        """See `Peer.why_absent`; the converter runs in its own environment, so that its packages stay out of ours."""
        return super().why_absent() or ("" if _converter() else f"its converter litert-torch is not installed in {PEERS.name}/{self.environment}")

    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """See `Peer.convert`."""
        import torch

        from benchmarks.peers.encoder import make_encoder

        source = write_once(folder / f"encoder-{form}.pt", partial(torch.save, (make_encoder(model, form), model.config.projection.features)))
        return write_once(folder / f"litert-{self.precision}-{form}-{words}.tflite", partial(_convert, source, words, self.precision))

    def open(self, path: Path) -> Call:
        """See `Peer.open`."""
        self._reach()
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        place = interpreter.get_input_details()[0]["index"]
        outputs = sorted(interpreter.get_output_details(), key=lambda detail: len(detail["shape"]))  # intent [1, I], tags [1, W, L]
        places = [detail["index"] for detail in outputs]

        def call(features: Features) -> Answer:
            interpreter.set_tensor(place, features)
            interpreter.invoke()
            return tuple(interpreter.get_tensor(each) for each in places)

        return call


def _converter() -> Path | None:
    place = PEERS / LiteRt.environment
    return place / "bin" / "python" if list(place.glob("lib/python3.*/site-packages/litert_torch")) else None


def _convert(source: Path, words: int, precision: str, target: Path) -> None:
    """Run this very file in the converter's environment."""
    command = [str(_converter()), "-m", "benchmarks.peers.litert", str(source), str(words), precision, str(target)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(f"litert-torch cannot convert the encoder for {words} words: {lines[-1] if lines else done.returncode}")


def _convert_here(source: str, words: str, precision: str, target: str) -> None:
    import litert_torch
    import torch

    encoder, width = torch.load(source, weights_only=False)
    example = torch.randint(-1, 2, (1, int(words), width)).float()
    whole = Path(f"{target}.tflite")
    with torch.no_grad():
        litert_torch.convert(encoder.eval(), (example,)).export(str(whole))
    if precision == "int8":
        from ai_edge_quantizer import quantizer, recipe

        made = quantizer.Quantizer(str(whole), recipe.dynamic_wi8_afp32())
        Path(target).write_bytes(made.quantize().quantized_model)
        whole.unlink()
    else:
        whole.replace(target)


if __name__ == "__main__":
    _convert_here(*sys.argv[1:5])
