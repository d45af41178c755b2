"""How emulators are fetched, and how the machine for a variant is chosen: no emulator is needed here."""

from __future__ import annotations

import json
import platform
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from compile.emulation import components, cpuid, debian, install, locations, runner
from compile.emulation.runner import RunnerNotFoundError, find_runner
from compile.support.errors import VerificationError
from compile.verify.elsewhere import find_emulator
from runtime_py.device.preflight import this_machine
from runtime_py.device.vulkan import VulkanDevice, VulkanDevices
from runtime_py.package_format.manifest import Variant, VulkanNeeds
from targets.schema import Emulator, Target


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any emulator: neither in our folder nor in the system."""
    monkeypatch.setenv(locations.VARIABLE, str(tmp_path / "emulators"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(locations, "_MANIFESTS", ())
    return tmp_path / "emulators"


def variant(triple: str, device: str = "local-sync", features: tuple[str, ...] = ()) -> Variant:
    return Variant(
        target="board",
        device=device,
        triple=triple,
        cpu="generic",
        features=list(features),
        path="m.vmfb",
        flags=[],
        compile_seconds=1.0,
        parity=None,
    )


def target(*emulators: Emulator) -> Target:
    return Target(
        id="board",
        summary="a board",
        family="cpu",
        triple="aarch64-linux-gnu",
        cpu="generic",
        needs="it",
        tier="emulated",
        emulators=emulators,
    )


OWN_TRIPLE = f"{platform.machine()}-unknown-linux-gnu"
OTHER_TRIPLE = "aarch64-unknown-linux-gnu" if platform.machine() == "x86_64" else "x86_64-unknown-linux-gnu"


def test_this_machine_comes_before_every_emulator(nowhere: Path) -> None:
    found = find_runner(target(Emulator("qemu-aarch64", "cortex-a53")), variant(OWN_TRIPLE))
    assert (found.name, found.emulated) == ("this machine", False)
    assert Path(found.tool("iree-run-module")[-1]).is_file()


def test_without_emulators_the_reason_says_how_to_get_them(nowhere: Path) -> None:
    wanted = target(Emulator("qemu-aarch64", "cortex-a53"), Emulator("lavapipe", lanes=8), Emulator("swiftshader"))
    with pytest.raises(RunnerNotFoundError) as caught:
        find_runner(wanted, variant(OTHER_TRIPLE))
    reason = caught.value.reason
    assert reason.startswith("this machine: it is for ")
    assert reason.count("make emulators") == 3
    for name in ("qemu-aarch64", "lavapipe", "SwiftShader"):
        assert f"{name} is not installed" in reason


def test_a_target_without_emulators_says_so(nowhere: Path) -> None:
    with pytest.raises(RunnerNotFoundError, match="names no emulator"):
        find_runner(target(), variant(OTHER_TRIPLE))


def gpu(software: bool) -> VulkanDevice:
    return VulkanDevice(0, "id", "a GPU", "driver 1.0", True, software, 16, (16, 16), frozenset())


def test_a_gpu_comes_before_an_emulator_but_a_program_on_the_processor_is_none(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = msgspec.structs.replace(variant("any", "vulkan"), vulkan=VulkanNeeds(subgroup=16))
    monkeypatch.setattr(runner, "vulkan_devices", lambda: VulkanDevices((gpu(software=True), gpu(software=False))))
    found = find_runner(target(Emulator("lavapipe", lanes=16)), wanted)
    assert (found.name, found.emulated) == ("a GPU, driver 1.0, 16 lanes", False)
    monkeypatch.setattr(runner, "vulkan_devices", lambda: VulkanDevices((gpu(software=True),)))
    with pytest.raises(RunnerNotFoundError, match="this machine: there is no GPU; lavapipe is not installed"):
        find_runner(target(Emulator("lavapipe", lanes=16)), wanted)
    monkeypatch.setattr(runner, "vulkan_devices", lambda: VulkanDevices((gpu(software=False),)))
    with pytest.raises(RunnerNotFoundError, match="subgroups of 32 lanes"):
        find_runner(target(), msgspec.structs.replace(wanted, vulkan=VulkanNeeds(subgroup=32)))


def test_lavapipe_is_asked_for_numbers_of_lanes_that_it_has(nowhere: Path) -> None:
    with pytest.raises(RunnerNotFoundError, match="4, 8 or 16 lanes, not 32"):
        runner.emulated_runner(Emulator("lavapipe", lanes=32))


def test_the_first_emulator_that_can_is_taken_and_the_others_are_not_lost(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = runner.Runner("the second", True, (sys.executable,), {"PYTHONPATH": locations.python_path()})

    def start(emulator: Emulator) -> runner.Runner:
        if emulator.lanes == 8:
            raise RunnerNotFoundError("the first is broken")
        return able

    monkeypatch.setitem(runner._EMULATORS, "lavapipe", start)
    assert (
        find_runner(target(Emulator("lavapipe", lanes=8), Emulator("lavapipe", lanes=16)), variant(OTHER_TRIPLE))
        is able
    )
    with pytest.raises(RunnerNotFoundError, match="the first is broken"):
        find_runner(target(Emulator("lavapipe", lanes=8)), variant(OTHER_TRIPLE))


def test_a_check_elsewhere_runs_in_the_first_emulator_even_of_this_machines_own_kind(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        "here": target(Emulator("lavapipe", lanes=8)),
        "nowhere": target(),
        "far": target(Emulator("qemu-aarch64", "cortex-a53")),
    }
    monkeypatch.setattr("compile.verify.elsewhere.registry", lambda: SimpleNamespace(get=known.__getitem__))
    able = runner.Runner("rasteriser 1.0", True, (sys.executable,), {"PYTHONPATH": locations.python_path()})
    monkeypatch.setitem(runner._EMULATORS, "lavapipe", lambda _: able)
    here = msgspec.structs.replace(variant(OWN_TRIPLE), target="here")
    assert find_emulator(here) == (able.name, able.python, able.environment)
    with pytest.raises(VerificationError, match=r"no emulator here can run it\n.*names no emulator"):
        find_emulator(msgspec.structs.replace(here, target="nowhere"))
    with pytest.raises(VerificationError, match="make emulators"):
        find_emulator(msgspec.structs.replace(variant(OTHER_TRIPLE), target="far"))


@pytest.fixture
def component(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the component `qemu` by one that writes a file.

    What its build is to do next is at the end of the list.
    """
    plan = ["write"]

    def build(folder: Path, archive: components.Archive) -> dict[str, object]:
        (folder / "half").write_text("half")
        step = plan[-1]
        if step == "fail":
            raise debian.FetchError("apt-get ended with status 100: E: no network")
        if step == "interrupt":
            raise KeyboardInterrupt
        (folder / "content").write_text(step)
        return {"step": step}

    def source() -> str | None:
        folder = locations.component_folder("qemu")
        return None if folder is None else (folder / "content").read_text()

    made = components.Component("qemu", "for tests", lambda: {"pins": [plan[0]]}, build, source)
    monkeypatch.setitem(components.COMPONENTS, "qemu", made)
    return plan


def test_what_is_there_is_left_alone_until_the_pins_change(component: list[str], nowhere: Path) -> None:
    assert install.main(["qemu"]) == 0
    before = (nowhere / "qemu").stat().st_ino
    component.append("again")
    assert install.main(["qemu"]) == 0
    assert (nowhere / "qemu").stat().st_ino == before
    assert (nowhere / "qemu" / "content").read_text() == "write"
    component[0] = "other pins"
    assert install.main(["qemu"]) == 0
    assert (nowhere / "qemu" / "content").read_text() == "again"


def test_a_failed_fetch_leaves_what_there_was_and_says_what_to_do(
    component: list[str], nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(["qemu"]) == 0
    component[0] = "other pins"
    component.append("fail")
    assert install.main(["qemu"]) == 1
    said = capsys.readouterr().err
    assert "E: no network" in said
    assert "make emulators" in said
    assert (nowhere / "qemu" / "content").read_text() == "write"
    assert sorted(path.name for path in nowhere.iterdir()) == [".lock", "qemu"]


def test_an_interrupted_fetch_leaves_nothing_half(component: list[str], nowhere: Path) -> None:
    component.append("interrupt")
    with pytest.raises(KeyboardInterrupt):
        install.main(["qemu"])
    assert [path.name for path in nowhere.iterdir()] == [".lock"]


def test_two_at_a_time_wait_for_each_other(component: list[str], nowhere: Path) -> None:
    said: list[str] = []
    with install._alone(nowhere, said.append):
        waiting = threading.Event()

        def say(text: str) -> None:
            said.append(text)
            waiting.set()

        other = threading.Thread(target=lambda: install.install(["qemu"], say))
        other.start()
        assert waiting.wait(300)
        assert locations.component_folder("qemu") is None
    other.join(300)
    assert said[0].startswith("waiting for another process")
    assert locations.component_folder("qemu") is not None


def test_check_fetches_nothing_and_its_status_tells(
    component: list[str], nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(["--check", "--json", "qemu"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"name": "qemu", "summary": "for tests", "usable": False, "source": "missing: make emulators"}
    ]
    assert not nowhere.exists()
    assert install.main(["qemu"]) == 0
    assert install.main(["--check", "qemu"]) == 0
    assert capsys.readouterr().out == "qemu  for tests  write\n"


def test_a_misspelt_component_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        install.main(["quemu"])
    assert "qemu" in capsys.readouterr().err


def test_apts_own_error_is_what_is_shown() -> None:
    text = "Get:1 http://a\nE: Unable to locate package zzz\nW: something else\n"
    assert debian._last_line(text) == "E: Unable to locate package zzz"
    assert debian._last_line("") == "it said nothing"


def test_packages_are_hidden_from_the_list_of_installed_ones_by_their_whole_name() -> None:
    status = "Package: libvulkan1\nVersion: 1\n\nPackage: libvulkan1-dev\nVersion: 2\n\nPackage: zlib1g\nVersion: 3\n"
    assert (
        debian._without(status, ["libvulkan1"])
        == "Package: libvulkan1-dev\nVersion: 2\n\nPackage: zlib1g\nVersion: 3\n"
    )


@pytest.mark.skipif(
    this_machine().architecture != "x86_64" or not Path("/proc/cpuinfo").is_file(),
    reason="CPUID is an instruction of x86",
)
def test_cpuid_says_what_linux_says() -> None:
    line = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    known = {name for bits in cpuid._BITS.values() for name in bits.values()}
    linux = set(line.split(":")[1].split()) & known
    seen = set(cpuid.flags())
    assert len(linux) > 20
    assert linux <= seen  # Linux may hide what it does not support
    assert seen != known  # no processor has all of them
