"""Language tags."""

from __future__ import annotations

import pytest

from pipeline.languages import primary_language


@pytest.mark.parametrize(
    ("language", "tags"),
    [
        ("de", ["de", "DE", "de-AT", "de_DE", "deu", "ger", "deu_Latn", "GER-AT"]),
        ("en", ["en", "EN", "en-US", "eng", "eng_Latn", "En_gb"]),
        ("zh", ["zh", "zh-Hant", "zho", "chi", "cmn", "zho_Hans"]),
        ("sq", ["sqi", "alb"]),
        ("yue", ["yue", "yue_Hant"]),
        ("xyz", ["xyz"]),
    ],
)
def test_the_tags_of_a_language(language: str, tags: list[str]) -> None:
    assert {primary_language(tag) for tag in tags} == {language}


def test_codes_of_different_languages_stay_different() -> None:
    codes = ["slk", "slv", "spa", "sqi", "srp", "swe", "swa", "nob", "nno", "nor", "hrv", "bos"]
    assert len(set(map(primary_language, codes))) == len(codes)
