"""`pqrnn reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.data_options import reads_data
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, JsonOption, LangOption, RunArgument
from pqrnn.cli.output import print_json, require_extra, say, show_table
from pqrnn.errors import PqrnnError


@app.command(
    epilog="Example:  `pqrnn reference runs/home --teacher runs/teacher --data home:en --out home.reference`  and, "
    "anywhere,  `pqrnn check home.pqrnn --reference home.reference --min-retention 0.97`"
)
@reads_data
def reference(
    run: RunArgument,
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The reference file to write.")],
    teacher: Annotated[
        list[Path] | None,
        typer.Option("--teacher", help="What taught it; again for more, which then answer together, by their mean."),
    ] = None,
    lang: LangOption = None,
    split: Annotated[str, typer.Option(help="Of --data.")] = "test",
    exact: Annotated[
        int, typer.Option(min=1, max=4096, help="Utterances whose logits are kept in float64, to judge numbers by.")
    ] = 64,
    licence: Annotated[str, typer.Option(help="What the licence of the texts is, to be noted in the file.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
    json: JsonOption = False,
) -> None:
    """Write what a parser and its teacher answer in PyTorch, for checks on boards that have none.

    The file holds the texts, their gold labels, and the parses and logits of both. `pqrnn check --reference` compares a
    package with it anywhere. It holds texts of your data: ship it only where their licence allows that.
    """
    require_extra("train", "torch", "safetensors")
    from compile.verify.make_reference import make_reference
    from pqrnn.data.loader import load_examples
    from runtime_py.parity.metrics import count_frames, score_counts
    from runtime_py.parity.reference_file import load_reference, save_reference

    if out.exists() and not replace:
        raise PqrnnError(f"{out}: exists already; choose another name, or say --replace")
    examples = load_examples(data, split=split, locale=lang)
    made = make_reference(
        find_run(run),
        [find_run(folder) for folder in teacher or []],
        examples,
        data=data,
        split=split,
        licence=licence,
        exact=exact,
        on_progress=lambda text: say(text, error=True),
    )
    save_reference(out, made)
    written = load_reference(out)
    scores = {
        who: score_counts(count_frames(written.gold, frames)).as_dict()
        for who, frames in (("student", written.student), ("teacher", written.teacher))
        if frames is not None
    }
    document = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "sha256": written.digest,
        "utterances": len(written),
        "exact_texts": len(written.exact.vectors),
        "settled_texts": int(written.exact.settled.sum()),
        "fingerprint": written.meta.fingerprint,
        "scores": scores,
    }
    if json:
        print_json(document)
        return
    rows = [
        (who, f"{found['exact_match']['value']:.2%}", f"{found['intent_accuracy']['value']:.2%}")
        for who, found in scores.items()
    ]
    size = f"{out}: {len(written)} utterances, {out.stat().st_size:,} bytes"
    show_table(size, ("answers of", "exact match", "intents"), rows)
    say("It holds texts of the data set: ship it only where their licence allows that.", error=True)
