"""Updates: for one package only, all or nothing, and whatever is wrong leaves the package as it was."""

import hashlib
import json
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from makers.runtime_fakes import fake_manifest, fake_parity, write_fake

from runtime_py.errors import PackageError, ParserError, SchemaError, SignatureError, UpdateError
from runtime_py.package_format.manifest_bytes import MANIFEST_NAME
from runtime_py.package_format.package import open_package, seal
from runtime_py.trust.keys import make_keys
from runtime_py.trust.requirement import VARIABLE
from runtime_py.trust.signatures import sign_package
from runtime_py.update import apply as updates
from runtime_py.update import exchange as exchanges
from runtime_py.update.apply import apply_update, go_back, make_update
from runtime_py.update.delta import MAGIC, encode_delta

CODE = "variants/host/module.vmfb"


def _files(path: Path) -> dict[str, bytes]:
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in path.rglob("*") if each.is_file()}


class Room:
    """The package of a board, a new one, and the update between them."""

    def __init__(self, folder: Path) -> None:
        """Make all three."""
        code = np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8)
        self.folder = folder
        self.path, self.new, self.update = folder / "home.pqrnn", folder / "new.pqrnn", folder / "a.pqdelta"
        for path, name, change in ((self.path, "home", 0), (self.new, "home 2", 1)):
            manifest = write_fake(path, msgspec.structs.replace(fake_manifest(), name=name))
            changed = code.copy()
            changed[20_000:20_100] += change
            (path / CODE).write_bytes(changed.tobytes())
            seal(path, manifest)
        self.made = make_update(self.path, self.new, self.update)
        self.before, self.after = _files(self.path), _files(self.new)

    def stays(self) -> bool:
        """Whether the package is what it was, and nothing else has been left."""
        there = {each.name for each in self.folder.iterdir() if each.suffix not in (".key", ".pub")}
        return _files(self.path) == self.before and there == {"home.pqrnn", "new.pqrnn", "a.pqdelta"}


@pytest.fixture(autouse=True)
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A stand-in for the process that runs the code: the fake packages have none."""
    calls: list[dict[str, Any]] = []

    def replay(seconds: float, *arguments: str, environment: dict[str, str]) -> tuple[bytes, str]:
        calls.append({"path": arguments[0], "keys": environment[VARIABLE]})
        return msgspec.json.encode({"parity": fake_parity(True)}), ""

    monkeypatch.setattr(updates, "run_replay", replay)
    return calls


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("update"))


@pytest.mark.parametrize("swaps", [True, False])
def test_an_update_gives_the_very_package_and_keeps_the_one_before(
    room: Room, swaps: bool, monkeypatch: pytest.MonkeyPatch, replayed: list[dict[str, Any]]
) -> None:
    if not swaps:
        monkeypatch.setattr(exchanges, "exchange_names", lambda *_: False)
    assert room.made.bytes < room.made.package_bytes / 20
    (room.path / "certificates.json").write_text('{"format": 1}')  # the board's own, which is no part of it
    for _ in range(2):
        applied = apply_update(room.path, room.update)
        assert _files(room.path) == room.after
        assert applied.digest == open_package(room.path, verify=True).manifest.digest
        assert Path(applied.previous) == room.folder / "home.pqrnn.previous"
        assert _files(Path(applied.previous)) == room.before | {"certificates.json": b'{"format": 1}'}
        back = go_back(room.path)
        assert back.name == "home"
        assert _files(room.path) == room.before | {"certificates.json": b'{"format": 1}'}
        assert _files(room.folder / "home.pqrnn.previous") == room.after
    assert len(replayed) == 4
    assert sorted(each.name for each in room.folder.iterdir()) == [
        "a.pqdelta", "home.pqrnn", "home.pqrnn.previous", "new.pqrnn"
    ]  # fmt: skip


def test_an_update_is_for_one_package(room: Room) -> None:
    apply_update(room.path, room.update)
    with pytest.raises(UpdateError, match="already"):
        apply_update(room.path, room.update)
    other = room.folder / "other.pqrnn"
    write_fake(other)
    with pytest.raises(UpdateError, match=r"for another package: .*module\.vmfb"):
        apply_update(other, room.update)
    (room.new / CODE).write_bytes(b"x")
    with pytest.raises(PackageError):
        apply_update(room.new, room.update)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_no_bit_of_an_update_can_be_changed(shared: Room, data: st.DataObject) -> None:
    content = shared.update.read_bytes()
    changed = bytearray(content)
    if data.draw(st.booleans()):
        bit = data.draw(st.integers(0, len(content) * 8 - 1))
        changed[bit // 8] ^= 1 << bit % 8
    else:
        del changed[data.draw(st.integers(0, len(content) - 1)) :]
    shared.update.write_bytes(changed)
    try:
        with pytest.raises(UpdateError, match=r"^\S+a\.pqdelta: "):
            apply_update(shared.path, shared.update)
    finally:
        shared.update.write_bytes(content)
    assert shared.stays()


def _forge(room: Room, change: Callable[[dict[str, Any]], None], body: Callable[[bytes], bytes] = bytes) -> None:
    """Write an update with another header or body, and all digests and sizes of the file itself right."""
    content = room.update.read_bytes()
    size = struct.unpack_from("<8sI", content)[1]
    header, rest = json.loads(content[12 : 12 + size]), body(content[12 + size : -32])
    change(header)
    encoded = json.dumps(header).encode()
    forged = struct.pack("<8sI", MAGIC, len(encoded)) + encoded + rest
    room.update.write_bytes(forged + hashlib.sha256(forged).digest())


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["new"][CODE].update(bytes=1 << 40),
        lambda header: header["new"][CODE].update(bytes=1 << 20),
        lambda header: header["new"][CODE].update(bytes=0),
        lambda header: header["new"][CODE].update(sha256="0" * 64),
        lambda header: header["old"][CODE].update(sha256="0" * 64),
        lambda header: header["new"].update({"../evil": header["new"][CODE]}),
        lambda header: header["new"].update({"/etc/evil": header["new"][CODE]}),
        lambda header: header["new"].update({f"{CODE}/x": {"sha256": hashlib.sha256().hexdigest(), "bytes": 0}}),
        lambda header: header["new"].update({"certificates.json": header["old"]["golden/golden.npz"]}),
        lambda header: header["new"].update({"more": header["old"]["golden/golden.npz"]}),
        lambda header: header["new"].update({"signatures/a.sig": header["old"]["golden/golden.npz"]}),
        lambda header: header["new"].pop(MANIFEST_NAME),
        lambda header: header["new"].pop("golden/golden.npz"),
        lambda header: header["new"].update({f"f{n}": header["old"]["golden/golden.npz"] for n in range(5000)}),
        lambda header: header.update(segments=1 << 30),
        lambda header: header.update(segments=1),
        lambda header: header.update(packed=header["packed"] - 1),
        lambda header: header.update(packed_segments=0, packed=header["packed"] + header["packed_segments"]),
        lambda header: header.update(more=1),
    ],
)
def test_hostile_updates_are_refused_in_one_line(room: Room, change: Callable[[dict[str, Any]], None]) -> None:
    make_keys(room.folder / "me")
    _forge(room, change)
    with pytest.raises(ParserError) as error:
        apply_update(room.path, room.update, keys=room.folder / "me.pub")
    assert "\n" not in str(error.value)
    assert room.stays()


def _update(sizes: dict[str, int], header: dict[str, Any]) -> None:
    header.update(sizes)


def _instead(other: bytes, _: bytes) -> bytes:
    return other


def test_pieces_that_lead_out_of_the_package_are_refused(room: Room) -> None:
    import lzma

    from runtime_py.update.delta import _pack

    size = sum(len(room.after[name]) for name in (MANIFEST_NAME, CODE))
    for lengths, sources in (
        ([size], [1 << 30]), ([size], [-2]), ([-size, 2 * size], [-1, -1]), ([size + 1], [-1]), ([size - 1], [-1]),
        ([size, 0], [-1, -1]), ([0x7FFFFFFF], [0]),
    ):  # fmt: skip
        pieces = _pack(np.array([lengths, sources], "<i4").tobytes())
        rest = lzma.compress(bytes(size), format=lzma.FORMAT_XZ)
        sizes = {"segments": len(lengths), "packed_segments": len(pieces), "packed": len(rest)}
        _forge(room, partial(_update, sizes), partial(_instead, pieces + rest))
        with pytest.raises(UpdateError, match=r"do not fit|does not give"):
            apply_update(room.path, room.update)
        make_update(room.path, room.new, room.update)
    assert _files(room.path) == room.before


def test_what_unpacks_to_more_than_it_says_is_stopped(room: Room) -> None:
    import lzma

    bomb = lzma.compress(bytes(10 << 20), format=lzma.FORMAT_XZ, preset=0)
    _forge(room, lambda header: header.update(packed=len(bomb), packed_segments=0), lambda _: bomb)
    with pytest.raises(UpdateError, match="cannot be unpacked"):
        apply_update(room.path, room.update)
    assert room.stays()


@pytest.mark.parametrize(
    ("printed", "problem", "said"),
    [
        (msgspec.json.encode({"parity": fake_parity(False)}), "", "gave wrong answers"),
        (b"", "was killed by signal 4", "killed by signal 4"),
        (b"", "did not end within 600 s", "did not end"),
        (b"{", "", "no answer"),
    ],
)
def test_a_package_that_fails_its_check_does_not_take_the_name(
    room: Room, printed: bytes, problem: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "run_replay", lambda *_, **__: (printed, problem))
    with pytest.raises(UpdateError, match=rf"{said}.*stays what it is"):
        apply_update(room.path, room.update)
    assert room.stays()


def test_the_new_package_has_to_be_signed_where_that_is_demanded(
    room: Room, monkeypatch: pytest.MonkeyPatch, replayed: list[dict[str, Any]]
) -> None:
    key = make_keys(room.folder / "me").path
    monkeypatch.setenv(VARIABLE, str(key))
    with pytest.raises(SignatureError):
        apply_update(room.path, room.update)
    assert room.stays()
    signed = sign_package(room.new, room.folder / "me.key")
    make_update(room.path, room.new, room.update)
    assert apply_update(room.path, room.update).signers == (signed.fingerprint,)
    assert open_package(room.path, keys=[key])
    assert replayed[-1]["keys"] == str(key)
    with pytest.raises(SignatureError):  # what was there before was signed by nobody
        go_back(room.path)
    assert go_back(room.path, keys=()).name == "home"


def test_a_signature_alone_is_an_update_too(room: Room) -> None:
    make_keys(room.folder / "me")
    apply_update(room.path, room.update)
    sign_package(room.new, room.folder / "me.key")
    made = make_update(room.path, room.new, room.update)
    assert made.bytes < 4000
    apply_update(room.path, room.update, keys=room.folder / "me.pub")


def test_what_a_kill_leaves_between_two_names_is_put_right(room: Room) -> None:
    room.path.rename(room.folder / "home.pqrnn.previous")
    assert apply_update(room.path, room.update).name == "home 2"
    room.path.rename(room.folder / "lost")
    assert go_back(room.path).name == "home"
    assert _files(room.path) == room.before
    with pytest.raises(UpdateError, match="there is no package before"):
        go_back(room.path)


def test_what_killed_updates_left_goes_after_a_day(room: Room) -> None:
    old, fresh, other = (
        room.folder / f".{name}" for name in ("home.pqrnn.abcd_123", "home.pqrnn.abcdefgh", "home.abcdefgh")
    )
    for path in (old, fresh, other):
        path.mkdir()
        (path / "part").touch()
    for path in (old, other):
        os.utime(path, (1000.0, 1000.0))
    apply_update(room.path, room.update)
    assert [path.exists() for path in (old, fresh, other)] == [False, True, True]


def test_a_full_disk_leaves_the_package_as_it_was(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = updates.write_atomic, [2]

    def write(path: Path, content: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(updates, "write_atomic", write)
    with pytest.raises(UpdateError, match="No space left on device"):
        apply_update(room.path, room.update)
    assert room.stays()


@pytest.mark.parametrize("content", [b"", MAGIC, MAGIC + bytes(100), b"[" * 1000])
def test_what_is_no_update_is_said_to_be_none(room: Room, content: bytes) -> None:
    room.update.write_bytes(content)
    with pytest.raises(UpdateError):
        apply_update(room.path, room.update)
    for wrong in (room.folder, room.folder / "nowhere"):
        with pytest.raises(UpdateError, match="cannot be read"):
            apply_update(room.path, wrong)


def test_a_package_that_is_too_large_is_copied_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime_py.update.delta.LARGEST", 100)
    with pytest.raises(UpdateError, match="Copy the whole package"):
        encode_delta("a", {MANIFEST_NAME: b""}, {MANIFEST_NAME: bytes(101)})
    with pytest.raises((UpdateError, SchemaError)):
        encode_delta("a", {MANIFEST_NAME: b""}, {MANIFEST_NAME: b"", "../a": b""})
