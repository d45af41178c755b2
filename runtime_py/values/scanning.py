"""From the text of a slot to tokens: numbers, tagged phrases of a language, and words that no list has."""

import functools
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple

from runtime_py.errors import ValuesError
from runtime_py.values.number_words import NumberWords, squeeze

LANGUAGES = ("de", "en", "es", "fr", "hi", "th")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_GAPS = re.compile(r"[\s\u00ad\u200b'’ʼ\-‐‑_]+")
_TRIMMED = ",;!?।،、"
_CLOCK = re.compile(r"(?<!\d)(\d{1,2})(?::|h ?(?=\d\d))(\d{2})(?::\d{2})?(?!\d)")
_DATE = re.compile(
    r"(?<![\d.])(?:\d{4}([/.-])\d{1,2}\1\d{1,2}|\d{1,2}([/.-])\d{1,2}\2\d{2,4}|\d{1,2}\.\d{1,2}\.|\d{1,2}/\d{1,2})(?![\d/])"
)
_NUMBER = re.compile(r"\d{1,3}(?:([.,  ])\d{3}(?:\1\d{3})*)(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?")
_LONGEST = 160  # code points of a number in words
_LONGEST_TEXT = 300  # code points of what is read at all


class Token(NamedTuple):
    """A piece of a text.

    Attributes:
        tags: What it may be: ``number``, ``ordinal``, ``clock_time``, ``calendar``, ``word``, or tags of the language.
        text: The piece, folded.
        value: The number of numbers and ordinals; minutes since midnight of a time.
        digits: Whether it was written in digits.
    """

    tags: frozenset[str]
    text: str
    value: float = 0.0
    digits: bool = False

    def has(self, *tags: str) -> bool:
        """Say whether it may be one of these."""
        return not self.tags.isdisjoint(tags)


def fold_text(text: str) -> str:
    """Return small letters without accents, digits as ASCII, and single spaces for spaces, hyphens and apostrophes."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    kept = []
    for character in plain:
        if "\u0300" <= character <= "\u036f" or character == "\u093c":  # accents; the nukta, which many leave out
            continue
        if character == "\u0901":  # both signs of a nasal are written
            character = "\u0902"
        decimal = unicodedata.decimal(character, None)
        kept.append(character if decimal is None else str(decimal))
    return unicodedata.normalize("NFC", "".join(kept))


def _spaced(folded: str) -> str:
    return _GAPS.sub(" ", folded).strip()


@dataclass(frozen=True)
class Language:
    """What a language's file in `runtime_py/values/words` says.

    Attributes:
        code: Its code, as ``de``.
        decimal: The mark of decimals.
        phrases: Tags of each folded phrase.
        pairs: Phrases that are a day and a part of it, as *tonight*, with the tags of both.
        longest: Length of the longest phrase, in code points.
        spaces: Whether words are written apart.
        numbers: Numbers in words.
        joiners: Words that join the words of a number.
        suffixes: What is written behind the digits of an ordinal.
        half_before_hour: Whether half an hour is told before the hour that it leads to.
        buddhist_years: Whether years are counted from 543 BC.
    """

    code: str
    decimal: str
    phrases: dict[str, frozenset[str]]
    pairs: dict[str, tuple[str, str]]
    longest: int
    spaces: bool
    numbers: NumberWords
    joiners: frozenset[str]
    suffixes: re.Pattern[str] | None
    half_before_hour: bool
    buddhist_years: bool

    def scan(self, text: str, ordinals_first: bool = False) -> tuple[Token, ...]:
        """Return the tokens of a text, without what does not count.

        Args:
            text: The text of a slot.
            ordinals_first: Whether a word that is an ordinal and something else, as *second*, is the ordinal.
        """
        shown = _spaced_around_dates(fold_text(text))
        tokens: list[Token] = []
        start = 0
        while start < len(shown):
            if shown[start] == " " or shown[start] in _TRIMMED:
                start += 1
                continue
            start, token = self._next(shown, start, ordinals_first)
            if (pair := self.pairs.get(token.text)) is not None:
                tokens += [Token(frozenset({tag}), token.text) for tag in pair]
            else:
                tokens.append(token)
        return tuple(token for token in tokens if token.tags != {"filler"})

    def _next(self, shown: str, start: int, ordinals_first: bool) -> tuple[int, Token]:
        if shown[start].isdecimal() or (shown[start] in "-−" and shown[start + 1 : start + 2].isdecimal()):
            return self._digits(shown, start)
        phrase_end, tags = self._phrase(shown, start)
        number_end, number, ordinal = self._in_words(shown, start)
        ordinal_wins = ordinal is not None and (number is None or ordinals_first)
        if number_end > phrase_end or (number_end == phrase_end and ordinals_first and ordinal is not None):
            text = shown[start:number_end]
            if ordinal is not None and ordinal_wins:
                return number_end, Token(frozenset({"ordinal"}), text, ordinal)
            return number_end, Token(frozenset({"number"}), text, number or 0.0)
        if phrase_end > start:
            return phrase_end, Token(tags, shown[start:phrase_end])
        match = re.compile(r"[^\s\d,;!?]+|.").match(shown, start)
        assert match is not None
        return match.end(), Token(frozenset({"word"}), match[0])

    def _ends(self, shown: str, end: int) -> bool:
        """Say whether a word may end here."""
        return not self.spaces or end >= len(shown) or not (_in_word(shown[end - 1]) and _in_word(shown[end]))

    def _phrase(self, shown: str, start: int) -> tuple[int, frozenset[str]]:
        for end in range(min(len(shown), start + self.longest), start, -1):
            if (tags := self.phrases.get(shown[start:end])) and self._ends(shown, end):
                return end, tags
        return start, frozenset()

    def _in_words(self, shown: str, start: int) -> tuple[int, float | None, int | None]:
        """Return the longest number or ordinal in words that begins here."""
        for end in range(min(len(shown), start + _LONGEST), start, -1):
            if shown[end - 1] == " " or not self._ends(shown, end):
                continue
            words = shown[start:end].split(" ")
            if words[-1] in self.joiners or words[0] in self.joiners:
                continue
            keys = (squeeze(shown[start:end]), squeeze("".join(word for word in words if word not in self.joiners)))
            for key in keys:
                number, ordinal = self.numbers.cardinal(key), self.numbers.ordinal(key)
                if number is not None or ordinal is not None:
                    return end, number, ordinal
        return start, None, None

    def _digits(self, shown: str, start: int) -> tuple[int, Token]:
        if match := _CLOCK.match(shown, start):
            hour, minute = int(match[1]), int(match[2])
            if hour <= 24 and minute < 60:
                return match.end(), Token(frozenset({"clock_time"}), match[0], hour * 60 + minute, True)
        if match := _DATE.match(shown, start):
            tags = {"calendar", "number"} if "/" not in match[0] and match[0].count(".") == 1 else {"calendar"}
            return match.end(), Token(frozenset(tags), match[0], 0.0, True)
        sign = shown[start] in "-−"
        match = _NUMBER.match(shown, start + sign)
        assert match is not None
        end = match.end()
        if self.suffixes and not sign and match[0].isdecimal() and (suffix := self.suffixes.match(shown, end)):
            return suffix.end(), Token(frozenset({"ordinal"}), match[0], int(match[0]), True)
        value = _read_digits(match[0], self.decimal)
        return end, Token(frozenset({"number"}), shown[start:end], -value if sign else value, True)


def _in_word(character: str) -> bool:
    return character.isalpha() or unicodedata.category(character)[0] == "M"


def _spaced_around_dates(folded: str) -> str:
    """Put spaces for hyphens and apostrophes, but for those of dates and negative numbers."""
    shown = re.sub(r"(?<!\d)[-‐‑−](?=\d)", "\uffff", folded)
    shown = re.sub(r"(?<=\d)-(?=\d)", "\ufffe", shown)
    return _spaced(shown).replace("\uffff", "-").replace("\ufffe", "-")[:_LONGEST_TEXT]


def _read_digits(text: str, decimal: str) -> float:
    """Return a number in digits; a mark before groups of three groups them, unless it is the language's decimal."""
    text = text.replace("\u00a0", " ").replace("\u202f", " ")
    marks = [character for character in text if character in ".,"]
    if len(set(marks)) == 2:
        last = marks[-1]
        text = text.replace("." if last == "," else ",", "").replace(last, ".")
    elif len(marks) > 1:
        text = text.replace(marks[0], "")
    elif marks:
        groups = marks[0] != decimal and re.search(r"^\d{1,3}[.,]\d{3}$", text)
        text = text.replace(marks[0], "" if groups else ".")
    return float(text.replace(" ", ""))


@functools.cache
def load_language(code: str) -> Language:
    """Read what a language's file says, and spell out its numbers.

    Raises:
        ValuesError: There is no file for this language, or the library of numbers is not installed.
    """
    if code not in LANGUAGES:
        raise ValuesError(f"values of {code!r} cannot be normalised; languages are {', '.join(LANGUAGES)}")
    text = resources.files("runtime_py.values").joinpath("words", f"{code}.toml").read_text(encoding="utf-8")
    document: dict[str, Any] = tomllib.loads(text)
    tags: dict[str, set[str]] = {}
    for tag, phrases in document["tags"].items():
        for phrase in phrases:
            tags.setdefault(_spaced(fold_text(phrase)), set()).add(tag)
    pairs = {_spaced(fold_text(phrase)): (day, part) for phrase, (day, part) in document["days_and_parts"].items()}
    for behind, part in document.get("parts_behind_days", {}).items():
        pairs |= {f"{day}{behind}": (tag, part) for tag in WEEKDAYS for day in document["tags"][tag] if len(day) > 2}
    for phrase in pairs:
        tags.setdefault(phrase, {"pair"})
    suffixes = "|".join(re.escape(fold_text(each)) for each in sorted(document["ordinal_suffixes"], key=len)[::-1])
    return Language(
        code=code,
        decimal=document["decimal"],
        phrases={phrase: frozenset(found) for phrase, found in tags.items()},
        pairs=pairs,
        longest=max(map(len, tags)),
        spaces=document.get("spaces", True),
        numbers=NumberWords(
            code,
            lambda each: _spaced(fold_text(each)),
            document["numbers"],
            document.get("ordinals", {}),
            {fold_text(ending): fold_text(other) for ending, other in document.get("ordinal_endings", {}).items()},
        ),
        joiners=frozenset(phrase for phrase, found in tags.items() if "and" in found),
        suffixes=re.compile(rf" ?(?:{suffixes})(?![^\W_])") if suffixes else None,
        half_before_hour=document.get("half_before_hour", False),
        buddhist_years=document.get("buddhist_years", False),
    )
