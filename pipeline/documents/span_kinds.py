"""The kinds of text that a translation copies, as settings name them. Light to import."""

from __future__ import annotations

from typing import Literal, get_args

SpanKind = Literal["numbers", "emoji", "handles", "hashtags", "variables", "addresses", "emphasis"]
"""Text that a translation must have as the source has it.

numbers: numbers, dates, times and amounts, in the format of either language.
emoji: emoji, emoticons and short codes such as ``:smile:``.
handles: names such as ``@maria``.
hashtags: tags such as ``#dogs``.
variables: variables without braces, such as ``:name``, ``$name``, ``[NAME]`` and ``\\n``.
addresses: IP and MAC addresses, host names, paths and identifiers.
emphasis: marks such as ``**`` around a word.
"""

SPAN_KINDS: tuple[SpanKind, ...] = get_args(SpanKind)
"""All kinds."""
