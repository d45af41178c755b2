"""The HTTP service around a parser without code: good requests, and every kind of bad one."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers.services import LONGEST, FakeParser, http_service

from runtime_py.service.openapi import describe_service

_JSON = {"content-type": "application/json"}


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.document["error"]["code"]  # type: ignore[no-any-return]


def _ask(
    port: int, path: str, body: object = None, headers: dict[str, str] | None = None, method: str | None = None
) -> _Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method or ("GET" if data is None else "POST"), path, data, _JSON if headers is None else headers)
    response = connection.getresponse()
    answer = _Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())
    connection.close()
    return answer


@pytest.fixture(scope="module")
def parser() -> FakeParser:
    return FakeParser()


@pytest.fixture(scope="module")
def port(parser: FakeParser) -> Iterator[int]:
    hosts = ("127.0.0.1", "localhost")
    with http_service(parser, queue=8, batch=4, body=2000, patience=0.2, hosts=hosts) as port:
        yield port
    assert parser.closed


def test_one_text_is_answered_as_the_command_line_prints_it(port: int) -> None:
    answer = _ask(port, "/v1/parse", {"text": "play some jazz"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.document == FakeParser()("play some jazz").to_dict()


def test_a_batch_is_answered_in_order_and_long_texts_in_their_places(port: int) -> None:
    parses = _ask(port, "/v1/parse_batch", {"texts": ["a", "x" * (LONGEST + 1), "b c"]}).document["parses"]
    assert [parse.get("intent") for parse in parses] == ["a", None, "b"]
    assert parses[1]["error"]["code"] == "text_too_long"


def test_the_beginning_of_a_text_says_which_intents_can_still_win(port: int) -> None:
    texts = ["", "wake", "wake play", "play wake wake wake", "play wake wake wake wake wake wake"]
    answers = [_ask(port, "/v1/partial", {"text": text}) for text in texts]
    assert [answer.document for answer in answers] == [FakeParser().partial(text).to_dict() for text in texts]
    assert [answer.document["settled"] for answer in answers] == [False, False, False, False, True]
    assert [each["intent"] for each in answers[3].document["candidates"]] == ["alarm", "music"]
    schemas = _ask(port, "/openapi.json").document["components"]["schemas"]
    assert set(schemas["PartialDocument"]["properties"]) == set(answers[0].document)
    assert set(schemas["CandidateDocument"]["properties"]) == set(answers[0].document["candidates"][0])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b'{"texts": ["a"]}', 422, "invalid_request"),
        (b'{"text": 7}', 422, "invalid_request"),
        (b'{"text": "' + b"x" * (LONGEST + 1) + b'"}', 422, "text_too_long"),
        (b'{"text": "boom"}', 500, "failed"),
    ],
)
def test_a_bad_beginning_is_answered_with_what_is_wrong(port: int, body: bytes, status: int, code: str) -> None:
    answer = _ask(port, "/v1/partial", body)
    assert (answer.status, answer.code) == (status, code)
    assert _ask(port, "/v1/partial", {"text": "a"}).status == 200
    assert _ask(port, "/v1/partial").status == 405


def test_a_beginning_takes_its_place_in_the_queue_and_in_the_figures() -> None:
    parser = FakeParser()
    with http_service(parser, queue=4) as port:
        waiting: list[_Answer] = []
        thread = threading.Thread(target=lambda: waiting.append(_ask(port, "/v1/partial", {"text": "wait"})))
        thread.start()
        assert parser.entered.wait(60)
        assert _ask(port, "/health").document["pending"] == 4  # as many as it costs
        refused = _ask(port, "/v1/partial", {"text": "a"})
        parser.go_on.set()
        thread.join()
        assert (refused.status, refused.code, waiting[0].status) == (503, "busy", 200)
        assert _ask(port, "/health").document["pending"] == 0
        lines = _ask(port, "/metrics").body.decode().splitlines()
    assert 'pqrnn_requests_total{route="/v1/partial",status="200"} 1.0' in lines
    assert 'pqrnn_texts_total{outcome="parsed"} 1.0' in lines


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_arrives_as_it_was_sent(port: int, text: str) -> None:
    if text.partition(" ")[0] not in ("boom", "bug", "wait"):
        assert _ask(port, "/v1/parse", {"text": text}).document["text"] == text


def test_facts_health_and_description(port: int, parser: FakeParser) -> None:
    facts = _ask(port, "/v1/package").document
    assert facts["intents"] == ["alarm", "music"]
    assert facts["slots"] == ["what"]
    assert facts["longest_text"] == {"bytes": 128, "words": 16}
    assert _ask(port, "/health").document["status"] == "ok"
    document = _ask(port, "/openapi.json").document
    assert document == describe_service(4, False)
    assert set(document["components"]["schemas"]["ParseDocument"]["properties"]) <= set(parser("a").to_dict())


def test_every_reference_of_the_description_leads_somewhere() -> None:
    document = describe_service(4, True)
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
    assert set(references) <= set(document["components"]["schemas"])
    assert {"ParseRequest", "BatchRequest", "ParseDocument", "ProblemDocument", "SlotDocument"} <= set(references)
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "security" not in describe_service(4, False)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b'{"text": ', 400, "invalid_json"),
        (b'{"text": "\xff"}', 400, "invalid_json"),
        (b'{"text": "\\ud800"}', 400, "invalid_json"),
        (b"[" * 1900, 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b"null", 422, "invalid_request"),
        (b'"text"', 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"text": null}', 422, "invalid_request"),
        (b'{"text": 7}', 422, "invalid_request"),
        (b'{"text": ["a"]}', 422, "invalid_request"),
        (b'{"txt": "a"}', 422, "invalid_request"),
        (b'{"text": "a", "lang": "en"}', 422, "invalid_request"),
        (b'{"text": "' + b"x" * (LONGEST + 1) + b'"}', 422, "text_too_long"),
        (b'{"text": "' + b"x" * 2000 + b'"}', 413, "too_large"),
    ],
)
def test_a_bad_body_is_answered_with_what_is_wrong(port: int, body: bytes, status: int, code: str) -> None:
    answer = _ask(port, "/v1/parse", body)
    assert (answer.status, answer.code) == (status, code)
    assert answer.document["error"]["message"]


@pytest.mark.parametrize(
    ("texts", "status", "code"),
    [
        ([], 422, "invalid_request"),
        ("abc", 422, "invalid_request"),
        (["a", 1], 422, "invalid_request"),
        (["a"] * 5, 413, "too_many_texts"),
    ],
)
def test_a_bad_batch_is_answered_with_what_is_wrong(port: int, texts: object, status: int, code: str) -> None:
    answer = _ask(port, "/v1/parse_batch", {"texts": texts})
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    ("path", "method", "headers", "status", "code"),
    [
        ("/", None, _JSON, 404, "no_such_path"),
        ("/v1/parse/", "POST", _JSON, 404, "no_such_path"),
        ("/v1/parse", "GET", _JSON, 405, "wrong_method"),
        ("/v1/parse", "PUT", _JSON, 405, "wrong_method"),
        ("/health", "POST", _JSON, 405, "wrong_method"),
        ("/v1/parse", "POST", {}, 415, "wrong_type"),
        ("/v1/parse", "POST", {"content-type": "text/plain"}, 415, "wrong_type"),
        ("/v1/parse", "POST", _JSON | {"content-encoding": "gzip"}, 415, "wrong_encoding"),
        ("/v1/parse", "POST", _JSON | {"host": "evil.example"}, 421, "wrong_host"),
        ("/v1/package", "GET", {"host": "evil.example:80"}, 421, "wrong_host"),
    ],
)
def test_a_request_that_is_none_of_ours_is_told_so(
    port: int, path: str, method: str, headers: dict[str, str], status: int, code: str
) -> None:
    body = b'{"text": "a"}' if method in ("POST", "PUT") else None
    answer = _ask(port, path, body, headers, method)
    assert (answer.status, answer.code) == (status, code)
    if status == 405:
        assert answer.headers["allow"]


def test_json_may_be_named_with_its_encoding_and_a_host_with_its_port(port: int) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8", "host": f"LOCALHOST:{port}"}
    assert _ask(port, "/v1/parse", b'{"text": "a"}', headers).status == 200


def test_a_body_that_never_comes_is_given_up(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"POST /v1/parse HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
        client.sendall(b"content-length: 9\r\n\r\n{")
        said = b""
        while chunk := client.recv(4096):  # until the service hangs up
            said += chunk
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"too_slow" in said


def test_a_client_that_goes_in_the_middle_harms_nobody(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"POST /v1/parse HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
        client.sendall(b"content-length: 9\r\n\r\n{")
    assert _ask(port, "/v1/parse", {"text": "a"}).status == 200


@pytest.mark.parametrize(("text", "said"), [("boom", "the device failed"), ("bug", "its log says why")])
def test_a_failure_is_an_answer_and_the_next_request_is_served(port: int, text: str, said: str) -> None:
    answer = _ask(port, "/v1/parse", {"text": text})
    assert (answer.status, answer.code) == (500, "failed")
    assert said in answer.document["error"]["message"]
    assert "mistake" not in answer.document["error"]["message"]
    assert _ask(port, "/v1/parse", {"text": "a"}).status == 200


def test_what_does_not_fit_the_queue_is_refused_at_once(port: int, parser: FakeParser) -> None:
    waiting: list[_Answer] = []
    first = threading.Thread(
        target=lambda: waiting.append(_ask(port, "/v1/parse_batch", {"texts": ["wait", "b", "c"]}))
    )
    first.start()
    assert parser.entered.wait(60)
    second = threading.Thread(target=lambda: waiting.append(_ask(port, "/v1/parse_batch", {"texts": ["d"] * 4})))
    second.start()
    while _ask(port, "/health").document["pending"] < 7:
        pass
    refused = _ask(port, "/v1/parse_batch", {"texts": ["e", "f"]})
    parser.go_on.set()
    first.join()
    second.join()
    assert (refused.status, refused.code) == (503, "busy")
    assert refused.headers["retry-after"] == "1"
    assert [answer.status for answer in waiting] == [200, 200]
    assert _ask(port, "/health").document["pending"] == 0


def test_requests_texts_and_seconds_are_counted() -> None:
    with http_service(FakeParser()) as port:
        for text in ("a", "b", "x" * 200):
            _ask(port, "/v1/parse", {"text": text})
        _ask(port, "/v1/parse_batch", {"texts": ["c", "d"]})
        _ask(port, "/nowhere/at/all")
        figures = _ask(port, "/metrics")
        assert figures.headers["content-type"].startswith("text/plain")
        lines = figures.body.decode().splitlines()
    assert 'pqrnn_requests_total{route="/v1/parse",status="200"} 2.0' in lines
    assert 'pqrnn_requests_total{route="/v1/parse",status="422"} 1.0' in lines
    assert 'pqrnn_texts_total{outcome="parsed"} 4.0' in lines
    assert 'pqrnn_texts_total{outcome="too_long"} 1.0' in lines
    assert "pqrnn_request_seconds_count 4.0" in lines
    assert not any("nowhere" in line for line in lines)  # paths of strangers would fill the memory


def test_a_token_opens_everything_but_health() -> None:
    token = "a-token-of-some-length"
    with http_service(FakeParser(), token=token) as port:
        for path in ("/v1/package", "/metrics"):
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": token}, {"authorization": "é"}):
                refused = _ask(port, path, None, headers)
                assert (refused.status, refused.code) == (401, "wrong_token")
                assert refused.headers["www-authenticate"] == "Bearer"
            assert _ask(port, path, None, {"authorization": f"bearer {token}"}).status == 200
        assert _ask(port, "/v1/parse", b'{"text": "a"}').status == 401
        assert _ask(port, "/health").status == 200


def test_what_is_under_way_is_answered_before_the_end() -> None:
    parser = FakeParser()
    answers: list[_Answer] = []
    with http_service(parser) as port:
        client = threading.Thread(target=lambda: answers.append(_ask(port, "/v1/parse", {"text": "wait here"})))
        client.start()
        assert parser.entered.wait(60)
    client.join(60)
    assert answers[0].document["intent"] == "wait"
