"""The compiled projection equals PyTorch and the plain-Python oracle bit for bit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from oracles.projection import Projected
from oracles.projection_2 import project
from oracles.texts import DAMAGE, PIECES, byte_texts, characters

from compile.lowering.iree_compile import compile_module, target_flags
from pqrnn.features.projection import Projection
from pqrnn.features.utf8 import pack_texts
from pqrnn.recipes.settings import ProjectionConfig
from targets import registry

# As it ships. The compiler tiles every shape, and vectorises for every CPU, on its own.
CONFIG = ProjectionConfig()
VARIANTS = [(8, 32, "host"), (16, 96, "generic")]  # words, bytes, CPU


class _Entry(torch.nn.Module):
    """The projection with its number of rows fixed."""

    def __init__(self, projection: Projection, rows: int) -> None:
        super().__init__()
        self.projection, self.rows = projection, rows

    def forward(self, text: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.projection(text, self.rows))


class Compiled:
    """The projection in PyTorch and compiled, for one shape and CPU."""

    def __init__(self, rows: int, size: int, cpu: str, folder: Path) -> None:
        """Compile for `rows` words and `size` bytes, into `folder`."""
        from iree import runtime
        from iree.turbine import aot

        self.rows, self.size, self.projection = rows, size, Projection(CONFIG)
        example = torch.zeros((1, size // 4), dtype=torch.int32)
        source, binary = folder / "projection.mlirbc", folder / "projection.vmfb"
        with warnings.catch_warnings():  # PyTorch's and the importer's own deprecations
            warnings.simplefilter("ignore")
            traced = torch.export.export(_Entry(self.projection, rows), (example,), strict=False).run_decompositions()
            aot.export(traced).save_mlir(source)
        host = registry().get("host")
        compile_module(source, binary, target_flags(msgspec.structs.replace(host, cpu=cpu), registry().family(host)))
        self._module: Any = runtime.load_vm_flatbuffer_file(str(binary), driver="local-sync")

    def __call__(self, data: bytes) -> Projected:
        """Run the compiled code."""
        # The host arrays are views of buffers that die with the results: copy.
        features, spans, count = (
            out.to_host().copy() for out in self._module.main(pack_texts([data], self.size).numpy())
        )
        assert (features.dtype, spans.dtype, count.dtype) == (np.float32, np.int32, np.int32)
        return Projected(features[0], spans[0], int(count[0]))

    def check(self, data: bytes) -> None:
        """Compare with PyTorch and with the oracle: equal in every bit."""
        found, wanted = self(data), project(data, self.rows, CONFIG)
        torch_features, torch_spans, torch_count = self.projection(pack_texts([data], self.size), self.rows)
        assert found.word_count == wanted.word_count == int(torch_count[0]), data
        for ours, theirs, oracle in (
            (found.spans, torch_spans[0].numpy(), wanted.spans),
            (found.features, torch_features[0].numpy(), wanted.features),
        ):
            np.testing.assert_array_equal(ours, oracle, err_msg=repr(data))
            np.testing.assert_array_equal(ours.view(np.int32), theirs.view(np.int32), err_msg=repr(data))


@pytest.fixture(scope="session", params=VARIANTS, ids=str)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    rows, size, cpu = request.param
    return Compiled(rows, size, cpu, tmp_path_factory.mktemp("projection"))


@examples(250)
@given(st.data())
def test_compiled_equals_pytorch_and_the_oracle(compiled: Compiled, data: st.DataObject) -> None:
    compiled.check(data.draw(byte_texts(compiled.size)))


@examples(60)
@given(st.data())
def test_compiled_equals_them_over_all_of_unicode(compiled: Compiled, data: st.DataObject) -> None:
    compiled.check(data.draw(st.text(characters(), max_size=compiled.size // 4)).encode()[: compiled.size])


def test_compiled_equals_them_at_the_edges(compiled: Compiled) -> None:
    """Empty and full texts, one word of every byte, more words than rows, damage across the end."""
    size = compiled.size
    for data in (
        b"",
        b"\0" * size,
        b"a" * size,
        b"a " * (size // 2),
        b"," * size,
        b"\xff" * size,
        b"\x80" * size,
        "é".encode() * (size // 2),
    ):
        compiled.check(data)
    for text in ("\U0010fffd", "🇩", "👩\u200d", "中"):
        compiled.check((text * size).encode()[:size])
        compiled.check(b"x" + (text * size).encode()[: size - 1])
    for sequence in DAMAGE:
        compiled.check((b"ab " + sequence + b"c " + sequence)[:size])
        compiled.check(b"x" * (size - len(sequence)) + sequence)


def test_compiled_equals_them_for_every_script(compiled: Compiled) -> None:
    for pieces in PIECES.values():
        joined = " ".join(pieces).encode()
        for start in range(0, len(joined), compiled.size):
            compiled.check(joined[start : start + compiled.size])
