"""Calls of packages that read subwords: one compiled function finds words, a library cuts them, another reads them.

A bucket's words are the subwords that it holds here. The function ``<entry>_words`` finds the words of a text; the
library ``tokenizers`` cuts each of them, with a space before it, as in training; ``<entry>`` reads the subwords, and
gives the logits of a tag for every one of them, of which those at the first subword of each word count.
"""

from collections.abc import Sequence
from typing import Any

import iree.runtime as rt
import numpy as np

from runtime_py.errors import BINDING_ERRORS, DeviceError, PackageError
from runtime_py.execute.entry import FLOAT, INT, EntryFunction, Outputs, map_buffer
from runtime_py.package_format.manifest import Bucket, Tokenizer
from runtime_py.package_format.package import Package
from runtime_py.package_format.tokenizer_file import load_tokenizer

_KNOWN = 1 << 16  # words whose subwords are kept


class Subwords:
    """Cuts words into subwords."""

    def __init__(self, content: bytes, description: Tokenizer, where: str) -> None:
        """Read the tokenizer.

        Args:
            content: The file that the library reads.
            description: What the manifest says of it.
            where: How error messages call the file.

        Raises:
            PackageError: The library is not installed, or cannot read the file.
        """
        self._tokenizer = load_tokenizer(content, where)
        self.description = description
        self._first = [] if description.first is None else [description.first]
        self._last = [] if description.last is None else [description.last]
        self._known: dict[bytes, list[int]] = {}

    def join(self, words: Sequence[bytes], limit: int) -> tuple[list[int], list[int], int]:
        """Return the subwords of a text, as many as fit, and the index of the first one of every word.

        A word beyond the limit points at the last subword.

        Args:
            words: The words.
            limit: Most subwords, with those around the text.

        Returns:
            The subwords, the indices, and how many subwords there would be without a limit.
        """
        tokens, starts = list(self._first), []
        for word in words:
            starts.append(len(tokens))
            tokens += self._cut(word)
        needed = len(tokens) + len(self._last)
        tokens = tokens[: limit - len(self._last)] + self._last
        return tokens, [min(start, len(tokens) - 1) for start in starts], needed

    def _cut(self, word: bytes) -> list[int]:
        found = self._known.get(word)
        if found is None:
            text = f" {word.decode('utf-8', 'replace')}"
            found = self._tokenizer.encode(text, add_special_tokens=False).ids or [self.description.unknown]
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[word] = found
        return found


def read_subwords(package: Package, tokenizer: Tokenizer, verify: bool) -> Subwords:
    """Read the tokenizer of a package.

    Args:
        package: The package.
        tokenizer: What its manifest says of it.
        verify: Whether to compare its SHA-256 with the manifest.

    Raises:
        PackageError: It is missing, cannot be read, or the library is not installed.
        DigestError: It is not what the manifest says.
    """
    content = package.read_file(tokenizer.path, verify)
    try:
        return Subwords(bytes(content), tokenizer, str(package.path / tokenizer.path))
    finally:
        content.close()


class SubwordEntry(EntryFunction):
    """The compiled functions of one bucket, with the buffers of their calls. Not safe for two threads at once."""

    __slots__ = ("_count", "_find", "_found", "_needed", "_raw", "_read", "_spans", "_starts", "_subwords", "_tokens")

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
        *,
        subwords: Subwords,
    ) -> None:
        """Look the functions up and allocate their inputs; arguments and errors as for every entry.

        `subwords` cuts the words.
        """
        super().__init__(device, context, module, bucket, intents, tags, where, batch)
        self._subwords = subwords
        self._shapes = ((1, intents), (1, bucket.words, tags))  # type: ignore[assignment]
        find = _find_words(module, bucket.entry)
        if find is None:
            raise PackageError(
                f"{where}: the module exports no function '{bucket.entry}_words'. Compile the package again."
            )
        self._find, self._read = (find, self._arguments), rt.VmVariantList(2)
        arrays = []
        for length in (bucket.words, 1):
            buffer, memory = map_buffer(device, 4 * length)
            self._read.push_ref(
                rt.HalBufferView(buffer, [1, length] if length == bucket.words else [1], rt.HalElementType.SINT_32)
            )
            arrays.append(np.frombuffer(memory, np.int32))
        self._tokens, self._count = arrays
        self._found, self._results = rt.VmVariantList(2), rt.VmVariantList(2)
        self._raw = b""
        self._starts: list[int] = []
        self._spans = np.zeros((0, 2), np.int32)
        self._needed = 0

    def set_text(self, raw: bytes) -> None:
        """Put a text of at most ``bytes`` bytes into the input buffer."""
        self._raw = raw
        super().set_text(raw)

    def invoke(self) -> None:
        """Find the words of the text, cut them, and run the encoder.

        Raises:
            DeviceError: The device reports a failure.
        """
        try:
            self._invoke(*self._find, self._found)
            spans, count = (self._found.get_as_object(index, rt.HalBufferView).map() for index in range(2))
            words = int.from_bytes(count, "little", signed=True)
            rows = min(words, self.words)
            # A copy: the results of this call go with the next one.
            self._spans = np.ndarray((rows, 2), INT, spans).copy()
            cut = [self._raw[start:end] for start, end in self._spans.tolist()]
            tokens, self._starts, needed = self._subwords.join(cut, self.words)
            self._needed = words if max(words, needed) <= self.words else max(words, needed)
            self._tokens[: len(tokens)] = tokens
            self._tokens[len(tokens) :] = self._subwords.description.padding
            self._count[0] = len(tokens)
            self._invoke(self._function, self._read, self._results)
        except BINDING_ERRORS as error:
            raise DeviceError(f"{self.bucket.entry}: the device failed ({error}).") from error

    def outputs(self, view_type: type = rt.HalBufferView, array: type = np.ndarray) -> Outputs:
        """Return the results of the last ``invoke``; a count above ``words`` says how many subwords there are."""
        if not self._checked:
            self._check_results()
        get = self._results.get_as_object
        tags = array((self.words, self._tags), FLOAT, get(1, view_type).map())
        return Outputs(
            array(self._intents, FLOAT, get(0, view_type).map()), tags[self._starts], self._spans, self._needed
        )


def _find_words(module: Any, entry: str) -> Any:
    """Return the function that finds the words for an entry; a part of the network (`Bucket.of_part`) has the whole's.

    Args:
        module: The loaded module.
        entry: Name of the entry.

    Returns:
        The function, None where there is none.
    """
    pieces = entry.split("_")
    names = ("_".join(pieces[:count]) for count in range(len(pieces), 0, -1))
    found = (module.lookup_function(f"{name}_words") for name in names)
    return next((function for function in found if function is not None), None)
