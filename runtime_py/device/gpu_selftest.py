"""The self-test of a GPU: the golden vectors are replayed in a separate process before its first use.

GPU drivers are known to give wrong numbers without an error, and to hang. A separate process can be ended; the outcome
is kept for each package, variant, device and driver, so that this is paid for once.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from runtime_py.atomic_files import write_atomic
from runtime_py.cache import cache_folder, check_private, is_own, make_private
from runtime_py.device.preflight import this_machine
from runtime_py.device.vulkan import VulkanDevice
from runtime_py.errors import CacheError
from runtime_py.fresh_process import fresh_command
from runtime_py.package_format.manifest import Variant
from runtime_py.package_format.package import Package
from runtime_py.package_format.proofs import Parity
from runtime_py.trust.requirement import environment_of

SECONDS = 180.0
_REPLAY = "runtime_py.tools.replay"
_REPEATS = 3  # of all texts; some are replayed a hundred times (`runtime_py.tools.check`)
_PATIENCE = 5.0  # seconds for a process that was killed to be gone


class SelfTest(Struct, frozen=True):
    """Outcome of a self-test, as it is kept.

    Attributes:
        reason: Why the GPU is not used; empty for a pass.
        target: Name of the variant.
        device: The GPU, for people.
        checked: Time of the test (UTC).
        seconds: Duration of the test.
        key: What the outcome depends on (`_key`); a file of another one is not read.
    """

    reason: str
    target: str
    device: str
    checked: str
    seconds: float
    key: str = ""


class _Replayed(Struct, frozen=True):
    """The part of `runtime_py.tools.replay.Replay` that is judged here.

    That module loads a parser, which in turn imports this one.
    """

    parity: Parity


def why_untrusted(
    package: Package, variant: Variant, gpu: VulkanDevice, seconds: float = SECONDS, keys: Sequence[Path] = ()
) -> str | None:
    """Return why a variant is not to be used on a GPU, or None when it answers right there.

    Args:
        package: The package.
        variant: A variant for GPUs that the checks before loading allow.
        gpu: The device.
        seconds: Time after which the GPU counts as hung.
        keys: Files of keys, one of which has to have signed what the test runs.
    """
    key = _key(package, variant, gpu)
    kept = _kept_file(f"{key}.json")
    outcome = _read(kept, key) if kept is not None else None
    if outcome is None:
        begin = time.perf_counter()
        reason = _replay(package, variant, seconds, keys)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        outcome = SelfTest(reason, variant.target, gpu.title, now, round(time.perf_counter() - begin, 3), key)
        if kept is not None:
            _write(kept, outcome)
    if not outcome.reason:
        return None
    again = f" (to repeat the test, delete {kept})" if kept is not None else ""
    return f"its self-test on {outcome.device} {outcome.reason}{again}"


def _kept_file(name: str) -> Path | None:
    """Return the file of an outcome; None where there is no folder for it, and every start tests again."""
    try:
        return check_private(cache_folder() / "selftests") / name
    except CacheError:
        return None


def _key(package: Package, variant: Variant, gpu: VulkanDevice) -> str:
    """Return a name for everything that the outcome depends on."""
    files = package.manifest.files
    parts = [
        files[variant.path].sha256,
        files[package.manifest.golden.path].sha256,
        variant.target,
        this_machine().runtime,
    ]
    parts += [gpu.identity, gpu.name, gpu.driver, str(gpu.subgroup)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _read(kept: Path, key: str) -> SelfTest | None:
    """Return the outcome that was kept; None where there is none, or it is damaged, of another key or another user."""
    if not is_own(kept):
        return None
    try:
        outcome = msgspec.json.decode(kept.read_bytes(), type=SelfTest)
    except (OSError, msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return outcome if outcome.key == key else None


def _write(kept: Path, outcome: SelfTest) -> None:
    """Keep an outcome; where that is not possible, the next start tests again."""
    with contextlib.suppress(OSError, CacheError):
        make_private(kept.parent)
        write_atomic(kept, msgspec.json.encode(outcome) + b"\n")


def replay_command(*arguments: str) -> list[str]:
    """Return the command that runs `runtime_py.tools.replay` in a fresh Python."""
    return fresh_command(_REPLAY, *arguments)


class Elsewhere(NamedTuple):
    """Another machine that this one can run Python on, such as an emulator.

    Attributes:
        name: Name and version.
        python: Command of a Python that can import `runtime_py` there; its arguments follow.
        environment: Variables to set beside those of this process.
    """

    name: str
    python: tuple[str, ...]
    environment: Mapping[str, str]


def run_replay(
    seconds: float,
    *arguments: str,
    machine: Elsewhere | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[bytes, str]:
    """Run `runtime_py.tools.replay` in a process of its own, which may hang or crash.

    Args:
        seconds: Time after which it is ended.
        arguments: Its command line.
        machine: The machine that the process runs on; by default this one.
        environment: Its environment on this machine; by default that of this process.

    Returns:
        What it printed, and what came of it in words; the latter is empty if it ended well.
    """
    command = replay_command(*arguments) if machine is None else [*machine.python, "-m", _REPLAY, *arguments]
    # What is printed goes to files, since a pipe stays open as long as any process of a driver has it.
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as complained:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=complained,
                start_new_session=True,
                env=environment if machine is None else {**os.environ, **machine.environment},
            )
        except OSError as error:
            return b"", f"could not be started ({error})"
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            return b"", f"did not end within {seconds:.0f} s{_end(child)}"
        except BaseException:
            _end(child)
            raise
        for stream in (printed, complained):
            stream.seek(0)
        if not code:
            return printed.read(), ""
        lines = complained.read().decode("utf-8", "replace").strip().splitlines()
    ending = f"was killed by signal {-code}" if code < 0 else "failed"
    return b"", f"{ending}{f' ({lines[-1]})' if lines else ''}"


def _end(child: subprocess.Popen[bytes]) -> str:
    """End a process and what it started; return that it cannot be ended, if so.

    A process that waits in the kernel for a GPU cannot be ended, and must not be waited for either.
    """
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL) if hasattr(os, "killpg") else child.kill()
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        return f", and cannot be ended: process {child.pid} waits for the driver"
    return ""


def _replay(package: Package, variant: Variant, seconds: float, keys: Sequence[Path]) -> str:
    """Run the self-test; return what came of it, empty for a pass."""
    arguments = [str(package.path), "--target", variant.target, "--repeats", str(_REPEATS)]
    printed, problem = run_replay(seconds, *arguments, environment=environment_of(keys))
    if problem:
        return problem
    try:
        parity = msgspec.json.decode(printed, type=_Replayed).parity
    except msgspec.DecodeError:
        return "gave no answer that can be read"
    return "" if parity.passed else f"gave wrong answers ({'; '.join(parity.failures)})"
