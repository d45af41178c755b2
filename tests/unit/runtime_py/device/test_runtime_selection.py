"""The choice of a variant.

Kinds of code in their order, a sentence for every decision, and a visible notice where a GPU is not used.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from makers.runtime_fakes import fake_manifest, fake_parity, fake_variant, write_fake

from runtime_py.device.preflight import Machine
from runtime_py.device.selection import kind_of, select_variant
from runtime_py.device.vulkan import VulkanDevice, VulkanDevices
from runtime_py.errors import DeviceError, DeviceFallback, UnsupportedTargetError
from runtime_py.package_format.manifest import ANY, Manifest, Variant, VulkanNeeds
from runtime_py.parser import Parser

HASWELL = Machine(
    "x86_64",
    frozenset(["avx", "avx2", "fma", "bmi", "bmi2"]),
    "Haswell",
    "3.13.0",
    ("local-sync", "local-task", "vulkan"),
)
SOFTWARE = VulkanDevice(1, "aa-bb", "llvmpipe", "Mesa 22.3.6", True, True, 8, (8, 8), frozenset(["subgroupArithmetic"]))
REAL = VulkanDevice(2, "cc-dd", "Mali", "r38", True, False, 16, (16, 16), frozenset(), frozenset(["shaderInt64"]))


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[VulkanDevice]:
    """The machine's GPUs, best first; filled by the test."""
    devices: list[VulkanDevice] = []

    def found() -> VulkanDevices:
        return VulkanDevices(tuple(devices), "" if devices else "there is no Vulkan device. Install one")

    monkeypatch.setattr("runtime_py.device.vulkan.vulkan_devices", found)
    return devices


@pytest.fixture
def no_gpu_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime_py.device.vulkan.vulkan_devices", lambda: pytest.fail("Vulkan was loaded"))


def gpu(name: str = "gpu", **needs: Any) -> Variant:
    return fake_variant(name, device="vulkan", triple=ANY, cpu=ANY, features=[], vulkan=VulkanNeeds(**needs))


def interpreted() -> Variant:
    return fake_variant("vmvx", triple=ANY, cpu=ANY, features=[])


def all_kinds() -> Manifest:
    return fake_manifest(interpreted(), gpu(subgroup=8), fake_variant("v3"), fake_variant("v4", features=["avx512f"]))


def test_kinds() -> None:
    assert [kind_of(variant) for variant in all_kinds().variants] == ["interpreter", "gpu", "cpu", "cpu"]


@pytest.mark.usefixtures("no_gpu_looked_at")
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_cpu_comes_first_and_no_driver_is_loaded_for_that(device: Any) -> None:
    selection = select_variant(all_kinds(), HASWELL, device=device)
    assert (selection.variant.target, selection.gpu, selection.notice) == ("v3", None, "")
    assert selection.reason == "v3: the one variant of the package that this CPU can run"
    assert selection.rejected["v4"] == "this CPU (Haswell) lacks avx512f"
    assert selection.rejected["vmvx"] == "it is interpreted, and much slower than v3"
    assert ("device='gpu' asks for it" if device == "auto" else "the CPU was asked for") in selection.rejected["gpu"]


def test_the_most_demanding_variant_that_runs_is_chosen() -> None:
    manifest = fake_manifest(
        fake_variant("generic", features=[]),
        fake_variant("v3"),
        fake_variant("v4", features=["avx2", "fma", "avx512f"]),
        fake_variant("pi", triple="aarch64-linux-gnu", features=[]),
    )
    selection = select_variant(manifest, HASWELL)
    assert selection.variant.target == "v3"
    assert set(selection.rejected) == {"generic", "v4", "pi"}
    assert "avx512f" in selection.rejected["v4"]
    assert selection.rejected["generic"].startswith("v3 fits better")


def test_verified_code_goes_first() -> None:
    manifest = fake_manifest(
        fake_variant("failed", parity=fake_parity(False)),
        fake_variant("unknown"),
        fake_variant("proved", features=[], parity=fake_parity(True), unverified_reason=None),
    )
    assert select_variant(manifest, HASWELL).variant.target == "proved"


def test_nothing_fits() -> None:
    manifest = fake_manifest(fake_variant("v4", features=["avx512f"]), fake_variant("pi", triple="aarch64-linux-gnu"))
    with pytest.raises(
        UnsupportedTargetError, match=r"v4: this CPU \(Haswell\) lacks avx512f; pi: it is for aarch64.*pqrnn compile"
    ):
        select_variant(manifest, HASWELL)


def test_a_named_variant_is_taken_or_refused() -> None:
    manifest = fake_manifest(fake_variant("generic", features=[]), fake_variant("v4", features=["avx512f"]))
    assert select_variant(manifest, HASWELL, "generic").variant.target == "generic"
    with pytest.raises(UnsupportedTargetError, match="lacks avx512f"):
        select_variant(manifest, HASWELL, "v4")
    with pytest.warns(UserWarning, match="lacks avx512f"):
        assert select_variant(manifest, HASWELL, "v4", strict=False).variant.target == "v4"
    with pytest.raises(UnsupportedTargetError, match="no variant 'v5'; it has: generic, v4"):
        select_variant(manifest, HASWELL, "v5")


def test_reasons_between_variants_for_the_cpu() -> None:
    plain, least = fake_variant("plain", features=["avx2"]), fake_variant("least", features=[])
    selection = select_variant(fake_manifest(least, plain, fake_variant("v3")), HASWELL)
    assert selection.reason == "v3: needs the most features that this CPU has"
    assert "more of the features" in selection.rejected["least"]
    equal = select_variant(fake_manifest(fake_variant("a"), fake_variant("b")), HASWELL)
    assert equal.reason == "a: the first of those that fit this CPU best"
    assert equal.rejected == {"b": "a fits as well and comes first"}
    proved = fake_variant("proved", features=[], parity=fake_parity(True), unverified_reason=None)
    assert select_variant(fake_manifest(fake_variant("v3"), proved), HASWELL).rejected == {
        "v3": "nobody has run it, unlike proved"
    }


def test_a_variant_that_failed_its_check_is_taken_by_name_only() -> None:
    failed = fake_variant("failed", parity=fake_parity(False))
    with pytest.raises(UnsupportedTargetError, match=r"failed: it failed its check \(3 intent flips\)"):
        select_variant(fake_manifest(failed), HASWELL)
    assert select_variant(fake_manifest(failed), HASWELL, "failed").variant is failed


def test_a_gpu_is_taken_when_asked_for_or_when_nothing_else_runs(gpus: list[VulkanDevice]) -> None:
    gpus.append(SOFTWARE)
    asked = select_variant(all_kinds(), HASWELL, device="gpu")
    assert (asked.variant.target, asked.gpu, asked.notice) == ("gpu", SOFTWARE, "")
    assert asked.reason == "gpu: a GPU was asked for, and llvmpipe, Mesa 22.3.6, 8 lanes, has what it needs"
    assert asked.rejected["v3"] == "the GPU was asked for"
    left = select_variant(
        fake_manifest(interpreted(), gpu(subgroup=8), fake_variant("pi", triple="aarch64-linux-gnu")), HASWELL
    )
    assert left.variant.target == "gpu"
    assert left.reason.startswith("gpu: no variant for the CPU runs here, and llvmpipe")


def test_code_made_for_such_a_gpu_and_a_real_gpu_come_first(gpus: list[VulkanDevice]) -> None:
    gpus += [REAL, SOFTWARE]
    anywhere, sixteen, eight = gpu("anywhere"), gpu("sixteen", subgroup=16), gpu("eight", subgroup=8)
    selection = select_variant(fake_manifest(anywhere, eight, sixteen), HASWELL, device="gpu")
    assert (selection.variant.target, selection.gpu) == ("sixteen", REAL)
    assert "as many lanes as this one" in selection.rejected["anywhere"]
    assert select_variant(fake_manifest(eight, anywhere), HASWELL, device="gpu").gpu == REAL


def test_why_no_gpu_is_used_is_said(gpus: list[VulkanDevice]) -> None:
    none = select_variant(all_kinds(), HASWELL, device="gpu")
    assert none.variant.target == "v3"
    assert none.notice == "no GPU is used, the CPU runs v3 (gpu: there is no Vulkan device. Install one)"
    gpus.append(REAL)
    manifest = fake_manifest(fake_variant("v3"), gpu("a", subgroup=8), gpu("b", subgroup=8), gpu("wide", int64=True))
    notice = select_variant(manifest, HASWELL, device="gpu").notice
    assert "a, b: the GPU Mali (r38) lacks subgroups of 8 lanes (it has 16)" in notice
    assert "wide: the GPU Mali (r38) lacks shaderInt64" in notice
    assert "the package has no variant for GPUs" in select_variant(fake_manifest(), HASWELL, device="gpu").notice


def test_a_runtime_without_vulkan_is_named() -> None:
    bare = Machine("x86_64", frozenset(), "", "3.13.0", ("local-sync",))
    with pytest.raises(UnsupportedTargetError, match="the installed IREE runtime has no vulkan device"):
        select_variant(fake_manifest(gpu()), bare, "gpu")


def test_the_interpreter_is_the_last_resort(gpus: list[VulkanDevice]) -> None:
    arm = Machine("aarch64", frozenset(), "", "3.13.0", ("local-sync", "vulkan"))
    selection = select_variant(all_kinds(), arm)
    assert selection.variant.target == "vmvx"
    assert selection.reason == "vmvx: runs on every machine, slowly, and no other variant runs on this one"
    assert gpus == []


def test_a_named_gpu_variant_is_refused_or_tried(gpus: list[VulkanDevice]) -> None:
    with pytest.raises(UnsupportedTargetError, match="no Vulkan device"):
        select_variant(all_kinds(), HASWELL, "gpu", strict=False)
    gpus.append(REAL)
    with pytest.raises(UnsupportedTargetError, match="lacks subgroups of 8 lanes"):
        select_variant(all_kinds(), HASWELL, "gpu")
    with pytest.warns(UserWarning, match="lacks subgroups of 8 lanes"):
        selection = select_variant(all_kinds(), HASWELL, "gpu", strict=False)
    assert (selection.gpu, selection.reason) == (REAL, "gpu: was asked for by name")


class TestLoad:
    """What `Parser.load` makes of it, with sessions that only pretend."""

    @pytest.fixture
    def opened(self, gpus: list[VulkanDevice], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[VulkanDevice | None]]:
        """The devices that sessions were opened on; a GPU cannot be opened."""
        gpus.append(SOFTWARE)
        tried: list[VulkanDevice | None] = []

        class FakeSession:
            entries = batches = ()

            def __init__(self, *arguments: Any, subwords: object = None) -> None:
                tried.append(arguments[-1])
                if arguments[-1] is not None:
                    raise DeviceError("the GPU llvmpipe cannot be opened (VK_ERROR_DEVICE_LOST).")

            def release(self) -> None:
                pass

        monkeypatch.setattr("runtime_py.parser.Session", FakeSession)
        monkeypatch.setattr("runtime_py.parser.this_machine", lambda: HASWELL)
        yield tried

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        write_fake(tmp_path / "a.pqrnn", all_kinds())
        return tmp_path / "a.pqrnn"

    def test_a_gpu_that_does_not_open_is_replaced_by_the_cpu_visibly(
        self, path: Path, opened: list[VulkanDevice | None]
    ) -> None:
        with pytest.warns(
            DeviceFallback, match=r"a\.pqrnn: no GPU is used, the CPU runs v3 \(gpu: .*VK_ERROR_DEVICE_LOST"
        ) as caught:
            parser = Parser.load(path, device="gpu", self_test=False)
        assert caught[0].filename == __file__  # the warning points at the caller
        assert opened == [SOFTWARE, None]
        assert parser.variant.target == "v3"
        assert "VK_ERROR_DEVICE_LOST" in parser.selection.rejected["gpu"]

    def test_a_gpu_that_fails_its_self_test_is_not_opened(
        self, path: Path, opened: list[VulkanDevice | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "runtime_py.device.gpu_selftest.why_untrusted", lambda *_, **__: "its self-test gave wrong answers"
        )
        with pytest.warns(DeviceFallback, match="gpu: its self-test gave wrong answers"):
            Parser.load(path, device="gpu")
        assert opened == [None]
        with pytest.raises(DeviceError, match="its self-test gave wrong answers"):
            Parser.load(path, variant="gpu")

    def test_the_cpu_gives_no_notice(self, path: Path, opened: list[VulkanDevice | None]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Parser.load(path).selection.notice == ""
        assert opened == [None]

    def test_a_gpu_that_fails_where_nothing_else_runs_is_an_error_with_its_reason(
        self, tmp_path: Path, opened: list[VulkanDevice | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_fake(tmp_path / "b.pqrnn", fake_manifest(gpu(subgroup=8)))
        with pytest.raises(UnsupportedTargetError, match="gpu: the GPU llvmpipe cannot be opened"):
            Parser.load(tmp_path / "b.pqrnn", self_test=False)

    def test_an_unknown_device_is_refused(self, path: Path) -> None:
        with pytest.raises(ValueError, match="device is 'tpu', expected 'auto', 'cpu' or 'gpu'"):
            Parser.load(path, device="tpu")  # type: ignore[arg-type]
