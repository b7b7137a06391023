"""Texts of any length through the model: each segment decoded once, none too long, no span lost."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from lingo_model import Translator
from pipeline.documents.segmentation import Part, Segment, joined, segments_of, split_text
from pipeline.documents.translation_memory import Decoded, TranslationMemory, decoded

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class TranslatedText:
    """A text's translation, and what the model read and made of each of its segments.

    ``placeholders_ok``: every span came through the model; None where there were none. Where the
    model lost one, the sentence was translated in parts between its spans. ``failure`` says why
    there is no translation.
    """

    text: str
    model_input: tuple[str, ...] = ()
    decoded: tuple[Decoded, ...] = ()
    placeholders_ok: bool | None = None
    failure: str | None = None

    @property
    def whole(self) -> Decoded | None:
        """What its segments are together; None where there is none."""
        if len(self.decoded) < 2:
            return self.decoded[0] if self.decoded else None
        n_target = sum(one.n_target_tokens for one in self.decoded)
        return Decoded(
            " ".join(one.text for one in self.decoded),
            sum(one.score * one.n_target_tokens for one in self.decoded) / max(1, n_target),
            sum(one.n_source_tokens for one in self.decoded),
            n_target,
            sum(one.n_unknown_tokens for one in self.decoded),
            any(one.truncated for one in self.decoded),
            recalled=all(one.recalled for one in self.decoded),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Failure:
    reason: str


class DocumentTranslator:
    """Translates texts with one model replica.

    Args:
        language: the texts' language, for where sentences end. max_segment_tokens: sentences of
            more are cut; at least 32, so that a single character always fits. memory: where
            segments are looked up before they are decoded.
    """

    def __init__(
        self,
        translator: Translator,
        *,
        language: str,
        max_segment_tokens: int,
        memory: TranslationMemory | None = None,
    ) -> None:
        self._translator = translator
        self._language = language
        self._max_tokens = max_segment_tokens
        self._memory = memory

    def translate(self, texts: Sequence[str]) -> tuple[list[TranslatedText], dict[str, Decoded]]:
        """Translate texts, in order.

        Returns:
            the translations, and the segments that were decoded for them.
        """
        documents = [split_text(text, self._language) for text in texts]
        known: dict[str, Decoded | _Failure] = {}
        new = self._decode_all(documents, known)
        with_spans = [any(segment.spans for segment in segments_of(parts)) for parts in documents]
        lost = [
            i
            for i, parts in enumerate(documents)
            if with_spans[i] and any(_restored(s, known) is None for s in segments_of(parts))
        ]
        for i in lost:
            documents[i] = [
                part
                for whole in documents[i]
                for part in (
                    whole.between_spans()
                    if isinstance(whole, Segment) and _restored(whole, known) is None
                    else [whole]
                )
            ]
        new |= self._decode_all([documents[i] for i in lost], known)
        broken = set(lost)
        return [
            _put_together(parts, known, (i not in broken) if with_spans[i] else None)
            for i, parts in enumerate(documents)
        ], new

    def _decode_all(
        self, documents: list[list[Part]], known: dict[str, Decoded | _Failure]
    ) -> dict[str, Decoded]:
        """Have every segment of some documents in ``known``; cuts those that are too long, in
        place. Returns what was decoded."""
        new: dict[str, Decoded] = {}
        wanted = [segment.model_input for parts in documents for segment in segments_of(parts)]
        while missing := [
            model_input for model_input in dict.fromkeys(wanted) if model_input not in known
        ]:
            if self._memory is not None:
                # A run that allowed longer segments may have remembered this one whole.
                known |= {
                    model_input: value
                    for model_input, value in self._memory.find(missing).items()
                    if not self._too_long(model_input, value.n_source_tokens)
                }
                missing = [model_input for model_input in missing if model_input not in known]
            sources = self._translator.sources(missing)
            long = {
                model_input
                for model_input, source in zip(missing, sources, strict=True)
                if self._too_long(model_input, len(source))
            }
            short = [(m, s) for m, s in zip(missing, sources, strict=True) if m not in long]
            found = self._decoded([source for _, source in short])
            for (model_input, _), value in zip(short, found, strict=True):
                known[model_input] = value
                if isinstance(value, Decoded):
                    new[model_input] = value
            wanted = []
            for parts in documents if long else []:
                if any(segment.model_input in long for segment in segments_of(parts)):
                    parts[:] = _halved(parts, long)
                    wanted += [segment.model_input for segment in segments_of(parts)]
        return new

    def _too_long(self, model_input: str, n_source_tokens: int) -> bool:
        return n_source_tokens > self._max_tokens and len(model_input) > 1

    def _decoded(self, sources: Sequence[Sequence[int]]) -> Sequence[Decoded | _Failure]:
        """Decode a batch; one that fails is halved until the segment is found that does it."""
        try:
            found = self._translator.translate_sources(sources)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rows must not suffer
            if len(sources) == 1:
                reason = f"{type(error).__name__}: {error}"
                _LOG.warning("a segment of %d tokens failed alone: %s", len(sources[0]), reason)
                return [_Failure(f"decoding failed alone, on the second try ({reason})")]
            middle = len(sources) // 2
            return [*self._decoded(sources[:middle]), *self._decoded(sources[middle:])]
        return [decoded(one, source) for one, source in zip(found, sources, strict=True)]


def _halved(parts: list[Part], long: set[str]) -> list[Part]:
    return [
        piece
        for part in parts
        for piece in (
            part.halves() if isinstance(part, Segment) and part.model_input in long else [part]
        )
    ]


def _restored(segment: Segment, known: dict[str, Decoded | _Failure]) -> str | None:
    """The translation of a segment with its spans; of a failed one, anything."""
    value = known[segment.model_input]
    return segment.restored(value.text) if isinstance(value, Decoded) else ""


def _put_together(
    parts: list[Part], known: dict[str, Decoded | _Failure], placeholders_ok: bool | None
) -> TranslatedText:
    model_input = tuple(segment.model_input for segment in segments_of(parts))
    values = [known[one] for one in model_input]
    for value in values:
        if isinstance(value, _Failure):
            return TranslatedText("", failure=value.reason)
    return TranslatedText(
        joined(parts, lambda segment: _restored(segment, known) or ""),
        model_input,
        tuple(value for value in values if isinstance(value, Decoded)),
        placeholders_ok,
    )
