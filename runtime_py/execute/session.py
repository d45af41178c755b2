"""A compiled module, loaded on one device, with the functions of its length buckets."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import iree.runtime as rt
from iree.runtime import _binding

from runtime_py.errors import BINDING_ERRORS, DeviceError
from runtime_py.execute.entry import EntryFunction
from runtime_py.package_format.manifest import Bucket

if TYPE_CHECKING:
    from runtime_py.device.vulkan import VulkanDevice
    from runtime_py.execute.subwords import Subwords


class Session:
    """A loaded module with one entry per bucket. Not safe for use by two threads at once."""

    def __init__(
        self,
        code: Any,
        buckets: list[Bucket],
        intents: int,
        tags: int,
        threads: int = 1,
        where: str = "module",
        batch: int = 1,
        gpu: "VulkanDevice | None" = None,
        subwords: "Subwords | None" = None,
        kind: Callable[..., EntryFunction] | None = None,
    ) -> None:
        """Load the module.

        Args:
            code: The module, as an object with the buffer interface (such as a memory map); used in place and kept
                alive where it is aligned to 64 bytes, as a map is, else copied.
            buckets: Length buckets, in rising order.
            intents: Number of intents.
            tags: Number of tags.
            threads: 1 runs on the calling thread; a larger number runs on as many worker threads of this session. For
                the CPU only.
            where: How error messages call the module.
            batch: Number of texts of a call of the functions for several texts; 1 if the module has none.
            gpu: The Vulkan device to run on, or None for the CPU.
            subwords: Cuts the words of a module that reads subwords; None for one that reads bytes.
            kind: Makes the functions of the buckets; by default those of parsers.

        Raises:
            DeviceError: The device cannot be opened, or the runtime refuses the module.
            PackageError: The module lacks a function.
        """
        self.where = where
        self.device, usual = _open(gpu, threads)
        kind = kind or usual
        if subwords is not None:
            from runtime_py.execute.subwords import SubwordEntry

            kind = partial(SubwordEntry, subwords=subwords)
        instance = rt.VmInstance()
        try:
            self.module = rt.VmModule.from_buffer(instance, code, warn_if_copy=False)
            self.context = rt.VmContext(instance, [rt.create_hal_module(instance, self.device), self.module])
        except BINDING_ERRORS as error:
            raise DeviceError(
                f"{where}: the runtime refuses the module ({error}). "
                "Compile the package again with the matching compiler."
            ) from error
        parts = (self.device, self.context, self.module)
        self.entries = tuple(kind(*parts, bucket, intents, tags, where) for bucket in buckets)
        self.batches = (
            tuple(kind(*parts, bucket, intents, tags, where, batch) for bucket in buckets) if batch > 1 else ()
        )

    def release(self) -> None:
        """Let everything go; the session cannot be used any more.

        The module goes last. A device that ends waits for its worker threads, which may be about to let go what they
        have of the module: were theirs the last hold on it, they would wait for Python's lock, which this thread has.
        """
        self.entries = self.batches = ()
        self.context = None
        self.device = None
        self.module = None

    def __del__(self) -> None:
        """Release what a session that failed to open, or was dropped, still has."""
        self.release()


def _open(gpu: "VulkanDevice | None", threads: int) -> tuple[Any, Callable[..., EntryFunction]]:
    if gpu is None:
        return open_device(threads), EntryFunction
    from runtime_py.execute.gpu_entry import StagedEntry, open_gpu

    return open_gpu(gpu), StagedEntry


_sync_device: Any = None


def forget_device() -> None:
    """Let the device of the calling thread go as soon as no session has it; the next session gets another."""
    global _sync_device
    _sync_device = None


def open_device(threads: int = 1) -> Any:
    """Return a device for the CPU.

    Args:
        threads: 1 for a device that runs on the calling thread, more for one with that many worker threads.

    Raises:
        DeviceError: The device cannot be created.
        ValueError: ``threads`` is less than 1.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}, expected at least 1")
    global _sync_device
    try:
        if threads == 1:
            if _sync_device is None:
                _sync_device = rt.get_driver("local-sync").create_default_device()
            return _sync_device
        # The number of workers is a flag of the process that a driver reads when it is made, so every such device gets
        # a driver of its own.
        rt.flags.parse_flags(f"--task_topology_group_count={threads}")
        return _binding.create_hal_driver("local-task").create_default_device()
    except BINDING_ERRORS as error:
        raise DeviceError(f"cannot create a CPU device with {threads} threads ({error}).") from error
