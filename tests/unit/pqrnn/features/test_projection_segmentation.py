"""Words of each script in version 1 of the projection, written down by hand.

`|` stands between the words that are expected, and `_` for a space that belongs to none.
"""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from oracles.effort import examples
from oracles.texts import PIECES

from pqrnn.features.projection import Projection
from pqrnn.features.segmentation import segment_texts
from pqrnn.recipes.settings import ProjectionConfig

PROJECTION = Projection(ProjectionConfig(word_features=16, ngram_features=0, version=1))
ZWJ, ZWNJ, VS15, VS16 = "\u200d", "\u200c", "\ufe0e", "\ufe0f"

EXAMPLES = {
    "latin": [
        "wake|_|me|_|up|,|_|please|!",
        "Größe|_|naïve|_|façade",
        "Gro\u0308ße|_|nai\u0308ve",  # decomposed: the mark stays with its letter
        "don|'|t|_|l|’|heure|_|rock|'|n|'|roll",
        "co|-|op|_|well|–|known",
        "e|.|g|.|_|U|.|S|.|A|.",
        "ﬁsh|_|ǆ|_|ſ|_|ª|_|ℌ",
        "me|@|example|.|com|_|#|tag|_|a|/|b",
        "co\u00adoperate",  # a soft hyphen is invisible
        "a\u2060b|_|x\u034fy",
    ],
    "cyrillic": ["Разбуди|_|меня|_|в|_|семь", "и\u0306од|_|Ёлка", "об|'|єкт"],
    "greek": ["Καλημέρα|_|ΟΔΥΣΣΕΥΣ|_|ὀδός|;", "τ|’|άλλα"],
    "georgian and armenian": ["გამარჯობა|_|ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ", "Բարեւ|_|ձեզ|։"],
    "arabic": [
        "أيقظني|_|غدا|،|_|من|_|فضلك|؟",
        "مُحَمَّد|_|قُرْآن",  # vowel marks
        "سـلام|_|جميـــل",  # tatweel
        f"می{ZWNJ}خواهم|_|نمی{ZWNJ}دانم",  # a non-joiner inside Persian words
        "٣٤|:|١٢|_|۱۲۳",
        "\u0600|٣",  # ARABIC NUMBER SIGN stands before what it marks
    ],
    "hebrew": ["שָׁלוֹם|_|עוֹלָם", "בית|־|ספר|_|צה|״|ל|_|ג|׳"],
    "ethiopic": ["ሰላም|፡|ለዓለም|።"],
    "devanagari": [
        "क्या|_|समय|_|हुआ|?",
        "हिन्दी|_|में|।",
        f"क्{ZWJ}ष|_|क्{ZWNJ}ष|_|क्ष",  # conjuncts, asked for and prevented
        "श्रीमान्|_|१२|:|३०",
    ],
    "other indic": ["தமிழ்|_|நாடு", "বাংলা|_|ভাষা", "ಕನ್ನಡ|_|തമിഴ്|_|తెలుగు", "ਪੰਜਾਬੀ|_|ગુજરાતી", "සිංහල"],
    "tibetan": ["བོད|་|སྐད|་"],
    "thai": ["ส|วั|ส|ดี", "น้ำ|ดื่|ม|_|เ|ป็|น", "๑๒|:|๓๐", "ก|ๆ"],
    "lao": ["ສ|ະ|ບ|າ|ຍ|ດີ", "ນ້ຳ"],
    "khmer": ["ក្|រុ|ម", "ភា|សា"],
    "myanmar": ["မြ|န်|မာ"],
    "chinese": ["明|天|七|点|叫|我|。", "二|〇|二|六|年", "我|_|爱|Python|3", "葛\U000e0100|城", "\U00020000|々"],
    "japanese": ["東|京|タ|ワ|ー|へ|行|く", "ｶﾞ|ｰ", "か\u3099|が|、|・", "ヴ|ィ|ッ|チ"],
    "bopomofo and yi": ["ㄅ|ㄆ|ˇ", "ꆈ|ꌠ"],
    "korean": ["내일|_|아침|_|깨워|_|줘", "\u1112\u1161\u11ab\u1100\u116e\u11a8|_|ㅋㅋ"],
    "mixed": ["iPhone|15|를", "iOS|を|使|う", "Привет|，|world"],
    "emoji": [
        "😀|😀|_|ok|👍",
        "👍🏽|👋🏿",  # skin tones
        f"👩{ZWJ}👩{ZWJ}👧{ZWJ}👦|👨{ZWJ}💻",  # family, profession
        f"🏴{ZWJ}☠{VS16}|❤{VS16}{ZWJ}🔥|👩🏽{ZWJ}🚀",
        f"❤{VS16}|❤|☎{VS15}|©|®|™",
        f"a{ZWJ}|😀",  # a joiner joins pictographs only
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f|🏴",  # the flag of England
    ],
    "flags": ["🇩", "🇩🇪", "🇩🇪|🇫", "🇩🇪|🇫🇷", "🇩🇪|🇫🇷|🇮", "🇩🇪|_|🇫|a|🇷", "🇩🇪\u0301|🇫🇷", "🇩\u0301|🇪🇫"],
    "keycaps": [f"1{VS16}\u20e3", f"#{VS16}\u20e3|*{VS16}\u20e3", "7\u20e3"],
    "digits": [
        "42",
        "3|.|14|_|1|,|000|_|12|:|30",
        "7|pm|_|5|km|_|x|2|y",
        "½|_|10²|_|①",
        "²³",
        "Ⅳ|_|ⅳ",
        "+|49|-|30|_|€|5|_|5|%",
        "๓७٣7",
    ],
    "punctuation": ["«|oui|»|…|_|¿|qué|?|!", "(|a|)|[|b|]", "$|£|€|¥", "<|3|_|:|-|)", "\ufffd|\ufffd"],
    "spaces": ["a|_|b", "", "_", "_|a|_"],
    "marks alone": ["\u0301", "_|\u0301\u0308|_|a", "\u0301|a", ".\u0301|a\u0301b", "\u200e|ab"],
}


@pytest.mark.parametrize(
    ("script", "example"), [(script, example) for script, examples in EXAMPLES.items() for example in examples]
)
def test_words_are_those_expected(script: str, example: str) -> None:
    assert split(example.replace("|", "").replace("_", " ")) == [
        word for word in example.split("|") if word not in ("", "_")
    ]


@pytest.mark.parametrize(
    "space",
    [
        *" \t\n\r\f\v\0\x01\x1f\x7f\x80\x85\xa0",
        *"\u1680\u2000\u2003\u2009\u2028\u2029\u202f\u205f\u3000",
        "\u200b",
        "\ufeff",
        "\r\n",
        " \u200b\xa0\0 ",
    ],
    ids=ascii,
)
def test_every_space_separates(space: str) -> None:
    assert split(f"a{space}b") == ["a", "b"]
    assert split(f"{space}7{space}{space}ก{space}") == ["7", "ก"]


def test_spans_count_bytes() -> None:
    assert segment_texts(PROJECTION, ["é 中\U0001f600a".encode(), b"a\xffb\xe4\xb8", b""]) == [
        [(0, 2), (3, 6), (6, 10), (10, 11)],
        [(0, 1), (1, 2), (2, 3), (3, 5)],
        [],
    ]


@pytest.mark.slow
@examples(150)
@given(
    st.sampled_from(["thai", "han", "kana"]).flatmap(
        lambda name: st.lists(st.sampled_from(PIECES[name]), max_size=12).map("".join)
    )
)
def test_words_without_spaces_are_unicodes_graphemes(text: str) -> None:
    r"""In scripts without spaces, where no digits are, words are the extended grapheme clusters of UAX 29 (`\X`)."""
    text = regex.sub(r"\p{Nd}", "", text)
    assert split(text) == regex.findall(r"\X", text)


# Devanagari is left out: the `regex` module lets a virama without a consonant before it join what follows.
@pytest.mark.slow
@examples(150)
@given(
    st.sampled_from(["latin", "greek", "cyrillic", "hebrew", "korean", "emoji", "flags", "thai", "kana"]).flatmap(
        lambda name: st.lists(st.sampled_from([*PIECES[name], " "]), max_size=12).map("".join)
    )
)
def test_no_word_ends_inside_a_grapheme(text: str) -> None:
    r"""Whatever the script: a letter and its marks, a syllable of jamo, an emoji sequence or a flag is never torn."""
    # Spaces cut first: to Unicode a space with a mark is a grapheme, to us the mark alone is a word.
    ends = {
        chunk.start() + grapheme.end()
        for chunk in regex.finditer("[^ ]+", text)
        for grapheme in regex.finditer(r"\X", chunk[0])
    }
    data = text.encode()
    for start, end in segment_texts(PROJECTION, [data])[0]:
        assert {len(data[:start].decode()), len(data[:end].decode())} <= ends | {
            chunk.end() for chunk in regex.finditer("^| ", text)
        }, text


def split(text: str) -> list[str]:
    """Words of a text."""
    data = text.encode()
    return [data[start:end].decode() for start, end in segment_texts(PROJECTION, [data])[0]]
