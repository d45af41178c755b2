"""The pages beside the code: generated parts are fresh, links lead somewhere, commands and examples are real."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import pqrnn
from benchmarks.highlights import COUNTS, FIGURES, HIGHLIGHTS
from benchmarks.overview import INTENT, SCORE, SLOTS, TEXT
from benchmarks.readme import README, RESULTS_PAGE, ROOT, find_stale
from benchmarks.results import load_results
from benchmarks.tables import DATA_SETS, TABLES
from pqrnn.cli import verbs  # noqa: F401  registers every command
from pqrnn.cli.running import app

_PAGES = sorted(
    [
        README,
        ROOT / "CONTRIBUTING.md",
        RESULTS_PAGE,
        *(
            ROOT / f"{folder}/README.md"
            for folder in (
                "benchmarks",
                "compile",
                "compile/native",
                "runtime_py",
                "runtime_py/package_format",
                "targets",
            )
        ),
        *(
            ROOT / f"pqrnn/{folder}/README.md"
            for folder in ("data", "data/home_control", "distillation", "encoders", "extending", "training", "zoo")
        ),
    ]
)
_names = [str(page.relative_to(ROOT)) for page in _PAGES]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COMMENT = re.compile(r"\s#\s.*$")


def _blocks(page: Path, language: str) -> list[str]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def _commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every `pqrnn` command that a shell block of a page shows."""
    for block in _blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(_COMMENT.sub("", line))
            if words[:1] == ["pqrnn"]:
                yield words[1:]


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {heading.strip().replace(" ", "-") for heading in headings}


def test_generated_parts_are_up_to_date() -> None:
    assert not find_stale(), "run python -m benchmarks.readme"


def test_every_table_is_shown() -> None:
    results, front = RESULTS_PAGE.read_text(encoding="utf-8"), README.read_text(encoding="utf-8")
    assert all(f"<!-- table: {name} -->" in results for name in TABLES)
    assert all(f"<!-- table: {name} -->" in front for name in HIGHLIGHTS)


def test_no_work_is_left_out() -> None:
    works = {row.work for row in load_results("quality").rows}
    assert not [work for work in works if not any(work.startswith((f"{data} ", f"{data}, ")) for data in DATA_SETS)]


def test_every_figure_is_used() -> None:
    shown = re.findall(r"<!-- figure: ([\w ]+) -->", README.read_text(encoding="utf-8"))
    drawn = re.findall(r"render_figure\(['\"]([\w ]+)", (ROOT / "benchmarks/overview.py").read_text(encoding="utf-8"))
    assert {*shown, *drawn} == {*FIGURES, *COUNTS}


def test_the_front_page_can_be_read() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("page", _PAGES, ids=_names)
def test_no_line_begins_with_a_figure(page: Path) -> None:
    """A comment at the start of a line would end the paragraph."""
    assert not re.findall(r"^\s*<!-- figure", page.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", _PAGES, ids=_names)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if path.startswith("https:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


def test_the_file_tree_is_that_of_the_repository() -> None:
    (tree,) = [block for block in _blocks(README, "") if block.startswith("pqrnn/ ")]
    shown, parent = set(), Path()
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            parent = Path(name)
        shown.add(str(parent if not line.startswith(" ") else parent / name))
    assert not [path for path in shown if not (ROOT / path).exists()]
    folders = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "pqrnn").glob("*/__init__.py")}
    assert folders <= shown


def test_every_parser_and_every_format_has_its_line() -> None:
    from pqrnn.data.formats import BY_NAME

    zoo = (ROOT / "pqrnn/zoo/README.md").read_text(encoding="utf-8")
    names = {path.parent.name for path in (ROOT / "pqrnn/zoo/checkpoints").glob("*/entry.json")}
    assert set(re.findall(r"^\| \[([\w-]+)\]", zoo, re.MULTILINE)) == names
    data = (ROOT / "pqrnn/data/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \|", data, re.MULTILINE)) == set(BY_NAME)


@pytest.mark.parametrize("page", _PAGES, ids=_names)
def test_commands_and_their_options_exist(page: Path) -> None:
    unknown, every_command = [], typer.main.get_command(app)
    for words in _commands(page):
        command = every_command
        rest = list(words)
        while subcommands := getattr(command, "commands", {}):
            if not rest and command.invoke_without_command:
                break
            assert rest and rest[0] in subcommands, f"no such command: pqrnn {shlex.join(words)}"
            command = subcommands[rest.pop(0)]
        known = {
            name
            for option in command.params
            if not getattr(option, "hidden", False)
            for name in (*option.opts, *option.secondary_opts)
        }
        unknown += [f"{command.name} {word}" for word in rest if word.startswith("-") and word not in known]
    assert not unknown


def test_the_front_page_shows_what_pytorch_answers() -> None:
    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.evaluation.prediction import predict_texts
    from pqrnn.zoo.shelf import find_parser
    from runtime_py.tools.presentation import parse_text

    checkpoint = load_checkpoint(find_parser("mtop-en").folder)
    (example,) = [block for block in _blocks(README, "python") if "Parser.load" in block]
    other = re.search(r'parser\("(.+)"\)', example)
    assert other is not None
    answers = predict_texts(
        checkpoint.model, checkpoint.facts.labels.decoder(checkpoint.facts.calibration), [TEXT, other[1]]
    )
    assert parse_text(answers[0]) + "\n" in _blocks(README, "")
    assert f"# {answers[1].intent} {[(slot.label, slot.text) for slot in answers[1].slots]}" in example
    assert (answers[0].intent, f"{answers[0].score:.2f}") == (INTENT, SCORE)
    assert {slot.text: slot.label for slot in answers[0].slots} == SLOTS


def test_the_calls_of_the_python_examples_fit_the_functions() -> None:
    calls = [
        call
        for block in _blocks(README, "python")
        for call in ast.walk(ast.parse(block))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "pqrnn"
    ]
    assert len(calls) > 5
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        inspect.signature(getattr(pqrnn, call.func.attr)).bind(*call.args, **keywords)


def test_the_grammar_of_the_front_page_makes_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (grammar,) = _blocks(README, "toml")
    (tmp_path / "kitchen.toml").write_text(grammar, encoding="utf-8")
    (sample,) = [words for words in _commands(README) if words[:2] == ["data", "sample"]]
    done = CliRunner().invoke(app, sample)
    assert done.exit_code == 0, done.output
    assert "light" in done.output


def test_versions_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r"\b(torch|iree-base-runtime)[= ]+([\d.]+\d)", README.read_text(encoding="utf-8"))
    assert len(named) == 2
    assert all(f'"{name}=={version}"' in project for name, version in named)


def test_the_json_line_of_the_front_page_is_read(tmp_path: Path) -> None:
    from pqrnn.data.loader import load_examples

    (line,) = _blocks(README, "json")
    (tmp_path / "train.jsonl").write_text(line, encoding="utf-8")
    (example,) = load_examples(str(tmp_path / "train.jsonl"), split="train")
    assert [(slot.label, example.text[slot.start : slot.end]) for slot in example.slots] == [("time", "seven")]


@pytest.mark.parametrize(
    "words", [["targets"], ["zoo", "list"], ["recipe", "show", "build"], ["recipe", "show", "mtop-en"]]
)
def test_what_the_front_page_tells_to_look_at_can_be_looked_at(words: list[str]) -> None:
    assert shlex.join(["pqrnn", *words]) in README.read_text(encoding="utf-8")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.output.strip()
