"""`pqrnn evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from pqrnn.cli.app import app
from pqrnn.cli.options import DataOption, JsonOption, LangOption, RunArgument
from pqrnn.cli.output import print_json, require_extra, show_table
from pqrnn.cli.places import find_run


@app.command(epilog="Example:  `pqrnn evaluate runs/mtop-en --data mtop:DATA/mtop/spans --lang en --split test`")
def evaluate(
    run: RunArgument,
    data: DataOption,
    lang: LangOption = None,
    split: Annotated[str, typer.Option(help="`train`, `dev` or `test`.")] = "test",
    json: JsonOption = False,
) -> None:
    """Score a trained parser in PyTorch, from bytes: exact match, intent accuracy and slot F1, with 95 % bootstrap intervals."""
    require_extra("train", "torch", "safetensors")
    from pqrnn.checkpoint import load_checkpoint
    from pqrnn.data.loader import load_examples
    from pqrnn.metrics import score_frames
    from pqrnn.prediction import predict_texts
    from pqrnn.scoring import frame_of_example, frame_of_parse
    from runtime_py.decoding import Decoder

    checkpoint = load_checkpoint(find_run(run))
    examples = load_examples(data, split=split, locale=lang)
    decoder = Decoder(checkpoint.facts.labels.intents, checkpoint.facts.labels.tags)
    parses = predict_texts(checkpoint.model, decoder, [example.text for example in examples])
    scores = score_frames([frame_of_example(each) for each in examples], [frame_of_parse(each) for each in parses])
    if json:
        print_json(scores.as_dict())
    else:
        rows = [(name.replace("_", " "), f"{f.value:.2%}", f"{f.low:.2%} to {f.high:.2%}") for name, f in scores._asdict().items()]
        show_table(f"{run}: {split} split, {len(examples)} utterances", ("figure", "value", "95 % interval"), rows)
