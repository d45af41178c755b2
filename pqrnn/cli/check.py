"""`pqrnn check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.locate import find_package, find_run
from pqrnn.cli.options import JsonOption, LangOption, PackageArgument, VariantOption
from pqrnn.cli.output import print_json, require_extra, say, show_table
from pqrnn.errors import PqrnnError

if TYPE_CHECKING:
    from runtime_py.device.gpu_selftest import Elsewhere
    from runtime_py.engines import Engine


@app.command(
    epilog="Examples:  `pqrnn check home.pqrnn --run runs/home --data home:en`  `pqrnn check home.pqrnn --reference "
    "home.reference --min-retention 0.97 --certify`  `pqrnn check home.pqrnn --variant raspberry-pi-4 --emulated`"
)
@reads_data
def check(
    package: PackageArgument,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Compare with what student and teacher answered (`pqrnn reference`)."),
    ] = None,
    min_retention: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="With --reference: least exact match as a share of the teacher's.", show_default=False
        ),
    ] = None,
    max_flips: Annotated[
        int | None,
        typer.Option(
            min=0, help="With --reference: most texts decided otherwise than by the student.", show_default=False
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="With --reference: most that exact match may be below the teacher's, as a share of 1.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A TOML file with these three goals in its table `[parity]`.")
    ] = None,
    certify: Annotated[
        bool, typer.Option("--certify", help="Add what was measured here to the package, if everything is right.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="Also parse labelled utterances (as for `train`) and score them.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="With --data: also compare every decision with PyTorch, from this trained parser."),
    ] = None,
    lang: LangOption = None,
    split: Annotated[str, typer.Option(help="Of --data.")] = "test",
    goal: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least exact match on --data; below it the check fails.")
    ] = 0.0,
    repeats: Annotated[int, typer.Option(min=1, help="How often the golden vectors are replayed.")] = 3,
    time_limit: Annotated[
        float, typer.Option(min=0.1, help="Seconds for code on a GPU or in an emulator, which may hang.")
    ] = 600.0,
    emulated: Annotated[
        bool,
        typer.Option(
            "--emulated", help="Run the code of --variant in an emulator of its machine (`make emulators`), not here."
        ),
    ] = False,
    native: Annotated[
        bool,
        typer.Option("--native", help="Check the native library that runs here, and not a compiled module."),
    ] = False,
    variant: VariantOption = None,
    json: JsonOption = False,
) -> None:
    """Check that a package answers on this machine as it should.

    Always: the golden vectors in the package, against PyTorch's answers kept with them. With --reference: numbers,
    decisions and task, against student and teacher, without PyTorch. With --data: scores. With --run as well: each
    decision. A package that answers questions is asked those that are in it. The exit code is 0 if all is right, 3, 4
    or 5 if numbers, decisions or a goal of the task of the reference fail first, and 1 for anything else.
    """
    from runtime_py.parity.goals import read_goals
    from runtime_py.parity.tables import parity_tables
    from runtime_py.questions.kind import answers_questions
    from runtime_py.tools.full_check import check_fully
    from runtime_py.tools.presentation import check_table, full_check_document

    _refuse_contradictions(run, data, native, emulated, variant)
    goals = read_goals(recipe, min_retention=min_retention, max_flips=max_flips, max_drop=max_drop)
    if goals.stated() and reference is None:
        raise PqrnnError("goals of parity are judged on a reference file: name it with --reference")
    package, run = find_package(package), find_run(run) if run is not None else None
    if answers_questions(package):
        _check_questions(package, variant, repeats, json, (reference, data, certify, emulated, native))
        return
    machine = _find_emulator(package, variant or "") if emulated else None
    result = check_fully(package, variant, repeats, reference, goals, certify, time_limit, machine, native=native)
    document, table = full_check_document(result), check_table(result.golden, result.certificate is not None)
    failures = list(result.failures)
    if data is not None:
        engine: Engine = "native" if native else "iree"
        more, rows, wrong = _check_data(package, engine, variant, data, lang, split, goal, run)
        document |= more
        table.rows.extend(rows)
        failures += wrong
    code = result.exit_code or (1 if failures else 0)
    document |= {"failures": failures, "passed": not code, "exit_code": code}
    if json:
        print_json(document)
    else:
        for shown in (table, *(parity_tables(result.parity) if result.parity is not None else [])):
            show_table(*shown)
        for failure in failures:
            say(f"failed: {failure}", color="red", error=True)
    if code:
        raise typer.Exit(code)


def _refuse_contradictions(
    run: Path | None, data: str | None, native: bool, emulated: bool, variant: str | None
) -> None:
    if run is not None and data is None:
        raise PqrnnError("--run compares decisions over texts: name them with --data")
    if native and emulated:
        raise PqrnnError("--native runs on this machine, and --emulated on another: choose one")
    if emulated and (variant is None or data is not None):
        raise PqrnnError("--emulated runs the code of one --variant, and judges it by --reference, not by --data")


def _check_questions(package: Path, variant: str | None, repeats: int, json: bool, others: Sequence[object]) -> None:
    """Check a package that answers questions; the other options are for parsers."""
    from runtime_py.questions.checking import check_questions, question_check_document, question_check_table

    if any(others):
        raise PqrnnError(
            f"{package}: answers questions, and is asked those that are in it: only --variant and --repeats apply"
        )
    result = check_questions(package, variant, repeats)
    if json:
        print_json(question_check_document(result))
    else:
        show_table(*question_check_table(result))
    if not result.passed:
        raise typer.Exit(1)


def _find_emulator(package: Path, variant: str) -> Elsewhere:
    require_extra("compile", "iree.runtime")
    from compile.verify.elsewhere import find_emulator
    from runtime_py.package_format.package import open_package

    return find_emulator(open_package(package).variant(variant))


def _check_data(
    package: Path,
    engine: Engine,
    variant: str | None,
    data: str,
    lang: str | None,
    split: str,
    goal: float,
    run: Path | None,
) -> tuple[dict[str, Any], list[tuple[str, str, str]], list[str]]:
    """Score a package on labelled utterances, and compare its decisions with those of a run.

    Returns:
        Parts of the JSON document, rows of the table, and what is wrong.
    """
    scored = _score(package, engine, variant, data, lang, split)
    document: dict[str, Any] = {"scores": scored}
    rows = [
        (
            name.replace("_", " "),
            f"{figure['value']:.2%}  [{figure['low']:.2%}, {figure['high']:.2%}]",
            f"n = {figure['n']:.0f}",
        )
        for name, figure in scored.items()
    ]
    failures = []
    if scored["exact_match"]["value"] < goal:
        failures.append(f"exact match {scored['exact_match']['value']:.2%} is below the goal of {goal:.2%}")
    if run is not None:
        decisions = _compare(package, engine, variant, run, data, lang, split)
        document["decisions"] = decisions
        row, wrong = _tell_decisions(decisions, run)
        rows.append(row)
        failures += wrong
    return document, rows, failures


def _tell_decisions(decisions: dict[str, Any], run: Path) -> tuple[tuple[str, str, str], list[str]]:
    """Return the row of a comparison with PyTorch, and what is wrong."""
    if differences := decisions.get("labels"):
        failures = [f"{run} and the package differ: {difference}" for difference in differences]
        return ("decisions against PyTorch", "not compared: the labels differ", "FAILED"), failures
    found = f"{decisions['intent_flips']} intents and {decisions['slot_flips']} slots differ"
    row = ("decisions against PyTorch", found, f"n = {decisions['texts']}")
    if decisions["equal"]:
        return row, []
    keys = ("intent_flips", "slot_flips", "tag_flips", "word_mismatches")
    named = ", ".join(f"{decisions[key]} {key.replace('_', ' ')}" for key in keys)
    return row, [f"decisions differ from PyTorch: {named}"]


def _score(
    package: Path, engine: Engine, variant: str | None, data: str, lang: str | None, split: str
) -> dict[str, dict[str, float]]:
    from pqrnn.data.loader import load_examples
    from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
    from pqrnn.evaluation.metrics import score_frames
    from runtime_py import Parser

    examples = load_examples(data, split=split, locale=lang)
    with Parser.load(package, engine=engine, variant=variant, on_long="truncate") as parser:
        frames = [frame_of_parse(parser(example.text)) for example in examples]
    return score_frames([frame_of_example(example) for example in examples], frames).as_dict()


def _compare(
    package: Path, engine: Engine, variant: str | None, run: Path, data: str, lang: str | None, split: str
) -> dict[str, Any]:
    require_extra("compile", "torch", "safetensors")
    from compile.subwords.program import load_compiled
    from compile.verify.parity import compare_decisions
    from pqrnn.data.loader import load_examples
    from runtime_py import Parser
    from runtime_py.package_format.label_differences import describe_differences
    from runtime_py.package_format.package import open_package

    checkpoint, labels = load_compiled(run), open_package(package).manifest.labels
    if differences := describe_differences(labels, checkpoint.facts.labels, "the package", str(run)):
        return {"equal": False, "labels": differences}
    texts = [example.text for example in load_examples(data, split=split, locale=lang)]
    with Parser.load(package, engine=engine, variant=variant, on_long="truncate") as parser:
        found = compare_decisions(checkpoint, cast(Any, parser), texts)  # of either engine
    return {
        "texts": len(texts),
        "intent_flips": found.intent_flips,
        "slot_flips": found.slot_flips,
        "tag_flips": found.tag_flips,
        "word_mismatches": found.word_mismatches,
        "equal": found.equal,
        "largest_difference": found.largest_difference,
    }
