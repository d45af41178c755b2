"""ExecuTorch, with all that its XNNPACK backend takes over: in float32, and with its dynamic quantization to 8 bits."""

from __future__ import annotations

import logging
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.peer import Answer, Call, Features, Peer, write_once

if TYPE_CHECKING:
    import torch

    from benchmarks.peers.encoder import Encoder
    from pqrnn.model.parser import ParserModel


class ExecuTorch(Peer):
    """ExecuTorch with XNNPACK on one thread.

    In int8, weights have a scale for each output and activations are quantized at run time.
    """

    packages, modules, environment = ("executorch",), ("executorch",), "executorch"

    def __init__(self, precision: str) -> None:
        """Take the precision of the weights, "f32" or "int8"."""
        self.precision = precision
        self.name = "ExecuTorch XNNPACK" if precision == "f32" else "ExecuTorch XNNPACK int8"

    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """Write the encoder, as `Peer.convert` says."""
        from benchmarks.peers.encoder import make_encoder, make_example

        self._reach()
        name = f"executorch-{self.precision}-{form}-{words}.pte"
        return write_once(folder / name, partial(self._lower, make_encoder(model, form), make_example(model, words)))

    def open(self, path: Path) -> Call:
        """Load a file, as `Peer.open` says."""
        self._reach()
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from executorch.extension.pybindings.portable_lib import (
                _threadpool_get_thread_count,
                _unsafe_reset_threadpool,
            )
            from executorch.runtime import Runtime

        if _threadpool_get_thread_count() != 1:
            _unsafe_reset_threadpool(1)
        method = Runtime.get().load_program(path).load_method("forward")
        if method is None:
            raise SystemExit(f"{path}: ExecuTorch finds no method 'forward'")

        def call(features: Features) -> Answer:
            return tuple(output.numpy() for output in method.execute([torch.from_numpy(features)]))

        return call

    def _lower(self, encoder: Encoder, example: torch.Tensor, target: Path) -> None:
        import torch

        logging.disable(logging.WARNING)
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
                from executorch.exir import to_edge_transform_and_lower

                module: Any = encoder if self.precision == "f32" else _quantize(encoder, example)
                program = torch.export.export(module, (example,), strict=False)
                target.write_bytes(
                    to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().buffer
                )
        finally:
            logging.disable(logging.NOTSET)


def _quantize(encoder: Encoder, example: torch.Tensor) -> Any:
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True))
    prepared = prepare_pt2e(torch.export.export(encoder, (example,), strict=False).module(), quantizer)
    prepared(example)
    return convert_pt2e(prepared)
