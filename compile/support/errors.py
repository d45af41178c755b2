"""Errors of the stages. Each keeps the failing tool's output, and the folder that reproduces the failure."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

_SHOWN_LINES = 12
_SHOWN_WIDTH = 300


class CompileError(Exception):
    """A stage failed.

    Attributes:
        stage: Name of the stage.
        message: Description of the failure, in one sentence.
        diagnostics: Full output of the tool; may be empty.
        evidence: Files that reproduce the failure, by name: their content, or the path of a file that is kept by
            copying.
        folder: Folder where the evidence has been kept; None until `compile.support.reproduction` has done so.
    """

    stage: ClassVar[str] = "compile"

    def __init__(self, message: str, diagnostics: str = "", evidence: dict[str, bytes | Path] | None = None) -> None:
        """Keep message, diagnostics and evidence."""
        super().__init__(message)
        self.message = message
        self.diagnostics = diagnostics
        self.evidence = evidence or {}
        self.folder: Path | None = None

    def __str__(self) -> str:
        """Return the message, the head of the diagnostics, and the folder."""
        parts = [f"{self.stage}: {self.message}"]
        lines = [line for line in self.diagnostics.splitlines() if line.strip()]
        parts += [
            "  " + (line if len(line) <= _SHOWN_WIDTH else line[:_SHOWN_WIDTH] + " ...")
            for line in lines[:_SHOWN_LINES]
        ]
        if len(lines) > _SHOWN_LINES:
            parts.append(f"  ... {len(lines) - _SHOWN_LINES} more lines")
        if self.folder is not None:
            parts.append(f"To reproduce: {self.folder}")
        return "\n".join(parts)


class PlanError(CompileError):
    """A request cannot be planned: no target, no training lengths, a bad bucket."""

    stage = "plan"


class ExportError(CompileError):
    """PyTorch could not trace the model for a length bucket."""

    stage = "export"


class ImportStageError(CompileError):
    """The traced programs could not be turned into MLIR."""

    stage = "import"


class CompilerError(CompileError):
    """The IREE compiler refused the module, crashed, or ran out of time."""

    stage = "compile"


class VerificationError(CompileError):
    """The compiled code does not answer as PyTorch does."""

    stage = "verify"


class PackagingError(CompileError):
    """The package could not be written."""

    stage = "package"


class ScratchError(CompileError):
    """There is no room for temporary files."""

    stage = "temporary files"


class DeployError(CompileError):
    """A bundle for a board could not be made."""

    stage = "deploy"


class TargetsError(CompileError):
    """None of several targets could be compiled and verified.

    Attributes:
        failures: Error of every target, by name.
    """

    stage = "compile"

    def __init__(self, failures: dict[str, CompileError]) -> None:
        """Join the errors of the targets."""
        super().__init__(
            f"none of {len(failures)} targets passed", "\n".join(f"{name}: {error}" for name, error in failures.items())
        )
        self.failures = failures
