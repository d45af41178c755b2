"""`pqrnn compile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import JsonOption, RunArgument
from pqrnn.cli.output import print_json, require_extra, say, show_table
from pqrnn.cli.progress import show_progress
from pqrnn.run_folder import QUESTIONS

if TYPE_CHECKING:
    from compile.pipeline import CompileOutcome
    from compile.preview import Preview

_HELP = """Compile a trained parser into a package, and prove that the package answers like PyTorch.

`--target` says for what, as often as you like; `pqrnn targets` lists them, `--target all` is every one that can leave
this machine. Without it the package is for **this machine only**: good for a first try, not to be shipped.

Every target is compiled and then *run*: on this machine if it can, else in an emulator (`make emulators` fetches them),
with texts that PyTorch has answered before. Where nothing can run it, its code is checked without being run, and the
package and every table call it `unverified` and say why. A target that fails does not lose the others: they make the
package, the exit status is 1, and `OUT.failed/TARGET/` repeats the failure. If none passes, or on Ctrl-C, nothing is
written. What was compiled before is taken from a cache (`$PQRNN_CACHE` or `~/.cache/pqrnn/compiled`), whose key is made
of the model's code, every flag and the compiler's version.
"""
_EPILOG = """Examples:

`pqrnn compile runs/home --target raspberry-pi-4 --target vulkan --out home.pqrnn`

`pqrnn compile runs/home --target all --dry-run --out home.pqrnn`  shows the plan and the exact commands, and writes
nothing
"""


@app.command("compile", help=_HELP, epilog=_EPILOG)
def compile_run(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Package to write, a folder.")],
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="What to compile for, as often as you like, or `all`.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a package that is there.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Targets to work on at a time; by default one a processor core."),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache", help="Take from the cache what was compiled before, and keep what is compiled now."
        ),
    ] = True,
    kernels: Annotated[
        bool,
        typer.Option(
            "--kernels/--no-kernels",
            help="This project's own kernels where a target has the instructions, or the compiler's code alone.",
        ),
    ] = True,
    batch: Annotated[
        int,
        typer.Option(
            "--batch",
            min=1,
            help="Also compile functions for this many texts at once, for servers: `Parser.parse_batch` uses them.",
        ),
    ] = 1,
    native: Annotated[
        bool,
        typer.Option(
            "--native",
            help="Also put a native library for each processor into the package: it parses without IREE and NumPy.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, with the exact commands, and write nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Compile a trained parser; `_HELP` is what people read."""
    require_extra("compile", "torch", "safetensors", "iree.compiler", "iree.turbine")
    run = find_run(run)
    from compile.options import CompileOptions
    from compile.pipeline import compile_checkpoint, preview_compilation

    targets = target or ["host"]
    options = CompileOptions(replace=replace, jobs=jobs, cache=cache, kernels=kernels, batch=batch, native=native)
    if (run / QUESTIONS).is_file():
        if dry_run:
            raise typer.BadParameter("there is no preview for a model that answers questions", param_hint="--dry-run")
        from pqrnn.cli.compile_answerer import compile_and_tell

        raise typer.Exit(compile_and_tell(run, out, targets, options, json))
    if dry_run:
        with show_progress(json) as tell:
            preview = preview_compilation(run, out, targets, options, on_progress=tell)
        if json:
            print_json(preview)
        else:
            _show_preview(preview)
        raise typer.Exit(1 if preview.refused else 0)
    with show_progress(json) as tell:
        outcome = compile_checkpoint(run, out, targets, options, on_progress=tell)
    if json:
        print_json(_describe(outcome))
    else:
        _show_outcome(outcome)
    raise typer.Exit(1 if outcome.failures else 0)


def _describe(outcome: CompileOutcome) -> dict[str, object]:
    """Return an outcome as one document."""
    failures = {
        name: {
            "stage": error.stage,
            "message": error.message,
            "diagnostics": error.diagnostics,
            "folder": str(error.folder or ""),
        }
        for name, error in outcome.failures.items()
    }
    return {
        "package": str(outcome.package),
        "seconds": outcome.seconds,
        "failures": failures,
        "cached": sorted(outcome.cached),
        "ran_on": outcome.ran_on,
        "statistics": outcome.statistics,
        "notes": outcome.notes,
        "manifest": outcome.manifest,
    }


def _show_outcome(outcome: CompileOutcome) -> None:
    manifest = outcome.manifest
    rows = []
    for variant in manifest.variants:
        counts = outcome.statistics[variant.target]
        parity = variant.parity
        if parity is None:
            verdict = f"unverified: {variant.unverified_reason}"
        else:
            largest = max(parity.intent_max_abs, parity.tags_max_abs)
            verdict = (
                f"answers like PyTorch on {parity.texts} texts, logits within {largest:.1e}, run on "
                f"{outcome.ran_on[variant.target]}"
            )
        seconds = "cached" if variant.target in outcome.cached else f"{variant.compile_seconds:.1f}"
        rows.append(
            (variant.target, f"{manifest.files[variant.path].bytes:,}", str(counts.dispatches), seconds, verdict)
        )
    for library in manifest.libraries:
        proof = library.parity
        where = (proof.emulator or proof.machine) if proof is not None else ""
        verdict = (
            f"answers like PyTorch on {proof.texts} texts, run on {where}"
            if proof is not None
            else f"unverified: {library.unverified_reason}"
        )
        rows.append((f"{library.target}, native", f"{manifest.files[library.path].bytes:,}", "", "", verdict))
    total = sum(entry.bytes for entry in manifest.files.values())
    title = (
        f"{outcome.package}: {len(manifest.buckets)} length buckets, {total:,} bytes in all (equal code is stored once)"
    )
    show_table(title, ("target", "bytes", "dispatches", "seconds", "verified"), rows)
    for name, error in outcome.failures.items():
        say(f"{name}: not in the package. {error}", color="red", error=True)
    _show_notes(outcome.notes)


def _show_preview(preview: Preview) -> None:
    entries = ", ".join(f"{bucket.words} words in {bucket.bytes} bytes" for bucket in preview.buckets)
    say(f"{preview.package}: entries for {entries}")
    rows = []
    for one in preview.targets:
        source = f"as {one.same_as}" if one.same_as else "from the cache" if one.cached else "compiled"
        rows.append(
            (one.target, one.summary, source, f"on {one.verified}" if one.runs else f"unverified: {one.verified}")
        )
    show_table(f"{len(rows)} targets, {preview.jobs} at a time", ("target", "for", "code", "run"), rows)
    say(f"\n# {preview.compiler}, {preview.compiler_path}")
    for name, file in preview.mlir.items():
        say(
            f"# {name}: {file.bytes:,} bytes, SHA-256 {file.sha256}; exported from the checkpoint, kept in "
            f"{preview.package}.failed/ where a target fails"
        )
    for one in preview.targets:
        if not one.same_as:
            say(f"# {one.target}{' (in the cache)' if one.cached else ''}\n{one.command}")
    for name, reason in preview.refused.items():
        say(f"{name}: {reason}", color="red", error=True)
    _show_notes(preview.notes)


def _show_notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        say(f"note: {note}", color="yellow", error=True)
