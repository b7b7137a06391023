"""Corpus scores and signatures equal those of the sacreBLEU command."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from pipeline.evaluate.metrics import corpus_scores, sentence_chrf

# Matches and misses, an empty translation, punctuation, case and non-ASCII letters.
CORPUS = [
    ("The cat sat on the mat.", "The cat sat on the mat."),
    ("the dog runs quickly , away", "The dog quickly runs away."),
    ("", "Nothing was said."),
    ("El niño comió 3,5 manzanas rojas", "El niño se comió 3,5 manzanas rojas."),
    ("¿Dónde está la biblioteca?", "¿Dónde queda la biblioteca?"),
]


def test_scores_and_signatures_equal_those_of_the_sacrebleu_command(tmp_path: Path) -> None:
    translations, references = map(list, zip(*CORPUS, strict=True))
    for name, lines in (("hyp", translations), ("ref", references)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-m", "bleu", "chrf", "ter"]
    done = subprocess.run(
        [*command, "--width", "9"], cwd=tmp_path, capture_output=True, check=True, timeout=60
    )
    expected = json.loads(done.stdout)

    scores = corpus_scores(translations, references, "es")

    assert [(s.metric, s.signature) for s in scores] == [
        (e["name"], e["signature"]) for e in expected
    ]
    assert [s.score for s in scores] == pytest.approx([e["score"] for e in expected], abs=1e-8)
    assert all(0 < s.score < 100 for s in scores)  # at 0 or 100 wrong scores could agree


def test_a_perfect_translation_has_the_best_scores() -> None:
    references = [reference for _, reference in CORPUS]
    assert {
        s.metric: s.score for s in corpus_scores(references, references, "es")
    } == pytest.approx({"BLEU": 100, "chrF2": 100, "TER": 0})


@pytest.mark.parametrize(
    ("language", "tokenizer", "translation", "reference"),
    [
        ("zh-Hans", "zh", "两只小狗正在花园里面玩耍。", "两只大狗正在花园里面玩耍。"),
        ("ja", "char", "二匹の小犬が庭で遊んでいます。", "二匹の大犬が庭で遊んでいます。"),
        ("th", "char", "สุนัขสองตัวเล่นในสวน", "สุนัขสามตัวเล่นในสวน"),
        ("de_AT", "13a", "Zwei kleine Hunde spielen im Garten.", "Zwei Hunde spielen im Garten."),
    ],
)
def test_the_tokeniser_depends_on_the_language(
    language: str, tokenizer: str, translation: str, reference: str
) -> None:
    """One character is wrong. With ``13a`` the whole sentence would be one wrong word."""
    scores = {s.metric: s for s in corpus_scores([translation], [reference], language)}
    assert f"|tok:{tokenizer}|" in scores["BLEU"].signature
    assert 40 < scores["BLEU"].score < 95
    if language != "th":
        assert 0 < scores["TER"].score < 40
    else:
        assert "TER" not in scores


@pytest.mark.parametrize(("n_translations", "n_references"), [(2, 3), (3, 2), (0, 1)])
def test_lists_of_unequal_length_are_refused(n_translations: int, n_references: int) -> None:
    match = f"{n_translations} translations but {n_references} references"
    with pytest.raises(ValueError, match=match):
        corpus_scores(["a"] * n_translations, ["a"] * n_references, "es")


def test_the_chrf_of_each_sentence_is_its_own() -> None:
    right, wrong = sentence_chrf(["the same", "wholly other"], ["the same", "not this"])
    assert right == pytest.approx(100)
    assert 0 <= wrong < 50
    with pytest.raises(ValueError, match="zip"):
        sentence_chrf(["one"], [])


@pytest.mark.parametrize("language", ["es", "ko", "vi"])
def test_both_normal_forms_have_the_same_score(language: str) -> None:
    texts = {"es": "El niño comió rápido.", "ko": "한국어 문장입니다.", "vi": "Tiếng Việt rất đẹp."}
    reference = texts[language]
    decomposed = unicodedata.normalize("NFD", reference)
    assert decomposed != reference
    for pair in ((reference, decomposed), (decomposed, reference), (decomposed, decomposed)):
        translations, references = [pair[0]], [pair[1]]
        assert corpus_scores(translations, references, language) == (
            corpus_scores([reference], [reference], language)
        )
        assert sentence_chrf(translations, references) == pytest.approx([100])


def test_a_three_letter_code_has_the_tokeniser_of_its_language() -> None:
    for code, same in (("zho", "zh"), ("jpn", "ja"), ("cmn_Hans", "zh"), ("eng", "en")):
        text = ["两只小狗正在花园里面玩耍。"]
        assert corpus_scores(text, text, code) == corpus_scores(text, text, same)
