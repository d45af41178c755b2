"""Signatures of packages: every change after signing is refused, and what may come later does not break them."""

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from makers.runtime_fakes import fake_golden, fake_parity, write_fake

from runtime_py.errors import DigestError, KeyFileError, PackageError, SignatureError
from runtime_py.package_format.certificates import add_certificate, certify_replay, with_certificates
from runtime_py.package_format.golden import save_golden
from runtime_py.package_format.manifest import CERTIFICATES_NAME, MANIFEST_NAME, SIGNATURES
from runtime_py.package_format.package import open_package, seal
from runtime_py.parser import Parser
from runtime_py.trust.keys import make_keys
from runtime_py.trust.requirement import VARIABLE, required_keys
from runtime_py.trust.signatures import describe_signatures, sign_package

CODE = "variants/host/module.vmfb"
GOLDEN = "golden/golden.npz"


class Room:
    """A signed package, and the keys of three people, of whom the first signed it."""

    def __init__(self, folder: Path) -> None:
        """Make the keys and the package, and sign it."""
        self.path = folder / "a.pqrnn"
        self.folder = folder
        self.keys = {name: make_keys(folder / name).path for name in ("me", "you", "other")}
        write_fake(self.path)
        self.signature = self.path / self.sign("me")
        self.files = sorted(path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file())

    def sign(self, name: str) -> str:
        return sign_package(self.path, self.folder / f"{name}.key").file

    def open(self, *names: str, every: bool = False) -> tuple[str, ...]:
        keys = [self.keys[name] for name in names or ("me",)]
        return open_package(self.path, keys=keys, every=every).signers


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("signed"))


def test_a_signed_package_opens_and_says_by_whom(room: Room) -> None:
    (signer,) = room.open()
    assert room.signature.name == f"{signer[:16]}.sig"
    assert room.open("other", "me") == (signer,)
    (shown,) = describe_signatures(open_package(room.path), [room.keys["me"]])
    assert (shown.file, shown.fingerprint, shown.verified) == (f"{SIGNATURES}/{signer[:16]}.sig", signer, True)
    (shown,) = describe_signatures(open_package(room.path), [room.keys["other"]])
    assert (shown.fingerprint, shown.verified, shown.problem) == (signer, None, "")


def test_another_key_is_not_enough(room: Room) -> None:
    with pytest.raises(SignatureError, match=r"not signed by .*other\.pub, but by other keys \([0-9a-f]{16}\)"):
        room.open("other")
    room.signature.unlink()
    with pytest.raises(SignatureError, match="nor by anybody else"):
        room.open()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_bit_of_any_file_can_be_changed(shared: Room, data: st.DataObject) -> None:
    file = shared.path / data.draw(st.sampled_from(shared.files))
    content = file.read_bytes()
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    file.write_bytes(changed)
    try:
        with pytest.raises(PackageError):
            shared.open()
    finally:
        file.write_bytes(content)


def test_no_bit_of_a_signature_can_be_changed(shared: Room) -> None:
    content = shared.signature.read_bytes()
    try:
        for bit in range(0, len(content) * 8, 41):
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            shared.signature.write_bytes(changed)
            with pytest.raises(SignatureError):
                open_package(shared.path, keys=[shared.keys["me"]])
    finally:
        shared.signature.write_bytes(content)


def test_no_file_can_be_added_removed_or_renamed(room: Room) -> None:
    for name in ("a", "golden/b", "variants/host/.hidden", ".hidden", f"{SIGNATURES}/a.txt", "signatures.sig"):
        (room.path / name).write_bytes(b"x")
        with pytest.raises(SignatureError, match=name):
            room.open()
        (room.path / name).unlink()
    for name in room.files:
        file = room.path / name
        file.rename(room.folder / "kept")
        with pytest.raises(PackageError):
            room.open()
        (room.folder / "kept").rename(file.with_name("renamed"))
        with pytest.raises(PackageError):
            room.open()
        file.with_name("renamed").rename(file)
    (room.path / GOLDEN).rename(room.folder / "kept")
    (room.path / CODE).rename(room.path / GOLDEN)
    (room.folder / "kept").rename(room.path / CODE)
    with pytest.raises(DigestError):
        room.open()


def test_whoever_writes_all_digests_anew_is_found_out(room: Room) -> None:
    other = msgspec.structs.replace(open_package(room.path).manifest, name="forged")
    for forge in (
        lambda: (room.path / CODE).write_bytes(b"other code"),
        lambda: save_golden(room.path / GOLDEN, fake_golden()),
        lambda: (room.path / "more").write_bytes(b"x"),
        lambda: None,
    ):
        forge()
        seal(room.path, other)
        open_package(room.path, verify=True)
        with pytest.raises(SignatureError, match="changed"):
            room.open()
        assert describe_signatures(open_package(room.path), [room.keys["me"]])[0].verified is False


def test_several_sign_and_keys_are_exchanged(room: Room) -> None:
    room.sign("you")
    assert len(room.open("me", "you", every=True)) == 2
    with pytest.raises(SignatureError, match=r"not signed by .*other\.pub"):
        room.open("me", "other", every=True)
    room.signature.unlink()  # the old key has gone
    assert len(room.open("me", "you")) == 1
    with pytest.raises(SignatureError):
        room.open("me")
    assert room.sign("you") == room.sign("you")
    assert len(list((room.path / SIGNATURES).iterdir())) == 1


def test_a_bad_signature_is_not_outvoted(room: Room) -> None:
    room.sign("you")
    document = json.loads(room.signature.read_bytes())
    document["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    room.signature.write_text(json.dumps(document))
    assert len(room.open("you")) == 1  # nobody asked for that key
    for every in (False, True):
        with pytest.raises(SignatureError, match="not what the key"):
            room.open("you", "me", every=every)


def test_a_signature_of_another_package_is_refused(room: Room) -> None:
    content = room.signature.read_bytes()
    shutil.rmtree(room.path)
    write_fake(room.path, msgspec.structs.replace(open_package_named(room.folder), name="second"))
    (room.path / SIGNATURES).mkdir()
    room.signature.write_bytes(content)
    with pytest.raises(SignatureError, match=r"manifest\.json was changed"):
        room.open()


def open_package_named(folder: Path) -> object:
    return write_fake(folder / "template.pqrnn")  # type: ignore[return-value]


@pytest.mark.parametrize(
    "change",
    [
        lambda bundle: bundle | {"more": 1},
        lambda bundle: bundle | {"mediaType": "application/json"},
        lambda bundle: bundle | {"dsseEnvelope": bundle["dsseEnvelope"] | {"signatures": []}},
        lambda bundle: (
            bundle | {"dsseEnvelope": bundle["dsseEnvelope"] | {"signatures": bundle["dsseEnvelope"]["signatures"] * 2}}
        ),
        lambda bundle: bundle | {"dsseEnvelope": bundle["dsseEnvelope"] | {"payloadType": "text/plain"}},
        lambda bundle: (
            bundle | {"dsseEnvelope": bundle["dsseEnvelope"] | {"payload": bundle["dsseEnvelope"]["payload"] + "\n"}}
        ),
        lambda bundle: (
            bundle | {"verificationMaterial": bundle["verificationMaterial"] | {"tlogEntries": [{"logIndex": 1}]}}
        ),
    ],
)
def test_what_is_not_understood_is_refused(room: Room, change: Callable[[dict], dict]) -> None:
    room.signature.write_text(json.dumps(change(json.loads(room.signature.read_bytes()))))
    with pytest.raises(SignatureError, match=f"^{room.signature}: "):
        room.open()


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 5000, b"\xff", b"null", b'"\xed\xa0\x80"', b" " * (5 << 20)])
def test_what_is_no_signature_is_refused_in_one_line(room: Room, content: bytes) -> None:
    room.signature.write_bytes(content)
    with pytest.raises(SignatureError) as error:
        room.open()
    assert "\n" not in str(error.value)


def test_a_board_may_add_certificates(room: Room) -> None:
    package = open_package(room.path)
    parity = msgspec.structs.replace(fake_parity(True), texts=2, runtime="iree 3.13.0, local-sync", checked="now")
    certificate = certify_replay(package.manifest, package.variant("host"), parity, architecture="x", made_by="check")
    before = (room.path / MANIFEST_NAME).read_bytes()
    after = add_certificate(room.path, "host", certificate, parity)
    assert (room.path / MANIFEST_NAME).read_bytes() == before
    assert after.variant("host").certificates == [certificate]
    assert with_certificates(open_package(room.path)).variant("host").parity == parity
    assert room.open()
    (room.path / CERTIFICATES_NAME).write_bytes(b"nonsense")  # it decides nothing
    assert room.open()


def test_the_parser_demands_what_the_environment_says(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{room.keys['other']}")
    with pytest.raises(SignatureError, match="not signed"):
        Parser.load(room.path)
    for signed in (
        lambda: monkeypatch.setenv(VARIABLE, os.pathsep.join(["", str(room.keys["other"]), str(room.keys["me"])])),
        lambda: monkeypatch.delenv(VARIABLE),
    ):
        signed()
        with pytest.raises(Exception, match=r"no variant|vmfb|runtime") as error:  # the fake holds no code that runs
            Parser.load(room.path)
        assert not isinstance(error.value, SignatureError)
    with pytest.raises(SignatureError):
        Parser.load(room.path, require_signature=room.keys["other"], verify=False)
    monkeypatch.setenv(VARIABLE, str(room.folder / "nowhere.pub"))
    with pytest.raises(KeyFileError, match=r"nowhere\.pub: cannot be read"):
        Parser.load(room.path)
    assert required_keys([]) == ()


def test_a_file_is_verified_again_when_it_is_read(room: Room) -> None:
    package = open_package(room.path, keys=[room.keys["me"]])
    (room.path / CODE).write_bytes(b"no kode " * 100 + b"host")
    with pytest.raises(DigestError):
        package.read_file(CODE, verify=False)


def test_nothing_is_signed_that_is_not_whole(room: Room) -> None:
    (room.path / "more").touch()
    with pytest.raises(SignatureError, match="more: is in no list"):
        room.sign("you")
    (room.path / "more").unlink()
    (room.path / CODE).write_bytes(b"x")
    with pytest.raises(DigestError):
        room.sign("you")
    (room.folder / "you.key").chmod(0o644)
    with pytest.raises(KeyFileError, match="mode 0644"):
        room.sign("you")


def test_what_a_kill_leaves_harms_nothing(room: Room) -> None:
    (room.path / SIGNATURES / f".{room.signature.name}.0123abcd").write_bytes(b"half")
    assert room.open()
