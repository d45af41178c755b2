"""The HTTP service as an ASGI application."""

import asyncio
import hmac
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from runtime_py.errors import InputTooLongError, ParserError, ServiceBusyError
from runtime_py.service.answering import Answer, Answerer, Found, describe_package, load_parser
from runtime_py.service.messages import (
    BatchRequest,
    ParseRequest,
    RequestError,
    answer_document,
    problem_document,
    read_request,
)
from runtime_py.service.metrics import CONTENT_TYPE_LATEST, Metrics
from runtime_py.service.openapi import describe_service
from runtime_py.service.settings import VARIABLE, ServiceSettings
from runtime_py.streaming import HOLD, Partial

if TYPE_CHECKING:
    from runtime_py.service.answering import ServedParser

_OPEN = ("/health", "/openapi.json")  # told without a token
_CODES = {404: "no_such_path", 405: "wrong_method"}
_logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


class _Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


class _Service:
    """The routes, and what they need."""

    def __init__(self, parser: "ServedParser", settings: ServiceSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.answerer = Answerer(parser, settings.queue)
        self._partial = parser.partial
        self._facts = describe_package(parser)
        self._description = describe_service(settings.batch, bool(settings.token))

    def routes(self) -> list[Route]:
        table: tuple[tuple[str, str, Handler], ...] = (
            ("/v1/parse", "POST", self.parse),
            ("/v1/parse_batch", "POST", self.parse_batch),
            ("/v1/partial", "POST", self.partial),
            ("/v1/package", "GET", self.package),
            ("/health", "GET", self.health),
            ("/metrics", "GET", self.figures),
            ("/openapi.json", "GET", self.description),
        )
        return [Route(path, self._guarded(path, handler), methods=[method]) for path, method, handler in table]

    async def parse(self, request: Request) -> Response:
        message = read_request(await self._read_body(request), ParseRequest)
        (answer,) = await self._answer([message.text])
        return self._tell_one(answer)

    async def partial(self, request: Request) -> Response:
        message = read_request(await self._read_body(request), ParseRequest)
        (answer,) = await self._count(1, self.answerer.ask([message.text], self._partial, HOLD))
        return self._tell_one(answer)

    async def parse_batch(self, request: Request) -> Response:
        texts = read_request(await self._read_body(request), BatchRequest).texts
        most = self.settings.batch
        if len(texts) > most:
            raise RequestError(413, "too_many_texts", f"{len(texts)} texts; at most {most} go into one request.")
        return _Json({"parses": [answer_document(answer) for answer in await self._answer(texts)]})

    async def package(self, request: Request) -> Response:
        return _Json(self._facts)

    async def health(self, request: Request) -> Response:
        return _Json({"status": "ok", "pending": self.answerer.pending})

    async def figures(self, request: Request) -> Response:
        self.metrics.pending.set(self.answerer.pending)
        return Response(self.metrics.render(), media_type=CONTENT_TYPE_LATEST)

    async def description(self, request: Request) -> Response:
        return _Json(self._description)

    @staticmethod
    def _tell_one(answer: Answer | Partial) -> Response:
        if isinstance(answer, InputTooLongError):
            raise RequestError(422, "text_too_long", str(answer))
        return _Json(answer.to_dict())

    async def _answer(self, texts: Sequence[str]) -> list[Answer]:
        return await self._count(len(texts), self.answerer.answer(texts))

    async def _count(
        self, count: int, question: Awaitable[tuple[list[Found | InputTooLongError], float]]
    ) -> list[Found | InputTooLongError]:
        """Wait for the answers to so many texts, and put them into the figures."""
        start = time.perf_counter()
        try:
            answers, seconds = await question
        except ServiceBusyError as error:
            self.metrics.texts.labels("refused").inc(count)
            raise RequestError(503, "busy", str(error), {"retry-after": "1"}) from error
        long = sum(isinstance(answer, InputTooLongError) for answer in answers)
        for outcome, number in (("parsed", len(answers) - long), ("too_long", long)):
            if number:
                self.metrics.texts.labels(outcome).inc(number)
        self.metrics.parser_seconds.inc(seconds)
        self.metrics.seconds.observe(time.perf_counter() - start)
        return answers

    async def _read_body(self, request: Request) -> bytes:
        """Read a body that says that it is JSON: no page of another site may send that without being asked first."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RequestError(415, "wrong_type", f"the content type is {kind!r}, expected 'application/json'.")
        if (encoding := request.headers.get("content-encoding", "identity").lower()) != "identity":
            raise RequestError(415, "wrong_encoding", f"the content encoding is {encoding!r}; send it uncompressed.")
        most, patience = self.settings.body, self.settings.patience
        body = bytearray()
        try:
            async with asyncio.timeout(patience):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise RequestError(
                            413, "too_large", f"the request has more than {most} bytes.", {"connection": "close"}
                        )
        except TimeoutError as error:
            said = f"the request did not arrive within {patience:g} s."
            raise RequestError(408, "too_slow", said, {"connection": "close"}) from error
        return bytes(body)

    def _guarded(self, path: str, handler: Handler) -> Handler:
        """Check who asks before a handler runs, and count what becomes of the request."""

        async def guard(request: Request) -> Response:
            try:
                self._check_host(request)
                if path not in _OPEN:
                    self._check_token(request)
                response = await handler(request)
            except RequestError as error:
                response = _Json(problem_document(error.code, str(error)), error.status, error.headers)
            except ClientDisconnect:
                response = Response(status_code=499)  # nobody reads it; it is counted
            except ParserError as error:
                _logger.error("%s: %s", path, error)
                response = _Json(problem_document("failed", str(error)), 500)
            except Exception:
                _logger.exception("%s failed", path)
                response = _Json(problem_document("failed", "the service failed; its log says why."), 500)
            self.metrics.requests.labels(path, str(response.status_code)).inc()
            return response

        return guard

    def _check_host(self, request: Request) -> None:
        """Refuse requests that another name led here: so a web page asks whose name was pointed to this machine."""
        hosts = self.settings.hosts
        name = request.headers.get("host", "")
        name = name.rpartition(":")[0] if name.rpartition(":")[2].isdecimal() else name
        if hosts and name.lower() not in hosts:
            raise RequestError(421, "wrong_host", f"the host is {name!r}, expected one of {', '.join(hosts)}.")

    def _check_token(self, request: Request) -> None:
        token = self.settings.token
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if token and not (scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())):
            raise RequestError(
                401,
                "wrong_token",
                "the header 'Authorization: Bearer TOKEN' is missing or wrong.",
                {"www-authenticate": "Bearer"},
            )


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer a path or a method that there is not."""
    assert isinstance(error, HTTPException)
    allowed = (error.headers or {}).get("Allow", "")
    said = f"{request.method} {request.url.path}: "
    said += f"the methods are {allowed}." if allowed else "there is no such path; /openapi.json names all of them."
    code = _CODES.get(error.status_code, "wrong_request")
    return _Json(problem_document(code, said), error.status_code, error.headers)


def create_app(parser: "ServedParser", settings: ServiceSettings) -> Starlette:
    """Return the application around a parser; the parser is closed when the application ends."""
    service = _Service(parser, settings)

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        service.answerer.close()
        parser.close()

    app = Starlette(routes=service.routes(), lifespan=life, exception_handlers={HTTPException: _refuse})
    app.router.redirect_slashes = False
    return app


def worker_app() -> Starlette:
    """Return the application of a worker process, whose settings are in a variable of its environment."""
    settings = msgspec.json.decode(os.environ[VARIABLE], type=ServiceSettings)
    return create_app(load_parser(settings), settings)
