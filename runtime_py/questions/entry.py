"""The compiled function of one window length: subwords in, logits of starts and ends out."""

from collections.abc import Sequence
from typing import Any

import iree.runtime as rt
import numpy as np
from numpy.typing import NDArray

from runtime_py.execute.entry import FLOAT, INT, EntryFunction, map_buffer
from runtime_py.package_format.manifest import Bucket


def window_bucket(entry: str, window: int) -> Bucket:
    """Return a window as a length bucket: its subwords are words of four bytes each."""
    return Bucket(window, 4 * window, entry)


class WindowEntry(EntryFunction):
    """The compiled function of one window length, with the buffers of its calls. Not safe for two threads at once.

    It takes int32[1, T] subwords, int32[1], how many of them come before the context, and int32[1], how many are no
    padding; it returns float32[1, T] logits to begin the answer and as many to end it.
    """

    __slots__ = ("_sizes", "_tokens")

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
        """Look the function up and allocate its inputs; arguments and errors as for every entry."""
        super().__init__(device, context, module, bucket, intents, tags, where, batch)
        self._shapes = ((1, bucket.words), (1, bucket.words))  # type: ignore[assignment]
        self._tokens = np.frombuffer(self._text, INT)
        self._sizes = []
        for _ in range(2):
            buffer, memory = map_buffer(device, 4)
            self._arguments.push_ref(rt.HalBufferView(buffer, [1], rt.HalElementType.SINT_32))
            self._sizes.append(np.frombuffer(memory, INT))

    def read(self, row: Sequence[int], head: int, padding: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits of starts and of ends, float32[T] each.

        Args:
            row: Ids of the subwords, at most T.
            head: How many of them come before the context.
            padding: Id that fills the window up.

        Raises:
            DeviceError: The device reports a failure.
        """
        self._tokens[: len(row)] = row
        self._tokens[len(row) :] = padding
        self._sizes[0][0], self._sizes[1][0] = head, len(row)
        self.invoke()
        if not self._checked:
            self._check_results()
        views = (self._results.get_as_object(side, rt.HalBufferView).map() for side in range(2))
        start, end = (np.ndarray((self.words,), FLOAT, view) for view in views)
        return start, end
