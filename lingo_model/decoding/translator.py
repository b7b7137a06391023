"""Text in, text out: a bundle's subwords and the decoding engine put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lingo_model.bundle import Bundle
from lingo_model.decoding.engine import DecodeTier, Engine
from lingo_model.decoding.search_config import Hypothesis, SearchConfig
from lingo_model.subwords import EOS_ID

ENGINE_VERSION = "engine-1"
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
    """Translates batches of text with one model replica.

    It keeps the bundle's subwords and the engine's own copy of the weights: drop the bundle, and
    the float weights go where the tier packs them.

    Raises:
        InputError: this machine cannot run ``tier``.
    """

    def __init__(
        self, bundle: Bundle, search: SearchConfig | None = None, *, tier: DecodeTier = "exact"
    ) -> None:
        self.search = search if search is not None else SearchConfig()
        self._subwords = bundle.subwords
        self._engine = Engine(bundle.model, tier=tier)

    def sources(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, end of sentence included: what the model reads."""
        return [[*ids, EOS_ID] for ids in self._subwords.encode(texts)]

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translate each text, in order; texts of any number, sorted and batched inside.

        Raises:
            InputError: a text of more than ``search.max_source_tokens`` tokens.
        """
        return self.translate_sources(self.sources(texts))

    def translate_sources(self, sources: Sequence[Sequence[int]]) -> list[Translation]:
        """As :meth:`translate`, of what :meth:`sources` gave."""
        found = self._engine.translate(sources, self.search)
        return [
            _translation(text, source, hypothesis)
            for text, source, hypothesis in zip(self._texts(found), sources, found, strict=True)
        ]

    def n_best(self, texts: Sequence[str]) -> list[list[Translation]]:
        """The ``search.n_best`` translations of each text, best first."""
        sources = self.sources(texts)
        return [
            [
                _translation(translated, source, hypothesis)
                for translated, hypothesis in zip(self._texts(found), found, strict=True)
            ]
            for source, found in zip(
                sources, self._engine.n_best(sources, self.search), strict=True
            )
        ]

    def _texts(self, found: Sequence[Hypothesis]) -> list[str]:
        return self._subwords.decode([hypothesis.token_ids for hypothesis in found])


def _translation(text: str, source: Sequence[int], hypothesis: Hypothesis) -> Translation:
    n_tokens = len(hypothesis.token_ids)
    return Translation(text, hypothesis.score, len(source), n_tokens, hypothesis.truncated)
