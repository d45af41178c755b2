"""PyTorch itself, without a compiler and compiled ahead of time by its own.

The compiler is AOTInductor, the code generator of `torch.compile` without its guards.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.peer import Answer, Call, Features, Peer, write_once

if TYPE_CHECKING:
    import torch

    from benchmarks.peers.encoder import Encoder
    from pqrnn.model.parser import ParserModel


class Eager(Peer):
    """PyTorch without a compiler, as `pqrnn evaluate` runs, with the loop form, which is the faster one there."""

    name, packages, modules, forms = "PyTorch eager", ("torch",), ("torch",), ("loop",)

    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """Write the encoder, as `Peer.convert` says."""
        import torch

        from benchmarks.peers.encoder import make_encoder

        return write_once(folder / "eager.pt", partial(torch.save, make_encoder(model, form)))

    def open(self, path: Path) -> Call:
        """Load a file, as `Peer.open` says."""
        import torch

        torch.set_num_threads(1)
        encoder = torch.load(path, weights_only=False)  # written by the line above, on this machine

        def call(features: Features) -> Answer:
            with torch.inference_mode():
                return tuple(output.numpy() for output in encoder(torch.from_numpy(features)))

        return call


class AotInductor(Peer):
    """PyTorch's compiler: a library for one length, with the weights in it so that it may choose their layout."""

    name, packages, modules = "PyTorch AOTInductor", ("torch",), ("torch",)

    def convert(self, model: ParserModel, words: int, form: str, folder: Path) -> Path:
        """Write the encoder, as `Peer.convert` says."""
        from benchmarks.peers.encoder import make_encoder, make_example

        return write_once(
            folder / f"inductor-{form}-{words}.pt2",
            partial(_compile, make_encoder(model, form), make_example(model, words)),
        )

    def open(self, path: Path) -> Call:
        """Load a file, as `Peer.open` says."""
        import torch
        import torch._inductor

        torch.set_num_threads(1)
        loaded = torch._inductor.aoti_load_package(str(path))

        def call(features: Features) -> Answer:
            with torch.inference_mode():
                return tuple(output.numpy() for output in loaded(torch.from_numpy(features)))

        return call


def _compile(encoder: Encoder, example: torch.Tensor, target: Path) -> None:
    import torch
    import torch._inductor

    whole = target.with_name(f"{target.name}.pt2")  # it refuses other endings
    with torch.no_grad():
        program = torch.export.export(encoder, (example,), strict=False)
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(whole), inductor_configs={"freezing": True, "max_autotune": False}
        )
    whole.replace(target)
