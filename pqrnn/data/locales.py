"""Names of languages and regions, as files, folders and rows write them: tags of BCP 47, also with low lines."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pqrnn.data.splits import find_split


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# ISO 639-1.
_LANGUAGES = _words(
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz "
    "ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik "
    "io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml "
    "mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd "
    "se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi "
    "vo wa wo xh yi yo za zh zu"
)
# In a file name only those of three letters count that such data exist in, or every word of three would be a language.
_NAMED_LANGUAGES = _LANGUAGES | _words(
    "arz ast bar ceb ckb cmn dsb fil frr fur fry glk grc gsw hak haw hsb jpn kab kmr lij lld lmo mai mhr myv "
    "nan nap nds pap pcm pms pnb sah scn sco swg szl tpi tzm vec wuu yue"
)
# ISO 3166-1, what BCP 47 adds, and UK, which many write.
_REGIONS = _words(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW "
    "BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET EU "
    "FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM "
    "IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD "
    "ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE "
    "PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST "
    "SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UK UM US UY UZ VA VC VE VG VI VN VU WF "
    "WS XK YE YT ZA ZM ZW"
)
# Dialects whose usual short names are also those of countries where the language is not at home (xSID).
_DIALECTS = frozenset(("de-ba", "de-st"))
_ANY_REGION = frozenset(("XX", "ZZ"))
_TAG = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{1,8}){0,4}", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_]")


def normalise_locale(name: str) -> str:
    """Return ``name`` as BCP 47 writes it: ``en``, ``en-US``, ``zh-Hant-TW``, ``es-419``.

    ``en_XX`` (any region) becomes ``en``. What is no region stays as it is in small letters (``de-muc``), and so do
    dialects that share their short names with countries (``de-ba`` is Bavarian, not Bosnia).
    """
    name = name.strip()
    if _TAG.fullmatch(name) is None:
        return name
    language, *others = _SEPARATORS.split(name)
    language = language.lower()
    written = [language]
    for index, part in enumerate(others):
        if part.upper() in _ANY_REGION and index == len(others) - 1:
            continue
        dialect = f"{language}-{part.lower()}" in _DIALECTS
        if len(part) == 4 and part.isalpha():
            written.append(part.title())
        elif len(part) == 2 and part.upper() in _REGIONS and not dialect:
            written.append(part.upper())
        else:
            written.append(part.lower())
    return "-".join(written)


def match_locale(wanted: str, name: str) -> bool:
    """Say whether data of the locale ``name`` serve a user who asked for ``wanted``.

    A language alone stands for each of its regions, scripts and dialects, on either side; where both say more, all that
    one of them says has to be said by the other: ``zh-TW`` is served by ``zh-Hant-TW``, and not by ``zh-CN``.
    """
    first, second = (normalise_locale(each).casefold().split("-") for each in (wanted, name))
    shorter, longer = sorted((first[1:], second[1:]), key=len)
    return first[0] == second[0] and set(shorter) <= set(longer)


def choose_locales(wanted: Iterable[str], there: Iterable[str]) -> frozenset[str]:
    """Return the locales among ``there`` that serve somebody who asked for ``wanted``.

    Exactly what was asked for comes first: where there are ``de`` and ``de-muc``, ``de`` is the former alone.
    """
    locales = {locale: normalise_locale(locale).casefold() for locale in there if locale}
    chosen: set[str] = set()
    for name in wanted:
        exact = {locale for locale, plain in locales.items() if plain == normalise_locale(name).casefold()}
        chosen |= exact or {locale for locale in locales if match_locale(name, locale)}
    return frozenset(chosen)


def is_locale(name: str) -> bool:
    """Say whether ``name`` has the form of a locale."""
    return _TAG.fullmatch(name.strip()) is not None


def find_locale(name: str) -> str:
    """Return the locale that a file or folder name carries (``en``, ``en-US.jsonl``, ``de.test.conll``), or ``""``.

    Only a whole piece between dots, what is left of one beside the name of a split (``train-de``), or the end of one
    after a low line counts: in ``official_8col_en`` it is ``en``, in ``my_data`` there is none. A language has to have
    a code; what follows it may be a script, a region or a dialect.
    """
    for piece in name.split("."):
        parts = _SEPARATORS.split(piece)
        candidates = [piece]
        if len(parts) > 1 and find_split(parts[0]):
            candidates.append(piece[len(parts[0]) + 1 :])
        if len(parts) > 1 and find_split(parts[-1]):
            candidates.append(piece[: -len(parts[-1]) - 1])
        for candidate in candidates:
            if _is_named(candidate):
                return normalise_locale(candidate)
        ends = piece.split("_")
        for first in range(max(1, len(ends) - 3), len(ends)):
            if _is_named("_".join(ends[first:])):
                return normalise_locale("_".join(ends[first:]))
    return ""


def _is_named(piece: str) -> bool:
    """Say whether a piece of a name is a locale as people write it there.

    A language in small letters; what follows it is a script, a region, or after a hyphen a dialect.
    """
    if _TAG.fullmatch(piece) is None:
        return False
    language, *others = _SEPARATORS.split(piece)
    if language not in _NAMED_LANGUAGES or len(others) > 3:
        return False
    # `en-us` is a region and `de-muc` a dialect, `my_go` is two words.
    small = "_" not in piece
    for part in others:
        script = len(part) == 4 and part.istitle()
        region = len(part) == 2 and part.upper() in _REGIONS | _ANY_REGION and (part.isupper() or small)
        number = len(part) == 3 and part.isdigit()
        dialect = small and len(part) in (2, 3) and part.isalpha() and part.islower() and not find_split(part)
        if not (script or region or number or dialect):
            return False
    return True
