r"""Both services under load: 10,000 requests from 64 clients, each text another one, so that each answer is its own.

    python -m benchmarks.services [--package mtop-en.pqrnn] [--requests 10000] [--clients 64] [--workers 1]

Counted are requests without their own answer and answers that nobody asked for. Memory is what all processes of the
service hold after a fifth of the requests, and how much more after all of them. Then a worker of the HTTP service is
killed, and the time until requests are answered again is measured. Rows are kept in `results/assistant.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.hostile_packages import compile_tiny
from benchmarks.results import keep_results, print_rows, tell_command
from benchmarks.tiny_module import write_package
from pqrnn.evaluation.results import ResultRow

NAME = "assistant"
HTTP, WYOMING = "HTTP service", "Wyoming service"


class Answers(NamedTuple):
    """What came of requests.

    Attributes:
        lost: Requests that got no answer, or that of another.
        twice: Answers beyond one for each request.
    """

    lost: int
    twice: int


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Exchange = Callable[[Connection, str], Awaitable[str | None]]


async def _ask_http(connection: Connection, text: str) -> str | None:
    """Return the text that an answer is about."""
    reader, writer = connection
    body = json.dumps({"text": text}).encode()
    head = "POST /v1/parse HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    lengths = [line.partition(":")[2] for line in answer.splitlines() if line.lower().startswith("content-length")]
    document = json.loads(await reader.readexactly(int(lengths[0])))
    return document.get("text") if " 200 " in answer.partition("\r\n")[0] else None


async def _ask_wyoming(connection: Connection, text: str) -> str | None:
    from wyoming.event import async_read_event, async_write_event
    from wyoming.intent import Recognize

    reader, writer = connection
    await async_write_event(Recognize(text=text, context={"text": text}).event(), writer)
    event = await async_read_event(reader)
    if event is None or event.type not in ("intent", "not-recognized"):
        return None
    return event.data["context"]["text"]


async def ask_all(address: str, exchange: Exchange, texts: list[str], clients: int) -> Answers:
    """Share texts out to clients, which ask one after the other."""
    parts = urlsplit(address)
    waiting = iter(texts)
    asked = lost = twice = 0

    async def client() -> None:
        nonlocal asked, lost, twice
        connection = await asyncio.open_connection(parts.hostname, parts.port)
        for text in waiting:
            answered = await exchange(connection, text)
            asked += 1
            lost += answered != text
        connection[1].write_eof()
        twice += bool(await connection[0].read())  # whatever comes after the last answer
        connection[1].close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return Answers(lost + len(texts) - asked, twice)


@contextmanager
def _service(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "runtime_py", *arguments, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["address"]
            process.send_signal(signal.SIGTERM)
            if process.wait(60):
                raise SystemExit(f"the service ended with {process.returncode}")
        finally:
            process.kill()


def _family(process: int) -> list[int]:
    """Return a process and all below it."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return [process, *(each for child in children for each in _family(int(child)))]


def _memory(process: int) -> int:
    statuses = (Path(f"/proc/{each}/status").read_text(encoding="ascii") for each in _family(process))
    return sum(int(status.partition("VmRSS:")[2].split()[0]) << 10 for status in statuses)


def _processor_seconds(process: int) -> float:
    """Return the seconds of the processor that a service has used, which do not depend on what else runs."""
    ticks = 0
    for each in _family(process):
        fields = Path(f"/proc/{each}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _texts(count: int) -> list[str]:
    words = ("remind", "me", "at", "lights", "play", "jazz", "kitchen", "weather", "seven", "off")
    return [f"{words[n % 10]} {words[n // 10 % 10]} {words[n // 100 % 10]} number {n}" for n in range(count)]


def measure(work: str, process: int, address: str, exchange: Exchange, options: Any) -> list[ResultRow]:
    """Ask, and return rows."""
    texts = _texts(options.requests)
    worked = _processor_seconds(process)
    first = len(texts) // 5
    early = asyncio.run(ask_all(address, exchange, texts[:first], options.clients))
    before = _memory(process)
    late = asyncio.run(ask_all(address, exchange, texts[first:], options.clients))
    grown = _memory(process) - before
    worked = _processor_seconds(process) - worked
    figures = (
        ("requests lost", early.lost + late.lost, ""),
        ("answered twice", early.twice + late.twice, ""),
        ("processor time a request", 1e6 * worked / len(texts), "us"),
        ("memory", before, "bytes"),
        ("memory grown", grown, "bytes"),
    )
    note = f"{options.clients} clients"
    return [
        ResultRow(work=work, metric=metric, value=value, n=len(texts), unit=unit, note=note)
        for metric, value, unit in figures
    ]


def measure_restart(package: Path) -> list[ResultRow]:
    """Kill the one that answers, and wait for the next answer."""
    with _service("serve", str(package), "--port", "0", "--workers", "2") as (process, address):
        asyncio.run(ask_all(address, _ask_http, _texts(50), 8))
        workers = [each for each in _family(process.pid) if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        start = time.perf_counter()
        while True:
            try:
                asyncio.run(ask_all(address, _ask_http, _texts(1), 1))
                break
            except (OSError, asyncio.IncompleteReadError):
                if time.perf_counter() - start > 60:
                    raise
        seconds = time.perf_counter() - start
        after = asyncio.run(ask_all(address, _ask_http, _texts(500), 8))
    return [
        ResultRow(work=HTTP, metric="answers again after both workers were killed", value=seconds, n=1, unit="s"),
        ResultRow(work=HTTP, metric="requests lost after that", value=after.lost, n=500),
    ]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, help="a package; that of the tiny module by default")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1, help="processes of the HTTP service")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pqrnn-services-") as folder:
        package = options.package
        if package is None:
            package = Path(folder) / "tiny.pqrnn"
            write_package(package, compile_tiny())
        serve = ("serve", str(package), "--port", "0", "--workers", str(options.workers))
        with _service(*serve) as (process, address):
            rows = measure(HTTP, process.pid, address, _ask_http, options)
        with _service("wyoming", str(package), "--uri", "tcp://127.0.0.1:0") as (process, address):
            rows += measure(WYOMING, process.pid, address, _ask_wyoming, options)
        rows += measure_restart(package)
    if options.only_print:
        print_rows(NAME, rows)
    else:
        keep_results(NAME, rows, tell_command("benchmarks.services"), replace_works=[HTTP, WYOMING])


if __name__ == "__main__":
    main()
