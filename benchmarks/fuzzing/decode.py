"""The C rules of a package (`runtime_py/c/decode.h`) on random texts and logits, with every access checked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from runtime_py.decode.frame_weights import FrameWeights
from runtime_py.decode.labels import Labels
from runtime_py.package_format.manifest import Manifest
from runtime_py.tools.c_header import c_header

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_HERE = Path(__file__).parent
_C = _HERE.parents[1] / "runtime_py" / "c"
_TAGS = ("O", "B-time", "I-time", "B-place", "I-place", "B2-time", "B13-place", "B-x")
_FRAMES = ((0, 1), (0, 1, 2), ())
_COUNTS = (((2,), (5, 0, 1), (1, 1), (9, 1, 1)), ((1, 0, 0, 2), (3, 1)), ((4,),))
WEIGHTS = (FrameWeights(), FrameWeights(0.4, 1.5), FrameWeights(0.4, 0.5, 0.5), FrameWeights(0.0, 1.0))


def find_compiler() -> str | None:
    """Return a C compiler, None where there is none."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def build_fuzzer(folder: Path, manifest: Manifest, weights: FrameWeights, compiler: str) -> Path:
    """Compile the fuzzer for labels with frames, counts and these weights; with sanitizers where the compiler has them.

    Raises:
        subprocess.CalledProcessError: It does not compile.
    """
    import msgspec

    labels = Labels(("a", "b", "c"), _TAGS, _FRAMES, _COUNTS, weights)
    header = c_header(msgspec.structs.replace(manifest, labels=labels))
    (folder / "package.h").write_text(header, encoding="utf-8")
    program = folder / "decode_fuzz"
    flags = ["-std=c11", "-O1", "-g", "-Wno-unused-function", *find_sanitizers(folder, compiler)]
    source = [str(_HERE / "decode_fuzz.c"), f"-I{_C}", f"-I{folder}", "-lm", "-o", str(program)]
    subprocess.run([compiler, *flags, *source], check=True, capture_output=True)
    return program


def find_sanitizers(folder: Path, compiler: str) -> tuple[str, ...]:
    """Return the flags for checked memory and arithmetic, none where the compiler lacks their libraries."""
    (folder / "empty.c").write_text("int main(void) { return 0; }\n", encoding="ascii")
    command = [compiler, *SANITIZERS, str(folder / "empty.c"), "-o", str(folder / "empty")]
    built = subprocess.run(command, capture_output=True, check=False).returncode == 0
    usable = built and subprocess.run([str(folder / "empty")], capture_output=True, check=False).returncode == 0
    return SANITIZERS if usable else ()


def run_fuzzer(program: Path, seed: int, runs: int) -> str:
    """Run the fuzzer; return what is wrong, "" if nothing is."""
    done = subprocess.run([str(program), str(seed), str(runs)], capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout.strip() == str(runs):
        return ""
    lines = [line for line in done.stderr.splitlines() if "ERROR" in line or "runtime error" in line]
    return f"seed {seed}: ends with {done.returncode}: {(lines or [done.stderr[-200:]])[0]}"
