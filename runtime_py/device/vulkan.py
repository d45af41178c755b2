"""The Vulkan devices of this machine, and what compiled code needs of one that this one lacks.

The runtime loads code for another GPU without complaint and then computes wrong numbers, so lanes and features are
compared here, with the manifest. What a driver claims and does not do is found by the self-test
(`runtime_py.device.gpu_selftest`).
"""

import re
import sys
from dataclasses import dataclass
from functools import cache

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
        number: The runtime's handle for it in this process.
        identity: UUID of device and driver, as hexadecimal digits.
        name: For people.
        driver: Name and version of the driver.
        baseline: Whether it has Vulkan 1.3 with what the runtime needs.
        software: Whether it is a program on the CPU.
        subgroup: Lanes that work in step unless the code asks for another number.
        subgroups: Smallest and largest number that code may ask for; both are `subgroup` where it may not ask.
        features: What it has, by Vulkan's names; kinds of subgroup operations as ``subgroupArithmetic`` and the like.
        lacking: What it is known not to have. Of other features nobody says anything, and the self-test decides.
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
    """The devices of this machine, real ones before software;

    where there are none, ``problem`` says why and what to install.
    """

    devices: tuple[VulkanDevice, ...]
    problem: str = ""


@cache
def vulkan_devices() -> VulkanDevices:
    """Look for Vulkan devices, once per process.

    Loads every Vulkan driver of the machine, which takes tenths of a second.
    """
    import iree.runtime as rt

    from runtime_py.device.vulkan_features import core_features

    try:
        driver = rt.get_driver("vulkan")
        found = driver.query_available_devices()
        core = core_features()
        dumps = [(entry["device_id"], driver.dump_device_info(entry["device_id"])) for entry in found]
    except (RuntimeError, ValueError) as error:
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
        number: The runtime's handle for it.
        dump: The description.
        core: By name of the device, the features that the description leaves out (`vulkan_features`).
    """
    lines = dict(re.findall(r"^([A-Za-z_][\w.\[\]-]*): (.*)$", dump, re.MULTILINE))
    subgroup = dict(re.findall(r"(\w+)=(\w+)", lines.get("subgroup", "")))
    name = lines.get("name", "")
    known = {feature: there == "yes" for feature, there in re.findall(r"(\w+)=(\w+)", lines.get("features", ""))} | (
        core or {}
    ).get(name, {})
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
        features=frozenset(feature for feature, there in known.items() if there),
        lacking=frozenset(feature for feature, there in known.items() if not there),
    )


def missing_of_device(needs: VulkanNeeds, device: VulkanDevice) -> list[str]:
    """Return what a device lacks, by name."""
    found = [] if device.baseline else ["Vulkan 1.3"]
    smallest, largest = device.subgroups
    if needs.subgroup not in (0, device.subgroup):
        # A driver that would give other numbers of lanes is of no help: compiled code asks for none, and gets what the
        # driver likes.
        others = f", {smallest} to {largest} for code that asks" if smallest != largest else ""
        found.append(f"subgroups of {needs.subgroup} lanes (it has {device.subgroup}{others})")
    wanted = [*needs.features, *(["shaderInt64"] if needs.int64 else [])]
    return found + [name for name in dict.fromkeys(wanted) if name in device.lacking]


def find_device(needs: VulkanNeeds, found: VulkanDevices) -> tuple[VulkanDevice | None, str]:
    """Return the first device that can run code with such needs, or None and the reason, for every device."""
    if not found.devices:
        return None, found.problem
    reasons = []
    for device in found.devices:
        missing = missing_of_device(needs, device)
        if not missing:
            return device, ""
        reasons.append(f"the GPU {device.name} ({device.driver}) lacks {', '.join(missing)}")
    return None, "; ".join(reasons)
