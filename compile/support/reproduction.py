"""Folders that repeat failures, for the person who will look into them:

`<package>.failed`, with one folder a failed target, or for the stage that failed.
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
    """Write what a failed stage left: message, diagnostics, and its files; `error.folder` then says where.

    What an earlier failure left there is replaced. An error without evidence (nothing that could be repeated) leaves
    nothing. That the folder cannot be written must not hide the failure itself: then it is left out.

    Args:
        error: The failure.
        folder: Where to keep it.
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
    """Remove what earlier failures left in `<package>.failed`, and the folder if it then is empty:

    what is not from here stays.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    for kept in folder.iterdir():
        if (kept / _MESSAGE).is_file() and not kept.is_symlink():
            shutil.rmtree(kept, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()
