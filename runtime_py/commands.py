"""Several commands in one sentence: "turn off the lights and lock the door" is two parses.

There is no network for that. Wherever a connective stands (a word such as *and*, or a mark), the sentence might be two
commands; it is cut there if both parts are far more probable as commands of their own than the whole is as one
(`Rule`). So "bread and butter" stays whole: "butter" is no command, and "remind me to buy bread and butter" is a
probable one. What counts are calibrated scores, so packages without a calibration cannot do it.
"""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from runtime_py.decode.answers import Parse

MOST_CUTS = 6  # places of a sentence that are looked at: 28 parses at most, and 3 where there is one

# Longer ones first. Words of other languages do no harm: what they would cut has to be two commands all the same.
_WORDS = (
    "and after that", "and then", "and also", "after that", "and", "then", "also", "plus",
    "und danach", "und dann", "und auch", "danach", "und", "dann", "sowie",
    "y después", "y luego", "y también", "después", "luego", "y", "e",
    "et ensuite", "et puis", "et aussi", "ensuite", "puis", "et",
    "और फिर", "और उसके बाद", "उसके बाद", "और", "फिर", "तथा",
)  # fmt: skip
_BARE = ("หลังจากนั้น", "จากนั้น", "แล้วก็", "และก็", "และ", "แล้ว", "ก็")  # Thai has no spaces between words
_CUT = re.compile(
    r"\s*[,;.!?।，。；、…]*\s*(?:(?<![^\W_])(?:" + "|".join(_WORDS) + r")(?![^\W_])|" + "|".join(_BARE) + r")\s*"
    r"|\s*[,;!?।，。；、…]+\s*|\s*\.+\s+",
    re.IGNORECASE,
)


class Rule(NamedTuple):
    """When a sentence is cut in two; chosen on development sentences, single and joined (`benchmarks.assistant`).

    Attributes:
        part: Least score of each part.
        gain: How much larger the log odds of the less probable part have to be than those of the whole.
    """

    part: float = 0.25
    gain: float = 0.5


def find_cuts(text: str) -> list[tuple[int, int]]:
    """Return where a sentence might be cut: for each connective its first code point, and the one behind it.

    None stands at the beginning or end, where there is nothing to cut off.
    """
    spans = [match.span() for match in _CUT.finditer(text)]
    return [(start, end) for start, end in spans if text[:start].strip() and text[end:].strip()]


RULE = Rule()


def split_commands(text: str, parse: Callable[[str], Parse], rule: Rule = RULE) -> list[Parse]:
    """Return the parses of a sentence's commands, from left to right; one where it is a single command.

    Of all ways to cut a sentence into a number of parts, that is looked at whose least probable part is most probable;
    more parts are taken where that is a gain over fewer.

    Args:
        text: The sentence.
        parse: Gives the parse of a text, with a calibrated score; it is asked for each pair of cuts.
        rule: When a sentence is cut.

    Returns:
        The parses. ``Parse.text`` is the command's own piece of the sentence, and ``Parse.offset`` where it begins.
    """
    cuts = find_cuts(text)[:MOST_CUTS]
    starts, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(text)]
    parses = {
        (first, last): parse(text[starts[first] : ends[last]])
        for first in range(len(starts))
        for last in range(first, len(ends))
    }
    chosen = [(0, len(ends) - 1)]
    reached = parses[chosen[0]].score
    # For so many parts, and each last piece of the sentence: the best least score, and the parts.
    best = {last: (parses[0, last].score, [(0, last)]) for last in range(len(ends))}
    for parts in range(2, len(ends) + 1):
        best = {
            last: max(
                (min(best[before][0], parses[before + 1, last].score), [*best[before][1], (before + 1, last)])
                for before in range(parts - 2, last)
            )
            for last in range(parts - 1, len(ends))
        }
        least, spans = best[len(ends) - 1]
        if least >= rule.part and _log_odds(least) - _log_odds(reached) >= rule.gain:
            chosen, reached = spans, least
    return [replace(parses[span], offset=starts[span[0]]) for span in chosen]


def _log_odds(score: float) -> float:
    clipped = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped))
