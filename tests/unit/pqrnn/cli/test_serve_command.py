"""`pqrnn serve` and `pqrnn wyoming`: what is missing is said before anything is compiled."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import pqrnn.cli.serve
from pqrnn.cli.running import app
from runtime_py.errors import ServiceError
from runtime_py.service import settings


@pytest.mark.parametrize(("verb", "module"), [("serve", "uvicorn"), ("wyoming", "wyoming")])
def test_a_missing_extra_is_told_before_a_parser_of_the_zoo_is_compiled(
    verb: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_it(package: object) -> None:
        pytest.fail(f"{package} is compiled first")

    monkeypatch.setattr(settings, "find_spec", lambda name: None if name == module else name)
    monkeypatch.setattr(pqrnn.cli.serve, "find_package", compile_it)
    with pytest.raises(ServiceError, match=module):
        CliRunner().invoke(app, [verb, "mtop-en"], catch_exceptions=False, standalone_mode=False)
