"""Keys on disk: made with safe modes, and refused where others could read or exchange them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime_py.errors import KeyFileError
from runtime_py.trust.keys import KINDS, Kind, load_public_key, load_secret_key, make_keys

PLAIN = Path(__file__).parents[4]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_signs_and_verifies(tmp_path: Path, kind: Kind) -> None:
    made = make_keys(tmp_path / "new" / "me", kind)
    secret, public = load_secret_key(tmp_path / "new" / "me.key"), load_public_key(tmp_path / "new" / "me.pub")
    assert made.fingerprint == secret.public.fingerprint == public.fingerprint
    signature = secret.sign(b"text")
    assert public.signed(signature, b"text")
    assert not public.signed(signature, b"tex")
    assert not public.signed(signature[:-1], b"text")
    assert not public.signed(b"", b"text")


def test_modes_are_safe_from_the_start(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_keys(tmp_path / "me")
    finally:
        os.umask(before)
    assert (tmp_path / "me.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "me.pub").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("there", ["me.key", "me.pub"])
def test_no_key_is_written_over(tmp_path: Path, there: str) -> None:
    (tmp_path / there).symlink_to("nowhere")
    with pytest.raises(KeyFileError, match=f"{there}: exists already"):
        make_keys(tmp_path / "me")
    assert [each.name for each in tmp_path.iterdir()] == [there]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_secret_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    make_keys(tmp_path / "me")
    (tmp_path / "me.key").chmod(mode)
    with pytest.raises(KeyFileError, match=rf"me\.key: has mode {mode:04o}: .*chmod 600"):
        load_secret_key(tmp_path / "me.key")


@pytest.mark.parametrize(("mode", "good"), [(0o444, True), (0o600, True), (0o664, False), (0o646, False)])
def test_a_public_key_that_others_may_exchange_is_refused(tmp_path: Path, mode: int, good: bool) -> None:
    make_keys(tmp_path / "me")
    (tmp_path / "me.pub").chmod(mode)
    if good:
        load_public_key(tmp_path / "me.pub")
    else:
        with pytest.raises(KeyFileError, match=rf"me\.pub: has mode {mode:04o}: .*chmod 644"):
            load_public_key(tmp_path / "me.pub")


def test_the_wrong_half_is_named(tmp_path: Path) -> None:
    make_keys(tmp_path / "me")
    with pytest.raises(KeyFileError, match="is a secret key, which belongs where packages are signed"):
        load_public_key(tmp_path / "me.key")
    (tmp_path / "me.pub").chmod(0o600)
    with pytest.raises(KeyFileError, match="cannot be read as a secret key"):
        load_secret_key(tmp_path / "me.pub")


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519

    pem, plain = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    for key in (
        ed448.Ed448PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256K1()),
    ):
        (tmp_path / "other.pub").write_bytes(key.public_key().public_bytes(pem, plain))  # type: ignore[attr-defined]
        with pytest.raises(KeyFileError, match="of another kind"):
            load_public_key(tmp_path / "other.pub")
    for content in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff" * 100, b"x" * 70_000):
        (tmp_path / "none").write_bytes(content)
        (tmp_path / "none").chmod(0o600)
        for load in (load_public_key, load_secret_key):
            with pytest.raises(KeyFileError, match=f"^{tmp_path}/none: "):
                load(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for wrong in ("pipe", "nowhere", "."):
        with pytest.raises(KeyFileError):
            load_public_key(tmp_path / wrong)


def test_a_password_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives import serialization

    make_keys(tmp_path / "me")
    plain = load_secret_key(tmp_path / "me.key")
    locked = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "me.key").write_bytes(
        plain.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    for wrong in ("", "other"):
        monkeypatch.setenv("PQRNN_KEY_PASSWORD", wrong)
        with pytest.raises(KeyFileError, match=r"\$PQRNN_KEY_PASSWORD"):
            load_secret_key(tmp_path / "me.key")
    monkeypatch.setenv("PQRNN_KEY_PASSWORD", "secret")
    assert load_secret_key(tmp_path / "me.key").public.fingerprint == plain.public.fingerprint


def test_without_the_library_the_error_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['cryptography.hazmat.primitives'] = None\n"
        "from runtime_py.errors import KeyFileError\n"
        "from runtime_py.trust.keys import load_public_key, load_secret_key, make_keys\n"
        "for call in (load_public_key, load_secret_key, make_keys):\n"
        "    try: call('x')\n"
        "    except KeyFileError as error: assert 'pip install cryptography' in str(error), error\n"
        "    else: raise SystemExit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PLAIN, timeout=120)
