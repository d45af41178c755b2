"""Compiling the C of a parser, and asking the program that comes out what it says about texts."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compile.process import run_tool
from compile.standalone.errors import StandaloneFailed
from compile.standalone.toolchains import Toolchain
from runtime_py.manifest import Labels
from runtime_py.parser import Logits

SMALLEST = -1
_OK, _TOO_LONG = 0, 1
_SOURCES = ("parser.c", "player.c", "tables.c", "weights.S", "kernels.o", "replay.c")
_BUILD_SECONDS, _RUN_SECONDS = 600.0, 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a built parser says about a text.

    Attributes:
        count: Words in the text, also those for which there was no room.
        logits: The numbers.
    """

    count: int
    logits: Logits


class Program:
    """The program `replay` of a parser, built for a machine that is here, or emulated here."""

    def __init__(self, path: Path, toolchain: Toolchain, labels: Labels) -> None:
        """Take what `built_program` made."""
        self.path = path
        self.toolchain = toolchain
        self._intents, self._tags = len(labels.intents), len(labels.tags)

    def answer(self, texts: Sequence[tuple[int, bytes]], timeout: float = _RUN_SECONDS) -> list[Answer]:
        """Run texts.

        Args:
            texts: Number of a bucket (or `SMALLEST`) and the bytes.
            timeout: Seconds for all of them.

        Raises:
            StandaloneFailed: The program crashed, was out of time, reports an error, or wrote something else than numbers for every text.
        """
        folder = self.path.parent
        (folder / "texts.bin").write_bytes(b"".join(struct.pack("<iI", bucket, len(text)) + text for bucket, text in texts))
        (folder / "numbers.bin").unlink(missing_ok=True)
        finished = run_tool(self.toolchain.run(self.path, "texts.bin", "numbers.bin"), timeout, folder=folder)
        if finished.code != 0 or finished.timed_out:
            raise StandaloneFailed(f"the parser {finished.ending} on {self.toolchain.machine}", finished.diagnostics or finished.output)
        data = (folder / "numbers.bin").read_bytes()
        try:
            return list(self._read(data, [bucket for bucket, _ in texts]))
        except (struct.error, ValueError) as error:
            raise StandaloneFailed(f"the parser wrote {len(data)} bytes for {len(texts)} texts on {self.toolchain.machine}: {error}") from error

    def _read(self, data: bytes, buckets: Sequence[int]) -> Iterator[Answer]:
        place = 0
        for bucket in buckets:
            status, count, words = struct.unpack_from("<iii", data, place)
            if status not in (_OK, _TOO_LONG):
                raise ValueError(f"status {status}, whose meaning is in parser.h")
            intent = np.frombuffer(data, np.float32, self._intents, place + 12)
            tags = np.frombuffer(data, np.float32, words * self._tags, place + 12 + intent.nbytes)
            spans = np.frombuffer(data, np.int32, words * 2, place + 12 + intent.nbytes + tags.nbytes)
            place += 12 + intent.nbytes + tags.nbytes + spans.nbytes
            logits = Logits(intent.copy(), tags.reshape(words, self._tags).copy(), spans.reshape(words, 2).copy(), status == _TOO_LONG, bucket)
            yield Answer(count, logits)
        if place != len(data):
            raise ValueError(f"{len(data) - place} bytes are left over")


@contextmanager
def built_program(folder: Path, toolchain: Toolchain, labels: Labels) -> Iterator[Program]:
    """Build the program `replay` of a written parser, in a folder that is gone afterwards.

    Args:
        folder: As `compile.standalone.export` writes it.
        toolchain: For the target that it was written for.
        labels: Of the parser.

    Raises:
        StandaloneFailed: The C compiler refuses it, or warns.
    """
    with tempfile.TemporaryDirectory(prefix="pqrnn-standalone-") as place:
        program = Path(place) / "replay"
        sources = [folder / name for name in _SOURCES]
        options = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{folder}", f"-Wa,-I{folder}", *toolchain.cross.flags, *toolchain.options)
        finished = run_tool([toolchain.cross.compiler, *options, *sources, "-o", program, *toolchain.libraries, "-lm"], _BUILD_SECONDS)
        if finished.code != 0 or finished.timed_out:
            raise StandaloneFailed(f"{toolchain.cross.compiler} {finished.ending}", finished.diagnostics)
        yield Program(program, toolchain, labels)
