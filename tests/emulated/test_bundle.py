"""A bundle on a board: a clean 64-bit ARM Debian in QEMU.

There pip installs the wheel from the index, and nothing else of this project can be seen.

The machine is the emulators' Debian root (a bare Python, no packages). pip is this machine's own, which is pure Python,
run by the board's Python inside the emulator: it resolves, downloads and unpacks as on a board.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from foreign import cpu_code
from msgspec.structs import replace
from tiny_package import oracle, write_package

from compile.emulation.runner import Runner, RunnerNotFoundError, emulated_runner
from runtime_py.package_format.package import open_package, seal
from runtime_py.tools.conformance import ByteSlot, HostAnswer, decode_conformance
from runtime_py.tools.conformance_judge import judge
from targets.schema import Emulator

_CHECKOUT = Path(__file__).parents[2]
_TRIPLE = "aarch64-unknown-linux-gnu"
_EXPECTED = {
    "pqrnn-runtime",
    "iree-base-runtime",
    "msgspec",
    "numpy",
    "ml-dtypes",
}  # ml-dtypes is the IREE runtime's own dependency
_PACKAGE = "tiny.pqrnn"
_TEXTS = ["wake me at seven", "शनिवार को सात बजे", "ปลุกฉัน ตอน เช้า", "réveille-moi à 7h 😀"]


@dataclass(frozen=True)
class Board:
    """The emulated machine.

    A folder with the unpacked bundle and a virtual environment, and nothing in the environment's variables.
    """

    runner: Runner
    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "for-the-pi"

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    def run(
        self, *arguments: str | Path, stdin: bytes = b"", seconds: float = 500
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the board's Python in the bundle's folder."""
        return self.start([*self.runner.tools, self.python, *arguments], stdin, seconds)

    def pqrnn(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run the command that the wheel installed."""
        return self.run(self.python.parent / "pqrnn", *arguments, stdin=stdin)

    def start(
        self, command: Sequence[str | Path], stdin: bytes = b"", seconds: float = 500
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command with only those of this machine's variables that say where the package index is."""
        names = re.compile(r"PIP_.*|SSL_CERT_.*|REQUESTS_CA_BUNDLE|(https?|no)_proxy", re.IGNORECASE)
        variables = {name: value for name, value in os.environ.items() if names.fullmatch(name)} | {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C",
        }
        return subprocess.run(
            [str(part) for part in command],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=seconds,
            env=variables,
            cwd=self.bundle,
        )


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """The bundle, made here by the command line and unpacked on the board from its archive.

    Nothing is installed yet.
    """
    try:
        runner = emulated_runner(Emulator("qemu-aarch64", "cortex-a72"))
    except RunnerNotFoundError as error:
        pytest.skip(error.reason)
    folder = tmp_path_factory.mktemp("deploy")
    whole = folder / "made" / _PACKAGE
    manifest = write_package(whole, cpu_code(_TRIPLE, "generic"))
    path = "variants/raspberry-pi-4/module.vmfb"
    (whole / path).parent.mkdir()
    shutil.copy(whole / manifest.variants[0].path, whole / path)
    variants = [
        replace(manifest.variants[0], target="raspberry-pi-4", triple=_TRIPLE, path=path),
        replace(manifest.variants[0], target="host"),
    ]
    seal(whole, replace(manifest, variants=variants))
    command = [
        sys.executable,
        "-m",
        "pqrnn",
        "deploy",
        str(whole),
        "--target",
        "raspberry-pi-4",
        "--out",
        str(folder / "made" / "for-the-pi"),
        "--archive",
        "--python",
        "3.11",  # of Debian 12
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    board = Board(runner, folder / "board")
    with tarfile.open(folder / "made" / "for-the-pi.tar.gz") as archive:
        archive.extractall(board.folder, filter="data")
    return board


@pytest.fixture(scope="module")
def board(delivered: Board) -> Board:
    """The board after `pip install` of the wheel, by the board's Python, from the index."""
    _require_index(delivered.folder)
    made = delivered.start([*delivered.runner.python, "-m", "venv", "--without-pip", delivered.folder / "venv"])
    assert made.returncode == 0, made.stderr.decode()
    _install(delivered, _wheel(delivered))
    return delivered


def _require_index(folder: Path) -> None:
    """Skip where this machine itself gets nothing from the index, so that a failure on the board is the board's."""
    version = importlib.metadata.version("msgspec")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder / "probe"),
        f"msgspec=={version}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["pip said nothing"]
        pytest.skip(f"the Python package index cannot be reached: {said[-1]}")


def _wheel(board: Board) -> str:
    return f"./{json.loads((board.bundle / 'bundle.json').read_text())['wheel']}"


def _install(board: Board, *arguments: str) -> None:
    """Run pip on the board. It is copied there alone: no other package of this machine comes with it."""
    import pip

    shutil.copytree(
        Path(pip.__file__).parent,
        board.folder / "tools" / "pip",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    cache = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False
    ).stdout.strip()
    kept = ["--cache-dir", cache] if cache else []
    # Byte-compiling every module of NumPy would take the emulator a minute; Python does it for those that are imported.
    done = board.run(board.folder / "tools" / "pip", "install", "--quiet", "--no-compile", *kept, *arguments)
    assert done.returncode == 0, done.stderr.decode()


def test_the_wheel_brings_what_it_needs_and_nothing_else(board: Board) -> None:
    script = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
    found = json.loads(board.run("-c", script).stdout)
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in found} == _EXPECTED
    assert len(found) == len(_EXPECTED)


def test_nothing_of_the_checkout_is_on_the_path(board: Board) -> None:
    script = (
        "import json, platform, sys, runtime_py, numpy; from runtime_py import Parser; "
        "print(json.dumps([platform.machine(), sys.path, runtime_py.__file__, sorted(sys.modules)]))"
    )
    machine, path, runtime, modules = json.loads(board.run("-I", "-c", script).stdout)
    site = board.folder / "venv" / "lib" / "python3.11" / "site-packages"
    assert machine == "aarch64"
    assert Path(runtime) == site / "runtime_py" / "__init__.py"
    root = Path(board.runner.python[-1]).parents[2]
    outside = [entry for entry in path if not Path(entry).is_relative_to(root) and Path(entry) != site]
    assert not outside
    assert not {"pqrnn", "compile", "targets", "torch"} & set(modules)
    assert not list(site.glob("*.pth"))


def test_the_package_loads_and_says_that_it_runs_here(board: Board) -> None:
    done = board.pqrnn("inspect", _PACKAGE, "--json")
    assert done.returncode == 0, done.stderr.decode()
    facts = json.loads(done.stdout)
    (variant,) = facts["variants"]
    assert (variant["target"], variant["runs_here"], variant["chosen_here"]) == ("raspberry-pi-4", True, True)
    assert (facts["damaged"], facts["unlisted"]) == ([], [])


def test_it_parses_texts_in_every_script(board: Board) -> None:
    from tiny_package import INTENTS

    done = board.pqrnn("parse", _PACKAGE, "--json", *_TEXTS)
    assert done.returncode == 0, done.stderr.decode()
    parses = [json.loads(line) for line in done.stdout.splitlines()]
    assert [parse["text"] for parse in parses] == _TEXTS
    assert [parse["intent"] for parse in parses] == [
        INTENTS[int(oracle(text.encode(), 16)[0].argmax())] for text in _TEXTS
    ]
    assert any(parse["slots"] for parse in parses)
    lines = board.pqrnn("parse", _PACKAGE, "--json", stdin="\n".join(_TEXTS).encode())
    assert lines.stdout == done.stdout
    assert board.run("-m", "runtime_py", "parse", _PACKAGE, _TEXTS[0]).stdout.decode().startswith(parses[0]["intent"])


def test_it_answers_like_the_golden_vectors(board: Board) -> None:
    done = board.pqrnn("check", _PACKAGE, "--json")
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    parity = said["golden"]["parity"]
    assert (said["passed"], said["failures"], parity["texts"], parity["repeats"]) == (True, [], 8, 3)
    assert parity["intent_max_abs"] == parity["tags_max_abs"] == 0.0


def test_its_answers_conform(board: Board) -> None:
    """The conformance file of the bundle, answered by the board's own Python."""
    script = (
        "import base64, json, sys; from runtime_py import Parser\n"
        "parser = Parser.load(sys.argv[1]); expected = json.load(open(sys.argv[2]))\n"
        "for case in expected['cases']:\n"
        "    raw = base64.b64decode(case['text']); logits, parse = parser.logits(raw), parser(raw)\n"
        "    numbers = [logits.spans.tolist(), logits.intent.tolist(), logits.tags.tolist()]\n"
        "    print(json.dumps([case['id'], *numbers, parse.to_dict()]))"
    )
    done = board.run("-c", script, _PACKAGE, "conformance.json")
    assert done.returncode == 0, done.stderr.decode()
    expected = decode_conformance((board.bundle / "conformance.json").read_bytes(), "conformance.json")
    answers = []
    for number, spans, intent, tags, parse in map(json.loads, done.stdout.splitlines()):
        # The parser counts characters of the text, the file bytes.
        slots = [
            ByteSlot(slot["label"], *(len(parse["text"][: slot[bound]].encode()) for bound in ("start", "end")))
            for slot in parse["slots"]
        ]
        if "\ufffd" in parse["text"]:
            slots = expected.cases[number].slots
        answers.append(
            HostAnswer(number, [(a, b) for a, b in spans], intent, tags, parse["intent"], parse["score"], slots)
        )
    answers += [HostAnswer(case.id, refused=True) for case in expected.long_cases]
    verdict = judge(expected, answers)
    assert verdict.passed, verdict
    assert verdict.with_logits == len(expected.cases)


def test_a_damaged_module_is_refused_on_the_board(board: Board) -> None:
    copy = board.folder / "damaged.pqrnn"
    shutil.copytree(board.bundle / _PACKAGE, copy)
    module = copy / open_package(copy).manifest.variants[0].path
    changed = module.read_bytes()
    module.write_bytes(changed[:100] + bytes([changed[100] ^ 1]) + changed[101:])
    done = board.pqrnn("parse", str(copy), "hello")
    assert done.returncode == 2
    assert b"SHA-256" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_note_tells_how_a_board_without_network_is_served(board: Board) -> None:
    """Its command, run here, collects the wheels, and the board needs no index with them."""
    note = (board.bundle / "README.txt").read_text()
    (command,) = [line.strip() for line in note.splitlines() if line.strip().startswith("pip download")]
    words = shlex.split(command)[1:]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        cwd=board.bundle,
    )
    assert done.returncode == 0, done.stderr
    wheels = sorted(path.name.split("-")[0].replace("_", "-") for path in (board.bundle / "wheels").iterdir())
    assert wheels == sorted(_EXPECTED)
    _install(board, "--no-index", "--find-links", "wheels", "--dry-run", "--force-reinstall", _wheel(board))
