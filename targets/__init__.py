"""Targets that a parser can be compiled for: one TOML file for each, and the registry that reads them.

    from targets import registry

    registry().names()                          # ('android-aarch64', ..., 'host', 'linux-aarch64', ..., 'vulkan', ...)
    registry().get("linux-x86_64-v3").flags     # compiler flags, with the reason for each

Other distributions bring targets through the entry-point group `pqrnn.targets`; a user's own are in
`~/.config/pqrnn/targets`, or $PQRNN_TARGETS.

Targets are data: nothing here imports another part of the project, a compiler or a runtime.
"""

from targets.errors import TargetError
from targets.registry import Registry, Source, registry, shipped
from targets.schema import TIERS, Board, Emulator, Family, Flag, Limit, Target, Vulkan

__all__ = [
    "TIERS",
    "Board",
    "Emulator",
    "Family",
    "Flag",
    "Limit",
    "Registry",
    "Source",
    "Target",
    "TargetError",
    "Vulkan",
    "registry",
    "shipped",
]
