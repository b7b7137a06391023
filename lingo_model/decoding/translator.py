"""Text in, text out: the subwords of a bundle and the decoding engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lingo_model.bundle import Bundle
from lingo_model.decoding.engine import Engine
from lingo_model.decoding.precision import DecodePrecision
from lingo_model.decoding.search_config import Hypothesis, SearchConfig
from lingo_model.special_ids import EOS_ID


@dataclasses.dataclass(frozen=True, slots=True)
class Translation:
    """A translated text. Token counts include the end of sentence.

    Attributes:
        text: the translation.
        score: mean log probability of a target token (nats).
        n_source_tokens: number of tokens that the model read.
        n_target_tokens: number of tokens that the model wrote.
        truncated: whether the length limit ended the translation.
    """

    text: str
    score: float
    n_source_tokens: int
    n_target_tokens: int
    truncated: bool


class Translator:
    """Translates batches of text with one replica of a model.

    It keeps the subwords of the bundle and the engine's copy of the weights. Dropping the bundle
    frees the original weights wherever the engine packs them.

    Args:
        bundle: model and subwords.
        search: settings of the search; None for the defaults.
        precision: ``float32``, ``bfloat16`` or ``int8``.

    Raises:
        InputError: the precision is unknown, or this machine does not support it.
    """

    def __init__(
        self,
        bundle: Bundle,
        search: SearchConfig | None = None,
        *,
        precision: DecodePrecision = "float32",
    ) -> None:
        self.search = search if search is not None else SearchConfig()
        self._subwords = bundle.subwords
        self._engine = Engine(bundle.model, precision=precision)

    def sources(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts as the ids that the model reads, end of sentence included."""
        return [[*ids, EOS_ID] for ids in self._subwords.encode(texts)]

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translate texts.

        Args:
            texts: any number of texts of any length; they are sorted and batched internally.

        Returns:
            one translation for each text, in the same order.

        Raises:
            InputError: a text has more than ``search.max_source_tokens`` tokens.
        """
        return self.translate_sources(self.sources(texts))

    def translate_sources(self, sources: Sequence[Sequence[int]]) -> list[Translation]:
        """Like :meth:`translate`, for the result of :meth:`sources`."""
        hypotheses = self._engine.translate(sources, self.search)
        return [
            _translation(text, source, hypothesis)
            for text, source, hypothesis in zip(
                self._texts(hypotheses), sources, hypotheses, strict=True
            )
        ]

    def n_best(self, texts: Sequence[str]) -> list[list[Translation]]:
        """Find the ``search.n_best`` translations of each text, best first; see
        :meth:`translate`."""
        sources = self.sources(texts)
        return [
            [
                _translation(text, source, hypothesis)
                for text, hypothesis in zip(self._texts(hypotheses), hypotheses, strict=True)
            ]
            for source, hypotheses in zip(
                sources, self._engine.n_best(sources, self.search), strict=True
            )
        ]

    def _texts(self, hypotheses: Sequence[Hypothesis]) -> list[str]:
        return self._subwords.decode([hypothesis.token_ids for hypothesis in hypotheses])


def _translation(text: str, source: Sequence[int], hypothesis: Hypothesis) -> Translation:
    n_tokens = len(hypothesis.token_ids)
    return Translation(text, hypothesis.score, len(source), n_tokens, hypothesis.truncated)
