"""Weights from anybody: what a file of safetensors says is compared with a network before memory is taken.

The header states names, types and shapes. A file that states other ones than the network has, or numbers that are none,
is refused with the first difference.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pqrnn.errors import CheckpointError
from pqrnn.model.int8 import AMAX_BEFORE
from runtime_py.bounded_files import check_regular
from runtime_py.terminal import printable

LARGEST_WEIGHTS = 64 << 30  # bytes; they are mapped
_LARGEST_HEADER = 8 << 20
_FLOATS = ("F32", "F16", "BF16")  # a file may keep any of them for any other
_NAMES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.bool: "BOOL",
}
_SHOWN = 80  # characters of a name
_UNREADABLE = (OSError, SafetensorError, ValueError, RecursionError, MemoryError, RuntimeError)


def load_tensors(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the weights of a network.

    Args:
        path: The file.
        expected: Tensors of the names, types and shapes that it has to hold.

    Raises:
        CheckpointError: It is missing, is no file, is damaged, holds other tensors, or numbers that are none.
    """
    try:
        size = check_regular(path, LARGEST_WEIGHTS)
        stated = read_header(path, size)
        check_tensors(path, {_now(name): entry for name, entry in stated.items()}, expected)
        tensors: dict[str, Tensor] = load_file(path)
    except _UNREADABLE as error:
        raise _refuse(path, error) from error
    check_numbers(path, tensors)
    return tensors


def check_enough(path: Path, least: int) -> None:
    """Refuse a file that holds less than a network has, before the network takes memory.

    Args:
        path: The file.
        least: Bytes that the weights of the network take at least.

    Raises:
        CheckpointError: The file cannot be read, or holds less.
    """
    try:
        size = check_regular(path, LARGEST_WEIGHTS)
        read_header(path, size)
    except _UNREADABLE as error:
        raise _refuse(path, error) from error
    if least > size:
        raise CheckpointError(
            f"{path}: {size:,} bytes, and the weights that its facts describe take {least:,} at least; copy it again"
        )


def load_any_tensors(path: Path) -> dict[str, Tensor]:
    """Read weights whose names and shapes the caller compares.

    Raises:
        CheckpointError: They are missing, no file, damaged, or hold numbers that are none.
    """
    try:
        read_header(path, check_regular(path, LARGEST_WEIGHTS))
        tensors: dict[str, Tensor] = load_file(path)
    except _UNREADABLE as error:
        raise _refuse(path, error) from error
    check_numbers(path, tensors)
    return tensors


def read_header(path: Path, size: int) -> dict[str, Any]:
    """Return what a file says of its tensors, by name.

    Args:
        path: The file.
        size: Its bytes.

    Raises:
        OSError: It cannot be read.
        ValueError: It has no header, or one that is too large.
    """
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
            raise ValueError(f"a header of {length:,} bytes in a file of {size:,}, expected weights in safetensors")
        header = json.loads(stream.read(length).decode())
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    header.pop("__metadata__", None)
    return header


def check_tensors(path: Path, stated: Mapping[str, Any], expected: Mapping[str, Tensor]) -> None:
    """Compare what a file states with what a network has.

    Raises:
        CheckpointError: A tensor is missing, too many, or of another type or shape; with the first one.
    """
    for name, tensor in expected.items():
        entry = stated.get(name)
        if not isinstance(entry, dict):
            raise CheckpointError(f"{path}: lacks {name}, which its facts describe; copy or train it again")
        kind, shape, wanted = entry.get("dtype"), entry.get("shape"), _NAMES.get(tensor.dtype, "")
        fits = kind == wanted or (kind in _FLOATS and wanted in _FLOATS)
        if not fits or shape != list(tensor.shape):
            found = printable(f"{kind}{shape}"[:_SHOWN])
            raise CheckpointError(
                f"{path}: {name} is {found}, and its facts describe {wanted}{list(tensor.shape)}; copy it again"
            )
    more = next((name for name in stated if name not in expected), None)
    if more is not None:
        raise CheckpointError(
            f"{path}: holds {printable(more[:_SHOWN])}, which its facts do not describe; copy it again"
        )


def check_numbers(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are infinite or no numbers, and variances and ranges that none can have.

    Raises:
        CheckpointError: With the first such tensor.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: {name} holds a number that is not finite; train it again")
        if name.endswith(".variance") and tensor.numel() and bool((tensor < 0).any()):
            raise CheckpointError(f"{path}: {name} holds a variance below zero; train it again")
        if _now(name).endswith(".amax") and bool((tensor <= 0).any()):
            raise CheckpointError(f"{path}: {name} is no range; quantize it again")


def _now(name: str) -> str:
    """Return what a tensor of an older file is called now; the network renames it when it takes it."""
    return f"{name.removesuffix(AMAX_BEFORE)}amax" if name.endswith(f".{AMAX_BEFORE}") else name


def _refuse(path: Path, error: Exception) -> CheckpointError:
    said = error.strerror if isinstance(error, OSError) else None
    said = said or printable(" ".join(str(error).split())[:300]) or type(error).__name__
    return CheckpointError(f"{path}: cannot be read as weights: {said}")
