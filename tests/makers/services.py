"""A parser without code, and services around it in this process, on ports that are free."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from makers.runtime_fakes import fake_manifest, fake_variant
from runtime_py.assistant import Assistant
from runtime_py.decode.answers import Parse, Slot
from runtime_py.decode.calibration import Calibration, RightModel, SlotModel, Threshold
from runtime_py.decode.labels import Labels
from runtime_py.decode.rejection import choose_rejection
from runtime_py.errors import DeviceError, InputTooLongError
from runtime_py.execute.logits import Logits
from runtime_py.package_format.manifest import Manifest
from runtime_py.service.answering import Answerer
from runtime_py.service.http_server import bind_socket
from runtime_py.service.settings import ServiceSettings

LONGEST = 128
_CALIBRATION = Calibration(  # that there is one is what counts: the fake parser makes its scores up
    right=RightModel(intent=1.0, tags=1.0, bias=0.0),
    slots=SlotModel(tags=1.0, bias=0.0),
    scope=None,
    knots=((0.0, 0.0), (1.0, 1.0)),
    recommended=Threshold(of="score", least=0.6, kept=0.95, refused=0.9),
    error=0.01,
    error_before=0.05,
)


class FakeParser(Assistant):
    """Answers with the intent that is the first word, and a slot of the second; some texts are special."""

    def __init__(self, min_score: float | None = None, slot: str = "what") -> None:
        """Begin with nothing under way."""
        self.rejection = choose_rejection(min_score, None, "fake")
        self.slot = slot
        labels = Labels(("alarm", "music"), ("O", f"B-{slot}", f"I-{slot}"))
        self._manifest = msgspec.structs.replace(fake_manifest(), labels=labels, calibration=_CALIBRATION)
        self.variant = fake_variant()
        self.closed = False
        self.entered = threading.Event()  # a text "wait" is being answered
        self.go_on = threading.Event()  # it may be

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def __call__(self, text: str | bytes, *, alternatives: int = 0) -> Parse:
        assert isinstance(text, str)
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
        slots = (Slot(self.slot, rest, len(first) + 1, len(text)),) if rest else ()
        score = 0.5 if rest == "unsure" else 0.3 if " and " in text else 0.9
        words = len(text.split())
        return self.rejection.apply(Parse(first or "none", score, slots, text, False, words, calibrated=True))

    def logits(self, text: str) -> Logits:
        """Each "wake" speaks for an alarm, and each "play" for music; no word has a tag."""
        self(text)  # special texts are special here, too
        words = text.split()
        intent = np.array([4.0 * words.count("wake"), 4.0 * words.count("play")], np.float32)
        return Logits(intent, np.zeros((0, 3), np.float32), np.zeros((0, 2), np.int32), False, 0)

    def decide_logits(self, shown: str, raw: bytes, logits: Any, alternatives: int = 0) -> Parse:
        return self(shown)

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
    parsers: dict[str, FakeParser],
    *,
    queue: int = 100,
    values: Path | None = None,
    several: bool = False,
    **policy: Any,
) -> Iterator[int]:
    """Serve over Wyoming, and yield the port; `parsers` are by language."""
    from runtime_py.service.wyoming_events import Recognizer, WyomingPolicy, make_info
    from runtime_py.service.wyoming_server import Clients, make_parse, serve_clients

    options = {"ignored": frozenset({"none"}), "most": 1 << 16, "patience": 60.0} | policy
    recognizers = {
        language.casefold(): Recognizer(
            f"parser-{language}",
            language,
            Answerer(parser, queue),
            make_parse(parser, language, values, several),
        )
        for language, parser in parsers.items()
    }
    clients = Clients(recognizers, make_info(recognizers, "1"), WyomingPolicy(**options))
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
