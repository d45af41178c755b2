"""The verbs of signatures, on both command lines, and what deploy and inspect make of them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from makers.runtime_fakes import fake_manifest, fake_variant, write_fake
from typer.testing import CliRunner

import pqrnn.cli.verbs  # noqa: F401 - they register themselves
from compile.packaging.bundle import deploy
from compile.support.errors import DeployError
from pqrnn.cli.app import app
from runtime_py import cli as board
from runtime_py.errors import KeyFileError
from runtime_py.package_format.package import open_package
from runtime_py.tools.inspect import inspect_package
from runtime_py.tools.presentation import inspect_tables
from runtime_py.trust.keys import make_keys
from runtime_py.trust.signatures import sign_package


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "home.pqrnn"
    write_fake(path, fake_manifest(fake_variant("linux-x86_64-v3"), fake_variant("linux-x86_64-v2")))
    make_keys(tmp_path / "me")
    make_keys(tmp_path / "you")
    return path


def _run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_keys_are_made_and_a_package_is_signed_and_verified(package: Path, tmp_path: Path) -> None:
    fingerprint = json.loads(_run("keygen", tmp_path / "new", "--json"))["fingerprint"]
    assert fingerprint[:16] in _run("sign", package, "--key", tmp_path / "new.key")
    assert fingerprint[:16] in _run("verify", package, "--key", tmp_path / "new.pub")
    shown = json.loads(_run("verify", package, "--key", tmp_path / "new.pub", "--key", tmp_path / "me.pub", "--json"))
    assert (shown["signers"], shown["files"]) == ([fingerprint], 4)
    assert "me.pub" in _run(
        "verify", package, "--key", tmp_path / "new.pub", "--key", tmp_path / "me.pub", "--all", code=1
    )


def test_the_board_verifies_alike(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_package(package, tmp_path / "me.key")
    for options in ((), ("--json",)):
        assert board.main(["verify", str(package), "--key", str(tmp_path / "me.pub"), *options]) == 0
        assert capsys.readouterr().out == _run("verify", package, "--key", tmp_path / "me.pub", *options)
    assert board.main(["verify", str(package), "--key", str(tmp_path / "you.pub")]) == 1
    assert "failed: " in capsys.readouterr().err
    assert board.main(["verify", str(package)]) == 2
    assert "$PQRNN_REQUIRE_SIGNATURE" in capsys.readouterr().err
    monkeypatch.setenv("PQRNN_REQUIRE_SIGNATURE", str(tmp_path / "me.pub"))
    assert board.main(["verify", str(package)]) == 0


def test_inspect_says_who_signed(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        return dict(row[:2] for row in inspect_tables(inspect_package(package))[0].rows)["signed by"]

    assert shown() == "nobody"
    signed = sign_package(package, tmp_path / "me.key")
    assert shown() == f"{signed.fingerprint[:16]}: not verified, its key is not in $PQRNN_REQUIRE_SIGNATURE"
    monkeypatch.setenv("PQRNN_REQUIRE_SIGNATURE", str(tmp_path / "me.pub"))
    assert shown() == f"{signed.fingerprint[:16]}: verified"
    (package / "golden" / "golden.npz").write_bytes(b"x")
    assert "NOT VERIFIED" in shown()
    assert inspect_package(package).digest == open_package(package).manifest.digest


def test_inspect_says_how_many_bits_weights_have(tmp_path: Path) -> None:
    for bits, said in (
        (4, ", int8, weights of 4 bits, revision"),
        (8, ", int8, revision"),
        ("many", ", int8, revision"),
    ):
        made = fake_manifest(fake_variant("linux-x86_64-v3"))
        model = msgspec.structs.replace(made.model, precision="int8", config={"weight_bits": bits})
        write_fake(tmp_path / f"{bits}.pqrnn", msgspec.structs.replace(made, model=model))
        rows = inspect_tables(inspect_package(tmp_path / f"{bits}.pqrnn"))[0].rows
        assert said in dict(row[:2] for row in rows)["model"]


def test_a_whole_bundle_keeps_signatures_and_a_part_says_that_it_lost_them(package: Path, tmp_path: Path) -> None:
    signed = sign_package(package, tmp_path / "me.key").fingerprint
    (package / "certificates.json").write_text('{"format": 1}')
    whole = deploy(package, tmp_path / "whole")
    assert (whole.signers, whole.unsigned) == ([signed], [])
    assert f"SIGNED by {signed[:16]}" in (tmp_path / "whole" / "README.txt").read_text()
    assert open_package(tmp_path / "whole" / "home.pqrnn", keys=[tmp_path / "me.pub"]).signers == (signed,)
    assert (tmp_path / "whole" / "home.pqrnn" / "certificates.json").is_file()
    part = deploy(package, tmp_path / "part", ["linux-x86_64-v2"])
    assert (part.signers, part.unsigned) == ([], [signed])
    assert "SIGNED" not in (tmp_path / "part" / "README.txt").read_text()
    said = _run("deploy", package, "-t", "linux-x86_64-v2", "--out", tmp_path / "said")
    assert f"unsigned: {signed[:16]}" in said and "--sign-key" in said
    anew = deploy(package, tmp_path / "anew", ["linux-x86_64-v2"], sign_key=tmp_path / "you.key")
    path = tmp_path / "anew" / "home.pqrnn"
    assert open_package(path, keys=[tmp_path / "you.pub"]).signers == tuple(anew.signers)
    with pytest.raises(KeyFileError):
        deploy(package, tmp_path / "none", sign_key=tmp_path / "me.pub")
    (package / "signatures" / "more.sig").write_bytes(b"{}")
    with pytest.raises(DeployError, match=r"more\.sig: is no signature"):
        deploy(package, tmp_path / "none")
    assert not (tmp_path / "none").exists()
