"""The rule about the scripts of a side: letters that the side's language does not use."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections import Counter

import numpy as np
import numpy.typing as npt

from pipeline.prepare.characters import Property, properties_of
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.rule import Rule
from pipeline.prepare.texts import Mask, PairTexts, TextColumn

# A run of letters and digits of ASCII, or of others.
_WORD = re.compile(r"[A-Za-z0-9]+|[^\W\x00-\x7f]+")

# The first words of the Unicode names of letters, by the ISO 15924 code of their script.
_NAMES: dict[str, tuple[str, ...]] = {
    "Latn": ("LATIN", "FULLWIDTH LATIN"),
    "Cyrl": ("CYRILLIC",),
    "Grek": ("GREEK",),
    "Arab": ("ARABIC",),
    "Hebr": ("HEBREW",),
    "Deva": ("DEVANAGARI",),
    "Beng": ("BENGALI",),
    "Guru": ("GURMUKHI",),
    "Gujr": ("GUJARATI",),
    "Orya": ("ORIYA",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Knda": ("KANNADA",),
    "Mlym": ("MALAYALAM",),
    "Sinh": ("SINHALA",),
    "Thai": ("THAI",),
    "Laoo": ("LAO",),
    "Khmr": ("KHMER",),
    "Mymr": ("MYANMAR",),
    "Tibt": ("TIBETAN",),
    "Geor": ("GEORGIAN",),
    "Armn": ("ARMENIAN",),
    "Ethi": ("ETHIOPIC",),
    "Hani": ("CJK", "IDEOGRAPHIC"),
    "Kana": ("KATAKANA", "HALFWIDTH KATAKANA"),
    "Hira": ("HIRAGANA", "KATAKANA-HIRAGANA"),
    "Bopo": ("BOPOMOFO",),
    "Hang": ("HANGUL", "HALFWIDTH HANGUL"),
    "Mong": ("MONGOLIAN",),
    "Thaa": ("THAANA",),
    "Syrc": ("SYRIAC",),
    "Cher": ("CHEROKEE",),
    "Cans": ("CANADIAN",),
    "Tfng": ("TIFINAGH",),
    "Nkoo": ("NKO",),
    "Olck": ("OL CHIKI",),
    "Adlm": ("ADLAM",),
    "Mtei": ("MEETEI",),
    "Shaw": ("SHAVIAN",),
}
SCRIPTS = tuple(_NAMES)
"""The scripts that the rule knows, by their ISO 15924 codes."""

_JAPANESE, _CHINESE, _KOREAN = "Hani Hira Kana", "Hani Bopo", "Hang Hani"
_WIDE_SCRIPTS = frozenset({"Hani", "Hira", "Kana", "Hang"})
# The languages whose texts have certain scripts.
_LANGUAGES: dict[str, str] = {
    "Latn": """
        af an ast ay bi br bs ca ceb ch co cs cy da de en eo es et eu fi fil fj fo fr frp fur fy ga
        gd gl gn gv ha haw hil hmn ho hr hsb dsb ht hu hz ia id ie ig ik ilo io is it jv kab kg ki
        kj kl kr la lb lg li lij lmo ln lt lu lv mg mh mi ms mt na nap nb nd ng nl nn no nr nso nv
        ny oc om pag pam pap pl pms pt qu rm rn ro rw sc scn sco se sg sk sl sm sn so sq ss st su sv
        sw szl tet tk tl tn to tpi tr ts tw ty uz ve vec vi vo wa war wo xh yo zu""",
    "Cyrl": """
        ab av ba be bg bxr ce chv cv kbd kk kv ky mhr mk mn mrj myv os ru rue sah tg tt tyv udm
        uk""",
    "Latn Cyrl": "az crh sh sr",
    "Arab": "ar ary arz azb ckb fa ks lrc mzn pnb prs ps sd ug ur",
    "Latn Arab": "ku",
    "Deva": "bh bho brx doi gom hi kok mai mr ne new sa",
    "Beng": "as bn bpy",
    "Ethi": "am ti tig",
    "Hebr": "he iw yi",
    "Tibt": "bo dz",
    "Mymr": "my shn",
    _CHINESE: "zh yue wuu cmn lzh",
    _JAPANESE: "ja",
    _KOREAN: "ko",
    "Grek": "el",
    "Armn": "hy",
    "Geor": "ka",
    "Thai": "th",
    "Laoo": "lo",
    "Khmr": "km",
    "Guru Arab": "pa",
    "Gujr": "gu",
    "Orya": "or",
    "Taml": "ta",
    "Telu": "te",
    "Knda": "kn",
    "Mlym": "ml",
    "Sinh": "si",
    "Thaa": "dv",
    "Syrc": "syr",
    "Cher": "chr",
    "Cans Latn": "iu",
    "Olck": "sat",
    "Latn Adlm": "ff",
    "Beng Mtei": "mni",
    "Tfng Latn": "ber",
    "Tfng": "zgh",
}
_OF_LANGUAGE = {
    language: frozenset(scripts.split())
    for scripts, languages in _LANGUAGES.items()
    for language in languages.split()
}
_OF_SUBTAG = {"Hans": _CHINESE, "Hant": _CHINESE, "Jpan": _JAPANESE, "Kore": _KOREAN}


def expected_scripts(language: str) -> frozenset[str] | None:
    """The scripts that texts of a language have, or None if they are not known.

    Args:
        language: a language tag, perhaps with a script, such as ``zh_Hant`` or ``sr-Latn``.
    """
    first, *others = language.replace("_", "-").split("-")
    for subtag in map(str.title, others):
        if subtag in _NAMES or subtag in _OF_SUBTAG:
            return frozenset(_OF_SUBTAG.get(subtag, subtag).split())
    return _OF_LANGUAGE.get(first.lower())


@functools.cache
def _script_numbers() -> npt.NDArray[np.uint8]:
    """For each code point, 1 + the position of its script in SCRIPTS. 0 for no letter of these."""
    numbers = np.zeros(sys.maxunicode + 1, np.uint8)
    all_codes = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    number_of = {
        name: number for number, names in enumerate(_NAMES.values(), start=1) for name in names
    }
    for code in np.flatnonzero(properties_of(all_codes) & np.uint32(Property.LETTER)).tolist():
        character = chr(code)
        words = unicodedata.name(character, "").split(" ", 2)
        number = number_of.get(words[0]) or number_of.get(" ".join(words[:2]), 0)
        numbers[code] = number
    return numbers


@functools.cache
def _letters_of(scripts: frozenset[str]) -> npt.NDArray[np.bool_]:
    """For each code point, whether it is a letter of some scripts."""
    numbers = [SCRIPTS.index(script) + 1 for script in sorted(scripts)]
    return np.isin(_script_numbers(), numbers)


def _unexpected(column: TextColumn, language: str, config: CleanConfig) -> Mask:
    """For each text, whether too many of its letters are unexpected. Wide letters count as two."""
    expected = expected_scripts(language)
    if expected is None or (column.is_ascii and "Latn" in expected):
        return np.zeros(len(column), np.bool_)
    is_letter = _letters_of(frozenset(SCRIPTS))[column.codes]
    is_expected = _letters_of(expected)[column.codes]
    n_letters, n_expected = column.count(is_letter), column.count(is_expected)
    if not expected.isdisjoint(_WIDE_SCRIPTS):
        n_wide = column.count(is_expected & column.are(Property.WIDE))
        n_letters, n_expected = n_letters + n_wide, n_expected + n_wide
    limit = config.max_unexpected_script_share or 0.0
    return (n_letters >= config.script_min_letters) & (n_letters - n_expected > limit * n_letters)


def _wrong_script(texts: PairTexts, config: CleanConfig) -> Mask:
    candidates = _unexpected(texts.source, texts.source_lang, config)
    candidates |= _unexpected(texts.target, texts.target_lang, config)

    rows = np.flatnonzero(candidates)
    if not len(rows):
        return candidates
    pairs = [(texts.source.text(row), texts.target.text(row)) for row in rows.tolist()]
    own_source = TextColumn.of(_own_words(source, target) for source, target in pairs)
    own_target = TextColumn.of(_own_words(target, source) for source, target in pairs)
    candidates[rows] = _unexpected(own_source, texts.source_lang, config) | _unexpected(
        own_target, texts.target_lang, config
    )
    return candidates


def _own_words(text: str, other: str) -> str:
    """The words of a text that another does not have: without names, commands and code."""
    words_of_other = set(_WORD.findall(other.lower()))
    return " ".join(word for word in _WORD.findall(text) if word.lower() not in words_of_other)


def _scripts(source: str, target: str, config: CleanConfig) -> str:
    def named(text: str) -> str:
        column = TextColumn.of([text])
        numbers = _script_numbers()[column.codes]
        counts = Counter(SCRIPTS[number - 1] for number in numbers[numbers > 0].tolist())
        return "+".join(f"{n} {script}" for script, n in counts.most_common(3)) or "no letters"

    return f"{named(source)} and {named(target)}"


WRONG_SCRIPT = Rule(
    "wrong_script",
    _wrong_script,
    lambda config: config.max_unexpected_script_share is not None,
    _scripts,
)
