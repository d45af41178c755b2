"""The parser that applications use: a package loaded on this machine, text in, a typed parse out."""

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runtime_py.assistant import Assistant
from runtime_py.decode.answers import Parse, encode_text
from runtime_py.decode.decoder import cut_text
from runtime_py.decode.rejection import MinScore, choose_rejection
from runtime_py.device.preflight import check_code, check_runtime, this_machine
from runtime_py.device.selection import Device, Selection, select_variant
from runtime_py.errors import DeviceError, DeviceFallback, ParserClosedError
from runtime_py.execute.bucket_runner import BucketRunner, OnLong
from runtime_py.execute.entry import EntryFunction
from runtime_py.execute.live_session import LiveSession
from runtime_py.execute.logits import Logits
from runtime_py.execute.session import Session
from runtime_py.package_format.budgets import BudgetChoice, choose_budget, package_of_part
from runtime_py.package_format.manifest import Budget, Manifest, Variant
from runtime_py.package_format.package import Package, open_package
from runtime_py.trust.requirement import required_keys


class Parser(Assistant):
    """A compiled parser, ready to run.

    One parser may be used from several threads: a lock lets one call at a time run on it. Threads do not make it
    faster, since IREE's Python interface holds Python's own lock while compiled code runs; to use several cores for
    many texts, load a parser in several processes (they share the code's memory), or give one parser worker threads
    (``threads``) where single texts are long enough to be split.

    A process may be forked at any time: both processes go on with the parser, but a child of one on a GPU has to load
    its own (`ForkError`). A pickled parser is loaded anew from the same path, with the same arguments. When Python
    ends, open parsers are closed, and daemon threads that still parse end without a word.

    Attributes:
        package: The package, as the part of the network has it that was loaded for a budget.
        selection: Which variant was taken, why, and why not the others.
        threads: Threads that it runs on.
        on_long: What happens to a text that does not fit.
        budget: The part of the network that was loaded for a budget; None where none was asked for.
    """

    budget: Budget | None

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
        self._whole, self._runners = package, dict[BudgetChoice, BucketRunner]()
        budget = arguments.get("budget")
        self.budget = None if budget is None else self._choose_budget(budget)
        self._runner = self._choose_runner(budget)
        if self.budget is not None:
            self.package = package_of_part(package, self.budget)
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
        budget: BudgetChoice | None = None,
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
            budget: What an answer may cost: a share of the whole network's multiplications up to 1, more than 1 as
                their number, or the name of a budget. The most accurate part of the network within it answers. By
                default the whole network does.

        Raises:
            PackageError: The package is missing, damaged, of another format, (SignatureError) not signed so,
                (CalibrationMissingError) has no calibration that could recommend a threshold, or (BudgetMissingError)
                no part that costs so little.
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
            "budget": budget,
        }
        package = open_package(path, keys=keys)
        manifest, where = package.manifest, str(path)
        choose_rejection(min_score, manifest.calibration, where)  # what cannot be is said before code is loaded
        if budget is not None:
            choose_budget(manifest.budgets, budget, where)
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
            self._session.take()
            return self._runner.take()

    @property
    def budgets(self) -> list[Budget]:
        """The parts of the network that ``budget`` can choose, the whole one last; empty where there is only that."""
        return self._whole.manifest.budgets

    def _choose_budget(self, budget: BudgetChoice) -> Budget:
        return choose_budget(self.budgets, budget, str(self._whole.path))

    def _choose_runner(self, budget: BudgetChoice | None) -> BucketRunner:
        runner = None if budget is None else self._runners.get(budget)
        if runner is None:
            manifest, position = self._whole.manifest, 0
            if budget is not None:
                chosen = self._choose_budget(budget)
                position = 0 if chosen.golden is None else manifest.budgets.index(chosen) + 1
            runner = BucketRunner(self._session, manifest, self.on_long, position)
            if budget is not None:
                self._runners[budget] = runner
        return runner

    def __call__(self, text: str | bytes, *, alternatives: int = 0, budget: BudgetChoice | None = None) -> Parse:
        """Parse one text.

        Args:
            text: A string, or UTF-8 bytes. Invalid bytes read as U+FFFD; zero bytes separate words; an empty text has
                an intent and no slots.
            alternatives: How many of the most probable intents to name, that of the parse first.
            budget: What this call may cost, as for ``load``; by default what was said there.

        Raises:
            InputTooLongError: The text does not fit and the policy is ``error``.
            BudgetMissingError: As for ``load``.
            ParserClosedError: The parser was closed.
        """
        runner = self._runner if budget is None else self._choose_runner(budget)
        shown, raw = encode_text(text)
        with self._session.lock:
            return self.decide_logits(shown, raw, runner.run(shown, raw), alternatives)

    def parse_batch(
        self, texts: Iterable[str | bytes], *, alternatives: int = 0, budget: BudgetChoice | None = None
    ) -> list[Parse]:
        """Parse several texts; the results are in their order, and decide as single calls do.

        In a package that was compiled with ``--batch N``, N texts of one length bucket share a call, which is faster
        than N calls; in others, and for what is left over, it is one call a text. Logits of the two differ by rounding.

        Raises:
            InputTooLongError: As for one text; the message says which.
        """
        runner = self._runner if budget is None else self._choose_runner(budget)
        encoded = [encode_text(text) for text in texts]
        pairs = zip(encoded, runner.logits_batch(encoded), strict=True)
        return [self.decide_logits(shown, raw, logits, alternatives) for (shown, raw), logits in pairs]

    def logits(self, text: str | bytes, *, budget: BudgetChoice | None = None) -> Logits:
        """Return the numbers behind a parse; raises as a call does."""
        runner = self._runner if budget is None else self._choose_runner(budget)
        shown, raw = (None, text) if type(text) is bytes else encode_text(text)
        return runner.logits(shown, raw)

    def logits_batch(self, texts: Iterable[str | bytes]) -> list[Logits]:
        """Return the numbers behind `parse_batch`; raises as it does."""
        return self._runner.logits_batch([encode_text(text) for text in texts])

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
        words = self._runner.logits(shown, raw).bucket
        index, entry = next((index, entry) for index, entry in enumerate(self.entries) if entry.words == words)
        return index, entry, cut_text(raw, entry.bytes)

    def needs_rerun(self, text: str | bytes) -> bool:
        """Return whether this text runs twice, since the guessed number of words chooses too small a bucket."""
        shown, raw = encode_text(text)
        return self._runner.needs_rerun(self.entries, shown, raw, self._runner.logits(shown, raw).bucket)

    def decide_logits(self, shown: str, raw: bytes, logits: Logits, alternatives: int = 0) -> Parse:
        """Return what logits mean, of a text and its bytes (`encode_text`)."""
        intent, tags, spans, truncated, _ = logits
        return self._rejection.apply(self._decoder.parse(shown, raw, intent, tags, spans, truncated, alternatives))


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

    parts = [budget.name for budget in manifest.budgets if budget.golden is not None]
    buckets = [*manifest.buckets, *(bucket.of_part(name) for name in parts for bucket in manifest.buckets)]

    def open_session() -> Session:
        sizes = len(labels.intents), len(labels.tags)
        return Session(code, buckets, *sizes, threads, where, manifest.batch, gpu, subwords=subwords)

    return LiveSession(open_session, on_gpu=gpu is not None)
