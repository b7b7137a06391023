"""TMX: which texts of a unit are read, inline tags, and files that are refused."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.formats import safe_xml
from pipeline.formats.rows import Row, format_of

Read = Callable[..., list[Row]]

DOCTYPE = '<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'


def tmx(*units: str, header: str = '<header srclang="en"/>', doctype: str = DOCTYPE) -> str:
    """A TMX file with one unit on each line, from line 4 on."""
    lines = "".join(f"<tu>{unit}</tu>\n" for unit in units)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}'
        f'<tmx version="1.4">{header}<body>\n{lines}</body></tmx>\n'
    )


def tuv(language: str, text: str, attribute: str = "xml:lang") -> str:
    """A text in a language."""
    return f'<tuv {attribute}="{language}"><seg>{text}</seg></tuv>'


PAIR = tuv("en", "The dog.") + tuv("es", "El perro.")


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a file and return its path."""
    path.write_bytes(text.encode(encoding))
    return path


def test_each_unit_is_a_row_with_its_line_and_its_name(tmp_path: Path, bilingual: Read) -> None:
    text = tmx(PAIR, PAIR).replace("<tu>", '<tu tuid="a7">', 1)
    rows = bilingual(write(tmp_path / "a.tmx", text))
    assert rows == [Row({"source": "The dog.", "target": "El perro."})] * 2
    assert [(row.line, row.unit) for row in rows] == [(4, "a7"), (5, None)]


@pytest.mark.parametrize("name", ["a", "a.tmx", "a.xml", "a.txt", "a.en"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_told_by_its_content(
    tmp_path: Path, bilingual: Read, name: str, encoding: str
) -> None:
    text = tmx(PAIR).replace('"UTF-8"', f'"{encoding[:6]}"')
    path = write(tmp_path / name, text, encoding)
    assert format_of(path) == "tmx"
    assert bilingual(path) == [Row({"source": "The dog.", "target": "El perro."})]


def test_a_compressed_file_is_read(tmp_path: Path, bilingual: Read) -> None:
    path = tmp_path / "a.tmx.gz"
    path.write_bytes(gzip.compress(tmx(PAIR).encode()))
    assert len(bilingual(path)) == 1
    path.write_bytes(gzip.compress(tmx(*[PAIR] * 5000).encode())[:-20])
    with pytest.raises(Exception, match="damaged"):
        bilingual(path)


@pytest.mark.parametrize(
    ("wanted", "tags", "found"),
    [
        ("en", ["en-US", "en"], "en"),
        ("en", ["EN", "en-US"], "EN"),
        ("en", ["de", "en-US"], "en-US"),
        ("en", ["eng"], "eng"),
        ("en-US", ["en-GB", "EN_us"], "EN_us"),
        ("en-US", ["de", "en"], "en"),
        ("zh-Hant", ["zh"], "zh"),
    ],
)
def test_a_language_is_found_by_its_tag(
    tmp_path: Path, bilingual: Read, wanted: str, tags: list[str], found: str
) -> None:
    unit = "".join(tuv(tag, tag) for tag in tags) + tuv("es", "x")
    path = write(tmp_path / "a.tmx", tmx(unit))
    assert bilingual(path, wanted)[0].values == {"source": found, "target": "x"}


def test_another_region_of_a_language_is_another_language(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    path = write(tmp_path / "a.tmx", tmx(tuv("en", "a") + tuv("pt-PT", "b")))
    message = refusal(path, lambda path: bilingual(path, "en", "pt-BR"))
    assert "no unit has a text in 'pt-BR'; its languages are en, pt-PT" in message


def test_a_unit_without_one_of_the_languages_is_empty(tmp_path: Path, bilingual: Read) -> None:
    units = (PAIR, tuv("en", "a") + tuv("fr", "b"), tuv("es", "b"), tuv("en", "a") + tuv("es", " "))
    rows = bilingual(write(tmp_path / "a.tmx", tmx(*units)))
    assert [(row.problem, row.detail) for row in rows] == [
        (None, None),
        ("empty", "no text in 'es'"),
        ("empty", "no text in 'en'"),
        ("empty", "no text in 'es'"),
    ]
    assert rows[1].values == {"source": "a", "target": None}


def test_one_text_is_not_both_sides(tmp_path: Path, bilingual: Read) -> None:
    units = (tuv("en", "a"), tuv("en-US", "colour") + tuv("en-GB", "color"))
    rows = bilingual(write(tmp_path / "a.tmx", tmx(*units)), "en-US", "en-GB")
    assert rows[0].problem == "empty"
    assert rows[1].values == {"source": "colour", "target": "color"}


def test_the_first_of_several_texts_in_a_language_is_used(tmp_path: Path, bilingual: Read) -> None:
    unit = tuv("en", "a") + tuv("es", "b") + tuv("es", "c")
    (row,) = bilingual(write(tmp_path / "a.tmx", tmx(unit)))
    assert row.values == {"source": "a", "target": "b"}
    assert row.problem is None
    assert "2 texts in 'es'" in str(row.detail)


def test_old_and_missing_language_attributes_are_understood(
    tmp_path: Path, bilingual: Read
) -> None:
    units = (
        tuv("en", "a", "lang") + tuv("es", "b", "lang"),
        "<tuv><seg>a</seg></tuv>" + tuv("es", "b"),
    )
    rows = bilingual(write(tmp_path / "a.tmx", tmx(*units)))
    assert rows == [Row({"source": "a", "target": "b"})] * 2


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        ('The <bpt i="1">&lt;b&gt;</bpt>dog<ept i="1">&lt;/b&gt;</ept> runs.', "The dog runs."),
        ("The <hi>big <hi>old</hi></hi> dog.", "The big old dog."),
        ("Press <ph>{1}</ph> now.", "Press now."),
        ("<ph>{1}</ph> Press now <ph>{2}</ph>", "Press now"),
        ("One<ph>&lt;br/&gt;</ph>two", "One two"),
        ('One<ph type="lb"/>two', "One two"),
        ("for<ph>x</ph>mat", "format"),
        ("10\u00a0<ut>{\\b</ut>km", "10\u00a0km"),
        ("a <it pos='begin'>&lt;i&gt;</it> <ph>x</ph> b", "a b"),
        ("a<bpt i='1'>title=<sub>inner</sub></bpt>b", "ab"),
        ("Tom &amp; Jerry &lt;3 <![CDATA[<x>]]>", "Tom & Jerry <3 <x>"),
        ("  two  spaces ", "  two  spaces "),
        ("a <!-- note --><b>bold</b> word", "a bold word"),
    ],
)
def test_inline_tags_leave_the_sentence(
    tmp_path: Path, bilingual: Read, segment: str, text: str
) -> None:
    (row,) = bilingual(write(tmp_path / "a.tmx", tmx(tuv("en", segment) + tuv("es", "x"))))
    assert row.values["source"] == text


def test_a_file_without_units_is_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    assert "has no unit" in refusal(write(tmp_path / "a.tmx", tmx()), bilingual)


ENTITIES = (
    '<!DOCTYPE tmx [\n<!ENTITY x "text">]>\n',
    '<!DOCTYPE tmx [\n<!ENTITY x SYSTEM "file:///etc/passwd">]>\n',
    '<!DOCTYPE tmx SYSTEM "a.dtd" [\n<!ENTITY % x SYSTEM "http://localhost/x"> %x;]>\n',
    '<!DOCTYPE tmx [\n<!ENTITY x "lol">'
    + "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(2, 12)).replace("&x1;", "&x;")
    + "]>\n",
)


@pytest.mark.parametrize("doctype", ENTITIES)
@pytest.mark.parametrize("use", ["", "&x;", '<hi x="&x;">a</hi>', '<hi x="&x11;">&x11;</hi>'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_file_that_declares_an_entity_is_refused(
    tmp_path: Path,
    bilingual: Read,
    refusal: Callable[..., str],
    doctype: str,
    use: str,
    encoding: str,
) -> None:
    text = tmx(tuv("en", use) + tuv("es", "b"), doctype=doctype).replace('"UTF-8"', f'"{encoding}"')
    message = refusal(write(tmp_path / "a.tmx", text, encoding), bilingual)
    assert "line 3 declares the entity 'x'" in message


@pytest.mark.parametrize("doctype", [DOCTYPE, ""])
def test_an_unknown_entity_is_refused_with_its_line(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str], doctype: str
) -> None:
    text = tmx(PAIR, tuv("en", "a&nbsp;b") + tuv("es", "b"), doctype=doctype)
    message = refusal(write(tmp_path / "a.tmx", text), bilingual)
    assert f"line {5 if doctype else 4}" in message
    assert "nbsp" in message


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda text: text[:-30], 1003),
        (lambda text: text.replace("</seg>", "", 1), 4),
        (lambda text: text.replace("dog", "d\x01g", 1), 4),
        (lambda text: text.replace("dog", "d\0g", 1), 4),
        (lambda text: text.replace("dog", "d&#x1F;g", 1), 4),
        (lambda text: text + "<tmx/>", 1005),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(
    tmp_path: Path,
    bilingual: Read,
    refusal: Callable[..., str],
    damage: Callable[[str], str],
    line: int,
) -> None:
    path = write(tmp_path / "a.tmx", damage(tmx(*[PAIR] * 1000)))
    assert f"line {line}: is not well-formed XML (" in refusal(path, bilingual)


def test_bytes_in_another_encoding_are_refused_and_read_with_its_name(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    path = write(tmp_path / "a.tmx", tmx(PAIR + tuv("fr", "chér")), "latin-1")
    assert "line 4: is not well-formed XML" in refusal(path, bilingual)
    assert bilingual(path, "en", "fr", encoding="latin-1")[0].values["target"] == "chér"
    write(path, tmx(PAIR + tuv("fr", "chér")), "utf-16")
    assert bilingual(path, "en", "fr", encoding="utf-16-le")[0].values["target"] == "chér"


def test_a_unit_that_is_too_large_is_refused(
    tmp_path: Path,
    bilingual: Read,
    refusal: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safe_xml, "MAX_UNIT_BYTES", 100_000)
    path = write(tmp_path / "a.tmx", tmx(PAIR, "<note/>" * 50_000))
    assert "more than 100,000 bytes" in refusal(path, bilingual)
    assert len(bilingual(write(path, tmx(*[PAIR] * 5000)))) == 5000


PEAK_PROGRAM = """
import resource, sys
from pathlib import Path
from pipeline.formats.tmx import tmx_rows
for name in sys.argv[1:]:
    n_rows = sum(1 for _ in tmx_rows(Path(name), "en", "es"))
    print(n_rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    unit = "".join(tuv(language, "x" * 500) for language in ("en", "es", "fr"))
    small = write(tmp_path / "small.tmx", tmx(*[unit] * 500))
    large = write(tmp_path / "large.tmx", tmx(*[unit] * 30_000))
    output = subprocess.run(
        [sys.executable, "-c", PEAK_PROGRAM, str(small), str(large)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (n_small, peak_small), (n_large, peak_large) = (line.split() for line in output.splitlines())
    assert (n_small, n_large) == ("500", "30000")
    n_file_kib = large.stat().st_size / 1024
    assert n_file_kib > 45_000
    assert int(peak_large) - int(peak_small) < n_file_kib / 5


def test_lines_are_right_in_long_files(tmp_path: Path, bilingual: Read) -> None:
    text = tmx(*["\n " + PAIR.replace("</tuv>", "</tuv>\n")] * 30_000)
    rows = bilingual(write(tmp_path / "a.tmx", text))
    assert [row.line for row in rows[::5000]] == [4 + 4 * n for n in range(0, 30_000, 5000)]
