"""`pqrnn quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqrnn.cli.app import app
from pqrnn.cli.learning import load_data, run_training
from pqrnn.cli.locate import find_run
from pqrnn.cli.options import DataOption, DevOption, JsonOption, LangOption, RunArgument, ThreadsOption
from pqrnn.cli.output import print_json, require_extra

if TYPE_CHECKING:
    from msgspec import Struct

    from pqrnn.checkpoint import Checkpoint
    from pqrnn.distillation.objective import DistillationObjective
    from pqrnn.training.config import TrainingConfig

_EPILOG = """Examples:

`pqrnn quantize runs/en --data mtop:DATA/mtop/spans --lang en --out runs/en-int8`

`pqrnn quantize runs/en --data mtop:DATA/mtop/spans --lang en --lessons runs/en/lessons --epochs 3 --out runs/en-int8`"""


@app.command(epilog=_EPILOG)
def quantize(
    run: RunArgument,
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for the parser in 8 bits. An unfinished run in it is taken up again."),
    ],
    lang: LangOption = None,
    dev: DevOption = None,
    epochs: Annotated[
        int,
        typer.Option(
            min=0,
            help="Passes over the training data in which the parser learns with 8 bits; 0: it is quantized as it is, in seconds.",
        ),
    ] = 0,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="AdamW's highest.")] = 3e-4,
    lessons: Annotated[
        Path | None,
        typer.Option(
            help="A teacher's answers (`pqrnn distill` leaves them in OUT/lessons), to learn from as in distillation."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random; by default that of the run.")] = None,
    threads: ThreadsOption = 0,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away a run that is in --out.")] = False,
    json: JsonOption = False,
) -> None:
    """Turn a trained parser into one in 8 bits:

    a quarter of the bytes, and products of matrices that processors compute several at a time.

    Weights and activations become int8, sums int32: what is evaluated, compiled and shipped computes in integers. Give
    the data that the parser was trained on: it says how large activations become. With `--epochs` the parser goes on
    learning under the roundings of 8 bits, with the settings of its own training.
    """
    require_extra("train", "torch", "safetensors", "matplotlib")
    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.dataset.labels import list_labels
    from pqrnn.errors import QuantizationError
    from pqrnn.quantization import prepare_qat, quantize_checkpoint
    from pqrnn.training.trainer import discard

    source = find_run(run)
    if out.resolve() == source.resolve():
        raise QuantizationError(f"{out}: that is the parser to quantize; choose another --out")
    checkpoint = load_checkpoint(source)
    training, development = load_data(data, dev, lang)
    if list_labels(training).outputs() != checkpoint.facts.labels.outputs():
        raise QuantizationError(f"{data}: not the data that {run} was trained on: other intents or slots")
    if epochs:
        prepared = prepare_qat(checkpoint.model, (example.text for example in training))
        run_training(
            out,
            (training, development),
            prepared.config,
            _make_config(checkpoint, epochs, learning_rate, seed, threads),
            objective=_make_objective(checkpoint, lessons) if lessons is not None else None,
            initial=prepared.state_dict(),
            source={"spec": data, "locale": lang or "", "quantized": str(run)},
            restart=restart,
            json=json,
        )
        return
    if lessons is not None:
        raise QuantizationError("--lessons are for learning: say for how long with --epochs")
    if restart:
        discard(out)
    metrics = quantize_checkpoint(checkpoint, training, development, out)
    if json:
        print_json({"folder": str(out), "ended": "done", "metrics": metrics})
    else:
        now, before = metrics["dev"]["exact_match"]["value"], checkpoint.facts.metrics["dev"]["exact_match"]["value"]
        typer.echo(f"done: development exact match {now:.2%} (in float32 {before:.2%}), in {out}")


def _make_config(
    checkpoint: Checkpoint, epochs: int, learning_rate: float, seed: int | None, threads: int
) -> TrainingConfig:
    """Return the settings of the parser's own training, but for what is different about a short one that starts from a
    good parser.
    """
    import msgspec

    from pqrnn.training.config import TrainingConfig

    own = _fields(checkpoint.facts.training, TrainingConfig)
    different = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "patience": 0,
        "threads": threads,
        **({} if seed is None else {"seed": seed}),
    }
    return msgspec.convert({**own, **different}, TrainingConfig)


def _make_objective(checkpoint: Checkpoint, lessons: Path) -> DistillationObjective:
    """Return lessons, weighed as in the parser's own distillation."""
    import msgspec

    from pqrnn.distillation.logit_store import read_logits
    from pqrnn.distillation.objective import DistillationConfig, DistillationObjective

    own = _fields(checkpoint.facts.training.get("distillation", {}), DistillationConfig)
    return DistillationObjective(read_logits(lessons), msgspec.convert(own, DistillationConfig))


def _fields(values: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    """Leave out what is no setting of a kind."""
    return {name: value for name, value in values.items() if name in kind.__struct_fields__}
