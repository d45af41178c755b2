"""Checks that a package answers questions here as PyTorch did: its golden questions are asked again."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime_py.bounded_files import shorten
from runtime_py.errors import PackageError
from runtime_py.json_errors import JSON_ERRORS
from runtime_py.package_format.listed_file import read_listed
from runtime_py.questions.answerer import Answerer
from runtime_py.questions.manifest import GoldenAnswer
from runtime_py.tools.presentation import Table

_SHOWN = 5  # questions that are named


class QuestionCheck(Struct, frozen=True, kw_only=True):
    """Outcome of a check.

    Attributes:
        package: Path of the package.
        target: Name of the variant that ran.
        questions: Number of golden questions.
        repeats: How often each was asked.
        failures: The first answers that differ from PyTorch's, in words.
        different: Number of answers that differ.
        seconds: Time that all calls took.
    """

    package: str
    target: str
    questions: int
    repeats: int
    failures: list[str]
    different: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every answer is PyTorch's."""
        return not self.different


def check_questions(path: str | Path, variant: str | None = None, repeats: int = 3) -> QuestionCheck:
    """Ask a package its golden questions, and compare with PyTorch's answers by the whole network.

    Args:
        path: The package.
        variant: Name of a variant; by default the one that an application would get.
        repeats: Number of rounds, every other one backwards, so that leftovers of a call would show.

    Raises:
        PackageError: The package or its golden questions are damaged.
        ParserError: No variant runs here, or the device failed.
        ValueError: There is no round.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}, expected at least 1")
    with Answerer.load(path, variant=variant) as answerer:
        golden = _read_golden(answerer)
        failures: list[str] = []
        begin = time.perf_counter()
        for turn in range(repeats):
            for each in golden if turn % 2 == 0 else reversed(golden):
                found = answerer(each.question, each.context)
                if (found.start, found.end) != (each.start, each.end):
                    wanted = each.context[each.start : each.end]
                    failures.append(f"{each.question!r}: {found.text!r}, PyTorch {wanted!r}")
        return QuestionCheck(
            package=str(answerer.path),
            target=answerer.variant.code.target,
            questions=len(golden),
            repeats=repeats,
            failures=failures[:_SHOWN],
            different=len(failures),
            seconds=time.perf_counter() - begin,
        )


def question_check_document(check: QuestionCheck) -> dict[str, object]:
    """Return a check as a JSON document."""
    return {**msgspec.to_builtins(check), "passed": check.passed, "exit_code": int(not check.passed)}


def question_check_table(check: QuestionCheck) -> Table:
    """Return the rows of a check."""
    asked = f"{check.questions} questions, {check.repeats} times"
    rows: list[tuple[str, ...]] = [
        ("golden questions", asked, "passed" if check.passed else "FAILED"),
        ("answers that differ from PyTorch's", str(check.different), ""),
        *((failure, "", "") for failure in check.failures),
    ]
    return Table(f"{check.package}, {check.target}", ("check", "found", "verdict"), rows)


def _read_golden(answerer: Answerer) -> list[GoldenAnswer]:
    name = answerer.manifest.golden
    entry = answerer.manifest.files[name]
    with read_listed(answerer.path, name, entry.sha256, entry.bytes, True) as content:
        try:
            golden = msgspec.json.decode(bytes(content), type=list[GoldenAnswer])
        except (*JSON_ERRORS, ValueError) as error:
            raise PackageError(
                f"{answerer.path / name}: {shorten(error)}. Take the package again from where it comes from."
            ) from error
    if not golden:
        raise PackageError(f"{answerer.path / name}: holds no question. Compile the package again.")
    return golden
