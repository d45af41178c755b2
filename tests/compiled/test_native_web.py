"""A parser as WebAssembly: JavaScript in Node decides as Python does, and a page runs without asking for anything."""

from __future__ import annotations

import base64
import json
import platform
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from makers.native import LABELS, build_web, expect
from typer.testing import CliRunner

from benchmarks.browser import BROWSER
from compile.native.proof import answer_texts
from compile.native.web import node_command
from compile.verify.golden import TRICKY
from pqrnn.cli.running import app
from runtime_py.native.manifest import NativeManifest, write_manifest

pytestmark = [
    pytest.mark.skipif(find_spec("ziglang") is None, reason="no zig: pip install 'pqrnn[native]'"),
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
]
_TEXT = 'Zoë 😀 "ab" </script> <b>cd'


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_web(tmp_path_factory.mktemp("web") / "tiny", tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def page(web: Path) -> str:
    out = web.parent / "page"
    done = CliRunner().invoke(app, ["demo-page", str(web), "--out", str(out), "--example", _TEXT, "--json"])
    assert done.exit_code == 0, done.output
    text = (out / "index.html").read_text("utf-8")
    assert json.loads(done.stdout) == {"page": str(out / "index.html"), "bytes": len(text.encode())}
    return text


def run(script: str, folder: Path) -> Any:
    """Run a module in Node, and return what it prints as JSON."""
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "script.js").write_text(script, "utf-8")
    done = subprocess.run(["node", "script.js"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_node_decides_as_python_does(web: Path, tmp_path: Path) -> None:
    command = node_command(web / "webassembly", tmp_path)
    assert command is not None
    texts = [*TRICKY, b"a b c d e f g h i", b"x" * 70, "é".encode() * 60, b"a " * 400, b"a" * 300_000]
    for answer, text in zip(answer_texts(command, texts, "Node", "--truncate"), texts, strict=True):
        wanted = expect(text)
        assert (answer["intent"], len(answer["words"])) == (wanted.intent, wanted.words)
        assert answer["score"] == pytest.approx(wanted.score, rel=1e-6)
        assert answer.get("truncated", False) == wanted.truncated
        pieces = [text[slot["start"] : slot["end"]].decode("utf-8", "replace") for slot in answer["slots"]]
        assert pieces == [slot.text for slot in wanted.slots]
    assert answer_texts(command, [b"x" * 70], "Node")[0] == {"id": 0, "refused": True}


# What `index.js` says of relaxed SIMD; whether the engine takes another of its instructions (i8x16.relaxed_swizzle);
# whether there is a parser with the files of a folder.
_CHOICE = """
import { pathToFileURL } from 'node:url';
const { load, relaxed } = await import(`${pathToFileURL(process.argv[1])}/index.js`);
const swizzle = [0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0, 10, 11, 1, 9, 0, 32, 0, 32, 0,
                 253, 128, 2, 11];
const loaded = await load().then((parser) => parser.parse('a').words === 1, () => false);
console.log(JSON.stringify([relaxed(), WebAssembly.validate(Uint8Array.from(swizzle)), loaded]));
"""
# Node 20 has it behind a flag, and multiplies wrongly; without AVX-VNNI the instruction does not pay.
_SWITCHES = ([], ["--experimental-wasm-relaxed-simd"], ["--no-enable-avx-vnni"], ["--no-enable-avx"])


@pytest.mark.parametrize("kept", ["tiny_one.wasm", "tiny_one.relaxed.wasm"])
def test_the_module_is_chosen_by_what_the_engine_has(kept: str, web: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(web / "webassembly", tmp_path / "one")
    for module in folder.glob("*.wasm"):
        if module.name != kept:
            module.unlink()
    for options in _SWITCHES:
        command = ["node", *options, "--input-type=module", "--eval", _CHOICE, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 9:  # this Node has no such switch
            continue
        assert done.returncode == 0, done.stderr
        says, has, loaded = json.loads(done.stdout)
        assert says <= has
        assert not (says and options and platform.machine() == "x86_64")
        assert loaded == (says == (kept == "tiny_one.relaxed.wasm"))


def test_a_package_for_npm(web: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(web / "webassembly", tmp_path / "node_modules" / "tiny-one")
    description = json.loads((folder / "package.json").read_text())
    assert (description["name"], description["type"]) == ("tiny-one", "module")
    assert not {"dependencies", "devDependencies", "scripts"} & set(description)
    assert {"tiny_one.wasm", "tiny_one.relaxed.wasm"} < set(description["files"])
    assert all((folder / name).is_file() for name in description["files"])
    # Strings have UTF-16 units as positions: every slot is a piece of the text as JavaScript cuts it.
    said = run(
        """
        import { load, Parser, ParserError } from 'tiny-one';
        import { readFileSync } from 'node:fs';
        const text = 'ab 😀😀 d1 \\ud800x e';
        const bytes = readFileSync('node_modules/tiny-one/tiny_one.wasm');
        const parsers = [await load(), await load(bytes), await load(new Response(bytes)),
                         new Parser(await WebAssembly.compile(bytes))];
        const answers = parsers.map((parser) => parser.parse(text));
        const fails = [];
        const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
        for (const wrong of [() => parsers[0].parse('x'.repeat(65)), () => new Parser(new WebAssembly.Module(empty))]) {
          try { wrong(); } catch (error) { fails.push([error instanceof ParserError, error.code]); }
        }
        console.log(JSON.stringify({
          same: new Set(answers.map((answer) => JSON.stringify(answer))).size === 1,
          pieces: answers[0].slots.every((slot) => text.slice(slot.start, slot.end) === slot.text),
          answer: answers[0], fails, after: parsers[0].parse(text).intent, rank: parsers[0].rank(text, 9),
          intents: parsers[0].intents,
          tags: parsers[0].tags, most: parsers[0].mostBytes,
        }));
        """,
        tmp_path,
    )
    wanted = expect("ab 😀😀 d1 \ud800x e")
    assert said["same"]
    assert said["pieces"]
    assert (said["answer"]["intent"], said["after"]) == (wanted.intent, wanted.intent)
    assert [slot["label"] for slot in said["answer"]["slots"]] == [slot.label for slot in wanted.slots]
    assert said["fails"] == [[True, 1], [True, -1]]
    assert (tuple(said["intents"]), tuple(said["tags"]), said["most"]) == (LABELS.intents, LABELS.tags, 64)
    assert sum(entry["score"] for entry in said["rank"]) == pytest.approx(1)


class _Scripts(HTMLParser):
    """The scripts of a page, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.addresses: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append("")
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "srcset")]

    def handle_data(self, data: str) -> None:
        if self.scripts and self.lasttag == "script":
            self.scripts[-1] += data


# As much of a browser as the page touches.
_STAGE = """
const made = (tag) => ({ tag, style: { setProperty() {} }, children: [], append(...c) { this.children.push(...c); },
  replaceChildren(...c) { this.children = c; }, addEventListener(_, f) { this.listener = f; }, textContent: '' });
const elements = new Map();
globalThis.document = { createElement: made,
  getElementById: (id) => elements.get(id) ?? elements.set(id, made(id)).get(id) };
globalThis.fetch = () => { throw new Error('a request'); };
document.getElementById('module').textContent = MODULE;
"""
_SHOW = """
const see = () => ({ intent: at('intent').textContent, took: at('took').textContent,
  ranked: at('ranked').children.length,
  shown: at('shown').children.map((part) => part.tag ? [part.children[0], part.children[1].textContent] : part) });
const first = see();
at('text').value = 'x '.repeat(99);
at('text').listener();
console.log(JSON.stringify([first, see()]));
"""


def test_the_page_shows_a_parse(page: str, web: Path, tmp_path: Path) -> None:
    parts = _Scripts()
    parts.feed(page)
    assert parts.addresses == []
    module, script = parts.scripts
    assert base64.b64decode(module) == (web / "webassembly" / "tiny_one.wasm").read_bytes()
    stage = _STAGE.replace("MODULE", json.dumps(module))
    first, second = run(stage + re.sub(r"^export ", "", script, flags=re.M) + _SHOW, tmp_path)
    wanted = expect(_TEXT)
    assert (first["intent"], first["ranked"]) == (wanted.intent, 5)
    marks = [part for part in first["shown"] if isinstance(part, list)]
    assert marks == [[slot.text, slot.label] for slot in wanted.slots]
    assert "".join(part if isinstance(part, str) else part[0] for part in first["shown"]) == _TEXT
    assert "left out" not in first["took"]
    assert second["took"].startswith("16 words, the rest is too long and was left out")


def test_a_page_for_browsers_with_relaxed_simd(web: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["demo-page", str(web), "--out", str(tmp_path), "--relaxed"])
    assert done.exit_code == 0, done.output
    parts = _Scripts()
    parts.feed((tmp_path / "index.html").read_text("utf-8"))
    assert base64.b64decode(parts.scripts[0]) == (web / "webassembly" / "tiny_one.relaxed.wasm").read_bytes()


def test_a_folder_without_webassembly_makes_no_page(tmp_path: Path) -> None:
    folder = tmp_path / "native"
    folder.mkdir()
    write_manifest(folder, NativeManifest("tiny", "tiny", ()))
    for place, reason in ((folder, "holds no WebAssembly"), (tmp_path, "cannot be read")):
        done = CliRunner().invoke(app, ["demo-page", str(place), "--out", str(tmp_path / "page")])
        assert reason in str(done.exception)
    assert not (tmp_path / "page").exists()


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here: apt-get install chromium")
def test_a_browser_runs_the_page_from_a_file(page: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page, "utf-8")
    command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [*command, (tmp_path / "index.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert f">{expect(_TEXT).intent}</div>" in done.stdout
