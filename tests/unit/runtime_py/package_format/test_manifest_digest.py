"""The digest of the manifest: no bit of what decides an answer can be changed without it, and old packages load."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers.runtime_fakes import fake_golden, fake_manifest, manifest_bytes, write_fake

from runtime_py.decode.labels import Labels
from runtime_py.errors import DigestError, PackageError, SchemaError
from runtime_py.package_format.file_entry import FileEntry
from runtime_py.package_format.golden import load_golden
from runtime_py.package_format.manifest import CERTIFICATES_NAME, MANIFEST_NAME, SIGNATURES
from runtime_py.package_format.manifest_codec import decode_manifest, encode_manifest
from runtime_py.package_format.package import find_unlisted, open_package, seal


def sealed_manifest() -> bytes:
    labels = Labels(("alarm", "music"), ("O", "B-time", "I-time"), ((0,), ()), (((3, 0),), ((2,),)))
    return encode_manifest(
        msgspec.structs.replace(
            fake_manifest(),
            labels=labels,
            files={name: FileEntry("1" * 64, 5) for name in ("golden/golden.npz", "variants/host/module.vmfb")},
        )
    )


GOOD = sealed_manifest()


@given(st.integers(0, len(GOOD) * 8 - 1))
def test_no_bit_of_a_manifest_can_be_changed(bit: int) -> None:
    changed = bytearray(GOOD)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PackageError):
        decode_manifest(bytes(changed))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("labels", "intents"), ["music", "alarm"]),
        (("labels", "frames"), [[0], [0]]),
        (("labels", "frame_counts"), [[[4, 0]], [[2]]]),
        (("labels", "frame_weights"), {"unseen": 1.0}),
        (("buckets", 0, "words"), 7),
        (("batch",), 2),
        (("variants", 0, "features"), []),
        (("variants", 0, "triple"), "any"),
        (("golden", "tolerance"), 1e30),
        (("files", "golden/golden.npz", "sha256"), "2" * 64),
        (("files", "variants/host/module.vmfb", "sha256"), "2" * 64),
        (("model", "metrics"), {"exact_match": 1.0}),
        (("producer", "iree_compiler"), "3.12.0"),
    ],
)
def test_what_decides_an_answer_hangs_on_the_digest(where: tuple[str | int, ...], value: object) -> None:
    document: Any = json.loads(GOOD)
    inner = document
    for key in where[:-1]:
        inner = inner[key]
    if where[-1] != "frame_weights":
        assert inner[where[-1]] != value
        inner[where[-1]] = value
        decode_manifest(manifest_bytes(document))  # with a digest of its own it is a manifest as good as any
    with pytest.raises(PackageError):
        decode_manifest(json.dumps(document, indent=2).encode() + b"\n")


def test_the_digest_is_that_of_the_bytes_with_zeros_in_its_place() -> None:
    import hashlib

    stated = json.loads(GOOD)["digest"]
    assert hashlib.sha256(GOOD.replace(stated.encode(), b"0" * 64)).hexdigest() == stated
    assert decode_manifest(GOOD).digest == stated
    assert encode_manifest(decode_manifest(GOOD)) == GOOD


def test_a_manifest_cannot_leave_its_digest_out() -> None:
    document = json.loads(GOOD)
    for left_out in (document | {"digest": ""}, {key: value for key, value in document.items() if key != "digest"}):
        with pytest.raises(SchemaError, match="no digest"):
            decode_manifest(json.dumps(left_out).encode())


@pytest.mark.parametrize("schema", ["1.0", "1.3", "1.5"])
def test_packages_from_before_are_read(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "old.pqrnn"
    write_fake(path)
    document = json.loads((path / MANIFEST_NAME).read_bytes())
    del document["digest"]
    (path / MANIFEST_NAME).write_text(json.dumps(document | {"schema": schema}))
    package = open_package(path, verify=True)
    assert (package.manifest.schema, package.manifest.digest) == (schema, "")
    # One that states a digest is held to it, whatever it says of its format: one bit makes 1.4 of 1.6.
    (path / MANIFEST_NAME).write_text(json.dumps(document | {"schema": schema, "digest": "a" * 64}))
    with pytest.raises(DigestError):
        open_package(path)


@pytest.mark.parametrize("name", [MANIFEST_NAME, CERTIFICATES_NAME, f"{SIGNATURES}/a.sig", "Manifest.json"])
def test_a_manifest_lists_nothing_that_may_change_later(name: str) -> None:
    document = json.loads(GOOD)
    document["files"][name] = {"sha256": "1" * 64, "bytes": 5}
    with pytest.raises(SchemaError, match="under files"):
        decode_manifest(manifest_bytes(document))


def test_what_may_come_later_is_neither_sealed_nor_unlisted(tmp_path: Path) -> None:
    path = tmp_path / "a.pqrnn"
    before = write_fake(path)
    (path / SIGNATURES).mkdir()
    (path / SIGNATURES / "a.sig").touch()
    (path / CERTIFICATES_NAME).touch()
    (path / f".{CERTIFICATES_NAME}.0123abcd").touch()  # what a kill leaves
    assert find_unlisted(open_package(path)) == []
    assert seal(path, before) == before
    (path / ".other.0123abcd").touch()
    (path / "golden" / SIGNATURES).mkdir()
    (path / "golden" / SIGNATURES / "b.sig").touch()
    assert find_unlisted(open_package(path)) == [".other.0123abcd", f"golden/{SIGNATURES}/b.sig"]


def test_what_is_read_is_what_was_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is exchanged between its verification and its use is not read a second time."""
    path = tmp_path / "a.pqrnn"
    write_fake(path)
    package, real = open_package(path), load_golden

    def exchange(file: Path, *content: bytes) -> Any:
        file.write_bytes(b"other")
        return real(file, *content)

    monkeypatch.setattr("runtime_py.package_format.golden.load_golden", exchange)
    assert package.golden().texts == fake_golden().texts
