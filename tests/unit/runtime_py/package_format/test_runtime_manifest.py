"""The manifest: strict decoding, the version gate, names that stay inside the package, and a stable written form."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers.runtime_fakes import fake_manifest, fake_variant, manifest_bytes, write_fake

from runtime_py.decode.labels import Labels
from runtime_py.errors import SchemaError
from runtime_py.package_format.file_entry import FileEntry
from runtime_py.package_format.manifest import SCHEMA, Bucket, Manifest, VulkanNeeds, json_schema
from runtime_py.package_format.manifest_codec import check_relative_name, check_schema, decode_manifest, encode_manifest
from runtime_py.package_format.proofs import Parity


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    return json.loads(encode_manifest(write_fake(tmp_path / "a.pqrnn")))


def refuse(document: dict[str, Any], match: str) -> None:
    with pytest.raises(SchemaError, match=match):
        decode_manifest(manifest_bytes(document), "there/manifest.json")


def test_round_trip_gives_the_same_bytes(tmp_path: Path) -> None:
    data = encode_manifest(write_fake(tmp_path / "a.pqrnn"))
    assert encode_manifest(decode_manifest(data)) == data
    assert data.endswith(b"}\n")


@pytest.mark.parametrize(
    "where", [(), ("producer",), ("model",), ("labels",), ("buckets", 0), ("variants", 0), ("golden",)]
)
def test_unknown_fields_are_refused_everywhere(document: dict[str, Any], where: tuple[str | int, ...]) -> None:
    inner: Any = document
    for key in where:
        inner = inner[key]
    inner["surprise"] = 1
    refuse(document, "surprise")


@pytest.mark.parametrize("field", ["producer", "labels", "buckets", "variants", "golden", "files", "name", "schema"])
def test_missing_fields_are_named(document: dict[str, Any], field: str) -> None:
    del document[field]
    refuse(document, field)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'"text"', b"null"])
def test_anything_else_is_no_manifest(data: bytes) -> None:
    with pytest.raises(SchemaError, match=r"there/manifest\.json: not a manifest"):
        decode_manifest(data, "there/manifest.json")


@pytest.mark.parametrize(
    ("version", "match"),
    [
        ("2.0", "pip install --upgrade"),
        ("1.9", "pip install --upgrade"),
        ("0.9", "Compile the package again"),
        ("1", "major.minor"),
        ("1.0.0", "major.minor"),
    ],
)
def test_other_format_versions_are_refused_with_what_to_do(document: dict[str, Any], version: str, match: str) -> None:
    document["schema"] = version
    document["a field of the future"] = True
    refuse(document, match)


def test_the_gate_takes_this_version_and_older_minors(monkeypatch: pytest.MonkeyPatch) -> None:
    check_schema(SCHEMA)
    monkeypatch.setattr("runtime_py.package_format.manifest_bytes.SCHEMA", "1.3")
    check_schema("1.2")
    with pytest.raises(SchemaError):
        check_schema("1.4")


def test_a_package_of_before_calibrations_has_none(document: dict[str, Any]) -> None:
    assert document.pop("calibration") is None
    document["schema"] = "1.6"
    assert decode_manifest(manifest_bytes(document)).calibration is None


def test_a_package_of_the_first_format_is_read_and_rewritten_in_this_one(document: dict[str, Any]) -> None:
    document["schema"] = "1.0"
    for variant in document["variants"]:
        del variant["vulkan"]
    manifest = decode_manifest(manifest_bytes(document))
    assert (manifest.schema, manifest.variants[0].vulkan) == ("1.0", None)
    assert json.loads(encode_manifest(manifest))["schema"] == SCHEMA


@pytest.mark.parametrize(("device", "vulkan"), [("vulkan", None), ("local-sync", VulkanNeeds(subgroup=8))])
def test_needs_of_vulkan_belong_to_that_device(tmp_path: Path, device: str, vulkan: VulkanNeeds | None) -> None:
    with pytest.raises(SchemaError, match="needs of Vulkan"):
        write_fake(tmp_path / "a.pqrnn", fake_manifest(fake_variant(device=device, vulkan=vulkan)))


def test_another_abi_is_refused(document: dict[str, Any]) -> None:
    document["abi"] = 2
    refuse(document, "ABI 2")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        ".hidden",
        "a/.b",
        "a\\b",
        "C:/x",
        "a\n",
        "a b",
        "x" * 201,
        "con",
        "a/NUL.txt",
        "dot.",
        "é",
        "a\0b",
        "~/x",
    ],
)
def test_names_that_could_leave_the_package_are_refused(name: str) -> None:
    with pytest.raises(SchemaError, match="unsafe file name"):
        check_relative_name(name, "here")


@given(st.text(max_size=20))
def test_every_accepted_name_stays_inside(name: str) -> None:
    try:
        check_relative_name(name, "here")
    except SchemaError:
        return
    assert not Path(name).is_absolute()
    assert (Path("/root/of/package") / name).resolve().is_relative_to("/root/of/package")


@pytest.mark.parametrize(
    "name", ["module.vmfb", "variants/linux-x86_64-v3/module.vmfb", "golden/golden.npz", "a+b/c_1.0"]
)
def test_usual_names_pass(name: str) -> None:
    check_relative_name(name, "here")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"files": {"../evil": {"sha256": "0" * 64, "bytes": 1}}}, "unsafe file name"),
        ({"files": {"a": {"sha256": "0" * 63, "bytes": 1}}}, "sha256"),
        ({"files": {"a": {"sha256": "0" * 64 + "\n", "bytes": 1}}}, "sha256"),
        ({"files": {}}, "not listed under files"),
        ({"buckets": []}, "buckets"),
        ({"buckets": [{"words": 8, "bytes": 63, "entry": "parse_8"}]}, "bytes"),
        ({"buckets": [{"words": 8, "bytes": 64, "entry": "parse 8"}]}, "entry"),
        ({"labels": {"intents": [], "tags": ["O"]}}, "intents"),
    ],
)
def test_contradictions_are_refused(document: dict[str, Any], change: dict[str, Any], match: str) -> None:
    refuse(document | change, match)


def with_labels(manifest: Manifest, intents: list[str], tags: list[str]) -> Manifest:
    return msgspec.structs.replace(manifest, labels=Labels(intents=tuple(intents), tags=tuple(tags)))


@pytest.mark.parametrize(
    ("intents", "tags", "match"),
    [
        (["a", "a"], ["O"], "intent 'a' appears twice"),
        (["a"], ["O", "B-x", "B-x"], "tag 'B-x' appears twice"),
        (["a"], ["B-x", "O"], "first tag"),
        (["a"], ["O", "X-x"], "neither"),
    ],
)
def test_labels_have_to_make_sense(tmp_path: Path, intents: list[str], tags: list[str], match: str) -> None:
    with pytest.raises(SchemaError, match=match):
        encode_manifest(with_labels(write_fake(tmp_path / "a.pqrnn"), intents, tags))


@pytest.mark.parametrize(
    ("frames", "counts", "match"),
    [
        ([[0]], [], "frames for 1 intents, and there are 2"),
        ([[1, 0], []], [], "frame of intent 'a'"),
        ([[0], [2]], [], "frame of intent 'b'"),
        ([], [[[1]]], "counts of frames for 1 intents"),
        ([], [[[0, 1]], []], "came 0 times"),
        ([], [[[1, 1, 0]], []], "growing indices"),
        ([], [[[1, 2]], []], "intent 'a' came 1 times with slots .2."),
        ([[0], [1]], [[[1, 0]], [[3, 0, 1]]], "intent 'b' came 3 times with slots .0, 1."),
        ([], [[[1, 0], [2, 0]], []], "frame of 'a': '.0.' appears twice"),
        ([], [[[1, 0, 0, 0, 0, 0, 0]], []], "length <= 6"),
        ([], [[[]], []], "length >= 1"),
    ],
)
def test_frames_have_to_make_sense(document: dict[str, Any], frames: list[Any], counts: list[Any], match: str) -> None:
    document["labels"] = {
        "intents": ["a", "b"],
        "tags": ["O", "B-x", "I-x", "B-y"],
        "frames": frames,
        "frame_counts": counts,
    }
    refuse(document, match)
    document["labels"] |= {"frames": [[0], [0, 1]], "frame_counts": [[[1], [2, 0, 0]], [[3, 0, 1]]]}
    assert decode_manifest(manifest_bytes(document)).labels.decoder().decide(
        np.zeros(2, np.float32), np.zeros((0, 4), np.float32)
    ) == (0, [])


def test_buckets_have_to_grow(tmp_path: Path) -> None:
    buckets = [Bucket(words=16, bytes=128, entry="b"), Bucket(words=8, bytes=64, entry="a")]
    with pytest.raises(SchemaError, match="grow"):
        encode_manifest(msgspec.structs.replace(write_fake(tmp_path / "a.pqrnn"), buckets=buckets))


def test_two_variants_of_one_name_are_refused(tmp_path: Path) -> None:
    manifest = fake_manifest(fake_variant("x"), fake_variant("x", path="variants/y/module.vmfb"))
    with pytest.raises(SchemaError, match="variant 'x' appears twice"):
        write_fake(tmp_path / "a.pqrnn", manifest)


def test_unverified_code_needs_a_reason(tmp_path: Path) -> None:
    manifest = write_fake(tmp_path / "a.pqrnn")
    silent = msgspec.structs.replace(manifest.variants[0], unverified_reason=None)
    with pytest.raises(SchemaError, match="unverified_reason"):
        encode_manifest(msgspec.structs.replace(manifest, variants=[silent]))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_cannot_hold_are_refused(tmp_path: Path, number: float) -> None:
    manifest = write_fake(tmp_path / "a.pqrnn")
    model = msgspec.structs.replace(manifest.model, metrics={"dev": [{"exact match": number}]})
    with pytest.raises(SchemaError, match="JSON cannot hold"):
        encode_manifest(msgspec.structs.replace(manifest, model=model))


def test_the_schema_for_other_languages_covers_every_field() -> None:
    schema = json_schema()
    definitions = schema["$defs"]
    for kind in (Manifest, Parity, Bucket, Labels, VulkanNeeds):
        assert set(definitions[kind.__name__]["properties"]) == {
            field.encode_name for field in msgspec.structs.fields(kind)
        }
        assert definitions[kind.__name__]["additionalProperties"] is False
    json.dumps(schema)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["buckets"][-1].update(bytes=12 << 30), "Expected `int` <= 1048576"),
        (lambda m: m.update(batch=1024, buckets=[{"words": 8, "bytes": 1 << 16, "entry": "a"}]), "bytes of input"),
        (lambda m: m["labels"].update(tags=["O", *(f"B-{n}" for n in range(3000))]), "length <= 2048"),
        (lambda m: m["model"].update(config={str(n): n for n in range(250_000)}), "expected at most 200,000"),
        (
            lambda m: m["model"].update(
                metrics={"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}
            ),
            "deep",
        ),
        (lambda m: m["golden"].update(texts=1 << 40), "Expected `int` <="),
        (lambda m: m.update(name="n" * 5000), "length <= 4096"),
    ],
)
def test_numbers_and_sizes_are_compared_with_bounds_before_memory_is_taken(change: Any, said: str) -> None:
    manifest = fake_manifest()
    files = {"golden/golden.npz": FileEntry("1" * 64, 1)} | {v.path: FileEntry("1" * 64, 1) for v in manifest.variants}
    document = msgspec.to_builtins(msgspec.structs.replace(manifest, files=files))
    decode_manifest(manifest_bytes(document))
    change(document)
    with pytest.raises(SchemaError, match=said) as caught:
        decode_manifest(manifest_bytes(document))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("depth", [100, 990, 100_000])
@pytest.mark.parametrize("text", ['{{"schema": "1.5", "x": {}}}', '{{"schema": {}}}', "{}"])
def test_json_of_any_depth_is_refused_and_never_a_traceback(depth: int, text: str) -> None:
    with pytest.raises(SchemaError):
        decode_manifest(text.format("[" * depth + "]" * depth).encode())


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\xe2\x82"])
def test_invalid_utf8_is_refused(raw: bytes) -> None:
    with pytest.raises(SchemaError, match="not a manifest"):
        decode_manifest(b'{"schema": "' + raw + b'"}')
