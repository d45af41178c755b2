"""The Wyoming service around a parser without code, asked by the library's own client over a socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers.services import LONGEST, FakeParser, wyoming_service
from wyoming.asr import Transcript
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.intent import Intent, IntentsStart, NotRecognized, Recognize
from wyoming.ping import Ping, Pong

from runtime_py.decode.answers import Parse
from runtime_py.errors import ServiceError, ValuesError
from runtime_py.service.ask import ask, main
from runtime_py.service.http_server import bind_socket
from runtime_py.service.wyoming_server import exchange_parses, make_parse


@pytest.fixture(scope="module")
def parsers() -> dict[str, FakeParser]:
    return {"de": FakeParser(min_score=0.6), "en-GB": FakeParser(min_score=0.6)}


@pytest.fixture(scope="module")
def port(parsers: dict[str, FakeParser], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    values = tmp_path_factory.mktemp("values") / "values.json"
    values.write_text('{"what": {"alle Jalousien": "blind", "half": 50}, "of_another_parser": {"x": 1}}')
    with wyoming_service(parsers, queue=4, values=values) as port:
        yield port


def _ask(port: int, *events: Event) -> list[Event]:
    """Send events over one connection, each after the answer to the one before."""

    async def run() -> list[Event]:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            answers = []
            for event in events:
                await client.write_event(event)
                answer = await client.read_event()
                assert answer is not None
                answers.append(answer)
            return answers

    return asyncio.run(asyncio.wait_for(run(), 60))


def _send(port: int, data: bytes) -> list[dict[str, Any]]:
    """Send bytes, and return the heads and data of what comes until the service hangs up."""

    async def run() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        await writer.drain()
        return await reader.read()

    said = asyncio.run(asyncio.wait_for(run(), 60))
    events = []
    while said:
        line, _, said = said.partition(b"\n")
        head = json.loads(line)
        size = head.get("data_length", 0)
        events.append(head | {"data": json.loads(said[:size] or b"{}")})
        said = said[size:]
    return events


def test_the_service_says_its_languages(port: int) -> None:
    (answer,) = _ask(port, Describe().event())
    (program,) = Info.from_event(answer).intent
    assert program.installed
    assert [(model.name, model.languages) for model in program.models] == [
        ("parser-de", ["de"]),
        ("parser-en-GB", ["en-GB"]),
    ]


@pytest.mark.parametrize("kind", [Recognize, Transcript])
def test_a_text_becomes_an_intent_with_its_slots(port: int, kind: type[Recognize | Transcript]) -> None:
    (answer,) = _ask(port, kind(text="play some jazz", context={"conversation_id": "7"}).event())
    intent = Intent.from_event(answer)
    assert (intent.name, [(entity.name, entity.value) for entity in intent.entities]) == (
        "play",
        [("what", "some jazz")],
    )
    assert intent.context == {"conversation_id": "7"}


def test_slots_that_are_part_of_the_intent_are_sent_beside_those_of_the_text(port: int) -> None:
    (answer,) = _ask(port, Recognize(text="HassTurnOff(domain=cover,device_class=awning) Alle  jalousien").event())
    intent = Intent.from_event(answer)
    assert intent.name == "HassTurnOff"
    assert {entity.name: entity.value for entity in intent.entities} == {
        "what": "blind",
        "domain": "cover",
        "device_class": "awning",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [("half", 50), ("40 %", 40), ("-3", -3), ("21,5°", 21.5), ("21.5 °C", 21.5), ("3 lamps", "3 lamps"), ("x2", "x2")],
)
def test_numbers_in_digits_are_numbers(port: int, text: str, value: object) -> None:
    (answer,) = _ask(port, Recognize(text=f"dim {text}").event())
    assert Intent.from_event(answer).entities[0].value == value


_VALUES = """
[kinds]
what = "time"
[names.what]
"light.k1" = ["reading light"]
[texts.what]
"full blast" = 100
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("the Reading-Light", "light.k1"),
        ("raeding light", "light.k1"),
        ("FULL  blast", 100),
        ("full blasts", "full blasts"),
        ("half past six in the evening", "18:30"),
        ("half past six", "06:30"),  # the likeliest
        ("21,5°", 21.5),
        ("a lamp of nobody", "a lamp of nobody"),
    ],
)
def test_names_texts_and_kinds_of_a_file_are_known_at_run_time(house_port: int, text: str, value: object) -> None:
    (answer,) = _ask(house_port, Recognize(text=f"on {text}").event())
    assert Intent.from_event(answer).entities[0].value == value


@pytest.fixture(scope="module")
def house_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("house") / "house.toml"
    path.write_text(_VALUES)
    with wyoming_service({"en": FakeParser(min_score=0.6)}, values=path, several=True) as port:
        yield port


def test_several_commands_are_several_intents_in_order(house_port: int) -> None:
    async def run() -> list[Event | None]:
        async with AsyncTcpClient("127.0.0.1", house_port) as client:
            context = {"conversation_id": "7"}
            await client.write_event(Recognize(text="on reading light and lock and dim 30 %", context=context).event())
            await client.write_event(Recognize(text="lock door").event())
            await client.write_event(Recognize(text="lock door and none of it").event())
            await client.write_event(Recognize(text="lock door and play unsure").event())
            return [await client.read_event() for _ in range(8)]

    events = [event for event in asyncio.run(asyncio.wait_for(run(), 60)) if event is not None]
    assert [event.type for event in events] == [
        "intents-start", "intent", "intent", "intent", "intents-stop", "intent", "not-recognized", "not-recognized",
    ]  # fmt: skip
    assert IntentsStart.from_event(events[0]).context == {"conversation_id": "7"}
    intents = [Intent.from_event(event) for event in events[1:4]]
    assert [(each.name, [entity.value for entity in each.entities]) for each in intents] == [
        ("on", ["light.k1"]),
        ("lock", []),
        ("dim", [30]),
    ]
    assert all(each.context == {"conversation_id": "7"} for each in intents)


def test_several_intents_are_shown_on_the_command_line(house_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"tcp://127.0.0.1:{house_port}", "on reading light and lock"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["type"] == "intents"
    assert [each["name"] for each in said["intents"]] == ["on", "lock"]


def test_values_are_exchanged_and_wrong_ones_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "house.toml"
    path.write_text("[names]\nwhat = ['attic']\n")
    parser = FakeParser()

    def make() -> Callable[[str], list[Parse]]:
        return make_parse(parser, "en", path, False)

    recognizer = SimpleNamespace(parse=make())

    def resolve() -> object:
        return recognizer.parse("on Atic")[0].slots[0].value.id

    assert resolve() == "attic"
    for wrong in ("[names", "[names]\nroom = ['x']\n"):
        path.write_text(wrong)
        exchange_parses({"en": recognizer}, {"en": make})  # type: ignore[dict-item]
        assert resolve() == "attic"
    path.write_text("[names.what]\ntop = ['Atic']\n")
    exchange_parses({"en": recognizer}, {"en": make})  # type: ignore[dict-item]
    assert resolve() == "top"
    path.write_text("[names]\nroom = ['x']\n")
    with pytest.raises(ValuesError, match="'room' is no slot of this parser, which has what"):
        make()


@pytest.mark.parametrize("text", ["none of it", "play unsure", "x" * (LONGEST + 1), "boom", ""])
def test_what_is_not_meant_not_sure_too_long_or_failed_is_not_recognized(port: int, text: str) -> None:
    answers = _ask(port, Recognize(text=text).event(), Recognize(text="play on").event())
    assert NotRecognized.is_type(answers[0].type)
    assert Intent.is_type(answers[1].type)  # over the same connection


@pytest.mark.parametrize(
    ("language", "served"), [("de", True), ("de-AT", True), ("EN_gb", True), ("en", True), ("fr", False), (7, True)]
)
def test_a_language_chooses_the_parser(port: int, language: object, served: bool) -> None:
    (answer,) = _ask(port, Event("transcript", {"text": "play on", "language": language}))
    assert Intent.is_type(answer.type) == served
    if not served:
        assert "fr" in (NotRecognized.from_event(answer).text or "")


@pytest.mark.parametrize(
    "event",
    [
        Event("recognize", {}),
        Event("recognize", {"text": None}),
        Event("recognize", {"text": ["a"]}),
        Event("recognize", {"text": "a", "context": "b"}),
        Event("audio-start", {"rate": 16000}),
        Event("recognise", {"text": "a"}),
    ],
)
def test_a_bad_event_is_answered_and_the_next_one_is_served(port: int, event: Event) -> None:
    answers = _ask(port, event, Ping(text="still").event())
    assert Error.is_type(answers[0].type)
    assert Error.from_event(answers[0]).text
    assert Pong.is_type(answers[1].type)


@pytest.mark.parametrize(
    "data",
    [
        b"hello\n",
        b"\n",
        b"[1]\n",
        b"7\n",
        b"null\n",
        b"{}\n",
        b'{"type": 3}\n',
        b'{"type": "recognize", "data": []}\n',
        b'{"type": "recognize", "data": null}\n',
        b'{"type": "recognize", "data_length": 99999999999}\n',
        b'{"type": "recognize", "data_length": "9"}\n',
        b'{"type": "recognize", "data_length": 1e9}\n',
        b'{"type": "recognize", "data_length": 3}\n[1]',
        b'{"type": "recognize", "data_length": 4}\n\xff\xff\xff\xff',
        b'{"type": "recognize", "payload_length": 99999999999}\n',
        b"[" * 50000 + b"\n",
        b"x" * 70000 + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_what_is_no_event_is_answered_with_an_error_and_ends_the_connection(port: int, data: bytes) -> None:
    (answer,) = _send(port, data)
    assert answer["type"] == "error"
    assert answer["data"]["code"] == "bad-event"


@settings(max_examples=30)
@given(st.text(max_size=20))
def test_any_text_comes_back_as_it_was_sent(port: int, text: str) -> None:
    text = "play " + text.encode("utf-8", "replace").decode()
    if text == "play unsure" or text[5:].strip()[:1] in set("+-0123456789"):
        return
    (answer,) = _ask(port, Recognize(text=text).event())
    entities = Intent.from_event(answer).entities
    assert [entity.value for entity in entities] == ([text[5:]] if text[5:] else [])


def test_events_that_are_sent_at_once_are_answered_in_order(port: int) -> None:
    async def run() -> list[str]:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            for number in range(50):
                await client.write_event(Recognize(text=f"intent{number}").event())
            answers = [await client.read_event() for _ in range(50)]
            return [answer.data["name"] for answer in answers if answer]

    assert asyncio.run(asyncio.wait_for(run(), 60)) == [f"intent{number}" for number in range(50)]


def test_a_full_queue_says_so_and_an_end_waits_for_what_is_under_way() -> None:
    parser = FakeParser()
    answers: list[Event] = []
    with wyoming_service({"": parser}, queue=1) as port:
        waiting = threading.Thread(target=lambda: answers.extend(_ask(port, Recognize(text="wait here").event())))
        waiting.start()
        assert parser.entered.wait(60)
        (refused,) = _ask(port, Recognize(text="play on").event())
        assert "1 texts wait" in (NotRecognized.from_event(refused).text or "")
    waiting.join(60)
    assert Intent.from_event(answers[0]).name == "wait"


def test_a_text_can_be_asked_from_the_command_line(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"tcp://127.0.0.1:{port}"
    assert main([uri, "play some jazz", "de"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["type"], said["name"], said["entities"]) == (
        "intent",
        "play",
        [{"name": "what", "value": "some jazz"}],
    )
    assert main([uri, "none of it"]) == 1
    assert main([uri]) == 2
    assert main(["http://127.0.0.1", "a"]) == 2
    assert capsys.readouterr().err.count("error: ") == 2


def test_a_service_that_is_not_there_is_given_up() -> None:
    with bind_socket("127.0.0.1", 0) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ServiceError, match="tcp://127"):
        asyncio.run(ask(address, "a", patience=0.3))
