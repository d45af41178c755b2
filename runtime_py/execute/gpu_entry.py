"""Calls on a GPU, whose results lie in the GPU's memory.

The runtime's way to read them imports NumPy's memory into the driver, which every Vulkan driver refuses for arrays that
do not begin at a page. So each entry has buffers that the processor and the GPU both see; the GPU copies its results
there, and they are copied out into new arrays. All of it is made once per entry. Copies wait for one another and the
last is waited for through the semaphore itself: on a fence the runtime waits 20 ms and more for what is done in 0.1 ms.
"""

import weakref
from typing import Any

import iree.runtime as rt
import numpy as np
from numpy.typing import NDArray

from runtime_py.device.polling import let_pollers_give_way, list_threads
from runtime_py.device.vulkan import VulkanDevice
from runtime_py.errors import BINDING_ERRORS, DeviceError
from runtime_py.execute.entry import TYPES, EntryFunction, Outputs, map_buffer
from runtime_py.package_format.manifest import VULKAN, Bucket


class StagedEntry(EntryFunction):
    """The compiled function of one length bucket on a GPU, with buffers for its text and its results."""

    __slots__ = ("__weakref__", "_arrays", "_copy", "_done", "_staging", "_turn")

    def __init__(
        self,
        device: Any,
        context: Any,
        module: Any,
        bucket: Bucket,
        intents: int,
        tags: int,
        where: str,
        batch: int = 1,
    ) -> None:
        """Allocate the buffers; arguments and errors as for every entry."""
        super().__init__(device, context, module, bucket, intents, tags, where, batch)
        shapes = tuple(zip(self._shapes, TYPES, strict=True))
        mapped = [map_buffer(device, int(np.prod(shape)) * dtype.itemsize) for shape, dtype in shapes]
        self._staging = [buffer for buffer, _ in mapped]
        self._arrays: list[NDArray[Any]] = [
            np.frombuffer(memory, dtype).reshape(shape)
            for (_, memory), (shape, dtype) in zip(mapped, shapes, strict=True)
        ]
        self._copy = device.queue_copy
        self._done, self._turn = device.create_semaphore(0), 0
        _ENTRIES.add(self)

    def outputs(self, view_type: type = rt.HalBufferView, array: type = np.ndarray) -> Outputs:
        """Return the results of the last ``invoke`` for one text; the arguments are for the CPU."""
        intent, tags, spans, count = self.fetch()
        words = int(count[0])
        return Outputs(intent[0], tags[0, :words], spans[0, :words], words)

    def fetch(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
        """Return the results of the last ``invoke`` for all texts of a call."""
        get = self._results.get_as_object
        if not self._checked:
            self._check_results()
        before: list[tuple[Any, int]] = []
        try:
            for index, staging in enumerate(self._staging):
                self._turn += 1
                after = [(self._done, self._turn)]
                self._copy(get(index, rt.HalBufferView).get_buffer(), staging, before, after)
                before = after
            self._done.wait(self._turn)
        except BINDING_ERRORS as error:
            raise DeviceError(f"{self.bucket.entry}: the results cannot be fetched from the GPU ({error}).") from error
        intent, tags, spans, count = self._arrays
        return intent.copy(), tags.copy(), spans.copy(), count.copy()

    def release(self) -> None:
        """Let everything on the device go; the entry cannot run any more."""
        self._arrays, self._staging, self._text = [], [], memoryview(b"")
        self._arguments = self._results = self._function = self._invoke = self._copy = self._done = None


_ENTRIES: weakref.WeakSet[StagedEntry] = weakref.WeakSet()


def release_all() -> None:
    """Let GPUs go before Python ends: Vulkan drivers crash when they are shut down after their own libraries."""
    for entry in list(_ENTRIES):
        entry.release()


def open_gpu(gpu: VulkanDevice) -> Any:
    """Open a GPU and return the runtime's device; threads that poll for one in software give way to others.

    Raises:
        DeviceError: The driver does not open it.
    """
    before = list_threads()
    try:
        device = rt.get_driver(VULKAN).create_device(gpu.number)
    except BINDING_ERRORS as error:
        raise DeviceError(f"the GPU {gpu.name} cannot be opened ({error}).") from error
    if gpu.software:
        let_pollers_give_way(before)
    return device
