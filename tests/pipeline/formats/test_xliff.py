"""XLIFF 1.2 and 2: which units and segments are used, and whose languages are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.formats.bilingual import BilingualOptions
from pipeline.formats.rows import Row, format_of

Read = Callable[..., list[Row]]


def xliff1(*units: str, languages: str = 'source-language="en" target-language="es"') -> str:
    """XLIFF 1.2 with one unit on each line, from line 3 on."""
    return (
        '<?xml version="1.0"?>\n<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">'
        f'<file original="app.json" {languages}><body>\n'
        + "\n".join(units)
        + "\n</body></file></xliff>\n"
    )


def xliff2(*units: str, languages: str = 'srcLang="en" trgLang="es"', version: str = "2.0") -> str:
    """XLIFF 2 with one unit on each line, from line 3 on."""
    return (
        f'<?xml version="1.0"?>\n<xliff version="{version}" {languages} '
        'xmlns="urn:oasis:names:tc:xliff:document:2.0"><file id="f1">\n'
        + "\n".join(units)
        + "\n</file></xliff>\n"
    )


def unit1(source: str, target: str, attributes: str = "", state: str | None = None) -> str:
    """A unit of XLIFF 1.2."""
    its_state = "" if state is None else f' state="{state}"'
    return (
        f'<trans-unit id="u" {attributes}><source>{source}</source>'
        f"<target{its_state}>{target}</target></trans-unit>"
    )


def segment(source: str, target: str, attributes: str = "") -> str:
    """A segment of XLIFF 2."""
    return f"<segment {attributes}><source>{source}</source><target>{target}</target></segment>"


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.xlf", "a.xliff", "a", "a.txt"])
@pytest.mark.parametrize(
    "text",
    [
        xliff1(unit1("The dog.", "El perro.")),
        xliff2(f'<unit id="u">{segment("The dog.", "El perro.")}</unit>'),
        xliff2(f'<unit id="u">{segment("The dog.", "El perro.")}</unit>', version="2.1"),
    ],
)
def test_each_unit_is_a_row(tmp_path: Path, bilingual: Read, name: str, text: str) -> None:
    path = write(tmp_path / name, text)
    assert format_of(path) == "xliff"
    (row,) = bilingual(path)
    assert row == Row({"source": "The dog.", "target": "El perro."})
    assert row.line == 3
    assert row.unit in ("app.json/u", "f1/u")


def test_each_segment_of_xliff_2_is_a_row(tmp_path: Path, bilingual: Read) -> None:
    ignorable = "<ignorable><source> </source></ignorable>"
    named = segment("One.", "Uno.", 'id="s1"')
    unit = f"<unit id='u'>{named}{ignorable}{segment('Two.', 'Dos.')}</unit>"
    rows = bilingual(write(tmp_path / "a.xlf", xliff2(unit)))
    assert [row.values["target"] for row in rows] == ["Uno.", "Dos."]
    assert [row.unit for row in rows] == ["f1/u/s1", "f1/u/2"]


@pytest.mark.parametrize(
    ("attributes", "state", "problem"),
    [
        ("", "translated", None),
        ("", "final", None),
        ("", "signed-off", None),
        ("", None, None),
        ("approved='yes'", None, None),
        ("approved='yes'", "needs-review-translation", None),
        ("approved='no'", "translated", None),
        ("approved='no'", None, "unfinished"),
        ("", "new", "unfinished"),
        ("", "needs-translation", "unfinished"),
        ("", "needs-review-l10n", "unfinished"),
        ("", "x-own", "unfinished"),
        ("translate='no'", "final", "not_translatable"),
        ("restype='x-gettext-domain-header'", "translated", "not_translatable"),
    ],
)
def test_only_finished_units_of_xliff_1_are_used(
    tmp_path: Path, bilingual: Read, attributes: str, state: str | None, problem: str | None
) -> None:
    path = write(tmp_path / "a.xlf", xliff1(unit1("a", "b", attributes, state)))
    (row,) = bilingual(path)
    assert row.problem == problem
    assert row.values == {"source": "a", "target": "b"}
    if problem == "unfinished":
        assert str(row.detail).endswith(state or "unapproved")


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ("state='translated'", None),
        ("state='reviewed'", None),
        ("state='final'", None),
        ("", None),
        ("state='initial'", "unfinished"),
    ],
)
def test_only_finished_segments_of_xliff_2_are_used(
    tmp_path: Path, bilingual: Read, state: str, problem: str | None
) -> None:
    path = write(tmp_path / "a.xlf", xliff2(f"<unit id='u'>{segment('a', 'b', state)}</unit>"))
    assert bilingual(path)[0].problem == problem


def test_states_choose_the_units(tmp_path: Path, bilingual: Read) -> None:
    states = ["new", "translated", "final", None]
    path = write(tmp_path / "a.xlf", xliff1(*[unit1("a", "b", "", state) for state in states]))
    rows = bilingual(path, states=("final", "new"))
    assert [row.problem for row in rows] == [None, "unfinished", None, "unfinished"]


@pytest.mark.parametrize("states", [(), ("done",), ("translated", "Final")])
def test_unknown_states_are_refused(states: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="states"):
        BilingualOptions("en", "es", states)


def test_units_without_a_text_are_told_apart(tmp_path: Path, bilingual: Read) -> None:
    units = (
        "<trans-unit id='1'><source>a</source></trans-unit>",
        unit1("a", " "),
        unit1("", "b"),
        "<trans-unit id='2'/>",
    )
    rows = bilingual(write(tmp_path / "a.xlf", xliff1(*units)))
    assert [row.problem for row in rows] == ["untranslated", "untranslated", "empty", "empty"]


def test_suggestions_and_groups_do_not_count_as_targets(tmp_path: Path, bilingual: Read) -> None:
    suggestion = "<alt-trans><source>a</source><target>wrong</target></alt-trans>"
    unit = unit1("a", "b").replace("</trans-unit>", f"{suggestion}</trans-unit>")
    path = write(tmp_path / "a.xlf", xliff1(f"<group><group>{unit}</group></group>", unit))
    assert bilingual(path) == [Row({"source": "a", "target": "b"})] * 2


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('The <g id="1">big <g id="2">old</g></g> dog.', "The big old dog."),
        ('One<x id="1" ctype="lb"/>two <bx id="2"/>three<ex id="2"/>.', "One two three."),
        ('Press <ph id="1">{0}</ph> now', "Press now"),
        ('a <mrk mtype="seg" mid="1">b c</mrk> d', "a b c d"),
        ('The <pc id="1">big</pc> dog<ph id="2"/>.', "The big dog."),
        ('a<sc id="1"/>b<ec startRef="1"/>c<cp hex="001A"/>d', "abcd"),
        ('a <ph id="1" subType="xlf:lb"/>b', "a b"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_inline_elements_leave_the_sentence(
    tmp_path: Path, bilingual: Read, source: str, text: str, version: int
) -> None:
    xml = (
        xliff1(unit1(source, "x"))
        if version == 1
        else xliff2(f"<unit id='u'>{segment(source, 'x')}</unit>")
    )
    assert bilingual(write(tmp_path / "a.xlf", xml))[0].values["source"] == text


@pytest.mark.parametrize(
    "text",
    [
        xliff1(unit1("a", "b"), languages='source-language="en-US" target-language="es_MX"'),
        xliff1(unit1("a", "b"), languages='source-language="en"'),
        xliff2(f"<unit id='u'>{segment('a', 'b')}</unit>", languages='srcLang="EN" trgLang="spa"'),
    ],
)
def test_regions_and_missing_languages_are_accepted(
    tmp_path: Path, bilingual: Read, text: str
) -> None:
    assert bilingual(write(tmp_path / "a.xlf", text)) == [Row({"source": "a", "target": "b"})]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            xliff1(unit1("a", "b"), languages='source-language="en" target-language="de"'),
            ["target-language 'de'", "target_lang of the corpus is 'es'"],
        ),
        (
            xliff1(unit1("a", "b"), languages='source-language="es" target-language="en"'),
            ["source-language 'es'", "source_lang of the corpus is 'en'"],
        ),
        (
            xliff2(
                f"<unit id='u'>{segment('a', 'b')}</unit>", languages='srcLang="en" trgLang="fr"'
            ),
            ["trgLang 'fr'", "target_lang of the corpus is 'es'"],
        ),
    ],
)
def test_other_languages_are_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str], text: str, names: list[str]
) -> None:
    message = refusal(write(tmp_path / "a.xlf", text), bilingual)
    assert all(name in message for name in names)
    assert "line 2" in message


def test_the_second_file_of_a_document_is_checked_too(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    text = xliff1(unit1("a", "b"))
    other = (
        '</body></file>\n<file original="b" source-language="en" target-language="fr"><body>'
        f"{unit1('a', 'b')}</body></file>"
    )
    path = write(tmp_path / "a.xlf", text.replace("</body></file>", other))
    assert "target-language 'fr'" in refusal(path, bilingual)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (xliff1(), "has no unit"),
        (xliff2("<unit id='u'/>"), "has no unit"),
        (xliff1(unit1("a", "b")).replace("</source>", ""), "line 3: is not well-formed XML"),
        (xliff1(unit1("a&x;", "b")), "line 3"),
        (
            xliff1(unit1("a", "b")).replace("<xliff", '<!DOCTYPE xliff [<!ENTITY x "y">]><xliff'),
            "line 2 declares the entity 'x'",
        ),
        (
            xliff1(unit1("a", "b")).replace("<xliff", '<xliff xmlns:sdl="http://sdl.com/x"'),
            "export it as TMX",
        ),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str], text: str, reason: str
) -> None:
    assert reason in refusal(write(tmp_path / "a.xlf", text), bilingual)


def test_states_are_for_xliff_and_po_only(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    path = write(tmp_path / "a.tmx", '<tmx version="1.4"><body/></tmx>')
    message = refusal(path, lambda path: bilingual(path, states=("final",)))
    assert "'states' is for XLIFF and PO" in message
