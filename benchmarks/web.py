"""A parser as WebAssembly beside ONNX Runtime Web, in Node and in Chromium, on commands of eight words.

    pqrnn native mtop-en -t webassembly --out runs/mtop-en-wasm
    python -m benchmarks.float_twin pqrnn/zoo/checkpoints/mtop-en --out runs/mtop-en-f32
    npm install --prefix .peers/web onnxruntime-web@1.30.0
    apt-get install chromium
    python -m benchmarks.web runs/mtop-en-wasm --run runs/mtop-en-f32 --data ../shared/data/mtop/spans --lang en

Ours goes from a text to intent and slots. ONNX Runtime Web gets the finished features, and its graph is that of the
encoder alone, made for exactly eight words: in float32 and in int8, with both forms of the recurrence. Both run on one
thread with 128-bit vectors, call by call in turn; a figure is the median over texts of the fastest of their rounds.
With `--target webassembly-relaxed` ours is the module for relaxed SIMD. Rows are kept in `results/native.json`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.browser import BROWSER, ask_browser, browser_version
from benchmarks.peers.encoder import project_texts
from benchmarks.peers.onnx_runtime import OnnxRuntime, OnnxRuntimeInt8
from benchmarks.peers.peer import PEERS
from benchmarks.results import merge_results, print_rows, tell_command
from compile.native.web import NODE
from compile.support.process import run_tool
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.loader import load_examples
from pqrnn.evaluation.results import ResultRow
from runtime_py.native.manifest import read_manifest

WORDS, TEXTS, ROUNDS = 8, 100, 30
RUNTIME = PEERS / "web" / "node_modules" / "onnxruntime-web"
_PEERS = Path(__file__).parent / "peers"
_SECONDS = 600.0


def main() -> None:
    """Convert, measure, print, keep."""
    arguments = _read_arguments()
    if shutil.which(NODE) is None or not RUNTIME.is_dir():
        raise SystemExit(f"needs Node, and ONNX Runtime Web: npm install --prefix {PEERS.name}/web onnxruntime-web")
    peers = (OnnxRuntime(), OnnxRuntimeInt8())
    if reason := peers[0].why_absent():
        raise SystemExit(f"the graphs cannot be written: {reason}")
    manifest = read_manifest(arguments.native)
    model = load_checkpoint(arguments.run).model.eval().folded()
    texts = [example.text for example in load_examples(arguments.data, split="test", locale=arguments.lang)]
    features = project_texts(model, [text.encode() for text in texts])
    chosen = [index for index, array in enumerate(features) if array.shape[1] == WORDS][:TEXTS]
    if not chosen:
        raise SystemExit(f"{arguments.data}: no text of the test split has {WORDS} words")
    variants = [each for each in manifest.variants if each.target == arguments.target and each.library]
    if not variants:
        raise SystemExit(f"{arguments.native}: has no parser for {arguments.target} (pqrnn native -t webassembly)")
    module = arguments.native / str(variants[0].library)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models = {
            f"{peer.name}, {form}": str(peer.convert(model, WORDS, form, folder).relative_to(folder))
            for peer in peers
            for form in peer.forms
        }
        np.concatenate([features[index] for index in chosen]).astype("<f4").tofile(folder / "features.bin")
        request = {
            "parser": str(module.parent.resolve()),
            "module": module.name,
            "runtime": str(RUNTIME),
            "models": models,
            "texts": [texts[index] for index in chosen],
            "features": "features.bin",
            "words": WORDS,
            "size": model.config.projection.features,
            "rounds": arguments.rounds,
        }
        (folder / "request.json").write_text(json.dumps(request), "utf-8")
        times = {}
        if _takes(module):
            times[_node_version()] = _time_in_node(folder)
        else:
            print(f"not in Node: {_node_version()} does not take {module.name}", file=sys.stderr)
        if BROWSER is None:
            print("not in a browser: there is no Chromium here (apt-get install chromium)", file=sys.stderr)
        else:
            times[browser_version()] = _time_in_browser(folder, request)
    version = json.loads((RUNTIME / "package.json").read_text("utf-8"))["version"]
    rows = [
        row
        for host, taken in times.items()
        for row in make_rows(f"{manifest.name}, {arguments.target}", host, taken, len(chosen), version)
    ]
    rows.append(
        ResultRow(
            work=rows[0].work, metric="bytes", value=variants[0].files[str(variants[0].library)].bytes, unit="bytes"
        )
    )
    for host, taken in times.items():
        for name, microseconds in sorted(taken.items(), key=lambda item: item[1]):
            print(f"{host}: {name:40} {microseconds:8.1f} us")
    if arguments.no_keep:
        print_rows("native", rows)
    else:
        merge_results("native", rows, tell_command("benchmarks.web"))


def _time_in_node(folder: Path) -> dict[str, float]:
    """Return microseconds of a text by contender, from the folder of the request."""
    finished = run_tool([NODE, _PEERS / "web.mjs", folder / "request.json"], _SECONDS, folder=folder)
    if finished.code != 0:
        raise SystemExit(f"Node {finished.ending}: {finished.diagnostics}")
    return {name: median(values) for name, values in json.loads(finished.output).items()}


def _takes(module: Path) -> bool:
    """Say whether Node has all that a module needs."""
    asked = "process.exit(WebAssembly.validate(require('fs').readFileSync(process.argv[1])) ? 0 : 1)"
    return run_tool([NODE, "--eval", asked, module], _SECONDS).code == 0


def _node_version() -> str:
    return f"Node {run_tool([NODE, '--version'], _SECONDS).output.strip().removeprefix('v')}"


def _time_in_browser(folder: Path, request: Mapping[str, Any]) -> dict[str, float]:
    """Return microseconds of a text by contender, in Chromium."""
    folders = {
        "peers": _PEERS,
        "request": folder,
        "parser": Path(request["parser"]),
        "runtime": Path(request["runtime"]),
    }
    answer = ask_browser(folders, "peers/web.html", _SECONDS)
    if "error" in answer:
        raise SystemExit(f"Chromium: {answer['error']}")
    return {name: median(values) for name, values in answer["times"].items()}


def make_rows(work: str, host: str, times: Mapping[str, float], count: int, version: str) -> list[ResultRow]:
    """Return our time as a share of the best time of ONNX Runtime Web, in float32 and in int8.

    Args:
        work: The parser.
        host: What ran both, and its version, as "Node 20.20.2".
        times: Microseconds of a text, by contender: "ours", and a peer with its form.
        count: Number of texts.
        version: Version of onnxruntime-web.
    """
    rows = []
    for peer in (OnnxRuntime.name, OnnxRuntimeInt8.name):
        best = min((name for name in times if name.startswith(f"{peer}, ")), key=times.__getitem__)
        rows.append(
            ResultRow(
                work=work,
                metric=f"{WORDS} words in {host.split()[0]} against {peer.replace('Runtime', 'Runtime Web')}",
                value=round(times["ours"] / times[best], 3),
                n=count,
                note=f"text to parse; onnxruntime-web {version}: the encoder ({best.partition(', ')[2]}); {host}",
            )
        )
    return rows


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("native", type=Path, help="folder of `pqrnn native -t webassembly`")
    parser.add_argument("--run", type=Path, required=True, help="the same parser in float32 (`benchmarks.float_twin`)")
    parser.add_argument("--data", required=True, help="labelled utterances with a test split")
    parser.add_argument("--lang", help="only this language")
    parser.add_argument("--target", default="webassembly", help="or webassembly-relaxed, its module for relaxed SIMD")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="calls of each text")
    parser.add_argument("--no-keep", action="store_true", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
