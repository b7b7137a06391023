"""Language tags."""

from __future__ import annotations


def primary_language(tag: str) -> str:
    """The language of a tag without its region or script: ``de`` of ``de-AT`` or ``de_DE``."""
    return tag.replace("_", "-").split("-", 1)[0].lower()
