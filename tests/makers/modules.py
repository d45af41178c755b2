"""Compiled modules, run on this machine without a package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import iree.runtime as rt
import numpy as np


def load_module(path: Path) -> Any:
    """Load a compiled module on this machine."""
    context = rt.SystemContext(config=rt.Config("local-sync"))
    context.add_vm_module(rt.VmModule.copy_buffer(context.instance, path.read_bytes()))
    return next(module for name, module in context.modules.items() if name != "hal")


def run_function(module: Any, name: str, inputs: Sequence[Any]) -> list[np.ndarray]:
    """Return copies of the results: a slice of what `to_host` returns does not keep the device's memory."""
    found = module[name](*inputs)
    return [each.to_host().copy() for each in (found if isinstance(found, list | tuple) else [found])]
