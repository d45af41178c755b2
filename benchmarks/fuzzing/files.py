"""Random files for every reader: a good file, changed at random, is read or refused with an error of ours."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.hostile.checkpoints import read_tensors
from benchmarks.hostile.kinds import DECISIONS, GOLDEN, PACKAGE, REFERENCE, RUN
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.grammar.reader import load_grammar
from pqrnn.data.loader import load_examples
from pqrnn.errors import DataError, PqrnnError
from pqrnn.recipes.files import read_recipe
from pqrnn.recipes.recipes import BuildRecipe
from pqrnn.run_folder import FACTS, WEIGHTS
from runtime_py.errors import ParserError
from runtime_py.package_format.decisions import load_decisions
from runtime_py.package_format.golden import load_golden
from runtime_py.package_format.package import open_package
from runtime_py.parity.goals import read_goals
from runtime_py.parity.reference_file import load_reference

_ROW = '{"text": "wake me at seven", "intent": "set", "slots": [{"start": 11, "end": 16, "label": "time"}]}\n'
_MASSIVE = (
    '{"id": "0", "locale": "en-US", "partition": "train", "intent": "alarm_set", "utt": "wake me at five am", '
    '"annot_utt": "wake me at [time : five am]"}\n'
)
_SNIPS = (
    '{"PlayMusic": [{"data": [{"text": "play "}, {"text": "jazz", "entity": "genre"}, {"text": " please"}]}, '
    '{"data": [{"text": "stop"}]}]}'
)
_RASA = (
    'version: "3.1"\nnlu:\n- intent: set\n  examples: |\n    - wake me at [seven](time)\n    - stop at [five](time)\n'
)
_STUDIO = (
    '[{"data": {"text": "wake me at seven"}, "annotations": [{"result": [{"type": "labels", "from_name": "l", '
    '"to_name": "t", "value": {"start": 11, "end": 16, "text": "seven", "labels": ["time"]}}, {"type": "choices", '
    '"from_name": "c", "to_name": "t", "value": {"choices": ["set"]}}]}]}]'
)
DATA: dict[str, tuple[str, str]] = {
    "jsonl": ("train.jsonl", _ROW * 2 + '{"text": "stop", "intent": "stop", "slots": []}\n'),
    "json array": ("train.json", f"[{_ROW.strip()}, {_ROW.strip()}]"),
    "mtop": (
        "train.txt",
        "1\tIN:PLAY\t0:4:SL:WHO,5:11:SL:ALBUM\tZoë bläst 8\tmusic\ten_XX\t[IN:PLAY ]\t"
        '{"tokens":["x"],"tokenSpans":[{"start":0,"length":1}]}\n',
    ),
    "massive": ("en-US.jsonl", _MASSIVE * 2),
    "bio": ("train.txt", "at:O 9:B-time ::I-time 15pm:I-time <=> set/alarm\nstop:O <=> stop\n"),
    "conll": (
        "train.conll",
        "# text: wake me\n# intent: x\n1\twake\tx\tO\n2\tme\tx\tB-who\n\n# intent: y\nstop\ty\tO\n",
    ),
    "clinc150": ("data.json", '{"train":[["a b","c"],["d","e"]],"val":[["is it, or not","yes"]]}'),
    "snips": ("train_PlayMusic_full.json", _SNIPS),
    "rasa": ("nlu.yml", _RASA),
    "label studio": ("export.json", _STUDIO),
    "top": ("train.tsv", "wake me at seven\twake me at seven\t[IN:SET wake me at [SL:TIME seven ] ]\n"),
    "csv": ("train.csv", 'text,intent\n"wake me, please",set\nstop,stop\n'),
    "tsv": ("train.tsv", "text\tintent\nwake me\tset\nstop\tstop\n"),
    "gzip": ("train.jsonl.gz", _ROW * 3),
}
_GRAMMAR = (
    'locale = "en"\n[lists]\narea = ["kitchen", "bath[room]"]\nlevel = [{ from = 5, to = 20, step = 5, '
    'template = "{n} percent" }, "half"]\n[rules]\nplease = "[please|now]"\n[intents]\n'
    'light = ["(turn|switch) on the {area} light[s] <please>", "dim the {area} to {level}"]\nnone = ["hello"]\n'
)
_RECIPE = (
    '[train.training]\nepochs = 3\nlearning_rate = 0.002\n[train.model]\nlayers = 2\nnetwork = "qrnn"\n'
    "[train.model.projection]\nword_features = 512\nngrams = [2, 3, 4]\n"
)
_GOALS = "[parity]\nmin_retention = 0.97\nmax_flips = 3\nmax_drop = 0.01\n"

_TOKENS = (
    b"[" * 2000, b"{" * 2000, b'{"a":' * 1500, b"(" * 500, b"9" * 5000, b"-1", b"1e400", b"1e-400", b"NaN", b"Infinity",
    b"4294967296", b"18446744073709551616", b"null", b"true", b"[]", b"{}", b'"', b"'", b"\\", b"\\u0000", b"\\ud800",
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x85",
    b"\r", b"\r\n", b"\n", b"\t", b",", b":", b"|", b"<=>", b"{n}", b"<please>", b"[[", b"]]", b"\x1b[31m", b"#", b"=",
    b"\x1f\x8b", b"PK\x05\x06", b"PK\x01\x02", b"\x93NUMPY",
)  # fmt: skip


class Reader(NamedTuple):
    """Something that reads a file.

    Attributes:
        name: What it reads.
        path: The file, in the folder of a good subject.
        read: Reads it, and returns what is wrong with what was read, or "".
        error: The base of the errors that it may raise.
    """

    name: str
    path: Path
    read: Callable[[], str]
    error: tuple[type[Exception], ...]


def make_readers(folder: Path) -> list[Reader]:
    """Write good files into the folder of a good subject, and return what reads each of them."""
    readers = []
    for name, (file, content) in DATA.items():
        path = folder / "data" / name.replace(" ", "-") / file
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(content.encode()) if file.endswith(".gz") else content.encode())
        readers.append(Reader(f"data: {name}", path, _reads_data(path), (DataError,)))
    read: Callable[[Path], object]
    for name, content, read in (
        ("grammar", _GRAMMAR, load_grammar),
        ("recipe", _RECIPE, lambda path: read_recipe(path, BuildRecipe())),
        ("goals", _GOALS, read_goals),
    ):
        path = folder / f"{name}.toml"
        path.write_text(content, encoding="utf-8")
        readers.append(Reader(name, path, _quietly(read, path), (PqrnnError, ParserError)))
    package, run = folder / PACKAGE, folder / RUN
    for name, path, read, argument in (
        ("manifest", package / "manifest.json", open_package, package),
        ("golden vectors", package / GOLDEN, load_golden, package / GOLDEN),
        ("golden decisions", package / DECISIONS, load_decisions, package / DECISIONS),
        ("reference", folder / REFERENCE, load_reference, folder / REFERENCE),
        ("facts", run / FACTS, load_checkpoint, run),
        ("weights", run / WEIGHTS, load_checkpoint, run),
    ):
        readers.append(Reader(name, path, _quietly(read, argument), (PqrnnError, ParserError)))
    assert read_tensors(run / WEIGHTS)
    return readers


def _quietly(read: Callable[[Path], object], path: Path) -> Callable[[], str]:
    def run() -> str:
        read(path)
        return ""

    return run


def _reads_data(path: Path) -> Callable[[], str]:
    def run() -> str:
        examples = load_examples(str(path), split="all")
        for example in examples:
            for slot in example.slots:
                if not 0 <= slot.start <= slot.end <= len(example.text):
                    return f"a slot from {slot.start} to {slot.end} in {example.text!r}"
        if path.suffix == ".jsonl":
            rows = sum(bool(line.strip()) for line in path.read_bytes().decode("utf-8-sig").split("\n"))
            if rows != len(examples):
                return f"{len(examples)} examples of {rows} rows"
        return ""

    return run


def change(content: bytes, dice: random.Random) -> bytes:
    """Return content with one to six random changes."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(data) + 1)
        end = min(len(data), place + int(dice.expovariate(1 / 8)) + 1)
        kind = dice.randrange(7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << dice.randrange(8)
        elif kind == 1 and place < len(data):
            data[place] = dice.randrange(256)
        elif kind == 2:
            del data[place:end]
        elif kind == 3:
            data[place:place] = data[place:end] * dice.randint(1, 3)
        elif kind == 4:
            data[place:place] = dice.choice(_TOKENS)
        elif kind == 5:
            data[place:end] = dice.choice(_TOKENS)
        elif dice.random() < 0.2:
            del data[place:]
    return bytes(data)


def draw_faults(reader: Reader, dice: random.Random) -> Iterator[str]:
    """Change the reader's file for ever; yield what was wrong with each reading, "" where nothing was."""
    good = reader.path.read_bytes()
    while True:
        content = change(good, dice)
        reader.path.write_bytes(content)
        try:
            fault = reader.read()
        except reader.error:
            fault = ""
        except Exception as error:
            fault = f"{type(error).__name__}: {str(error)[:100]}; {content[:60]!r}"
        finally:
            reader.path.write_bytes(good)
        yield fault
