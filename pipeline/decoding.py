"""How translations are decoded: the settings that ``translate`` and ``evaluate`` share."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lingo_model import Bundle, DecodeTier, SearchConfig, Translator
from lingo_model.translator import ENGINE_VERSION
from pipeline.settings import Settings

_DEFAULTS = SearchConfig()


class DecodeConfig(Settings):
    """Precision and search.

    ``tier``: ``exact`` is float32; ``bf16`` and ``int8`` are faster on processors (bf16 also on
    GPUs) that have them, at a small cost in BLEU that ``lingo evaluate --tier`` shows. A
    sentence of more than ``max_source_tokens`` is never decoded whole.
    """

    tier: DecodeTier = "exact"
    beam_size: int = Field(default=_DEFAULTS.beam_size, ge=1, le=64)
    max_source_tokens: int = Field(default=_DEFAULTS.max_source_tokens, ge=1)
    length_penalty_alpha: float = Field(default=_DEFAULTS.length_penalty_alpha, ge=0.0, le=5.0)

    def translator(self, bundle: Bundle) -> Translator:
        """A replica of a model that decodes this way.

        Raises:
            InputError: this machine cannot run ``tier``.
        """
        return Translator(bundle, self._search(), tier=self.tier)

    def fingerprint(self) -> dict[str, Any]:
        """Everything that, beside the model, can change a translation of a text."""
        return {"engine": ENGINE_VERSION, "tier": self.tier, "search": self._search().to_dict()}

    def _search(self) -> SearchConfig:
        return SearchConfig(
            beam_size=self.beam_size,
            max_source_tokens=self.max_source_tokens,
            length_penalty_alpha=self.length_penalty_alpha,
        )
