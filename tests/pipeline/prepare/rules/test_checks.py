"""Checks: limits, and good pairs that must stay beside bad ones that must go."""

from __future__ import annotations

import pytest

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.registry import check, details
from pipeline.prepare.rules.scripts import expected_scripts
from pipeline.prepare.texts import PairTexts, TextColumn

NOT_JUDGED = {
    "enabled": False
}  # tests/pipeline/prepare/test_languages.py has the tests of this rule


def texts_of(source: str, target: str, languages: str) -> PairTexts:
    """One pair."""
    source_lang, target_lang = languages.split()
    return PairTexts(
        source=TextColumn.of([source]),
        target=TextColumn.of([target]),
        source_lang=source_lang,
        target_lang=target_lang,
    )


def reason(source: str, target: str, languages: str = "en de", **settings: object) -> str | None:
    """The reason of one pair, which must be the same if the sides are exchanged."""
    config = CleanConfig.model_validate({"language": NOT_JUDGED, **settings})
    exchanged = texts_of(target, source, " ".join(reversed(languages.split())))
    there, back = (check(t, config) for t in (texts_of(source, target, languages), exchanged))
    assert there.first[0] == back.first[0]
    return None if there.kept[0] else there.reasons[there.first[0]]


def detail(source: str, target: str, languages: str = "en de", **settings: object) -> str | None:
    """The detail of one pair."""
    config = CleanConfig.model_validate({"language": NOT_JUDGED, **settings})
    texts = texts_of(source, target, languages)
    return details(texts, check(texts, config), [0], config)[0]


# Lengths


LENGTHS_ONLY = {
    **{"max_copied_words": None, "max_repeated_words": None, "min_letter_share": None},
    **{"max_repeated_characters": None, "max_unexpected_script_share": None},
}


def test_lengths_at_the_limits() -> None:
    limits = {"max_characters": 40, "max_words": 10, **LENGTHS_ONLY}
    assert reason("abcd efg " * 4 + "abcd", "b" * 40, **limits) is None
    assert reason("abcd efg " * 4 + "abcde", "b" * 30, **limits) == "too_long"  # 41 characters
    assert reason("a b c d e f g h i j", "x" * 5, **limits) is None
    assert reason("a b c d e f g h i j k", "x" * 5, **limits) == "too_long"  # 11 words
    assert reason("好" * 10, "x" * 5, "zh en", **limits) is None
    assert reason("好" * 11, "x" * 5, "zh en", **limits) == "too_long"


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 9, 64, 70])
def test_the_longest_word_is_at_the_limit(limit: int) -> None:
    word = ("abcdefghij" * 8)[:limit]
    settings = {"max_word_characters": limit, **LENGTHS_ONLY}
    assert reason(f"x {word}.", "y " * limit, **settings) is None
    assert reason(f"x {word}z.", "y " * limit, **settings) == "long_word"
    found = detail(f"x {word}z.", "y " * limit, **settings)
    assert found == f"a word of {limit + 1} characters"


def test_text_without_spaces_is_no_long_word() -> None:
    chinese = "这是一个没有空格的很长的句子它说了很多话但是没有标点" * 3
    assert reason(chinese, "It is a long sentence without spaces. " * 3, "zh en") is None


def test_the_ratio_of_wide_letters() -> None:
    assert reason("x" * 4 + " ab" * 12, "好" * 4, "en zh", **LENGTHS_ONLY) is None  # 40 and 8
    assert reason("x" * 5 + " ab" * 12, "好" * 4, "en zh", **LENGTHS_ONLY) == "ratio"
    assert reason("好狗" * 10, "好狗" * 2, "zh ja", **LENGTHS_ONLY) is None
    assert reason("好狗" * 10 + "猫", "好狗" * 2, "zh ja", **LENGTHS_ONLY) == "ratio"


@pytest.mark.parametrize(
    "pair", [("I", "Ich"), ("OK", "In Ordnung"), ("是", "Yes"), ("a", "b" * 5)]
)
def test_pairs_of_one_word_stay(pair: tuple[str, str]) -> None:
    assert reason(*pair) is None


# Content


@pytest.mark.parametrize(
    "text",
    [
        *("OK", "Windows", "New York", "Rio de Janeiro", "Johann Sebastian Bach", "3.14", "%s: %d"),
        *("https://example.org/a-long-path", "name@example.org", "--verbose --help --output --in"),
        *(
            "你好",
            "Москва",
            "GNU General Public License",
            "foo_bar.txt baz.py /usr/lib/x",
            "1 2 3 4 5 6",
            "C++ A/B <x> {y}",
        ),
    ],
)
def test_copies_that_stay(text: str) -> None:
    assert reason(text, text, "xx yy") is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Two dogs play outside.", "Two dogs play outside."),
        ("Two dogs play outside.", "TWO DOGS PLAY  OUTSIDE"),
        ("- The red car is fast -", "The red car is fast!"),
        ("PLEASE READ THIS", "PLEASE READ THIS"),
        ("Das ist die große Straße", "das ist die grosse strasse"),
        ("两只狗在外面玩", "两只狗在外面玩"),
        ("две собаки играют", "Две собаки играют."),
        ("In 2024 we saw 12 red dogs", "in 2024 we saw 12 red dogs"),
    ],
)
def test_copies_that_go(source: str, target: str) -> None:
    assert reason(source, target, "xx yy") == "copy"


def test_a_compound_is_no_copy_of_its_parts() -> None:
    assert reason("cargo container name list", "Cargo-Containername List") is None


def test_the_share_of_letters_counts_marks_and_wide_letters() -> None:
    assert reason("हिन्दी में लिखा हुआ वाक्य", "In Hindi written phrase", "hi en") is None
    assert reason("升级完成 --------------", "Upgrade --------------", "zh en") is None
    assert (
        reason("ab --- --- --- --- --- --- ---", "cd --- --- --- --- --- --- ---") == "few_letters"
    )
    assert reason("a 1 2 3 4 5 6 7 8 9", "b 1 2 3 4 5 6 7 8 9") is None  # 19 characters


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
def test_repeated_characters_at_the_limit(limit: int) -> None:
    run = "o" * limit
    assert reason(f"n{run}", "nein", max_repeated_characters=limit) is None
    assert reason(f"n{run}o", "nein", max_repeated_characters=limit) == "repeated_characters"
    assert detail(f"n{run}o", "nein", max_repeated_characters=limit) == f"'o' {limit + 1} times"


def test_a_run_ends_with_its_text() -> None:
    assert check(
        PairTexts(
            source=TextColumn.of(["aaaa", "aaaa", "aaaa"]),
            target=TextColumn.of(["b", "b", "b"]),
            source_lang="en",
            target_lang="de",
        ),
        CleanConfig(),
    ).kept.all()


@pytest.mark.parametrize("unit", ["dog", "the dog", "a b c", "one two three four"])
@pytest.mark.parametrize("before", ["", "Look at "])
def test_repeated_words_at_the_limit(unit: str, before: str) -> None:
    other = "Alle anderen Wörter stehen hier nur einmal"
    assert reason(before + " ".join([unit] * 4), other) is None
    assert reason(before + " ".join([unit] * 5), other) == "repeated_words"
    assert detail(before + " ".join([unit] * 5), other, max_repeated_words=4) == repr(unit)


# Scripts


@pytest.mark.parametrize(
    ("tag", "scripts"),
    [
        *(("de", "Latn"), ("pt-BR", "Latn"), ("ru", "Cyrl"), ("zh", "Hani Bopo"), ("el", "Grek")),
        *(
            ("zh_Hant", "Hani Bopo"),
            ("zh-CN", "Hani Bopo"),
            ("sr_Latn", "Latn"),
            ("sr", "Cyrl Latn"),
        ),
        *(("uz_Cyrl", "Cyrl"), ("ja", "Hani Hira Kana"), ("ko", "Hang Hani"), ("az-arab", "Arab")),
    ],
)
def test_the_scripts_of_languages(tag: str, scripts: str) -> None:
    assert expected_scripts(tag) == frozenset(scripts.split())


def test_unknown_languages_have_no_script() -> None:
    assert expected_scripts("qqq") is None
    assert reason("Two dogs play outside.", "Две собаки играют на улице", "en qqq") is None


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("el", "Δύο σκυλιά παίζουν έξω στον κήπο"),
        ("he", "שני כלבים משחקים בחוץ בגינה"),
        ("ar", "كلبان يلعبان في الخارج في الحديقة"),
        ("hi", "दो कुत्ते बाहर बगीचे में खेल रहे हैं"),
        ("th", "สุนัขสองตัวเล่นอยู่ข้างนอกในสวน"),
        ("ka", "ორი ძაღლი თამაშობს გარეთ ბაღში"),
        ("am", "ሁለት ውሾች ከቤት ውጭ በአትክልት ስፍራ ይጫወታሉ"),
        ("ja", "二匹の犬が外の庭で楽しく遊んでいます"),
        ("ko", "개 두 마리가 정원에서 즐겁게 놀고 있습니다"),
        ("uk", "Дві собаки граються надворі в саду"),
    ],
)
def test_each_script_is_that_of_its_language_only(language: str, text: str) -> None:
    source = "Two dogs play outside in the garden"
    assert reason(source, text, f"en {language}") is None
    assert reason(source, text, "en de") == "wrong_script"
    assert reason(source, "Zwei Hunde spielen im Garten", f"en {language}") == "wrong_script"


def test_scripts_are_named_in_the_detail() -> None:
    assert detail("Two dogs play outside", "Две собаки играют") == "18 Latn and 15 Cyrl"


# Numbers


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("1,000.50", "1.000,50"),
        ("1 000 000 people", "1.000.000 Leute"),
        ("On 2024-01-02", "Am 02.01.2024"),
        ("On 2 January 2024", "Am 2.1.2024"),
        ("On March 3, 1999", "Am 3. März '99"),
        ("at 10:30 pm", "um 22:30 Uhr"),
        ("in 1,234 ways", "auf 1234 Arten"),
        ("five dogs", "5 Hunde"),
        ("25 dogs", "fünfundzwanzig Hunde"),
        ("a thousand", "1000"),
        ("2,000,000", "2 Millionen"),
        ("1.5 million", "1 500 000"),
        ("in the 1950s", "in den fünfziger Jahren"),
        ("in the 1950s", "in den 50er Jahren"),
        ("3 of 5 and 5 of 3", "5 von 3 und 3 von 5"),
        ("2024", "२०२४"),
        ("in 2024, in 2024", "im Jahr 2024"),
        ("30,000", "3万"),
        ("2 billion", "20亿"),
        ("the 19th century", "XIX. Jahrhundert"),
        ("no numbers", "keine Zahlen"),
    ],
)
def test_numbers_in_another_format_stay(source: str, target: str) -> None:
    assert reason(source, target, "xx yy") is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *(("12 dogs", "13 Hunde"), ("in 1987", "im Jahr 1978"), ("3.5 %", "3,6 %")),
        *(("room 245", "das Zimmer"), ("1 and 2", "1 und 3"), ("10:30", "10:45")),
        *(("1,234,567", "1.234.576"), ("٢٠٢٤", "2023"), ("100 dogs", "10 Hunde")),
    ],
)
def test_other_numbers_go(source: str, target: str) -> None:
    assert reason(source, target, "xx yy") == "numbers"
    assert reason(source, target, "xx yy", match_numbers=False) is None


def test_the_numbers_are_in_the_detail() -> None:
    assert detail("12 of 7 dogs", "13 von 7 Hunden") == "12 and 13"


# Addresses, placeholders, tags, marks


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("at http://a-site.com.", "bei http://a-site.com", None),
        ("at WWW.A-SITE.COM/x", "bei https://a-site.de/y?z=1", None),
        ("at https://a-site.com", "bei (https://b-site.com)", "urls"),
        ("see https://x.org and https://y.org", "siehe https://x.org", "urls"),
        ("use file:// here", "benutze file:// hier", None),
        ("ask a.b@c.org", "a.b@c.org fragen", None),
        ("ask a.b@c.org", "ask somebody else", "emails"),
        ("a@b", "a b", None),
    ],
)
def test_addresses(source: str, target: str, expected: str | None) -> None:
    assert reason(source, target) == expected


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("%s and %d", "%d und %s"),
        ("%-10s is %05.2f", "%s ist %f"),
        ("%(n)d files of %(all)s", "%(all)s hat %(n)d Dateien"),
        ("{0} of {name!r:>10}", "{name!r:>10} von {0}"),
        ("$HOME and ${HOME}", "${HOME} und $HOME"),
        ("%1 of %2", "%2 von %1"),
        ("50% discount, 100%", "50% Rabatt, 100 %"),
        ("size %sx%s", "Größe %s×%s"),
        ("%A, %d %B %Y", "%A, den %e. %B %Y"),
        ("a 5 % increase", "ein Anstieg von 5 %"),
        ("It costs $5 or US$ 7", "Es kostet 5 $ oder 7 US$"),
        ("{{ name }} won", "{{name}} hat gewonnen"),
        ("a set {1, 2, 3}", "eine Menge {1, 2, 3}"),
    ],
)
def test_placeholders_that_agree(source: str, target: str) -> None:
    assert reason(source, target) is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *(("%s files", "Dateien"), ("%s of %s", "%s"), ("%d files", "%s Dateien")),
        *(("%(name)s", "%(Name)s"), ("Hi {name}", "Hallo {nom}"), ("%1 of %2", "%1 von %1")),
        *(("in ${home}", "in ${heim}"), ("%USER% left", "%NUTZER% ging"), ("{{ a }}", "{{ b }}")),
    ],
)
def test_placeholders_that_differ(source: str, target: str) -> None:
    assert reason(source, target) == "placeholders"


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("a<br>b", "a<br/>b", None),
        ("<p>Hi</p>", "<p>Hallo", "tags"),
        ("<B>Hi</B>", "<b>Hallo</b>", None),
        ("<g id='1'>Hi</g>", "Hallo", "tags"),
        ("<custom>Hi</custom>", "Hallo", "tags"),
        ("copy <source> <target>", "kopiere <Quelle> <Ziel>", None),
        ("a <b and c> d", "a < b und c > d", "tags"),
        ("x < y", "x ist kleiner", None),
    ],
)
def test_tags(source: str, target: str, expected: str | None) -> None:
    assert reason(source, target) == expected


@pytest.mark.parametrize(
    ("setting", "source", "target", "rejected"),
    [
        ("match_brackets", "a (b) [c]", "a [c] (b)", False),
        ("match_brackets", "a (b)", "a [b]", True),
        ("match_brackets", "a（b）", "a (b)", False),
        ("match_quotes", "a “b”", "a « b »", False),
        ("match_quotes", "it's", "«es»", True),
        ("match_end_punctuation", "Go?", "Los？", False),
        ("match_end_punctuation", "Go...", "Los…", False),
        ("match_end_punctuation", "Go!)", "Los!", False),
        ("match_end_punctuation", "Go.", "Los", True),
        ("match_end_punctuation", "Go?", "Los!", True),
    ],
)
def test_marks_are_checked_on_demand(
    setting: str, source: str, target: str, rejected: bool
) -> None:
    assert reason(source, target) is None
    expected = setting.removeprefix("match_") if rejected else None
    assert reason(source, target, **{setting: True}) == expected


def test_a_name_of_an_own_rule_is_checked() -> None:
    with pytest.raises(ValueError, match="needs MODULE:FUNCTION"):
        CleanConfig(own_rules=("my_rules.too_shouty",))
