"""`serve` and `wyoming` of both command lines."""

import json as json_library
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from runtime_py.service.settings import ServiceSettings, is_loopback, read_token
from runtime_py.streams import complain, write_line

HTTP_PORT = 8080
WYOMING_URI = "tcp://127.0.0.1:10500"
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def run_http(
    settings: ServiceSettings, *, host: str, port: int, workers: int, token_file: str | Path | None, json: bool
) -> int:
    """Serve over HTTP, and return the exit code.

    Raises:
        ParserError: The service cannot be started.
    """
    from runtime_py.service.http_server import serve_http

    token = read_token(token_file)
    hosts = (*_LOCAL_NAMES, host.lower()) if is_loopback(host) and not token else ()
    if not is_loopback(host) and not token:
        complain(f"warning: {host} can be reached by others, and no token is asked for (--token-file).")
    settings = _change(settings, token=token, hosts=hosts)
    what = f"{Path(settings.package).name}, {workers} process{'es' if workers > 1 else ''}"
    serve_http(settings, host, port, workers, _announce(what, json))
    return 0


def run_wyoming(
    packages: Sequence[tuple[str, str]],
    settings: ServiceSettings,
    *,
    uri: str,
    ignored: Sequence[str],
    values: str | Path | None,
    several: bool,
    json: bool,
) -> int:
    """Serve over Wyoming, and return the exit code.

    Args:
        packages: Languages and paths of packages.
        settings: What holds for all of them.
        uri: Where to listen.
        ignored: Intents that are not recognized.
        values: File of names, of texts with their values, and of kinds of slots.
        several: Whether a text may hold several commands.
        json: Whether the address is announced as JSON.

    Raises:
        ParserError: The service cannot be started.
    """
    from runtime_py.service.wyoming_server import serve_wyoming

    each = [(language, _change(settings, package=path)) for language, path in packages]
    names = ", ".join(Path(path).name for _, path in packages)
    serve_wyoming(each, uri, _announce(names, json), ignored=ignored, values=values, several=several)
    return 0


def _announce(what: str, json: bool) -> Callable[[str], None]:
    """Return what says, on a line of standard output, that requests are taken."""

    def announce(address: str) -> None:
        document = json_library.dumps({"serving": what, "address": address})
        write_line(document if json else f"serving {what} on {address}; Ctrl-C ends it")

    return announce


def _change(settings: ServiceSettings, **changes: object) -> ServiceSettings:
    return msgspec.structs.replace(settings, **changes)
