"""Translates texts of any length with one model replica.

Every distinct segment of a batch is decoded once. Long segments are cut. Spans that the model must
not change are copied from the source, and so are literals, such as numbers, that it loses.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from lingo_model import Translator
from pipeline.documents.literals import loses_literals, may_have_literals
from pipeline.documents.segmentation import (
    Part,
    Segment,
    has_symbol,
    joined,
    segments_of,
    split_text,
    without_symbols,
)
from pipeline.documents.span_kinds import SpanKind
from pipeline.documents.translation_memory import Decoded, TranslationMemory

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class TranslatedText:
    """The translation of a text.

    Attributes:
        text: the translation; empty if it failed.
        model_inputs: each segment as the model read it.
        decoded: each segment as the model translated it.
        placeholders_ok: whether the model kept every placeholder and wrote no other; None if there
            was none. If it lost one, that sentence was translated in parts between its spans.
        failure: why there is no translation; None otherwise.
    """

    text: str
    model_inputs: tuple[str, ...] = ()
    decoded: tuple[Decoded, ...] = ()
    placeholders_ok: bool | None = None
    failure: str | None = None

    @property
    def whole(self) -> Decoded | None:
        """All segments as one; None if there is no segment. The score is weighted by tokens."""
        if len(self.decoded) < 2:
            return self.decoded[0] if self.decoded else None
        n_target_tokens = sum(segment.n_target_tokens for segment in self.decoded)
        log_prob = sum(segment.score * segment.n_target_tokens for segment in self.decoded)
        return Decoded(
            " ".join(segment.text for segment in self.decoded),
            log_prob / max(1, n_target_tokens),
            sum(segment.n_source_tokens for segment in self.decoded),
            n_target_tokens,
            sum(segment.n_unknown_tokens for segment in self.decoded),
            any(segment.truncated for segment in self.decoded),
            recalled=all(segment.recalled for segment in self.decoded),
        )


class DocumentTranslator:
    """Translates texts with one model replica.

    Args:
        translator: the replica.
        language: the language of the texts, for the rules of sentence boundaries.
        max_segment_tokens: a sentence with more subwords is cut. At least 32, so that a single
            character always fits.
        memory: the translation memory in which segments are looked up before they are decoded.
        spans: the kinds of literals that a translation must have as its source has them.
        join_lines: whether a sentence may go on after a single line break within a paragraph.
    """

    def __init__(
        self,
        translator: Translator,
        *,
        language: str,
        max_segment_tokens: int,
        memory: TranslationMemory | None = None,
        spans: Collection[SpanKind] = (),
        join_lines: bool = False,
    ) -> None:
        self._translator = translator
        self._language = language
        self._max_segment_tokens = max_segment_tokens
        self._memory = memory
        self._literals = frozenset(spans)
        self._join_lines = join_lines

    def translate(self, texts: Sequence[str]) -> tuple[list[TranslatedText], dict[str, Decoded]]:
        """Translate texts, in order.

        Returns:
            the translations, and the segments that were decoded for them by model input.
        """
        documents = [
            _Document(split_text(text, self._language, join_lines=self._join_lines))
            for text in texts
        ]
        results = _SegmentResults()
        self._decode(documents, results)
        with_lost_literal = [d for d in documents if d.mark_literals(results, self._literals)]
        self._decode(with_lost_literal, results)
        with_lost_placeholder = [d for d in documents if d.has_lost_placeholder(results)]
        for document in with_lost_placeholder:
            document.split_between_spans(results)
        self._decode(with_lost_placeholder, results)
        return [document.translated(results) for document in documents], results.decoded

    def _decode(self, documents: Sequence[_Document], results: _SegmentResults) -> None:
        """Add a result for every segment of the documents. Cuts segments that are too long."""
        pending = documents
        while missing := results.missing(pending):
            if self._memory is not None:
                results.recall(self._recalled(missing))
                missing = results.missing(pending)
            sources = self._translator.sources(missing) if missing else []
            too_long = set()
            short_inputs, short_sources = [], []
            for model_input, source in zip(missing, sources, strict=True):
                if self._is_too_long(model_input, len(source)):
                    too_long.add(model_input)
                else:
                    short_inputs.append(model_input)
                    short_sources.append(source)
            results.add(short_inputs, self._decode_batch(short_sources))
            pending = [d for d in pending if d.halve(too_long)] if too_long else []

    def _recalled(self, model_inputs: list[str]) -> dict[str, Decoded]:
        """Segments in the translation memory. A run that allowed longer segments may have stored
        segments that are too long now; they are left out."""
        assert self._memory is not None
        return {
            model_input: decoded
            for model_input, decoded in self._memory.find(model_inputs).items()
            if not self._is_too_long(model_input, decoded.n_source_tokens)
        }

    def _is_too_long(self, model_input: str, n_source_tokens: int) -> bool:
        return n_source_tokens > self._max_segment_tokens and len(model_input) > 1

    def _decode_batch(self, sources: Sequence[Sequence[int]]) -> Sequence[Decoded | _Failure]:
        """Decode a batch. A batch that fails is halved until the failing segment is alone."""
        if not sources:
            return []
        try:
            translations = self._translator.translate_sources(sources)
        except Exception as error:  # noqa: BLE001 - no error may cost other rows
            if len(sources) == 1:
                reason = f"{type(error).__name__}: {error}"
                _LOG.warning("a segment of %d tokens failed alone: %s", len(sources[0]), reason)
                return [_Failure(f"decoding failed alone, on the second try ({reason})")]
            middle = len(sources) // 2
            return [*self._decode_batch(sources[:middle]), *self._decode_batch(sources[middle:])]
        return [
            Decoded.from_translation(translation, source)
            for translation, source in zip(translations, sources, strict=True)
        ]


@dataclasses.dataclass(frozen=True, slots=True)
class _Failure:
    """Why a segment could not be decoded."""

    reason: str


class _SegmentResults:
    """The results of the segments of a batch of texts, by model input.

    Attributes:
        decoded: the segments that were decoded, not recalled.
    """

    def __init__(self) -> None:
        self._results: dict[str, Decoded | _Failure] = {}
        self.decoded: dict[str, Decoded] = {}

    def missing(self, documents: Iterable[_Document]) -> list[str]:
        """Model inputs of the documents that have no result, each once."""
        model_inputs = dict.fromkeys(s.model_input for d in documents for s in d.segments)
        return [model_input for model_input in model_inputs if model_input not in self._results]

    def recall(self, recalled: Mapping[str, Decoded]) -> None:
        """Add segments from the translation memory."""
        self._results |= recalled

    def add(self, model_inputs: Sequence[str], results: Sequence[Decoded | _Failure]) -> None:
        """Add segments that were decoded, or failed."""
        for model_input, result in zip(model_inputs, results, strict=True):
            self._results[model_input] = result
            if isinstance(result, Decoded):
                self.decoded[model_input] = result

    def of(self, segment: Segment) -> Decoded | _Failure:
        """The result of a segment."""
        return self._results[segment.model_input]

    def restored(self, segment: Segment) -> str | None:
        """The translation of a segment with its spans; None if the model lost a placeholder.

        A segment that failed gives an empty string.
        """
        result = self.of(segment)
        return segment.restored(result.text) if isinstance(result, Decoded) else ""

    def loses_literals(self, segment: Segment, kinds: frozenset[SpanKind]) -> bool:
        """Whether the translation of a segment lacks one of its literals."""
        if not may_have_literals(segment.text):
            return False
        result = self.of(segment)
        if isinstance(result, _Failure):
            return False
        model_input = segment.model_input
        if segment.spans:
            model_input = without_symbols(model_input)
        return loses_literals(model_input, without_symbols(result.text), kinds)

    def invents_placeholder(self, segment: Segment) -> bool:
        """Whether the translation of a segment without spans has a placeholder symbol."""
        result = self.of(segment)
        return not segment.spans and isinstance(result, Decoded) and has_symbol(result.text)


class _Document:
    """A text that is cut into parts."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self.segments = list(segments_of(parts))
        self._has_lost_placeholder = False

    def halve(self, too_long: Collection[str]) -> bool:
        """Cut the segments with these model inputs in two. Returns whether there was one."""
        return self._split(lambda segment: segment.model_input in too_long, Segment.halves)

    def mark_literals(self, results: _SegmentResults, kinds: frozenset[SpanKind]) -> bool:
        """Make the literals spans in the segments in which the model lost one.

        Returns whether there was such a segment.
        """
        return self._split(
            lambda segment: results.loses_literals(segment, kinds),
            lambda segment: segment.with_literals(kinds),
        )

    def has_lost_placeholder(self, results: _SegmentResults) -> bool:
        return any(s.spans and results.restored(s) is None for s in self.segments)

    def split_between_spans(self, results: _SegmentResults) -> None:
        """Cut the segments in which the model lost a placeholder into parts between their spans."""
        self._split(lambda segment: results.restored(segment) is None, Segment.between_spans)
        self._has_lost_placeholder = True

    def _split(
        self, is_split: Callable[[Segment], bool], split: Callable[[Segment], list[Part]]
    ) -> bool:
        chosen = [is_split(segment) for segment in self.segments]
        if not any(chosen):
            return False
        choices = iter(chosen)
        self._parts = [
            piece
            for part in self._parts
            for piece in (split(part) if isinstance(part, Segment) and next(choices) else [part])
        ]
        self.segments = list(segments_of(self._parts))
        return True

    def translated(self, results: _SegmentResults) -> TranslatedText:
        """The translation, put together from the results of the segments."""
        segment_results = [results.of(segment) for segment in self.segments]
        decoded = []
        for result in segment_results:
            if isinstance(result, _Failure):
                return TranslatedText("", failure=result.reason)
            decoded.append(result)
        return TranslatedText(
            joined(self._parts, lambda segment: results.restored(segment) or ""),
            tuple(segment.model_input for segment in self.segments),
            tuple(decoded),
            self._placeholders_ok(results),
        )

    def _placeholders_ok(self, results: _SegmentResults) -> bool | None:
        if self._has_lost_placeholder or any(map(results.invents_placeholder, self.segments)):
            return False
        return True if any(segment.spans for segment in self.segments) else None
