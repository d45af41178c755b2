"""A checkpoint and its plans, before any target is compiled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compile.parts import Part
from compile.plan import Plan
from compile.support.errors import CompileError
from runtime_py.package_format.manifest import Bucket

if TYPE_CHECKING:
    from compile.subwords.program import SubwordParser, SubwordSource
    from compile.verify.reference import Answerer
    from pqrnn.checkpoint import Checkpoint
    from pqrnn.model.length_config import LengthConfig
    from pqrnn.model.parser import ParserModel


@dataclass(frozen=True, slots=True)
class Prepared:
    """The checkpoint and the plans.

    Attributes:
        checkpoint: The trained parser.
        weights: SHA-256 of the file of its weights.
        model: The model as it is compiled, with its norms folded; or a fine-tuned encoder.
        buckets: Length buckets, one entry each.
        plans: Targets to compile for.
        failures: Targets that the compiler does not accept, and why.
        identity: Digests of what the model was read from (`compile.imports.identify`).
        parts: Parts of the network that get functions of their own, the whole one last, by name.
    """

    checkpoint: Checkpoint | SubwordSource
    weights: str
    model: ParserModel | SubwordParser
    buckets: tuple[Bucket, ...]
    plans: list[Plan]
    failures: dict[str, CompileError]
    identity: tuple[str, ...] = ()
    parts: dict[str, Part] = field(default_factory=dict)

    def oracle(self, lengths: LengthConfig | None = None) -> Answerer:
        """Return what gives PyTorch's answers, by all of the network or by a part."""
        from compile.subwords.oracle import SubwordOracle
        from compile.subwords.program import SubwordParser
        from compile.verify.reference import Oracle

        if isinstance(self.model, SubwordParser):
            return SubwordOracle(self.model, self.buckets, lengths)
        return Oracle(self.model, self.buckets, lengths)
