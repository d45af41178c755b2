"""Random texts through a loaded package: what a parse says of its text has to be so, whatever the text."""

from __future__ import annotations

import random
from collections.abc import Iterator

from runtime_py.decode.answers import Parse, encode_text
from runtime_py.errors import InputTooLongError
from runtime_py.parser import Parser

# Where UTF-8 changes its length, surrogates and noncharacters lie, and what writes, joins, turns or breaks a line.
_EDGES = (
    0x00, 0x09, 0x0A, 0x0D, 0x1B, 0x20, 0x7F, 0x80, 0x85, 0xA0, 0xAD, 0xDF, 0x130, 0x131, 0x2BC, 0x300, 0x345, 0x37A,
    0x3C2, 0x5BE, 0x640, 0x7FF, 0x800, 0x94D, 0xE33, 0x1100, 0x1160, 0x11A8, 0x17D2, 0x180E, 0x1E9E, 0x200B, 0x200C,
    0x200D, 0x200E, 0x2028, 0x2029, 0x202E, 0x2060, 0x2126, 0x3000, 0x3099, 0xAC00, 0xD7A3, 0xD7FF, 0xE000, 0xFB01,
    0xFDD0, 0xFE0F, 0xFEFF, 0xFF10, 0xFFFD, 0xFFFF, 0x10000, 0x1D7CE, 0x1F1E6, 0x1F1FF, 0x1F3FB, 0x1F468, 0x1F600,
    0x1FFFF, 0x20000, 0x2FFFF, 0xE0001, 0xE0020, 0xE007F, 0xF0000, 0x10FFFD, 0x10FFFF,
)  # fmt: skip
_PIECES = (
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe0\xa0", b"\xe2\x82",
    b"\xed\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xef\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf",
    b"\xf0\x90\x80", b"\xf0\x9f\x98", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80", b"\xf8\x88\x80\x80\x80",
    b"\xfe", b"\xff", b"\xff\xfe", b"\x00", b" ", b"  ", b"a", b"seven ", b"wake me ", b"7:30", b"don't", b"1.5",
)  # fmt: skip


def draw_texts(seed: int) -> Iterator[str | bytes]:
    """Yield texts for ever: strings with code points of every plane and lone surrogates, and bytes of any kind."""
    dice = random.Random(seed)
    planes = [range(plane << 16, (plane + 1) << 16) for plane in range(17)]
    while True:
        length = min(int(dice.expovariate(1 / 12)), 600)
        kind = dice.randrange(5)
        if kind == 0:
            yield dice.randbytes(length)
        elif kind == 1:
            yield b"".join(dice.choices(_PIECES, k=length // 2 + 1))
        elif kind == 2:
            yield "".join(map(chr, dice.choices(_EDGES, k=length)))
        elif kind == 3:
            yield "".join(chr(dice.choice(dice.choice(planes))) for _ in range(length))
        else:
            words = (
                dice.choice(("wake", "me", "at", "7:30", "jazz", "é", "हिन्दी", "ปลุก", "👩‍👩‍👧", "\ud800"))
                for _ in range(length // 3)
            )
            yield dice.choice((" ", "  ", "\u00a0", "-", "")).join(words)


def find_faults(parser: Parser, text: str | bytes) -> str:
    """Parse a text, and return what is wrong with the answer; empty if nothing is."""
    shown, raw = encode_text(text)
    try:
        parse = parser(text)
    except InputTooLongError:
        return "refused, though longer texts are to be cut"
    return _check(parser, parse, shown, raw)


def _check(parser: Parser, parse: Parse, shown: str, raw: bytes) -> str:
    manifest = parser.manifest
    if parse.intent not in manifest.labels.intents or not 0.0 <= parse.score <= 1.0:
        return f"intent {parse.intent!r} with {parse.score}"
    if parse.text != shown:
        return "the text is another one"
    largest = manifest.buckets[-1]
    if not parse.truncated and (len(raw) > largest.bytes or parse.words > largest.words):
        return "a part of the text was not read, and nothing says so"
    end = 0
    for slot in parse.slots:
        if not end <= slot.start < slot.end <= len(shown):
            return f"a slot from {slot.start} to {slot.end} after {end}, in {len(shown)} code points"
        if slot.text != shown[slot.start : slot.end]:
            return f"a slot that says {slot.text!r} at {slot.start}"
        end = slot.end
    return ""


def find_disagreement(parser: Parser, text: str | bytes) -> str:
    """Return in what a text as a string and as its bytes differ; empty if in nothing."""
    shown, raw = encode_text(text)
    as_text, as_bytes = parser(shown), parser(raw)
    if as_bytes.text != raw.decode("utf-8", "replace"):
        return "bytes are shown as another text"
    if shown.encode() != raw and not parser.manifest.model.config:
        return ""  # the tiny module reads bytes as they are, and knows nothing of UTF-8
    if as_text.intent != as_bytes.intent or as_text.words != as_bytes.words:
        return "a string and its bytes have other intents or words"
    if shown == as_bytes.text and as_text.slots != as_bytes.slots:
        return "a string and its bytes have other slots"
    return ""
