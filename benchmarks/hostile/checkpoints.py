"""Hostile checkpoints: facts and weights of a trained parser."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.kinds import RUN, Kind, edit_json, nested, put
from benchmarks.hostile.manifests import MARKUP
from pqrnn.run_folder import FACTS, WEIGHTS

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I8": 1, "U8": 1, "BOOL": 1}


def _facts(name: str, change: Callable[[Any], Any], harmless: str = "") -> Kind:
    return Kind(f"facts with {name}", "facts", lambda folder: edit_json(folder / RUN / FACTS, change), harmless)


def _fact(name: str, place: list[str | int], value: Any, harmless: str = "") -> Kind:
    return _facts(name, lambda document: put(document, place, value), harmless)


def _fact_bytes(name: str, change: Callable[[bytes], bytes]) -> Kind:
    def apply(folder: Path) -> None:
        path = folder / RUN / FACTS
        path.write_bytes(change(path.read_bytes()))

    return Kind(f"facts {name}", "facts", apply)


_CONFIG = ("layers", "state", "bottleneck", "kernel", "refinements", "context")
_HUGE = (("-1", -1), ("10^6", 10**6), ("10^9", 10**9), ("10^30", 10**30))
FACT_KINDS: tuple[Kind, ...] = (
    _fact_bytes("that are empty", lambda _: b""),
    _fact_bytes("that are a list", lambda _: b"[]"),
    _fact_bytes("nested 100,000 deep", lambda _: nested(100_000).encode()),
    _fact_bytes("cut in half", lambda content: content[: len(content) // 2]),
    _fact_bytes("of random bytes", lambda _: bytes(range(256)) * 16),
    _fact_bytes("in UTF-16", lambda content: content.decode().encode("utf-16")),
    _fact_bytes("with invalid UTF-8", lambda content: content.replace(b'"revision"', b'"\xff\xfe"')),
    _fact_bytes("with half of a surrogate pair", lambda content: content.replace(b'"abc"', b'"\\ud800"')),
    _fact_bytes("of 300 MB of spaces", lambda content: content + b" " * (300 << 20)),
    *(
        _fact(f"{name} {what}", ["config", name], value)
        for name in _CONFIG
        for what, value in _HUGE
        if not (name == "context" and value < 0)
    ),
    *(
        _fact(f"{what} {name}", ["config", "projection", name], value)
        for name in ("word_features", "ngram_features")
        for what, value in (*_HUGE, ("17", 17))
    ),
    _fact("1,000,000 lengths of n-grams", ["config", "projection", "ngrams"], list(range(1, 1_000_000))),
    _fact("n-grams of 10^9 characters", ["config", "projection", "ngrams"], [10**9]),
    _fact("n-grams of -1 characters", ["config", "projection", "ngrams"], [-1]),
    _fact("projection of version 99", ["config", "projection", "version"], 99),
    _fact("an unknown network", ["config", "network"], "lstm"),
    _fact("a transformer without weights", ["config", "network"], "transformer"),
    _fact("an unknown norm", ["config", "norm"], "layer"),
    _fact("an unknown precision", ["config", "precision"], "int2"),
    _fact("int8 and a norm", ["config", "precision"], "int8"),
    _fact("a dropout of 7", ["config", "dropout"], 7),
    _fact("another number of intents", ["labels", "intents"], ["a"]),
    _fact("no intents", ["labels", "intents"], []),
    _fact("an intent twice", ["labels", "intents"], ["a", "a"]),
    _fact("1,000,000 intents", ["labels", "intents"], [f"{n:x}" for n in range(1_000_000)]),
    _fact("20,000 tags", ["labels", "tags"], ["O", *(f"B-{n}" for n in range(20_000))]),
    _fact("a tag of no known form", ["labels", "tags", 1], "X-x"),
    _fact("frames beyond the slots", ["labels", "frames"], [[99], [99]]),
    _fact("counts of frames of 2^64", ["labels", "frame_counts"], [[[1 << 64]], []]),
    _fact("a negative slot", ["labels", "frames"], [[-1], []]),
    _fact("format 99", ["format"], 99),
    _fact("format 2^64", ["format"], 1 << 64),
    _fact("an unknown field", ["surprise"], 1),
    _fact("negative lengths", ["lengths"], [[-1, -1, -1]]),
    _fact("lengths of 10^30", ["lengths"], [[10**30, 10**30, 10**30]]),
    _fact("lengths of 10^15", ["lengths"], [[10**15, 10**15, 10**15]]),
    _fact("markup as an intent", ["labels", "intents"], [MARKUP, MARKUP]),
    _fact("markup as a field", [MARKUP], 1),
)

Tensors = dict[str, tuple[str, list[int], bytes]]


def read_tensors(path: Path) -> Tensors:
    """Take a file of safetensors apart: type, shape and bytes of every tensor."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    return {
        name: (entry["dtype"], entry["shape"], content[8 + size :][slice(*entry["data_offsets"])])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def write_tensors(path: Path, tensors: Tensors, header: dict[str, Any] | None = None, padding: int = 0) -> None:
    """Write a file of safetensors, with further entries of its header and spaces behind it."""
    entries: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape, data) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    raw = json.dumps({**entries, **(header or {})}).encode() + b" " * padding
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + b"".join(data for _, _, data in tensors.values()))


def _weights(name: str, change: Callable[[Path], object]) -> Kind:
    return Kind(f"weights {name}", "weights", lambda folder: change(folder / RUN / WEIGHTS))


def _tensors(name: str, change: Callable[[Tensors], Tensors | None]) -> Kind:
    def apply(path: Path) -> None:
        tensors = read_tensors(path)
        write_tensors(path, change(tensors) or tensors)

    return _weights(name, apply)


def _header(name: str, header: bytes, size: int | None = None, rest: bytes = b"") -> Kind:
    content = struct.pack("<Q", len(header) if size is None else size) + header + rest
    return _weights(f"whose header {name}", lambda path: path.write_bytes(content))


def _number(name: str, value: float, tensor: str = "intent.weight") -> Kind:
    def change(tensors: Tensors) -> None:
        dtype, shape, data = tensors[tensor]
        numbers = np.frombuffer(data, np.float32).copy()
        numbers[len(numbers) // 2] = value
        tensors[tensor] = dtype, shape, numbers.tobytes()

    return _tensors(f"with {name} in {tensor}", change)


def _cast(dtype: str, harmless: str = "") -> Kind:
    def change(tensors: Tensors) -> None:
        _, shape, data = tensors["intent.weight"]
        tensors["intent.weight"] = dtype, shape, bytes(len(data) // 4 * _SIZES[dtype])

    return _tensors(f"in {dtype}", change)._replace(harmless=harmless)


def _reshaped(name: str, shape: list[int]) -> Kind:
    def change(tensors: Tensors) -> None:
        tensors["intent.weight"] = "F32", shape, bytes(4 * int(np.prod(shape)))

    return _tensors(f"of another shape ({name})", change)


def _drop(tensors: Tensors) -> None:
    del tensors["intent.weight"]


def _sparse(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(200 << 30)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(target: str) -> Callable[[Path], object]:
    def apply(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return apply


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


_OVERLAP = (
    b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}'
)
_EMPTY = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
_FIELD = b'{"intent.weight":{"dtype":"F32","shape":[%s],"data_offsets":[0,%d]}}'

_FILES: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("a pipe that nobody writes", _fifo),
    ("a folder", _folder),
    ("/dev/zero", _link("/dev/zero")),
    ("a link to itself", _link("model.safetensors")),
    ("a link to nothing", _link("nowhere")),
    ("a terminal", _link("/dev/tty")),
)

WEIGHT_KINDS: tuple[Kind, ...] = (
    *(_weights(f"that are {name}", change) for name, change in _FILES),
    *(
        Kind(f"facts that are {name}", "facts", lambda folder, change=change: change(folder / RUN / FACTS))  # type: ignore[misc]
        for name, change in _FILES
    ),
    _weights("that are missing", lambda path: path.unlink()),
    _weights("that are empty", lambda path: path.write_bytes(b"")),
    _weights("of 200 GB of nothing", _sparse),
    _weights("cut in half", lambda path: path.write_bytes(path.read_bytes()[:4000])),
    _weights("with 1 MB behind", lambda path: path.write_bytes(path.read_bytes() + bytes(1 << 20))),
    _weights("that are a pickle", lambda path: path.write_bytes(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00idR.")),
    _header("is said to be 2^63 bytes long", b"{}", 1 << 63),
    _header("is said to be 2^64 - 1 bytes long", b"{}", (1 << 64) - 1),
    _header("is said to be 99 MB long", b"{}", 99_000_000),
    _header("is said to be 0 bytes long", b"", 0),
    _header("is no JSON", b"{{{{"),
    _header("is a list", b"[]"),
    _header("is nested 100,000 deep", nested(100_000).encode()),
    _header("is invalid UTF-8", b'{"\xff":1}'),
    _header("has no tensors", b"{}"),
    _header("has 500,000 tensors", json.dumps({f"t{n}": _EMPTY for n in range(500_000)}).encode()),
    _header("has tensors that overlap", _OVERLAP, rest=bytes(24)),
    _header("has a shape of 2^62", _FIELD % (b"4611686018427387904", 16), rest=bytes(16)),
    _header("has a shape of 2^40 times 0", _FIELD % (b"1099511627776,0", 0)),
    _header("has a shape below 0", _FIELD % (b"-4", 16), rest=bytes(16)),
    _header("has a shape of 1,000 dimensions", _FIELD % (b",".join([b"1"] * 1000), 4), rest=bytes(4)),
    _header("has offsets beyond the file", _FIELD % (b"1000000", 4_000_000), rest=bytes(16)),
    _header("has an unknown type", b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', rest=bytes(4)),
    _tensors("of no tensor", lambda _: {"x": ("F32", [0], b"")}),
    _tensors("that lack one", _drop),
    _tensors("with one more", lambda tensors: tensors.update(extra=("F32", [4], bytes(16)))),
    _tensors("with one of 50 MB more", lambda tensors: tensors.update(extra=("F32", [12_500_000], bytes(50_000_000)))),
    _tensors("under other names", lambda tensors: {f"x.{name}": entry for name, entry in tensors.items()}),
    _tensors("with a name of escape codes", lambda tensors: tensors.update({MARKUP: ("F32", [4], bytes(16))})),
    *(_cast(dtype) for dtype in ("F64", "I32", "I8", "U8", "BOOL")),
    *(_cast(dtype, "a file may keep fewer bits") for dtype in ("F16", "BF16")),
    _reshaped("one row less", [1, 32]),
    _reshaped("one dimension", [64]),
    _reshaped("empty", [0, 32]),
    _reshaped("2,000,000 rows", [2_000_000, 8]),
    *(
        _number(name, value, tensor)
        for tensor in ("intent.weight", "tags.bias", "bottleneck_norm.variance")
        for name, value in (("NaN", float("nan")), ("infinity", float("inf")))
    ),
    _number("a negative number", -1.0, "bottleneck_norm.variance"),
)  # fmt: skip
CHECKPOINTS: tuple[Kind, ...] = (*FACT_KINDS, *WEIGHT_KINDS)
"""Kinds of hostile checkpoints."""
