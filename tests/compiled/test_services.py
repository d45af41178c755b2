"""Both services as processes: from the command line, with compiled code, until a signal ends them."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from makers.native import build_package
from makers.runtime_fakes import fake_parity
from tiny_package import compile_module

from runtime_py import Parser as AnyParser
from runtime_py.errors import ServiceError
from runtime_py.parser import Parser
from runtime_py.service.answering import load_parser
from runtime_py.service.settings import ServiceSettings

_TEXT = "wake me up"


@contextmanager
def _service(module: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a service, and yield the process and the address that it announces."""
    command = [sys.executable, "-m", module, *arguments, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            yield process, json.loads(line)["address"]
        finally:
            process.kill()


def _end(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal, and return what was written to standard error; the end has to be a good one."""
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def _parse(address: str, text: str = _TEXT) -> Any:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("POST", "/v1/parse", json.dumps({"text": text}), {"content-type": "application/json"})
    return json.loads(connection.getresponse().read())


def _figure(address: str, name: str) -> float:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("GET", "/metrics")
    match = re.search(rf"^{re.escape(name)} (.*)$", connection.getresponse().read().decode(), re.MULTILINE)
    return float(match[1]) if match else 0.0


def test_a_service_answers_as_a_parser_does_and_ctrl_c_ends_it_well(tiny_path: Path) -> None:
    with Parser.load(tiny_path) as parser, _service("pqrnn", "serve", str(tiny_path), "--port", "0") as service:
        process, address = service
        assert _parse(address) == parser(_TEXT).to_dict()
        assert _end(process, signal.SIGINT) == ""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev")
def test_a_library_of_the_package_serves_without_the_runtime_and_answers_alike(tmp_path: Path) -> None:
    """A board with a native library needs no IREE for its services, either."""
    package = build_package(
        tmp_path / "home.pqrnn", tmp_path / "work", compile_module(), parity=fake_parity(True), unverified_reason=None
    )
    for engine, loaded in (("native", False), ("auto", False), ("iree", True)):
        with AnyParser.load(package, engine=engine) as parser:
            expected = parser(_TEXT).to_dict()
        with _service("runtime_py", "serve", str(package), "--port", "0", "--engine", engine) as (process, address):
            assert _parse(address) == expected
            assert ("iree" in Path(f"/proc/{process.pid}/maps").read_text()) is loaded
            assert _end(process, signal.SIGINT) == ""
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "native.json").write_text("{}")
    with pytest.raises(ServiceError, match=r"alone: a folder of native libraries\. Serve a package"):
        load_parser(ServiceSettings(package=str(tmp_path / "alone")))


def test_a_worker_that_is_killed_is_replaced_and_figures_are_those_of_all(tiny_path: Path) -> None:
    arguments = ("serve", str(tiny_path), "--port", "0", "--workers", "2")
    with _service("runtime_py", *arguments) as (process, address):
        answer = _parse(address)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        assert len(workers) == 2
        for worker in workers:  # no old one is left to answer
            os.kill(worker, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:
            try:
                again = _parse(address)
                break
            except (OSError, http.client.HTTPException):  # a connection that a killed worker had taken
                assert time.monotonic() < deadline
        assert again == answer
        assert _figure(address, 'pqrnn_texts_total{outcome="parsed"}') >= 2.0
        assert _end(process, signal.SIGTERM) == ""


def test_a_package_that_cannot_be_loaded_is_said_once_and_nothing_listens(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runtime_py", "serve", str(tmp_path), "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) in done.stderr


def test_home_assistant_is_answered_as_a_parser_does(tiny_path: Path, tmp_path: Path) -> None:
    from wyoming.client import AsyncClient
    from wyoming.info import Describe, Info
    from wyoming.intent import Intent, Recognize

    values = tmp_path / "house.toml"
    arguments = ["wyoming", f"en={tiny_path}", "--uri", f"unix://{tmp_path / 'socket'}", "--ignore", "nothing"]
    arguments += ["--values", str(values), "--min-score", "0"]

    async def ask(address: str) -> tuple[Info, Intent]:
        async with AsyncClient.from_uri(address) as client:
            await client.write_event(Describe().event())
            info = await client.read_event()
            await client.write_event(Recognize(text=_TEXT).event())
            intent = await client.read_event()
            assert info is not None
            assert intent is not None
            return Info.from_event(info), Intent.from_event(intent)

    with Parser.load(tiny_path) as parser:
        parse = parser(_TEXT)
    slot = parse.slots[0]
    values.write_text("# nothing yet")
    with _service("pqrnn", *arguments) as (process, address):
        info, intent = asyncio.run(asyncio.wait_for(ask(address), 60))
        assert info.intent[0].models[0].languages == ["en"]
        assert intent.name == parse.intent
        assert [(each.name, each.value) for each in intent.entities] == [
            (slot.label, slot.text) for slot in parse.slots
        ]
        values.write_text(f'[texts."{slot.label}"]\n"{slot.text.upper()}" = 7\n')
        process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while intent.entities[0].value == slot.text and time.monotonic() < end:
            _, intent = asyncio.run(asyncio.wait_for(ask(address), 60))
        assert intent.entities[0].value == 7
        assert _end(process, signal.SIGTERM) == ""
    assert not (tmp_path / "socket").exists()
