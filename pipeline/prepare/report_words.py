"""What reasons, repairs and kinds of leaks mean, in a few words, for the report."""

from __future__ import annotations

from collections.abc import Mapping

REASON_WORDS: Mapping[str, str] = {
    "undecodable": "bytes that are not text in the encoding of the file",
    "malformed": "the row breaks the rules of its format",
    "untranslated": "the unit has no translation",
    "unfinished": "the state of the unit says that its translation is not final",
    "fuzzy": "the translation is marked as a guess",
    "obsolete": "the program no longer uses the entry",
    "not_translatable": "the unit is marked as no text to translate",
    "empty": "a side has no visible character",
    "too_short": "a side is shorter than the limit",
    "too_long": "a side is longer than the limit",
    "long_word": "a word is longer than the limit",
    "ratio": "one side is much longer than the other",
    "copy": "both sides are the same text",
    "few_letters": "a side has few letters",
    "repeated_characters": "a character stands many times in a row",
    "repeated_words": "words repeat many times in a row",
    "wrong_script": "a side is in the script of other languages",
    "wrong_language": "a side is in another language",
    "numbers": "the sides have different numbers",
    "urls": "the sides have different web addresses",
    "emails": "the sides have different e-mail addresses",
    "placeholders": "the sides have different placeholders",
    "tags": "the sides have different tags",
    "brackets": "the sides have different brackets",
    "quotes": "only one side has quotation marks",
    "end_punctuation": "the sides end with different punctuation marks",
    "cross_entropy": "the two models find the pair improbable",
    "duplicate": "the pair occurred before",
    "near_duplicate": "the pair has the words of an earlier pair, up to one word",
    "leak": "the pair is equal or near to a pair of another split",
}
"""By reason. Reasons of own rules are not in it."""

REPAIR_WORDS: Mapping[str, str] = {
    "entities": "HTML entities and escapes of Moses became characters",
    "encoding": "UTF-8 that was read as Windows-1252 was decoded again",
    "invisible": "control, zero width and direction characters were removed",
    "spaces": "tabs, line breaks and runs of spaces became one space",
    "unicode_nfc": "characters and their marks were composed (Unicode NFC)",
}
"""By the name under which a repair is counted."""

LEAK_WORDS: Mapping[str, str] = {
    "exact_source": "equal sources",
    "near_source": "nearly equal sources",
    "exact_target": "equal targets",
    "near_target": "nearly equal targets",
}
"""By kind of leak."""
