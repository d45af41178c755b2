"""The contenders of `benchmarks.latency`: our parser, the peers and the teacher, and the utterances that they get."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import starts
from benchmarks.peers import all_peers
from benchmarks.peers.encoder import digest_weights, project_texts
from benchmarks.peers.peer import PEERS, Features, Peer
from benchmarks.peers.peer import Call as PeerCall
from pqrnn.data.loader import load_examples
from pqrnn.model.parser import ParserModel
from runtime_py import Parser
from runtime_py.native.parser import NativeParser

OURS = "ours, bytes to logits"
NATIVE, NATIVE_IN_PYTHON = "ours, native, bytes to parse", "ours, native, text to parse in Python"
NATIVE_4_BITS = "ours, native, 4 bits, bytes to parse"
JOINED = 32
_TRIES = 60

Call = Callable[[int], object]  # answers the text with that index
Seconds = npt.NDArray[np.float64]  # [rounds, texts]


@dataclass(slots=True)
class Contender:
    """One row of the table.

    Attributes:
        name: Name in the table.
        precision: Precision of the weights, "f32" or "int8".
        call: Function that answers the text with an index.
        start: Kind and file that `measure_start` takes; None for a contender that is not started by itself.
        size: Size of that file in bytes.
        version: Version of the runtime.
        note: What is measured, in words.
        samples: Seconds of calls in a row, [rounds, texts].
        samples_in_turn: Seconds of calls in turn with all others, [rounds, texts].
        samples_cold: Seconds of calls with emptied caches, [rounds, some of the texts].
        cpu: Seconds of processor time for each call, in a row.
    """

    name: str
    precision: str
    call: Call
    start: tuple[str, Path] | None
    size: int
    version: str = ""
    note: str = "encoder alone, from features"
    samples: Seconds = field(default_factory=lambda: np.zeros((0, 0)))
    samples_in_turn: Seconds = field(default_factory=lambda: np.zeros((0, 0)))
    samples_cold: Seconds = field(default_factory=lambda: np.zeros((0, 0)))
    cpu: float = 0.0

    @property
    def ours(self) -> bool:
        """Whether it is this project's parser."""
        return self.name.startswith("ours")

    @property
    def decides(self) -> bool:
        """Whether a call gives a parse, and no logits."""
        return self.name in (NATIVE, NATIVE_IN_PYTHON, NATIVE_4_BITS)

    @property
    def microseconds(self) -> npt.NDArray[np.float64]:
        """Median over the rounds for every text, in a row."""
        return np.median(self.samples, axis=0) * 1e6

    @property
    def microseconds_in_turn(self) -> npt.NDArray[np.float64]:
        """Median over the rounds for every text, in turn."""
        return np.median(self.samples_in_turn, axis=0) * 1e6

    @property
    def microseconds_cold(self) -> npt.NDArray[np.float64]:
        """Median over the rounds for some of the texts, with emptied caches."""
        return np.median(self.samples_cold, axis=0) * 1e6


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that are parsed.

    Attributes:
        raw: UTF-8 of the texts: the real utterances first, then the joined ones, which count for 32 words only.
        features: Features of each text.
        real: Number of real utterances.
    """

    raw: list[bytes]
    features: list[Features]
    real: int

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of words of each text."""
        return np.array([features.shape[1] for features in self.features])


def read_texts(arguments: argparse.Namespace, model: ParserModel) -> Texts:
    """Return the utterances of the test split, evenly chosen, and pairs of those that have half of 32 words."""
    raw = [
        example.text.encode()
        for example in load_examples(arguments.data, split="test", locale=arguments.lang)
        if example.text
    ]
    raw = raw[:: max(1, len(raw) // arguments.utterances)]
    features = project_texts(model, raw)
    halves = [text for text, projected in zip(raw, features, strict=True) if projected.shape[1] == JOINED // 2]
    joined = [b" ".join(pair) for pair in zip(halves[::2], halves[1::2], strict=False)][:50]
    return Texts([*raw, *joined], [*features, *project_texts(model, joined)], len(raw))


def make_contenders(
    arguments: argparse.Namespace, model: ParserModel, texts: Texts
) -> tuple[list[Contender], dict[str, str]]:
    """Return all that can run here, and why the others cannot."""
    contenders = [_ours(OURS, "f32", arguments.package, texts)]
    if arguments.int8:
        contenders.append(_ours(f"{OURS}, int8", "int8", Path(arguments.int8[1]), texts))
    if arguments.native:
        contenders += _native(arguments.native, texts)
    if arguments.native_4_bits:
        contenders.append(_native_4_bits(arguments.native_4_bits, texts))
    folder = PEERS / "graphs" / digest_weights(arguments.run)
    absent: dict[str, str] = {}
    for peer in all_peers():
        if arguments.peers and peer.name not in arguments.peers:
            continue
        reason = peer.why_absent()
        try:
            if not reason:
                contenders.append(_peer(peer, model, texts, folder))
        except Exception as error:  # a peer that cannot take the encoder is a finding, not a failure of the benchmark
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        if reason:
            absent[peer.name] = reason
            print(f"  {peer.name}: not measured: {reason}", flush=True)
    if arguments.teacher:
        from benchmarks.peers.teacher import NAME, CompiledTeacher

        teacher = CompiledTeacher(arguments.teacher, texts.raw, PEERS / "graphs" / digest_weights(arguments.teacher))
        note = f"{teacher.parameters / 1e6:.1f} M parameters, from ids of subwords"
        contenders.append(Contender(NAME, "f32", teacher, None, teacher.path.stat().st_size, note=note))
    return contenders, absent


def _ours(name: str, precision: str, package: Path, texts: Texts) -> Contender:
    parser = Parser.load(package, engine="iree")
    parser.warmup()
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    version = parser.manifest.producer.iree_compiler
    return Contender(
        name,
        precision,
        lambda index: parser.logits(texts.raw[index]),
        (starts.PACKAGE, package),
        size,
        version,
        f"bytes to logits, {parser.variant.target}",
    )


def _native(folder: Path, texts: Texts) -> list[Contender]:
    """Return the call of the library alone, and that of Python's parser over it."""
    parser, size, note = _open_native(folder)
    decoded = [text.decode() for text in texts.raw]
    call = Contender(NATIVE, "int8", lambda index: parser.call_only(texts.raw[index]), None, size, note=note)
    start = (starts.NATIVE, folder)
    return [call, Contender(NATIVE_IN_PYTHON, "int8", lambda index: parser(decoded[index]), start, size, note=note)]


def _native_4_bits(folder: Path, texts: Texts) -> Contender:
    parser, size, note = _open_native(folder)
    return Contender(NATIVE_4_BITS, "int8", lambda index: parser.call_only(texts.raw[index]), None, size, note=note)


def _open_native(folder: Path) -> tuple[NativeParser, int, str]:
    """Return the parser of a folder of native libraries, the size of its library, and what a call does."""
    parser = NativeParser.load(folder, on_long="truncate")
    size = (folder / str(parser.variant.library)).stat().st_size
    return parser, size, f"the whole parse, {parser.variant.target}"


def _peer(peer: Peer, model: ParserModel, texts: Texts, folder: Path) -> Contender:
    lengths = sorted(set(texts.counts.tolist()))
    examples = {words: next(array for array in texts.features if array.shape[1] == words) for words in lengths}
    files: dict[int, Path] = {}
    forms: dict[int, str] = {}
    for words in dict.fromkeys([lengths[0], lengths[len(lengths) // 2], lengths[-1]]):
        print(f"\r  {peer.name}: {words} words, {len(peer.forms)} forms ", end="", flush=True)
        paths = [peer.convert(model, words, form, folder) for form in peer.forms]
        best = fastest([peer.open(path) for path in paths], examples[words])
        forms[words], files[words] = peer.forms[best], paths[best]
    for words in lengths:
        form = forms[min(forms, key=lambda tried: abs(tried - words))]
        print(f"\r  {peer.name}: {words} words, {form} ", end="", flush=True)
        files[words] = peer.convert(model, words, form, folder)
    calls = {words: peer.open(path) for words, path in files.items()}
    print(flush=True)
    usual = int(np.median(texts.counts[: texts.real]))
    near = min(files, key=lambda words: abs(words - usual))
    note = (
        f"encoder alone, from features; {', '.join(dict.fromkeys(forms.values()))}; "
        f"file: one of {len(files)}, for {near} words"
    )
    features = texts.features
    return Contender(
        peer.name,
        peer.precision,
        lambda index: calls[features[index].shape[1]](features[index]),
        (peer.name, files[near]),
        files[near].stat().st_size,
        peer.version(),
        note,
    )


def fastest(calls: Sequence[PeerCall], features: Features, rounds: int = _TRIES) -> int:
    """Return the index of the call with the smallest median time."""
    if len(calls) == 1:
        return 0
    times = np.zeros((len(calls), rounds))
    for turn in range(rounds):
        for index, call in enumerate(calls):
            start = time.perf_counter()
            call(features)
            times[index, turn] = time.perf_counter() - start
    return int(np.median(times, axis=1).argmin())
