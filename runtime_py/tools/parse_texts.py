"""Parsing many texts for the command lines: an answer for each, whatever becomes of the others."""

from collections.abc import Iterable

import msgspec

from runtime_py.assistant import Assistant
from runtime_py.decode.answers import encode_text
from runtime_py.errors import InputTooLongError
from runtime_py.streams import complain, write_line
from runtime_py.terminal import printable_json
from runtime_py.tools.presentation import commands_line, parse_line, parse_text


def parse_texts(
    parser: Assistant, texts: Iterable[tuple[str, bytes]], json: bool, alternatives: int = 0, several: bool = False
) -> int:
    """Write an answer for each text to standard output, and return the exit code.

    A text that is too long is an error that ends nothing: standard error says which one it is and, with `json`, an
    object with ``error`` stands in the place of its answer, so that answers and texts stay in step.

    Args:
        parser: The parser.
        texts: Texts, with what an error message calls them (`runtime_py.streams.texts_to_parse`).
        json: Whether to write lines of JSON.
        alternatives: How many of the most probable intents to name.
        several: Whether a text may hold several commands: then there is a parse of each, with `json` in a list under
            ``commands``.

    Returns:
        0, or 2 where a text was too long.

    Raises:
        ParserError: The texts cannot be read, the answers not be written, or the device failed.
    """
    code = 0
    for name, raw in texts:
        try:
            if several:
                parses = parser.parse_all(raw, alternatives=alternatives)
            else:
                parses = [parser(raw, alternatives=alternatives)]
        except InputTooLongError as error:
            code = 2
            complain(f"error: {name}: {error}")
            if json:
                write_line(printable_json(msgspec.json.encode({"error": f"{name}: {error}"}).decode()))
            continue
        if json and several:
            write_line(commands_line(encode_text(raw)[0], parses))
            continue
        for parse in parses:
            write_line(parse_line(parse) if json else parse_text(parse))
    return code
