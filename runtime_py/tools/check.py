"""Checks that a variant answers right on this machine: the golden vectors are replayed and compared.

What is compared, and how, is in `runtime_py.tools.comparison`. Before that, the parts of the package are compared with
each other: labels, facts, counts and tolerances have to be those that the golden decisions were made for, and no
tolerance may be so large that a wrong decision would pass.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from runtime_py.device.preflight import describe_processor, this_machine
from runtime_py.execute.logits import Logits
from runtime_py.native.package_parser import PackagedNativeParser
from runtime_py.package_format.certificates import find_misfits, with_certificates
from runtime_py.package_format.decisions import GoldenDecisions, find_contradictions
from runtime_py.package_format.golden import GoldenVectors
from runtime_py.package_format.manifest import Manifest
from runtime_py.package_format.margins import DecisionMargin, smallest_gap
from runtime_py.package_format.package import open_package
from runtime_py.package_format.proofs import Parity
from runtime_py.parser import Parser
from runtime_py.tools.comparison import Comparison, Deviation

AnyParser = Parser | PackagedNativeParser

SOAK = 100  # replays of a text on a GPU
_SOAKED = 3  # texts beside the shortest that are replayed so often


class CheckResult(Struct, frozen=True):
    """Outcome of a check.

    Attributes:
        package: Path of the package.
        target: Name of the variant.
        reason: Why this variant was taken.
        parity: The numbers as they go into the manifest.
        worst: The worst texts, worst first.
    """

    package: str
    target: str
    reason: str
    parity: Parity
    worst: list[Deviation]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return self.parity.passed


def replay_rounds(parser: AnyParser, texts: Sequence[bytes], repeats: int) -> list[list[Logits]]:
    """Answer texts in rounds, so that every text follows another one each time and leftovers of one would show.

    Returns:
        For each text, its answers, one for each round.
    """
    rounds: list[dict[int, Logits]] = []
    for turn in range(repeats):
        # Odd rounds go backwards.
        order = range(len(texts)) if turn % 2 == 0 else range(len(texts) - 1, -1, -1)
        rounds.append({index: parser.logits(texts[index]) for index in order})
    return [[outputs[index] for outputs in rounds] for index in range(len(texts))]


def check_parser(parser: AnyParser, repeats: int = 3) -> CheckResult:
    """Replay the golden vectors of a loaded package.

    A package with functions for several texts at once answers the set through these, too. On a GPU, some texts are
    replayed a hundred times: drivers are known that err now and then. A GPU that is a program on the processor has no
    such faults, and takes seconds for a text.

    Args:
        parser: The loaded package.
        repeats: Number of rounds, at least 1.

    Raises:
        PackageError: The golden vectors or decisions are missing or damaged.
        ParserError: The device failed.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}, expected at least 1")
    golden, decisions = parser.package.golden(), parser.package.decisions()
    tolerance = parser.manifest.golden.tolerance
    expected = (golden, tolerance, parser.manifest.labels.decoder(), decisions.decisions if decisions else ())
    answers = replay_rounds(parser, golden.texts, repeats)
    gpu = parser.selection.gpu
    if gpu is not None and not gpu.software:
        for index, more in _soak(parser, golden.texts, SOAK - repeats).items():
            answers[index] += more
    comparison, batched = Comparison(*expected), Comparison(*expected)
    for index, replays in enumerate(answers):
        comparison.add(index, replays)
    if parser.batch > 1:
        for index, logits in enumerate(parser.logits_batch(golden.texts)):
            batched.add(index, [logits])
    parity = comparison.parity(repeats, *_describe_run(parser), gpu.title if gpu is not None and gpu.software else "")
    package, target = with_certificates(parser.package), parser.variant.target
    ran = package.library(target) if isinstance(parser, PackagedNativeParser) else package.variant(target)
    budget = None if isinstance(parser, PackagedNativeParser) else parser.budget
    is_whole = budget is None or budget.golden is None  # certificates are of the whole network
    wrong = [
        *find_inconsistencies(parser.manifest, golden, decisions),
        *(find_misfits(parser.manifest, ran) if is_whole else ()),
        *(f"{parser.batch} texts at once: {failure}" for failure in batched.failures()),
    ]
    if wrong:
        parity = msgspec.structs.replace(parity, passed=False, failures=[*wrong, *parity.failures])
    return CheckResult(str(parser.package.path), target, parser.selection.reason, parity, comparison.worst())


def _describe_run(parser: AnyParser) -> tuple[str, str]:
    """Return the machine that runs a parser, and what runs its code."""
    if isinstance(parser, PackagedNativeParser):
        return describe_processor(), f"native {parser.abi}"
    machine = this_machine()
    return machine.cpu or machine.architecture, f"iree {machine.runtime}, {parser.device}"


def _soak(parser: AnyParser, texts: Sequence[bytes], replays: int) -> dict[int, list[Logits]]:
    """Answer a few texts, spread over all lengths, again and again."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    chosen = sorted({order[round(part * (len(order) - 1) / _SOAKED)] for part in range(_SOAKED + 1)})
    answers: dict[int, list[Logits]] = {index: [] for index in chosen}
    for _ in range(max(replays, 0)):
        for index in chosen:
            answers[index].append(parser.logits(texts[index]))
    return answers


def find_inconsistencies(manifest: Manifest, golden: GoldenVectors, decisions: GoldenDecisions | None) -> list[str]:
    """Say where the parts of a package contradict each other, or where its bounds are no bounds; empty if nowhere."""
    found = []
    for what, stated, held in (
        ("texts", manifest.golden.texts, len(golden)),
        ("words", manifest.golden.words, len(golden.tags)),
    ):
        if stated != held:
            found.append(f"the manifest states {stated} golden {what}, and the vectors hold {held}")
    if decisions is not None:
        found += find_contradictions(manifest, decisions, golden)
    if golden.tolerances is not None:
        return found + _loose_bounds(manifest, golden)
    # Packages before schema 1.5 have one bound for all, which may be over the margin of a few texts, never of most.
    gaps = [smallest_gap(golden.intent[index], golden.tags[golden.words(index)]) for index in range(len(golden))]
    if manifest.golden.tolerance > float(np.median(gaps)):
        found.append(f"the tolerance of {manifest.golden.tolerance:.3g} is larger than the margin of most golden texts")
    return found


def _loose_bounds(manifest: Manifest, golden: GoldenVectors) -> list[str]:
    assert golden.tolerances is not None
    largest, found = float(golden.tolerances.max()), []
    if largest > manifest.golden.tolerance * (1 + 1e-6):
        found.append(
            f"the golden vectors allow a difference of {largest:.3g}, the manifest one of "
            f"{manifest.golden.tolerance:.3g}"
        )
    margin = DecisionMargin(manifest.labels)
    loose = [
        index
        for index in range(len(golden))
        if not margin.is_decided(
            golden.intent[index], golden.tags[golden.words(index)], float(golden.tolerances[index])
        )
    ]
    if loose:
        found.append(
            f"{len(loose)} golden texts have a tolerance within which their decision could change; the first is "
            f"{golden.texts[loose[0]].decode('utf-8', 'replace')!r}"
        )
    return found


def check_package(
    path: str | Path, variant: str | None = None, repeats: int = 3, threads: int = 1, *, native: bool = False
) -> CheckResult:
    """Load a package, verify all its digests, and replay its golden vectors.

    Args:
        path: The package directory.
        variant: Name of a variant; by default the one that fits this machine best.
        repeats: Number of rounds, at least 1.
        threads: Number of threads, as `Parser.load` takes it.
        native: Whether to run a native library of the package, and not a variant.

    Raises:
        ParserError: The package cannot be loaded or run; that the answers are wrong is no error but ``passed`` being
            false.
    """
    open_package(path, verify=True)
    kind: type[AnyParser] = PackagedNativeParser if native else Parser
    with kind.load(path, variant=variant, threads=threads) as parser:
        return check_parser(parser, repeats)
