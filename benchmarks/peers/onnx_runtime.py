"""ONNX Runtime on the processor, with all of its graph optimisations.

It is measured in float32, and with its dynamic quantization to 8 bits.
"""

from __future__ import annotations

import logging
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.peer import Call, Peer, write_once

if TYPE_CHECKING:
    from pqrnn.model.parser import ParserModel


class OnnxRuntime(Peer):
    """ONNX Runtime in float32, with both forms of the recurrence."""

    name, precision = "ONNX Runtime", "f32"
    packages, modules = ("onnxruntime",), ("onnxruntime", "onnxscript")

    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """Write the encoder, as `Peer.convert` says."""
        from benchmarks.peers.encoder import make_encoder, make_example
        from compile.onnx_export import write_onnx

        encoder, example = make_encoder(model, form), make_example(model, words)
        return write_once(
            folder / f"onnx-{form}-{words}.onnx",
            lambda path: write_onnx(encoder, (example,), path, ["features"], ["intent", "tags"]),
        )

    def open(self, path: Path) -> Call:
        """Load a file, as `Peer.open` says."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda features: session.run(None, {name: features})


class OnnxRuntimeInt8(OnnxRuntime):
    """ONNX Runtime in int8, with the settings of `quantize_dynamic`.

    Weights have a scale for each output or one for all, and activations are quantized to uint8 at run time.
    """

    name, precision = "ONNX Runtime int8", "int8"
    forms = ("loop", "loop, channels", "scan", "scan, channels")

    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """Write the encoder, as `Peer.convert` says."""
        recurrence, _, channels = form.partition(", ")
        source = super().convert(model, words, recurrence, folder)
        return write_once(
            folder / f"onnx-int8{channels}-{recurrence}-{words}.onnx", partial(_quantize, source, bool(channels))
        )


def _quantize(source: Path, per_channel: bool, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    del model.graph.value_info[:]  # it turns weights round, and then takes the old shapes for a contradiction
    # It recommends a pre-processing that changes nothing here: shapes are known.
    logging.getLogger().setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_dynamic(model, target, per_channel=per_channel, weight_type=QuantType.QInt8)
