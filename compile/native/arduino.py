"""The libraries of a microcontroller as an Arduino library: precompiled code, the header, and a sketch that parses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from compile.native.building import Built
from compile.native.writing import Sources

_PROPERTIES = """\
name={prefix}
version=0.1.0
author=pqrnn
maintainer=pqrnn
sentence=The parser {name}: text in, intent and slots out.
paragraph=Takes {weights} bytes of flash for its weights, and {memory} bytes of RAM; allocates nothing.
category=Data Processing
url=
architectures=*
includes={prefix}.h
precompiled=full
ldflags=-l{prefix}
"""
_SKETCH = """\
// Reads lines from the serial port, and answers each with its intent and slots.
#include <{prefix}.h>

alignas(64) static unsigned char memory[{memory}];
static {prefix}_parser *parser;

void setup() {{
  Serial.begin(115200);
  const int status = {prefix}_open_in(memory, sizeof memory, &parser);
  if (status) Serial.println({prefix}_message(status));
}}

void loop() {{
  if (!parser || !Serial.available()) return;
  String line = Serial.readStringUntil('\\n');
  pqrnn_answer_t answer = {{}};
  answer.size = sizeof answer;
  const int status = {prefix}_parse(parser, line.c_str(), line.length(), PQRNN_NATIVE_TRUNCATE, &answer);
  if (status) {{
    Serial.println({prefix}_message(status));
    return;
  }}
  Serial.println(answer.intent_name);
  for (int i = 0; i < answer.slot_count; ++i) {{
    Serial.print(answer.slots[i].label);
    Serial.print(": ");
    Serial.println(line.substring(answer.slots[i].start, answer.slots[i].end));
  }}
}}
"""


def write_arduino(folder: Path, sources: Sources, built: Built, name: str, processor: str) -> Built:
    """Lay a folder with a static library out as an Arduino library.

    The library goes to ``src/PROCESSOR``, where Arduino looks for boards whose ``build.mcu`` is called so.

    Args:
        folder: Folder of the target.
        sources: The parser's C.
        built: What was built into the folder.
        name: Name of the parser, for people.
        processor: Name of the processor, such as ``cortex-m7``.

    Returns:
        The libraries where they are now.
    """
    values = {
        "prefix": sources.prefix,
        "name": re.sub(r"\s+", " ", name),
        "memory": sources.memory_bytes,
        "weights": sources.weight_bytes,
    }
    place = folder / "src" / processor
    place.mkdir(parents=True)
    moved = Built(None, _move(built.static, place))
    shutil.copyfile(sources.header, folder / "src" / sources.header.name)
    (folder / "library.properties").write_text(_PROPERTIES.format(**values), "utf-8")
    sketch = folder / "examples" / "Parse" / "Parse.ino"
    sketch.parent.mkdir(parents=True)
    sketch.write_text(_SKETCH.format(**values), "utf-8")
    return moved


def _move(library: Path | None, folder: Path) -> Path | None:
    return library and library.rename(folder / library.name)
