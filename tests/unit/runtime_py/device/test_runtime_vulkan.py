"""Vulkan devices: what the runtime tells of one, and what code needs that it lacks."""

from dataclasses import replace

import pytest

from runtime_py.device.vulkan import VulkanDevice, VulkanDevices, find_device, missing_of_device, parse_device
from runtime_py.package_format.manifest import VulkanNeeds

MALI = """name: Mali-G78
path: GPU-00000000000000000000000000000001
api: 1.3.231
type: integrated gpu
vendor_id: 0x13b5
device_id: 0x9000
driver: Mali
driver_info: v1.r38p1
device_uuid: 0102
driver_uuid: 0304
feature_tier[vulkan-1.3]: supported
features: bufferDeviceAddress=yes timelineSemaphore=yes storageBuffer8BitAccess=yes shaderInt8=yes \
shaderFloat16=no subgroupSizeControl=yes cooperativeMatrix=no
subgroup: size=16 operations=0x00000015 quadOperationsInAllStages=no minSubgroupSize=16 \
maxSubgroupSize=16 requiredSubgroupSizeStages=0x00000020
queue_families: 1
  [0] count=1 flags=graphics|compute|transfer timestampValidBits=64
device_extensions: 1
  VK_KHR_8bit_storage
"""


@pytest.fixture
def mali() -> VulkanDevice:
    return parse_device(
        7, MALI, {"Mali-G78": {"shaderInt64": False, "shaderInt16": True}, "other": {"shaderInt64": True}}
    )


def test_a_description_is_read(mali: VulkanDevice) -> None:
    assert (mali.number, mali.identity, mali.name, mali.driver) == (7, "0102-0304", "Mali-G78", "Mali v1.r38p1")
    assert (mali.baseline, mali.software, mali.subgroup, mali.subgroups) == (True, False, 16, (16, 16))
    assert mali.features == {
        *(
            "bufferDeviceAddress",
            "timelineSemaphore",
            "storageBuffer8BitAccess",
            "shaderInt8",
            "subgroupSizeControl",
            "shaderInt16",
        ),
        *("subgroupBasic", "subgroupArithmetic", "subgroupShuffle"),
    }
    assert {"shaderFloat16", "cooperativeMatrix", "shaderInt64", "subgroupVote"} <= mali.lacking
    assert mali.title == "Mali-G78, Mali v1.r38p1, 16 lanes"


def test_software_and_old_vulkan_are_seen() -> None:
    device = parse_device(1, MALI.replace("integrated gpu", "cpu").replace("supported", "unsupported"))
    assert (device.software, device.baseline) == (True, False)
    assert missing_of_device(VulkanNeeds(), device) == ["Vulkan 1.3"]


def test_lanes_may_be_chosen_only_where_compute_code_may_choose_them() -> None:
    free = MALI.replace("minSubgroupSize=16 maxSubgroupSize=16", "minSubgroupSize=8 maxSubgroupSize=32")
    assert parse_device(1, free).subgroups == (8, 32)
    assert parse_device(1, free.replace("Stages=0x00000020", "Stages=0x00000010")).subgroups == (16, 16)
    assert parse_device(1, free.replace("subgroupSizeControl=yes", "subgroupSizeControl=no")).subgroups == (16, 16)


def test_what_is_missing_is_named(mali: VulkanDevice) -> None:
    assert missing_of_device(VulkanNeeds(subgroup=16, features=["shaderInt8", "subgroupArithmetic"]), mali) == []
    assert missing_of_device(VulkanNeeds(subgroup=64), mali) == ["subgroups of 64 lanes (it has 16)"]
    radv = replace(mali, subgroup=64, subgroups=(32, 64))
    assert missing_of_device(VulkanNeeds(subgroup=32), radv) == [
        "subgroups of 32 lanes (it has 64, 32 to 64 for code that asks)"
    ]
    assert missing_of_device(VulkanNeeds(subgroup=64), radv) == []
    assert missing_of_device(VulkanNeeds(int64=True, features=["shaderFloat16", "subgroupVote"]), mali) == [
        "shaderFloat16",
        "subgroupVote",
        "shaderInt64",
    ]


def test_a_feature_that_nobody_speaks_of_is_left_to_the_self_test(mali: VulkanDevice) -> None:
    assert missing_of_device(VulkanNeeds(features=["uniformAndStorageBuffer8BitAccess"]), mali) == []
    assert missing_of_device(VulkanNeeds(int64=True), parse_device(1, MALI)) == []


def test_the_first_device_that_can_is_taken_and_else_each_says_why_not(mali: VulkanDevice) -> None:
    other = replace(mali, name="Adreno", subgroup=64, subgroups=(64, 64))
    found = VulkanDevices((mali, other))
    assert find_device(VulkanNeeds(), found) == (mali, "")
    assert find_device(VulkanNeeds(subgroup=64), found) == (other, "")
    device, reason = find_device(VulkanNeeds(subgroup=8), found)
    assert device is None
    assert "the GPU Mali-G78 (Mali v1.r38p1) lacks subgroups of 8 lanes (it has 16); the GPU Adreno" in reason
    assert find_device(VulkanNeeds(), VulkanDevices((), "there is none")) == (None, "there is none")
