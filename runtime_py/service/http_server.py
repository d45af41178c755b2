"""Running the HTTP service: a socket, and one process or several that answer on it."""

import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec

from runtime_py.errors import ServiceError
from runtime_py.service.answering import load_parser
from runtime_py.service.settings import HTTP_NEEDS, VARIABLE, ServiceSettings, require_service

_BACKLOG = 2048
_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ServiceError: The address is taken, or none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ServiceError(
            f"cannot listen on {host} port {port} ({reason}). Choose others with --host and --port."
        ) from error


@contextmanager
def stop_signals_set_aside() -> Iterator[None]:
    """Let a server that handles signals end in peace: it raises them again afterwards, for the handler of before."""

    def ignore(number: int, frame: FrameType | None) -> None:
        return None

    before = {number: signal.signal(number, ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve_http(settings: ServiceSettings, host: str, port: int, workers: int, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; what is under way then is answered first.

    A worker that dies is replaced. SIGHUP exchanges the workers of a service with several, so that a package that was
    replaced meanwhile is loaded.

    Args:
        settings: What to serve.
        host: Address to listen on.
        port: Port; 0 for any that is free.
        workers: Number of processes.
        on_ready: Is told the address, once requests are taken.

    Raises:
        ServiceError: Something is not installed, or the address cannot be had.
        ParserError: The package cannot be loaded.
    """
    require_service(*HTTP_NEEDS)
    import uvicorn
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    options = {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "lifespan": "on",
        "ws": "none",
        "timeout_graceful_shutdown": max(1, round(settings.patience)),
    }
    parser = load_parser(settings)  # here, too, where workers load it: what is wrong is said once, and ends the command
    with bind_socket(host, port) as listener, stop_signals_set_aside():
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listener.getsockname()[1]}"
        if workers == 1:
            from runtime_py.service.http import create_app

            config = uvicorn.Config(create_app(parser, settings), **options)  # type: ignore[arg-type]
            on_ready(address)
            uvicorn.Server(config).run(sockets=[listener])
            return
        parser.close()
        with tempfile.TemporaryDirectory(prefix="pqrnn-metrics-") as folder:
            os.environ[VARIABLE] = msgspec.json.encode(settings).decode()
            os.environ[_FOLDER_VARIABLE] = folder
            config = uvicorn.Config(
                "runtime_py.service.http:worker_app",
                factory=True,
                workers=workers,
                **options,  # type: ignore[arg-type]
            )
            on_ready(address)
            supervisor = Multiprocess(config, sockets=[listener])
            supervisor.run()
            if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
                raise ServiceError("a worker could not start; what was logged before says why.")
