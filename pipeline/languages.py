"""What the stages must know of languages: where words end, and with it how text is scored."""

from __future__ import annotations


def primary_language(tag: str) -> str:
    """``de`` of a tag such as ``de-AT`` or ``de_DE``."""
    return tag.replace("_", "-").split("-", 1)[0].lower()
