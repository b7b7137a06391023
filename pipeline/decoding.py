"""The decoding settings, which ``translate`` and ``evaluate`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from lingo_model import ENGINE_VERSION, DecodePrecision, SearchConfig
from lingo_model.decoding.search_config import MAX_BEAM_SIZE, MIN_BEAM_SIZE
from pipeline.settings import Settings

if TYPE_CHECKING:
    from lingo_model import Bundle, Translator

_DEFAULTS = SearchConfig()


class DecodeConfig(Settings):
    """Numeric precision and search."""

    precision: DecodePrecision = Field(
        default="float32",
        description="bfloat16 and int8 are faster on processors that support them, at a small "
        "cost in BLEU, which `lingo evaluate` shows",
    )
    beam_size: int = Field(default=_DEFAULTS.beam_size, ge=MIN_BEAM_SIZE, le=MAX_BEAM_SIZE)
    max_source_tokens: int = Field(
        default=_DEFAULTS.max_source_tokens,
        ge=1,
        description="a longer segment is cut before it is decoded",
    )
    length_penalty_alpha: float = Field(default=_DEFAULTS.length_penalty_alpha, ge=0.0, le=5.0)

    def translator(self, bundle: Bundle) -> Translator:
        """Create a translator that decodes with these settings.

        Args:
            bundle: the model.

        Raises:
            InputError: this machine does not support the precision.
        """
        from lingo_model import Translator  # imports torch; settings must be quick to import

        return Translator(bundle, self._search(), precision=self.precision)

    def fingerprint(self) -> dict[str, Any]:
        """Everything except the model that can change the translation of a text."""
        return {
            "engine": ENGINE_VERSION,
            "precision": self.precision,
            "search": self._search().to_dict(),
        }

    def _search(self) -> SearchConfig:
        return SearchConfig(
            beam_size=self.beam_size,
            max_source_tokens=self.max_source_tokens,
            length_penalty_alpha=self.length_penalty_alpha,
        )
