"""`pqrnn check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.locate import find_package, find_run
from pqrnn.cli.options import JsonOption, LangOption, PackageArgument, VariantOption
from pqrnn.cli.output import print_json, require_extra, say, show_table
from pqrnn.errors import PqrnnError


@app.command(epilog="Example:  `pqrnn check home.pqrnn --run runs/home --data home:en`")
@reads_data
def check(
    package: PackageArgument,
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
    variant: VariantOption = None,
    json: JsonOption = False,
) -> None:
    """Check that a package answers on this machine as it should; the exit code is 1 if it does not.

    Always: the golden vectors in the package, against PyTorch's answers kept with them. With --data: scores. With --run
    as well: each decision.
    """
    from runtime_py.tools.check import check_package
    from runtime_py.tools.presentation import check_document, check_table

    if run is not None and data is None:
        raise PqrnnError("--run compares decisions over texts: name them with --data")
    package, run = find_package(package), find_run(run) if run is not None else None
    result = check_package(package, variant, repeats)
    document, table = check_document(result), check_table(result)
    failures, rows = document["failures"], table.rows
    if data is not None:
        scored = _score(package, variant, data, lang, split)
        document["scores"] = scored
        for name, figure in scored.items():
            rows.append(
                (
                    name.replace("_", " "),
                    f"{figure['value']:.2%}  [{figure['low']:.2%}, {figure['high']:.2%}]",
                    f"n = {figure['n']:.0f}",
                )
            )
        if scored["exact_match"]["value"] < goal:
            failures.append(f"exact match {scored['exact_match']['value']:.2%} is below the goal of {goal:.2%}")
    if data is not None and run is not None:
        decisions = _compare(package, variant, run, data, lang, split)
        document["decisions"] = decisions
        rows.append(
            (
                "decisions against PyTorch",
                f"{decisions['intent_flips']} intents and {decisions['slot_flips']} slots differ",
                f"n = {decisions['texts']}",
            )
        )
        if not decisions["equal"]:
            named = ", ".join(
                f"{decisions[key]} {key.replace('_', ' ')}"
                for key in ("intent_flips", "slot_flips", "tag_flips", "word_mismatches")
            )
            failures.append(f"decisions differ from PyTorch: {named}")
    document["passed"] = not failures
    if json:
        print_json(document)
    else:
        show_table(*table)
        for failure in failures:
            say(f"failed: {failure}", color="red", error=True)
    if failures:
        raise typer.Exit(1)


def _score(package: Path, variant: str | None, data: str, lang: str | None, split: str) -> dict[str, dict[str, float]]:
    from pqrnn.data.loader import load_examples
    from pqrnn.evaluation.frames import frame_of_example, frame_of_parse
    from pqrnn.evaluation.metrics import score_frames
    from runtime_py import Parser

    examples = load_examples(data, split=split, locale=lang)
    with Parser.load(package, variant=variant, on_long="truncate") as parser:
        frames = [frame_of_parse(parser(example.text)) for example in examples]
    return score_frames([frame_of_example(example) for example in examples], frames).as_dict()


def _compare(package: Path, variant: str | None, run: Path, data: str, lang: str | None, split: str) -> dict[str, Any]:
    require_extra("compile", "torch", "safetensors")
    from compile.subwords.program import load_compiled
    from compile.verify.parity import compare_decisions
    from pqrnn.data.loader import load_examples
    from runtime_py import Parser

    texts = [example.text for example in load_examples(data, split=split, locale=lang)]
    with Parser.load(package, variant=variant, on_long="truncate") as parser:
        found = compare_decisions(load_compiled(run), parser, texts)
    return {
        "texts": len(texts),
        "intent_flips": found.intent_flips,
        "slot_flips": found.slot_flips,
        "tag_flips": found.tag_flips,
        "word_mismatches": found.word_mismatches,
        "equal": found.equal,
        "largest_difference": found.largest_difference,
    }
