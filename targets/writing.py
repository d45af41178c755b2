"""Writing target files: the reverse of `schema`."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Struct

from targets.schema import Preset, Target, decode_target


def encode_target(target: Target | Preset, comment: str = "") -> str:
    """Return the text of a target's file, which reads back as the same target; default values are left out.

    Args:
        target: The target.
        comment: Comment at the top of the file; each line gets a `#`.

    Raises:
        TargetError: The target contradicts itself.
    """
    lines = [f"# {_printable(line)}".rstrip() for line in comment.splitlines()]
    tables: list[str] = []
    for key, value in _told(target).items():
        if isinstance(value, Struct):
            tables += ["", f"[{key}]", *_pairs(value)]
        elif isinstance(value, tuple) and value and isinstance(value[0], Struct):
            tables += [line for entry in value for line in ("", f"[[{key}]]", *_pairs(entry))]
        else:
            lines.append(f"{key} = {_value(value)}")
    text = "\n".join([*lines, *tables, ""])
    decode_target(text.encode(), target.id, target.id)
    return text


def _told(struct: Struct) -> dict[str, Any]:
    values = {field.name: (getattr(struct, field.name), field.default) for field in msgspec.structs.fields(struct)}
    return {name: value for name, (value, default) in values.items() if value != default}


def _pairs(struct: Struct) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in _told(struct).items()]


def _value(value: str | float | bool | tuple[Any, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_value(entry) for entry in value)}]"
    # Printable strings are written alike in JSON and TOML.
    return json.dumps(_printable(value) if isinstance(value, str) else value, ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
