"""Text of others on a terminal: what is in labels, texts, manifests and messages is shown and never obeyed."""

import re

# C0 and C1 controls with ESC and DEL, what breaks or turns a line (U+2028, U+2029, marks and overrides of direction),
# old format controls, and halves of surrogate pairs, which no stream can encode.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return a text in which everything that a terminal would obey is shown as an escape, such as `\x1b`.

    Letters, marks, emoji and the joiners inside them stay as they are; a text without controls is returned unchanged.

    Args:
        text: Any text, also with lone surrogates.
        lines: Whether line feeds stay, as in a message of several lines.
    """
    return _CONTROLS.sub(lambda found: found[0] if lines and found[0] == "\n" else _escape(found[0]), text)


def printable_json(document: str) -> str:
    r"""Return a JSON document that says the same and holds nothing that a terminal would obey, such as U+009B.

    JSON escapes the C0 controls of strings itself; those that it leaves are escaped in the same way, as `\u009b`.
    """
    return _CONTROLS.sub(lambda found: found[0] if found[0] < " " else f"\\u{ord(found[0]):04x}", document)


def _escape(character: str) -> str:
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
