"""The self-test of a GPU: every way that it can end, and that it is not repeated without need."""

import os
import sys
from pathlib import Path

import msgspec
import pytest
from makers.runtime_fakes import fake_manifest, fake_parity, fake_variant, write_fake

from runtime_py.cache import cache_folder
from runtime_py.device.gpu_selftest import replay_command, why_untrusted
from runtime_py.device.vulkan import VulkanDevice
from runtime_py.package_format.manifest import VulkanNeeds
from runtime_py.package_format.package import Package, open_package
from runtime_py.tools.replay import Replay

GPU = VulkanDevice(1, "aa-bb", "Mali", "r38", True, False, 16, (16, 16), frozenset())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "cache"))
    write_fake(tmp_path / "a.pqrnn", fake_manifest(fake_variant("gpu", device="vulkan", vulkan=VulkanNeeds())))
    return open_package(tmp_path / "a.pqrnn")


def child(monkeypatch: pytest.MonkeyPatch, script: str) -> list[tuple[str, ...]]:
    """Let the process do something else; return how it was called."""
    calls: list[tuple[str, ...]] = []

    def command(*arguments: str) -> list[str]:
        calls.append(arguments)
        return [sys.executable, "-c", script]

    monkeypatch.setattr("runtime_py.device.gpu_selftest.replay_command", command)
    return calls


def answer(passed: bool) -> str:
    replay = Replay("gpu", fake_parity(passed), [], "vulkan: Mali", "aarch64", [], 0.1, 0.2)
    return f"print({msgspec.json.encode(replay).decode()!r})"


def ask(package: Package, gpu: VulkanDevice = GPU, seconds: float = 60.0) -> str | None:
    return why_untrusted(package, package.variant("gpu"), gpu, seconds)


def test_a_pass_is_remembered(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = child(monkeypatch, answer(True))
    assert ask(package) is None
    assert ask(package) is None
    assert calls == [(str(package.path), "--target", "gpu", "--repeats", "3")]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (answer(False), "gave wrong answers (3 intent flips)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was killed by signal 11"),
        ("import sys; sys.stderr.write('one\\nDeviceError: lost\\n'); sys.exit(3)", "failed (DeviceError: lost)"),
        ("print('no json')", "gave no answer that can be read"),
        ("import time; time.sleep(600)", "did not end within 1 s"),
    ],
)
def test_every_other_ending_is_a_reason_and_remembered(
    package: Package, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    calls = child(monkeypatch, script)
    seconds = 1.0 if "sleep" in script else 60.0
    said = ask(package, seconds=seconds)
    assert said is not None
    assert said.startswith(f"its self-test on Mali, r38, 16 lanes {reason}")
    assert ask(package) == said
    assert len(calls) == 1
    (kept,) = (cache_folder() / "selftests").iterdir()
    assert f"delete {kept}" in said
    kept.unlink()
    child(monkeypatch, answer(True))
    assert ask(package) is None


def test_another_driver_device_or_package_is_tested_anew(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = child(monkeypatch, answer(True))
    fields = {name: getattr(GPU, name) for name in VulkanDevice.__dataclass_fields__}
    for change in ({}, {"driver": "r39"}, {"identity": "cc-dd"}, {"subgroup": 8}, {"number": 5}):
        ask(package, VulkanDevice(**(fields | change)))  # type: ignore[arg-type]
    assert len(calls) == 4  # the runtime's handle is another one in every process
    manifest = msgspec.structs.replace(
        package.manifest,
        variants=[msgspec.structs.replace(package.manifest.variants[0], path="variants/b/module.vmfb")],
    )
    write_fake(tmp_path / "b.pqrnn", manifest)
    (tmp_path / "b.pqrnn/variants/b/module.vmfb").write_bytes(b"other code")
    from runtime_py.package_format.package import seal

    seal(tmp_path / "b.pqrnn", manifest)
    ask(open_package(tmp_path / "b.pqrnn"))
    assert len(calls) == 5


def test_a_damaged_or_unwritable_memory_costs_another_test_only(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = child(monkeypatch, answer(True))
    ask(package)
    (kept,) = (cache_folder() / "selftests").iterdir()
    good = kept.read_bytes()
    for damaged in (b"{", b"\xff", b"[" * 5000, good.replace(kept.stem.encode(), b"0" * 32)):
        kept.write_bytes(damaged)
        assert ask(package) is None
        assert kept.read_bytes() != damaged
    kept.rename(tmp_path / "planted")
    kept.symlink_to(tmp_path / "planted")
    assert ask(package) is None
    assert kept.is_file() and not kept.is_symlink()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PQRNN_CACHE", str(tmp_path / "file" / "below"))
    assert ask(package) is None
    assert len(calls) == 7


def test_without_a_home_every_start_tests_again(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    calls = child(monkeypatch, answer(True))
    for name in ("PQRNN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert ask(package) is None
    assert ask(package) is None
    assert len(calls) == 2
    child(monkeypatch, "import sys; sys.exit(3)")
    assert (ask(package) or "").endswith(" failed")


def test_the_real_command_starts_the_program() -> None:
    import subprocess

    finished = subprocess.run(
        replay_command("/no/package", "--target", "gpu"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
    )
    assert finished.returncode == 3
    assert "PackageError: /no/package: does not exist" in finished.stderr


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"PQRNN_CACHE": "/x"}, "/x"),
        ("linux", {"XDG_CACHE_HOME": "/y"}, "/y/pqrnn"),
        ("linux", {}, "/home/me/.cache/pqrnn"),
        ("darwin", {}, "/home/me/Library/Caches/pqrnn"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/pqrnn"),
    ],
)
def test_where_outcomes_are_kept(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("pathlib.Path.home", lambda: Path("/home/me"))
    for name in ("PQRNN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_the_process_that_tests_demands_the_same_signature(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [Path("/keys/a.pub"), Path("/keys/b.pub")]
    demands = "import os; assert os.environ['PQRNN_REQUIRE_SIGNATURE'] == {!r}\n"
    child(monkeypatch, demands.format(os.pathsep.join(map(str, keys))) + answer(True))
    assert why_untrusted(package, package.variant("gpu"), GPU, keys=keys) is None
    (kept,) = (cache_folder() / "selftests").iterdir()
    kept.unlink()
    monkeypatch.setenv("PQRNN_REQUIRE_SIGNATURE", "/keys/a.pub")
    child(monkeypatch, demands.format("") + answer(True))
    assert why_untrusted(package, package.variant("gpu"), GPU, keys=()) is None
