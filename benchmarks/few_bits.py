r"""What weights of few bits cost, and what each way to round them gives: on the development split, beside float32.

    python -m benchmarks.few_bits runs/mtop-en-1 --data mtop:../shared/data/mtop/spans --lang en --work mtop-en \
        --learned runs/mtop-en-4bit

The parser is one in float32, quantized in 8, 4 and 3 bits without learning; `--learned` adds what `pqrnn quantize
--bits 4 --epochs N` made of it. Beside the scores stands how far the probabilities are from those in float32, the mean
Kullback-Leibler divergence over utterances (of the tags summed over words): it tells ways apart that exact match on two
thousand utterances does not. Rows are kept in `results/few_bits.json`; the test split is never looked at.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.results import keep_results, tell_command
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example
from pqrnn.data.loader import load_examples
from pqrnn.dataset.segmented import segment_examples
from pqrnn.evaluation.evaluate import evaluate_predictions
from pqrnn.evaluation.prediction import Prediction, compute_logits
from pqrnn.evaluation.results import ResultRow
from pqrnn.model.int8 import IntegerLinear
from pqrnn.model.parser import ParserModel
from pqrnn.model.qat import QuantizedLinear
from pqrnn.model.rounding import round_layer
from pqrnn.quantization import measure_moments, prepare_qat
from runtime_py.decode.decoder import Decoder

NAME = "few_bits"
LARGEST, CHOSEN, PASSED_ON = "scale of the largest weight", "chosen scale", "chosen scale, errors passed on"
MIXED = {"bottleneck in 8": ("bottleneck",), "heads in 8": ("pool", "intent", "tags", "tags_from_pool", "neighbours")}
WAYS = [
    *((8, LARGEST), (4, LARGEST), (4, CHOSEN), (4, PASSED_ON)),
    *((4, f"{PASSED_ON}, {mixed}") for mixed in MIXED),
    *((3, LARGEST), (3, PASSED_ON)),
]
LEARNED = "learned"


def main() -> None:
    """Quantize in every way, score, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a trained parser in float32")
    parser.add_argument("--data", required=True, help="the data that it was trained on, with a development split")
    parser.add_argument("--lang", help="only these languages")
    parser.add_argument("--work", required=True, help="name of the rows")
    parser.add_argument("--learned", type=Path, help="the same parser after learning in 4 bits")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(arguments.run)
    version = checkpoint.facts.config.projection.version
    training = segment_examples(load_examples(arguments.data, split="train", locale=arguments.lang), version)
    development = load_examples(arguments.data, split="dev", locale=arguments.lang)
    decoder = checkpoint.facts.labels.decoder()
    wanted = compute_logits(checkpoint.model.folded(), [example.text for example in development])
    rows = score(arguments.work, "float32", checkpoint.model, wanted, wanted, development, decoder)
    ways = round_in_every_way(checkpoint.model, training)
    if arguments.learned is not None:
        ways[f"4 bits, {LEARNED}"] = load_checkpoint(arguments.learned).model
    for name, model in ways.items():
        answers = compute_logits(model.folded(), [example.text for example in development])
        found = score(arguments.work, name, model, answers, wanted, development, decoder)
        print(name, {row.metric: round(row.value, 4) for row in found}, flush=True)
        rows += found
    keep_results(NAME, rows, tell_command("benchmarks.few_bits"), replace_works=[arguments.work])


def round_in_every_way(model: ParserModel, training: Sequence[Example]) -> dict[str, ParserModel]:
    """Return a parser in every number of bits, rounded in every way, by names."""
    whole = prepare_qat(model, training).eval()
    layers = {name: layer for name, layer in whole.named_modules() if isinstance(layer, QuantizedLinear)}
    moments = measure_moments(model.folded(), training, layers)
    return {f"{bits} bits, {way}": with_bits(whole, moments, bits, way) for bits, way in WAYS}


def with_bits(whole: ParserModel, moments: dict[str, Tensor], bits: int, way: str) -> ParserModel:
    """Return a copy of a parser in 8 bits, its weights rounded to fewer.

    Args:
        whole: The parser as `prepare_qat` makes it, its weights not yet rounded.
        moments: Second moments of the inputs of its layers.
        bits: Number of bits of a weight.
        way: How they are rounded, one of this module's names.
    """
    model = copy.deepcopy(whole)
    kept = next((names for mixed, names in MIXED.items() if way.endswith(mixed)), ())
    for name, layer in model.named_modules():
        if isinstance(layer, QuantizedLinear) and bits < 8 and name not in kept:
            layer.bits, layer.log_scale = bits, nn.Parameter(torch.zeros(layer.out_features // layer.taps))
            layer.take_scale(layer.largest_scale())
            if way != LARGEST:
                round_layer(layer, moments[name], pass_on=way.startswith(PASSED_ON))
    return model


def score(
    work: str,
    name: str,
    model: ParserModel,
    answers: Sequence[Prediction],
    wanted: Sequence[Prediction],
    development: Sequence[Example],
    decoder: Decoder,
) -> list[ResultRow]:
    """Return the rows of a parser.

    Args:
        work: Name of the rows.
        name: Bits and way.
        model: The parser, for its bytes.
        answers: Its outputs for the development utterances.
        wanted: Those in float32.
        development: The utterances.
        decoder: Decides.
    """
    found = evaluate_predictions(development, answers, decoder).scores.as_dict()
    rows = [
        ResultRow(
            work=work,
            metric=metric.replace("_", " "),
            value=found[metric]["value"],
            low=found[metric]["low"],
            high=found[metric]["high"],
            n=int(found[metric]["n"]),
            peer=name,
            note="development split",
        )
        for metric in ("exact_match", "intent_accuracy", "slot_f1")
    ]
    pairs = list(zip(wanted, answers, strict=True))
    for metric, apart in (
        ("divergence of intents", [divergence(one.intent, other.intent) for one, other in pairs]),
        ("divergence of tags", [divergence(one.tags, other.tags) for one, other in pairs]),
    ):
        rows.append(ResultRow(work=work, metric=metric, value=float(np.mean(apart)), n=len(apart), peer=name))
    rows.append(ResultRow(work=work, metric="bytes", value=count_bytes(model), unit="bytes", peer=name))
    return rows


def count_bytes(model: ParserModel) -> int:
    """Return the bytes that the numbers of a parser take, packed: without names, and without scales' padding."""
    folded = model.folded()
    integers = [layer for layer in folded.modules() if isinstance(layer, IntegerLinear)]
    weights = sum(-(-layer.weight.shape[1] * layer.bits // 8) * layer.weight.shape[0] for layer in integers)
    others = sum(value.numel() for value in folded.state_dict().values() if value.is_floating_point())
    return weights + others * (2 if integers else 4)


def divergence(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """Return how far probabilities are from others, in nats, summed over rows."""
    one, other = _log_softmax(wanted), _log_softmax(found)
    return float((np.exp(one) * (one - other)).sum())


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    if not logits.size:
        return np.zeros(logits.shape)
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


if __name__ == "__main__":
    main()
