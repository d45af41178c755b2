"""A parser in 8 bits, compiled.

Its integers are those of PyTorch, its products are of 8 bits, and what is wrong by one step is found.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import iree.runtime as rt
import pytest
import torch
from makers.int8 import make_int8
from makers.packages import STOCK_BUCKETS, WIDE_BUCKETS, compile_small, write_small_run
from makers.small import (
    TEXTS,
    answer_golden,
    compile_for,
    cpu_flags,
    cpu_variant,
    import_small,
    make_model,
    write_package,
)
from torch import Tensor, nn

from compile.lowering.export import decompositions
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import STRIP_FLAGS, compile_module, compiler_path
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from compile.support.errors import VerificationError
from compile.verify.golden import TRICKY, GoldenSet
from compile.verify.parity import compare_decisions
from compile.verify.replay import judge_entries
from pqrnn.checkpoint import load_checkpoint
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.int8 import IntegerLinear, multiply
from pqrnn.model.parser import ParserModel
from runtime_py import Parser
from runtime_py.tools.answers import EntryAnswers
from runtime_py.tools.replay import collect

CPU = (*cpu_flags("generic"), "--iree-global-opt-data-tiling", "--iree-llvmcpu-stack-allocation-limit=131072")
PRODUCTS = 9  # bottleneck, two layers, pool, tags, tags of the pool, intent, two rounds of neighbours


@pytest.fixture(scope="module")
def model() -> ParserModel:
    return make_int8(1).folded()


@pytest.fixture(scope="module")
def golden(model: ParserModel) -> GoldenSet:
    return answer_golden(model, STOCK_BUCKETS)


@pytest.fixture(scope="module")
def module(model: ParserModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_small(model, tmp_path_factory.mktemp("module") / "module.mlirbc", STOCK_BUCKETS)


@pytest.fixture(scope="module")
def entries(module: Path, golden: GoldenSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[EntryAnswers, ...]:
    path = tmp_path_factory.mktemp("packages") / "small.pqrnn"
    write_package(path, golden, [(cpu_variant(), compile_for(module, *CPU))], STOCK_BUCKETS)
    with Parser.load(path) as parser:
        return collect(parser, golden.vectors.texts, whole=False).entries


def test_it_answers_as_pytorch_does_in_integers(entries: tuple[EntryAnswers, ...], golden: GoldenSet) -> None:
    numerics = judge_entries(entries, STOCK_BUCKETS, golden)
    assert numerics.samples > 500
    assert 0 < numerics.largest <= golden.settled_tolerance < 1e-4


@pytest.mark.parametrize("name", ["layers.0.product", "layers.1.product", "tags", "intent", "neighbours"])
def test_weights_that_are_off_by_one_step_are_found(entries: tuple[EntryAnswers, ...], name: str) -> None:
    other = make_int8(1).folded()
    layer = other.get_submodule(name)
    assert isinstance(layer, IntegerLinear)
    layer.weight[:, 0] += torch.where(layer.weight[:, 0] < 127, 1, -1).to(torch.int8)
    layer.derive()
    with pytest.raises(VerificationError, match="does not answer as PyTorch does"):
        judge_entries(entries, STOCK_BUCKETS, answer_golden(other, STOCK_BUCKETS))


def test_another_rounding_is_found(entries: tuple[EntryAnswers, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    right = IntegerLinear.shift
    monkeypatch.setattr(
        IntegerLinear, "shift", lambda layer, value: right(layer, value) - 0.25
    )  # up from three quarters
    with pytest.raises(VerificationError, match="does not answer as PyTorch does"):
        judge_entries(entries, STOCK_BUCKETS, answer_golden(make_int8(1).folded(), STOCK_BUCKETS))


class _Integers(nn.Module):
    """The model behind its text part, but what it gives are all activations in int8 and all sums in int32."""

    def __init__(self, model: ParserModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        seen: list[Tensor] = []

        def see(layer: nn.Module, inputs: tuple[Tensor]) -> None:
            assert isinstance(layer, IntegerLinear)
            given = layer.quantize(inputs[0])
            seen.extend(
                [
                    given.to(torch.int32).reshape(-1),
                    multiply(given.reshape(-1, given.shape[-1]), layer.weight).reshape(-1),
                ]
            )

        hooks = [
            layer.register_forward_pre_hook(see) for layer in self.model.modules() if isinstance(layer, IntegerLinear)
        ]
        self.model.encode(self.model.embed(features), mask, scan=True)
        for hook in hooks:
            hook.remove()
        return torch.cat(seen)


def test_every_integer_is_that_of_pytorch(model: ParserModel, golden: GoldenSet, tmp_path: Path) -> None:
    words, size = 8, 48
    integers = _Integers(make_int8(1).folded())
    example = (torch.zeros((1, words, model.config.features)), torch.zeros((1, words, 1)))
    with torch.no_grad():
        traced = torch.export.export(integers, example, strict=False).run_decompositions(decompositions())
    source = import_programs({"integers": traced}, tmp_path / "integers.mlirbc")
    code = compile_module(source, tmp_path / "integers.vmfb", (*CPU, *STRIP_FLAGS)).path.read_bytes()
    context = rt.SystemContext(config=rt.Config("local-sync"))
    context.add_vm_module(rt.VmModule.copy_buffer(context.instance, code))
    checked = 0
    for reference, settled in zip(golden.references, golden.settled, strict=True):
        if not settled or len(reference.text) > size or len(reference.single.spans) > words:
            continue
        with torch.inference_mode():
            features, _, count = model.projection(pack_texts([reference.text], size), words)
            mask = (torch.arange(words) < count[:, None]).float()[..., None]
            wanted = integers(features, mask)
        found = context.modules.module["integers"](features.numpy(), mask.numpy()).to_host().copy()
        assert torch.equal(torch.from_numpy(found), wanted), reference.text
        checked += len(reference.single.spans) > 0
    assert checked > 10
    assert wanted.numel() > 3000


def test_products_are_of_8_bits_in_the_compiler_too(module: Path, tmp_path: Path) -> None:
    """No product whose factors were widened to 32 bits first: three times as slow."""
    flow = tmp_path / "flow.mlir"
    # Just before executables are made of it: what is a product then is run as one.
    subprocess.run(
        [compiler_path(), module, *CPU, "--compile-to=flow", "--mlir-elide-elementsattrs-if-larger=4", "-o", flow],
        check=True,
    )
    products = re.findall(
        r"linalg\.(?:\w*matmul\w*|\w*mmt4d|\w*matvec|\w*vecmat|\w*contract)\b[^:]*: ([^)]*)\)", flow.read_text()
    )
    kinds = ["x".join(re.findall(r"x([a-z]+\d+)>", operands)) for operands in products]
    assert set(kinds) == {"i8xi8", "f32xf32"}
    dispatched = re.findall(r"flow\.dispatch @\S+::@\S*mmt4d_\S*_i8xi8xi32", flow.read_text())
    assert len(dispatched) == PRODUCTS * len(STOCK_BUCKETS)


def test_from_a_checkpoint_to_a_package() -> None:
    outcome = compile_small("int8")
    (host,) = outcome.manifest.variants
    assert outcome.manifest.model.precision == "int8"
    assert outcome.manifest.model.parameters == make_model(1).parameters_count()
    assert host.parity is not None
    assert host.parity.passed
    assert host.parity.texts > len(TRICKY) - 5
    run = load_checkpoint(outcome.package.parent / "run")
    folded = run.model.folded()
    tables = 4 * sum(buffer.numel() for buffer in folded.projection.buffers())
    sums = 8 * sum(layer.scale.numel() * layer.taps for layer in folded.modules() if isinstance(layer, IntegerLinear))
    constant = outcome.statistics["host"].constant_bytes
    # Weights are stored once for both entries, a byte each; columns are padded to the 16 that a processor takes at a
    # time.
    assert (
        outcome.manifest.model.parameters
        <= constant
        < 1.15 * (outcome.manifest.model.parameters + tables) + sums + 60_000
    )
    with Parser.load(outcome.package) as parser:
        found = compare_decisions(run, parser, TEXTS)
    assert found.equal
    assert found.words > 10


def test_integers_are_those_of_pytorch_in_the_interpreter(tmp_path: Path) -> None:
    """It rounds where it should cut off, so activations are whole numbers before they become int8."""
    run = write_small_run(tmp_path / "run", "int8", seed=8)
    outcome = compile_checkpoint(run, tmp_path / "small.pqrnn", ["vmvx"], CompileOptions(buckets=WIDE_BUCKETS))
    (interpreted,) = outcome.manifest.variants
    assert interpreted.parity is not None
    assert interpreted.parity.passed
