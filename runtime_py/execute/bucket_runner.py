"""Texts in, logits out: which length bucket runs a text, and what becomes of one that is too long for all of them."""

from threading import get_ident
from typing import Literal

from runtime_py.decode.decoder import cut_text
from runtime_py.errors import InputTooLongError
from runtime_py.execute.entry import EntryFunction, choose_entry
from runtime_py.execute.live_session import LiveSession
from runtime_py.execute.logits import Logits
from runtime_py.execute.word_count import guess_words
from runtime_py.package_format.manifest import Manifest

OnLong = Literal["error", "truncate"]
_ADVICE = "Shorten it, load the parser with on_long='truncate', or compile the package with a larger length bucket."


class BucketRunner:
    """Runs texts by the functions of one network, or of one part of it, that a session has.

    What the compiled functions return lies in memory of the session, and goes with it: it is read, or copied, before
    the lock of the session is given back.
    """

    __slots__ = ("_all", "_end", "_first", "_limit", "_on_long", "_session", "_unit", "batch")

    def __init__(self, session: LiveSession, manifest: Manifest, on_long: OnLong, position: int = 0) -> None:
        """Keep what texts run on.

        Args:
            session: The session, with the functions of the whole network and after them those of every part.
            manifest: Manifest of the package.
            on_long: What to do with a text that does not fit.
            position: 0 for the whole network, else the number of the part, from 1.
        """
        count = len(manifest.buckets)
        self.batch = manifest.batch
        self._session, self._on_long = session, on_long
        self._first, self._end = position * count, (position + 1) * count
        self._all = len(manifest.budgets) <= 1
        self._limit = manifest.buckets[-1].bytes
        self._unit = "words" if manifest.tokenizer is None else "subwords"

    def take(self) -> tuple[EntryFunction, ...]:
        """Return the functions for one text; the lock of the session has to be held.

        Raises:
            ParserClosedError: The parser was closed.
        """
        entries = self._session.entries or self._session.take()
        return entries if self._all else entries[self._first : self._end]

    def needs_rerun(self, entries: tuple[EntryFunction, ...], shown: str, raw: bytes, words: int) -> bool:
        """Say whether a text runs twice, since the guessed number of words chooses too small a bucket.

        Args:
            entries: The functions.
            shown: The text.
            raw: Its bytes.
            words: Words of the bucket that it runs in.
        """
        guessed = choose_entry(entries, len(raw), guess_words(shown, raw))
        return len(raw) <= self._limit and guessed.words < words

    def logits(self, shown: str | None, raw: bytes) -> Logits:
        """Return the logits of a text, in memory of their own.

        Args:
            shown: The text; None to decode it from the bytes where that is needed.
            raw: Its bytes.

        Raises:
            InputTooLongError: The text does not fit and the policy is ``error``.
            ParserClosedError: The parser was closed.
        """
        with self._session.lock:
            return self.run(shown, raw).copied()

    def run(self, shown: str | None, raw: bytes) -> Logits:
        """Return the same in memory of the session, whose lock has to be held."""
        session, limit = self._session, self._limit
        session.caller = get_ident()
        entries = self.take()
        cut = len(raw) > limit
        if cut:
            if self._on_long == "error":
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
            if self._on_long == "error":
                del outputs  # an error keeps the variables of the functions that it left
                raise InputTooLongError(
                    f"the text has {count} {self._unit}, this package reads up to {entry.words}. {_ADVICE}"
                )
            cut = True
        return Logits(outputs.intent, outputs.tags, outputs.spans, cut, entry.words)

    def logits_batch(self, encoded: list[tuple[str, bytes]]) -> list[Logits]:
        """Return the logits of several texts, given with their bytes, in memory of their own.

        Raises:
            InputTooLongError: As for one text; the message says which.
        """
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
                    logits[index] = self.logits(shown, raw)
                except InputTooLongError as error:
                    raise InputTooLongError(f"text {index} of the batch: {error}") from error
        return [logits[index] for index in range(len(encoded))]

    def _run_batch(self, bucket: int, raws: list[bytes]) -> list[Logits | None]:
        self._session.take()
        entry = self._session.batches[self._first + bucket]
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
            with self._session.lock:
                self._session.take()
                entries = self.take()
            buckets = {entry.words: bucket for bucket, entry in enumerate(entries)}
            for index, (shown, raw) in enumerate(encoded):
                if len(raw) <= self._limit:
                    bucket = buckets[choose_entry(entries, len(raw), guess_words(shown, raw)).words]
                    groups.setdefault(bucket, []).append(index)
        return list(groups.items())
