"""Integer matrix products of the shipped parsers: this project's kernels beside the compiler's own code.

    python -m benchmarks.kernels

The weights are constants, which both lay out when they compile. Both are called in turns in one process on one thread,
and medians and smallest times are kept: other work on the machine shows in the medians. The time of a product of one
number, which is what a call costs, is subtracted from each time. 64-bit ARM is emulated, where only
counts of instructions mean something. Rows are kept in `results/kernels.json`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.results import keep_results
from compile.emulation.counting import CountError, count_instructions
from compile.kernels.families import InstructionFamily, find_family
from compile.kernels.kernel import Kernel
from compile.kernels.linking import write_module
from compile.kernels.packing import offset_sums, pack_weights
from compile.kernels.product_kernels import product_kernel
from compile.lowering.iree_compile import compile_module, target_flags
from compile.lowering.processor import Processor, resolve_processor
from pqrnn.evaluation.results import ResultRow
from runtime_py.device.preflight import missing_features, this_machine
from targets import registry

SHAPES = ((1024, 256), (256, 2304), (384, 2304), (384, 149))  # depth, columns: bottleneck, two layers, tags
ROWS = (4, 8, 12, 16, 24, 32, 64)
NATIVE = {"vnni512": "linux-x86_64-vnni", "vnni256": "linux-x86_64-avxvnni"}
EMULATED = {"dotprod": ("linux-aarch64-dotprod", "cortex-a76"), "i8mm": ("linux-aarch64-i8mm", "max")}
_CALLS = 20  # a turn


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="turns that each product gets")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    arguments = parser.parse_args()
    rows: list[ResultRow] = []
    for name, target in NATIVE.items():
        needed = sorted(registry().get(target).features)
        if missing_features(needed, this_machine()):
            print(f"{name}: this machine cannot run it")
            continue
        rows += measure(find_family(name), target, arguments.rounds)
    for name, (target, cpu) in EMULATED.items():
        try:
            rows += count(find_family(name), target, cpu)
        except CountError as error:
            print(f"{name}: {error}")
    for row in rows:
        print(f"  {row.work:28} {row.metric:34} {row.peer:10} {row.value:12,.2f} {row.unit}")
    if arguments.keep:
        keep_results("kernels", rows, "python -m benchmarks.kernels")


def measure(family: InstructionFamily, target: str, rounds: int) -> list[ResultRow]:
    """Time all shapes and rows, ours and the compiler's in turns."""
    with tempfile.TemporaryDirectory() as folder:
        modules = {
            "ours": _load(_compile_ours(family, target, Path(folder))),
            "stock": _load(_compile_stock(target, Path(folder))),
        }
    calls: dict[tuple[str, tuple[int, int, int]], Callable[[], Any]] = {}
    for side, module in modules.items():
        for shape in _shapes():
            left = _left(shape)
            function = module[f"run_{_name(shape)}"]
            np.testing.assert_array_equal(
                function(left).to_host(), left.astype(np.int32) @ _weights(*shape[1:]).astype(np.int32)
            )
            calls[side, shape] = partial(function, _device(left))
    samples: dict[tuple[str, tuple[int, int, int]], list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            samples[key] += _time(call)
    empty = {side: statistics.median(samples[side, (1, 1, 1)]) for side in modules}
    rows = [
        ResultRow(work=family.name, metric="call", value=round(empty[side], 2), n=rounds * _CALLS, unit="us", peer=side)
        for side in modules
    ]
    for (side, shape), times in samples.items():
        if shape == (1, 1, 1):
            continue
        work, label = f"{family.name}, {shape[1]} x {shape[2]}", f"{shape[0]} rows"
        best, middle = (max(reduce(times) - empty[side], 0.01) for reduce in (min, statistics.median))
        rows.append(
            ResultRow(
                work=work,
                metric=f"{label}, time",
                value=round(middle, 2),
                low=round(best, 2),
                n=rounds * _CALLS,
                unit="us",
                peer=side,
            )
        )
        speed = 2e-3 * shape[0] * shape[1] * shape[2]
        rows.append(
            ResultRow(
                work=work,
                metric=f"{label}, speed",
                value=round(speed / middle, 1),
                high=round(speed / best, 1),
                n=rounds * _CALLS,
                unit="GOP/s",
                peer=side,
            )
        )
    return rows


def count(family: InstructionFamily, target: str, cpu: str) -> list[ResultRow]:
    """Count the instructions of one call, ours and the compiler's."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        modules = {"ours": _compile_ours(family, target, Path(folder)), "stock": _compile_stock(target, Path(folder))}
        for shape in _shapes():
            if shape[0] not in (8, 16) or shape[1:] == (384, 149):
                continue
            for side, module in modules.items():
                counted = count_instructions(
                    [
                        "--device=local-sync",
                        f"--module={module}",
                        f"--function=run_{_name(shape)}",
                        f"--input={shape[0]}x{shape[1]}xi8=1",
                    ],
                    cpu,
                )
                work = f"{family.name}, {shape[1]} x {shape[2]}"
                rows.append(
                    ResultRow(
                        work=work,
                        metric=f"{shape[0]} rows, instructions",
                        value=counted.code,
                        n=1,
                        peer=side,
                        note=f"counted in QEMU, {cpu}",
                    )
                )
    return rows


def _shapes() -> list[tuple[int, int, int]]:
    return [(1, 1, 1), *((rows, *shape) for shape in SHAPES for rows in ROWS)]


def _name(shape: tuple[int, int, int]) -> str:
    return "product_" + "_".join(map(str, shape))


def _weights(depth: int, columns: int) -> NDArray[np.int8]:
    return np.random.default_rng(depth * columns).integers(-127, 128, (depth, columns), dtype=np.int8)


def _left(shape: tuple[int, int, int]) -> NDArray[np.int8]:
    return np.random.default_rng(shape[0]).integers(-128, 128, shape[:2], dtype=np.int8)


def _processor(target: str) -> tuple[tuple[str, ...], Processor]:
    known = registry()
    described = known.get(target)
    flags = target_flags(described, known.family(described))
    return flags, resolve_processor(described, flags)


def _compile_ours(family: InstructionFamily, target: str, folder: Path) -> Path:
    flags, processor = _processor(target)
    kernels: list[Kernel] = []
    constants: dict[str, dict[str, NDArray[np.generic]]] = {}
    for shape in _shapes():
        name = _name(shape)
        weights = torch.from_numpy(_weights(*shape[1:]))
        kernels.append(product_kernel(name, family, *shape))
        constants[name] = {
            "%weights": pack_weights(weights, family).numpy(),
            "%offsets": offset_sums(weights, family).numpy(),
        }
    source = folder / f"ours-{target}.mlir"
    source.write_text(write_module(kernels, processor.resolved, constants))
    return compile_module(source, source.with_suffix(".vmfb"), flags).path


def _compile_stock(target: str, folder: Path) -> Path:
    flags, _ = _processor(target)
    parts = []
    for rows, depth, columns in _shapes():
        out = f"tensor<{rows}x{columns}xi32>"
        parts.append(f"""func.func @run_{_name((rows, depth, columns))}(%x: tensor<{rows}x{depth}xi8>) -> {out} {{
  %w = arith.constant dense<"0x{_weights(depth, columns).tobytes().hex()}"> : tensor<{depth}x{columns}xi8>
  %z = arith.constant 0 : i32
  %e = tensor.empty() : {out}
  %f = linalg.fill ins(%z : i32) outs(%e : {out}) -> {out}
  %r = linalg.matmul ins(%x, %w : tensor<{rows}x{depth}xi8>, tensor<{depth}x{columns}xi8>) outs(%f : {out}) -> {out}
  return %r : {out}
}}""")
    source = folder / f"stock-{target}.mlir"
    source.write_text("module @stock {\n" + "\n".join(parts) + "\n}\n")
    return compile_module(source, source.with_suffix(".vmfb"), flags).path


def _load(path: Path) -> Any:
    import iree.runtime as rt

    context = rt.SystemContext(config=_config())
    context.add_vm_module(rt.VmModule.copy_buffer(context.instance, path.read_bytes()))
    return next(module for name, module in context.modules.items() if name != "hal")


def _config() -> Any:
    import iree.runtime as rt

    return rt.Config("local-sync")


def _device(value: NDArray[np.int8]) -> Any:
    import iree.runtime as rt

    return rt.asdevicearray(_config().device, value)


def _time(call: Callable[[], Any]) -> list[float]:
    """Return the microseconds of each call of a turn.

    The first call, which brings its weights into the caches, is left out.
    """
    times = []
    for _ in range(1 + _CALLS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e6)
    return times[1:]


if __name__ == "__main__":
    main()
