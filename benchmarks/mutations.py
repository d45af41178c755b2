r"""Changes of a good package, and which step of the check catches each of them, here or in an emulator.

    python -m benchmarks.mutations RUN --teacher TEACHER --data DATA --lang en

The package is compiled for this machine, and the reference made, in a folder of the system's. Every change
(`benchmarks.mutation_kinds`) is made to a copy, and `python -m runtime_py check --reference` judges it in a process of
its own. With `--target` the code is for another machine, and `pqrnn check --reference --emulated` judges it. Rows are
kept in `results/robustness.json`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file

from benchmarks.mutation_kinds import DECISIONS, DIGEST, MUTATIONS, NUMBERS, PACKAGE, SIGNATURE, TASK, Mutation, Subject
from benchmarks.reference_texts import add_arguments, read_examples
from benchmarks.results import keep_results, print_rows, tell_command
from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from compile.support.errors import VerificationError
from compile.verify.make_reference import make_reference
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example
from pqrnn.evaluation.results import ResultRow
from pqrnn.run_folder import FACTS, WEIGHTS
from runtime_py.fresh_process import fresh_command
from runtime_py.package_format.package import open_package
from runtime_py.parity.reference_file import save_reference

NAME = "robustness"
WORK = "mutations"
HOST = "host"
_CODES = {0: SIGNATURE, 1: PACKAGE, 2: DIGEST, 3: NUMBERS, 4: DECISIONS, 5: TASK}
_SECONDS = 300.0
_SECONDS_EMULATED = 1800.0
Weights = dict[str, torch.Tensor]


class Verdict(NamedTuple):
    """What became of a mutation.

    Attributes:
        mutation: The mutation.
        caught_by: What caught it: `signature` if nothing did; empty if it cannot be made of this package.
        said: What the check said.
        also: Later steps that failed, too: the exit code tells the first alone.
    """

    mutation: Mutation
    caught_by: str
    said: str
    also: tuple[str, ...] = ()

    @property
    def expected(self) -> bool:
        """Whether what had to catch it did."""
        wanted = ("", *self.mutation.caught_by)
        return self.caught_by in wanted or any(step in wanted for step in self.also)


def main() -> None:
    """Make the package and the reference, change, check, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, texts=500)
    parser.add_argument("--target", default=HOST, help="compile for it, and run it in its emulator (default: host)")
    parser.add_argument("--bucket", type=int, nargs=2, metavar=("WORDS", "BYTES"), help="compile for this length alone")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of the golden texts (default %(default)s)")
    arguments = parser.parse_args()
    examples = read_examples(arguments)
    options = CompileOptions(buckets=make_buckets([arguments.bucket]) if arguments.bucket else None)
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="pqrnn-mutations-") as folder:
        subject = make_subject(
            Path(folder),
            arguments.run,
            arguments.teacher,
            examples,
            lambda run, package: compile_checkpoint(run, package, [arguments.target], options),
        )
        for mutation in MUTATIONS:
            verdicts.append(judge(subject, mutation, Path(folder) / "copy", arguments.repeats))
            print(f"{len(verdicts)} of {len(MUTATIONS)}: {mutation.name}", file=sys.stderr)
    for verdict in verdicts:
        mark = " " if verdict.expected else "!"
        print(f"{mark} {verdict.mutation.name:50} {verdict.caught_by or 'not possible':12} {verdict.said[:100]}")
    work = WORK if arguments.target == HOST else f"{WORK}, {arguments.target}"
    rows = describe(verdicts, arguments.run.name, work)
    if arguments.only_print:
        print_rows(NAME, rows)
    else:
        keep_results(NAME, rows, tell_command("benchmarks.mutations"), replace_works=[work])


def make_subject(
    folder: Path,
    run: Path,
    teachers: Sequence[Path],
    examples: Sequence[Example],
    compile_into: Callable[[Path, Path], object],
) -> Subject:
    """Compile a parser and changed forms of it, and make its reference.

    Args:
        folder: Folder for all of it.
        run: Folder of the trained parser.
        teachers: Folders of what taught it.
        examples: Utterances of the reference.
        compile_into: Compiles a run into a package, for one target.
    """
    package = folder / "good.pqrnn"
    compile_into(run, package)
    save_reference(
        folder / "good.reference",
        make_reference(run, teachers, examples, data="", split="", exact=min(64, len(examples))),
    )
    target = open_package(package).manifest.variants[0].target
    modules = {}
    for name, change in CHANGES.items():
        changed = folder / "runs" / name.replace(" ", "-")
        changed.mkdir(parents=True)
        shutil.copyfile(run / FACTS, changed / FACTS)
        weights = load_file(run / WEIGHTS)
        if not change(weights):
            continue
        save_file({key: value.contiguous() for key, value in weights.items()}, changed / WEIGHTS)
        other = folder / f"{changed.name}.pqrnn"
        try:
            compile_into(changed, other)
            modules[name] = other / open_package(other).variant(target).path
        except VerificationError as error:  # answers that are all but constant have no errors to judge by
            if error.folder is None:
                raise
            modules[name] = next(error.folder.rglob("module.vmfb"))
    return Subject(package, target, folder / "good.reference", modules, tuple(find_needles(run)))


def find_needles(run: Path) -> list[bytes]:
    """Return biases as the compiled program holds them: in float32, four in a row."""
    model = load_checkpoint(run).model.folded()
    return [
        value.detach().float().numpy()[:4].tobytes()
        for name, value in model.state_dict().items()
        if name in ("tags.bias", "intent.bias") and value.numel() >= 4
    ]


def judge(subject: Subject, mutation: Mutation, copy: Path, repeats: int = 3) -> Verdict:
    """Make a change, and check what became of it in a process of its own: here, or in an emulator of the target."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(subject.package, copy)
    if not mutation.apply(subject, copy):
        return Verdict(mutation, "", "")
    checking = ("check", str(copy), "--variant", subject.target, "--reference", str(subject.reference))
    emulated = ("--emulated", "--time-limit", str(_SECONDS_EMULATED), "--repeats", str(repeats))
    command = (
        fresh_command("runtime_py.cli", *checking)
        if subject.target == HOST
        else [sys.executable, "-m", "pqrnn", *checking, *emulated]
    )
    finished = subprocess.run(
        command, capture_output=True, timeout=_SECONDS if subject.target == HOST else _SECONDS_EMULATED, check=False
    )
    said = finished.stderr.decode("utf-8", "replace").strip().splitlines()
    caught_by = _CODES.get(finished.returncode, "crash") if finished.returncode >= 0 else "crash"
    if any("Traceback" in line for line in said):
        caught_by = "traceback"
    also = tuple(
        step for step in (NUMBERS, DECISIONS, TASK) if any(line.startswith(f"failed: {step}:") for line in said)
    )
    if caught_by not in _CODES.values():  # a crash or a traceback is no step's work, whatever was said before
        also = ()
    return Verdict(mutation, caught_by, said[0] if said else "", also)


def describe(verdicts: Sequence[Verdict], peer: str, work: str = WORK) -> list[ResultRow]:
    """Return the rows of a run: what was caught of what a check can catch, by which step, and what it cannot."""
    made = [verdict for verdict in verdicts if verdict.caught_by]
    beyond = [verdict for verdict in made if SIGNATURE in verdict.mutation.caught_by]
    within = [verdict for verdict in made if verdict not in beyond]
    caught = [verdict for verdict in within if verdict.expected]
    rows = [
        ResultRow(
            work=work,
            metric="caught",
            value=len(caught),
            n=len(within),
            peer=peer,
            note="by the step that has to catch them",
        )
    ]
    for step in dict.fromkeys(verdict.caught_by for verdict in caught):
        named = [verdict.mutation.name for verdict in caught if verdict.caught_by == step]
        rows.append(
            ResultRow(work=work, metric=f"caught by {step}", value=len(named), peer=peer, note="; ".join(named))
        )
    named = [verdict.mutation.name for verdict in beyond]
    rows.append(ResultRow(work=work, metric="left to a signature", value=len(named), peer=peer, note="; ".join(named)))
    return rows


def _outputs(weights: Weights, name: str) -> torch.Tensor:
    """Return a matrix with its outputs first, whatever its precision; it is changed in place."""
    value = weights[name]
    return value.t() if value.dtype == torch.int8 else value


def _drop_layer(weights: Weights) -> bool:
    """Let the last layer give zeros: its candidates are the tanh of nothing."""
    last = max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
    weights[f"layers.{last}.product.weight"].zero_()
    return True


def _gates(weights: Weights) -> torch.Tensor:
    """Return the product of the first layer as [direction, tap, gate, state, inputs]."""
    product = _outputs(weights, "layers.0.product.weight")
    state = len(weights["layers.0.bias"]) // 6
    return product.unflatten(0, (2, -1, 3, state))


def _drop_gate(weights: Weights) -> bool:
    _gates(weights)[:, :, 1].zero_()
    return True


def _reverse(weights: Weights) -> bool:
    gates = _gates(weights)
    gates.copy_(gates.flip(0).clone())
    return True


def _drop_lane(weights: Weights) -> bool:
    _outputs(weights, "bottleneck.weight")[3].zero_()
    return True


def _scale(weights: Weights) -> bool:
    name = "layers.0.product.scale" if "layers.0.product.scale" in weights else "layers.0.product.weight"
    weights[name].mul_(1.01)
    return True


def _empty_features(weights: Weights) -> bool:
    product = _outputs(weights, "bottleneck.weight")
    product[:, product.shape[1] // 2 :].zero_()
    return True


def _raise_biases(weights: Weights) -> bool:
    weights["tags.bias"].add_(0.25)
    return True


def _other_model(weights: Weights) -> bool:
    generator = torch.Generator().manual_seed(0)
    intents = _outputs(weights, "intent.weight")
    intents.copy_(intents[:, torch.randperm(intents.shape[1], generator=generator)].clone())
    return True


CHANGES: dict[str, Callable[[Weights], bool]] = {
    "another model": _other_model,
    "a wrong scale": _scale,
    "a dropped layer": _drop_layer,
    "a dropped gate": _drop_gate,
    "reversed direction": _reverse,
    "one lane of a product": _drop_lane,
    "emptied features": _empty_features,
    "biases of all tags raised": _raise_biases,
}
"""Changes of a model, by name, made to its stored weights; false if the model has nothing of the kind."""

if __name__ == "__main__":
    main()
