"""Folders that repeat failures, for the person who will examine them.

`<package>.failed` has one folder for each failed target, or for the stage that failed.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from compile.support.errors import CompileError

_MESSAGE = "message.txt"


def failure_folder(out: Path) -> Path:
    """Return the folder for the failures of a package."""
    return out.with_name(f"{out.name}.failed")


def keep_evidence(error: CompileError, folder: Path) -> None:
    """Write the message, diagnostics and evidence of a failed stage; `error.folder` is then the folder.

    The evidence of an earlier failure is replaced. An error without evidence (nothing that could be repeated) leaves
    nothing. If the folder cannot be written, it is left out, so that the failure itself is not hidden.

    Args:
        error: The failure.
        folder: Folder to keep the evidence in.
    """
    if not error.evidence:
        return
    partial, made = None, not folder.parent.exists()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        (partial / _MESSAGE).write_text(f"{error.stage}: {error.message}\n\n{error.diagnostics}\n", encoding="utf-8")
        for name, content in error.evidence.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (partial / name).write_bytes(content)
            else:
                shutil.copyfile(content, partial / name)
        shutil.rmtree(folder, ignore_errors=True)
        partial.chmod(0o755)
        partial.rename(folder)
        error.folder = folder
    except OSError:
        return
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        if made:
            with suppress(OSError):
                folder.parent.rmdir()  # only where it is empty


def clear_evidence(folder: Path) -> None:
    """Remove the evidence of earlier failures in `<package>.failed`, and the folder if it is empty then.

    Files that are no such evidence stay.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    for kept in folder.iterdir():
        if (kept / _MESSAGE).is_file() and not kept.is_symlink():
            shutil.rmtree(kept, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()
