"""Hostile archives of arrays: golden vectors and reference files, and the golden decisions beside them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.kinds import DECISIONS, GOLDEN, REFERENCE, Kind, edit_json, nested, put, sealed

Arrays = dict[str, Any]
_COUNT = "text_offsets"


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {member.filename: archive.read(member) for member in archive.infolist()}


def write_members(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> None:
    """Write a ZIP file of these members, whatever they are called."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)


def _bytes_of(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _header(text: str, version: tuple[int, int] = (1, 0), content: bytes = b"", length: int | None = None) -> bytes:
    """Return an array file with any header."""
    raw = text.encode("latin-1") + b"\n"
    size = len(raw) if length is None else length
    kind = "<H" if version == (1, 0) else "<I"
    return (
        b"\x93NUMPY"
        + bytes(version)
        + struct.pack(kind, size & (0xFFFF if kind == "<H" else 0xFFFFFFFF))
        + raw
        + content
    )


def _with(name: str, content: bytes | Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Put another content in the place of a member."""

    def change(path: Path) -> None:
        members = _members(path)
        old = members[f"{name}.npy"]
        members[f"{name}.npy"] = content if isinstance(content, bytes) else content(old)
        write_members(path, list(members.items()))

    return change


def _array(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    """Put another array in the place of one."""

    def apply(path: Path) -> None:
        with np.load(path) as archive:
            array = archive[name]
        _with(name, _bytes_of(change(array)))(path)

    return apply


def _raw(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes())) and None


def _extra(*more: tuple[str, bytes]) -> Callable[[Path], object]:
    return lambda path: write_members(path, [*_members(path).items(), *more])


def _method(method: int) -> Callable[[Path], object]:
    return lambda path: write_members(path, list(_members(path).items()), method)


def _rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda path: write_members(
        path, [(new if name == f"{old}.npy" else name, content) for name, content in _members(path).items()]
    )


def _patch(offset: int, value: bytes, signature: bytes = b"PK\x01\x02") -> Callable[[Path], object]:
    """Write over a field of the first record with that signature."""

    def apply(path: Path) -> None:
        content = bytearray(path.read_bytes())
        start = content.find(signature) + offset
        content[start : start + len(value)] = value
        path.write_bytes(content)

    return apply


def _zeros(name: str, dtype: str, shape: str, size: int) -> Callable[[Path], object]:
    """Let an array be zeros, which pack a thousandfold."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    return _with(name, lambda _: _header(text, content=bytes(size)))


def _plain(text: str, content: bytes = b"") -> Callable[[bytes], bytes]:
    return lambda _: _header(text, content=content)


def _with_nan(value: float) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        changed = array.copy()
        changed.flat[0] = value
        return changed

    return change


def _set(index: int, value: int) -> Callable[[Any], Any]:
    return _with_nan(value)


_FORMS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("empty", _raw(lambda _: b"")),
    ("text", _raw(lambda _: b"hello " * 100)),
    ("a bare array", _raw(lambda _: _bytes_of(np.zeros(3, np.float32)))),
    ("a pickle", _raw(lambda _: b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00idR.")),
    ("cut in half", _raw(lambda content: content[: len(content) // 2])),
    ("without its directory", _raw(lambda content: content[: content.find(b"PK\x01\x02")])),
    ("behind 1 MB of something else", _raw(lambda content: bytes(1 << 20) + content)),
    ("before 1 MB of something else", _raw(lambda content: content + bytes(1 << 20))),
    ("with a comment", _raw(lambda content: content[:-2] + b"\x05\x00hello")),
    ("an empty archive", lambda path: write_members(path, [])),
    ("of 5,000 members", _extra(*((f"m{n}.npy", b"") for n in range(5000)))),
    ("of 70,000 members", _extra(*((f"m{n}.npy", b"") for n in range(70_000)))),
    ("with a member twice", _extra(("text.npy", _bytes_of(np.zeros(3, np.uint8))))),
    ("with a member that nobody knows", _extra(("surprise.npy", _bytes_of(np.zeros(3, np.uint8))))),
    ("with a member that is no array", _extra(("readme.txt", b"hello"))),
    ("with a member out of the archive", _extra(("../../escape.npy", _bytes_of(np.zeros(3, np.uint8))))),
    ("with an absolute member", _extra(("/etc/escape.npy", _bytes_of(np.zeros(3, np.uint8))))),
    ("with a member called by escape codes", _extra(("\x1b[31mred[/].npy", _bytes_of(np.zeros(3, np.uint8))))),
    ("with a folder", _extra(("folder/", b""))),
    ("with a member of objects that nobody asked for", _extra(("x.npy", _bytes_of(np.array([{}], object))))),
    ("with a member of 300 MB of zeros", _extra(("x.npy", bytes(300 << 20)))),
    ("with a member of 200 MB of zeros", _extra(("x.npy", bytes(200 << 20)))),
    ("packed with bzip2", _method(zipfile.ZIP_BZIP2)),
    ("packed with LZMA", _method(zipfile.ZIP_LZMA)),
    ("said to be encrypted", _patch(8, b"\x01\x00")),
    ("packed by an unknown method", _patch(10, b"\x63\x00")),
    ("with a wrong checksum", _patch(16, b"\0\0\0\0")),
    ("with a size of 4 GB in its directory", _patch(24, b"\xfe\xff\xff\xff")),
    ("with a size of 0 in its directory", _patch(24, b"\0\0\0\0")),
    ("with a packed size of 4 GB in its directory", _patch(20, b"\xfe\xff\xff\xff")),
    ("with a member that begins beyond the file", _patch(42, b"\xfe\xff\xff\x7f")),
    ("with a directory that is longer than the file", _patch(12, b"\xff\xff\xff\x7f", b"PK\x05\x06")),
    ("with a directory that begins beyond the file", _patch(16, b"\xff\xff\xff\x7f", b"PK\x05\x06")),
    ("with an extra field that is cut", _patch(30, b"\xff\xff")),
    ("with damaged packed data", _patch(60, b"\xff" * 20, b"PK\x03\x04")),
    ("of another version of ZIP", _patch(6, b"\xff\x00")),
)  # fmt: skip

_LONG = "9" * 5000
_HEADERS: tuple[tuple[str, bytes | Callable[[bytes], bytes]], ...] = (
    ("empty", b""),
    ("without a mark", lambda content: b"x" + content[1:]),
    ("of version 3.0", lambda content: content[:6] + b"\x03\x00" + content[8:]),
    ("of version 9.9", lambda content: content[:6] + b"\x09\x09" + content[8:]),
    ("said to be 4 GB long", _header("{}", (2, 0), length=0xFFFFFFF0)),
    ("of 30 MB", _header(" " * (30 << 20), (2, 0))),
    ("nested 9,000 deep", _header("(" * 9000)),
    ("nested 60,000 deep", _header("[" * 60_000)),
    ("of nested calls", _header("f(" * 3000)),
    ("of minus signs", _header("-" * 9000 + "1")),
    ("that is no dictionary", _plain("[1, 2]")),
    ("without a shape", _plain("{'descr': '<f4', 'fortran_order': False, }")),
    ("with a further key", _plain("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1, }", bytes(4))),
    ("with a quotation mark too few", _plain("{'descr': '<f4, 'fortran_order': False, 'shape': (1,), }")),
    ("with Python 2's longs", _plain("{'descr': '<f4', 'fortran_order': False, 'shape': (1L,), }", bytes(4))),
    ("with Python 2's longs, cut", _plain("{'descr': '<f4', 'fortran_order': False, 'shape': (1L, '''")),
    ("with an indentation", _plain("if 1:\n  {}\n {'descr': 1L}")),
    ("with a zero byte", _plain("{'descr': '<f4', \0 'fortran_order': False, 'shape': (1,), }")),
    ("with a negative shape", _plain("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }")),
    ("with a shape of 10^5000", _plain(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({_LONG},), }}")),
    ("with a shape of 2^62", _plain(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({1 << 62},), }}")),
    ("with a shape of 0 times 2^70", _plain(f"{{'descr': '<f4', 'fortran_order': False, 'shape': (0, {1 << 70}), }}")),
    ("with a shape of truths", _plain("{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }", bytes(4))),
    ("with a shape of fractions", _plain("{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,), }", bytes(4))),
    ("with 70 dimensions", _plain(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1,' * 70}), }}", bytes(4))),
    ("with an order that is a number", _plain("{'descr': '<f4', 'fortran_order': 7, 'shape': (1,), }", bytes(4))),
    ("of objects", _plain("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8))),
    ("of a type that nobody knows", _plain("{'descr': '<q99', 'fortran_order': False, 'shape': (1,), }", bytes(99))),
    ("of a type of 0 bytes", _plain("{'descr': '|V0', 'fortran_order': False, 'shape': (9,), }")),
    ("of texts", _plain("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", bytes(16))),
    ("of texts of 2^30 letters", _plain("{'descr': '<U1073741824', 'fortran_order': False, 'shape': (1,), }")),
    ("of records", _plain("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", bytes(4))),
    ("of nested records", _plain("{'descr': " + "[('a', " * 500 + "'<f4'" + ")]" * 500 + ", 'shape': (1,), }")),
    ("of arrays of arrays", _plain("{'descr': ('<f4', (2, 2)), 'fortran_order': False, 'shape': (1,), }", bytes(16))),
    ("of dates", _plain("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,), }", bytes(8))),
    ("of complex numbers", _plain("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", bytes(8))),
    ("with too few numbers", lambda content: content[:-4]),
    ("with too many numbers", lambda content: content + bytes(4)),
)  # fmt: skip

_GOLDEN_ARRAYS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    *((f"without {name}", _rename(name, "other.npy")) for name in ("text", _COUNT, "intent", "tags", "spans")),
    ("of 200 MB of zeros as intents", _zeros("intent", "<f4", "(10485760, 5)", 200 << 20)),
    ("of 60 MB of zeros as text", _zeros("text", "|u1", "(62914560,)", 60 << 20)),
    ("with intents in float64", _array("intent", lambda array: array.astype(np.float64))),
    ("with big-endian intents", _array("intent", lambda array: array.astype(">f4"))),
    ("with intents of another width", _array("intent", lambda array: array[:, :-1])),
    ("with intents in one dimension", _array("intent", lambda array: array.ravel())),
    ("with intents without dimensions", _array("intent", lambda array: array.ravel()[0])),
    ("with one intent less", _array("intent", lambda array: array[:-1])),
    ("with an intent that is no number", _array("intent", _with_nan(float("nan")))),
    ("with an infinite intent", _array("intent", _with_nan(float("inf")))),
    ("with a tag that is no number", _array("tags", _with_nan(float("nan")))),
    ("with tags of another width", _array("tags", lambda array: array[:, :-1])),
    ("with tags of no width", _array("tags", lambda array: array[:, :0])),
    ("with one word less", _array("tags", lambda array: array[:-1])),
    ("with tags without dimensions", _array("tags", lambda array: array.ravel()[0])),
    ("with texts in int8", _array("text", lambda array: array.astype(np.int8))),
    ("with offsets that fall", _array(_COUNT, lambda array: array[::-1].copy())),
    ("with offsets below 0", _array(_COUNT, _set(0, -5))),
    ("with offsets beyond the text", _array(_COUNT, lambda array: array + 1)),
    ("with offsets in int64", _array(_COUNT, lambda array: array.astype(np.int64))),
    ("with no offsets", _array(_COUNT, lambda array: array[:0])),
    ("with offsets of words that fall", _array("word_offsets", lambda array: array[::-1].copy())),
    ("with offsets of words below 0", _array("word_offsets", _set(0, -5))),
    ("with words that begin before the text", _array("spans", _set(0, -7))),
    ("with words that end before they begin", _array("spans", lambda array: array[:, ::-1].copy())),
    ("with words far beyond the text", _array("spans", lambda array: array + (1 << 30))),
    ("with words in float32", _array("spans", lambda array: array.astype(np.float32))),
    ("with words of three columns", _array("spans", lambda array: np.concatenate([array, array[:, :1]], 1))),
    *(
        (f"with bounds {what}", _extra(("tolerances.npy", _bytes_of(np.full(8, value, np.float32)))))
        for what, value in (("of 0", 0), ("below 0", -1), ("of NaN", np.nan), ("that are infinite", np.inf))
    ),
    ("with bounds for other texts", _extra(("tolerances.npy", _bytes_of(np.ones(3, np.float32))))),
)  # fmt: skip

GOLDENS: tuple[Kind, ...] = (
    *(sealed(f"golden vectors {name}", "golden", GOLDEN, change) for name, change in _FORMS),
    *(
        sealed(f"golden vectors whose header is {name}", "golden", GOLDEN, _with("intent", content))
        for name, content in _HEADERS
    ),
    *(sealed(f"golden vectors {name}", "golden", GOLDEN, change) for name, change in _GOLDEN_ARRAYS),
)
"""Kinds of hostile golden vectors."""


def _decisions(name: str, change: Callable[[Any], Any], harmless: str = "") -> Kind:
    return sealed(f"golden decisions {name}", "decisions", DECISIONS, lambda path: edit_json(path, change), harmless)


def _decision_bytes(name: str, content: bytes) -> Kind:
    return sealed(f"golden decisions {name}", "decisions", DECISIONS, lambda path: path.write_bytes(content))


DECIDED: tuple[Kind, ...] = (
    _decision_bytes("that are a list", b"[]"),
    _decision_bytes("nested 100,000 deep", nested(100_000).encode()),
    _decision_bytes("of 17 MiB of spaces", b" " * (17 << 20)),
    _decision_bytes("of zeros", bytes(100)),
    _decision_bytes("of invalid UTF-8", b'{"vectors": "\xff\xfe"}'),
    _decision_bytes("with half of a surrogate pair", b'{"vectors": "\\ud800"}'),
    _decisions("with an unknown field", lambda document: put(document, ["surprise"], 1)),
    _decisions("with 2^64 texts", lambda document: put(document, ["texts"], 1 << 64)),
    _decisions("with -1 texts", lambda document: put(document, ["texts"], -1)),
    _decisions("with an intent that is a number", lambda document: put(document, ["decisions", 0, "intent"], 7)),
    _decisions("with a slot of four parts", lambda found: put(found, ["decisions", 0, "slots"], [["a", 0, 1, 2]])),
    _decisions("with a slot at -1", lambda document: put(document, ["decisions", 0, "slots"], [["a", -1, 1]])),
    _decisions("with a slot at 10^30", lambda document: put(document, ["decisions", 0, "slots"], [["a", 10**30, 1]])),
    _decisions("with a short digest", lambda document: put(document, ["labels"], "ab")),
    _decisions("of 200,000 texts", lambda found: found.update(decisions=found["decisions"][:1] * 200_000)),
)  # fmt: skip


def _meta(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return _array("meta", lambda array: np.frombuffer(change(array.tobytes()), np.uint8))


def _meta_json(place: list[str | int], value: Any) -> Callable[[Path], object]:
    import json

    def change(content: bytes) -> bytes:
        document = json.loads(content)
        put(document, place, value)
        return json.dumps(document).encode()

    return _meta(change)


_NEEDED = (
    "meta",
    "gold.slots",
    "student.slots",
    "student.largest.tags",
    "exact.settled",
    "exact.intent",
    "teacher.slots",
    "teacher.largest.intents",
)
_TEXT_OF_ZEROS = np.zeros(100_000, np.uint8)
_REFERENCE_ARRAYS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    *(
        (f"without {name}", _rename(name, "other.npy"))
        for name in _NEEDED
    ),
    ("of 200 MB of zeros as text", _zeros("text", "|u1", f"({200 << 20},)", 200 << 20)),
    ("whose description is empty", _meta(lambda _: b"")),
    ("whose description is no JSON", _meta(lambda _: b"{")),
    ("whose description is a list", _meta(lambda _: b"[]")),
    ("whose description is nested 100,000 deep", _meta(lambda _: nested(100_000).encode())),
    ("whose description is invalid UTF-8", _meta(lambda content: content.replace(b"home", b"\xff\xfe\xff\xfe"))),
    ("whose description is half of a surrogate pair", _meta(lambda content: content.replace(b'"home"', b'"\\ud800"'))),
    ("of 32 bits a letter", _array("meta", lambda array: array.astype(np.uint32))),
    ("of format 9.0", _meta_json(["format"], "9.0")),
    ("of format null", _meta_json(["format"], None)),
    ("of a format of 4,000 digits", _meta_json(["format"], "1." + "9" * 4000)),
    ("without intents", _meta_json(["intents"], [])),
    ("without slots", _meta_json(["slots"], [])),
    ("without languages", _meta_json(["locales"], [])),
    ("with labels without tags", _meta_json(["labels", "tags"], ["O"])),
    ("with labels without form", _meta_json(["labels", "tags", 1], "X-x")),
    ("with parameters of 2^64", _meta_json(["student", "parameters"], 1 << 64)),
    ("with a spread that is no number", _meta_json(["framework", "spread"], "NaN")),
    ("with an unknown field", _meta_json(["surprise"], 1)),
    ("with gold intents beyond the list", _array("gold.intents", _set(0, 99))),
    ("with gold intents of 2^31 - 1", _array("gold.intents", _set(0, (1 << 31) - 1))),
    ("with gold intents below 0", _array("gold.intents", _set(0, -1))),
    ("with gold intents in float32", _array("gold.intents", lambda array: array.astype(np.float32))),
    ("with gold intents of two dimensions", _array("gold.intents", lambda array: array[None])),
    ("with gold slots beyond the list", _array("gold.slots", _set(0, 99))),
    ("with gold slots in one dimension", _array("gold.slots", lambda array: array.ravel())),
    ("with gold slots of two columns", _array("gold.slots", lambda array: array[:, :2])),
    ("with gold slots below the text", _array("gold.slots", lambda array: array - [0, 50, 0])),
    ("with offsets of slots that fall", _array("gold.slot_offsets", lambda array: array[::-1].copy())),
    ("with offsets of slots that are empty", _array("gold.slot_offsets", lambda array: array[:0])),
    ("with languages beyond the list", _array("locales", _set(0, 9))),
    ("with languages in float32", _array("locales", lambda array: array.astype(np.float32))),
    ("with words in int64", _array("spans", lambda array: array.astype(np.int64))),
    ("with words that end before they begin", _array("spans", lambda array: array[:, ::-1].copy())),
    ("with words beyond the text", _array("spans", lambda array: array + (1 << 30))),
    ("with offsets of words below 0", _array("word_offsets", _set(0, -1))),
    ("with largest tags beyond the labels", _array("student.largest.tags", _set(0, 65535))),
    ("with largest tags without columns", _array("student.largest.tags", lambda array: array[:, :0])),
    ("with largest logits in float32", _array("student.largest.tag_logits", lambda array: array.astype(np.float32))),
    ("with a logit that is no number", _array("student.largest.intent_logits", _with_nan(float("nan")))),
    ("with settled texts as numbers", _array("exact.settled", lambda array: array.astype(np.int8))),
    ("with settled texts of two dimensions", _array("exact.settled", lambda array: array[None])),
    ("with exact intents without dimensions", _array("exact.intent", lambda array: array.ravel()[0])),
    ("with an exact logit that is no number", _array("exact.tags", _with_nan(float("nan")))),
    ("without bounds", _rename("exact.tolerances", "exact.other.npy")),
    ("with bounds below 0", _array("exact.tolerances", lambda array: -array)),
    ("with a text of 100,000 bytes", _array("text", lambda array: np.concatenate([array, _TEXT_OF_ZEROS]))),
)  # fmt: skip


def _reference(name: str, change: Callable[[Path], object]) -> Kind:
    return Kind(f"a reference {name}", "reference", lambda folder: change(folder / REFERENCE))


REFERENCES: tuple[Kind, ...] = (
    *(_reference(name, change) for name, change in _FORMS),
    *(_reference(f"whose header is {name}", _with("exact.intent", content)) for name, content in _HEADERS),
    *(_reference(name, change) for name, change in _REFERENCE_ARRAYS),
)
"""Kinds of hostile reference files."""
