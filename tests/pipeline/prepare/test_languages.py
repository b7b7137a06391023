"""Languages: texts in another language are found, and texts in the expected one are left alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prepare.config import LanguageConfig
from pipeline.prepare.language_scores import MAX_BYTES, language_model
from pipeline.prepare.languages import (
    KNOWN_LANGUAGES,
    LanguageJudge,
    close_languages,
    descriptions,
    label_of,
    language_judge,
    n_letters,
    notes_of_languages,
    prose_of,
)
from pipeline.prepare.texts import PairTexts, TextColumn

SENTENCES = {
    "en": "The old baker opens his little shop before the sun comes up.",
    "de": "Der alte Bäcker öffnet seinen kleinen Laden, bevor die Sonne aufgeht.",
    "fr": "Le vieux boulanger ouvre sa petite boutique avant le lever du soleil.",
    "es": "El viejo panadero abre su pequeña tienda antes de que salga el sol.",
    "it": "Il vecchio fornaio apre la sua piccola bottega prima che sorga il sole.",
    "pt": "O velho padeiro abre a sua pequena loja antes de o sol nascer.",
    "nl": "De oude bakker opent zijn kleine winkel voordat de zon opkomt.",
    "pl": "Stary piekarz otwiera swój mały sklep, zanim wzejdzie słońce.",
    "cs": "Starý pekař otevírá svůj malý obchod dřív, než vyjde slunce.",
    "hu": "Az öreg pék kinyitja a kis boltját, mielőtt felkel a nap.",
    "fi": "Vanha leipuri avaa pienen kauppansa ennen kuin aurinko nousee.",
    "tr": "Yaşlı fırıncı küçük dükkânını güneş doğmadan önce açıyor.",
    "ru": "Старый пекарь открывает свою маленькую лавку до восхода солнца.",
    "uk": "Старий пекар відчиняє свою маленьку крамницю, перш ніж зійде сонце.",
    "el": "Ο γέρος φούρναρης ανοίγει το μικρό του μαγαζί πριν βγει ο ήλιος.",
    "ja": "年老いたパン屋は日の出前に小さな店を開けます。",
    "zh": "老面包师在太阳升起之前就打开了他的小店。",
    "ko": "늙은 제빵사는 해가 뜨기 전에 작은 가게 문을 연다.",
    "ar": "يفتح الخباز العجوز دكانه الصغير قبل شروق الشمس.",
    "hi": "बूढ़ा नानबाई सूरज निकलने से पहले अपनी छोटी दुकान खोलता है।",
}


def wrong(texts: list[str], language: str, **values: float) -> list[bool]:
    """Whether each of some texts is rejected where a language is expected."""
    column = TextColumn.of(texts)
    judge = LanguageJudge(language, "en", LanguageConfig.model_validate(values))
    return judge.wrong_sources(PairTexts(column, column, language, "en")).tolist()


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_wrong_in_every_language_but_its_own(language: str) -> None:
    found = wrong(list(SENTENCES.values()), language)
    assert found == [other != language for other in SENTENCES]


def test_a_pair_is_wrong_if_one_of_its_sides_is() -> None:
    en, de, fr = SENTENCES["en"], SENTENCES["de"], SENTENCES["fr"]
    sources, targets = [en, de, en, de, ""], [de, de, fr, en, ""]
    texts = PairTexts(TextColumn.of(sources), TextColumn.of(targets), "en", "de")
    judge = LanguageJudge("en", "de", LanguageConfig())
    assert judge.wrong(texts).tolist() == [False, True, True, True, False]
    assert judge.languages(texts.target) == ["de", "de", "fr", "en", None]
    off = LanguageJudge("en", "de", LanguageConfig(enabled=False))
    assert not off.wrong(texts).any()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "DER ALTE BÄCKER ÖFFNET SEINEN KLEINEN LADEN"),
        ("fr", "LE VIEUX BOULANGER OUVRE SA BOUTIQUE"),
        ("cs", "Jan Amos Komenský, Marie Curie, John Fitzgerald Kennedy"),
        ("en", "Maria García Hernández Rodríguez López de la Fuente"),
        ("en", "Wolfgang Schäuble, Angela Merkel, Guido Westerwelle"),
        ("de", "2024-05-17 12:30 1.250,00 42 km/h"),
        ("fr", "12 345 678 901 234 567 890"),
        ("de", "git commit --amend && git push --force origin/main"),
        ("cs", "for (int i = 0; i < n; i++) { sum += values[i]; }"),
        ("fr", "https://www.example.org/the/house/on/the/hill.html?and=the"),
        ("de", "Das Lied heißt „Should I stay or should I go with you now“."),
        ("es", 'La canción se llama "All the things that you could not say to me".'),
        ("ja", "この曲は「Let It Be」というビートルズの有名な歌です。"),
        ("zh", "他在2010年去了Paris，然后在New York工作。"),
        ("ru", "Нажмите кнопку Save as new file, чтобы сохранить файл."),
        ("en", "<ph6>'s door is broken."),
        ("de", "Name {first_name} %(last_name)s unbekannt"),
        ("fr", "Cliquez sur Settings puis sur Network pour continuer (see the manual first)."),
    ],
)
def test_texts_in_the_expected_language_stay(language: str, text: str) -> None:
    assert wrong([text], language) == [False]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "THE OLD BAKER OPENS HIS LITTLE SHOP"),
        ("fr", '"The old baker opens his little shop"'),
        ("de", "The old baker opens his shop at 6:30, see https://example.org/a"),
        ("en", "Er sagte leise zu seiner Frau: „Wir sind sehr müde und gehen nach Hause.“"),
        ("zh", "the old baker opens his shop"),
        ("ja", "老面包师在太阳升起之前就打开了他的小店"),
    ],
)
def test_texts_in_another_language_are_found_whatever_their_form(language: str, text: str) -> None:
    assert wrong([text], language) == [True]


@pytest.mark.parametrize(
    "text", ["", "Hund", "Guten Morgen", "Kraftfahrzeughaftpflichtversicherung", "Ja, sehr gut!"]
)
def test_short_texts_are_not_judged(text: str) -> None:
    assert wrong([text], "fr") == [False]
    judge = LanguageJudge("fr", "en", LanguageConfig())
    assert judge.languages(TextColumn.of([text])) == [None]


def test_the_settings_move_the_limits() -> None:
    text = "Ja, er ist gut"
    assert wrong([text], "fr") == [False]
    assert wrong([text], "fr", min_letters=5) == [True]
    assert wrong([SENTENCES["de"]], "fr", min_margin=1000.0) == [False]
    assert n_letters(TextColumn.of(["ab 1, é", "中文a", "", "नि"])).tolist() == [3, 7, 0, 2]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("nb", "Den gamle bageren åbner sin lille butik, før solen står op."),
        ("da", "Den gamle bakeren åpner den lille butikken før solen står opp."),
        ("sr_Latn", "Stari pekar otvara svoju malu radnju prije nego što izađe sunce."),
        ("hr", "Stari pekar otvara svoju malu radnju pre nego što izađe sunce."),
        ("ms", "Tukang roti tua itu membuka toko kecilnya sebelum matahari terbit."),
    ],
)
def test_close_languages_are_not_told_apart(expected: str, text: str) -> None:
    assert wrong([text, SENTENCES["en"]], expected) == [False, True]


def test_closeness_is_mutual() -> None:
    labels = set(language_model().labels)
    for label in labels:
        close = close_languages(label)
        assert label in close
        assert close <= labels
        assert all(label in close_languages(other) for other in close)


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        *(("en", "en"), ("EN-us", "en"), ("deu_Latn", "de"), ("pt-BR", "pt"), ("pt_PT", "pt")),
        *(("zh_Hant", "zh"), ("cmn", "zh"), ("zh-Hans-CN", "zh"), ("sr_Latn", "sr")),
        *(("sr-Cyrl", "sr"), ("no", "no"), ("nb", "no"), ("nn", "nn"), ("nob_Latn", "no")),
        *(("iw", "he"), ("ckb", "sdh"), ("uz_Cyrl", "uz"), ("es-419", "es"), ("kk", "kk")),
        *(("kk_Latn", None), ("az_Arab", None), ("en-Shaw", None), ("tlh", None), ("zxx", None)),
    ],
)
def test_a_tag_has_the_label_of_the_model(tag: str, label: str | None) -> None:
    assert label_of(tag) == label


def test_every_label_of_the_model_is_a_tag() -> None:
    labels = set(language_model().labels) - {"zxx"}
    assert labels == KNOWN_LANGUAGES
    assert {label_of(label) for label in labels} == labels


def test_a_language_that_the_model_does_not_know_is_not_judged() -> None:
    en = SENTENCES["en"]
    texts = PairTexts(TextColumn.of([en, en]), TextColumn.of([en, "nuqneH"]), "en", "tlh")
    judge = language_judge("en", "tlh", LanguageConfig())
    assert notes_of_languages("en", "tlh") == [
        "clean.language does not judge the targets, because it does not know the language tlh"
    ]
    assert judge.wrong(texts).tolist() == [False, False]
    assert judge.languages(texts.target) == ["en", None]
    assert notes_of_languages("en", "de") == []


def test_the_detail_names_both_languages() -> None:
    config = LanguageConfig()
    sources, targets = (
        TextColumn.of([SENTENCES["en"], ""]),
        TextColumn.of([SENTENCES["cs"], "Hund"]),
    )
    assert descriptions(sources, targets, config) == ["en and cs", "unknown and unknown"]


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("Ein Mann mit Bart hält ein Schild.", "mit hält ein "),
        ("l'air d'abord, peut-être!", "l'air d'abord, peut-être!"),
        ("see http://a.b/c and x=1 or foo.bar, 3 dogs; ok?", "see and or dogs; ok?"),
        ("THE BIG DOG", "the big dog"),
        ("Ελένη είναι εδώ", "είναι εδώ"),
        ("他在2010年去了Paris。", "他在2010年去了Paris。"),
        ("Charles d'Artagnan trinkt ein Glas", "trinkt ein "),
        ("git commit -a && git push -f origin/main", ""),
        ("il est , dit - on , un peu fou !", "il est dit on un peu fou "),
        ("„So ist das“", "ist das“"),
        ("so „ist“ das (hier)", "so   das  "),
        ("<b>so</b> <i>ist das", " so   ist das"),
        ("42", ""),
        ("", ""),
    ],
)
def test_prose_is_text_without_names_and_code(text: str, prose: str) -> None:
    neighbours = TextColumn.of(["Anna", text, "und so weiter"])
    assert prose_of(neighbours, min_letters=1).to_list() == ["", prose, "und so weiter"]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from('aB1 "“”(„.?中\u0301ß#') | st.characters(exclude_characters="\0"))
        | st.sampled_from(list(SENTENCES.values()))
    )
)
def test_a_text_is_judged_the_same_alone_and_among_others(texts: list[str]) -> None:
    texts = [text.encode(errors="replace").decode() for text in texts]
    together = language_model().scores(TextColumn.of(texts))
    alone = [language_model().scores(TextColumn.of([text]))[0] for text in texts]
    assert all(np.array_equal(one, row) for one, row in zip(alone, together, strict=True))
    assert wrong(texts, "de") == [wrong([text], "de")[0] for text in texts]


def test_scores_are_those_of_py3langid() -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    texts = [*SENTENCES.values(), "the the the the", "ÑANDÚ Y ÁRBOL", "a"]
    scores = language_model().scores(TextColumn.of(texts))
    for text, row in zip(texts, scores, strict=True):
        expected = dict(identifier.rank(text))
        found: dict[str, float] = {}
        for label, score in zip(language_model().labels, row.tolist(), strict=True):
            found[label] = max(score, found.get(label, -np.inf))
        divisor = len(text.encode()) ** 0.5
        for label in ("de", "fr", "ja", "sr", "tr"):
            difference = (expected[label] - expected["en"]) / divisor
            # Weights are rounded to steps of 1/128, and those of counts to steps of 1/16.
            assert found[label] - found["en"] == pytest.approx(difference, abs=0.05, rel=0.02)


def test_sums_of_weights_are_exact_in_float32() -> None:
    model = language_model()
    largest = np.abs(model.weights).max() * np.rint(16 * np.log(2))
    assert largest * MAX_BYTES < 2**24
    assert np.array_equal(model.weights, np.rint(model.weights))


def test_the_start_of_a_long_text_decides() -> None:
    long = " ".join([SENTENCES["de"]] * 400)
    assert wrong([long, long], "de") == [False, False]
    assert wrong([long], "en") == [True]


def test_a_long_text_of_opening_quotation_marks_takes_no_long_time() -> None:
    text = SENTENCES["en"] * 20 + "„" * 300_000
    assert wrong([text], "de") == [True]


def test_the_model_is_not_loaded_without_a_text_to_judge() -> None:
    program = (
        "import sys; from pipeline.prepare.config import LanguageConfig;"
        "from pipeline.prepare.languages import LanguageJudge, notes_of_languages;"
        "from pipeline.prepare.texts import PairTexts, TextColumn;"
        "column = TextColumn.of(['the old baker opens his shop'] * 9);"
        "judge = LanguageJudge('en', 'de', LanguageConfig(enabled=False));"
        "assert not judge.wrong(PairTexts(column, column, 'en', 'de')).any();"
        "assert notes_of_languages('en', 'tlh'); assert 'py3langid' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
