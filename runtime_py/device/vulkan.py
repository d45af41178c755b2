"""The Vulkan devices of this machine, and what compiled code needs of one that this one lacks.

The runtime loads code for another GPU without complaint and then computes wrong numbers, so lanes and features are
compared here, with the manifest. What a driver claims and does not do is found by the self-test
(`runtime_py.device.gpu_selftest`).
"""

import re
import sys
from dataclasses import dataclass
from functools import cache

from runtime_py.errors import BINDING_ERRORS
from runtime_py.package_format.manifest import VulkanNeeds

_BASELINE = "vulkan-1.3"
_SOFTWARE = "cpu"
_COMPUTE_STAGE = 0x20
# Bits of VkSubgroupFeatureFlagBits, as features of the names that manifests use.
_SUBGROUP_OPERATIONS = (
    "subgroupBasic",
    "subgroupVote",
    "subgroupArithmetic",
    "subgroupBallot",
    "subgroupShuffle",
    "subgroupShuffleRelative",
    "subgroupClustered",
    "subgroupQuad",
)
_INSTALL = (
    "Install the loader and the driver of the GPU (Debian: apt install libvulkan1 mesa-vulkan-drivers)"
    if sys.platform.startswith("linux")
    else "Install the driver of the GPU (on macOS the Vulkan SDK, which brings MoltenVK)"
)


@dataclass(frozen=True, slots=True)
class VulkanDevice:
    """A Vulkan device, as the runtime describes it.

    Attributes:
        number: The runtime's handle for the device in this process.
        identity: UUIDs of the device and the driver, as hexadecimal digits.
        name: Name of the device, for people.
        driver: Name and version of the driver.
        baseline: Whether the device has Vulkan 1.3 with what the runtime needs.
        software: Whether the device is a program on the CPU.
        subgroup: Number of lanes that work in step unless the code asks for another number.
        subgroups: Smallest and largest number that code may ask for; both are `subgroup` where it may not ask.
        features: Features that the device has, by Vulkan's names; kinds of subgroup operations are named
            ``subgroupArithmetic`` and the like.
        lacking: Features that the device is known not to have. Whether it has any other is not known; the self-test
            decides.
    """

    number: int
    identity: str
    name: str
    driver: str
    baseline: bool
    software: bool
    subgroup: int
    subgroups: tuple[int, int]
    features: frozenset[str]
    lacking: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """Name, driver and lanes, for people."""
        return f"{self.name}, {self.driver}, {self.subgroup} lanes"


@dataclass(frozen=True, slots=True)
class VulkanDevices:
    """The devices of this machine.

    Attributes:
        devices: The devices, real ones before software.
        problem: Why there are none, and what to install; empty where there are some.
    """

    devices: tuple[VulkanDevice, ...]
    problem: str = ""


@cache
def vulkan_devices() -> VulkanDevices:
    """Look for Vulkan devices, once per process.

    This loads every Vulkan driver of the machine, which takes tenths of a second.
    """
    import iree.runtime as rt

    from runtime_py.device.vulkan_features import core_features

    try:
        driver = rt.get_driver("vulkan")
        handles = [entry["device_id"] for entry in driver.query_available_devices()]
        core = core_features()
        dumps = [(handle, driver.dump_device_info(handle)) for handle in handles]
    except BINDING_ERRORS as error:
        return VulkanDevices((), f"Vulkan does not start ({_last_line(error)}). {_INSTALL}")
    devices = [parse_device(number, dump, core) for number, dump in dumps]
    if not devices:
        return VulkanDevices((), f"there is no Vulkan device. {_INSTALL}")
    return VulkanDevices(tuple(sorted(devices, key=lambda device: (not device.baseline, device.software))))


def _last_line(error: Exception) -> str:
    """Leave out the source file of the runtime that a message begins with."""
    return re.sub(r"^.*\.c(?:c|pp)?:\d+: ", "", str(error).strip().splitlines()[-1])


def parse_device(number: int, dump: str, core: dict[str, dict[str, bool]] | None = None) -> VulkanDevice:
    """Read the runtime's description of a device.

    Args:
        number: The runtime's handle for the device.
        dump: The runtime's description.
        core: For each name of a device, the features that the description leaves out (`vulkan_features`).
    """
    lines = dict(re.findall(r"^([A-Za-z_][\w.\[\]-]*): (.*)$", dump, re.MULTILINE))
    subgroup = dict(re.findall(r"(\w+)=(\w+)", lines.get("subgroup", "")))
    name = lines.get("name", "")
    listed = re.findall(r"(\w+)=(\w+)", lines.get("features", ""))
    known = {feature: value == "yes" for feature, value in listed} | (core or {}).get(name, {})
    size = int(subgroup.get("size", "0"))
    free = (
        known.get("subgroupSizeControl") and int(subgroup.get("requiredSubgroupSizeStages", "0"), 16) & _COMPUTE_STAGE
    )
    sizes = (
        (int(subgroup.get("minSubgroupSize", size)), int(subgroup.get("maxSubgroupSize", size)))
        if free
        else (size, size)
    )
    operations = int(subgroup.get("operations", "0"), 16)
    known |= {operation: bool(operations >> bit & 1) for bit, operation in enumerate(_SUBGROUP_OPERATIONS)}
    return VulkanDevice(
        number=number,
        identity=f"{lines.get('device_uuid', '')}-{lines.get('driver_uuid', '')}",
        name=name,
        driver=f"{lines.get('driver', '')} {lines.get('driver_info', '')}".strip(),
        baseline=lines.get(f"feature_tier[{_BASELINE}]") == "supported",
        software=lines.get("type") == _SOFTWARE,
        subgroup=size,
        subgroups=sizes,
        features=frozenset(feature for feature, present in known.items() if present),
        lacking=frozenset(feature for feature, present in known.items() if not present),
    )


def missing_of_device(needs: VulkanNeeds, device: VulkanDevice) -> list[str]:
    """Return what a device lacks, by name."""
    missing = [] if device.baseline else ["Vulkan 1.3"]
    smallest, largest = device.subgroups
    if needs.subgroup not in (0, device.subgroup):
        # A driver that would give other numbers of lanes is of no help: compiled code asks for none, and gets what the
        # driver likes.
        others = f", {smallest} to {largest} for code that asks" if smallest != largest else ""
        missing.append(f"subgroups of {needs.subgroup} lanes (it has {device.subgroup}{others})")
    wanted = [*needs.features, *(["shaderInt64"] if needs.int64 else [])]
    return missing + [name for name in dict.fromkeys(wanted) if name in device.lacking]


def find_device(needs: VulkanNeeds, available: VulkanDevices) -> tuple[VulkanDevice | None, str]:
    """Return the first device that can run code with such needs; or None, and the reason for every device."""
    if not available.devices:
        return None, available.problem
    reasons = []
    for device in available.devices:
        missing = missing_of_device(needs, device)
        if not missing:
            return device, ""
        reasons.append(f"the GPU {device.name} ({device.driver}) lacks {', '.join(missing)}")
    return None, "; ".join(reasons)
