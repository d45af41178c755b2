"""What a parser can be compiled for: one TOML file a target, and the registry that reads them.

    from targets import registry

    registry().names()              # ('host', 'linux-aarch64', 'linux-x86_64-v3', 'linux-x86_64-v4')
    registry().get("host").flags    # what the compiler is told, with the reason for each

Targets are data: nothing here imports another part of the project, a compiler or a runtime.
"""

from targets.errors import TargetError
from targets.registry import Registry, registry
from targets.schema import TIERS, Board, Emulator, Family, Flag, Limit, Target, Vulkan

__all__ = ["TIERS", "Board", "Emulator", "Family", "Flag", "Limit", "Registry", "Target", "TargetError", "Vulkan", "registry"]
