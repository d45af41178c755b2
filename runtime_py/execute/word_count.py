"""A cheap guess at how many words a text has.

It chooses the length bucket before the compiled program counts the words exactly. The guess follows the program's rule
for words (runs of letters, runs of digits, single symbols, single characters of scripts without spaces). It is exact
for ASCII; where it is wrong elsewhere, the program's own count is what decides, and the price is a second run.
"""

import re
import string
from functools import cache

_LETTERS = string.ascii_letters.encode()
_DIGITS = string.digits.encode()
_KEEP_LETTERS = bytes(c if c in _LETTERS else 0x20 for c in range(256))
_KEEP_DIGITS = bytes(c if c in _DIGITS else 0x20 for c in range(256))
_SYMBOLS = bytes(c for c in range(0x21, 0x7F) if c not in _LETTERS + _DIGITS)
_NOT_SYMBOLS = bytes(c for c in range(256) if c not in _SYMBOLS)

# Scripts without spaces: their blocks, and in them the characters that are words by themselves; the rest of a block are
# marks, which join what precedes them.
_UNSPACED_BLOCKS = "".join(
    (
        "\u0e00-\u0eff",  # Thai, Lao
        "\u1000-\u109f\uaa60-\uaadf",  # Myanmar, Tai Viet
        "\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf",  # Khmer, Tai Le, New Tai Lue, Tai Tham
        # Han, Bopomofo
        "\u2e80-\u2fdf\u3005-\u3007\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
        "\u3040-\u312f\u31f0-\u31ff\uff66-\uff9f",  # Hiragana, Katakana
        "\ua000-\ua4cf",  # Yi
    )
)
_ALONE = "".join(
    (
        "\u0e01-\u0e30\u0e32\u0e3f-\u0e46\u0e4f\u0e5a-\u0e5b",
        "\u0e81-\u0eb0\u0eb2\u0ebd-\u0ec6\u0edc-\u0edf",
        "\u1000-\u102a\u103f\u1050-\u1055\uaa60-\uaaaf",
        "\u1780-\u17b3\u1950-\u19df\u1a20-\u1a54",
        "\u2e80-\u2fdf\u3005-\u3007\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
        "\u3041-\u3096\u309d-\u312f\u31f0-\u31ff\uff66-\uff9d",
        "\ua000-\ua4cf",
    )
)
_SIGNS = "".join(
    (
        "!-/:-@\\[-`{-~\xa1-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf",  # ASCII and Latin-1
        "\u0964\u0965\u0970",  # Devanagari
        # punctuation, currency, arrows, technical signs
        "\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2100-\u214f\u2190-\u2bff",
        "\u3001-\u3004\u3008-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65",  # of Chinese and Japanese
        "\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff\ufffd",  # pictographs
    )
)
_DIGIT_RANGES = "0-9\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\u0e50-\u0e59\uff10-\uff19"
_SPACES = "\\s\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufe0f"


@cache
def _words() -> re.Pattern[str]:
    """Return the pattern of a word, made when the first text beyond ASCII comes: a start is quicker without."""
    return re.compile(
        f"[{_ALONE}]|[{_SIGNS}]|[{_DIGIT_RANGES}]+|[^{_SPACES}{_SIGNS}{_DIGIT_RANGES}{_UNSPACED_BLOCKS}]+"
    )


def guess_words(text: str, raw: bytes) -> int:
    """Guess the number of words.

    Args:
        text: The text as code points.
        raw: The same text as bytes.
    """
    if len(text) == len(raw):
        letters, digits = raw.translate(_KEEP_LETTERS).split(), raw.translate(_KEEP_DIGITS).split()
        return len(letters) + len(digits) + len(raw.translate(None, _NOT_SYMBOLS))
    return sum(1 for _ in _words().finditer(text))
