"""What the add-on of Home Assistant runs: the Wyoming service, as its options say."""

import sys
import urllib.request
from os import environ
from pathlib import Path
from socket import gethostname
from typing import Annotated, Literal

import msgspec

from runtime_py.errors import ParserError, ServiceError
from runtime_py.service.commands import run_wyoming
from runtime_py.service.settings import ServiceSettings
from runtime_py.streams import complain

OPTIONS, SHARE = Path("/data/options.json"), Path("/share/pqrnn")
PORT = 10500
_SUPERVISOR = "http://supervisor/discovery"


class ParserOption(msgspec.Struct):
    """A parser: its language, and its package in the share."""

    language: str
    package: str


class Options(msgspec.Struct):
    """The options of the add-on, as `config.yaml` has them."""

    parsers: Annotated[list[ParserOption], msgspec.Meta(min_length=1)]
    min_score: float | Literal["recommended"] = 0.5
    values: str | None = None
    several: bool = False


def read_options(path: Path) -> Options:
    """Read the options that Home Assistant has written.

    Raises:
        ServiceError: They cannot be read, or are of another form.
    """
    try:
        # A form of Home Assistant has one type a field: what is a number or a word arrives as a word.
        return msgspec.convert(msgspec.json.decode(path.read_bytes()), Options, strict=False)
    except OSError as error:
        raise ServiceError(f"{path}: cannot be read ({error.strerror}).") from error
    except msgspec.DecodeError as error:
        raise ServiceError(f"{path}: {error}. Look at the add-on's options.") from error


def announce(address: str, token: str) -> None:
    """Tell Home Assistant where the service is, so that it offers to add it; without that, a person can add it."""
    body = msgspec.json.encode({"service": "wyoming", "config": {"uri": address}})
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    try:
        urllib.request.urlopen(urllib.request.Request(_SUPERVISOR, body, headers), timeout=10).close()
    except OSError as error:
        complain(f"warning: Home Assistant was not told of {address} ({error}); add it by hand.")


def main(options: Path = OPTIONS, share: Path = SHARE, port: int = PORT) -> int:
    """Serve until the add-on is stopped, and return the exit code."""
    try:
        chosen = read_options(options)
        packages = [(each.language, str(share / each.package)) for each in chosen.parsers]
        if token := environ.get("SUPERVISOR_TOKEN"):
            announce(f"tcp://{gethostname()}:{port}", token)
        return run_wyoming(
            packages,
            ServiceSettings(package=packages[0][1], min_score=chosen.min_score),
            uri=f"tcp://0.0.0.0:{port}",
            ignored=("none",),
            values=share / chosen.values if chosen.values else None,
            several=chosen.several,
            json=False,
        )
    except ParserError as error:
        complain(f"error: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
