"""Settings of a compilation, with their defaults and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compile.lowering.iree_compile import DEFAULT_TIMEOUT
from compile.support.errors import PlanError
from runtime_py.package_format.manifest import Bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileOptions:
    """Settings that hold for every target of a compilation.

    Attributes:
        buckets: Length buckets of the package, or None to choose them from the lengths of the training texts
            (`compile.lowering.buckets`).
        replace: Whether a package that is already at the destination may be replaced.
        jobs: Number of targets to work on at a time, or None for one per processor core.
        cache: Whether compiled modules are taken from the cache and kept in it (`compile.lowering.cache`).
        kernels: Whether targets that have the instructions get this project's own kernels (`compile.kernels`).
        batch: Number of texts in a call of the second entry that every bucket gets, for servers
            (`Parser.parse_batch`); 1 for no second entry.
        native: Whether every processor with a system gets a native library beside its module (`compile.native`).
        budgets: Whether parts of a transformer that `pqrnn budget` found get functions of their own.
        timeout: Seconds that one run of the compiler may take.

    Raises:
        PlanError: `jobs` or `batch` is less than 1.
    """

    buckets: Sequence[Bucket] | None = None
    replace: bool = False
    jobs: int | None = None
    cache: bool = True
    kernels: bool = True
    batch: int = 1
    native: bool = False
    budgets: bool = True
    timeout: float = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if self.jobs is not None and self.jobs < 1:
            raise PlanError(f"{self.jobs} jobs were asked for, expected at least 1")
        if self.batch < 1:
            raise PlanError(f"batches of {self.batch} texts were asked for, expected at least 1")


DEFAULT_OPTIONS = CompileOptions()
