"""Which variant of a package to load on this machine, and why that one."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from runtime_py.device.preflight import LOCAL_DEVICES, Machine, find_gpu, why_not
from runtime_py.errors import UnsupportedTargetError
from runtime_py.package_format.manifest import ANY, Manifest, Variant

if TYPE_CHECKING:
    from runtime_py.device.vulkan import VulkanDevice

Device = Literal["auto", "cpu", "gpu"]
Kind = Literal["cpu", "gpu", "interpreter"]

# Kinds of code, the one to try first first.
_ORDER: dict[Device, tuple[Kind, ...]] = {
    "auto": ("cpu", "gpu", "interpreter"),
    "cpu": ("cpu", "interpreter"),
    "gpu": ("gpu", "cpu", "interpreter"),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """The variant that was chosen.

    Attributes:
        variant: The variant itself.
        rejected: For each other variant, why it was not chosen.
        reason: Why this variant was chosen, in a sentence.
        notice: What the user should know about the choice: that a GPU was asked for, or tried, and why the CPU runs
            instead. Mostly empty.
        gpu: The GPU that runs the variant, or None for the CPU.
    """

    variant: Variant
    rejected: dict[str, str]
    reason: str = ""
    notice: str = ""
    gpu: "VulkanDevice | None" = None


def kind_of(variant: Variant) -> Kind:
    """Return what a variant is: machine code for a CPU, code for a GPU, or code for the runtime's interpreter."""
    if variant.device not in LOCAL_DEVICES:
        return "gpu"
    return "interpreter" if variant.triple == ANY else "cpu"


def select_variant(
    manifest: Manifest,
    machine: Machine,
    target: str | None = None,
    where: str = "package",
    strict: bool = True,
    device: Device = "auto",
    refused: Mapping[str, str] | None = None,
) -> Selection:
    """Choose the variant to load.

    Of those for the CPU that this machine can run, the one that needs most features is taken, since it was compiled for
    a CPU most like this one; a verified one goes before an unverified one, and the order in the manifest decides
    between equals. A variant that failed its check is taken by name only.

    Args:
        manifest: The package's manifest.
        machine: The machine to choose for.
        target: Name of a variant, to choose that one and nothing else.
        where: How error messages call the package.
        strict: Whether to refuse a named variant that this machine cannot run; otherwise that is a warning.
        device: What to run on, as `runtime_py.parser.Parser.load` takes it.
        refused: Variants that have turned out not to work, with the reason.

    Raises:
        UnsupportedTargetError: No variant can run here, with the reason for each.
    """
    if target is not None:
        return _named(manifest, machine, target, where, strict)
    rejected = {
        variant.target: _failed(variant)
        for variant in manifest.variants
        if variant.parity is not None and not variant.parity.passed
    }
    rejected |= refused or {}
    order = _ORDER[device]
    for rank, kind in enumerate(order):
        usable: list[tuple[Variant, VulkanDevice | None]] = []
        for variant in manifest.variants:
            if kind_of(variant) == kind and variant.target not in rejected:
                gpu, reason = _look(variant, machine)
                if reason:
                    rejected[variant.target] = reason
                else:
                    usable.append((variant, gpu))
        if usable:
            best, gpu = max(usable, key=_merit)
            rejected |= {variant.target: _second(variant, best) for variant, _ in usable if variant is not best}
            rejected |= _not_tried(manifest, machine, rejected, best, kind, set(order[rank + 1 :]))
            reason = f"{best.target}: {_why(best, gpu, [variant for variant, _ in usable], device)}"
            return Selection(best, rejected, reason, _notice(manifest, rejected, refused, best, device), gpu)
    rejected |= {variant.target: _AVOIDED for variant in manifest.variants if variant.target not in rejected}
    listing = "; ".join(f"{name}: {reason}" for name, reason in rejected.items()) or "it has no variants at all"
    raise UnsupportedTargetError(
        f"{where}: no variant runs on this machine ({listing}). "
        "Compile one for it: pqrnn compile RUN --target host --out ..."
    )


_AVOIDED = "it is for a GPU, and the CPU was asked for"


def _look(variant: Variant, machine: Machine) -> tuple["VulkanDevice | None", str]:
    if variant.vulkan is not None:
        return find_gpu(variant, machine)
    return None, why_not(variant, machine) or ""


def _merit(candidate: tuple[Variant, "VulkanDevice | None"]) -> tuple[bool, bool, bool, int]:
    """Return the key by which the best variant of one kind is the largest."""
    variant, gpu = candidate
    made_for = variant.vulkan is not None and variant.vulkan.subgroup > 0
    return variant.parity is not None, gpu is not None and not gpu.software, made_for, len(variant.features)


def _failed(variant: Variant) -> str:
    assert variant.parity is not None
    return f"it failed its check ({'; '.join(variant.parity.failures)})"


def _second(variant: Variant, best: Variant) -> str:
    """Return why a variant that could run as well comes after the best one."""
    if variant.parity is None and best.parity is not None:
        return f"nobody has run it, unlike {best.target}"
    if best.vulkan is not None and variant.vulkan is not None and best.vulkan.subgroup > variant.vulkan.subgroup:
        return f"{best.target} fits better: it was made for a GPU with as many lanes as this one"
    if len(best.features) > len(variant.features):
        return f"{best.target} fits better: it needs more of the features that this CPU has"
    return f"{best.target} fits as well and comes first"


def _why(best: Variant, gpu: "VulkanDevice | None", usable: list[Variant], device: Device) -> str:
    kind = kind_of(best)
    if kind == "interpreter":
        return "runs on every machine, slowly, and no other variant runs on this one"
    if gpu is not None:
        asked = "a GPU was asked for" if device == "gpu" else "no variant for the CPU runs here"
        return f"{asked}, and {gpu.title}, has what it needs"
    if len(usable) == 1:
        return "the one variant of the package that this CPU can run"
    if all(len(best.features) > len(other.features) for other in usable if other is not best):
        return "needs the most features that this CPU has"
    return "the first of those that fit this CPU best"


def _not_tried(
    manifest: Manifest, machine: Machine, rejected: Mapping[str, str], best: Variant, kind: Kind, later: set[Kind]
) -> dict[str, str]:
    """Return why the kinds of code that were not even looked at come after the chosen one.

    That the CPU could not run them is the better reason, where it is so.
    """
    reasons = {}
    for variant in manifest.variants:
        if variant.target in rejected or variant is best:
            continue
        other = kind_of(variant)
        if other == "gpu":
            reasons[variant.target] = (
                "the CPU answers single texts sooner; device='gpu' asks for it" if other in later else _AVOIDED
            )
        else:
            preferred = (
                "the GPU was asked for"
                if kind == "gpu" and other == "cpu"
                else f"it is interpreted, and much slower than {best.target}"
            )
            reasons[variant.target] = why_not(variant, machine) or preferred
    return reasons


def _notice(
    manifest: Manifest, rejected: Mapping[str, str], refused: Mapping[str, str] | None, best: Variant, device: Device
) -> str:
    if kind_of(best) == "gpu" or not (device == "gpu" or refused):
        return ""
    reasons: dict[str, list[str]] = {}
    for variant in manifest.variants:
        if kind_of(variant) == "gpu":
            reasons.setdefault(rejected[variant.target], []).append(variant.target)
    listing = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    return f"no GPU is used, the CPU runs {best.target} ({listing or 'the package has no variant for GPUs'})"


def _named(manifest: Manifest, machine: Machine, target: str, where: str, strict: bool) -> Selection:
    for variant in manifest.variants:
        if variant.target != target:
            continue
        gpu, reason = _look(variant, machine)
        if reason:
            message = (
                f"{where}: variant {target} cannot run here: {reason}. "
                "Choose another variant, or compile one for this machine."
            )
            gpu = _any_gpu() if variant.vulkan is not None else None
            if strict or (gpu is None and kind_of(variant) == "gpu"):
                raise UnsupportedTargetError(message)
            warnings.warn(message, stacklevel=4)
        others = {
            other.target: f"{target} was asked for by name" for other in manifest.variants if other is not variant
        }
        return Selection(variant, others, f"{target}: was asked for by name", "", gpu)
    known = ", ".join(variant.target for variant in manifest.variants) or "none"
    raise UnsupportedTargetError(f"{where}: has no variant {target!r}; it has: {known}.")


def _any_gpu() -> "VulkanDevice | None":
    from runtime_py.device.vulkan import vulkan_devices

    return next(iter(vulkan_devices().devices), None)
