"""Parts of the services that need no socket: settings, tokens, names of intents."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_py.errors import ServiceError
from runtime_py.service.http_server import bind_socket
from runtime_py.service.intent_names import join_intent, split_intent
from runtime_py.service.settings import is_loopback, read_token, require_service
from runtime_py.service.wyoming_server import bind_uri, split_language

_NAMES = st.text(st.characters(exclude_characters="()=,", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
_VALUES = st.text(st.characters(exclude_characters="()=,"), max_size=8)


@settings(max_examples=50)
@given(_NAMES, st.dictionaries(_NAMES, _VALUES, max_size=3))
def test_an_intent_with_slots_is_taken_apart_as_it_was_joined(name: str, slots: dict[str, str]) -> None:
    assert split_intent(join_intent(name, slots)) == (name, slots)


@pytest.mark.parametrize("label", ["IN:GET_WEATHER", "a(b)", "a()", "(b=c)", "a(b=c", "a(b=c,)", "none"])
def test_other_intents_have_no_slots_of_their_own(label: str) -> None:
    assert split_intent(label) == (label, {})


def test_marks_of_the_form_do_not_survive_in_a_value() -> None:
    assert split_intent(join_intent("a", {"b": "c(d),e=f"})) == ("a", {"b": "c d  e f"})


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("house", False)],
)
def test_loopback_is_this_machine_alone(host: str, own: bool) -> None:
    assert is_loopback(host) == own


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQRNN_TOKEN", raising=False)
    assert read_token(None) == ""
    monkeypatch.setenv("PQRNN_TOKEN", "0123456789abcdef")
    assert read_token(None) == "0123456789abcdef"
    path = tmp_path / "token"
    path.write_text("fedcba9876543210\n")
    assert read_token(path) == "fedcba9876543210"
    for bad in (b"short", b"", b"two words of a token", "fünfzehn-zeichen".encode(), b"\xff" * 20):
        path.write_bytes(bad)
        with pytest.raises(ServiceError, match="token"):
            read_token(path)
    with pytest.raises(ServiceError, match="No such file"):
        read_token(tmp_path / "nowhere")


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(ServiceError, match=r"no_such_module.*pqrnn\[serve\]"):
        require_service("serve", "sys", "no_such_module")


def test_languages_stand_before_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert split_language("de=home.pqrnn") == ("de", "home.pqrnn")
    assert split_language("home.pqrnn") == ("", "home.pqrnn")
    assert split_language("folder/a=b.pqrnn") == ("", "folder/a=b.pqrnn")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    assert split_language("a=b") == ("", "a=b")


@pytest.mark.parametrize(
    "uri",
    ["", "10500", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "tcp://:7", "http://a:1", "unix://", "tcp://[::1"],
)
def test_a_uri_of_another_form_is_refused(uri: str) -> None:
    with pytest.raises(ServiceError, match=r"expected tcp|Expected tcp"):
        bind_uri(uri)


def test_an_address_that_is_taken_or_not_ours_is_refused() -> None:
    with bind_socket("127.0.0.1", 0) as listener, pytest.raises(ServiceError, match="in use"):
        bind_socket("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(ServiceError, match="cannot listen"):
        bind_socket("192.0.2.1", 0)
    with pytest.raises(ServiceError, match="cannot listen"):
        bind_socket("no host", 0)


def test_a_socket_that_an_ended_service_left_makes_room_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    first, uri = bind_uri(f"unix://{path}")
    assert uri == f"unix://{path}"
    with pytest.raises(ServiceError, match="another service"):
        bind_uri(uri)
    first.close()
    second, _ = bind_uri(uri)
    second.close()
    os.unlink(path)
    path.write_text("a file of somebody")
    with pytest.raises(ServiceError, match="cannot listen"):
        bind_uri(uri)
    assert path.read_text() == "a file of somebody"
