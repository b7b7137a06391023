"""Finds the language of a corpus among the language tags of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.languages import primary_language


def matching_tag(tags: Sequence[str], wanted: str) -> str | None:
    """The tag that means the wanted language best. None if there is none.

    The first of these that matches counts: the same tag; the same tag with other letter case or
    separators; the language without a region or script, if the tag or the wanted language has
    neither. So ``en-US`` is found for ``en``, ``eng`` for ``en``, and ``pt-PT`` not for ``pt-BR``.

    Args:
        tags: the tags of the file.
        wanted: the tag of the corpus.
    """
    if wanted in tags:
        return wanted
    folded = _folded(wanted)
    by_folded = {_folded(tag): tag for tag in reversed(tags)}
    if folded in by_folded:
        return by_folded[folded]
    primary = primary_language(wanted)
    for other, tag in reversed(by_folded.items()):
        if primary_language(other) == primary and (_is_plain(folded) or _is_plain(other)):
            return tag
    return None


def is_same_language(tag: str, wanted: str) -> bool:
    """Whether a tag of a file means the language of the corpus; see :func:`matching_tag`."""
    return matching_tag((tag,), wanted) is not None


def _folded(tag: str) -> str:
    """A tag in the form that two spellings of one tag share: ``pt_BR`` and ``pt-br``."""
    language, *rest = re.split("[-_@]", tag)
    return "-".join((primary_language(language), *rest)).lower()


def _is_plain(folded_tag: str) -> bool:
    return "-" not in folded_tag
