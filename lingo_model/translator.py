"""Text in, text out: a bundle's subwords and search put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lingo_model.bundle import Bundle
from lingo_model.search import SearchConfig, greedy_search
from lingo_model.subwords import EOS_ID

ENGINE_VERSION = "greedy-1"
"""Changes whenever the same bundle and settings may give another translation."""


@dataclasses.dataclass(frozen=True, slots=True)
class Translation:
    """A translated text.

    ``score`` is the sum of log p over the target tokens divided by their number, end of sentence
    included (nats per token). Token counts include the end of sentence. ``truncated`` says that
    the length limit ended the translation.
    """

    text: str
    score: float
    n_source_tokens: int
    n_target_tokens: int
    truncated: bool


class Translator:
    """Translates batches of text with one model replica."""

    def __init__(self, bundle: Bundle, search: SearchConfig | None = None) -> None:
        self.bundle = bundle
        self.search = search if search is not None else SearchConfig()

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translate each text, in order; texts of any number, sorted and batched inside."""
        sources = [[*ids, EOS_ID] for ids in self.bundle.subwords.encode(texts)]
        found = greedy_search(self.bundle.model, sources, self.search)
        outputs = self.bundle.subwords.decode([hypothesis.token_ids for hypothesis in found])
        return [
            Translation(
                text,
                hypothesis.score,
                len(source),
                len(hypothesis.token_ids),
                hypothesis.truncated,
            )
            for text, hypothesis, source in zip(outputs, found, sources, strict=True)
        ]
