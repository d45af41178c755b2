"""The costs of the variants of a package, as far as this machine can measure them truthfully.

Code that runs natively is timed by the runtime's own `iree-benchmark-module`, whose documents are kept. An emulator's
times mean nothing, so of emulated code only exact figures are reported: executed instructions, bytes of code and
weights, launches, and memory. Code that cannot run here still has sizes.
"""

from compile.target_bench.figures import BenchError, EntryFigures, TargetFigures, keep_documents
from compile.target_bench.measure import bench_targets, fixed_text
from compile.target_bench.module_parts import ModuleSizes, count_dispatches, measure_module
from compile.target_bench.tables import figures_tables

__all__ = [
    "BenchError",
    "EntryFigures",
    "ModuleSizes",
    "TargetFigures",
    "bench_targets",
    "count_dispatches",
    "figures_tables",
    "fixed_text",
    "keep_documents",
    "measure_module",
]
