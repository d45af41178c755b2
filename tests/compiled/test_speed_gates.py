"""What speed rests on and can be counted.

Launches, bytes of code and of weights, products in int8, memory that does not grow; several texts in one call.
"""

from __future__ import annotations

import gc
import re
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from makers.int8 import make_int8
from makers.kernels import processor_of
from makers.packages import STOCK_BUCKETS
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

from compile.kernels.families import choose_kernels
from compile.kernels.linking import link_kernels
from compile.kernels.modules import with_kernels
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import compiler_path
from compile.support.process import run_tool
from compile.target_bench import ModuleSizes, count_dispatches, measure_module
from compile.verify.golden import TRICKY
from pqrnn.model.parser import ParserModel
from runtime_py import Parser
from runtime_py.errors import InputTooLongError
from runtime_py.execute.entry import EntryFunction, Outputs
from runtime_py.tools.check import check_package, check_parser
from runtime_py.tools.memory import resident_bytes

BATCH = 3
# Counted, with a little room. More is a regression to look into.
LAUNCHES = {"parse_16": 167}
CODE_BYTES = 110_000
# In the compiler's own code: a product of matrices whose result is whole numbers, and one of numbers that are as wide.
_PRODUCT = re.compile(r"linalg\.(\w*mat\w*|\w*mmt4d|contract)\b.* outs\(.*xi(32|64)>")
_WIDE = re.compile(r" ins\([^)]*: [^)]*xi(32|64)>[^)]*\)")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiler's own code for one text and for three."""
    path = tmp_path_factory.mktemp("gates") / "small.mlirbc"
    code = compile_for(import_small(make_model(1).folded(), path, STOCK_BUCKETS, BATCH), *cpu_flags("host"))
    compiled = path.with_suffix(".vmfb")
    compiled.write_bytes(code)
    return compiled


@pytest.fixture(scope="module")
def package(module: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gates") / "small.pqrnn"
    golden = answer_golden(make_model(1).folded(), STOCK_BUCKETS)
    write_package(path, golden, [(cpu_variant(), module.read_bytes())], STOCK_BUCKETS, BATCH)
    return path


@pytest.fixture
def parser(package: Path) -> Iterator[Parser]:
    with Parser.load(package) as loaded:
        yield loaded


def test_launches_of_every_entry_are_few(module: Path) -> None:
    counts = count_dispatches(module, [name for bucket in STOCK_BUCKETS for name in (bucket.entry, bucket.batched)])
    assert len(counts) == 2 * len(STOCK_BUCKETS)
    for bucket in STOCK_BUCKETS:
        assert 20 < counts[bucket.entry] <= LAUNCHES[bucket.entry], counts
        assert counts[bucket.batched] <= 1.25 * counts[bucket.entry], counts  # several texts are no more launches


def test_code_is_small_and_weights_stand_once(module: Path) -> None:
    sizes: ModuleSizes = measure_module(module)
    model = make_model(1).folded()
    weights = 4 * (model.parameters_count() + sum(buffer.numel() for buffer in model.projection.buffers()))
    # Weights may be laid out in two ways, for few rows and for many; never once an entry.
    assert weights <= sizes.weights <= 1.1 * weights + 50_000
    assert sizes.code / (2 * len(STOCK_BUCKETS)) < CODE_BYTES
    assert sizes.program < 400_000


def test_ten_thousand_calls_take_no_more_memory(parser: Parser) -> None:
    texts = [text for text in [*TEXTS, *TRICKY] if _fits(parser, text)]
    parser.warmup()
    for number in range(2000):
        parser(texts[number % len(texts)])
    gc.collect()
    tracemalloc.start()
    parser(texts[0])
    before, resident = tracemalloc.take_snapshot(), resident_bytes()
    for number in range(10_000):
        parser(texts[number % len(texts)])
    gc.collect()
    grown = sum(
        difference.size_diff
        for difference in tracemalloc.take_snapshot().compare_to(before, "filename")
        if "tracemalloc" not in str(difference)
    )
    tracemalloc.stop()
    assert grown < 20_000, grown  # a leak of 100 bytes a call would be a million
    assert resident_bytes() - resident < 4_000_000


def test_ten_thousand_calls_of_the_compiled_function_allocate_nothing_that_stays(parser: Parser) -> None:
    """Without Python's parses: what the runtime itself takes for its results is given back."""
    entry = parser.entries[0]
    for _ in range(1000):
        entry.run(b"wake me")
    resident = resident_bytes()
    for _ in range(10_000):
        entry.run(b"wake me")
    assert resident_bytes() - resident < 1_000_000  # one result kept a call would be megabytes


def test_a_batch_decides_as_single_calls_do(parser: Parser) -> None:
    assert parser.batch == BATCH
    texts = [text for text in [*TEXTS, *TRICKY] if _fits(parser, text)]
    assert len(texts) > 20
    single = [parser(text) for text in texts]
    assert [parse.to_dict() | {"score": 0} for parse in parser.parse_batch(texts)] == [
        parse.to_dict() | {"score": 0} for parse in single
    ]
    for together, alone in zip(parser.logits_batch(texts), [parser.logits(text) for text in texts], strict=True):
        assert (together.bucket, together.truncated) == (alone.bucket, alone.truncated)
        assert np.array_equal(together.spans, alone.spans)
        np.testing.assert_allclose(together.intent, alone.intent, rtol=0, atol=1e-4)
        np.testing.assert_allclose(together.tags, alone.tags, rtol=0, atol=1e-4)


def test_texts_share_calls(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    run = EntryFunction.run_batch

    def count(entry: EntryFunction, raws: Sequence[bytes]) -> list[Outputs]:
        calls.append(len(raws))
        return run(entry, raws)

    monkeypatch.setattr(EntryFunction, "run_batch", count)
    parser.parse_batch(["wake me"] * 8)
    assert calls == [3, 3, 2]
    calls.clear()
    parser.parse_batch(["wake me"] * 4)
    assert calls == [3]  # one is left over, and cheaper alone
    assert parser.parse_batch([]) == []


def test_a_text_that_is_too_long_is_named_in_a_batch(parser: Parser, package: Path) -> None:
    with pytest.raises(InputTooLongError, match="text 1 of the batch"):
        parser.parse_batch(["wake me", "one two " * 30, "play jazz"])
    with Parser.load(package, on_long="truncate") as cutting:
        assert [parse.truncated for parse in cutting.parse_batch(["wake me", "one two " * 30, "play jazz"])] == [
            False,
            True,
            False,
        ]


def test_too_many_texts_for_an_entry_are_refused(parser: Parser) -> None:
    with pytest.raises(ValueError, match="4 texts, expected 1 to 3"):
        parser._session.batches[0].run_batch([b"a"] * 4)


def test_a_check_runs_the_batch_entries_too(package: Path, parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_package(package, repeats=1).passed
    right = parser.logits_batch
    monkeypatch.setattr(
        parser, "logits_batch", lambda texts: [each._replace(intent=-each.intent) for each in right(texts)]
    )
    result = check_parser(parser, repeats=1)
    assert not result.passed
    assert result.parity.failures
    assert all(failure.startswith("3 texts at once: ") for failure in result.parity.failures)


def _fits(parser: Parser, text: str | bytes) -> bool:
    try:
        parser(text)
    except InputTooLongError:
        return False
    return True


class _Widened(nn.Module):
    """An integer product as it must never be written: of int8 that are made int32 first."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.ones((64, 32), dtype=torch.int8))

    def forward(self, value: Tensor) -> Tensor:
        return torch.matmul(value.to(torch.int32), self.get_buffer("weights").to(torch.int32))


def _compiled_products(source: Path, target: str) -> tuple[list[str], list[str]]:
    """Return the integer products of a module that are left to the compiler, which need not make machine code of them.

    First those of int8, then those of wider integers.
    """
    flags, _ = processor_of(target)
    dumped = source.with_suffix("")
    last = ("--compile-to=executable-sources", f"--iree-hal-dump-executable-sources-to={dumped}")
    finished = run_tool([compiler_path(), source, *flags, *last, "-o", source.with_suffix(".out")], 300.0)
    assert finished.code == 0, finished.diagnostics
    code = [path.read_text() for path in dumped.iterdir()]
    assert code
    products = [line for part in code for line in part.splitlines() if _PRODUCT.search(line)]
    wide = [line for line in products if _WIDE.search(line)]
    return [line for line in products if line not in wide], wide


def test_no_integer_product_is_left_to_the_compiler_or_widened(tmp_path: Path) -> None:
    """With kernels every product is one of them; without, the compiler sees int8, for which it has instructions.

    Both would be seen.
    """
    model, target = make_int8(1).folded(), "linux-x86_64-vnni"
    _, processor = processor_of(target)
    kernels = choose_kernels(processor.triple, processor.features, True)
    assert kernels is not None
    operators = import_small(
        cast(ParserModel, with_kernels(model, kernels)), tmp_path / "operators.mlirbc", STOCK_BUCKETS
    )
    linked = link_kernels(operators, tmp_path / "kernels.mlirbc", kernels, processor.resolved)
    assert _compiled_products(linked, target) == ([], [])
    narrow, wide = _compiled_products(import_small(model, tmp_path / "stock.mlirbc", STOCK_BUCKETS), target)
    assert len(narrow) >= 7 and not wide  # bottleneck, two layers, pooling, intent, tags, neighbours
    program = torch.export.export(
        _Widened(), (torch.zeros((4, 64), dtype=torch.int8),), strict=False
    ).run_decompositions()
    assert _compiled_products(import_programs({"run": program}, tmp_path / "widened.mlirbc"), target)[1]
