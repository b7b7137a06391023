"""Pieces are counted, and texts that the subword model changes. Other scores have no ceiling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError, Subwords
from lingo_model.special_ids import EOS_ID, UNK_ID
from lingo_model.word_encoder import Utf8Texts, WordEncoder
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.manifest import MANIFEST, ChangedText, DatasetManifest, TextStatistics
from pipeline.dataset.splits import Split
from pipeline.evaluate.metrics import corpus_scores
from pipeline.prepare.config import (
    CleanConfig,
    LanguageConfig,
    LeaksConfig,
    PrepareConfig,
    SubwordsConfig,
)
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.notes import notes_of, subword_table
from pipeline.prepare.piece_counts import PieceCounts, subword_statistics
from pipeline.prepare.stage import prepare_corpus

OBJECTS = {"umbrella": "雨伞", "letter": "信", "book": "书", "map": "地图", "lamp": "灯"}
PEOPLE = {"teacher": "老师", "driver": "司机", "girl": "女孩", "doctor": "医生"}


def chinese() -> list[tuple[str, str]]:
    """Pairs with full-width punctuation and letters."""
    return [
        pair
        for what, object_ in OBJECTS.items()
        for who, person in PEOPLE.items()
        for pair in (
            (f'The {who} asks: "Where is the {what}?"', f"{person}问：“{object_}在哪里？”"),
            (f"The {who} took the {what}, but ...", f"{person}拿走了{object_}，但是……"),
            (f"A {what} (new) costs 50%; buy it!", f"新的{object_}（{person}的）５０％；快买！"),
        )
    ]


def french() -> list[tuple[str, str]]:
    """Pairs with no-break spaces, narrow ones before high punctuation, and fractions."""
    return [
        pair
        for n in range(10, 40)
        for pair in (
            (f"Who has {n} euros?", f"Qui a {n}\u00a0€\u202f?"),
            (f"“{n},000 square metres!”", f"«\u00a0{n}\u202f000\u00a0m²\u202f!\u00a0»"),
            (f"{n} and a half: yes...", f"{n}½\u00a0: oui…"),
        )
    ]


def japanese() -> list[tuple[str, str]]:
    """Pairs with ideographic spaces and half-width katakana."""
    return [(f"“Number {n}?” Yes!", f"「{n}番ですか？」　はい！　ﾊﾝｶｸ〜") for n in range(101, 161)]


def prepared(
    folder: Path, target_lang: str, pairs: list[tuple[str, str]], **subwords: Any
) -> DatasetManifest:
    """A dataset with every tenth pair in test."""
    inputs = []
    splits: dict[Split, list[tuple[str, str]]] = {
        "train": [pair for i, pair in enumerate(pairs) if i % 10],
        "test": pairs[::10],
    }
    for split, part in splits.items():
        path = folder / f"{split}.jsonl"
        rows = ({"source": source, "target": target} for source, target in part)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        inputs.append({"path": path, "split": split})
    corpus = CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": target_lang, "inputs": inputs}
    )
    # The sentences are alike, and not all are of their language.
    config = PrepareConfig(
        clean=CleanConfig(language=LanguageConfig(enabled=False)),
        leaks=LeaksConfig(near=False),
        subwords=SubwordsConfig(**({"vocab_size": 400} | subwords)),
    )
    return prepare_corpus(corpus, folder / "dataset", config)


LANGUAGES = [("zh", chinese()), ("fr", french()), ("ja", japanese())]


@pytest.mark.parametrize(("language", "pairs"), LANGUAGES, ids=lambda value: str(value)[:2])
def test_a_model_that_writes_the_reference_s_ids_has_a_perfect_score(
    tmp_path: Path, language: str, pairs: list[tuple[str, str]]
) -> None:
    manifest = prepared(tmp_path, language, pairs)
    dataset = open_dataset(tmp_path / "dataset")
    references = dataset.pairs("test")["target"].to_pylist()
    translations = dataset.subwords().decode(dataset.encoded("test")["target_ids"].to_pylist())
    assert references == [target for _, target in pairs[::10]]
    assert translations == references
    scores = {s.metric: s.score for s in corpus_scores(translations, references, language)}
    assert scores["BLEU"] == pytest.approx(100)
    assert {c.n_targets_changed for c in manifest.round_trips.values()} == {0}
    assert {c.n_sources_changed for c in manifest.round_trips.values()} == {0}
    assert not [note for note in notes_of(manifest) if "survive" in note]


@pytest.mark.parametrize(("language", "pairs"), LANGUAGES, ids=lambda value: str(value)[:2])
def test_the_other_normalisation_changes_targets_and_a_note_counts_them(
    tmp_path: Path, language: str, pairs: list[tuple[str, str]]
) -> None:
    manifest = prepared(tmp_path, language, pairs, normalisation="nmt_nfkc")
    n_test = len(pairs[::10])
    counts = manifest.round_trips["test"]
    assert 0.6 * n_test <= counts.n_targets_changed <= n_test
    assert counts.target_example is not None
    assert counts.target_example.text in [target for _, target in pairs[::10]]
    notes = [note for note in notes_of(manifest) if "test targets" in note]
    assert notes[0].startswith(
        f"{counts.n_targets_changed} of {n_test} test targets do not survive"
    )


def test_an_unknown_character_in_a_test_target_is_counted(tmp_path: Path) -> None:
    pairs = french()
    pairs[10] = (pairs[10][0], "Ω à la fin d'une longue phrase de plus de quarante lettres ☃ oui")
    manifest = prepared(tmp_path, "fr", pairs)
    assert manifest.round_trips["test"].n_targets_changed == 1
    assert manifest.round_trips["train"].n_targets_changed == 0
    (note,) = [note for note in notes_of(manifest) if "survive" in note]
    assert note.startswith("1 of 9 test targets do not survive the subword model")
    assert "Ω" in note


def test_the_example_shows_where_the_texts_differ(tmp_path: Path) -> None:
    pairs = french()
    pairs[10] = (pairs[10][0], "oui " * 30 + "☃ non")
    (note,) = [n for n in notes_of(prepared(tmp_path, "fr", pairs)) if "survive" in n]
    assert "...'oui oui oui oui oui ☃ non' becomes" in note


def test_runs_of_spaces_and_line_breaks_do_not_count(tmp_path: Path) -> None:
    pairs = [(source, target.replace("oui", "oui  \n oui\t")) for source, target in french()]
    manifest = prepared(tmp_path, "fr", pairs)
    assert {c.n_targets_changed for c in manifest.round_trips.values()} == {0}


def test_a_rare_relative_of_a_frequent_character_gets_no_piece(tmp_path: Path) -> None:
    words = "uno dos tres cuatro cinco seis siete"
    pairs = [(f"one two three {n}", f"{words} {n}") for n in range(3000)]
    pairs[11] = ("one two three 11", f"{words}\u00a011")
    manifest = prepared(tmp_path, "es", pairs)
    subwords = open_dataset(tmp_path / "dataset").subwords()
    assert subwords.encode(["uno\u00a0dos"]) == subwords.encode(["uno dos"])
    assert manifest.round_trips["train"].n_targets_changed == 1  # and so it is counted


def test_a_rare_letter_of_a_small_alphabet_gets_a_piece(tmp_path: Path) -> None:
    words = "uno dos tres cuatro cinco seis siete"
    pairs = [(f"one two three {n}", f"{words} {n}") for n in range(3000)]
    pairs[11] = ("one two three eleven", f"{words} Í")
    manifest = prepared(tmp_path, "es", pairs, vocab_size=1000)
    assert manifest.round_trips["train"].n_targets_changed == 0


def test_a_vocabulary_that_the_corpus_does_not_fill_is_noted(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, "fr", french(), vocab_size=8000)
    (note,) = notes_of(manifest)
    assert f"{manifest.vocab_size:,} pieces, not the 8,000 of subwords.vocab_size" in note


def test_a_vocabulary_that_is_too_small_is_refused_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vocab_size=40: the text needs \d+ or more") as error:
        prepared(tmp_path, "zh", chinese(), vocab_size=40)
    assert "--" not in str(error.value)


def test_a_manifest_of_an_earlier_release_has_no_counts_and_no_notes(tmp_path: Path) -> None:
    prepared(tmp_path, "fr", french(), vocab_size=200, normalisation="nmt_nfkc")
    path = tmp_path / "dataset" / MANIFEST
    values = json.loads(path.read_bytes())
    del values["round_trips"], values["subword_statistics"]
    path.write_text(json.dumps(values))
    manifest = open_dataset(tmp_path / "dataset").manifest
    assert manifest.round_trips == {}
    assert manifest.subword_statistics is None
    assert not [note for note in notes_of(manifest) if "survive" in note]


# Statistics.


def encoded_counts(
    subwords: Subwords, sources: list[str], targets: list[str], *, batch_size: int
) -> PieceCounts:
    counts = PieceCounts(subwords.vocab_size)
    encoder = WordEncoder(subwords)
    for name, texts in (("source", sources), ("target", targets)):
        for start in range(0, len(texts), batch_size):
            batch = Utf8Texts.of(texts[start : start + batch_size])
            counts.sides[name].add(batch, encoder.encode(batch, end_id=EOS_ID), subwords)
    return counts


SOURCES = ["one  two three", "", " two\u00a0three ", "☃ four", "five é"]
TARGETS = ["uno dos", "tres", "☃☃ cuatro ☃", "über", "cinco"]


@pytest.fixture(scope="module", params=["nfc", "nmt_nfkc"])
def small_model(request: pytest.FixtureRequest) -> Subwords:
    known = ["one two three four five é", "uno dos tres cuatro cinco", "über drei"]
    return Subwords.train(known * 9, vocab_size=60, normalisation=request.param)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_counts_are_those_of_the_texts(small_model: Subwords, batch_size: int) -> None:
    counts = encoded_counts(small_model, SOURCES, TARGETS, batch_size=batch_size)
    for side, texts in ((counts.source, SOURCES), (counts.target, TARGETS)):
        ids = [i for row in small_model.encode(texts) for i in row]
        statistics = side.statistics()
        assert statistics.n_texts == len(texts)
        assert statistics.n_words == sum(len([w for w in t.split(" ") if w]) for t in texts)
        assert statistics.n_characters == sum(map(len, texts))
        assert statistics.n_pieces == len(ids)
        assert statistics.n_unknown == ids.count(UNK_ID) > 0
        assert side.n_changed == len(small_model.changed(texts)) > 0
        assert statistics.unknown_rate == ids.count(UNK_ID) / len(ids)
        assert statistics.pieces_per_word == len(ids) / statistics.n_words
        assert statistics.characters_per_piece == statistics.n_characters / len(ids)
    assert counts.round_trips().target_example == ChangedText(
        text="☃☃ cuatro ☃", decoded=small_model.decode(small_model.encode(TARGETS))[2]
    )


def test_counts_of_parts_add_up_in_any_order(small_model: Subwords) -> None:
    whole = encoded_counts(small_model, SOURCES, TARGETS, batch_size=9)
    for order in (range(5), range(4, -1, -1)):
        merged = PieceCounts(small_model.vocab_size)
        for i in order:
            part = encoded_counts(small_model, SOURCES[i : i + 1], TARGETS[i : i + 1], batch_size=1)
            merged.add_json(json.loads(json.dumps(part.to_json())))
        assert merged.round_trips() == whole.round_trips()
        for side in ("source", "target"):
            assert merged.sides[side].statistics() == whole.sides[side].statistics()
            assert merged.sides[side].pieces.tolist() == whole.sides[side].pieces.tolist()


def test_used_pieces_are_those_of_training_text(small_model: Subwords) -> None:
    train = encoded_counts(small_model, ["one two", "über"], ["dos über"], batch_size=9)
    other = encoded_counts(small_model, ["four"], ["cuatro"], batch_size=9)
    statistics = subword_statistics({"train": train, "valid": other, "test": other})
    by_source = {i for row in small_model.encode(["one two", "über"]) for i in row}
    by_target = {i for row in small_model.encode(["dos über"]) for i in row}
    assert statistics.n_pieces == small_model.vocab_size - 14
    assert statistics.n_used_by_source == len(by_source)
    assert statistics.n_used_by_target == len(by_target)
    assert statistics.n_used_by_both == len(by_source & by_target) > 0


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> DatasetManifest:
    return prepared(tmp_path_factory.mktemp("french"), "fr", french(), vocab_size=100)


def test_statistics_are_in_the_manifest_and_in_a_table(manifest: DatasetManifest) -> None:
    statistics = manifest.subword_statistics
    assert statistics is not None
    for split in ("train", "test"):
        counts = manifest.splits[split]
        assert statistics.source[split].n_texts == counts.n_pairs
        assert statistics.source[split].n_pieces == counts.n_source_tokens - counts.n_pairs
        assert statistics.target[split].n_pieces == counts.n_target_tokens - counts.n_pairs
    header, source, target, both = subword_table(statistics)
    assert header.split("  ")[0] == "subwords"
    assert f"{statistics.source['train'].pieces_per_word:.2f}" in source
    assert f"{statistics.target['train'].characters_per_piece:.2f}" in target
    assert "test 0.00%" in target
    assert both.endswith(f"{statistics.n_used_by_both:,}")


@pytest.mark.parametrize(("n_unknown", "is_noted"), [(10, False), (11, True)])
def test_a_high_share_of_unknown_pieces_is_noted(
    manifest: DatasetManifest, n_unknown: int, is_noted: bool
) -> None:
    assert manifest.subword_statistics is not None
    counts = TextStatistics(
        n_texts=1, n_words=9000, n_characters=30_000, n_pieces=10_000, n_unknown=n_unknown
    )
    changed = manifest.subword_statistics.model_copy(update={"target": {"test": counts}})
    notes = notes_of(manifest.model_copy(update={"subword_statistics": changed}))
    assert any("0.11% of the pieces of the test targets" in note for note in notes) == is_noted


@pytest.mark.parametrize(("n_used", "is_noted"), [(30, False), (29, True)])
def test_a_side_that_uses_few_of_the_pieces_that_occur_is_noted(
    manifest: DatasetManifest, n_used: int, is_noted: bool
) -> None:
    assert manifest.subword_statistics is not None
    changed = manifest.subword_statistics.model_copy(
        update={
            "n_pieces": 500,  # bytes, for example, that no text needs
            "n_used_by_source": n_used,
            "n_used_by_target": 80,
            "n_used_by_both": n_used - 10,
        }
    )
    notes = notes_of(manifest.model_copy(update={"subword_statistics": changed}))
    assert any("sources use 29 of the 90 pieces that occur" in note for note in notes) == is_noted
    assert not any("training targets use" in note for note in notes)
