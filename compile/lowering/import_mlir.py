"""Stage 2: the traced programs become functions of one MLIR module, which holds each weight once."""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from compile.support.errors import ImportStageError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

MODULE_NAME = "module"


def import_programs(programs: dict[str, ExportedProgram], destination: Path) -> Path:
    """Write traced programs as an MLIR module.

    Args:
        programs: Programs by name of the function. A tensor that several programs hold is imported once.
        destination: File to write, `.mlirbc` (bytecode, with the source line of every operation for diagnostics) or
            `.mlir` (text). The same programs give the same bytes, wherever the project and PyTorch are installed.

    Returns:
        The destination.

    Raises:
        ImportStageError: The importer does not know an operation; the folder for reproduction holds the programs as
            text.
    """
    from iree.turbine import aot
    from iree.turbine.aot.compiled_module import ExportTargetDef
    from iree.turbine.aot.fx_programs import FxPrograms

    collection = FxPrograms()
    try:
        for name, program in programs.items():
            _shorten_paths(program)
            collection.programs[name] = ExportTargetDef(program)
        with warnings.catch_warnings():
            # The importer's own use of NumPy.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"iree\.turbine")
            output = aot.export(collection, module_name=MODULE_NAME)
        output.verify()
        output.save_mlir(destination)
    except Exception as error:
        destination.unlink(missing_ok=True)
        evidence = {f"{name}.fx.txt": str(program).encode() for name, program in programs.items()}
        raise ImportStageError(
            "the importer cannot express the traced programs in MLIR",
            f"{type(error).__name__}: {error}",
            {"traceback.txt": traceback.format_exc().encode(), **evidence},
        ) from error
    return destination


def _shorten_paths(program: ExportedProgram) -> None:
    """Name source files relative to the folder on Python's path, not to the root of this machine."""
    folders = sorted({str(Path(folder or ".").resolve()) for folder in sys.path}, key=len, reverse=True)

    def shorten(match: re.Match[str]) -> str:
        folder = next((folder for folder in folders if match[1].startswith(f"{folder}/")), "")
        return f'File "{match[1][len(folder) + 1 :] if folder else match[1]}"'

    for node in program.graph.nodes:
        if trace := node.meta.get("stack_trace"):
            node.meta["stack_trace"] = re.sub(r'File "([^"]+)"', shorten, trace)
