"""Hosts in other languages.

One that drives `iree-run-module` and follows ABI.md, the example in C, and broken ones that have to be found out.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from makers.forks import run_pqrnn
from makers.native import CALIBRATION
from oracles.host import Host
from tiny_package import BUCKETS, write_package

from runtime_py.package_format.package import open_package
from runtime_py.parser import Parser
from runtime_py.tools.conformance import (
    Calibrated,
    HostAnswer,
    decode_conformance,
    encode_conformance,
    make_conformance,
    read_answers,
)
from runtime_py.tools.conformance_judge import judge

_ROOT = Path(__file__).parents[2]
_C = _ROOT / "runtime_py" / "c"
_FAKE = _ROOT / "tests" / "fakes"
# Words that the host's own guess may count otherwise, marks at the edges of buckets, and a text that needs a larger
# bucket than its bytes say.
MORE_TEXTS = (
    b"a b c d e f g h",
    b"b b c b",
    b"d a b",
    b"  \x00 ",
    "शनिवार को सात बजे".encode(),
    "ปลุกฉัน ตอน".encode(),
    b"\xf0\x9f\x98 cut \xed\xa0\x80",
    b"a" * 32,
    b"a" * 33,
)


@pytest.fixture(scope="module")
def package(tiny_code: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("conformance") / "tiny.pqrnn"
    write_package(path, tiny_code, MORE_TEXTS, CALIBRATION)
    return path


@pytest.fixture(scope="module")
def answers(package: Path) -> list[HostAnswer]:
    """Answers of the independent host, which reads the manifest by itself and runs every text with IREE's own tool."""
    host = Host(package)
    expected = make_conformance(open_package(package))
    lines = [
        json.dumps(host.answer(case.id, base64.b64decode(case.text)))
        for case in [*expected.cases, *expected.long_cases]
    ]
    return read_answers("\n".join(lines).encode(), "host")


def test_an_independent_host_conforms(package: Path, answers: list[HostAnswer]) -> None:
    expected = make_conformance(open_package(package))
    verdict = judge(expected, answers)
    assert verdict.passed, verdict
    assert verdict.answered == verdict.cases == len(expected.cases) + len(expected.long_cases)
    assert verdict.with_logits == len(expected.cases)
    assert any(case.slots for case in expected.cases)


def test_the_file_survives_writing_and_reading(package: Path) -> None:
    expected = make_conformance(open_package(package))
    data = encode_conformance(expected)
    assert decode_conformance(data, "file") == expected
    assert len(data.splitlines()) == len(expected.cases) + len(expected.long_cases) + 5


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"rerun": False}, "refused or cut, though it fits"),  # does not run a larger bucket when the program says so
        ({"rerun": False, "hide": True}, "words"),  # nor says so
        ({"search": False}, "slots"),  # takes the largest logits, though a slot goes on that never began
        ({"merge": True}, "slots"),  # joins B- to the run before it
        ({"characters": True}, "words"),  # counts characters where bytes are meant
        ({"padding": b" "}, "intent"),  # pads with spaces
        ({"cut": False}, "bytes read of a text that was cut"),  # cuts a text inside a character
        ({"hide": True}, "too many bytes"),  # reads a part and does not say so
    ],
)
def test_a_broken_host_is_found_out(package: Path, broken: dict[str, Any], said: str) -> None:
    host = Host(package, **broken)
    expected = make_conformance(open_package(package))
    lines = [
        json.dumps(host.answer(case.id, base64.b64decode(case.text)))
        for case in [*expected.cases, *expected.long_cases]
    ]
    verdict = judge(expected, read_answers("\n".join(lines).encode(), "host"))
    assert not verdict.passed
    assert any(kind.startswith(said) for kind in verdict.failures), verdict.failures
    assert verdict.first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[1:], "no answer"),
        (lambda lines: [*lines, lines[0]], "answered twice"),
        (lambda lines: [*lines, HostAnswer(id=9999)], "no such case"),
        (lambda lines: [msgspec.structs.replace(lines[0], score=0.0), *lines[1:]], "score"),
        (lambda lines: [msgspec.structs.replace(lines[0], score=float("nan")), *lines[1:]], "score"),
        (lambda lines: [msgspec.structs.replace(lines[0], intent="nobody"), *lines[1:]], "intent"),
        (
            lambda lines: [msgspec.structs.replace(lines[0], calibrated=Calibrated(0.01, [])), *lines[1:]],
            "calibrated scores",
        ),
        (
            lambda lines: [
                msgspec.structs.replace(lines[0], intent_logits=[value + 1e-5 for value in lines[0].intent_logits]),
                *lines[1:],
            ],
            "intent logits",
        ),
        (lambda lines: [msgspec.structs.replace(lines[0], intent_logits=[]), *lines[1:]], "intent logits: shape"),
        (
            lambda lines: [msgspec.structs.replace(lines[0], tag_logits=[[1.0], [1.0, 2.0]]), *lines[1:]],
            "tag logits: shape",
        ),
        (lambda lines: [msgspec.structs.replace(lines[0], refused=True), *lines[1:]], "refused or cut"),
    ],
)
def test_each_difference_is_named(
    package: Path,
    answers: list[HostAnswer],
    change: Callable[[list[HostAnswer]], list[HostAnswer]],
    said: str,
) -> None:
    verdict = judge(make_conformance(open_package(package)), change(answers))
    assert not verdict.passed
    assert any(kind.startswith(said) for kind in verdict.failures), verdict.failures


def test_numbers_are_optional_and_their_absence_is_said(package: Path, answers: list[HostAnswer]) -> None:
    verdict = judge(
        make_conformance(open_package(package)),
        [msgspec.structs.replace(each, intent_logits=None, tag_logits=None) for each in answers],
    )
    assert verdict.passed
    assert verdict.with_logits == 0


def test_the_command_line_judges(package: Path, answers: list[HostAnswer], tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run_pqrnn("conformance", *arguments)

    file = tmp_path / "answers.jsonl"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, answers)))
    assert run(package, "--out", tmp_path / "tiny.json").returncode == 0
    assert decode_conformance((tmp_path / "tiny.json").read_bytes(), "tiny.json") == make_conformance(
        open_package(package)
    )
    assert json.loads(run(package, "--answers", file, "--json").stdout)["passed"] is True
    file.write_bytes(b"\n".join(map(msgspec.json.encode, answers[1:])))
    failed = run(package, "--answers", file)
    assert failed.returncode == 1
    assert "case 0, no answer" in failed.stderr
    file.write_text('{"id": 0, "intents": "x"}\n')
    wrong = run(package, "--answers", file)
    assert wrong.returncode == 2
    assert "answers.jsonl:1: " in wrong.stderr
    assert {"Conformance", "Answer"} <= set(json.loads(run("--schema").stdout)["$defs"])
    assert run(package).returncode == 2


def _compiler() -> str:
    found = shutil.which("cc")
    if found is None:
        pytest.skip("no C compiler: 'cc' is not on the PATH")
    return found


def _sanitizers(compiler: str, folder: Path) -> list[str]:
    """Return the flags for checked memory, where the compiler has its libraries."""
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    command = [compiler, *flags, str(folder / "empty.c"), "-o", str(folder / "empty")]
    usable = (
        subprocess.run(command, capture_output=True, check=False).returncode == 0
        and subprocess.run([str(folder / "empty")], check=False).returncode == 0
    )
    return flags if usable else []


def _build(package: Path, folder: Path) -> Path:
    """Compile the example against the fake interface, with every warning an error and the sanitizers on."""
    compiler = _compiler()
    assert run_pqrnn("conformance", package, "--header", folder / "package.h").returncode == 0
    flags = [
        "-std=c11",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-Wno-unused-function",
        *_sanitizers(compiler, folder),
    ]
    command = [
        compiler,
        *flags,
        f"-I{_FAKE}",
        f"-I{folder}",
        f"-I{_C}",
        str(_C / "parse.c"),
        str(_FAKE / "iree" / "fake.c"),
        "-lm",
        "-o",
        str(folder / "parse"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "parse"


def _record(package: Path, texts: list[bytes], table: Path) -> None:
    """Record what the compiled module gives for each text in each bucket that it fits, and for a cut text."""
    parts = []
    with Parser.load(package) as parser:
        for raw in texts:
            for entry in parser.entries:
                if len(raw) <= entry.bytes:
                    entry.set_text(raw)
                    entry.invoke()
                    fields = [
                        entry.bucket.entry.encode(),
                        raw.ljust(entry.bytes, b"\0"),
                        *(array.tobytes() for array in entry.fetch()),
                    ]
                    parts += [struct.pack("<i", len(field)) + field for field in fields]
    table.write_bytes(b"".join(parts))


def test_the_example_in_c_conforms(package: Path, tmp_path: Path) -> None:
    program = _build(package, tmp_path)
    expected = make_conformance(open_package(package))
    cases = [*expected.cases, *expected.long_cases]
    texts = [base64.b64decode(case.text) for case in cases]
    cut = [base64.b64decode(case.text)[: case.prefix] for case in expected.long_cases]
    _record(package, texts + cut, tmp_path / "table")
    environment = os.environ | {"FAKE_IREE_TABLE": str(tmp_path / "table")}
    module = str(package / "variants" / "generic" / "module.vmfb")
    lines = "".join(case.text + "\n" for case in cases)
    for policy in ([], ["--truncate"]):
        done = subprocess.run(
            [str(program), module, "--base64", *policy],
            input=lines,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        given = read_answers(done.stdout.encode(), "parse")
        verdict = judge(expected, given)
        assert verdict.passed, verdict
        assert verdict.with_logits == len(expected.cases)
        for case, answer in zip(expected.cases, given, strict=False):
            assert case.calibrated is not msgspec.UNSET
            assert answer.calibrated is not None
            wanted, said = case.calibrated, answer.calibrated
            assert [said.score, said.in_scope, *said.slots] == pytest.approx(
                [wanted.score, wanted.in_scope, *wanted.slots], rel=1e-6
            )
        assert all(each.truncated if policy else each.refused for each in given[len(expected.cases) :])
    said = subprocess.run(
        [str(program), module, texts[0].decode()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment,
    ).stdout
    assert json.loads(said)["intent"] == expected.cases[0].intent


def test_the_example_in_c_says_what_failed(package: Path, tmp_path: Path) -> None:
    program = _build(package, tmp_path)
    done = subprocess.run([str(program), "nowhere.vmfb", "a"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "status 5" in done.stderr


def test_the_example_in_c_fits_the_real_headers(package: Path, tmp_path: Path) -> None:
    include = os.environ.get("IREE_INCLUDE")
    if not include:
        pytest.skip(
            "IREE's C headers are in no package: point IREE_INCLUDE at runtime/src of a checkout of iree-org/iree, "
            "release 3.13"
        )
    assert run_pqrnn("conformance", package, "--header", tmp_path / "package.h").returncode == 0
    flags = ["-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    folders = [f"-I{tmp_path}", f"-I{_C}", "-isystem", include]
    done = subprocess.run(
        [_compiler(), *flags, *folders, str(_C / "parse.c")], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_buckets_of_this_test_need_a_rerun() -> None:
    # Eight words in fifteen bytes fit the first bucket by their bytes, and no text would show a missing second run
    # without such a one.
    assert any(len(text) <= BUCKETS[0].bytes and len(text.split()) > BUCKETS[0].words for text in MORE_TEXTS)
