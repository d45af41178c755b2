r"""Processes that are killed at random moments of everything that writes, and what is found and done after that.

    python -m benchmarks.kills --kills 12

Each stage runs in a process that is forked from this one and is killed (SIGKILL) at a random moment of the time that it
takes. What its readers find then has to be nothing, or the whole of what was there before or of what was to be written;
and the same stage, run again, has to end in what an undisturbed one does. Rows are kept in `results/robustness.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.hostile.kinds import PACKAGE, REFERENCE, RUN
from benchmarks.hostile.subjects import DATA, make_subject
from benchmarks.hostile_packages import NAME, compile_tiny
from benchmarks.results import keep_results, print_rows, tell_command
from compile.lowering.cache import Cache
from compile.lowering.iree_compile import Compiled, Statistics
from compile.packaging.bundle import deploy
from pqrnn.checkpoint import load_checkpoint, save_checkpoint
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.distillation import logit_store
from pqrnn.errors import PqrnnError
from pqrnn.evaluation.results import ResultRow
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig, TrainingConfig
from pqrnn.run_folder import FACTS, STATE, WEIGHTS
from pqrnn.training.trainer import train
from pqrnn.zoo.adding import add_parser
from pqrnn.zoo.card import Story
from pqrnn.zoo.shelf import read_entry
from runtime_py.errors import ParserError
from runtime_py.package_format.certificates import add_certificate, certify_replay, with_certificates
from runtime_py.package_format.package import new_package, open_package, seal
from runtime_py.package_format.proofs import Parity
from runtime_py.parity.reference_file import load_reference, save_reference

WORK = "kills"
ABSENT = "absent"
_SHARE = {"train": 3, "quantize": 3}  # stages that take seconds are killed so many times less often
_LONGEST = 300.0  # seconds that a stage may take
_MODEL = ModelConfig(projection=ProjectionConfig(word_features=32, ngram_features=32), bottleneck=16, state=8)
_TRAINING = TrainingConfig(epochs=4, batch=8, learning_rate=1e-2, patience=0, swap=0.3, misspell=0.1)
_ROOMS = [
    Example(f"light the {room} {when}", intent, (SlotSpan("room", 10, 10 + len(room)),))
    for room in ("kitchen", "bath", "hall", "cellar")
    for when, intent in (("now", "on"), ("later", "plan"), ("please", "on"))
]


class Stage(NamedTuple):
    """Something that writes.

    Attributes:
        name: What it is.
        run: Writes into a folder of a subject, and takes up what a killed one left.
        read: Returns a digest of what its readers find; raises an error of ours, or says `ABSENT`, where that is
            nothing.
    """

    name: str
    run: Callable[[Path], object]
    read: Callable[[Path], str]


class Fate(NamedTuple):
    """What became of a stage that was killed.

    Attributes:
        found: Whether what was found after the kill was nothing, or whole.
        recovered: Whether the same stage, run again, ended as an undisturbed one does.
        said: What was wrong.
    """

    found: bool
    recovered: bool
    said: str = ""


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()


def _train(folder: Path) -> None:
    train(folder / "trained", _ROOMS, _ROOMS[::3], _MODEL, _TRAINING)


def _read_run(name: str) -> Callable[[Path], str]:
    def read(folder: Path) -> str:
        run = folder / name
        if (run / STATE).is_file() or not (run / FACTS).is_file():
            return ABSENT  # a run under way, which says so
        load_checkpoint(run)
        return _digest((run / WEIGHTS).read_bytes())

    return read


def _quantize(folder: Path) -> None:
    import pqrnn

    pqrnn.quantize(folder / RUN, str(folder / DATA), folder / "int8", dev=str(folder / DATA))


def _save(folder: Path) -> None:
    checkpoint = load_checkpoint(folder / RUN)
    save_checkpoint(folder / "saved", checkpoint.model, checkpoint.facts)


def _pack(folder: Path) -> None:
    package = open_package(folder / PACKAGE)
    with new_package(folder / "packed.pqrnn", replace=True) as directory:
        for name in package.manifest.files:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(package.file(name).read_bytes())
        seal(directory, package.manifest)


def _read_package(name: str) -> Callable[[Path], str]:
    def read(folder: Path) -> str:
        package = open_package(folder / name, verify=True)
        package.golden()
        return _digest(repr(sorted(package.manifest.files.items())).encode())

    return read


def _cache(folder: Path) -> None:
    module = folder / PACKAGE / open_package(folder / PACKAGE).manifest.variants[0].path
    Cache(folder / "cache").store("ab" * 32, Compiled(module, (), 1.0, Statistics(0, 0, 0, 0)), "3")


def _read_cache(folder: Path) -> str:
    found = Cache(folder / "cache").fetch("ab" * 32, folder / "fetched.vmfb")
    return ABSENT if found is None else _digest(found.path.read_bytes())


def _label(folder: Path) -> None:
    logit_store.SHARD = 4
    labels = load_checkpoint(folder / RUN).facts.labels
    texts = [logit_store.TransferText(index, (b"a", b"b"), None, -1) for index in range(24)]

    def answer(some: object) -> logit_store.TeacherLogits:
        rows = [text.source for text in some]  # type: ignore[attr-defined]
        return logit_store.TeacherLogits(
            torch.tensor([[float(row)] * len(labels.intents) for row in rows]),
            torch.tensor([[float(row)] * len(labels.tags) for row in rows for _ in range(2)]),
        )

    logit_store.write_logits(
        folder / "lessons", texts, answer, fingerprint="x", labels=labels, teachers=["t"], utterances=24
    )


def _read_lessons(folder: Path) -> str:
    logit_store.SHARD = 4
    return logit_store.read_logits(folder / "lessons").digest


def _deploy(folder: Path) -> None:
    deploy(folder / PACKAGE, folder / "bundle", replace=True)


def _read_bundle(folder: Path) -> str:
    files = sorted(path for path in (folder / "bundle").rglob("*") if path.is_file())
    if not files:
        return ABSENT
    return _digest(*(path.relative_to(folder).as_posix().encode() + path.read_bytes() for path in files))


def _add(folder: Path) -> None:
    story = Story(summary="a test")
    add_parser(folder / RUN, folder / "shelf", "tiny-en", data=["home"], story=story, languages=["en"], replace=True)


def _read_shelf(folder: Path) -> str:
    if not (folder / "shelf" / "tiny-en").is_dir():
        return ABSENT
    entry = read_entry(folder / "shelf" / "tiny-en")
    load_checkpoint(folder / "shelf" / "tiny-en")
    return _digest(repr(entry.files).encode())


def _certify(folder: Path) -> None:
    package = open_package(folder / PACKAGE)
    zeros: dict[str, Any] = dict.fromkeys(
        ("intent_flips", "tag_flips", "count_mismatches", "span_mismatches", "not_finite", "all_zero"), 0
    )
    parity = Parity(
        passed=True, texts=8, words=9, repeats=3, tolerance=1.0, intent_max_abs=0.0, tags_max_abs=0.0,
        not_deterministic=0, machine="m", runtime="iree 3", checked="now", **zeros,
    )  # fmt: skip
    target = package.manifest.variants[0].target
    made = certify_replay(package.manifest, package.variant(target), parity, architecture="x86_64", made_by="check")
    add_certificate(folder / PACKAGE, target, made, parity)


def _read_certified(folder: Path) -> str:
    package = with_certificates(open_package(folder / PACKAGE, verify=True))
    variant = package.manifest.variants[0]
    return f"{variant.parity is not None} {len(variant.certificates)}"


def _refer(folder: Path) -> None:
    save_reference(folder / "again.reference", load_reference(folder / REFERENCE))


def _read_reference(folder: Path) -> str:
    return load_reference(folder / "again.reference").digest


STAGES: tuple[Stage, ...] = (
    Stage("checkpoint", _save, _read_run("saved")),
    Stage("package", _pack, _read_package("packed.pqrnn")),
    Stage("cache of compiled code", _cache, _read_cache),
    Stage("lessons of a teacher", _label, _read_lessons),
    Stage("deploy", _deploy, _read_bundle),
    Stage("zoo add", _add, _read_shelf),
    Stage("certify", _certify, _read_certified),
    Stage("reference", _refer, _read_reference),
    Stage("train", _train, _read_run("trained")),
    Stage("quantize", _quantize, _read_run("int8")),
)
"""Everything that writes what something reads later."""


def run_forked(function: Callable[[], object], kill_after: float | None = None) -> tuple[int, float]:
    """Run a function in a process of its own, which is killed after so many seconds.

    Returns:
        Its exit code, or minus the signal that ended it, and the seconds that it took.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    ended, ends = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(ended)
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            function()
            os._exit(0)
        except BaseException:
            os._exit(70)
    os.close(ends)
    select.select([ended], [], [], _LONGEST if kill_after is None else kill_after)  # the child's end closes the pipe
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(ended)
    return os.waitstatus_to_exitcode(status), time.monotonic() - started


def look(stage: Stage, folder: Path) -> str:
    """Return what the readers of a stage find, `ABSENT` where they refuse it with an error of ours."""
    try:
        return stage.read(folder)
    except (PqrnnError, ParserError, FileNotFoundError):
        return ABSENT


def kill_once(stage: Stage, good: Path, expected: set[str], last: str, after: float, folder: Path) -> Fate | None:
    """Kill a stage after some seconds, look, and run it again.

    Args:
        stage: The stage.
        good: Folder of a subject before the stage.
        expected: What may be found after the kill.
        last: What has to be found after the stage.
        after: Seconds after which it is killed.
        folder: A folder that is made for it.

    Returns:
        What became of it; None where it had ended before.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    code, _ = run_forked(lambda: stage.run(folder), after)
    if code != -signal.SIGKILL:
        return None
    found = look(stage, folder)
    again, _ = run_forked(lambda: stage.run(folder))
    end = look(stage, folder)
    said = f"found {found}; run again it ended with {again} and {'the same' if end == last else end}"
    return Fate(found in expected, again == 0 and end == last, said)


def kill_stage(stage: Stage, good: Path, kills: int, dice: random.Random, scratch: Path) -> list[Fate]:
    """Kill a stage so many times at random moments of the time that it takes.

    Raises:
        RuntimeError: It does not end by itself.
    """
    whole = scratch / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    shutil.copytree(good, whole)
    before = look(stage, whole)
    code, first = run_forked(lambda: stage.run(whole))
    shutil.rmtree(whole)
    shutil.copytree(good, whole)
    again, seconds = run_forked(lambda: stage.run(whole))
    code, seconds = code or again, min(first, seconds)
    last = look(stage, whole)
    if code or last == ABSENT:
        raise RuntimeError(f"{stage.name}: an undisturbed run ends with {code} and {last}")
    expected = {ABSENT, before, last}
    if stage.name == "certify":
        expected.add("True 0")  # the outcome of the check is written before the certificate
    fates: list[Fate] = []
    for _ in range(6 * kills):
        fate = kill_once(stage, good, expected, last, dice.uniform(0, seconds), scratch / "killed")
        fates += [fate] if fate is not None else []
        if len(fates) == kills:
            break
    return fates


def describe(fates: dict[str, list[Fate]]) -> list[ResultRow]:
    """Return a row for each stage, and one for all."""
    rows = []
    every = [fate for found in fates.values() for fate in found]
    for name, found in {"all stages": every, **fates}.items():
        good = [fate for fate in found if fate.found and fate.recovered]
        wrong = "; ".join(fate.said for fate in found if fate not in good)
        note = wrong or "nothing half-written was read, and the same command went on to the same end"
        rows.append(ResultRow(work=WORK, metric=name, value=len(good), n=len(found), note=note))
    return rows


def main() -> None:
    """Kill, look, run again, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12, help="kills of each stage")
    parser.add_argument("--stage", action="append", choices=[stage.name for stage in STAGES], help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--module", type=Path, help="the compiled tiny module, where it is at hand")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the rows and keep nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    code = arguments.module.read_bytes() if arguments.module else compile_tiny()
    dice = random.Random(arguments.seed)
    fates: dict[str, list[Fate]] = {}
    with tempfile.TemporaryDirectory(prefix="pqrnn-kills-") as folder:
        good = Path(folder) / "good"
        good.mkdir()
        make_subject(good, code)
        for stage in STAGES:
            if not arguments.stage or stage.name in arguments.stage:
                kills = max(1, arguments.kills // _SHARE.get(stage.name, 1))
                fates[stage.name] = kill_stage(stage, good, kills, dice, Path(folder))
                if arguments.only_print:
                    print_rows(NAME, describe(fates))
                else:  # after each stage: all take long
                    keep_results(NAME, describe(fates), tell_command("benchmarks.kills"), replace_works=[WORK])


if __name__ == "__main__":
    main()
