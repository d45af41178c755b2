"""`pqrnn build`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.options import DevOption, DevShareOption, JsonOption, LangOption
from pqrnn.cli.output import print_json, require_extra, say, show_table

if TYPE_CHECKING:
    from pqrnn.building.build import BuildOutcome, BuildPreview
    from pqrnn.building.state import StageResult

_EPILOG = """Examples:

`pqrnn build my_commands.toml --out home.pqrnn --recipe quick`  a small parser in minutes

`pqrnn build mtop:DATA/mtop/spans --lang en --encoder minilm --out mtop-en.pqrnn --target raspberry-pi-4`

`pqrnn recipe show build > mine.toml`  all settings, to be changed and given with `--recipe mine.toml`"""


@app.command("build", epilog=_EPILOG)
@reads_data
def build_package(
    data: Annotated[
        str,
        typer.Argument(
            help="Labelled utterances: a file or folder (`PATH` or `format:PATH`), a grammar (any `.toml` file), or "
            "`home` / `home:en` for the built-in set."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Package to write, a folder.")],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Settings from a TOML file, or a recipe that comes with pqrnn (`pqrnn recipe list`).",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            help="Encoder that becomes the teacher: a name as for `pqrnn finetune`, `none`, or `auto`: the English one "
            "that comes as a package, where it is installed and the data name no other language."
        ),
    ] = "auto",
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="What to compile for, as often as you like; by default this machine only."),
    ] = None,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option("--unlabelled", help="Further data whose texts (not labels) the teacher answers."),
    ] = None,
    lang: LangOption = None,
    dev: DevOption = None,
    dev_share: DevShareOption = 0.1,
    work: Annotated[
        Path | None, typer.Option(help="Folder for what the stages leave; by default OUT.build.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting of the recipe by its path, as `train.training.epochs=10`."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of every stage; 0 leaves PyTorch's default.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the stages and write nothing.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a package of another build.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an earlier build left in --work.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make a proved package from labelled utterances, in one command.

    The stages: a supervised parser; a teacher from a pre-trained encoder; rounds of distillation; the mean of the last
    round's parsers; the best of them all in 8 bits; the package; its check. Without an encoder the parser learns from
    the labels alone. A teacher that is weaker than the supervised parser teaches nothing. Everything is chosen on the
    development split. Stop it whenever you like: the same command goes on and ends in the same package.
    """
    require_extra("train", "torch", "safetensors", "matplotlib")
    if not dry_run:
        require_extra("compile", "iree.compiler", "iree.turbine")
    from pqrnn.building.build import build, preview_build
    from pqrnn.cli.build_bar import BuildBar

    settings = _settings(recipe, target, set_ or [], threads)
    given: dict[str, Any] = {
        "recipe": settings,
        "encoder": encoder,
        "unlabelled": unlabelled or [],
        "lang": lang,
        "dev": dev,
        "dev_share": dev_share,
        "work": work,
    }
    if dry_run:
        _show_preview(preview_build(data, out, **given), json)
        return
    try:
        with BuildBar(quiet=json) as reporter:
            outcome = build(data, out, **given, replace=replace, restart=restart, reporter=reporter)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped: the same command goes on from there") from None
    _show_outcome(outcome, json)
    raise typer.Exit(1 if outcome.failures else 0)


def _settings(recipe: str | None, targets: list[str] | None, changes: Sequence[str], threads: int) -> Any:
    from pqrnn.recipes.fields import change
    from pqrnn.recipes.files import parse_change, read_recipe
    from pqrnn.recipes.recipes import BuildRecipe, with_threads

    chosen = read_recipe(recipe, BuildRecipe()) if recipe is not None else BuildRecipe()
    chosen = change(chosen, dict(map(parse_change, changes)), "--set")
    if targets:
        chosen = change(chosen, {"compile.targets": targets}, "--target")
    return with_threads(chosen, threads) if threads else chosen


def _show_preview(preview: BuildPreview, json: bool) -> None:
    if json:
        print_json(
            {
                "stages": [stage._asdict() for stage in preview.stages],
                "finished": preview.finished,
                "training": preview.training,
                "development": preview.development,
                "notes": preview.notes,
                "recipe": preview.recipe,
            }
        )
        return
    for note in preview.notes:
        say(note)
    rows = [
        (
            stage.name,
            stage.text,
            f"{stage.steps:,}" if stage.steps else "",
            "finished" if stage.name in preview.finished else "",
        )
        for stage in preview.stages
    ]
    title = f"{preview.training:,} training and {preview.development:,} development utterances"
    show_table(title, ("stage", "what", "steps at most", ""), rows)


def _show_outcome(outcome: BuildOutcome, json: bool) -> None:
    if json:
        print_json(
            {
                "package": str(outcome.package),
                "work": str(outcome.work),
                "kept": outcome.kept,
                "stages": outcome.stages,
                "failures": outcome.failures,
            }
        )
        return
    from pqrnn.cli.progress import format_seconds

    rows = [
        (
            name,
            *_scores(result),
            f"{result.bytes:,}" if result.bytes else "",
            format_seconds(result.seconds),
            result.note,
        )
        for name, result in outcome.stages.items()
    ]
    columns = ("stage", "exact match", "intent", "slot F1", "bytes", "time", "note")
    show_table(f"{outcome.package}: from {outcome.kept}; all scores are of the development split", columns, rows)
    for failure in outcome.failures:
        say(f"failed: {failure}", color="red", error=True)


def _scores(result: StageResult) -> tuple[str, str, str]:
    if not result.dev:
        return "", "", ""
    exact, intent, slots = (result.dev[name] for name in ("exact_match", "intent_accuracy", "slot_f1"))
    interval = f"{exact['value']:.2%} [{exact['low']:.1%}, {exact['high']:.1%}]"
    return interval, f"{intent['value']:.2%}", f"{slots['value']:.2%}"
