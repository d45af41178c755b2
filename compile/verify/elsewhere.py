"""The emulator that a variant of a package is checked in, for the check that the package's own machine would make."""

from __future__ import annotations

from compile.emulation.runner import RunnerNotFoundError, emulated_runner
from compile.support.errors import VerificationError
from runtime_py.device.gpu_selftest import Elsewhere
from runtime_py.package_format.manifest import Variant
from targets.registry import registry


def find_emulator(variant: Variant) -> Elsewhere:
    """Return the first emulator of a variant's target that can run it here, even where this machine can itself.

    Raises:
        TargetError: No target has the variant's name any more.
        VerificationError: No emulator can, with the reason for each that was tried.
    """
    target = registry().get(variant.target)
    reasons = []
    for emulator in target.emulators:
        try:
            runner = emulated_runner(emulator, variant)
        except RunnerNotFoundError as error:
            reasons.append(error.reason)
        else:
            return Elsewhere(runner.name, runner.python, runner.environment)
    raise VerificationError(
        f"{variant.target}: no emulator here can run it", "\n".join(reasons) or "the target names no emulator"
    )
