"""Core features of Vulkan devices that the runtime's description leaves out, 64-bit integers above all.

Vulkan itself is asked for them.
"""

import ctypes
import sys

_LIBRARIES = {"win32": ("vulkan-1.dll",), "darwin": ("libvulkan.1.dylib", "libvulkan.dylib", "libMoltenVK.dylib")}
_LINUX = ("libvulkan.so.1", "libvulkan.so")
# Indices of features in VkPhysicalDeviceFeatures, an array of 55 32-bit truth values.
_FEATURES = {39: "shaderFloat64", 40: "shaderInt64", 41: "shaderInt16"}
_FEATURE_COUNT = 55
# VkPhysicalDeviceProperties begins with five 32-bit numbers, then comes the name; it has 824 bytes.
_NAME_OFFSET, _NAME_BYTES, _PROPERTIES_BYTES = 20, 256, 1024
_APPLICATION_INFO, _INSTANCE_CREATE_INFO = 0, 1
_PORTABILITY = b"VK_KHR_portability_enumeration"
_ENUMERATE_PORTABILITY = 1
_VULKAN_1_1 = 1 << 22 | 1 << 12


class _ApplicationInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("application", ctypes.c_char_p),
        ("application_version", ctypes.c_uint32),
        ("engine", ctypes.c_char_p),
        ("engine_version", ctypes.c_uint32),
        ("api", ctypes.c_uint32),
    )


class _InstanceInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.POINTER(_ApplicationInfo)),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.POINTER(ctypes.c_char_p)),
    )


def core_features() -> dict[str, dict[str, bool]]:
    """Return, for each name of a device, which features it has.

    Of devices with one name, these are the features that all of them have. Empty where Vulkan does not answer.
    """
    library = _load()
    instance = _create_instance(library) if library is not None else None
    if library is None or instance is None:
        return {}
    try:
        common: dict[str, dict[str, bool]] = {}
        for device in _devices(library, instance):
            name, features = _describe(library, device)
            others = common.get(name, features)
            common[name] = {feature: present and others[feature] for feature, present in features.items()}
        return common
    finally:
        library.vkDestroyInstance(instance, None)


def _load() -> ctypes.CDLL | None:
    for name in _LIBRARIES.get(sys.platform, _LINUX):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _create_instance(library: ctypes.CDLL) -> ctypes.c_void_p | None:
    application = _ApplicationInfo(type=_APPLICATION_INFO, api=_VULKAN_1_1)
    info = _InstanceInfo(type=_INSTANCE_CREATE_INFO, application=ctypes.pointer(application))
    # MoltenVK is listed only for those who say that they can do with less than all of Vulkan.
    if sys.platform == "darwin":
        info.flags, info.extension_count = _ENUMERATE_PORTABILITY, 1
        info.extensions = (ctypes.c_char_p * 1)(_PORTABILITY)
    instance = ctypes.c_void_p()
    return instance if library.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)) == 0 else None


def _devices(library: ctypes.CDLL, instance: ctypes.c_void_p) -> list[ctypes.c_void_p]:
    count = ctypes.c_uint32()
    library.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    handles = (ctypes.c_void_p * count.value)()
    library.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    return [ctypes.c_void_p(handle) for handle in handles[: count.value]]


def _describe(library: ctypes.CDLL, device: ctypes.c_void_p) -> tuple[str, dict[str, bool]]:
    properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
    library.vkGetPhysicalDeviceProperties(device, properties)
    name = properties.raw[_NAME_OFFSET : _NAME_OFFSET + _NAME_BYTES].split(b"\0", 1)[0].decode("utf-8", "replace")
    values = (ctypes.c_uint32 * _FEATURE_COUNT)()
    library.vkGetPhysicalDeviceFeatures(device, values)
    return name, {feature: bool(values[index]) for index, feature in _FEATURES.items()}
