"""The compiled function of one length bucket: bytes in, four arrays out.

There is as little Python between as the runtime's interface allows.

The convenient wrappers of the runtime cost about 100 us a call for four outputs. Here everything that can be made once
is made once per length bucket: the input buffer (mapped for good; a call copies the text into it), the argument list,
the function. Outputs are wrapped, not copied: each array keeps the buffer of its call alive. That works where results
lie in the memory of this process, on the CPU; `runtime_py.execute.gpu_entry` fetches them from a GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import iree.runtime as rt
import numpy as np
from numpy.typing import NDArray

from runtime_py.errors import BINDING_ERRORS, DeviceError, PackageError
from runtime_py.package_format.manifest import Bucket

FLOAT, INT = np.dtype(np.float32), np.dtype(np.int32)
TYPES: tuple[np.dtype[Any], ...] = (FLOAT, FLOAT, INT, INT)


@dataclass(slots=True, eq=False)
class Outputs:
    """The results of one run; the arrays own their memory, so later runs do not touch them.

    Attributes:
        intent: Logits of the intents, float32 [intents].
        tags: Logits of the tags of each word, float32 [words, tags], for as many words as the bucket holds.
        spans: Start and end byte of the same words, int32 [words, 2].
        count: Number of words in the text; more than the bucket's words means that the bucket was too small.
    """

    intent: NDArray[np.float32]
    tags: NDArray[np.float32]
    spans: NDArray[np.int32]
    count: int


class EntryFunction:
    """The compiled function of one length bucket, with the buffers of its calls.

    Not safe for use by two threads at once.
    """

    __slots__ = (
        "_arguments",
        "_checked",
        "_function",
        "_intents",
        "_invoke",
        "_results",
        "_shapes",
        "_tags",
        "_text",
        "batch",
        "bucket",
        "bytes",
        "words",
    )

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
        """Look the function up and allocate its input.

        Args:
            device: The runtime's device.
            context: The runtime's context with the loaded module.
            module: The loaded module.
            bucket: The length bucket.
            intents: Number of intents.
            tags: Number of tags.
            where: How error messages call the module.
            batch: Number of texts of a call; more than 1 for the function that takes several.

        Raises:
            PackageError: The module has no such function.
            DeviceError: The device has no memory for the text.
        """
        self.bucket, self.words, self.bytes, self.batch = bucket, bucket.words, bucket.bytes, batch
        self._intents, self._tags = (intents,), tags
        self._shapes = ((batch, intents), (batch, bucket.words, tags), (batch, bucket.words, 2), (batch,))
        self._checked = False
        self._invoke = context.invoke
        name = bucket.entry if batch == 1 else bucket.batched
        self._function = module.lookup_function(name)
        if self._function is None:
            exported = ", ".join(name for name in module.function_names if not name.startswith("__"))
            raise PackageError(
                f"{where}: the module exports no function {name!r}; it has: {exported}. Compile the package again."
            )
        buffer, self._text = map_buffer(device, batch * bucket.bytes)
        view = rt.HalBufferView(buffer, [batch, bucket.bytes // 4], rt.HalElementType.SINT_32)
        self._arguments = rt.VmVariantList(1)
        self._arguments.push_ref(view)
        self._results = rt.VmVariantList(4)

    def set_text(self, raw: bytes) -> None:
        """Put a text of at most ``bytes`` bytes into the input buffer, and zeros behind it."""
        self._text[:] = raw.ljust(self.bytes, b"\0")

    def invoke(self) -> None:
        """Run the compiled function on what ``set_text`` put there.

        Raises:
            DeviceError: The device reports a failure.
        """
        try:
            self._invoke(self._function, self._arguments, self._results)
        except BINDING_ERRORS as error:
            raise DeviceError(f"{self.bucket.entry}: the device failed ({error}).") from error

    def outputs(self, view_type: type = rt.HalBufferView, array: type = np.ndarray) -> Outputs:
        """Return the results of the last ``invoke`` for one text."""
        get = self._results.get_as_object
        if not self._checked:
            self._check_results()
        count = int.from_bytes(get(3, view_type).map(), "little", signed=True)
        rows = min(count, self.words)
        return Outputs(
            array(self._intents, FLOAT, get(0, view_type).map()),
            array((rows, self._tags), FLOAT, get(1, view_type).map()),
            array((rows, 2), INT, get(2, view_type).map()),
            count,
        )

    def run(self, raw: bytes) -> Outputs:
        """Run one text of at most ``bytes`` bytes."""
        self.set_text(raw)
        self.invoke()
        return self.outputs()

    def fetch(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
        """Return the results of the last ``invoke`` for all texts of a call.

        They are the arrays of `Outputs`, each with the text as its first dimension.
        """
        if not self._checked:
            self._check_results()
        views = (self._results.get_as_object(index, rt.HalBufferView).map() for index in range(4))
        intent, tags, spans, count = (
            np.ndarray(shape, dtype, view) for shape, dtype, view in zip(self._shapes, TYPES, views, strict=True)
        )
        return intent, tags, spans, count

    def run_batch(self, raws: Sequence[bytes]) -> list[Outputs]:
        """Run one to ``batch`` texts of at most ``bytes`` bytes each; empty ones fill the call up."""
        if not 1 <= len(raws) <= self.batch:
            raise ValueError(f"{len(raws)} texts, expected 1 to {self.batch}")
        self._text[:] = b"".join(raw.ljust(self.bytes, b"\0") for raw in raws).ljust(self.batch * self.bytes, b"\0")
        self.invoke()
        intent, tags, spans, count = self.fetch()
        counts = count.tolist()
        return [
            Outputs(intent[row], tags[row, : counts[row]], spans[row, : counts[row]], counts[row])
            for row in range(len(raws))
        ]

    def _check_results(self) -> None:
        """Compare shapes and types with the manifest, once: the arrays above trust them."""
        views = [self._results.get_as_object(index, rt.HalBufferView) for index in range(len(self._results))]
        # A compiled module says int32 without a sign, which counts as another type, so NumPy's types are compared.
        got = [(tuple(view.shape), np.dtype(rt.HalElementType.map_to_dtype(view.element_type))) for view in views]
        wanted = list(zip(self._shapes, TYPES, strict=False))  # functions of subwords return the first two
        if got != wanted:
            raise PackageError(
                f"{self.bucket.entry}: returns {_describe(got)}; expected {_describe(wanted)}. "
                "Module and manifest do not belong together: compile the package again."
            )
        self._checked = True


def _describe(arrays: list[tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for shape, dtype in arrays)


def map_buffer(device: Any, size: int) -> tuple[Any, memoryview]:
    """Allocate memory that both the processor and the device see at once, and map it for good.

    Returns:
        The runtime's buffer, and its bytes.

    Raises:
        DeviceError: There is no such memory left.
    """
    memory = int(rt.MemoryType.HOST_LOCAL) | int(rt.MemoryType.DEVICE_VISIBLE)
    usage = int(rt.BufferUsage.DEFAULT) | int(rt.BufferUsage.MAPPING)
    try:
        buffer = device.allocator.allocate_buffer(memory, usage, size)
        return buffer, memoryview(buffer.map().asarray([size], np.dtype(np.uint8)))
    except BINDING_ERRORS as error:
        raise DeviceError(
            f"the device has no {size} bytes of memory that the processor sees, too ({error})."
        ) from error


def choose_entry(entries: tuple[EntryFunction, ...], size: int, words: int) -> EntryFunction:
    """Find the smallest bucket for that many bytes and words; the largest one where none is large enough."""
    for entry in entries:
        if entry.words >= words and entry.bytes >= size:
            return entry
    return entries[-1]
