"""Kernels as WebAssembly, called one by one in Node or Chromium: what they write, and how long they take."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.browser import BROWSER
from compile.kernels.kernel import Buffer, Kernel
from compile.kernels.linking import write_module
from compile.lowering.iree_compile import compile_module, target_flags
from compile.lowering.processor import resolve_processor
from compile.native.toolchains import find_compiler
from compile.native.web import NODE
from compile.standalone.export import static_flags
from compile.support.process import run_tool
from makers.kernels import Case
from targets import registry

_SECONDS = 600.0
_HARNESS = """
#include "kernel_abi.h"

static int same(const char *one, const char *other) {
  for (; *one && *one == *other; ++one) ++other;
  return *one == *other;
}

// Run a kernel a number of times; -1: there is none of that name, 1: it failed.
int run(const char *name, uint32_t groups, void *const *bindings, const size_t *lengths, int count, int times) {
  const kernel_library *library = find_kernels();
  for (uint32_t number = 0; library && number < library->exports.count; ++number) {
    if (!same(library->exports.names[number], name)) continue;
    const kernel_dispatch dispatch = {1, 1, 1, 0, groups, 1, 1, 1, (uint8_t)count, 0, bindings, lengths};
    for (; times; --times)
      for (uint32_t group = 0; group < groups; ++group) {
        const kernel_group here = {.x = group};
        if (library->exports.functions[number](&kernel_asks_nothing, &dispatch, &here)) return 1;
      }
    return 0;
  }
  return -1;
}

void *memcpy(void *target, const void *source, size_t size) {
  for (size_t at = 0; at < size; ++at) ((volatile uint8_t *)target)[at] = ((const uint8_t *)source)[at];
  return target;
}

void *memset(void *target, int value, size_t size) {
  for (size_t at = 0; at < size; ++at) ((volatile uint8_t *)target)[at] = (uint8_t)value;
  return target;
}
"""
_SCRIPT = """
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const text = (part) => btoa(Array.from(part, (byte) => String.fromCharCode(byte)).join(''));
const { exports } = await WebAssembly.instantiate(await WebAssembly.compile(bytes(request.module)));
const up = (size) => (size + 63) & ~63;
const start = up(exports.__heap_base.value);
const results = [];
const taken = [];
for (const { name, groups, reads, writes } of request.calls) {
  const given = reads.map(bytes);
  const sizes = [...given.map((part) => part.length), ...writes];
  let end = up(start + name.length + 1);
  const at = sizes.map((size) => { const begin = end; end = up(end + size + 64); return begin; });
  const tables = end;
  end += 8 * at.length;
  const missing = end - exports.memory.buffer.byteLength;
  if (missing > 0) exports.memory.grow(Math.ceil(missing / 65536));
  const memory = new Uint8Array(exports.memory.buffer);
  memory.set(new TextEncoder().encode(`${name}\\0`), start);
  sizes.forEach((size, number) => memory.set(given[number] ?? new Uint8Array(size).fill(0x55), at[number]));
  const view = new DataView(exports.memory.buffer);
  at.forEach((begin, number) => {
    view.setUint32(tables + 4 * number, begin, true);
    view.setUint32(tables + 4 * (at.length + number), sizes[number], true);
  });
  const call = (count) => {
    const status = exports.run(start, groups, tables, tables + 4 * at.length, at.length, count);
    if (status) throw new Error(`${name}: status ${status}`);
  };
  call(1);
  const begins = at.slice(reads.length);
  writes.forEach((size, number) => results.push(text(memory.slice(begins[number], begins[number] + size))));
  let least = Infinity;
  for (let round = 0; round < request.rounds; ++round) {
    const begin = performance.now();
    call(1);
    least = Math.min(least, 1000 * (performance.now() - begin));
  }
  taken.push(least);
}
const said = JSON.stringify({ results, taken });
"""
_NODE = "import { readFileSync } from 'node:fs';\nconst request = JSON.parse(readFileSync(process.argv[2], 'utf-8'));\n"
_PAGE = """<!doctype html><meta charset="utf-8"><pre id="said"></pre><script type="module">
const request = REQUEST;
try {
SCRIPT
  document.getElementById('said').textContent = said;
} catch (error) { document.getElementById('said').textContent = `${error}`; }
</script>"""


def build_kernels(kernels: Iterable[Kernel], target: str, folder: Path) -> Path:
    """Compile kernels into a WebAssembly module that has `run`; needs zig."""
    known = registry()
    source, code = folder / f"{target}.mlir", folder / f"{target}.o"
    flags = target_flags(known.get(target), known.family(known.get(target)))
    processor = resolve_processor(known.get(target), (*flags, *static_flags(code)))
    source.write_text(write_module(kernels, processor.resolved))
    compile_module(source, folder / f"{target}.host.mlir", (*flags, *static_flags(code), "--compile-to=hal"))
    query = re.search(r"^(\w+_library_query)\(", code.with_suffix(".h").read_text(), re.MULTILINE)
    assert query is not None
    (folder / "harness.c").write_text(_HARNESS)
    header = files("compile.standalone") / "c" / "kernel_abi.h"
    (folder / "kernel_abi.h").write_bytes(header.read_bytes())
    compiler = find_compiler(known.get(target))
    module = folder / f"{target}.wasm"
    options = ["-O2", "-ffreestanding", "-nostdlib", f"-DPQRNN_KERNELS_QUERY={query[1]}", f"-I{folder}"]
    linking = ["-Wl,--no-entry", "-Wl,--export=__heap_base", "-Wl,--export=run", "-Wl,-z,stack-size=262144"]
    finished = run_tool(
        [*compiler.command, *options, *linking, folder / "harness.c", code, "-o", module],
        _SECONDS,
        environment=compiler.environment,
    )
    assert finished.code == 0, finished.diagnostics
    return module


def takes(engine: Sequence[str], target: str) -> bool:
    """Say whether an engine takes its options, and multiplies rightly with what a target has.

    Of Node that is asked as the package's JavaScript asks it.
    """
    if engine[0] == BROWSER:
        return True
    code = (files("compile.native") / "javascript" / "index.js").read_text("utf-8")
    asked = re.sub(r"^export ", "", code.replace("import.meta.url", "''"), flags=re.MULTILINE)
    asked += "const sum = () => new WebAssembly.Instance(new WebAssembly.Module(PROBE)).exports.f(-127, 1, 1000);\n"
    asked += "console.log(WebAssembly.validate(PROBE) && sum() === 1000 - 4 * 127);"
    finished = run_tool([*engine, "--eval", asked], _SECONDS)
    return finished.code == 0 and (finished.output.strip() == "true" or target == "webassembly")


def call_kernels(
    module: Path, cases: Sequence[Case], folder: Path, engine: Sequence[str] = (NODE,), rounds: int = 0
) -> tuple[list[list[NDArray[Any]]], list[float]]:
    """Run kernels of a module in Node or in Chromium.

    Args:
        module: What `build_kernels` made of the cases' kernels.
        cases: What they are given.
        folder: Folder for files.
        engine: Program and options: of Node, or `BROWSER`.
        rounds: How often each is run to be timed; 0 for not at all.

    Returns:
        What every case's kernel wrote; and the least microseconds of a run of each.
    """
    calls = [
        {
            "name": f"{case.kernel.name}_kernel",
            "groups": case.kernel.groups,
            "reads": [b64encode(value.tobytes()).decode() for value in case.inputs],
            "writes": [_bytes_of(buffer) for buffer in (*case.kernel.writes, *case.kernel.scratch)],
        }
        for case in cases
    ]
    request = json.dumps({"module": b64encode(module.read_bytes()).decode(), "calls": calls, "rounds": rounds})
    program, *options = engine
    if program == BROWSER:
        page = folder / "calls.html"
        page.write_text(_PAGE.replace("REQUEST", request).replace("SCRIPT", _SCRIPT))
        command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", *options]
        command += [f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
        finished = run_tool(command, _SECONDS)
        found = re.search(r'<pre id="said">(.*?)</pre>', finished.output, re.DOTALL)
        output = found[1] if found else ""
    else:
        (folder / "calls.json").write_text(request)
        (folder / "calls.mjs").write_text(f"{_NODE}{_SCRIPT}console.log(said);\n")
        finished = run_tool([program, *options, folder / "calls.mjs", folder / "calls.json"], _SECONDS)
        output = finished.output
    assert output.startswith("{"), output or finished.diagnostics
    said = json.loads(output)
    results, parts = [], iter(said["results"])
    for case in cases:
        found_here = []
        for buffer in case.kernel.writes:
            value = np.frombuffer(b64decode(next(parts)), _DTYPES[buffer.element])
            found_here.append(value.reshape(buffer.shape))
        for _ in case.kernel.scratch:
            next(parts)
        results.append(found_here)
    return results, said["taken"]


_DTYPES = {"i8": np.dtype(np.int8), "i32": np.dtype(np.int32), "f32": np.dtype(np.float32)}


def _bytes_of(buffer: Buffer) -> int:
    return int(np.prod(buffer.shape)) * _DTYPES[buffer.element].itemsize
