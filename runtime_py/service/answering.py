"""The parser of a service: a thread of its own that answers texts one after the other, and a bound on how many wait."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from runtime_py.decode.answers import Parse
from runtime_py.decode.tags import TagScheme
from runtime_py.engines import Parser, is_native_folder
from runtime_py.errors import InputTooLongError, ServiceBusyError, ServiceError
from runtime_py.service.settings import ServiceSettings

if TYPE_CHECKING:
    from runtime_py.native.package_parser import PackagedNativeParser
    from runtime_py.parser import Parser as PackageParser

    ServedParser = PackageParser | PackagedNativeParser

Found = TypeVar("Found")
Answer = Parse | InputTooLongError


def load_parser(settings: ServiceSettings) -> "ServedParser":
    """Load the package of a service, and run it once, so that nobody waits for its first call.

    Raises:
        ParserError: It cannot be loaded on this machine.
        ServiceError: It is a folder of native libraries, which say less than a service is asked for.
    """
    if is_native_folder(settings.package):
        raise ServiceError(
            f"{settings.package}: a folder of native libraries. Serve a package; one with libraries (`pqrnn compile "
            "--native`) is run by them."
        )
    parser: ServedParser = Parser.load(
        settings.package,
        engine=settings.engine,
        variant=settings.variant,
        device=settings.device,
        on_long="truncate" if settings.truncate else "error",
        min_score=settings.min_score,
    )
    parser.warmup()
    return parser


class Answerer:
    """Answers texts in the order in which they come, on one thread, so that the event loop stays free.

    The bound is on texts, not on requests, since a batch is as much work as its texts are.
    """

    def __init__(self, parse: Callable[[str], Parse], queue: int) -> None:
        """Start with nothing to do.

        Args:
            parse: What answers a text; it is called on one thread alone.
            queue: Most texts that wait or are answered at a time.
        """
        self._parse = parse
        self._queue = queue
        self._pending = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pqrnn-parser")

    @property
    def pending(self) -> int:
        """Number of texts that wait or are being answered."""
        return self._pending

    async def answer(self, texts: Sequence[str]) -> tuple[list[Answer], float]:
        """Return a parse of each text, and the seconds that the parser took for them.

        A text that is too long has an error in the place of its parse.

        Raises:
            ServiceBusyError: Too many texts wait already. A request that is larger than the queue is taken when
                nothing else waits.
        """
        return await self.ask(texts, self._parse)

    async def ask(
        self, texts: Sequence[str], question: Callable[[str], Found], cost: int = 1
    ) -> tuple[list[Found | InputTooLongError], float]:
        """Return what something else than a parse answers to each text, and the seconds that it took.

        Args:
            texts: The texts.
            question: What answers a text, on the thread of the parser.
            cost: How many texts in the queue one such answer counts for.

        Raises:
            ServiceBusyError: As `answer`.
        """
        count = len(texts) * cost
        if self._pending and self._pending + count > self._queue:
            raise ServiceBusyError(
                f"{self._pending} texts wait already, and at most {self._queue} may (--queue). Try again in a second."
            )
        self._pending += count
        # The thread does the counting down where the request is given up meanwhile: the work is done all the same.
        future = asyncio.get_running_loop().run_in_executor(self._thread, _answer_each, tuple(texts), question)
        future.add_done_callback(lambda done: self._release(done, count))
        return await asyncio.shield(future)

    def _release(self, done: asyncio.Future[Any], count: int) -> None:
        self._pending -= count
        if not done.cancelled():
            done.exception()  # looked at, so that asyncio does not complain where nobody waits any more

    def close(self) -> None:
        """Wait for what is under way."""
        self._thread.shutdown(wait=True)

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is under way."""
        self.close()


def _answer_each(
    texts: Sequence[str], question: Callable[[str], Found]
) -> tuple[list[Found | InputTooLongError], float]:
    start = time.perf_counter()
    answers: list[Found | InputTooLongError] = []
    for text in texts:
        try:
            answers.append(question(text))
        except InputTooLongError as error:
            answers.append(error.with_traceback(None))
    return answers, time.perf_counter() - start


def describe_package(parser: "ServedParser") -> dict[str, Any]:
    """Return what a client wants to know about a package."""
    manifest = parser.manifest
    return {
        "name": manifest.name,
        "digest": manifest.digest,
        "target": parser.variant.target,
        "intents": list(manifest.labels.intents),
        "slots": list(TagScheme(manifest.labels.tags).slots),
        "longest_text": {"bytes": manifest.buckets[-1].bytes, "words": manifest.buckets[-1].words},
    }
