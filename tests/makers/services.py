"""A parser without code, and services around it in this process, on ports that are free."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from makers.runtime_fakes import fake_manifest, fake_variant
from runtime_py.decode.answers import Parse, Slot
from runtime_py.errors import DeviceError, InputTooLongError
from runtime_py.service.answering import Answerer
from runtime_py.service.http_server import bind_socket
from runtime_py.service.settings import ServiceSettings
from runtime_py.service.slot_values import SlotValues
from runtime_py.streaming import Partial, read_partial

LONGEST = 128


class FakeParser:
    """Answers with the intent that is the first word, and a slot of the second; some texts are special."""

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self.manifest = fake_manifest()
        self.variant = fake_variant()
        self.closed = False
        self.entered = threading.Event()  # a text "wait" is being answered
        self.go_on = threading.Event()  # it may be

    def __call__(self, text: str) -> Parse:
        if len(text.encode("utf-8", "replace")) > LONGEST:
            raise InputTooLongError(f"the text has more than {LONGEST} bytes")
        first, _, rest = text.partition(" ")
        if first == "wait":
            self.entered.set()
            assert self.go_on.wait(60)
        if first == "boom":
            raise DeviceError("the device failed")
        if first == "bug":
            raise ZeroDivisionError("a mistake")
        slots = (Slot("what", rest, len(first) + 1, len(text)),) if rest else ()
        return Parse(first or "none", 0.5 if rest == "unsure" else 0.9, slots, text, False, len(text.split()))

    def logits(self, text: str) -> SimpleNamespace:
        """Each "wake" speaks for an alarm, and each "play" for music."""
        self(text)  # special texts are special here, too
        words = text.split()
        return SimpleNamespace(intent=np.array([4.0 * words.count("wake"), 4.0 * words.count("play")], np.float32))

    def partial(self, text: str) -> Partial:
        return read_partial(self, text)  # type: ignore[arg-type]

    def close(self) -> None:
        self.closed = True


@contextmanager
def http_service(parser: FakeParser, **changes: Any) -> Iterator[int]:
    """Serve over HTTP, and yield the port."""
    import uvicorn

    from runtime_py.service.http import create_app

    settings = ServiceSettings(package="fake", **changes)
    app = create_app(parser, settings)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
    with bind_socket("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            parser.go_on.set()
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


@contextmanager
def wyoming_service(
    parsers: dict[str, FakeParser], *, queue: int = 100, values: SlotValues | None = None, **policy: Any
) -> Iterator[int]:
    """Serve over Wyoming, and yield the port; `parsers` are by language."""
    from runtime_py.service.wyoming_events import Recognizer, WyomingPolicy, make_info
    from runtime_py.service.wyoming_server import Clients, serve_clients

    options = {"min_score": 0.0, "ignored": frozenset({"none"}), "most": 1 << 16, "patience": 60.0} | policy
    recognizers = {
        language.casefold(): Recognizer(f"parser-{language}", language, Answerer(parser, queue))
        for language, parser in parsers.items()
    }
    clients = Clients(
        recognizers, make_info(recognizers, "1"), WyomingPolicy(values=values or SlotValues({}), **options)
    )
    state = SimpleNamespace(loop=None, stop=None)
    ready = threading.Event()

    async def run() -> None:
        state.loop, state.stop = asyncio.get_running_loop(), asyncio.Event()
        await serve_clients(listener, clients, 10.0, state.stop, ready.set)

    with bind_socket("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=asyncio.run, args=(run(),))
        thread.start()
        assert ready.wait(60)
        try:
            yield listener.getsockname()[1]
        finally:
            for parser in parsers.values():
                parser.go_on.set()
            state.loop.call_soon_threadsafe(state.stop.set)
            thread.join(60)
            assert not thread.is_alive()
