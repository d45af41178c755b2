"""Parsing many texts for the command lines: an answer for each, whatever becomes of the others."""

from collections.abc import Iterable

import msgspec

from runtime_py.errors import InputTooLongError
from runtime_py.parser import Parser
from runtime_py.streams import complain, write_line
from runtime_py.terminal import printable_json
from runtime_py.tools.presentation import parse_line, parse_text


def parse_texts(parser: Parser, texts: Iterable[tuple[str, bytes]], json: bool) -> int:
    """Write an answer for each text to standard output, and return the exit code.

    A text that is too long is an error that ends nothing: standard error says which one it is and, with `json`, an
    object with ``error`` stands in the place of its answer, so that answers and texts stay in step.

    Args:
        parser: The parser.
        texts: Texts, with what an error message calls them (`runtime_py.streams.texts_to_parse`).
        json: Whether to write lines of JSON.

    Returns:
        0, or 2 where a text was too long.

    Raises:
        ParserError: The texts cannot be read, the answers not be written, or the device failed.
    """
    code = 0
    for name, raw in texts:
        try:
            parse = parser(raw)
        except InputTooLongError as error:
            code = 2
            complain(f"error: {name}: {error}")
            if json:
                write_line(printable_json(msgspec.json.encode({"error": f"{name}: {error}"}).decode()))
            continue
        write_line(parse_line(parse) if json else parse_text(parse))
    return code
