"""Targets described on a running machine.

By what it has, in a file that reads back, without PyTorch and without the compiler.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_py.device.preflight import missing_features, this_machine
from targets import Board, Emulator, Flag, Limit, Target, Vulkan, shipped
from targets.board import gpu_target, processor_target
from targets.registry import FOLDER_VARIABLE
from targets.schema import Preset, decode_target
from targets.writing import encode_target

texts = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


@pytest.mark.parametrize("name", shipped().names())
def test_a_shipped_target_written_and_read_is_the_same(name: str) -> None:
    target = shipped().get(name)
    if not target.base:
        assert decode_target(encode_target(target, "a\nb").encode(), name, name) == target


@given(
    summary=texts,
    needs=texts,
    reasons=st.lists(texts, max_size=2),
    limit=texts,
    subgroup=st.integers(0, 128),
    int64=st.booleans(),
    comment=st.text(),
)
def test_any_text_survives_the_file(
    summary: str, needs: str, reasons: list[str], limit: str, subgroup: int, int64: bool, comment: str
) -> None:
    target = Target(
        id="gpu",
        summary=summary,
        family="vulkan",
        vulkan=Vulkan(summary, subgroup, int64, (r"^\d\"'",)),
        needs=needs,
        flags=tuple(Flag("--iree-flag=1", reason) for reason in reasons),
        tier="compiled",
        limits=(Limit(limit), Limit(limit, "https://example.org/1")),
        board=Board(summary, needs),
    )
    assert decode_target(encode_target(target, comment).encode(), "gpu", "gpu") == target


@given(name=st.text(min_size=1))
def test_a_name_that_a_driver_gives_cannot_break_the_file(name: str) -> None:
    preset = gpu_target("gpu", name, name, 32, True, shipped())
    read = decode_target(encode_target(preset).encode(), "gpu", "gpu")
    assert isinstance(read, Preset)
    assert read.base == preset.base
    assert read.summary.isprintable()


def test_a_processor_is_described_by_its_features() -> None:
    seen = ["dotprod", "fp-armv8", "neon", "sme", "crc", "ssbs", "sha2"]
    target = processor_target("mine", "Linux", "aarch64", seen, "ACME One")
    assert target.features == (
        "crc",
        "dotprod",
        "sha2",
    )  # not the baseline, nor what is of no use, nor what the system has to allow first
    assert (target.triple, target.cpu, target.tier) == ("aarch64-unknown-linux-gnu", "generic", "emulated")
    assert target.emulators[0] == Emulator("qemu-aarch64", "cortex-a53")
    assert processor_target("mine", "Linux", "x86_64", ["avx", "amx-int8"], "").features == ("avx",)


@pytest.mark.parametrize(
    ("device", "lanes", "int64", "base"),
    [
        ("llvmpipe (LLVM 15.0.6, 256 bits)", 8, True, "vulkan-llvmpipe"),
        ("llvmpipe (LLVM 15.0.6, 512 bits)", 16, True, "vulkan"),
        ("V3D 7.1.7.0", 16, False, "vulkan-videocore-vii"),
        ("V3D 4.2.14", 16, False, "vulkan"),
        ("Mali-G610 (Panfrost)", 16, True, "vulkan-mali-valhall"),
        ("Mali-G57", 16, False, "vulkan-mali-valhall"),
        ("Mali-G52", 8, False, "vulkan"),
        ("Immortalis-G720", 16, True, "vulkan-mali-g720"),
        ("Immortalis-G720", 16, False, "vulkan"),
        ("Adreno (TM) 650", 64, False, "vulkan-adreno"),
        ("Turnip Adreno (TM) 650", 128, False, "vulkan"),
        ("NVIDIA GeForce GTX 1080", 32, True, "vulkan-nvidia-pascal"),
        ("Tesla T4", 32, True, "vulkan-nvidia-turing"),
        ("Quadro RTX 4000", 32, True, "vulkan-nvidia-turing"),
        ("NVIDIA GeForce RTX 3060", 32, True, "vulkan-nvidia-ampere"),
        ("NVIDIA Tegra Orin (nvgpu)", 32, True, "vulkan-nvidia-ampere"),
        ("NVIDIA A100-SXM4-80GB", 32, True, "vulkan-nvidia-ampere"),
        ("NVIDIA RTX 2000 Ada Generation", 32, True, "vulkan-nvidia-ada"),
        ("NVIDIA GeForce RTX 4090", 32, True, "vulkan-nvidia-ada"),
        ("NVIDIA GeForce RTX 5090", 32, True, "vulkan"),
        ("AMD Radeon RX 6800 (RADV NAVI21)", 64, True, "vulkan"),
        ("AMD Radeon RX 6800 (RADV NAVI21)", 32, True, "vulkan-amd-rdna2"),
        ("AMD Custom GPU 0405 (RADV VANGOGH)", 32, True, "vulkan-amd-rdna2"),
        ("AMD Radeon RX 7900 XTX", 32, True, "vulkan-amd-rdna3"),
        ("Intel(R) Arc(tm) A770 Graphics (DG2)", 32, False, "vulkan"),
        ("Apple M2 Pro", 32, True, "vulkan"),
    ],
)
def test_a_gpu_gets_code_that_is_right_on_it(device: str, lanes: int, int64: bool, base: str) -> None:
    preset = gpu_target("mine", device, "a driver", lanes, int64, shipped())
    assert preset.base == base
    code = shipped().get(base).vulkan
    assert code is not None
    assert code.subgroup in (0, lanes)
    found = [
        each.id
        for each in shipped().survey()[0]
        if each.vulkan is not None and not each.base and any(re.search(name, device) for name in each.vulkan.names)
    ]
    assert found in ([], [base]) or base == "vulkan"
    assert len(found) <= 1


def add(folder: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run `pqrnn targets ...` where neither PyTorch nor the compiler can be imported, as on a board."""
    code = (
        "import sys\n"
        "for absent in ('torch', 'iree.compiler', 'iree.turbine', 'safetensors', 'matplotlib'):\n"
        "    sys.modules[absent] = None\n"
        f"{before}\n"
        f"sys.argv = ['pqrnn', 'targets', *{list(arguments)!r}]\n"
        "from pqrnn.cli import main\n"
        "main()\n"
    )
    environment = {**os.environ, FOLDER_VARIABLE: str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300, env=environment
    )


def test_a_board_describes_itself(tmp_path: Path) -> None:
    done = add(tmp_path / "mine", "add", "my-board")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "mine" / "my-board.toml"
    assert str(file) in done.stdout
    target = decode_target(file.read_bytes(), "my-board", "my-board")
    assert isinstance(target, Target)
    assert target.triple.split("-")[0].replace("arm64", "aarch64") == this_machine().architecture
    assert missing_features(target.features, this_machine()) == []
    shown = add(tmp_path / "mine", "show", "my-board")
    assert shown.returncode == 0, shown.stderr
    assert f"your own folder: {file}" in shown.stdout.replace("\n", "")
    again = add(tmp_path / "mine", "add", "my-board")
    assert again.returncode == 2
    assert f"{file}: exists already" in again.stderr
    file.write_text("spoilt")
    assert add(tmp_path / "mine", "add", "my-board", "--replace").returncode == 0
    assert decode_target(file.read_bytes(), "my-board", "my-board") == target


def test_a_description_can_be_printed_or_put_elsewhere(tmp_path: Path) -> None:
    printed = add(tmp_path, "add", "my-board", "--out", "-")
    assert printed.returncode == 0, printed.stderr
    elsewhere = tmp_path / "new" / "my-board.toml"
    written = add(tmp_path, "add", "my-board", "--out", str(elsewhere))
    assert written.returncode == 0, written.stderr
    assert elsewhere.read_text() == printed.stdout
    assert list(tmp_path.glob("*.toml")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("linux-aarch64",),
            "linux-aarch64: there is a target of that name already (pqrnn: targets/linux-aarch64.toml)",
        ),
        (("My-Board",), "id is 'My-Board', expected small letters"),
        (("../escape",), "expected ../escape.toml"),
        (
            ("my-board", "--out", "other.toml"),
            "other.toml: a target's file is called as the target, expected my-board.toml",
        ),
    ],
)
def test_a_bad_name_is_refused_and_nothing_written(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = add(tmp_path / "mine", "add", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "mine").exists()


def test_a_machine_without_a_gpu_says_what_to_install(tmp_path: Path) -> None:
    absent = (
        "import runtime_py.device.vulkan as v\n"
        "v.vulkan_devices = lambda: v.VulkanDevices((), 'there is no Vulkan device. Install the driver')\n"
    )  # fmt: skip
    done = add(tmp_path, "add", "my-gpu", "--gpu", before=absent)
    assert done.returncode == 2
    assert "my-gpu: there is no Vulkan device. Install the driver" in done.stderr
    assert list(tmp_path.iterdir()) == []
