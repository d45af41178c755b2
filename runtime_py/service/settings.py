"""What a service is told: which package, where to listen, and how much it takes at most."""

import ipaddress
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

from runtime_py.engines import Engine
from runtime_py.errors import ServiceError

# How a worker process is told its settings: the server library starts it with nothing but the name of a function.
VARIABLE = "PQRNN_SERVE_SETTINGS"
TOKEN_VARIABLE = "PQRNN_TOKEN"
_SHORTEST_TOKEN = 16


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a service.

    Attributes:
        package: Path of the package.
        variant: Name of a variant; None for the one that fits this machine best.
        device: ``auto``, ``cpu`` or ``gpu``.
        engine: What runs the parser: ``iree``, the package's ``native`` library, or ``auto`` for the library where it
            runs (`runtime_py.engines.Parser.load`).
        truncate: Whether a text that is too long is read as far as it fits, instead of being refused.
        min_score: Least score of a parse that is not rejected, or ``recommended`` for the threshold of the package.
        queue: Most texts that wait for the parser of a worker at a time; more are refused at once.
        batch: Most texts in one request.
        body: Most bytes of a request.
        patience: Seconds that a request may take to arrive, and that a stop waits for answers that are under way.
        token: What a request has to bring as its bearer token; empty for none.
        hosts: Names of this service that a request may use in its ``Host`` header; empty for any.
    """

    package: str
    variant: str | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"
    engine: Engine = "auto"
    truncate: bool = False
    min_score: float | Literal["recommended"] | None = None
    queue: int = 1024
    batch: int = 256
    body: int = 1 << 20
    patience: float = 10.0
    token: str = ""
    hosts: tuple[str, ...] = ()


HTTP_NEEDS = ("serve", "starlette", "uvicorn", "prometheus_client")
WYOMING_NEEDS = ("wyoming", "wyoming")
"""The extra of each service, and its modules, as `require_service` takes them."""


def require_service(extra: str, *modules: str) -> None:
    """Say which extra to install where a module is absent.

    Raises:
        ServiceError: A module of the extra is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ServiceError(
            f"this needs {', '.join(missing)}, which the base install leaves out: pip install 'pqrnn[{extra}]', or "
            f"'pqrnn-runtime[{extra}]' on a board"
        )


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: str | Path | None) -> str:
    """Return the token in a file, or else in $PQRNN_TOKEN, or else none: the command line is for everybody to see.

    Raises:
        ServiceError: The file cannot be read, or what it holds is no token.
    """
    if path is None:
        text, where = os.environ.get(TOKEN_VARIABLE, ""), f"${TOKEN_VARIABLE}"
        if not text:
            return ""
    else:
        where = str(path)
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ServiceError(f"{where}: the token cannot be read ({reason}).") from error
    token = text.strip()
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ServiceError(
            f"{where}: a token is one word of at least {_SHORTEST_TOKEN} ASCII characters, this one has {len(token)}. "
            "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token
