"""The parser that applications use: a package loaded on this machine, text in, a typed parse out."""

import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from runtime_py.decode.decoder import Parse, cut_text, encode_text
from runtime_py.device.preflight import check_runtime, this_machine
from runtime_py.device.selection import Device, Selection, select_variant
from runtime_py.errors import DeviceError, DeviceFallback, InputTooLongError, ParserClosedError
from runtime_py.execute.entry import EntryFunction, Outputs
from runtime_py.execute.session import Session
from runtime_py.execute.word_count import guess_words
from runtime_py.package_format.manifest import Manifest, Variant
from runtime_py.package_format.package import Package, open_package

OnLong = Literal["error", "truncate"]


class Logits(NamedTuple):
    """The output of the compiled program for one text, before any decision.

    The arrays own their memory: no later call touches them.

    Attributes:
        intent: Logits of the intents, float32 [intents].
        tags: Logits of the tags, float32 [words, tags].
        spans: Start and end byte of each word in the UTF-8 text, int32 [words, 2].
        truncated: Whether the end of the text was left out.
        bucket: Length of the bucket that ran, in words.
    """

    intent: NDArray[np.float32]
    tags: NDArray[np.float32]
    spans: NDArray[np.int32]
    truncated: bool
    bucket: int


class Parser:
    """A compiled parser, ready to run.

    One parser may be used from several threads: a lock lets one call at a time run on it. Threads do not make it
    faster, since IREE's Python interface holds Python's own lock while compiled code runs; to use several cores for
    many texts, load a parser in several processes (they share the code's memory), or give one parser worker threads
    (``threads``) where single texts are long enough to be split.
    """

    def __init__(self, package: Package, selection: Selection, session: Session, threads: int, on_long: OnLong) -> None:
        """Take the parts that ``load`` made."""
        self.package = package
        self.selection = selection
        self.threads = threads
        self.on_long: OnLong = on_long
        self._session: Session | None = session
        self._entries: tuple[EntryFunction, ...] = session.entries
        self._batches: tuple[EntryFunction, ...] = session.batches
        self._decoder = package.manifest.labels.decoder()
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        variant: str | None = None,
        device: Device = "auto",
        threads: int = 1,
        on_long: OnLong = "error",
        verify: bool = True,
        strict: bool = True,
        self_test: bool = True,
    ) -> Self:
        """Load a package: check it against this machine, verify the digest of the code, then load the code.

        Which variant was taken, why, and why not the others is in ``selection``.

        A package is code that runs with the rights of this process: load only what comes from someone whom you trust,
        as you would install a wheel. ``verify`` finds damage, not malice, and the pinned IREE runtime does not verify
        bytecode before it runs it.

        Args:
            path: The package directory.
            variant: Name of a variant; by default the one that fits this machine best.
            device: ``cpu``; or ``gpu``, which falls back to the CPU with a `DeviceFallback` warning when no variant
                runs on a GPU here; or ``auto``: the CPU if a variant runs on it, else a GPU. A single text is too
                little work for a GPU: the program is a launch for each of its steps, each of which costs microseconds,
                and it does them all for one text. (So far seen on Mesa's llvmpipe only, which is a GPU in name: measure
                on yours.)
            threads: 1 runs on the calling thread, the fastest for one text; more use that many worker threads. For the
                CPU only.
            on_long: What to do with a text that does not fit the largest length bucket: ``error`` raises
                `InputTooLongError`, ``truncate`` reads what fits and says so in ``Parse.truncated``.
            verify: Whether to compare the code's SHA-256 with the manifest; its size is always compared.
            strict: Whether to refuse a runtime of another version, and a named variant that lacks something here;
                otherwise both are warnings.
            self_test: Whether code for a GPU has to replay the golden vectors in a process of its own before its first
                use with this GPU and driver (`runtime_py.device.gpu_selftest`): takes seconds to a minute, once.

        Raises:
            PackageError: The package is missing, damaged, or of another format.
            UnsupportedTargetError: No variant runs on this machine, or (RuntimeMismatchError) not with the installed
                runtime.
            DeviceError: The runtime refuses the module; or the GPU does, or it fails its self-test, and the variant was
                named.
            ValueError: ``threads``, ``device`` or ``on_long`` is out of range.
        """
        if on_long not in ("error", "truncate"):
            raise ValueError(f"on_long is {on_long!r}, expected 'error' or 'truncate'")
        if device not in ("auto", "cpu", "gpu"):
            raise ValueError(f"device is {device!r}, expected 'auto', 'cpu' or 'gpu'")
        package = open_package(path)
        manifest, where = package.manifest, str(path)
        machine = this_machine()
        check_runtime(manifest, machine, where, strict)
        refused: dict[str, str] = {}
        while True:
            selection = select_variant(manifest, machine, variant, where, strict, device, refused)
            try:
                session = _open(package, selection, threads, verify, self_test)
                break
            except DeviceError as error:
                if variant is not None or selection.gpu is None:
                    raise
                refused[selection.variant.target] = str(error).removeprefix(
                    f"{package.path / selection.variant.path}: "
                )
        if selection.notice:
            warnings.warn(f"{where}: {selection.notice}", DeviceFallback, stacklevel=2)
        return cls(package, selection, session, threads, on_long)

    @property
    def manifest(self) -> Manifest:
        """The package's manifest."""
        return self.package.manifest

    @property
    def variant(self) -> Variant:
        """The variant that runs."""
        return self.selection.variant

    @property
    def device(self) -> str:
        """The device that runs the code: the runtime's name for it, and the GPU if it is one."""
        if self.selection.gpu is not None:
            return f"{self.variant.device}: {self.selection.gpu.title}"
        return "local-sync" if self.threads == 1 else f"local-task, {self.threads} threads"

    @property
    def entries(self) -> tuple[EntryFunction, ...]:
        """The functions of the length buckets, for measuring and verifying; not for use while other threads parse.

        Raises:
            ParserClosedError: The parser was closed.
        """
        return self._open_entries()

    def __call__(self, text: str | bytes) -> Parse:
        """Parse one text.

        Args:
            text: A string, or UTF-8 bytes. Invalid bytes read as U+FFFD; zero bytes separate words; an empty text has
                an intent and no slots.

        Raises:
            InputTooLongError: The text does not fit and the policy is ``error``.
            ParserClosedError: The parser was closed.
        """
        shown, raw = encode_text(text)
        intent, tags, spans, truncated, _ = self._logits(shown, raw)
        return self._decoder.parse(shown, raw, intent, tags, spans, truncated)

    def parse_batch(self, texts: Iterable[str | bytes]) -> list[Parse]:
        """Parse several texts; the results are in their order, and decide as single calls do.

        In a package that was compiled with ``--batch N``, N texts of one length bucket share a call, which is faster
        than N calls; in others, and for what is left over, it is one call a text. Logits of the two differ by rounding.

        Raises:
            InputTooLongError: As for one text; the message says which.
        """
        encoded = [encode_text(text) for text in texts]
        pairs = zip(encoded, self._logits_batch(encoded), strict=True)
        return [
            self._decoder.parse(shown, raw, logits.intent, logits.tags, logits.spans, logits.truncated)
            for (shown, raw), logits in pairs
        ]

    def logits(self, text: str | bytes) -> Logits:
        """Return the numbers behind a parse; raises as a call does."""
        return self._logits(None, text) if type(text) is bytes else self._logits(*encode_text(text))

    def logits_batch(self, texts: Iterable[str | bytes]) -> list[Logits]:
        """Return the numbers behind `parse_batch`; raises as it does."""
        return self._logits_batch([encode_text(text) for text in texts])

    @property
    def batch(self) -> int:
        """Number of texts that share a call of `parse_batch`; 1 in packages that were not compiled for more."""
        return self.manifest.batch

    def warmup(self) -> None:
        """Run every length bucket once, so that the first real text does not pay for page faults and lazy set-up."""
        with self._lock:
            for entry in self._open_entries():
                entry.run(b"a")
            for entry in self._batches:
                entry.run_batch([b"a"])

    def close(self) -> None:
        """Let the module and its buffers go. Results stay valid; further calls raise. Closing twice is fine."""
        with self._lock:
            self._entries = self._batches = ()
            self._session = None

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._session is None

    def __enter__(self) -> Self:
        """Return the parser itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the parser."""
        self.close()

    def _open_entries(self) -> tuple[EntryFunction, ...]:
        if not self._entries:
            raise ParserClosedError("the parser is closed. Load the package again.")
        return self._entries

    def _choose(self, size: int, words: int) -> EntryFunction:
        """Find the smallest bucket for that many bytes and words; the largest one where none is large enough."""
        entries = self._open_entries()
        for entry in entries:
            if entry.words >= words and entry.bytes >= size:
                return entry
        return entries[-1]

    def prepare(self, text: str | bytes) -> tuple[int, EntryFunction, bytes]:
        """Return, for measuring, what a call would run: index of the bucket, its entry, and the bytes that it reads.

        Raises:
            InputTooLongError: The text does not fit and the policy is ``error``.
        """
        shown, raw = encode_text(text)
        words = self._logits(shown, raw).bucket
        index = next(index for index, entry in enumerate(self._entries) if entry.words == words)
        entry = self._entries[index]
        return index, entry, cut_text(raw, entry.bytes)

    def needs_rerun(self, text: str | bytes) -> bool:
        """Return whether this text runs twice, since the guessed number of words chooses too small a bucket."""
        shown, raw = encode_text(text)
        limit = self._open_entries()[-1].bytes
        return (
            len(raw) <= limit
            and self._choose(len(raw), guess_words(shown, raw)).words < self._logits(shown, raw).bucket
        )

    def _logits(self, shown: str | None, raw: bytes) -> Logits:
        limit = self._open_entries()[-1].bytes
        cut = len(raw) > limit
        if cut:
            if self.on_long == "error":
                raise InputTooLongError(f"the text has {len(raw)} bytes, this package reads up to {limit}. {_ADVICE}")
            raw = cut_text(raw, limit)
        size = len(raw)
        with self._lock:
            entries = self._open_entries()
            if cut or len(entries) == 1:
                entry = entries[-1]
            else:
                entry = self._choose(size, guess_words(raw.decode("utf-8", "replace") if shown is None else shown, raw))
            outputs = entry.run(raw)
            if outputs.count > entry.words:
                larger = self._choose(size, outputs.count)
                if larger is not entry:
                    entry = larger
                    outputs = entry.run(raw)
        return self._wrap(outputs, entry, cut)

    def _logits_batch(self, encoded: list[tuple[str, bytes]]) -> list[Logits]:
        logits: dict[int, Logits] = {}  # by index of the text
        for entry, group in self._group(encoded):
            for first in range(0, len(group), entry.batch):
                indices = group[first : first + entry.batch]
                if 2 * len(indices) < entry.batch:  # a call costs the same however many texts are in it
                    break
                with self._lock:
                    self._open_entries()
                    results = entry.run_batch([encoded[index][1] for index in indices])
                # The others have more words than was guessed, and run again by themselves.
                logits |= {
                    index: self._wrap(outputs, entry, False)
                    for index, outputs in zip(indices, results, strict=True)
                    if outputs.count <= entry.words
                }
        for index, (shown, raw) in enumerate(encoded):
            if index not in logits:
                try:
                    logits[index] = self._logits(shown, raw)
                except InputTooLongError as error:
                    raise InputTooLongError(f"text {index} of the batch: {error}") from error
        return [logits[index] for index in range(len(encoded))]

    def _group(self, encoded: list[tuple[str, bytes]]) -> list[tuple[EntryFunction, list[int]]]:
        """Sort texts that are not too long by the bucket that is guessed for them.

        Returns:
            For each bucket, its function for several texts, and the indices of its texts.
        """
        groups: dict[int, list[int]] = {}
        if self._batches:
            limit = self._entries[-1].bytes
            buckets = {entry.words: bucket for bucket, entry in enumerate(self._entries)}
            for index, (shown, raw) in enumerate(encoded):
                if len(raw) <= limit:
                    bucket = buckets[self._choose(len(raw), guess_words(shown, raw)).words]
                    groups.setdefault(bucket, []).append(index)
        return [(self._batches[bucket], indices) for bucket, indices in groups.items()]

    def _wrap(self, outputs: Outputs, entry: EntryFunction, cut: bool) -> Logits:
        if outputs.count > entry.words:
            if self.on_long == "error":
                raise InputTooLongError(
                    f"the text has {outputs.count} words, this package reads up to {entry.words}. {_ADVICE}"
                )
            cut = True
        return Logits(outputs.intent, outputs.tags, outputs.spans, cut, entry.words)


def _open(package: Package, selection: Selection, threads: int, verify: bool, self_test: bool) -> Session:
    """Load the code of the chosen variant; raises DeviceError for all that another device might do better."""
    manifest, variant, gpu = package.manifest, selection.variant, selection.gpu
    code = package.map_file(variant.path, verify)
    where = str(package.path / variant.path)
    if gpu is not None and self_test:
        from runtime_py.device.gpu_selftest import why_untrusted

        reason = why_untrusted(package, variant, gpu)
        if reason is not None:
            raise DeviceError(f"{where}: {reason}.")
    return Session(
        code,
        manifest.buckets,
        len(manifest.labels.intents),
        len(manifest.labels.tags),
        threads,
        where,
        manifest.batch,
        gpu,
    )


_ADVICE = "Shorten it, load the parser with on_long='truncate', or compile the package with a larger length bucket."
