"""One entry of a compiled module with the texts of a call, and the memory that the call takes in a fresh process.

    python -m benchmarks.calls < CALL.json

`measure_memory` runs this command, which imports nothing but the runtime and prints one line of JSON.
"""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
from pathlib import Path

import msgspec

from runtime_py.execute.entry import EntryFunction
from runtime_py.execute.session import Session
from runtime_py.package_format.manifest import Bucket
from runtime_py.tools.memory import resident_bytes

_CALLS = 3


class Call(msgspec.Struct, frozen=True):
    """An entry and its texts.

    Attributes:
        size: Size of the point on its axis.
        module: Path of the compiled module.
        bucket: Length bucket of the entry.
        batch: Number of texts that the entry takes.
        texts: Texts of one call, as UTF-8.
        intents: Number of intents.
        tags: Number of tags.
        threads: Number of worker threads; 1 for the calling thread alone.
    """

    size: int
    module: str
    bucket: Bucket
    batch: int
    texts: list[bytes]
    intents: int
    tags: int
    threads: int = 1

    def open(self) -> EntryFunction:
        """Load the module, mapped as a package's is, ready to be called."""
        with Path(self.module).open("rb") as stream:
            code = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        session = Session(code, [], self.intents, self.tags, self.threads)
        return EntryFunction(
            session.device,
            session.context,
            session.module,
            self.bucket,
            self.intents,
            self.tags,
            self.module,
            self.batch,
        )


class Memory(msgspec.Struct, frozen=True):
    """Resident memory of a fresh process.

    Attributes:
        loaded: Bytes of the loaded module.
        called: Bytes that calls take beyond it.
    """

    loaded: int
    called: int


def run_call(entry: EntryFunction, call: Call) -> None:
    """Call an entry once, from bytes to arrays."""
    if call.batch == 1:
        entry.run(call.texts[0])
    else:
        entry.run_batch(call.texts)


def measure_memory(call: Call) -> Memory:
    """Return the memory of a call in a fresh process.

    Raises:
        CalledProcessError: The process failed.
    """
    command = [sys.executable, "-m", "benchmarks.calls"]
    done = subprocess.run(
        command, input=msgspec.json.encode(call), cwd=Path(__file__).parents[1], capture_output=True, check=True
    )
    return msgspec.json.decode(done.stdout, type=Memory)


def _measure_here() -> None:
    call = msgspec.json.decode(sys.stdin.buffer.read(), type=Call)
    before = resident_bytes()
    entry = call.open()
    loaded = resident_bytes()
    for _ in range(_CALLS):
        run_call(entry, call)
    print(json.dumps({"loaded": loaded - before, "called": resident_bytes() - loaded}))


if __name__ == "__main__":
    _measure_here()
