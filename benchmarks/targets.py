r"""Every target: compiled from one checkpoint, run on this machine or in its emulator, compared with PyTorch.

    python -m benchmarks.targets runs/mtop-en --data ../shared/data/mtop/spans --lang en \
        --package runs/mtop-en-all.pqrnn

The package is compiled for all targets where it does not exist yet: half a minute of a processor core for each kind of
code. Each variant answers the same texts: every n-th test utterance, and the golden texts in other scripts, emoji and
invalid bytes. No time of the code is kept: most of what runs here is emulated. On 64-bit ARM the instructions of a text
of 8 words are counted and priced (`energy.py`), and everywhere the seconds that all texts took are kept, as what a
proof costs. What has no runner is compiled, checked statically and listed as not executed; the architectures that IREE
has no runtime for run as plain C instead. Rows are kept in `results/targets.json`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.energy import call_energy
from benchmarks.results import keep_results, tell_command
from compile.emulation.counting import count_instructions
from compile.emulation.runner import Runner, RunnerNotFoundError, find_runner
from compile.kernels.advice import describe_kernels
from compile.pipeline import compile_checkpoint
from compile.plan import ALL, usable_cores
from compile.support.process import run_tool
from compile.target_bench.measure import benchmark_arguments, fixed_text
from compile.verify.golden import TRICKY
from compile.verify.parity import Decisions, check_labels, compare_answers
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.loader import load_examples
from pqrnn.evaluation.prediction import Prediction, compute_logits
from pqrnn.evaluation.results import ResultRow
from runtime_py.package_format.manifest import Bucket, Manifest, Model, Variant
from runtime_py.package_format.package import open_package
from runtime_py.tools.answers import load_answers, save_texts
from targets import registry

_TIMEOUT = 3600.0
_WORDS = 8


def main() -> None:
    """Compile what is missing, run, compare, print, keep."""
    arguments = _read_arguments()
    if not arguments.package.exists():
        compile_checkpoint(
            arguments.run,
            arguments.package,
            arguments.target or [ALL],
            on_progress=lambda step: print(f"{step.stage}: {step.detail}", file=sys.stderr),
        )
    checkpoint = load_checkpoint(arguments.run)
    manifest = open_package(arguments.package).manifest
    check_labels(checkpoint, manifest.labels)
    texts = choose_texts(arguments.data, arguments.lang, arguments.texts, manifest.buckets)
    framework = compute_logits(checkpoint.model, texts)
    machines = {
        variant.target: find_machine(variant)
        for variant in manifest.variants
        if variant.target in (arguments.target or [variant.target])
    }
    # Targets of the same bytes on the same machine have the same answers: they are computed once.
    groups: dict[tuple[str, str], list[Variant]] = {}
    for variant in manifest.variants:
        runner = machines.get(variant.target)
        if isinstance(runner, Runner):
            groups.setdefault((variant.path, runner.name), []).append(variant)
    outcomes: dict[str, Decisions] = {}
    seconds: dict[str, float] = {}

    def run(members: list[Variant]) -> None:
        runner = machines[members[0].target]
        assert isinstance(runner, Runner)
        begin = time.perf_counter()
        answers = replay(arguments.package, members[0], texts, runner)
        seconds.update({member.target: time.perf_counter() - begin for member in members})
        decisions = compare_answers(checkpoint, texts, framework, answers)
        outcomes.update({member.target: decisions for member in members})
        print(
            f"{', '.join(member.target for member in members)}: "
            f"{decisions.intent_flips + decisions.tag_flips} flips on {runner.name}",
            flush=True,
        )

    with ThreadPoolExecutor(arguments.jobs) as pool:  # each runs in a process of its own
        list(pool.map(run, groups.values()))
    rows: list[ResultRow] = []
    for variant in manifest.variants:
        if variant.target in machines:
            work, machine = f"{name_weights(manifest.model)}, {variant.target}", machines[variant.target]
            rows += describe_artifact(work, manifest, variant)
            if isinstance(machine, Runner):
                rows += describe_decisions(work, outcomes[variant.target], machine.name, len(texts))
                rows.append(
                    ResultRow(work=work, metric="proof", value=seconds[variant.target], n=len(texts), unit="seconds")
                )
                rows += count_words(work, arguments.package, manifest, variant, machine)
            else:
                rows.append(ResultRow(work=work, metric="executed", value=0, note=variant.unverified_reason or machine))
    if arguments.keep:
        keep_results("targets", rows, tell_command("benchmarks.targets"), replace_works={row.work for row in rows})


def name_weights(model: Model) -> str:
    """Return what rows call the weights of a model: "f32", "int8" or "4 bits"."""
    if model.precision == "float32":
        return "f32"
    return "int8" if model.weight_bits == 8 else f"{model.weight_bits} bits"


def find_machine(variant: Variant) -> Runner | str:
    """Return what runs a variant here, or why nothing does."""
    try:
        return find_runner(registry().get(variant.target), variant)
    except RunnerNotFoundError as error:
        return error.reason


def choose_texts(data: str, lang: str | None, count: int, buckets: Sequence[Bucket]) -> list[bytes]:
    """Return evenly spread test utterances, and the tricky texts, all of which the largest bucket holds."""
    examples = load_examples(data, split="test", locale=lang)
    step = max(len(examples) // count, 1)
    chosen = [example.text.encode() for example in examples[::step]]
    return [text for text in [*chosen, *TRICKY] if len(text) <= buckets[-1].bytes]


def replay(package: Path, variant: Variant, texts: Sequence[bytes], runner: Runner) -> list[Prediction]:
    """Return a variant's answers, computed in a process of the runner.

    Raises:
        RuntimeError: The process failed; its last output is in the message.
    """
    with tempfile.TemporaryDirectory(prefix="pqrnn-targets-") as folder:
        asked, answered = Path(folder) / "texts.npz", Path(folder) / "answers.npz"
        save_texts(asked, texts)
        program = [
            *runner.python,
            "-m",
            "runtime_py.tools.replay",
            str(package.absolute()),
            "--target",
            variant.target,
            "--repeats",
            "1",
        ]
        finished = run_tool([*program, "--texts", asked, "--out", answered], _TIMEOUT, environment=runner.environment)
        if finished.code:
            raise RuntimeError(
                f"{variant.target} on {runner.name} {finished.ending}: {finished.diagnostics.strip()[-500:]}"
            )
        whole = load_answers(answered).whole
    assert whole is not None
    return [
        Prediction(whole.intent[index], whole.tags[whole.words(index)], whole.spans[whole.words(index)])
        for index in range(len(whole))
    ]


def describe_artifact(work: str, manifest: Manifest, variant: Variant) -> list[ResultRow]:
    """Return rows about the compiled artifact."""
    rows = [
        ResultRow(work=work, metric="artifact", value=manifest.files[variant.path].bytes, unit="bytes"),
        ResultRow(work=work, metric="compile", value=variant.compile_seconds, unit="s"),
    ]
    if variant.dispatches is not None:
        rows.append(ResultRow(work=work, metric="dispatches", value=variant.dispatches, note="all entries together"))
    return rows


def describe_decisions(work: str, decisions: Decisions, machine: str, count: int) -> list[ResultRow]:
    """Return rows about the comparison with PyTorch over so many texts."""
    flips = decisions.intent_flips + decisions.tag_flips
    return [
        ResultRow(work=work, metric="flips", value=flips, n=count, note="intents and tags that differ from PyTorch's"),
        ResultRow(work=work, metric="word mismatches", value=decisions.word_mismatches, n=count),
        ResultRow(work=work, metric="largest logit difference", value=decisions.largest_difference, n=count),
        ResultRow(work=work, metric="executed", value=1, n=count, note=machine),
    ]


def count_words(work: str, package: Path, manifest: Manifest, variant: Variant, machine: Runner) -> list[ResultRow]:
    """Return the instructions that a text of 8 words takes, and a proxy for its energy, where they can be counted."""
    if not machine.name.startswith("qemu-aarch64"):
        return []
    bucket = next(bucket for bucket in manifest.buckets if bucket.words >= _WORDS)
    text = fixed_text(Bucket(words=_WORDS, bytes=bucket.bytes, entry=bucket.entry))
    with tempfile.TemporaryDirectory(prefix="pqrnn-targets-") as folder:
        arguments = benchmark_arguments(Path(folder), package / variant.path, variant, bucket, text)
        counted = count_instructions(arguments, machine.name.split(", ", 1)[1])
    model = manifest.model
    kernels = describe_kernels(registry().get(variant.target), model.precision == "int8", model.weight_bits)
    rows = [ResultRow(work=work, metric=f"instructions, {_WORDS} words", value=counted.code, note=kernels)]
    for regime in ("hot", "cold"):
        energy = call_energy(counted.code, manifest.files[variant.path].bytes, cold=regime == "cold")
        rows.append(
            ResultRow(
                work=work,
                metric=f"energy proxy, {_WORDS} words, {regime}",
                value=round(energy, 1),
                unit="uJ",
                note="instructions and bytes at the prices of 45 nm; no measurement",
            )
        )
    return rows


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a trained parser")
    parser.add_argument(
        "--package", type=Path, required=True, help="the package for all targets; is made where it does not exist"
    )
    parser.add_argument("--data", required=True, help="labelled utterances with a test split, as for `pqrnn train`")
    parser.add_argument("--lang", help="only this language")
    parser.add_argument("--texts", type=int, default=500, help="test utterances, at least")
    parser.add_argument("--target", action="append", help="only this one; repeat for more")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="variants to run at a time")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
