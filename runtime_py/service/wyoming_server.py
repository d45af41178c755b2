"""Running the Wyoming service."""

import asyncio
import functools
import logging
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runtime_py.assistant import Assistant
from runtime_py.decode.answers import Parse
from runtime_py.errors import ParserError, ServiceError
from runtime_py.service.answering import Answerer, load_parser
from runtime_py.service.http_server import bind_socket, stop_signals_set_aside
from runtime_py.service.settings import WYOMING_NEEDS, ServiceSettings, require_service
from runtime_py.values.files import load_values

if TYPE_CHECKING:
    from wyoming.info import Info

    from runtime_py.service.wyoming_events import Recognizer, WyomingHandler, WyomingPolicy

MOST_CLIENTS = 512
_SILENCE = 600.0  # seconds
_logger = logging.getLogger(__name__)


def split_language(argument: str) -> tuple[str, str]:
    """Return the language and the package of ``de=home.pqrnn``; the language is empty where there is none."""
    language, equals, path = argument.partition("=")
    if not equals or Path(argument).exists() or "/" in language or not language or len(language) > 35:
        return "", argument
    return language, path


def bind_uri(uri: str) -> tuple[socket.socket, str]:
    """Return a socket that listens on a URI, and the URI with the port that was got.

    Raises:
        ServiceError: The URI is not ``tcp://HOST:PORT`` or ``unix://PATH``, or the address cannot be had.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ServiceError(f"{uri}: {error}. Expected tcp://HOST:PORT or unix://PATH.") from error
    if parts.scheme == "unix" and (path := parts.netloc + parts.path):
        return _bind_unix(Path(path)), uri
    if parts.scheme != "tcp" or not host or port is None or parts.path not in ("", "/"):
        raise ServiceError(f"{uri}: expected tcp://HOST:PORT or unix://PATH, such as tcp://127.0.0.1:10500.")
    listener = bind_socket(host, port)
    name = f"[{host}]" if ":" in host else host
    return listener, f"tcp://{name}:{listener.getsockname()[1]}"


def _bind_unix(path: Path) -> socket.socket:
    """Listen on a path; what an ended service has left there makes room, and nothing else does."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                try:
                    client.connect(str(path))
                    raise ServiceError(f"{path}: another service listens there.")
                except ConnectionRefusedError:
                    path.unlink()
        listener.bind(str(path))
        listener.listen(128)
    except BaseException as error:
        listener.close()
        if isinstance(error, OSError):
            raise ServiceError(f"{path}: cannot listen there ({error.strerror or error}).") from error
        raise
    return listener


def serve_wyoming(
    packages: Sequence[tuple[str, ServiceSettings]],
    uri: str,
    on_ready: Callable[[str], None],
    *,
    ignored: Sequence[str] = ("none",),
    values: str | Path | None = None,
    several: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM; what is being answered then is answered first.

    SIGHUP reads the file of values again.

    Args:
        packages: Languages with what to serve; an empty language stands for any.
        uri: Where to listen: ``tcp://HOST:PORT`` or ``unix://PATH``.
        on_ready: Is told the address, once clients are taken.
        ignored: Intents that are not recognized.
        values: File of names, of texts with their values, and of kinds of slots (`runtime_py.values.files`).
        several: Whether a text may hold several commands.

    Raises:
        ServiceError: Something is not installed, a language comes twice, or the address cannot be had.
        ValuesError: The file of values cannot be read, or names slots that a parser lacks.
        CalibrationMissingError: A text may hold several commands, and a package cannot tell.
        ParserError: A package cannot be loaded.
    """
    require_service(*WYOMING_NEEDS)
    from runtime_py.service.wyoming_events import Recognizer, WyomingPolicy, make_info

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    most = packages[0][1].body
    policy = WyomingPolicy(frozenset(ignored), most, _SILENCE)
    recognizers: dict[str, Recognizer] = {}
    makers: dict[str, Callable[[], Callable[[str], list[Parse]]]] = {}
    with ExitStack() as stack:
        for language, settings in packages:
            key = language.replace("_", "-").casefold()
            if key in recognizers:
                raise ServiceError(f"{settings.package}: the language {language!r} comes twice; say LANGUAGE=PACKAGE.")
            parser = stack.enter_context(load_parser(settings))
            answerer = stack.enter_context(Answerer(parser, settings.queue))
            if several:
                parser.parse_all("")  # what cannot be is said before a client is served
            make = functools.partial(make_parse, parser, language, values, several)
            recognizers[key] = Recognizer(parser.manifest.name, language, answerer, make())
            makers[key] = make
        listener, address = bind_uri(uri)
        stack.callback(listener.close)
        if listener.family == socket.AF_UNIX:
            stack.callback(Path(listener.getsockname()).unlink, missing_ok=True)
        stack.enter_context(stop_signals_set_aside())
        clients = Clients(recognizers, make_info(recognizers, _version()), policy)
        asyncio.run(
            _serve(
                listener,
                clients,
                packages[0][1].patience,
                lambda: on_ready(address),
                lambda: exchange_parses(recognizers, makers),
            )
        )


def make_parse(
    parser: Assistant, language: str, values: str | Path | None, several: bool
) -> Callable[[str], list[Parse]]:
    """Return what gives the parses of a text, by a parser that knows what a file of values says.

    Args:
        parser: The parser.
        language: Its language, or empty.
        values: The file, or None.
        several: Whether a text may hold several commands.

    Raises:
        ValuesError: The file cannot be read, or names slots that the parser lacks.
    """
    told = parser if values is None else load_values(values).give(parser, locale=language)
    return told.parse_all if several else lambda text: [told(text)]


def exchange_parses(
    recognizers: "Mapping[str, Recognizer]", makers: Mapping[str, Callable[[], Callable[[str], list[Parse]]]]
) -> None:
    """Take what the file of values says now; one that is wrong changes nothing, and is logged."""
    try:
        made = {key: make() for key, make in makers.items()}
    except ParserError as error:
        _logger.error("the values stay as they were: %s", error)
        return
    for key, parse in made.items():
        recognizers[key].parse = parse


def _version() -> str:
    for name in ("pqrnn-runtime", "pqrnn"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


class Clients:
    """The clients that are connected."""

    def __init__(self, recognizers: "Mapping[str, Recognizer]", info: "Info", policy: "WyomingPolicy") -> None:
        """Take what all of them share."""
        self._shared = (recognizers, info, policy)
        self._tasks: dict[asyncio.Task[None], WyomingHandler] = {}

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a client until it goes; one that is too many is told so."""
        from wyoming.error import Error
        from wyoming.event import async_write_event

        from runtime_py.service.wyoming_events import WyomingHandler

        if len(self._tasks) >= MOST_CLIENTS:
            said = Error(text=f"{MOST_CLIENTS} clients are connected already.", code="busy")
            with suppress(ConnectionError):
                await async_write_event(said.event(), writer)
            writer.close()
            return
        handler = WyomingHandler(reader, writer, *self._shared)
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = handler
        try:
            await handler.run()
        except asyncio.CancelledError:
            pass  # by `dismiss`
        except Exception:
            _logger.exception("a client's event could not be answered")
        finally:
            del self._tasks[task]

    async def dismiss(self, patience: float) -> None:
        """Let go of clients that wait for nothing, and of the others after their answers."""
        tasks = dict(self._tasks)
        for task, handler in tasks.items():
            handler.ending = True
            if not handler.busy:
                task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience)
            for task in late:
                task.cancel()


async def serve_clients(
    listener: socket.socket, clients: Clients, patience: float, stop: asyncio.Event, on_ready: Callable[[], None]
) -> None:
    """Answer clients of a socket that listens, until `stop` is set."""
    start = asyncio.start_unix_server if listener.family == socket.AF_UNIX else asyncio.start_server
    server = await start(clients.welcome, sock=listener)
    try:
        on_ready()
        await stop.wait()
    finally:
        server.close()
        await clients.dismiss(patience)


async def _serve(
    listener: socket.socket,
    clients: Clients,
    patience: float,
    on_ready: Callable[[], None],
    on_change: Callable[[], None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, on_change)
    await serve_clients(listener, clients, patience, stop, on_ready)
