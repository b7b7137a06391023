"""Repairs: what is broken is repaired, and good text stays as it is."""

from __future__ import annotations

import unicodedata

import pytest

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.repairs import repaired
from pipeline.prepare.texts import PairTexts, TextColumn

GOOD = [
    "Ein Mann sagt: „Das ist heiß“ – und geht.",
    "GROSSE STRAẞE, KLEINE STRAßE…",
    "heiß…, weiß…, Spaß… groß” süß’",
    "L’été à la plage, c’est « super » ; où ça ?",
    "VOILÀ… DÉJÀ – NOËL’S “CAFÉ”",
    "SÃO JOÃO, MAÇÃ, IRMÃ”, AMANHÃ… ROMÂNIA Â",
    "¿Qué? ¡Niño! ESPAÑA… AÑO’ N.º 5 1ª",
    "Žluťoučký kůň úpěl ďábelské ódy ŠŽ‰",
    "Ærø, Ångström, Øresund® £5 ½ ±3° µm",
    "Привет, мир! «Да» — № 5",
    "Γειά σου Κόσμε;",
    "你好，世界！《书》……",
    "한국어 텍스트입니다.",
    "日本語の「テスト」、ガギグ。",
    "हिन्दी क्‍ष र्‍य",
    "می‌خواهم کتاب‌ها را",
    "שלום\u200f! (abc\u200e)",
    "ภาษาไทย\u200bภาษาไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 ❤️ 1️⃣ 🇩🇪 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "Tom & Jerry; AT&T; R&D; x &y; a&b=c;",
    "https://x.org/?a=1&copy=2&lt=3",
    "mail a@b.org @user @-mentions C@T",
    "10\u00a0% de 1\u202f000\u00a0€",
    "&unknown; &1; &;",
    "<a href='?a=1&amp;b=2'>&nbsp;</a>",
    "&amp;",
]


def column_repaired(texts: list[str], **values: object) -> tuple[list[str], dict[str, list[bool]]]:
    """The repaired texts, and what each repair changed."""
    pair = PairTexts(
        source=TextColumn.of(texts),
        target=TextColumn.of(["x"] * len(texts)),
        source_lang="en",
        target_lang="de",
    )
    after, changed = repaired(pair, CleanConfig.model_validate(values))
    assert after.target.to_list() == ["x"] * len(texts)
    return after.source.to_list(), {name: mask.tolist() for name, mask in changed.items()}


@pytest.mark.parametrize("text", GOOD)
def test_good_text_stays(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    after, changed = column_repaired([text])
    expected = text if text != "&amp;" else "&"
    assert ascii(after[0]) == ascii(expected)
    assert not any(mask[0] for name, mask in changed.items() if name != "entities")


@pytest.mark.parametrize("text", [*GOOD[:12], "naïve café", "ÉCOLE à Paris", "Привет", "“Hi”"])
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_text_that_was_read_in_the_wrong_encoding_is_decoded(text: str, encoding: str) -> None:
    broken = text.encode().decode(encoding, errors="replace")
    if "\ufffd" in broken:
        broken = "".join(
            bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in text.encode()
        )
    assert column_repaired([broken])[0] == [unicodedata.normalize("NFC", text)]


def test_text_that_was_read_in_the_wrong_encoding_twice_is_decoded() -> None:
    broken = "Été à la plage".encode().decode("cp1252").encode().decode("cp1252")
    assert column_repaired([broken])[0] == ["Été à la plage"]


def test_a_lost_no_break_space_of_a_broken_letter_is_found() -> None:
    assert column_repaired(["voilÃ , Ã  l'Ã©tÃ©"])[0] == ["voilà, à l'été"]


def test_text_that_is_broken_in_a_part_only_stays() -> None:
    mixed = "CafÃ© und Käse"
    assert column_repaired([mixed])[0] == [mixed]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&#39;a&#x27; &#8217;", "'a' \u2019"),
        ("&quot;a&quot; &bar; &#124;", '"a" | |'),
        ("&nbsp;a&nbsp;b", "a\u00a0b"),
        ("a&shy;b&zwnj;c", "abc"),
        ("&#0;&#xD800;&#x110000;x", "\ufffd\ufffd\ufffdx"),
        ("&#10;a&#13;&#9;b", "a b"),
        ("&am\u200bp;", "&"),
        ("&amp;amp;lt;", "<"),
        ("e&#769;", "\u00e9"),
        ("@-@ @.@ @,@ @/@", "-.,/"),
        ("1 @.@ 5", "1.5"),
    ],
)
def test_entities(text: str, expected: str) -> None:
    assert ascii(column_repaired([text])[0][0]) == ascii(expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("repair_entities", "a &amp; b"),
        ("repair_encoding", "CafÃ©"),
        ("repair_invisible", "a\u200bb\x07"),
        ("repair_spaces", "a  b\tc"),
    ],
)
def test_a_repair_can_be_switched_off(name: str, text: str) -> None:
    assert column_repaired([text], **{name: False})[0] == [text]
    assert column_repaired([text])[0] != [text]
    assert name.removeprefix("repair_") not in column_repaired([text], **{name: False})[1]


def test_repairs_are_counted_by_row_of_either_side() -> None:
    texts = PairTexts(
        source=TextColumn.of(["a &amp; b", "good", "x  y", " stripped "]),
        target=TextColumn.of(["c &amp; d", "Cafe\u0301", "&lt;", "\u200bz"]),
        source_lang="en",
        target_lang="fr",
    )
    after, changed = repaired(texts, CleanConfig())
    assert after.source.to_list() == ["a & b", "good", "x y", "stripped"]
    assert after.target.to_list() == ["c & d", "Caf\u00e9", "<", "z"]
    counts = {name: int(mask.sum()) for name, mask in changed.items()}
    expected = {"entities": 2, "encoding": 0, "invisible": 1, "spaces": 1, "unicode_nfc": 1}
    assert counts == expected


def test_given_files_are_only_stripped_and_normalised() -> None:
    texts = PairTexts(
        source=TextColumn.of([" a  &amp;\u200b e\u0301 "]),
        target=TextColumn.of(["CafÃ©\t"]),
        source_lang="en",
        target_lang="fr",
    )
    after, changed = repaired(texts, CleanConfig(), is_given=True)
    assert after.source.to_list() == ["a  &amp;\u200b \u00e9"]
    assert after.target.to_list() == ["CafÃ©"]
    assert {name: mask.tolist() for name, mask in changed.items()} == {"unicode_nfc": [True]}


def test_a_column_without_a_repair_is_the_same_object() -> None:
    texts = PairTexts(
        source=TextColumn.of(["good"]),
        target=TextColumn.of(["gut"]),
        source_lang="en",
        target_lang="de",
    )
    after, _ = repaired(texts, CleanConfig())
    assert after.source is texts.source and after.target is texts.target
