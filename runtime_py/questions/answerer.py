"""The answerer that applications use: a package loaded on this machine, a question and a text in, an answer out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from runtime_py.device.preflight import check_code, check_producer, this_machine, why_not
from runtime_py.errors import PackageError, ParserClosedError, UnsupportedTargetError
from runtime_py.execute.live_session import LiveSession
from runtime_py.execute.session import Session
from runtime_py.package_format.budgets import BudgetChoice, choose_budget
from runtime_py.package_format.listed_file import read_listed
from runtime_py.package_format.manifest import ANY
from runtime_py.package_format.tokenizer_file import load_tokenizer
from runtime_py.questions.answers import Answer, context_logits, find_answer
from runtime_py.questions.entry import WindowEntry, window_bucket
from runtime_py.questions.manifest import AnswererManifest, ProvedCode, entry_name, read_answerer_manifest
from runtime_py.questions.pairs import Pair, PairReader

WindowLogits = list[NDArray[np.float32]]


class Answerer:
    """A compiled model that answers questions from a text.

    It may be used from several threads, one call at a time, and survives a fork, as a `Parser` does.

    Attributes:
        path: The package.
        manifest: Its manifest.
        variant: The compiled module that runs.
    """

    def __init__(
        self, path: Path, manifest: AnswererManifest, variant: ProvedCode, reader: PairReader, session: LiveSession
    ) -> None:
        """Take the parts that `load` made."""
        self.path, self.manifest, self.variant = path, manifest, variant
        self._reader, self._session = reader, session
        self._part = len(manifest.parts) - 1

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        variant: str | None = None,
        threads: int = 1,
        verify: bool = True,
        strict: bool = True,
        budget: BudgetChoice | None = None,
    ) -> Self:
        """Load a package: check it against this machine, verify the digests of what is used, then load the code.

        A package is code that runs with the rights of this process: load only what comes from someone whom you trust.

        Args:
            path: The package directory.
            variant: Name of a variant; by default the proved one that needs most of the features of this processor.
            threads: 1 runs on the calling thread; more use that many worker threads.
            verify: Whether to compare the SHA-256 of the code and the tokenizer with the manifest.
            strict: Whether to refuse a runtime of another version; otherwise that is a warning.
            budget: What a window may cost: a share of the whole network's multiplications up to 1, more than 1 as their
                number, or the name of a part. By default the whole network answers.

        Raises:
            PackageError: The package is missing, damaged, no such package, or has no part for the budget.
            UnsupportedTargetError: No variant runs on this machine, or not with the installed runtime.
            DeviceError: The runtime refuses the module.
        """
        folder = Path(path)
        manifest, machine = read_answerer_manifest(folder), this_machine()
        if budget is not None:
            choose_budget(manifest.parts, budget, str(path))
        check_producer(manifest.producer, machine, str(path), strict)
        chosen = _choose_variant(manifest, variant, str(path))

        def read(name: str) -> bytes:
            entry = manifest.files[name]
            with read_listed(folder, name, entry.sha256, entry.bytes, verify) as content:
                return bytes(content)

        reader = PairReader(load_tokenizer(read(manifest.tokenizer), str(folder / manifest.tokenizer)), manifest.layout)
        entry, where = manifest.files[chosen.code.path], str(folder / chosen.code.path)
        code = read_listed(folder, chosen.code.path, entry.sha256, entry.bytes, verify)
        check_code(code, chosen.code, machine, where)
        names = [part.name for part in manifest.parts]
        buckets = [
            window_bucket(entry_name(part, len(names), window, names), window)
            for part in range(len(names))
            for window in manifest.windows
        ]
        session = LiveSession(partial(Session, code, buckets, 0, 0, threads, where, kind=WindowEntry))
        made = cls(folder, manifest, chosen, reader, session)
        made._part = made._find_part(budget)
        return made

    def __call__(self, question: str, context: str, *, budget: BudgetChoice | None = None) -> Answer:
        """Answer a question from a context.

        Args:
            question: The question.
            context: The text that is to answer it; a long one is read in windows.
            budget: What a window of this call may cost, as for `load`.

        Raises:
            InputError: The question or the context is empty.
            InputTooLongError: The question or the context is too long.
            BudgetMissingError: There is no part for the budget.
            ParserClosedError: The answerer was closed.
        """
        pair = self._reader.read(question, context)
        starts, ends = self.logits(pair, budget=budget)
        return find_answer(pair, context, starts, ends, self.manifest.layout.longest_answer)

    def read(self, question: str, context: str) -> Pair:
        """Return question and context as the network reads them; errors as a call's."""
        return self._reader.read(question, context)

    def logits(self, pair: Pair, *, budget: BudgetChoice | None = None) -> tuple[WindowLogits, WindowLogits]:
        """Return, for each window, the logits of the context's subwords to begin and to end the answer."""
        part = self._part if budget is None else self._find_part(budget)
        first, padding = part * len(self.manifest.windows), self.manifest.layout.padding
        starts: WindowLogits = []
        ends: WindowLogits = []
        with self._session.lock:
            entries = self._session.take()[first : first + len(self.manifest.windows)]
            for number, window in enumerate(pair.windows):
                row = pair.row(window)
                entry = next(each for each in entries if each.words >= len(row))
                assert isinstance(entry, WindowEntry)
                start, end = entry.read(row, len(pair.head), padding)
                starts.append(context_logits(pair, number, start))
                ends.append(context_logits(pair, number, end))
        return starts, ends

    def _find_part(self, budget: BudgetChoice | None) -> int:
        parts = self.manifest.parts
        return len(parts) - 1 if budget is None else parts.index(choose_budget(parts, budget, str(self.path)))

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._session.closed

    def close(self) -> None:
        """Let the module and its buffers go; closing twice is fine."""
        self._session.close()

    def __enter__(self) -> Self:
        """Return the answerer itself."""
        if self.closed:
            raise ParserClosedError("the answerer is closed. Load the package again.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the answerer."""
        self.close()


def _choose_variant(manifest: AnswererManifest, name: str | None, where: str) -> ProvedCode:
    """Return the variant of a name, or the best one that runs here.

    Raises:
        PackageError: There is none of that name.
        UnsupportedTargetError: None runs here, with the reason for each.
    """
    machine, known = this_machine(), {variant.code.target: variant for variant in manifest.variants}
    if name is not None and name not in known:
        raise PackageError(f"{where}: has no variant {name!r}; it has: {', '.join(known) or 'none'}.")
    wanted = [known[name]] if name is not None else list(known.values())
    reasons = {}
    for variant in wanted:
        failed = variant.proof is not None and not variant.proof.passed
        reasons[variant.code.target] = "it failed its check" if failed else why_not(variant.code, machine)
    usable = [variant for variant in wanted if reasons[variant.code.target] is None]
    if not usable:
        listing = "; ".join(f"{target}: {reason}" for target, reason in reasons.items()) or "it has no variants at all"
        raise UnsupportedTargetError(
            f"{where}: no variant runs on this machine ({listing}). Compile one for it: pqrnn compile RUN --target "
            "host --out ..."
        )
    return max(
        usable,
        key=lambda each: (each.code.triple != ANY, each.proof is not None, len(each.code.features)),
    )
