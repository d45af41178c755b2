"""Compiling the C of a parser, and running the program on texts."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compile.standalone.errors import StandaloneError
from compile.standalone.toolchains import Toolchain
from compile.support.process import run_tool
from compile.support.scratch import scratch_folder
from compile.verify.reference import Prediction
from runtime_py.decode.labels import Labels
from runtime_py.package_format.manifest import Bucket
from runtime_py.tools.answers import EntryAnswers

SMALLEST = -1
_OK, _TOO_LONG = 0, 1
_SOURCES = ("parser.c", "player.c", "tables.c", "weights.S", "kernels.o", "replay.c")
_BUILD_SECONDS, _RUN_SECONDS = 600.0, 3600.0


@dataclass(frozen=True, slots=True)
class Parsed:
    """Answer of a built parser to a text.

    Attributes:
        count: Number of words in the text, including those for which there was no room.
        answer: Logits and spans of the words for which there was room.
    """

    count: int
    answer: Prediction


class Program:
    """The program `replay` of a parser, built for this machine or for one that is emulated here."""

    def __init__(self, path: Path, toolchain: Toolchain, labels: Labels) -> None:
        """Use a program that `built_program` has made.

        Args:
            path: Path of the program.
            toolchain: Toolchain that it was built with.
            labels: Labels of the parser.
        """
        self.path = path
        self.toolchain = toolchain
        self._intents, self._tags = len(labels.intents), len(labels.tags)

    def parse(self, texts: Sequence[tuple[int, bytes]], timeout: float = _RUN_SECONDS) -> list[Parsed]:
        """Run texts.

        Args:
            texts: Pairs of a bucket's number (or `SMALLEST`) and the bytes of the text.
            timeout: Seconds that all texts together may take.

        Raises:
            StandaloneError: The program crashed, was out of time, reports an error, or did not write an
                answer to every text.
        """
        folder = self.path.parent
        (folder / "texts.bin").write_bytes(
            b"".join(struct.pack("<iI", bucket, len(text)) + text for bucket, text in texts)
        )
        (folder / "numbers.bin").unlink(missing_ok=True)
        finished = run_tool(self.toolchain.run(self.path, "texts.bin", "numbers.bin"), timeout, folder=folder)
        if finished.code != 0 or finished.timed_out:
            raise StandaloneError(
                f"the parser {finished.ending} on {self.toolchain.machine}", finished.diagnostics or finished.output
            )
        data = (folder / "numbers.bin").read_bytes()
        try:
            return list(self._read(data, len(texts)))
        except (struct.error, ValueError) as error:
            raise StandaloneError(
                f"the parser wrote {len(data)} bytes for {len(texts)} texts on {self.toolchain.machine}: {error}"
            ) from error

    def answers(self, texts: Sequence[bytes]) -> list[Prediction]:
        """Return the answers that users get, each text in the smallest bucket that holds it.

        They are in the form that `compile.verify.parity.compare_answers` takes.
        """
        return [parsed.answer for parsed in self.parse([(SMALLEST, text) for text in texts])]

    def entry_answers(self, texts: Sequence[bytes], buckets: Sequence[Bucket]) -> tuple[EntryAnswers, ...]:
        """Return the answers of every entry to the texts that fit in it, for `compile.verify.replay.judge_entries`."""
        asked = [
            (number, index)
            for number, bucket in enumerate(buckets)
            for index, text in enumerate(texts)
            if len(text) <= bucket.bytes
        ]
        parsed = self.parse([(number, texts[index]) for number, index in asked])
        return tuple(
            _join(
                bucket,
                [
                    (index, said)
                    for (bucket_number, index), said in zip(asked, parsed, strict=True)
                    if bucket_number == number
                ],
            )
            for number, bucket in enumerate(buckets)
        )

    def _read(self, data: bytes, texts: int) -> Iterator[Parsed]:
        offset = 0
        for _ in range(texts):
            status, count, words = struct.unpack_from("<iii", data, offset)
            if status not in (_OK, _TOO_LONG):
                raise ValueError(f"status {status}, whose meaning is in parser.h")
            intent = np.frombuffer(data, np.float32, self._intents, offset + 12)
            tags = np.frombuffer(data, np.float32, words * self._tags, offset + 12 + intent.nbytes)
            spans = np.frombuffer(data, np.int32, words * 2, offset + 12 + intent.nbytes + tags.nbytes)
            offset += 12 + intent.nbytes + tags.nbytes + spans.nbytes
            yield Parsed(count, Prediction(intent, tags.reshape(words, self._tags), spans.reshape(words, 2)))
        if offset != len(data):
            raise ValueError(f"{len(data) - offset} bytes are left over")


def _join(bucket: Bucket, parsed: Sequence[tuple[int, Parsed]]) -> EntryAnswers:
    """Join the answers of one entry; at least one text fits every entry."""
    kept = [said.answer for _, said in parsed if said.count <= bucket.words]
    return EntryAnswers(
        entry=bucket.entry,
        index=np.array([index for index, _ in parsed], np.int32),
        count=np.array([said.count for _, said in parsed], np.int32),
        intent=np.stack([said.answer.intent for _, said in parsed]),
        tags=np.concatenate([answer.tags for answer in kept]),
        spans=np.concatenate([answer.spans for answer in kept]),
    )


@contextmanager
def built_program(folder: Path, toolchain: Toolchain, labels: Labels) -> Iterator[Program]:
    """Build the program `replay` of a written parser, in a folder that is removed afterwards.

    Args:
        folder: Folder that `compile.standalone.export` has written.
        toolchain: Toolchain for the target that the parser was written for.
        labels: Labels of the parser.

    Raises:
        StandaloneError: The C compiler fails or warns.
    """
    with scratch_folder("standalone") as scratch:
        program = scratch / "replay"
        sources = [folder / name for name in _SOURCES]
        options = (
            "-std=gnu11",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{folder}",
            f"-Wa,-I{folder}",
            *toolchain.cross.flags,
            *toolchain.options,
        )
        command: list[str | Path] = [
            toolchain.compiler.path,
            *options,
            *sources,
            "-o",
            program,
            *toolchain.libraries,
            "-lm",
        ]
        finished = run_tool(command, _BUILD_SECONDS, environment=toolchain.compiler.environment)
        if finished.code != 0 or finished.timed_out:
            raise StandaloneError(f"{toolchain.cross.compiler} {finished.ending}", finished.diagnostics)
        yield Program(program, toolchain, labels)
