"""The two command lines print the same documents, and the board's one flushes each answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_TEXTS = ["wake me at seven", "réveille-moi à 7h 😀"]
_CHANGING = {"checked", "seconds"}


def _run(module: str, *arguments: str | Path, stdin: bytes | None = None, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], input=stdin, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode()


def _without_times(document: object) -> object:
    if isinstance(document, dict):
        return {key: _without_times(value) for key, value in document.items() if key not in _CHANGING}
    return [_without_times(item) for item in document] if isinstance(document, list) else document


@pytest.mark.parametrize(
    "arguments", [("parse", "--json", *_TEXTS), ("parse", *_TEXTS), ("parse", "--truncate", "--json", "x" * 100)]
)
def test_both_parse_alike(tiny_path: Path, arguments: tuple[str, ...]) -> None:
    verb, *rest = arguments
    assert _run("runtime_py", verb, tiny_path, *rest) == _run("pqrnn", verb, tiny_path, *rest)


def test_both_read_lines_of_any_bytes(tiny_path: Path) -> None:
    lines = b"wake me\r\n\xff\xfe\n\nlast"
    own = _run("runtime_py", "parse", tiny_path, "--json", stdin=lines)
    assert own == _run("pqrnn", "parse", tiny_path, "--json", stdin=lines)
    assert [json.loads(line)["text"] for line in own.splitlines()] == ["wake me", "\ufffd\ufffd", "", "last"]


def test_both_check_alike(tiny_path: Path) -> None:
    own, large = (json.loads(_run(module, "check", tiny_path, "--json")) for module in ("runtime_py", "pqrnn"))
    assert own["passed"] is True
    assert _without_times(own) == _without_times(large)
    assert "golden vectors" in _run("runtime_py", "check", tiny_path)


def test_both_benchmarks_have_the_same_form(tiny_path: Path) -> None:
    own, large = (
        json.loads(_run(module, "bench", tiny_path, "--json", "--seconds", "0.1")) for module in ("runtime_py", "pqrnn")
    )
    assert own.keys() == large.keys()
    assert own["call"]["n"] > 0
    assert own["cold_start"]["import_seconds"] > 0
    assert "steady state" in _run("runtime_py", "bench", tiny_path, "--seconds", "0.1")


def test_a_failed_check_is_exit_code_1(tmp_path: Path, tiny_code: bytes) -> None:
    from tiny_package import write_package

    from runtime_py.package_format.golden import load_golden, save_golden
    from runtime_py.package_format.package import open_package, seal

    path = tmp_path / "wrong.pqrnn"
    write_package(path, tiny_code)
    golden = load_golden(path / "golden" / "golden.npz")
    golden.intent[0] += 1
    save_golden(path / "golden" / "golden.npz", golden)
    seal(path, open_package(path).manifest)
    assert json.loads(_run("runtime_py", "check", path, "--json", code=1))["passed"] is False


def test_each_answer_is_there_before_the_next_text(tiny_path: Path) -> None:
    command = [sys.executable, "-m", "runtime_py", "parse", str(tiny_path), "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in _TEXTS:
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.close()
        assert process.wait(60) == 0


def test_an_update_is_applied_and_taken_back_on_a_board(tiny_path: Path, tmp_path: Path) -> None:
    """By the board's own command: signed, run in a process of its own, and the wrong one never takes the name."""
    import shutil

    import msgspec

    from runtime_py.package_format.golden import load_golden, save_golden
    from runtime_py.package_format.package import open_package, seal
    from runtime_py.trust.keys import make_keys
    from runtime_py.trust.signatures import sign_package

    board, new, wrong = (tmp_path / f"{name}.pqrnn" for name in ("home", "new", "wrong"))
    make_keys(tmp_path / "me")
    for path in (board, new, wrong):
        shutil.copytree(tiny_path, path)
    seal(new, msgspec.structs.replace(open_package(new).manifest, name="new"))
    golden = load_golden(wrong / "golden" / "golden.npz")
    golden.intent[0] = golden.intent[0, ::-1] + 1  # the code does not answer this
    save_golden(wrong / "golden" / "golden.npz", golden)
    seal(wrong, open_package(wrong).manifest)
    for path in (new, wrong):
        sign_package(path, tmp_path / "me.key")
        _run("pqrnn", "diff", board, path, "--out", path.with_suffix(".pqdelta"))
    before = {path.name: path.read_bytes() for path in board.rglob("*") if path.is_file()}
    key = ("--key", tmp_path / "me.pub")
    _run("runtime_py", "apply", board, wrong.with_suffix(".pqdelta"), *key, code=2)
    assert {path.name: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before
    applied = json.loads(_run("runtime_py", "apply", board, new.with_suffix(".pqdelta"), *key, "--json"))
    assert (applied["name"], applied["target"], len(applied["signers"])) == ("new", "generic", 1)
    assert _run("runtime_py", "parse", board, *_TEXTS) == _run("runtime_py", "parse", tiny_path, *_TEXTS)
    assert json.loads(_run("pqrnn", "apply", board, "--back", "--json"))["name"] == "tiny"
    _run("runtime_py", "apply", board, code=2)
