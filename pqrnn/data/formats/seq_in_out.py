"""SNIPS and ATIS as three parallel files in the folder of a split.

The files are ``seq.in`` (words), ``seq.out`` (tags) and ``label`` (intent). Words are joined with single spaces, so the
runs of spaces that some of these files have are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pqrnn.data.examples import Example
from pqrnn.data.formats.base import DataFormat, Row, check_text
from pqrnn.data.formats.tokens import join_tokens, split_tokens
from pqrnn.data.textfile import TextFile, read_lines
from pqrnn.errors import DataNotFoundError

_WORDS, _TAGS, _INTENTS = "seq.in", "seq.out", "label"


def _recognise(name: str, _head: Sequence[str]) -> bool:
    return name == _WORDS


def _read(file: TextFile) -> Iterator[Row]:
    tags, intents = _read_beside(file, _TAGS), _read_beside(file, _INTENTS)
    for other in (tags, intents):
        if len(other.lines) != len(file.lines):
            short, long = sorted((file, other), key=lambda each: len(each.lines))
            found = f"the file ends here, but {long.path} has {len(long.lines)} lines"
            expected = f"the same number of lines in {_WORDS}, {_TAGS} and {_INTENTS}"
            raise short.error(len(short.lines), found, expected)
    for number, (line, tag_line, intent) in enumerate(zip(file.lines, tags.lines, intents.lines, strict=True)):
        with file.guard_row():
            words, marks = split_tokens(line), split_tokens(tag_line)
            check_text(file, number, line)
            if len(words) != len(marks):
                raise tags.error(
                    number, f"{len(marks)} tags", f"{len(words)} tags, one for each word of {file.locate(number)}"
                )
            if not intent.strip():
                raise intents.error(number, "an empty intent", "one intent on each line")
            text, slots = join_tokens(tags, [number] * len(marks), words, marks)
            yield Row(Example(text, intent.strip(), slots, file.locale, file.locate(number)))


def _read_beside(file: TextFile, name: str) -> TextFile:
    """Read the file called ``name``, plain or gzip, in the same folder."""
    for path in (file.path.with_name(name), file.path.with_name(f"{name}.gz")):
        if path.is_file():
            return read_lines(path, file.locale, file.options, file.report)
    raise DataNotFoundError(
        f"{file.path}: there is no {name} beside it; expected {_WORDS}, {_TAGS} and {_INTENTS} in one folder"
    )


FORMAT = DataFormat(
    "seq",
    "SNIPS and ATIS folders with seq.in, seq.out and label",
    _recognise,
    _read,
    split_is_folder=True,
    beside=(_TAGS, _INTENTS),
)
