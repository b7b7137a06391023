"""Warns of references in another form than the translations, such as tokenised ones.

Scores of such references are too low, whatever the model is worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# A space before a comma or full stop. Other signs have one in French.
_SPACED_PUNCTUATION = re.compile(r"\w [.,](?:\s|$)")
_PUNCTUATION = re.compile(r"\w ?[.,](?:\s|$)")
# What the tokenisers of Moses and others write for an apostrophe, a quotation mark or a hyphen.
_ESCAPES = re.compile(r"&(?:apos|quot|amp|lt|gt|#91|#93|#124);|\S? ?@-@ ?\S?|\w@@ ")

_MIN_SHARE_OF_REFERENCES = 0.5
_MAX_SHARE_OF_TRANSLATIONS = 0.1
_MIN_TEXTS = 10


def reference_warnings(translations: Sequence[str], references: Sequence[str]) -> list[str]:
    """A sentence for each way in which most references differ in form from the translations.

    Args:
        translations: the translations of the model.
        references: the reference of each translation.
    """
    checks = (
        ("tokenised", _share_tokenised, "give detokenised references"),
        ("escaped or cut for another program", _share_escaped, "give references in plain text"),
        ("lower-cased", _share_lower_cased, "give references with their capital letters"),
    )
    return [
        f"{share(references):.0%} of the references look {form}, but {share(translations):.0%} of "
        f"the translations do, so the scores are too low; {remedy}"
        for form, share, remedy in checks
        if share(references) >= _MIN_SHARE_OF_REFERENCES
        and share(translations) <= _MAX_SHARE_OF_TRANSLATIONS
    ]


def _share_tokenised(texts: Sequence[str]) -> float:
    """Of the texts with a comma or full stop, the share with a space before one."""
    with_sign = [text for text in texts if _PUNCTUATION.search(text)]
    return _share(_SPACED_PUNCTUATION.search(text) is not None for text in with_sign)


def _share_escaped(texts: Sequence[str]) -> float:
    return _share(_ESCAPES.search(text) is not None for text in texts)


def _share_lower_cased(texts: Sequence[str]) -> float:
    """Of the texts in a script with capital letters, the share without one."""
    cased = [text for text in texts if text.lower() != text.upper()]
    return _share(text == text.lower() for text in cased)


def _share(values: Iterable[bool]) -> float:
    """The share of true values. Too few values say nothing, and count as 0."""
    found = list(values)
    return sum(found) / len(found) if len(found) >= _MIN_TEXTS else 0.0
