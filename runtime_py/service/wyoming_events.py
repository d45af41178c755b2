"""The Wyoming service: what it answers to each event of a client."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wyoming.asr import Transcript
from wyoming.error import Error
from wyoming.event import Event, async_read_event
from wyoming.info import Attribution, Describe, Info, IntentModel, IntentProgram
from wyoming.intent import Entity, Intent, IntentsStart, IntentsStop, NotRecognized, Recognize
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler

from runtime_py.decode.answers import Parse, Slot
from runtime_py.errors import InputTooLongError, ParserError, ServiceBusyError
from runtime_py.service.answering import Answerer
from runtime_py.service.intent_names import split_intent
from runtime_py.values.names import Value
from runtime_py.values.readings import Normalised, number_in_digits

_ATTRIBUTION = Attribution(name="pqrnn", url="https://github.com/rhasspy/wyoming")
_logger = logging.getLogger(__name__)


class BadEventError(Exception):
    """A client sent what is no event, or too much of it; nothing more can be read from it."""


@dataclass
class Recognizer:
    """A parser of one language, or of any.

    Attributes:
        name: Name of the package.
        language: Its language, as ``de`` or ``de-CH``; empty where it was not said.
        answerer: What answers texts.
        parse: Gives the parses of a text: one, or one of each command. It may be exchanged while clients are served.
    """

    name: str
    language: str
    answerer: Answerer
    parse: Callable[[str], list[Parse]]


@dataclass(frozen=True)
class WyomingPolicy:
    """What the service decides beside the parser.

    Attributes:
        ignored: Intents that mean that nothing was meant; they are not recognized.
        most: Most bytes of an event.
        patience: Seconds that a client may be silent.
    """

    ignored: frozenset[str]
    most: int
    patience: float


class BoundedReader:
    """A stream that reads no part of more bytes than it is told; the library would read whatever a client announces."""

    def __init__(self, reader: asyncio.StreamReader, most: int) -> None:
        """Read from `reader`."""
        self._reader = reader
        self._most = most

    async def readline(self) -> bytes:
        """Return a line.

        Raises:
            BadEventError: It is too long, or is no object of JSON with a type.
        """
        try:
            return await self._reader.readline()
        except ValueError as error:
            raise BadEventError("the line of an event is too long") from error

    async def readexactly(self, count: object) -> bytes:
        """Return so many bytes.

        Raises:
            BadEventError: They are too many.
        """
        if type(count) is not int or count > self._most:
            raise BadEventError(f"an event announces {count!r} bytes, at most {self._most} are read")
        return await self._reader.readexactly(count)

    def at_eof(self) -> bool:
        """Say whether the client has closed its end, and everything was read."""
        return self._reader.at_eof()


def make_info(recognizers: Mapping[str, Recognizer], version: str) -> Info:
    """Return what the service says of itself: a model for each parser, with its language."""
    models = [
        IntentModel(
            name=each.name,
            attribution=_ATTRIBUTION,
            installed=True,
            description=f"pqrnn parser {each.name}",
            version=version,
            languages=[each.language] if each.language else [],
        )
        for each in recognizers.values()
    ]
    program = IntentProgram(
        name="pqrnn",
        attribution=_ATTRIBUTION,
        installed=True,
        description="Intents and slots from a tiny compiled parser",
        version=version,
        models=models,
    )
    return Info(intent=[program])


class WyomingHandler(AsyncEventHandler):
    """Answers the events of one client, each with one event; a sentence of several commands with one of each."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        recognizers: Mapping[str, Recognizer],
        info: Info,
        policy: WyomingPolicy,
    ) -> None:
        """Take the two ends of a connection and what all clients share."""
        super().__init__(reader, writer)
        self._bounded = BoundedReader(reader, policy.most)
        self._recognizers = recognizers
        self._info = info
        self._policy = policy
        self.busy = False  # whether an event is being answered
        self.ending = False  # whether the service ends, and this client with its next answer

    async def run(self) -> None:
        """Answer events until the client goes, is silent for too long, or sends what is no event."""
        try:
            while not self.ending:
                async with asyncio.timeout(self._policy.patience):
                    event = await self._read()
                if event is None:
                    break
                self.busy = True
                if not await self.handle_event(event):
                    break
                self.busy = False
        except BadEventError as error:
            await self._say(Error(text=f"{error}.", code="bad-event").event())
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client has gone, or is taken to be
        finally:
            await self.disconnect()
            self.writer.close()

    async def _read(self) -> Event | None:
        try:
            event = await async_read_event(self._bounded)  # type: ignore[arg-type]
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadEventError("an event is an object of JSON with a type, in a line of its own") from error
        if event is None and not self._bounded.at_eof():  # the library says nothing of what it could not read
            raise BadEventError("an event is an object of JSON with a type, in a line of its own")
        if event is not None and not (isinstance(event.type, str) and isinstance(event.data, dict)):
            raise BadEventError("the type of an event is a string, and its data are an object")
        return event

    async def _say(self, event: Event) -> None:
        with contextlib.suppress(ConnectionError):
            await self.write_event(event)

    async def handle_event(self, event: Event) -> bool:
        """Answer an event; false ends the connection."""
        if Describe.is_type(event.type):
            await self.write_event(self._info.event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=event.data.get("text")).event())
        elif Recognize.is_type(event.type) or Transcript.is_type(event.type):
            for answer in await self._recognize(event):
                await self.write_event(answer)
        else:
            said = f"events of the type {event.type[:64]!r} are not served; expected recognize, transcript or describe."
            await self.write_event(Error(text=said, code="unknown-event").event())
        return True

    async def _recognize(self, event: Event) -> list[Event]:
        text, context = event.data.get("text"), event.data.get("context")
        if not isinstance(text, str):
            return [Error(text=f"the data of {event.type!r} have no text.", code="bad-event").event()]
        if context is not None and not isinstance(context, dict):
            return [Error(text=f"the context of {event.type!r} is no object.", code="bad-event").event()]
        language = event.data.get("language") or (context or {}).get("language")
        recognizer = self._choose(language)
        if recognizer is None:
            said = f"no parser reads {language!r}; there are {', '.join(self._recognizers)}."
            return [NotRecognized(text=said, context=context).event()]
        try:
            (answer,), _ = await recognizer.answerer.ask([text], recognizer.parse)
        except ServiceBusyError as error:
            return [NotRecognized(text=str(error), context=context).event()]
        except ParserError as error:
            _logger.error("%s: %s", recognizer.name, error)
            return [NotRecognized(text=str(error), context=context).event()]
        if isinstance(answer, InputTooLongError):
            return [NotRecognized(text=str(answer), context=context).event()]
        return self._tell(answer, context)

    def _choose(self, language: object) -> Recognizer | None:
        """Return the parser of a language: that very one, else that of the same language elsewhere, else of any."""
        parsers = self._recognizers
        if not isinstance(language, str) or not language:
            return next(iter(parsers.values()))
        wanted = language.replace("_", "-").casefold()
        near = [key for key in parsers if key.partition("-")[0] == wanted.partition("-")[0]]
        for key in (wanted, wanted.partition("-")[0], *near, ""):
            if key in parsers:
                return parsers[key]
        return None

    def _tell(self, parses: list[Parse], context: dict[str, Any] | None) -> list[Event]:
        """Return the events of a sentence: all of its commands, or none where one of them was not recognized."""
        if any(parse.intent in self._policy.ignored or parse.outcome == "rejected" for parse in parses):
            return [NotRecognized(context=context).event()]
        intents = [make_intent(parse, context).event() for parse in parses]
        if len(intents) == 1:
            return intents
        return [IntentsStart(context=context).event(), *intents, IntentsStop(context=context).event()]


def make_intent(parse: Parse, context: dict[str, Any] | None) -> Intent:
    """Return a parse as the protocol has it; slots within the intent's name stand beside those of the text."""
    name, fixed = split_intent(parse.intent)
    entities = [Entity(name=slot.label, value=tell_value(slot)) for slot in parse.slots]
    entities += [Entity(name=label, value=value) for label, value in fixed.items()]
    return Intent(name=name, entities=entities, context=context)


def tell_value(slot: Slot) -> str | int | float:
    """Return what a slot stands for: what is known of it, else a number in digits, else its text.

    Of several readings the likeliest is told, since the protocol has room for one.
    """
    if isinstance(slot.value, Value) and slot.value.id is not None:
        return slot.value.id
    if isinstance(slot.value, Normalised) and slot.value.readings:
        return slot.value.readings[0].value
    number = number_in_digits(slot.text)
    return slot.text if number is None else number
