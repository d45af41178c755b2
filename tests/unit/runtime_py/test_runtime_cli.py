"""The command line of a board, as far as it needs no compiled code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from makers.runtime_fakes import fake_manifest, write_fake

from runtime_py.cli import _read_options, main
from runtime_py.tools.presentation import Table, plain_text

VERBS = ("parse", "check", "bench", "inspect", "serve", "wyoming")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write_fake(tmp_path / "fake.pqrnn", fake_manifest())
    return tmp_path / "fake.pqrnn"


def _help(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "runtime_py", *arguments, "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_help_names_every_verb_and_shows_how() -> None:
    said = _help()
    for verb in VERBS:
        assert f"pqrnn {verb} home.pqrnn" in said
    assert "exit codes" in said


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(verb: str) -> None:
    assert f"example: pqrnn {verb} home.pqrnn" in " ".join(_help(verb).split())


def test_help_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys\n"
        "from runtime_py.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'numpy', 'iree', 'msgspec'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)


def test_inspect_prints_the_document_of_the_large_command_line(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(package), "--json"]) == 0
    own = json.loads(capsys.readouterr().out)
    large = subprocess.run(
        [sys.executable, "-m", "pqrnn", "inspect", str(package), "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert own == json.loads(large.stdout)
    assert own["golden_texts"] == 2


def test_inspect_names_damage_and_fails(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "golden" / "golden.npz").write_bytes(b"x")
    (package / "notes.txt").write_text("x")
    assert main(["inspect", str(package)]) == 1
    said = capsys.readouterr()
    assert "length buckets" in said.out
    assert "damaged: " in said.err
    assert "not in the manifest: notes.txt" in said.err


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "nowhere.pqrnn", "hello"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: nowhere.pqrnn")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "x", "--repeats", "0"],
        ["bench", "x", "--seconds", "0"],
        ["bench", "x", "--seconds", "nan"],
        ["bake", "x"],
        [],
    ],
)
def test_wrong_use_says_what_is_expected(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: pqrnn" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "p", "a", "b"],
        ["p", "--json", "a", "b"],
        ["p", "a", "--json", "b"],
        ["p", "a", "b", "--json"],
        ["--json", "p", "--", "a", "b"],
    ],
)
def test_options_may_stand_anywhere(arguments: list[str]) -> None:
    options = _read_options(["parse", *arguments])
    assert (options.package, options.text, options.json) == ("p", ["a", "b"], True)


def test_a_text_may_begin_with_a_dash() -> None:
    assert _read_options(["parse", "p", "--json", "--", "-5 degrees"]).text == ["-5 degrees"]


def test_version_names_the_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert "iree-base-runtime 3." in capsys.readouterr().out


def test_columns_are_aligned() -> None:
    table = Table("what", ("name", "size"), [("a", "1"), ("longer", "22")])
    assert plain_text(table).splitlines() == ["what", "  name    size", "  a       1", "  longer  22"]


def test_the_device_is_a_choice_and_reaches_the_parser(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from runtime_py.errors import ParserError
    from runtime_py.parser import Parser

    asked: list[object] = []

    def load(_path: str, **options: object) -> Parser:
        asked.append(options["device"])
        raise ParserError("seen")

    monkeypatch.setattr(Parser, "load", load)
    assert main(["parse", str(package), "--device", "gpu", "hello"]) == 2
    assert main(["parse", str(package), "hello"]) == 2
    assert asked == ["gpu", "auto"]
    with pytest.raises(SystemExit):
        main(["parse", str(package), "--device", "tpu", "hello"])
    assert "tpu" in capsys.readouterr().err
