"""`pqrnn data` and the options that say how data are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer.testing

from pqrnn.cli.data_options import reads_data
from pqrnn.cli.running import app
from pqrnn.data.reading import ReadOptions
from pqrnn.data.specs import add_options, parse_spec
from pqrnn.errors import DataFormatError

pytestmark = pytest.mark.unit


def _run(*arguments: object) -> str:
    done = typer.testing.CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def _write(path: Path, *rows: dict[str, object] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_show_says_what_is_wrong_and_what_was_not_looked_at(tmp_path: Path) -> None:
    rows = [{"text": f"go {n}", "intent": "go", "id": n} for n in range(12)]
    _write(tmp_path / "train.jsonl", *rows, {"text": "GO 1", "intent": "Go"}, "no json")
    _write(tmp_path / "test.jsonl", {"text": "stop", "intent": "stop"})
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    said = _run("data", "show", tmp_path, "--skip-bad-rows")
    for line in (
        "the same text under several intents, 1: 'go 1' is go",
        "intents in dev or test that no training row has, 1: 'stop' (1 rows)",
        "intents that differ in space, capitals or composition alone, 1: 'Go' and 'go'",
        "intents with fewer than 10 rows to learn from, 1: 'Go' (1)",
        "1 wrong row is left out (--skip-bad-rows):",
        "keys that mean nothing here and are not read: 'id' (12 rows)",
        f"not looked at: {tmp_path}/book.xlsx (.xlsx is no data file)",
    ):
        assert line in said
    with pytest.raises(DataFormatError, match="--skip-bad-rows leaves the row out"):
        _run("data", "show", tmp_path)


def test_show_finds_what_a_grammar_makes_under_two_intents(tmp_path: Path) -> None:
    grammar = tmp_path / "mine.toml"
    words = "(a|b|c|d|e|f|g|h)"
    grammar.write_text(f'[intents]\non = ["light {words} {words} [on]"]\noff = ["light {words} {words} [off]"]\n')
    assert "mine.toml: the same text under several intents, 64:" in _run("data", "show", grammar)


def test_json_is_the_counts_alone(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", {"text": "go", "intent": "a"}, {"text": "go", "intent": "b"})
    done = typer.testing.CliRunner().invoke(app, ["data", "show", str(path), "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)[0]["utterances"] == 2
    assert "the same text under several intents" in done.stderr


def test_convert_reads_columns_by_name(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("phrase,topic,id\ngo,x,1\nstop,y,2\nbad\n")
    out = tmp_path / "out.jsonl"
    said = _run(
        "data", "convert", table, "-o", out, "--text-column", "phrase", "--intent-column", "topic", "--skip-bad-rows"
    )
    assert "1 wrong row is left out" in said and "'id' (2 rows)" in said and "2 utterances in" in said
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == ["go", "stop"]


def test_options_are_part_of_the_specification() -> None:
    options = ReadOptions(skip_bad_rows=True, text_column="a&b=c d?", intent_column="é")
    spec = add_options("csv:rows.csv", options)
    assert parse_spec(spec).options == options
    assert (parse_spec(spec).format, parse_spec(spec).path) == ("csv", "rows.csv")
    assert add_options(spec, ReadOptions(text_column="x")) == add_options("csv:rows.csv", ReadOptions(True, "x", "é"))
    assert add_options("rows.csv", ReadOptions()) == "rows.csv"


@pytest.mark.parametrize(
    "verb", ["train", "finetune", "distill", "quantize", "average", "evaluate", "check", "bench", "build"]
)
def test_every_verb_that_reads_data_has_the_options(verb: str) -> None:
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert {"--skip-bad-rows", "--text-column", "--intent-column"} <= flags


def test_training_says_the_two_gravest(tmp_path: Path) -> None:
    from pqrnn.api.runs import load_data
    from pqrnn.training.reporting import TrainingReporter

    class Reporter(TrainingReporter):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    rows = [{"text": "go", "intent": "go"}, {"text": "go", "intent": "Go"}, "no json"]
    _write(tmp_path / "train.jsonl", *rows)
    _write(tmp_path / "dev.jsonl", {"text": "stop", "intent": "stop"})
    reporter = Reporter()
    load_data(f"{tmp_path}?skip-bad-rows", None, None, 0.1, reporter)
    assert reporter.notes[0] == "1 wrong row is left out (--skip-bad-rows):"
    assert reporter.notes[-2].startswith("the same text under several intents, 1")
    assert reporter.notes[-1].startswith("intents in dev or test that no training row has, 1: 'stop'")
    assert len(reporter.notes) == 4
    assert not any("\n" in note for note in reporter.notes)


def test_sentences_beyond_what_python_writes_are_counted(tmp_path: Path) -> None:
    grammar = tmp_path / "mine.toml"
    grammar.write_text(f'[intents]\na = "{"(a|b|c|d|e|f|g|h|i|j)" * 4400}"\n')
    assert "about 10^4400 sentences possible" in _run("data", "sample", grammar, "-n", "1")


def test_what_the_options_say_reaches_every_specification() -> None:
    seen: dict[str, object] = {}

    def verb(data: str, dev: str | None = None, unlabelled: list[str] | None = None) -> None:
        seen.update(data=data, dev=dev, unlabelled=unlabelled)

    reads_data(verb)(
        data="a.csv", dev="b.csv", unlabelled=["c", "home"], skip_bad_rows=True, text_column="t", intent_column=None
    )
    assert seen == {
        "data": "a.csv?skip-bad-rows&text-column=t",
        "dev": "b.csv?skip-bad-rows&text-column=t",
        "unlabelled": ["c?skip-bad-rows", "home?skip-bad-rows"],
    }
    reads_data(verb)(data="a", dev=None, unlabelled=None, skip_bad_rows=False, text_column=None, intent_column=None)
    assert seen == {"data": "a", "dev": None, "unlabelled": None}
