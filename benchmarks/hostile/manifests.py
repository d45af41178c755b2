"""Hostile manifests: syntax, numbers, sizes, names, and what contradicts itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.hostile.kinds import GOLDEN, MODULE, Kind, at, in_manifest, manifest_bytes, nested, put

_DIGEST = {"sha256": "0" * 64, "bytes": 1}


def _raw(name: str, content: bytes) -> Kind:
    return manifest_bytes(f"manifest is {name}", lambda _: content)


def _spliced(name: str, place: Sequence[str | int], text: str | bytes, harmless: str = "") -> Kind:
    """Put text at a place that `json` would not write."""
    raw = text if isinstance(text, bytes) else text.encode()

    def change(content: bytes) -> bytes:
        document = json.loads(content)
        put(document, place, "@@")
        return json.dumps(document).encode().replace(b'"@@"', raw)

    return manifest_bytes(name, change, harmless)


_SYNTAX = (
    _raw("empty", b""),
    _raw("null", b"null"),
    _raw("a number", b"7"),
    _raw("a text", b'"manifest"'),
    _raw("a list", b"[]"),
    _raw("an empty object", b"{}"),
    _raw("a huge number", b"1" * 100_000),
    _raw("zeros", bytes(4096)),
    _raw("random", bytes(range(256)) * 16),
    _raw("nested 100,000 deep", nested(100_000).encode()),
    _raw("nested 4,000,000 deep", nested(4_000_000).encode()),
    _raw("objects nested 100,000 deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    _raw("an unknown field nested 50,000 deep", b'{"schema":"1.5","x":' + nested(50_000).encode() + b"}"),
    manifest_bytes("manifest in UTF-16", lambda content: content.decode().encode("utf-16")),
    manifest_bytes("manifest in UTF-32", lambda content: content.decode().encode("utf-32")),
    manifest_bytes("manifest after a byte order mark", lambda content: b"\xef\xbb\xbf" + content),
    manifest_bytes("manifest cut in half", lambda content: content[: len(content) // 2]),
    manifest_bytes("manifest without its last brace", lambda content: content.rstrip()[:-1]),
    manifest_bytes("manifest with a second document", lambda content: content + content),
    manifest_bytes("manifest with a zero byte behind", lambda content: content + b"\0"),
    manifest_bytes("manifest with a comment", lambda content: b"// hello\n" + content),
    manifest_bytes("manifest of 17 MiB of spaces", lambda content: content + b" " * (17 << 20)),
    manifest_bytes("manifest of 15 MiB of spaces", lambda content: content + b" " * (15 << 20), "spaces mean nothing"),
    manifest_bytes("a key twice", lambda content: content.replace(b"{", b'{"abi":1,', 1), "readers take the last one"),
)

_BAD_TEXT = (
    ("invalid UTF-8", b'"\xff\xfe"'),
    ("an overlong sequence", b'"\xc0\xaf"'),
    ("a surrogate in UTF-8", b'"\xed\xa0\x80"'),
    ("half of a surrogate pair", b'"\\ud800"'),
    ("a cut sequence", b'"\xe2\x82"'),
    ("a raw control character", b'"a\nb"'),
)
_Places = tuple[tuple[str, Sequence[str | int]], ...]
_TEXT_PLACES: _Places = (
    ("as the package's name", ["name"]),
    ("as an intent", ["labels", "intents", 0]),
    ("in the configuration", ["model", "config"]),
)
_FREE_PLACES: _Places = (("the configuration", ["model", "config"]), ("metrics", ["model", "metrics"]))
_FILE_PLACES: _Places = (("the module", ["variants", 0, "path"]), ("the vectors", ["golden", "path"]))
_UTF8 = tuple(_spliced(f"{what} {where}", place, text) for where, place in _TEXT_PLACES for what, text in _BAD_TEXT)

_NUMBERS: tuple[tuple[str, Sequence[str | int]], ...] = (
    ("abi", ["abi"]),
    ("parameters", ["model", "parameters"]),
    ("a bucket's words", ["buckets", -1, "words"]),
    ("a bucket's bytes", ["buckets", -1, "bytes"]),
    ("golden texts", ["golden", "texts"]),
    ("golden words", ["golden", "words"]),
    ("tolerance", ["golden", "tolerance"]),
    ("batch", ["batch"]),
    ("a file's bytes", ["files", GOLDEN, "bytes"]),
    ("the module's bytes", ["files", MODULE, "bytes"]),
    ("seconds of compiling", ["variants", 0, "compile_seconds"]),
    ("dispatches", ["variants", 0, "dispatches"]),
)
_VALUES: tuple[tuple[str, str], ...] = (
    ("-1", "-1"),
    ("2^31", str(1 << 31)),
    ("2^53 + 3", str((1 << 53) + 3)),
    ("2^64", str(1 << 64)),
    ("of 10,000 digits", "9" * 10_000),
    ("1e400", "1e400"),
    ("NaN", "NaN"),
    ("a text", '"7"'),
)
_HARMLESS_NUMBERS = {
    **{("tolerance", value): "`check` compares it with the vectors" for value in ("2^53 + 3", "2^64")},
    ("seconds of compiling", "2^31"): "a time for people",
    ("parameters", "2^31"): "a number for people",
    ("tolerance", "2^31"): "`check` compares it with the vectors",
}
_ABSURD = tuple(
    _spliced(f"{what} {value}", place, text, _HARMLESS_NUMBERS.get((what, value), ""))
    for what, place in _NUMBERS
    for value, text in _VALUES
)

_MANY: tuple[tuple[str, Callable[[Any], object]], ...] = (
    ("1,000,000 intents", lambda m: put(m, ["labels", "intents"], [f"{n:x}" for n in range(1_000_000)])),
    ("60,000 intents", lambda m: put(m, ["labels", "intents"], [f"i{n}" for n in range(60_000)])),
    ("400,000 tags", lambda m: put(m, ["labels", "tags"], ["O", *(f"B-{n}" for n in range(400_000))])),
    ("20,000 tags", lambda m: put(m, ["labels", "tags"], ["O", *(f"B-{n}" for n in range(20_000))])),
    ("another number of intents than the module", lambda m: m["labels"]["intents"].append("one more")),
    ("another number of tags than the module", lambda m: m["labels"]["tags"].append("B-more")),
    ("frames of 5,000,000 empty lists", lambda m: put(m, ["labels", "frames"], [[]] * 5_000_000)),
    ("a frame of 1,000,000 slots", lambda m: put(m, ["labels", "frames"], [list(range(1_000_000))] * 1)),
    ("1,000,000 counts of frames", lambda m: put(m, ["labels", "frame_counts"], [[[1, 0, 0, 0]] * 1_000_000])),
    ("counts of frames of 10^30", lambda m: put(m, ["labels", "frame_counts"], [[[10**30]]] * 5)),
    ("a count of a frame of 2^60", lambda m: put(m, ["labels", "frame_counts"], [[[1 << 60]]] * 5)),
    ("a slot of a frame beyond the list", lambda m: put(m, ["labels", "frames"], [[7]] * 5)),
    ("a slot of 2^62", lambda m: put(m, ["labels", "frames"], [[1 << 62]] * 5)),
    ("200,000 buckets", lambda m: m.update(buckets=[_bucket(n + 1, 4 * n + 4) for n in range(200_000)])),
    ("500 buckets of a function", lambda m: m.update(buckets=[_bucket(n + 1, 64, "parse_4") for n in range(500)])),
    ("a bucket of 12 GB", lambda m: m["buckets"][-1].update(bytes=12 << 30)),
    ("a bucket of 1 GB", lambda m: m["buckets"][-1].update(bytes=1 << 30)),
    ("a bucket of 256 MB", lambda m: m["buckets"][-1].update(bytes=256 << 20)),
    ("a bucket of 4 bytes more than the module's", lambda m: m["buckets"][-1].update(bytes=68)),
    ("a bucket of more words than the module's", lambda m: m["buckets"][-1].update(words=17)),
    ("a bucket of 2^30 words", lambda m: m["buckets"][-1].update(words=1 << 30)),
    ("a bucket of the bytes of another one", lambda m: m["buckets"][0].update(bytes=64)),
    ("a batch of 100,000,000", lambda m: m.update(batch=100_000_000)),
    ("a batch of which the module has no function", lambda m: m.update(batch=8)),
    ("50,000 variants", lambda m: m.update(variants=[m["variants"][0] | {"target": f"t{n}"} for n in range(30_000)])),
    ("100,000 files", lambda m: m["files"].update({f"f{n}": _DIGEST for n in range(100_000)})),
    ("1,000,000 flags", lambda m: m["variants"][0].update(flags=["-O3"] * 1_000_000)),
    ("1,000,000 features", lambda m: m["variants"][0].update(features=["avx2"] * 1_000_000)),
    ("a configuration of 500,000 keys", lambda m: m["model"].update(config={f"k{n}": n for n in range(500_000)})),
    ("metrics of 500,000 keys", lambda m: m["model"].update(metrics={f"k{n}": n for n in range(500_000)})),
    ("a name of 10 MB", lambda m: m.update(name="n" * 10_000_000)),
    ("an intent of 10 MB", lambda m: put(m, ["labels", "intents", 0], "n" * 10_000_000)),
    ("a reason of 10 MB", lambda m: m["variants"][0].update(unverified_reason="n" * 10_000_000)),
    ("a target of 10 MB", lambda m: m["variants"][0].update(target="n" * 10_000_000)),
    ("a function's name of 10 MB", lambda m: m["buckets"][0].update(entry="n" * 10_000_000)),
)  # fmt: skip


def _bucket(words: int, size: int, entry: str = "") -> dict[str, Any]:
    return {"words": words, "bytes": size, "entry": entry or f"parse_{words}"}


_DEEP = tuple(
    _spliced(f"{where} nested {depth:,} deep", place, '{"a":' + nested(depth) + "}")
    for where, place in _FREE_PLACES
    for depth in (500, 990, 5_000, 200_000)
)

_UNSAFE = (
    "../escape", "/etc/passwd", "a/../../b", "C:\\windows", "a\\b", "con", "nul.txt", ".hidden", "a/.b", "trailing.",
    "a//b", "", "n" * 201, "a\nb", "a\0b", "ä", "-", "~root", "manifest.json", "a b", "$(id)",
)  # fmt: skip
_PATHS = tuple(
    in_manifest(f"a file called {name[:20]!r}", lambda m, name=name: m["files"].update({name: _DIGEST}))  # type: ignore[misc]
    for name in _UNSAFE
) + tuple(
    at(f"{what} at {name!r}", place, name)
    for what, place in _FILE_PLACES
    for name in ("../escape", "/dev/zero", "nowhere", "manifest.json", "")
)

_FORMS = (
    *(
        at(f"schema {schema!r}", ["schema"], schema)
        for schema in ("2.0", "0.9", "1.99", "1", "1.5.1", "", "1.5\n", "٣.1", "9" * 10_000 + ".1", 1.5, None)
    ),
    at("an unknown field", ["surprise"], 1),
    at("an unknown field of a variant", ["variants", 0, "surprise"], 1),
    in_manifest("no labels", lambda m: m.pop("labels")),
    in_manifest("no files", lambda m: m.pop("files")),
    at("no intents", ["labels", "intents"], []),
    at("an intent twice", ["labels", "intents", 1], "alarm"),
    at("an empty intent", ["labels", "intents", 1], ""),
    at("an intent that is a number", ["labels", "intents", 1], 5),
    at("a first tag that is not O", ["labels", "tags", 0], "B-x"),
    at("a tag of no known form", ["labels", "tags", 1], "X-x"),
    at("a tag of three digits", ["labels", "tags", 1], "B100-x"),
    at("no buckets", ["buckets"], []),
    in_manifest("buckets that shrink", lambda m: m["buckets"].reverse()),
    at("a bucket of 0 words", ["buckets", 0, "words"], 0),
    at("a bucket of 30 bytes", ["buckets", 0, "bytes"], 30),
    at("a function called __init", ["buckets", 0, "entry"], "__init"),
    at("a function that is not there", ["buckets", 0, "entry"], "parse_5"),
    at("a function with a line feed", ["buckets", 0, "entry"], "parse_4\n"),
    at("a feature in capitals", ["variants", 0, "features"], ["AVX2"]),
    at("a feature with a line feed", ["variants", 0, "features"], ["avx2\n"]),
    at("a digest in capitals", ["files", GOLDEN, "sha256"], "A" * 64),
    at("a digest of 63 digits", ["files", GOLDEN, "sha256"], "a" * 63),
    at("no reason and no proof", ["variants", 0, "unverified_reason"], None),
    at("a device of another kind", ["variants", 0, "device"], "cuda"),
    at("a GPU without needs", ["variants", 0, "device"], "vulkan"),
    at("a tokenizer that is not there", ["tokenizer"], {"path": "t", "unknown": 0, "padding": 0}),
    at("a tokenizer that is no tokenizer", ["tokenizer"], {"path": GOLDEN, "unknown": 0, "padding": 0}),
    at("a tokenizer with ids of 2^40", ["tokenizer"], {"path": GOLDEN, "unknown": 1 << 40, "padding": 1 << 40}),
)  # fmt: skip
_REPORTING = ("inspect", "inspect --json", "report", "deploy", "board inspect")

MARKUP = "[bold red]\x1b]0;owned\x07\x1b[31mX\x9b2J\u202egnp[/bold red]<script>alert(1)</script>"
_MARKUP = (
    at("markup and escape codes as the package's name", ["name"], MARKUP, "text, shown as such"),
    at("markup and escape codes as an intent", ["labels", "intents"], [f"{MARKUP}{n}" for n in range(5)],
       "text, shown as such"),
    at("markup and escape codes as tags", ["labels", "tags"],
       ["O", *(f"{kind}-{MARKUP}{n}" for n in range(2) for kind in "BI")], "text, shown as such"),
    at("markup and escape codes as a reason", ["variants", 0, "unverified_reason"], MARKUP, "text, shown as such"),
    at("markup and escape codes as the processor", ["variants", 0, "cpu"], MARKUP, "text, shown as such"),
    at("markup and escape codes as the date", ["created"], MARKUP, "text, shown as such"),
    at("markup and escape codes as metrics", ["model", "metrics"], {MARKUP: {"value": 1.0}}, "text, shown as such"),
    at("markup and escape codes as the triple", ["variants", 0, "triple"], MARKUP),
    at("markup and escape codes as the device", ["variants", 0, "device"], MARKUP),
    at("markup and escape codes as the compiler", ["producer", "iree_compiler"], MARKUP),
    at("markup and escape codes as a tag without a form", ["labels", "tags", 1], MARKUP),
    at("an intent twice, with markup", ["labels", "intents"], [MARKUP] * 5),
    at("markup and escape codes as the schema", ["schema"], MARKUP),
    at("markup and escape codes as a file", ["golden", "path"], MARKUP),
    at("markup and escape codes as an unknown field", [MARKUP], 1),
)  # fmt: skip


def _other_machine(kind: Kind) -> Kind:
    """What cannot run here is described all the same."""
    return kind._replace(reported=_REPORTING)


_NOT_HERE = {
    "a device of another kind",
    "a function called __init",
    "a function that is not there",
    "a tokenizer that is no tokenizer",
    "another number of intents than the module",
    "another number of tags than the module",
    "a bucket of 4 bytes more than the module's",
    "a bucket of more words than the module's",
    "a bucket of the bytes of another one",
    "a batch of which the module has no function",
    "markup and escape codes as the triple",
    "markup and escape codes as the device",
    "markup and escape codes as the compiler",
}

_OTHER_SHAPE = "the module compares shapes when that function is called"
_SHAPES = (
    "a bucket of 4 bytes more than the module's",
    "a bucket of more words than the module's",
)

_ALL = (
    *_SYNTAX,
    *_UTF8,
    *_ABSURD,
    *(in_manifest(name, change, _OTHER_SHAPE if name in _SHAPES else "") for name, change in _MANY),
    *_DEEP,
    *_PATHS,
    *_FORMS,
    *_MARKUP,
)
MANIFESTS: tuple[Kind, ...] = tuple(_other_machine(kind) if kind.name in _NOT_HERE else kind for kind in _ALL)
"""Kinds of hostile manifests."""
