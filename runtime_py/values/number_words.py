"""Numbers in words: the rules by which `unicode-rbnf` (the CLDR of Unicode) spells numbers out, read backwards.

Numbers below a thousand are spelt out once, in all forms that the language has; larger ones are taken apart at the
words for thousand, lakh, million and so on, which are found from how their multiples are spelt.
"""

from collections.abc import Callable, Iterator, Mapping

_ORDINALS = 120  # that are known in words
_POWERS = (12, 9, 7, 6, 5, 4, 3)


def squeeze(text: str) -> str:
    """Return the letters of a number in words; it makes no difference how they are cut into words."""
    return "".join(character for character in text if character not in " -\u00ad\u200b,")


class NumberWords:
    """The numbers of one language, as they are written in words."""

    def __init__(
        self,
        language: str,
        fold: Callable[[str], str],
        extra: Mapping[str, float],
        extra_ordinals: Mapping[str, int],
        endings: Mapping[str, str],
    ) -> None:
        """Spell out the numbers below a thousand, which takes some tenths of a second.

        Args:
            language: Code of the language.
            fold: Makes small letters without accents of a text.
            extra: Further words and their numbers.
            extra_ordinals: Further words of ordinals, and their numbers.
            endings: Endings of ordinals, and others that they may have instead.
        """
        from unicode_rbnf import FormatPurpose, RbnfEngine

        engine = RbnfEngine.for_language(language)

        def spell(number: int, purpose: FormatPurpose) -> set[str]:
            texts = engine.format_number(number, purpose=purpose).text_by_ruleset.values()
            return {squeeze(fold(text)) for text in texts}

        def cardinals(number: int) -> set[str]:
            return spell(number, FormatPurpose.CARDINAL)

        self._cardinals = _below_thousand(cardinals)
        self._scales = dict(_find_scales(cardinals))
        for text, number in extra.items():
            self._add(squeeze(fold(text)), number)
        ordinals = {number: spell(number, FormatPurpose.ORDINAL) for number in (*range(1, _ORDINALS), 1000)}
        self._ordinals = dict(_ordinal_forms(ordinals, cardinals(1), endings))
        self._ordinals |= {squeeze(fold(text)): number for text, number in extra_ordinals.items()}

    def _add(self, word: str, number: float) -> None:
        self._cardinals.setdefault(word, number)
        if 20 <= number < 100 and number % 10 == 0:  # another word for seventy makes all of the seventies
            for small in [key for key, value in self._cardinals.items() if value in range(1, 10)]:
                self._cardinals.setdefault(word + small, number + self._cardinals[small])

    def cardinal(self, text: str) -> float | None:
        """Return the number that squeezed letters spell, or None."""
        if (found := self._cardinals.get(text)) is not None:
            return found
        for scale, times in self._scales.items():
            head, found_scale, tail = text.partition(scale)
            if not found_scale:
                continue
            count = self.cardinal(head) if head else 1.0
            rest = self.cardinal(tail) if tail else 0.0
            if count is not None and rest is not None and rest < times and count > 0 and count == int(count):
                return count * times + rest
        return None

    def ordinal(self, text: str) -> int | None:
        """Return the number of an ordinal that squeezed letters spell, or None."""
        return self._ordinals.get(text)

    def is_scale(self, number: float) -> bool:
        """Say whether a number is a word such as thousand or million, which digits may stand before."""
        return number in self._scales.values()


def _below_thousand(spell: Callable[[int], set[str]]) -> dict[str, float]:
    """Return the numbers below a thousand by how they are spelt, those from a hundred on also without *one*."""
    found: dict[str, float] = {}
    for number in range(1000):
        for text in spell(number):
            found.setdefault(text, number)
    ones = spell(1)
    for text, value in list(found.items()):
        if 100 <= value < 200:
            for one in ones:
                found.setdefault(text.removeprefix(one), value)
    return found


def _ordinal_forms(
    spelt: Mapping[int, set[str]], ones: set[str], endings: Mapping[str, str]
) -> Iterator[tuple[str, int]]:
    """Yield ordinals in all their forms; those in digits are read elsewhere."""
    for number, texts in spelt.items():
        for text in texts:
            if not text or text[0].isdecimal():
                continue
            for form in {text, *(text.removeprefix(one) for one in ones if number >= 100)} - {""}:
                yield form, number
                for ending, other in endings.items():
                    if form.endswith(ending):
                        yield form.removesuffix(ending) + other, number


def _find_scales(spell: Callable[[int], set[str]]) -> Iterator[tuple[str, int]]:
    """Yield the words that stand behind a number for so many times a power of ten, the largest first."""
    for power in _POWERS:
        tails = [
            {text.removeprefix(head) for text in spell(times * 10**power) for head in spell(times)}
            - spell(times * 10**power)
            for times in (2, 3, 4)
        ]
        plurals = set.intersection(*tails) - {""}
        for plural in plurals:
            yield plural, 10**power
            for text in spell(10**power):  # one million, of many millions
                singular = next((plural[:end] for end in range(len(plural), 2, -1) if text.endswith(plural[:end])), "")
                if singular:
                    yield singular, 10**power
