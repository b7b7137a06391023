"""Texts of any length are split, decoded once and joined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lingo_model import Translation, Translator, load_bundle
from pipeline.documents.document_translator import DocumentTranslator, TranslatedText
from pipeline.documents.segmentation import segments_of, split_text
from pipeline.documents.span_kinds import SPAN_KINDS
from pipeline.documents.translation_memory import TranslationMemory, write_memory

MAX_TOKENS = 40


class RecordingTranslator:
    """The translator of a real model. It records its batches, and can be made to misbehave."""

    def __init__(self, translator: Translator) -> None:
        self._translator = translator
        self.texts: dict[tuple[int, ...], str] = {}
        self.batches: list[list[str]] = []
        self.replies: dict[str, str] = {}  # other translations, by text
        self.fails_on: set[str] = set()

    def sources(self, texts: Sequence[str]) -> list[list[int]]:
        sources = self._translator.sources(texts)
        self.texts |= {tuple(ids): text for ids, text in zip(sources, texts, strict=True)}
        return sources

    def translate_sources(self, sources: Sequence[Sequence[int]]) -> list[Translation]:
        texts = [self.texts[tuple(ids)] for ids in sources]
        self.batches.append(texts)
        if broken := self.fails_on & set(texts):
            raise RuntimeError(f"cannot take {broken}")
        translations = self._translator.translate_sources(sources)
        return [
            Translation(
                self.replies.get(text, translation.text),
                translation.score,
                translation.n_source_tokens,
                translation.n_target_tokens,
                translation.truncated,
            )
            for text, translation in zip(texts, translations, strict=True)
        ]


@pytest.fixture
def recorded(bundle: Path) -> RecordingTranslator:
    """The recording translator of a tiny model."""
    return RecordingTranslator(Translator(load_bundle(bundle)))


def documents(recorded: Any, memory: TranslationMemory | None = None) -> DocumentTranslator:
    """A document translator with short segments."""
    return DocumentTranslator(recorded, language="en", max_segment_tokens=MAX_TOKENS, memory=memory)


def test_sentences_are_translated_separately_and_joined(recorded: RecordingTranslator) -> None:
    recorded.replies = {"A cat.": "Un gato.", "Two dogs play.": "Dos perros."}
    (translated,), _ = documents(recorded).translate(
        ["A cat.  Two dogs play.\n\n* 3 *\n\tA cat.\n"]
    )
    assert translated.text == "Un gato.  Dos perros.\n\n* 3 *\n\tUn gato.\n"
    assert translated.model_inputs == ("A cat.", "Two dogs play.", "A cat.")
    assert recorded.batches == [["A cat.", "Two dogs play."]]  # equal segments once


def test_text_without_letters_is_kept(recorded: RecordingTranslator) -> None:
    texts = ["", " \n", "12:30 — 3 %", "{name} https://a.b/c"]
    translations, new = documents(recorded).translate(texts)
    assert [translated.text for translated in translations] == texts
    assert not any(translated.decoded for translated in translations)
    assert new == {}


def test_spans_go_through_the_model_as_symbols(recorded: RecordingTranslator) -> None:
    recorded.replies = {"Call <ph0> at <ph1>.": "A las <ph1> llama a <ph0>."}
    (translated,), _ = documents(recorded).translate(["Call {name} at %s."])
    assert translated.text == "A las %s llama a {name}."
    assert translated.placeholders_ok is True


def test_a_span_that_the_model_loses_is_kept_and_reported(recorded: RecordingTranslator) -> None:
    recorded.replies = {
        "Call <ph0> at <ph1>.": "Llama a las <ph1>.",
        "Call": "Llama",
        "at": "a",
        "Yes <ph0>.": "Sí <ph0>.",
    }
    (translated, other), _ = documents(recorded).translate(
        ["Yes %d. Call {name} at %s.", "Yes %d."]
    )
    assert translated.text == "Sí %d. Llama {name} a %s."
    assert translated.placeholders_ok is False
    assert other.placeholders_ok is True


def test_a_long_sentence_is_split_and_not_truncated(recorded: RecordingTranslator) -> None:
    text = ", ".join(f"the dog number {i} sees a cat" for i in range(30))
    (translated,), _ = documents(recorded).translate([text])
    assert len(translated.model_inputs) > 3
    assert all(segment.n_source_tokens <= MAX_TOKENS for segment in translated.decoded)
    assert " ".join(translated.model_inputs) == text
    whole, _ = documents(recorded).translate(["x" * 5000])  # no space to cut at
    assert "".join(whole[0].model_inputs) == "x" * 5000


def test_a_failing_segment_is_isolated_by_halving(recorded: RecordingTranslator) -> None:
    texts = [f"The dog {'a' * i} plays." for i in range(1, 9)]
    recorded.fails_on = {texts[5]}
    translations, new = documents(recorded).translate([*texts, f"A cat. {texts[5]}"])
    assert [i for i, translated in enumerate(translations) if translated.failure] == [5, 8]
    assert "RuntimeError: cannot take" in str(translations[5].failure)
    assert all(t.text for i, t in enumerate(translations) if i not in (5, 8))
    assert texts[5] not in new and "A cat." in new
    assert [len(batch) for batch in recorded.batches] == [9, 4, 5, 2, 1, 1, 3]


def test_segments_in_the_translation_memory_are_not_decoded(
    recorded: RecordingTranslator, tmp_path: Path
) -> None:
    texts = ["A cat. Two dogs play.", "See {x}."]
    recorded.replies = {"See <ph0>.": "Mira <ph0>."}
    first, new = documents(recorded).translate(texts)
    assert list(new) == ["A cat.", "Two dogs play.", "See <ph0>."]
    write_memory(tmp_path / "published" / "part-a.parquet", new)
    recorded.batches.clear()

    memory = TranslationMemory([tmp_path / "published"], tmp_path / "own")
    again, newer = documents(recorded, memory).translate([*texts, "See {other}. A dog."])

    assert recorded.batches == [["A dog."]]
    assert list(newer) == ["A dog."]
    assert [text.text for text in again[:2]] == [text.text for text in first]
    assert all(segment.recalled for text in again[:2] for segment in text.decoded)
    assert [segment.recalled for segment in again[2].decoded] == [True, False]


def test_remembered_segments_that_are_too_long_now_are_not_used(
    recorded: RecordingTranslator, tmp_path: Path
) -> None:
    """An earlier run allowed longer segments."""
    text = "the old dog plays with the big cat " * 3
    longer = DocumentTranslator(recorded, language="en", max_segment_tokens=500)
    (whole,), new = longer.translate([text])
    assert len(whole.decoded) == 1
    assert whole.decoded[0].n_source_tokens > MAX_TOKENS
    write_memory(tmp_path / "run" / "part-1.parquet", new)

    memory = TranslationMemory([tmp_path / "run"], tmp_path / "staged")
    (translated,), _ = documents(recorded, memory).translate([text])

    assert len(translated.decoded) > 1
    assert all(segment.n_source_tokens <= MAX_TOKENS for segment in translated.decoded)
    assert translated == documents(recorded).translate([text])[0][0]


def test_an_actor_finds_the_segments_of_other_actors(
    recorded: RecordingTranslator, tmp_path: Path
) -> None:
    memory = TranslationMemory([], tmp_path / "own")
    translator = documents(recorded, memory)
    _, new = translator.translate(["A cat."])
    write_memory(tmp_path / "own" / "part-b.parquet", new)  # as another actor
    recorded.batches.clear()
    (translated,), newer = translator.translate(["A cat."])
    assert recorded.batches == []
    assert newer == {}
    assert [segment.recalled for segment in translated.decoded] == [False]  # this run decoded it


def translated_with(recorded: Any, text: str, **options: Any) -> TranslatedText:
    """The translation of a text with some options."""
    translator = DocumentTranslator(recorded, language="en", max_segment_tokens=200, **options)
    return translator.translate([text])[0][0]


def test_a_literal_that_the_model_loses_becomes_a_placeholder(
    recorded: RecordingTranslator,
) -> None:
    recorded.replies = {
        "It costs 1,000.50 today.": "Hoy cuesta.",
        "It costs <ph0> today.": "Hoy cuesta <ph0>.",
    }
    text = "It costs 1,000.50 today."
    kept = translated_with(recorded, text, spans=SPAN_KINDS)
    assert (kept.text, kept.placeholders_ok) == ("Hoy cuesta 1,000.50.", True)
    assert kept.model_inputs == ("It costs <ph0> today.",)
    other_kinds = translated_with(recorded, text, spans=("emoji", "handles"))
    assert (other_kinds.text, other_kinds.placeholders_ok) == ("Hoy cuesta.", None)


def test_a_number_that_the_model_writes_in_another_format_is_left(
    recorded: RecordingTranslator,
) -> None:
    recorded.replies = {"It costs 1,000.50 today.": "Hoy cuesta 1.000,50."}
    translated = translated_with(recorded, "It costs 1,000.50 today.", spans=SPAN_KINDS)
    assert (translated.text, translated.placeholders_ok) == ("Hoy cuesta 1.000,50.", None)
    assert recorded.batches == [["It costs 1,000.50 today."]]


def test_a_literal_that_the_model_loses_as_a_placeholder_too_is_kept_and_reported(
    recorded: RecordingTranslator,
) -> None:
    recorded.replies = {
        "Call @maria, please.": "Llama.",
        "Call <ph0>, please.": "Llama, por favor.",
        "Call": "¡Llama!",
        "please": "Por favor.",
    }
    translated = translated_with(recorded, "Call @maria, please.", spans=SPAN_KINDS)
    assert translated.text == "Llama @maria, Por favor."
    assert translated.placeholders_ok is False


def test_more_literals_than_symbols_come_through(recorded: RecordingTranslator) -> None:
    text = " ".join(f"dog{i} sees" for i in range(30)) + "."
    translated = translated_with(recorded, text, spans=SPAN_KINDS)
    for i in range(30):
        assert f"dog{i}" in translated.text


def test_a_symbol_that_the_source_does_not_have_is_removed_and_reported(
    recorded: RecordingTranslator,
) -> None:
    recorded.replies = {"A cat sleeps.": "Un <ph0> gato duerme <ph1>.", "A dog.": "Un perro."}
    translated = translated_with(recorded, "A cat sleeps. A dog.")
    assert translated.text == "Un gato duerme. Un perro."
    assert translated.placeholders_ok is False
    assert translated_with(recorded, "A dog.").placeholders_ok is None


def test_a_symbol_in_the_source_is_text_like_any_other(recorded: RecordingTranslator) -> None:
    recorded.replies = {"Use <ph0> or <ph1>.": "Usa <ph1> o <ph0>."}
    translated = translated_with(recorded, "Use <ph4> or {x}.")
    assert (translated.text, translated.placeholders_ok) == ("Usa {x} o <ph4>.", True)


def test_the_lines_of_a_paragraph_are_joined_on_demand(recorded: RecordingTranslator) -> None:
    recorded.replies = {"The cat is sad.": "El gato está triste."}
    joined = translated_with(recorded, "The cat\nis sad.\n\nThe cat\nis sad.", join_lines=True)
    assert joined.text == "El gato está triste.\n\nEl gato está triste."
    assert joined.model_inputs == ("The cat is sad.", "The cat is sad.")
    assert translated_with(recorded, "The cat\nis sad.").model_inputs == ("The cat", "is sad.")


@pytest.mark.parametrize(
    "text",
    [
        "See https://x.org/a_(b), and go.",
        "The %{dog} plays with #{cat} and {n, plural, one {# dog} other {# dogs}}.",
        "<!-- c > --> The <a title='>'>dog</a> plays.",
        "Call 555-0199 at 10:30 on 2024-01-02 😀 or @maria #dogs.",
        "Ping 192.168.1.10 in /usr/bin or C:\\x, $name, :id.",
    ],
)
def test_every_span_is_in_the_translation_of_a_model_that_loses_all(
    recorded: RecordingTranslator, text: str
) -> None:
    class Silent(RecordingTranslator):
        def translate_sources(self, sources: Sequence[Sequence[int]]) -> list[Translation]:
            return [Translation("¿Qué?", -1.0, len(ids), 2, False) for ids in sources]

    silent = Silent(recorded._translator)
    translated = translated_with(silent, text, spans=SPAN_KINDS)
    source_parts = split_text(text, "en")
    kept = [
        part
        for segment in segments_of(source_parts)
        for piece in segments_of(segment.with_literals(frozenset(SPAN_KINDS)))
        for part in piece.between_spans()
        if isinstance(part, str)
    ]
    assert kept
    assert all(part.strip() in translated.text for part in kept)
    assert translated.placeholders_ok is False
