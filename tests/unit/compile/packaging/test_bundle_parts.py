"""The bundle for a board, made from packages without compiled code."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import msgspec
import pytest
from makers.runtime_fakes import fake_manifest, fake_variant, write_fake

from compile.packaging.board_readme import board_note, why_no_wheel
from compile.packaging.bundle import Bundle, deploy, pack
from compile.support.errors import DeployError
from runtime_py.errors import DigestError, PackageError
from runtime_py.package_format.package import open_package
from runtime_py.package_format.proofs import Parity
from runtime_py.tools.conformance import decode_conformance

_PI = {"triple": "aarch64-unknown-linux-gnu", "cpu": "generic", "features": []}


def _parity(passed: bool = True) -> Parity:
    failures = [] if passed else ["1 intent flips"]
    zero = dict.fromkeys(
        ("count_mismatches", "span_mismatches", "not_finite", "all_zero", "not_deterministic", "tag_flips"), 0
    )
    return Parity(
        passed=passed, texts=2, words=3, repeats=3, tolerance=1e-5, intent_max_abs=2e-6, tags_max_abs=1e-6,
        intent_flips=0 if passed else 1, machine="AMD EPYC", runtime="iree 3.13.0, local-sync",
        checked="2026-11-21T10:00:00Z", failures=failures, emulator="qemu-aarch64 7.2.22, cortex-a72", **zero,
    )  # fmt: skip


@pytest.fixture
def package(tmp_path: Path) -> Path:
    variants = (
        fake_variant("host"),
        fake_variant("linux-x86_64-v3"),
        fake_variant("raspberry-pi-4", parity=_parity(), unverified_reason=None, **_PI),
        fake_variant(
            "linux-armv7-neon",
            triple="armv7a-linux-gnueabihf",
            cpu="cortex-a7",
            unverified_reason="there is no runtime for armv7 to run it with",
        ),
    )
    write_fake(tmp_path / "home.pqrnn", fake_manifest(*variants))
    return tmp_path / "home.pqrnn"


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_holds_what_a_board_needs_and_no_other_code(package: Path, tmp_path: Path) -> None:
    bundle = deploy(package, tmp_path / "pi", ["raspberry-pi-4"])
    files = _files(tmp_path / "pi")
    assert set(files) == {
        "README.txt",
        "bundle.json",
        "conformance.json",
        bundle.wheel,
        "home.pqrnn/manifest.json",
        "home.pqrnn/golden/golden.npz",
        "home.pqrnn/variants/raspberry-pi-4/module.vmfb",
    }
    trimmed, whole = open_package(tmp_path / "pi" / "home.pqrnn", verify=True), open_package(package)
    assert trimmed.manifest.variants == [whole.variant("raspberry-pi-4")]
    assert all(entry == whole.manifest.files[name] for name, entry in trimmed.manifest.files.items())
    assert files["home.pqrnn/golden/golden.npz"] == (package / "golden" / "golden.npz").read_bytes()
    expected = decode_conformance(files["conformance.json"], "conformance.json")
    assert (len(expected.cases), list(expected.modules)) == (2, ["raspberry-pi-4"])
    assert msgspec.json.decode(files["bundle.json"], type=Bundle) == bundle
    assert bundle.bytes == sum(len(data) for name, data in files.items() if name != "bundle.json")


def test_by_default_everything_but_development_is_shipped(package: Path, tmp_path: Path) -> None:
    bundle = deploy(package, tmp_path / "all")
    assert bundle.variants == ["linux-x86_64-v3", "raspberry-pi-4", "linux-armv7-neon"]
    assert bundle.unverified == {
        "linux-x86_64-v3": "not run",
        "linux-armv7-neon": "there is no runtime for armv7 to run it with",
    }
    assert deploy(package, tmp_path / "own", ["host"]).variants == ["host"]


def test_only_development_is_refused(tmp_path: Path) -> None:
    write_fake(tmp_path / "own.pqrnn", fake_manifest(fake_variant("host")))
    with pytest.raises(DeployError, match="--target host"):
        deploy(tmp_path / "own.pqrnn", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_variant_is_refused_with_those_that_there_are(package: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DeployError, match="no variant raspberry-pi-5; it has: host, linux-x86_64-v3, raspberry-pi-4, linux-armv7-neon"
    ):
        deploy(package, tmp_path / "out", ["raspberry-pi-5"])


def test_what_failed_its_check_is_not_shipped(tmp_path: Path) -> None:
    write_fake(
        tmp_path / "bad.pqrnn", fake_manifest(fake_variant("raspberry-pi-4", parity=_parity(passed=False), **_PI))
    )
    with pytest.raises(DeployError, match="failed the check"):
        deploy(tmp_path / "bad.pqrnn", tmp_path / "out")


def test_a_damaged_package_is_not_shipped(package: Path, tmp_path: Path) -> None:
    module = package / "variants" / "raspberry-pi-4" / "module.vmfb"
    module.write_bytes(module.read_bytes()[:-1] + b"?")
    with pytest.raises(DigestError):
        deploy(package, tmp_path / "out", ["raspberry-pi-4"])
    assert [path.name for path in tmp_path.iterdir()] == ["home.pqrnn"]


def test_a_module_that_variants_share_is_kept_for_those_that_stay(tmp_path: Path) -> None:
    shared = "variants/linux-aarch64/module.vmfb"
    names = ("linux-aarch64", "raspberry-pi-4", "host")
    manifest = fake_manifest(
        *(fake_variant(name, path=shared if name != "host" else "variants/host/module.vmfb", **_PI) for name in names)
    )
    folder = tmp_path / "shared.pqrnn"
    for variant in manifest.variants:
        (folder / variant.path).parent.mkdir(parents=True, exist_ok=True)
    single = msgspec.structs.replace(manifest, variants=[manifest.variants[0], manifest.variants[2]])
    write_fake(tmp_path / "single.pqrnn", single)
    for name in (shared, "variants/host/module.vmfb", "golden/golden.npz"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((tmp_path / "single.pqrnn" / name).read_bytes())
    from runtime_py.package_format.package import seal

    seal(folder, manifest)
    deploy(folder, tmp_path / "out", ["raspberry-pi-4"])
    kept = open_package(tmp_path / "out" / "shared.pqrnn", verify=True).manifest
    assert set(kept.files) == {shared, "golden/golden.npz"}


def test_a_bundle_is_replaced_only_when_asked_and_nothing_else_ever(package: Path, tmp_path: Path) -> None:
    deploy(package, tmp_path / "pi", ["raspberry-pi-4"], archive=True)
    before = _files(tmp_path / "pi")
    with pytest.raises((PackageError, DeployError), match="exists already"):
        deploy(package, tmp_path / "pi", ["linux-x86_64-v3"])
    assert _files(tmp_path / "pi") == before
    assert deploy(package, tmp_path / "pi", ["linux-x86_64-v3"], replace=True).variants == ["linux-x86_64-v3"]
    assert not (tmp_path / "pi.tar.gz").exists(), "the archive of the old bundle would be taken for one of the new"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(PackageError, match="is no bundle"):
        deploy(package, tmp_path / "mine", ["raspberry-pi-4"], replace=True)
    assert _files(tmp_path / "mine") == {"thesis.txt": b"x"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home.pqrnn", "mine", "pi"]


def test_an_archive_holds_the_same_and_is_the_same_again(package: Path, tmp_path: Path) -> None:
    deploy(package, tmp_path / "pi", ["raspberry-pi-4"], archive=True)
    first = (tmp_path / "pi.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "pi.tar.gz") as archive:
        archive.extractall(tmp_path / "board", filter="data")
    assert _files(tmp_path / "board" / "pi") == _files(tmp_path / "pi")
    deploy(package, tmp_path / "pi", ["raspberry-pi-4"], archive=True, replace=True)
    assert (tmp_path / "pi.tar.gz").read_bytes() == first == pack(tmp_path / "pi", "pi")


def test_the_note_says_what_was_proved_where(package: Path, tmp_path: Path) -> None:
    bundle = deploy(package, tmp_path / "all")
    note = " ".join((tmp_path / "all" / "README.txt").read_text().split())
    assert f"pip install ./{bundle.wheel}" in note
    for verb in ("check", "bench", "parse"):
        assert f"pqrnn {verb} home.pqrnn" in note
    assert (
        "verified: 2 texts, 3 words, 3 times each, no decision differs, logits within 2.0e-06; "
        "run on qemu-aarch64 7.2.22, cortex-a72 on AMD EPYC" in note
    )
    assert "UNVERIFIED, nobody has run this code: there is no runtime for armv7 to run it with" in note
    assert "NOT FROM PYTHON: there is no wheel of iree-base-runtime for armv7a" in note
    assert "Raspberry Pi 4" in note  # from the target's file
    assert "avx2" in note
    assert "msgspec" in note


@pytest.mark.parametrize(
    ("precision", "bits", "dispatches", "expected"),
    [
        ("int8", 8, 5, "in int8: own kernels (smlal): 5 launches a text, 5.33 products an instruction"),
        ("float32", 8, 5, "in float32: own kernels (neon): 5 launches a text, 4 products an instruction"),
        ("int8", 8, 170, "in int8: the compiler's own code, some 170 launches a text"),  # compiled with --no-kernels
        ("int8", 4, 5, "in int8 with weights of 4 bits: own kernels (smlal): 5 launches a text, 7.76 products an"),
        ("int8", 4, 170, "in int8 with weights of 4 bits: the compiler's own code, some 170 launches a text"),
    ],
)
def test_the_note_says_what_to_expect(precision: str, bits: int, dispatches: int, expected: str, package: Path) -> None:
    manifest = open_package(package).manifest
    (variant,) = [variant for variant in manifest.variants if variant.target == "raspberry-pi-4"]
    changed = msgspec.structs.replace(
        manifest,
        buckets=manifest.buckets[:1],
        model=msgspec.structs.replace(
            manifest.model, precision=precision, config=manifest.model.config | {"weight_bits": bits}
        ),
        variants=(msgspec.structs.replace(variant, dispatches=dispatches),),
    )
    note = " ".join(board_note(changed, "home.pqrnn", "wheel.whl", "conformance.json").split())
    assert expected in note


def test_the_note_is_one_page(package: Path) -> None:
    manifest = open_package(package).manifest
    lines = board_note(
        msgspec.structs.replace(manifest, variants=manifest.variants[2:3]),
        "home.pqrnn",
        "pqrnn_runtime-0.1.0-py3-none-any.whl",
        "conformance.json",
    ).splitlines()
    assert len(lines) <= 66


def test_the_note_names_the_python_of_the_board(package: Path, tmp_path: Path) -> None:
    deploy(package, tmp_path / "unknown", ["raspberry-pi-4"])
    note = (tmp_path / "unknown" / "README.txt").read_text()
    assert "--python-version X.Y" in note
    (ask,) = re.findall(r"^    (python3 -c .*)$", note, re.MULTILINE)
    words = [sys.executable, *shlex.split(ask)[1:]]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    assert said == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert "INSTALL (Python 3.11 or newer, 64-bit)" in note
    deploy(package, tmp_path / "known", ["raspberry-pi-4"], python="3.13")
    note = (tmp_path / "known" / "README.txt").read_text()
    assert "--python-version 3.13" in note
    assert "INSTALL (Python 3.13, 64-bit)" in note
    assert "--python-version 3.11" not in note
    assert "X.Y" not in note


@pytest.mark.parametrize("python", ["3.10", "2.7", "3", "3.13.1", "cp313", "4.0", "3.13 --pre"])
def test_a_python_that_cannot_be_is_refused(python: str, package: Path, tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"is no Python that the wheel.*>=3\.11.*python3 --version"):
        deploy(package, tmp_path / "out", ["raspberry-pi-4"], python=python)
    assert not (tmp_path / "out").exists()


def test_a_package_of_links_is_shipped_as_files_under_its_own_name(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob, link = tmp_path / "blobs", tmp_path / "hub" / "kitchen.pqrnn"
    package.rename(blob)
    for file in sorted(file for file in blob.rglob("*") if file.is_file()):
        here = link / file.relative_to(blob)
        here.parent.mkdir(parents=True, exist_ok=True)
        here.symlink_to(file)
    deploy(link, tmp_path / "a", ["raspberry-pi-4"])
    assert not any(path.is_symlink() for path in (tmp_path / "a").rglob("*"))
    assert open_package(tmp_path / "a" / "kitchen.pqrnn", verify=True).manifest.name == "fake"
    (tmp_path / "named.pqrnn").symlink_to(blob, target_is_directory=True)
    assert deploy(tmp_path / "named.pqrnn", tmp_path / "b", ["raspberry-pi-4"]).package == "named.pqrnn"
    monkeypatch.chdir(link)
    assert deploy(".", tmp_path / "c", ["raspberry-pi-4"]).package == "kitchen.pqrnn"


def test_a_bundle_is_exchanged_by_renaming(package: Path, tmp_path: Path) -> None:
    deploy(package, tmp_path / "pi", ["raspberry-pi-4"])
    code = open_package(tmp_path / "pi" / "home.pqrnn").file("variants/raspberry-pi-4/module.vmfb")
    with code.open("rb") as running:  # who has a file of the old bundle open, or mapped, keeps it as it was
        before = running.read()
        running.seek(0)
        deploy(package, tmp_path / "pi", ["raspberry-pi-4"], replace=True)
        assert os.fstat(running.fileno()).st_nlink == 0
        assert running.read() == before
    assert code.is_file()


@pytest.mark.parametrize(
    ("triple", "reason"),
    [
        ("aarch64-unknown-linux-gnu", ""),
        ("x86_64-unknown-linux-gnu", ""),
        ("any", ""),
        ("riscv64-unknown-linux-gnu", "riscv64"),
        ("aarch64-none-linux-android29", "Android"),
    ],
)
def test_boards_without_a_python_runtime_are_named(triple: str, reason: str) -> None:
    assert (reason in why_no_wheel(triple)) and bool(why_no_wheel(triple)) == bool(reason)


@pytest.mark.slow
def test_the_command_line_makes_one_and_warns(package: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pqrnn",
        "deploy",
        str(package),
        "--out",
        str(tmp_path / "all"),
        "--archive",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    said = json.loads(done.stdout)
    assert said["archive"] == str(tmp_path / "all.tar.gz")
    assert said["variants"] == ["linux-x86_64-v3", "raspberry-pi-4", "linux-armv7-neon"]
    assert "unverified: linux-armv7-neon: there is no runtime for armv7" in done.stderr
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_no_pytorch_is_needed() -> None:
    code = (
        "import sys, compile.packaging.bundle\n"
        "heavy = {'torch', 'iree.compiler', 'hatchling'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
