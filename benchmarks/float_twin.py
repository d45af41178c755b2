"""A run in float32 with the weights of a parser in 8 bits, for benchmarks that need both where one alone is at hand.

    python -m benchmarks.float_twin pqrnn/zoo/checkpoints/mtop-en --out runs/mtop-en-f32

Its shape, its labels and nearly its answers are those of the parser in 8 bits: weights are the whole numbers times
their scales, and only the rounding of what flows between layers is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from pqrnn.checkpoint import load_checkpoint, save_checkpoint
from pqrnn.extending.weights import dequantize
from pqrnn.model.parser import ParserModel


def make_float_twin(run: Path, out: Path) -> None:
    """Write the float32 run of a parser in 8 bits.

    Raises:
        SystemExit: the parser is not in integers.
    """
    checkpoint = load_checkpoint(run)
    if checkpoint.model.config.precision != "int8":
        raise SystemExit(f"{run}: a parser in float32 already")
    folded = checkpoint.model.folded()
    config = msgspec.structs.replace(folded.config, precision="float32", weight_bits=8, norm="none")
    labels = checkpoint.facts.labels
    twin = ParserModel(config, len(labels.intents), len(labels.tags))
    wanted = twin.state_dict()
    twin.load_state_dict({name: value for name, value in dequantize(folded).items() if name in wanted})
    out.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out, twin, msgspec.structs.replace(checkpoint.facts, config=config))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a parser in 8 bits")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run in float32")
    arguments = parser.parse_args()
    make_float_twin(arguments.run, arguments.out)
