"""Random texts through a native parser whose C is compiled with sanitizers: nothing is read or written that is not its.

    pqrnn native mtop-en --sources --out runs/mtop-en-sources
    python -m benchmarks.native_fuzz runs/mtop-en-sources --texts 1000000

Every text lies on the heap in exactly its own bytes, every number of an answer is read, and what it says of its text is
checked (`benchmarks/fuzzing/native_fuzz.c`). The kernels themselves are machine code already; their bounds are those
of buffers that the C gives them. Rows are kept in `results/robustness.json`, and the exit code is 1 where there is a
fault.
"""

from __future__ import annotations

import argparse
import itertools
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fuzzing.decode import find_compiler, find_sanitizers
from benchmarks.fuzzing.texts import draw_texts
from benchmarks.results import merge_results, print_rows, tell_command
from pqrnn.evaluation.results import ResultRow
from runtime_py.decode.answers import encode_text
from runtime_py.native.manifest import read_manifest

SOURCE = Path(__file__).parent / "fuzzing" / "native_fuzz.c"
_AT_ONCE = 20_000


def main() -> None:
    """Build, feed, count, keep."""
    arguments = _read_arguments()
    manifest = read_manifest(arguments.native)
    sources = arguments.native / arguments.target / "source"
    compiler = find_compiler()
    if not sources.is_dir() or compiler is None:
        raise SystemExit(f"{sources}: needs `pqrnn native -t {arguments.target} --sources`, and a C compiler")
    with tempfile.TemporaryDirectory() as scratch:
        program, checked = build_host(Path(scratch), sources, manifest.prefix, compiler)
        if not checked:
            raise SystemExit(f"{compiler} has no sanitizers (address, undefined)")
        done, fault = feed(program, arguments.texts, arguments.seed)
    print(f"{done:,} texts; {fault or 'no fault'}")
    row = ResultRow(
        work=f"native library of {manifest.name}, address and undefined sanitizers",
        metric="faults",
        value=int(bool(fault)),
        n=done,
        note=fault or "random texts, each in exactly its own bytes",
    )
    if arguments.print:
        print_rows("robustness", [row])
    else:
        merge_results("robustness", [row], tell_command("benchmarks.native_fuzz"))
    sys.exit(int(bool(fault)))


def build_host(folder: Path, sources: Path, prefix: str, compiler: str, host: Path = SOURCE) -> tuple[Path, bool]:
    """Compile a parser's C and the host; return the program, and whether sanitizers watch it.

    Args:
        folder: Folder for the program.
        sources: Folder with the parser's C and the object file of its kernels.
        prefix: Prefix of the parser's names.
        compiler: C compiler of this machine.
        host: C of the host.

    Raises:
        subprocess.CalledProcessError: It does not compile.
    """
    flags = find_sanitizers(folder, compiler)
    program = folder / "native_fuzz"
    command = [compiler, "-std=gnu11", "-O1", "-g", *flags, f"-DPARSER={prefix}", f'-DHEADER="{prefix}.h"']
    command += [f"-I{sources}", str(host), *map(str, sorted(sources.glob(f"{prefix}*.c")))]
    subprocess.run([*command, str(sources / "kernels.o"), "-lm", "-o", str(program)], check=True)
    return program, bool(flags)


def feed(program: Path, count: int, seed: int) -> tuple[int, str]:
    """Let the host parse random texts; return how many it has parsed, and what was wrong (empty where nothing was)."""
    done, began = 0, time.monotonic()
    drawn = (encode_text(text)[1] for text in draw_texts(seed))
    while done < count:
        texts = list(itertools.islice(drawn, min(_AT_ONCE, count - done)))
        given = b"".join(struct.pack("=I", len(text)) + text for text in texts)
        run = subprocess.run([program], input=given, capture_output=True, check=False)
        if run.returncode or run.stdout.strip() != str(len(texts)).encode():
            lines = [line for line in run.stderr.decode("utf-8", "replace").splitlines() if line.strip("= ")]
            return done, f"seed {seed}, after {done:,} texts: {lines[0] if lines else f'status {run.returncode}'}"
        done += len(texts)
        print(f"{done:,} of {count:,} texts, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return done, ""


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("native", type=Path, help="folder of `pqrnn native --sources`")
    parser.add_argument("--target", default="host", help="target of this machine")
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--print", action="store_true", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
