"""Every kind of change to a package is caught by the step that has to catch it, or is said to need a signature."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from makers.small import CONFIG, LABELS, TEXTS, WORDS, make_model

from benchmarks.mutation_kinds import MUTATIONS, SIGNATURE, Mutation, Subject
from benchmarks.mutations import CHANGES, Verdict, describe, judge, make_subject
from compile.lowering.buckets import make_buckets
from compile.options import CompileOptions
from compile.pipeline import compile_checkpoint
from pqrnn.checkpoint import Facts, load_checkpoint, save_checkpoint
from pqrnn.data.examples import Example
from pqrnn.evaluation.prediction import compute_logits
from runtime_py.decode.labels import Labels

pytestmark = [pytest.mark.compiled, pytest.mark.slow]

# Every slot goes with every intent, and some come more often.
_LABELS = Labels(
    LABELS.intents, LABELS.tags, ((0, 1),) * 4, tuple(((9, 0), (4, 1), (2, 0, 1), (20,)) for _ in LABELS.intents)
)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("mutations")
    facts = Facts(
        config=CONFIG,
        labels=_LABELS,
        data={"train": "0" * 64},
        revision="abc",
        training={},
        metrics={"exact_match": 0.5},
        lengths=[(4, 20, 30), (9, 48, 10)],
        golden_texts=TEXTS,
    )
    save_checkpoint(folder / "run", make_model(1), facts)
    rng = np.random.default_rng(0)
    texts = dict.fromkeys(" ".join(rng.choice(WORDS, rng.integers(1, 8))) for _ in range(120))
    examples = [Example(text, "alarm") for text in texts]
    options = CompileOptions(buckets=make_buckets([(40, 128)]))
    return make_subject(
        folder, folder / "run", [], examples, lambda run, out: compile_checkpoint(run, out, ["host"], options)
    )


def test_there_are_many_kinds_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTATIONS) >= 40
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len([mutation for mutation in MUTATIONS if SIGNATURE not in mutation.caught_by]) >= 36


def test_the_good_package_passes(subject: Subject, tmp_path: Path) -> None:
    verdict = judge(subject, Mutation("nothing", lambda *_: True, (SIGNATURE,)), tmp_path / "copy")
    assert (verdict.caught_by, verdict.said) == (SIGNATURE, "")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_what_has_to_catch_a_change_catches_it(subject: Subject, mutation: Mutation, tmp_path: Path) -> None:
    verdict = judge(subject, mutation, tmp_path / "copy")
    assert verdict.caught_by in mutation.caught_by, verdict


@pytest.mark.parametrize("name", CHANGES)
def test_changed_weights_are_still_a_parser_and_answer_otherwise(subject: Subject, name: str) -> None:
    folder = subject.package.parent
    texts = [text.encode() for text in TEXTS]
    right, wrong = (
        compute_logits(load_checkpoint(path).model, texts)
        for path in (folder / "run", folder / "runs" / name.replace(" ", "-"))
    )
    assert any(
        abs(a.tags - b.tags).max() > 1e-4 or abs(a.intent - b.intent).max() > 1e-4
        for a, b in zip(right, wrong, strict=True)
    )


def test_rows_count_what_a_check_can_catch_and_name_what_it_cannot() -> None:
    caught, missed, beyond, impossible = (
        Mutation(name, lambda *_: True, by)
        for name, by in (("a", ("package",)), ("b", ("digest",)), ("c", (SIGNATURE,)), ("d", ("package",)))
    )
    verdicts = [
        Verdict(caught, "package", ""),
        Verdict(missed, "numbers", ""),
        Verdict(beyond, SIGNATURE, ""),
        Verdict(impossible, "", ""),
    ]
    rows = [msgspec.to_builtins(row) for row in describe(verdicts, "small")]
    assert [(row["metric"], row["value"], row.get("n"), row.get("note")) for row in rows] == [
        ("caught", 1, 2, "by the step that has to catch them"),
        ("caught by package", 1, None, "a"),
        ("left to a signature", 1, None, "c"),
    ]
