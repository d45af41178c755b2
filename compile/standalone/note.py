"""The README of a parser in C."""

from __future__ import annotations

from pathlib import Path

from compile.lowering.iree_compile import compiler_version
from compile.standalone.export import Figures
from compile.standalone.proof import Proof
from compile.standalone.toolchains import choose_compiler
from targets import Target


def write_note(path: Path, name: str, target: Target, figures: Figures, proof: Proof) -> None:
    """Write the README, in Markdown."""
    cross = choose_compiler(target)
    if proof.machine:
        verdict = f"""\
Built and run on {proof.machine}: {proof.texts} texts, each in every length bucket that holds it.
Words and their spans are those of PyTorch, and every logit is within {proof.largest:.1e} of PyTorch's in float64
({proof.tolerance:.1e} is allowed)."""
    else:
        verdict = f"**Not verified** where this was written: {proof.reason}."
    path.write_text(
        f"""\
# {name} in C, for {target.id}

Bytes in, numbers out, without a runtime, an operating system or a memory allocator: `kernels.o` is machine code for
{target.summary}.

    make                      # {cross.compiler} ({cross.packages}); make CC=... for another compiler
    make test                 # on the board: compares with PyTorch's answers in golden.bin
    ./example "your text"     # intent, and every word with its tag

In your program: `#include "parser.h"`, link `libparser.a` and the mathematics library (`-lm`).

```c
static pqrnn_result result;
if (pqrnn_parse((const uint8_t *)text, length, &result) == PQRNN_OK) ...
/* result.intent, result.tags, result.spans */
```

| what | bytes |
|---|---|
| weights and tables (`weights.bin`; read-only, so they may stay in flash) | {figures.weight_bytes:,} |
| working memory (`state` and `arena` in `tables.c`; `-DPQRNN_MEMORY=...` places them) | {figures.memory_bytes:,} |
| machine code (`kernels.o`, with its relocations) | {figures.code_bytes:,} |
| stack | up to 131,072 |

The working memory is static, so one call runs at a time. A text is cut where its length is, not at a zero byte.

{verdict}

Made by {compiler_version()}.
""",
        encoding="utf-8",
    )
