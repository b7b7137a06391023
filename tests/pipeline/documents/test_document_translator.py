"""Texts of any length through a model: cut, decoded once, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lingo_model import Translation, Translator, load_bundle
from pipeline.documents.document_translator import DocumentTranslator
from pipeline.documents.translation_memory import TranslationMemory, write_memory

MAX_TOKENS = 40


class Recorded:
    """The translator of a real model that notes what it decodes, and may be made to misbehave."""

    def __init__(self, translator: Translator) -> None:
        self._translator = translator
        self.texts: dict[tuple[int, ...], str] = {}
        self.batches: list[list[str]] = []
        self.says: dict[str, str] = {}  # another translation for a text
        self.fails_on: set[str] = set()

    def sources(self, texts: Sequence[str]) -> list[list[int]]:
        found = self._translator.sources(texts)
        self.texts |= {tuple(ids): text for ids, text in zip(found, texts, strict=True)}
        return found

    def translate_sources(self, sources: Sequence[Sequence[int]]) -> list[Translation]:
        texts = [self.texts[tuple(ids)] for ids in sources]
        self.batches.append(texts)
        if broken := self.fails_on & set(texts):
            raise RuntimeError(f"cannot take {broken}")
        found = self._translator.translate_sources(sources)
        return [
            Translation(
                self.says.get(text, one.text),
                one.score,
                one.n_source_tokens,
                one.n_target_tokens,
                one.truncated,
            )
            for text, one in zip(texts, found, strict=True)
        ]


@pytest.fixture
def recorded(bundle: Path) -> Recorded:
    return Recorded(Translator(load_bundle(bundle)))


def documents(recorded: Any, memory: TranslationMemory | None = None) -> DocumentTranslator:
    return DocumentTranslator(recorded, language="en", max_segment_tokens=MAX_TOKENS, memory=memory)


def test_sentences_are_translated_alone_and_put_together(recorded: Recorded) -> None:
    recorded.says = {"A cat.": "Un gato.", "Two dogs play.": "Dos perros."}
    (found,), _ = documents(recorded).translate(["A cat.  Two dogs play.\n\n* 3 *\n\tA cat.\n"])
    assert found.text == "Un gato.  Dos perros.\n\n* 3 *\n\tUn gato.\n"
    assert found.model_inputs == ("A cat.", "Two dogs play.", "A cat.")
    assert recorded.batches == [["A cat.", "Two dogs play."]]  # equal text once


def test_text_without_language_is_left_alone(recorded: Recorded) -> None:
    texts = ["", " \n", "12:30 — 3 %", "{name} https://a.b/c"]
    found, new = documents(recorded).translate(texts)
    assert [one.text for one in found] == texts
    assert not any(one.decoded for one in found)
    assert new == {}


def test_spans_go_through_the_model_as_symbols(recorded: Recorded) -> None:
    recorded.says = {"Call <ph0> at <ph1>.": "A las <ph1> llama a <ph0>."}
    (found,), _ = documents(recorded).translate(["Call {name} at %s."])
    assert found.text == "A las %s llama a {name}."
    assert found.placeholders_ok is True


def test_a_lost_span_stays_in_its_place_and_is_told_of(recorded: Recorded) -> None:
    recorded.says = {
        "Call <ph0> at <ph1>.": "Llama a las <ph1>.",
        "Call": "Llama",
        "at": "a",
        "Yes <ph0>.": "Sí <ph0>.",
    }
    (found, other), _ = documents(recorded).translate(["Yes %d. Call {name} at %s.", "Yes %d."])
    assert found.text == "Sí %d. Llama {name} a %s."
    assert found.placeholders_ok is False
    assert other.placeholders_ok is True


def test_an_over_long_sentence_is_cut_not_cut_off(recorded: Recorded) -> None:
    text = ", ".join(f"the dog number {i} sees a cat" for i in range(30))
    (found,), _ = documents(recorded).translate([text])
    assert len(found.model_inputs) > 3
    assert all(one.n_source_tokens <= MAX_TOKENS for one in found.decoded)
    assert " ".join(found.model_inputs) == text
    whole, _ = documents(recorded).translate(["x" * 5000])  # nowhere to cut but within
    assert "".join(whole[0].model_inputs) == "x" * 5000


def test_a_failing_segment_is_found_by_halving(recorded: Recorded) -> None:
    texts = [f"The dog {'a' * i} plays." for i in range(1, 9)]
    recorded.fails_on = {texts[5]}
    found, new = documents(recorded).translate([*texts, f"A cat. {texts[5]}"])
    assert [i for i, one in enumerate(found) if one.failure] == [5, 8]
    assert "RuntimeError: cannot take" in str(found[5].failure)
    assert all(one.text for i, one in enumerate(found) if i not in (5, 8))
    assert texts[5] not in new and "A cat." in new
    assert [len(batch) for batch in recorded.batches] == [9, 4, 5, 2, 1, 1, 3]


def test_what_is_remembered_is_not_decoded(recorded: Recorded, tmp_path: Path) -> None:
    texts = ["A cat. Two dogs play.", "See {x}."]
    recorded.says = {"See <ph0>.": "Mira <ph0>."}
    first, new = documents(recorded).translate(texts)
    assert list(new) == ["A cat.", "Two dogs play.", "See <ph0>."]
    write_memory(tmp_path / "published" / "part-a.parquet", new)
    recorded.batches.clear()

    memory = TranslationMemory([tmp_path / "published"], tmp_path / "own")
    again, newer = documents(recorded, memory).translate([*texts, "See {other}. A dog."])

    assert recorded.batches == [["A dog."]]
    assert list(newer) == ["A dog."]
    assert [one.text for one in again[:2]] == [one.text for one in first]
    assert all(one.recalled for text in again[:2] for one in text.decoded)
    assert [one.recalled for one in again[2].decoded] == [True, False]


def test_what_is_remembered_is_not_used_where_it_is_too_long_now(
    recorded: Recorded, tmp_path: Path
) -> None:
    """An earlier run allowed longer segments."""
    text = "the old dog plays with the big cat " * 3
    longer = DocumentTranslator(recorded, language="en", max_segment_tokens=500)
    (whole,), new = longer.translate([text])
    assert len(whole.decoded) == 1
    assert whole.decoded[0].n_source_tokens > MAX_TOKENS
    write_memory(tmp_path / "run" / "part-1.parquet", new)

    memory = TranslationMemory([tmp_path / "run"], tmp_path / "staged")
    (found,), _ = documents(recorded, memory).translate([text])

    assert len(found.decoded) > 1
    assert all(one.n_source_tokens <= MAX_TOKENS for one in found.decoded)
    assert found == documents(recorded).translate([text])[0][0]


def test_actors_learn_of_each_others_segments_within_a_run(
    recorded: Recorded, tmp_path: Path
) -> None:
    memory = TranslationMemory([], tmp_path / "own")
    mine = documents(recorded, memory)
    _, new = mine.translate(["A cat."])
    write_memory(tmp_path / "own" / "part-b.parquet", new)  # as another actor
    recorded.batches.clear()
    (found,), newer = mine.translate(["A cat."])
    assert recorded.batches == [] or recorded.batches == [[]]
    assert newer == {}
    assert [one.recalled for one in found.decoded] == [False]  # this run decoded it
