"""Signatures go both ways: OpenSSF's own library verifies ours, and we verify those that it made.

What it made lies in `theirs`; the library itself brings 37 packages, so where it is not installed the other half is
skipped.
"""

import shutil
from pathlib import Path

import pytest
from makers.runtime_fakes import write_fake

from runtime_py.errors import PackageError
from runtime_py.package_format.package import open_package
from runtime_py.trust.keys import make_keys
from runtime_py.trust.signatures import sign_package

THEIRS = Path(__file__).parent / "theirs"
CODE = "variants/host/module.vmfb"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    shutil.copytree(THEIRS, tmp_path / "theirs")
    (tmp_path / "theirs" / "them.pub").chmod(0o644)
    return tmp_path / "theirs"


def test_theirs_is_verified_by_ours(theirs: Path) -> None:
    (signer,) = open_package(theirs / "package", keys=[theirs / "them.pub"]).signers
    assert len(signer) == 64
    sign_package(theirs / "package", make_keys(theirs / "me").path.with_suffix(".key"))
    keys = [theirs / "them.pub", theirs / "me.pub"]
    assert len(open_package(theirs / "package", keys=keys, every=True).signers) == 2


@pytest.mark.parametrize("name", ["manifest.json", CODE, "golden/golden.npz", "signatures/theirs.sig"])
def test_a_change_after_their_signature_is_refused(theirs: Path, name: str) -> None:
    content = bytearray((theirs / "package" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (theirs / "package" / name).write_bytes(content)
    with pytest.raises(PackageError):
        open_package(theirs / "package", keys=[theirs / "them.pub"])


def test_ours_is_verified_by_theirs(tmp_path: Path) -> None:
    pytest.importorskip("model_signing", reason="pip install model-signing pyopenssl")
    from model_signing import verifying

    path = tmp_path / "a.pqrnn"
    write_fake(path)
    for name in ("me", "you"):
        make_keys(tmp_path / name, "ecdsa")
    files = {name: path / sign_package(path, tmp_path / f"{name}.key").file for name in ("me", "you")}
    (path / "certificates.json").write_text("{}")
    for name, file in files.items():
        verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / f"{name}.pub").verify(path, file)
    with pytest.raises(ValueError, match="mismatch"):
        verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "you.pub").verify(path, files["me"])
    (path / CODE).write_bytes(b"x")
    with pytest.raises(ValueError, match="mismatch"):
        verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "me.pub").verify(path, files["me"])
