"""The parser that applications use: a package loaded on this machine, text in, a typed parse out."""

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import Any, Literal, Self

from runtime_py.assistant import Assistant
from runtime_py.decode.answers import Parse, encode_text
from runtime_py.decode.decoder import cut_text
from runtime_py.decode.rejection import MinScore, choose_rejection
from runtime_py.device.preflight import check_code, check_runtime, this_machine
from runtime_py.device.selection import Device, Selection, select_variant
from runtime_py.errors import DeviceError, DeviceFallback, InputTooLongError, ParserClosedError
from runtime_py.execute.entry import EntryFunction, choose_entry
from runtime_py.execute.live_session import LiveSession
from runtime_py.execute.logits import Logits
from runtime_py.execute.session import Session
from runtime_py.execute.word_count import guess_words
from runtime_py.package_format.manifest import Manifest, Variant
from runtime_py.package_format.package import Package, open_package
from runtime_py.trust.requirement import required_keys

OnLong = Literal["error", "truncate"]


class Parser(Assistant):
    """A compiled parser, ready to run.

    One parser may be used from several threads: a lock lets one call at a time run on it. Threads do not make it
    faster, since IREE's Python interface holds Python's own lock while compiled code runs; to use several cores for
    many texts, load a parser in several processes (they share the code's memory), or give one parser worker threads
    (``threads``) where single texts are long enough to be split.

    A process may be forked at any time: both processes go on with the parser, but a child of one on a GPU has to load
    its own (`ForkError`). A pickled parser is loaded anew from the same path, with the same arguments. When Python
    ends, open parsers are closed, and daemon threads that still parse end without a word.
    """

    def __init__(
        self,
        package: Package,
        selection: Selection,
        session: LiveSession,
        threads: int,
        on_long: OnLong,
        arguments: dict[str, Any],
    ) -> None:
        """Take the parts that ``load`` made, and its arguments."""
        self.package = package
        self.selection = selection
        self.threads = threads
        self.on_long: OnLong = on_long
        self._session = session
        self._arguments = arguments
        self._limit = package.manifest.buckets[-1].bytes
        self._decoder = package.manifest.labels.decoder(package.manifest.calibration)
        self._rejection = choose_rejection(arguments.get("min_score"), package.manifest.calibration, str(package.path))

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
        require_signature: str | Path | Sequence[str | Path] | None = None,
        min_score: MinScore | None = None,
    ) -> Self:
        """Load a package: check it against this machine, verify the digest of the code, then load the code.

        Which variant was taken, why, and why not the others is in ``selection``.

        A package is code that runs with the rights of this process: load only what comes from someone whom you trust,
        as you would install a wheel. ``verify`` finds damage, ``require_signature`` malice of others than the signer.
        The pinned IREE runtime does not verify bytecode before it runs it.

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
            require_signature: Files of public keys, one of which has to have signed the package; every file is verified
                then, ``verify`` or not. By default those of $PQRNN_REQUIRE_SIGNATURE; none for an empty list.
            min_score: Parses with a smaller score are answered with ``outcome="rejected"``; ``recommended`` takes the
                threshold of the package's calibration. By default nothing is rejected.

        Raises:
            PackageError: The package is missing, damaged, of another format, (SignatureError) not signed so, or
                (CalibrationMissingError) has no calibration that could recommend a threshold.
            KeyFileError: A key cannot be used.
            UnsupportedTargetError: No variant runs on this machine, or (RuntimeMismatchError) not with the installed
                runtime.
            DeviceError: The runtime refuses the module; or the GPU does, or it fails its self-test, and the variant was
                named.
            ValueError: ``threads``, ``device``, ``on_long`` or ``min_score`` is out of range.
        """
        if on_long not in ("error", "truncate"):
            raise ValueError(f"on_long is {on_long!r}, expected 'error' or 'truncate'")
        if device not in ("auto", "cpu", "gpu"):
            raise ValueError(f"device is {device!r}, expected 'auto', 'cpu' or 'gpu'")
        arguments = {
            "path": os.path.abspath(path),  # the working directory may be another one when they are used again
            "variant": variant,
            "device": device,
            "threads": threads,
            "on_long": on_long,
            "verify": verify,
            "strict": strict,
            "self_test": self_test,
            "require_signature": (keys := required_keys(require_signature)),
            "min_score": min_score,
        }
        package = open_package(path, keys=keys)
        manifest, where = package.manifest, str(path)
        choose_rejection(min_score, manifest.calibration, where)  # what cannot be is said before code is loaded
        machine = this_machine()
        check_runtime(manifest, machine, where, strict)
        refused: dict[str, str] = {}
        while True:
            selection = select_variant(manifest, machine, variant, where, strict, device, refused)
            try:
                session = _open(package, selection, threads, verify, self_test, keys)
                break
            except DeviceError as error:
                if variant is not None or selection.gpu is None:
                    raise
                refused[selection.variant.target] = str(error).removeprefix(
                    f"{package.path / selection.variant.path}: "
                )
        if selection.notice:
            warnings.warn(f"{where}: {selection.notice}", DeviceFallback, stacklevel=2)
        return cls(package, selection, session, threads, on_long, arguments)

    def __reduce__(self) -> tuple[Callable[..., "Parser"], tuple[Any, ...]]:
        """Return how a copy is made, in this or another process: the package is loaded again from its path."""
        if self.closed:
            raise ParserClosedError("the parser is closed, and cannot be pickled. Load the package again.")
        return _load_again, (type(self), self._arguments)

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
        with self._session.lock:
            return self._session.take()

    def __call__(self, text: str | bytes, *, alternatives: int = 0) -> Parse:
        """Parse one text.

        Args:
            text: A string, or UTF-8 bytes. Invalid bytes read as U+FFFD; zero bytes separate words; an empty text has
                an intent and no slots.
            alternatives: How many of the most probable intents to name, that of the parse first.

        Raises:
            InputTooLongError: The text does not fit and the policy is ``error``.
            ParserClosedError: The parser was closed.
        """
        shown, raw = encode_text(text)
        with self._session.lock:
            return self.decide_logits(shown, raw, self._run(shown, raw), alternatives)

    def parse_batch(self, texts: Iterable[str | bytes], *, alternatives: int = 0) -> list[Parse]:
        """Parse several texts; the results are in their order, and decide as single calls do.

        In a package that was compiled with ``--batch N``, N texts of one length bucket share a call, which is faster
        than N calls; in others, and for what is left over, it is one call a text. Logits of the two differ by rounding.

        Raises:
            InputTooLongError: As for one text; the message says which.
        """
        encoded = [encode_text(text) for text in texts]
        pairs = zip(encoded, self._logits_batch(encoded), strict=True)
        return [self.decide_logits(shown, raw, logits, alternatives) for (shown, raw), logits in pairs]

    def logits(self, text: str | bytes) -> Logits:
        """Return the numbers behind a parse; raises as a call does."""
        shown, raw = (None, text) if type(text) is bytes else encode_text(text)
        return self._logits(shown, raw)

    def logits_batch(self, texts: Iterable[str | bytes]) -> list[Logits]:
        """Return the numbers behind `parse_batch`; raises as it does."""
        return self._logits_batch([encode_text(text) for text in texts])

    @property
    def batch(self) -> int:
        """Number of texts that share a call of `parse_batch`; 1 in packages that were not compiled for more."""
        return self.manifest.batch

    def warmup(self) -> None:
        """Run every length bucket once, so that the first real text does not pay for page faults and lazy set-up."""
        session = self._session
        with session.lock:
            for entry in session.take():
                entry.run(b"a")
            for entry in session.batches:
                entry.run_batch([b"a"])

    def close(self) -> None:
        """Let the module and its buffers go. Results stay valid; further calls raise. Closing twice is fine."""
        self._session.close()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._session.closed

    def __enter__(self) -> Self:
        """Return the parser itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the parser."""
        self.close()

    def prepare(self, text: str | bytes) -> tuple[int, EntryFunction, bytes]:
        """Return, for measuring, what a call would run: index of the bucket, its entry, and the bytes that it reads.

        Raises:
            InputTooLongError: The text does not fit and the policy is ``error``.
        """
        shown, raw = encode_text(text)
        words = self._logits(shown, raw).bucket
        index, entry = next((index, entry) for index, entry in enumerate(self.entries) if entry.words == words)
        return index, entry, cut_text(raw, entry.bytes)

    def needs_rerun(self, text: str | bytes) -> bool:
        """Return whether this text runs twice, since the guessed number of words chooses too small a bucket."""
        shown, raw = encode_text(text)
        guessed = choose_entry(self.entries, len(raw), guess_words(shown, raw))
        return len(raw) <= self._limit and guessed.words < self._logits(shown, raw).bucket

    # What the compiled functions return lies in memory of the session, and goes with it: it is read, or copied,
    # before the lock of the session is given back.

    def decide_logits(self, shown: str, raw: bytes, logits: Logits, alternatives: int = 0) -> Parse:
        """Return what logits mean, of a text and its bytes (`encode_text`)."""
        intent, tags, spans, truncated, _ = logits
        return self._rejection.apply(self._decoder.parse(shown, raw, intent, tags, spans, truncated, alternatives))

    def _logits(self, shown: str | None, raw: bytes) -> Logits:
        with self._session.lock:
            return self._run(shown, raw).copied()

    def _run(self, shown: str | None, raw: bytes) -> Logits:
        session, limit = self._session, self._limit
        session.caller = get_ident()
        entries = session.entries or session.take()
        cut = len(raw) > limit
        if cut:
            if self.on_long == "error":
                raise InputTooLongError(f"the text has {len(raw)} bytes, this package reads up to {limit}. {_ADVICE}")
            raw = cut_text(raw, limit)
        size = len(raw)
        if cut or len(entries) == 1:
            entry = entries[-1]
        else:
            words = guess_words(raw.decode("utf-8", "replace") if shown is None else shown, raw)
            entry = choose_entry(entries, size, words)
        outputs = entry.run(raw)
        if outputs.count > entry.words:
            larger = choose_entry(entries, size, outputs.count)
            if larger is not entry:
                entry = larger
                outputs = entry.run(raw)
        if (count := outputs.count) > entry.words:
            if self.on_long == "error":
                del outputs  # an error keeps the variables of the functions that it left
                unit = "words" if self.manifest.tokenizer is None else "subwords"
                raise InputTooLongError(
                    f"the text has {count} {unit}, this package reads up to {entry.words}. {_ADVICE}"
                )
            cut = True
        return Logits(outputs.intent, outputs.tags, outputs.spans, cut, entry.words)

    def _logits_batch(self, encoded: list[tuple[str, bytes]]) -> list[Logits]:
        logits: dict[int, Logits] = {}  # by index of the text
        batch = self.batch
        for bucket, group in self._group(encoded):
            for first in range(0, len(group), batch):
                indices = group[first : first + batch]
                if 2 * len(indices) < batch:  # a call costs the same however many texts are in it
                    break
                with self._session.lock:
                    results = self._run_batch(bucket, [encoded[index][1] for index in indices])
                # The others have more words than was guessed, and run again by themselves.
                logits |= {index: found for index, found in zip(indices, results, strict=True) if found is not None}
        for index, (shown, raw) in enumerate(encoded):
            if index not in logits:
                try:
                    logits[index] = self._logits(shown, raw)
                except InputTooLongError as error:
                    raise InputTooLongError(f"text {index} of the batch: {error}") from error
        return [logits[index] for index in range(len(encoded))]

    def _run_batch(self, bucket: int, raws: list[bytes]) -> list[Logits | None]:
        self._session.take()
        entry = self._session.batches[bucket]
        return [
            Logits(outputs.intent, outputs.tags, outputs.spans, False, entry.words).copied()
            if outputs.count <= entry.words
            else None
            for outputs in entry.run_batch(raws)
        ]

    def _group(self, encoded: list[tuple[str, bytes]]) -> list[tuple[int, list[int]]]:
        """Sort texts that are not too long by the bucket that is guessed for them.

        Returns:
            For each bucket, its index, and the indices of its texts.
        """
        groups: dict[int, list[int]] = {}
        if self.batch > 1:
            entries = self.entries
            buckets = {entry.words: bucket for bucket, entry in enumerate(entries)}
            for index, (shown, raw) in enumerate(encoded):
                if len(raw) <= self._limit:
                    bucket = buckets[choose_entry(entries, len(raw), guess_words(shown, raw)).words]
                    groups.setdefault(bucket, []).append(index)
        return list(groups.items())


def _load_again(kind: type[Parser], arguments: dict[str, Any]) -> Parser:
    return kind.load(**arguments)


def _open(
    package: Package, selection: Selection, threads: int, verify: bool, self_test: bool, keys: Sequence[Path]
) -> LiveSession:
    """Load the code of the chosen variant; raises DeviceError for all that another device might do better."""
    manifest, variant, gpu = package.manifest, selection.variant, selection.gpu
    code = package.read_file(variant.path, verify)
    where = str(package.path / variant.path)
    check_code(code, variant, this_machine(), where)
    if gpu is not None and self_test:
        from runtime_py.device.gpu_selftest import why_untrusted

        reason = why_untrusted(package, variant, gpu, keys=keys)
        if reason is not None:
            raise DeviceError(f"{where}: {reason}.")
    labels = manifest.labels
    subwords = None
    if manifest.tokenizer is not None:
        from runtime_py.execute.subwords import read_subwords

        subwords = read_subwords(package, manifest.tokenizer, verify)

    def open_session() -> Session:
        sizes = len(labels.intents), len(labels.tags)
        return Session(code, manifest.buckets, *sizes, threads, where, manifest.batch, gpu, subwords=subwords)

    return LiveSession(open_session, on_gpu=gpu is not None)


_ADVICE = "Shorten it, load the parser with on_long='truncate', or compile the package with a larger length bucket."
