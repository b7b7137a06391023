"""PO and MO: entries, plural forms, encodings, languages and damage."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.formats.gettext_catalogue import plural_forms
from pipeline.formats.rows import Row, format_of

Read = Callable[..., list[Row]]

HEADER = (
    'msgid ""\nmsgstr ""\n"Language: es\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
)


def po(path: Path, entries: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    """Write a PO file. Its first entry is on line 7."""
    path.write_bytes((header + entries).encode(encoding))
    return path


def mo(pairs: Sequence[tuple[bytes, bytes]], order: str = "<") -> bytes:
    """The content of an MO file as msgfmt writes it, without a table of hashes."""
    n = len(pairs)
    tables, strings = [], b""
    start = 28 + 16 * n
    for side in (0, 1):
        for pair in pairs:
            tables += [len(pair[side]), start + len(strings)]
            strings += pair[side] + b"\0"
    header = struct.pack(f"{order}7I", 0x950412DE, 0, n, 28, 28 + 8 * n, 0, 28 + 16 * n)
    return header + struct.pack(f"{order}{len(tables)}I", *tables) + strings


MO_HEADER = (b"", b"Language: es\nContent-Type: text/plain; charset=UTF-8\n")


@pytest.mark.parametrize("name", ["a.po", "a.pot", "es", "a.txt"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_entry_is_a_row(tmp_path: Path, bilingual: Read, name: str, end: str) -> None:
    text = (
        '# a comment\n#: main.c:7\nmsgid "_File"\nmsgstr "_Archivo"\n\n'
        'msgctxt "menu"\nmsgid ""\n"Two "\n"lines\\n"\nmsgstr ""\n"Dos líneas\\n"\n'
        'msgid "a \\"b\\" \\\\ \\t\\101\\x42"\nmsgstr "c"\n'
    )
    path = po(tmp_path / name, text.replace("\n", end), HEADER.replace("\n", end))
    assert format_of(path) == "po"
    rows = bilingual(path)
    assert rows == [
        Row({"source": "_File", "target": "_Archivo"}),
        Row({"source": "Two lines\n", "target": "Dos líneas\n"}),
        Row({"source": 'a "b" \\ \tAB', "target": "c"}),
    ]
    assert [(row.line, row.n_lines, row.unit) for row in rows] == [
        (9, 2, None),
        (12, 6, "menu"),
        (18, 2, None),
    ]


def test_entries_that_are_no_translations_have_a_problem(tmp_path: Path, bilingual: Read) -> None:
    path = po(
        tmp_path / "a.po",
        '#, c-format, fuzzy\n#| msgid "old"\nmsgid "a"\nmsgstr "b"\n\n'
        'msgid "c"\nmsgstr ""\n\n'
        'msgid "d"\nmsgstr "e"\n\n'
        '#~ msgid "f"\n#~ msgstr "g"\n\n'
        '#, fuzzy\n#~| msgid "old"\n#~ msgid "h"\n#~ msgstr "i"\n'
        '#~ msgid "j"\n#~ msgstr "k"\n',
    )
    problems = [row.problem for row in bilingual(path)]
    assert problems == ["fuzzy", "untranslated", None, "obsolete", "obsolete", "obsolete"]
    rows = bilingual(path, states=("translated", "fuzzy"))
    assert [row.problem for row in rows][:3] == [None, "untranslated", None]
    rows = bilingual(path, states=("obsolete",))
    assert [row.problem for row in rows][2:] == ["translated", None, "fuzzy", None]


PLURAL = 'msgid "%d dog"\nmsgid_plural "%d dogs"\n'


def test_plural_forms_are_two_rows(tmp_path: Path, bilingual: Read) -> None:
    path = po(tmp_path / "a.po", PLURAL + 'msgstr[0] "%d perro"\nmsgstr[1] "%d perros"\n')
    assert bilingual(path) == [
        Row({"source": "%d dog", "target": "%d perro"}),
        Row({"source": "%d dogs", "target": "%d perros"}),
    ]


@pytest.mark.parametrize(
    ("header", "forms"),
    [
        ("nplurals=2; plural=(n != 1);", (0, 1)),
        ("nplurals=2; plural=n>1;", (0, 1)),
        ("nplurals=1; plural=0;", (None, 0)),
        (
            "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && "
            "(n%100<10 || n%100>=20) ? 1 : 2);",
            (0, 2),
        ),
        (
            "nplurals=4; plural=(n%100==1 ? 1 : n%100==2 ? 2 : n%100==3 || n%100==4 ? 3 : 0);",
            (1, 0),
        ),
        (
            "nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : "
            "n%100>=11 ? 4 : 5;",
            (1, 4),
        ),
        ("", None),
        ("nplurals=INTEGER; plural=EXPRESSION;", None),
        ("nplurals=2; plural=__import__('os');", None),
        ("nplurals=2; plural=n/0;", None),
    ],
)
def test_the_formula_tells_the_form_of_the_singular_and_of_the_plural(
    header: str, forms: tuple[int | None, int] | None
) -> None:
    assert plural_forms(header) == forms


def test_one_form_for_all_numbers_is_paired_with_the_plural(
    tmp_path: Path, bilingual: Read
) -> None:
    header = HEADER.replace("es", "ja").replace(
        "nplurals=2; plural=(n != 1)", "nplurals=1; plural=0"
    )
    path = po(tmp_path / "a.po", PLURAL + 'msgstr[0] "%d 匹"\n', header)
    assert bilingual(path, target="ja") == [Row({"source": "%d dogs", "target": "%d 匹"})]


def test_without_a_formula_the_last_form_is_the_plural(tmp_path: Path, bilingual: Read) -> None:
    forms = "".join(f'msgstr[{n}] "{n}"\n' for n in range(3))
    path = po(tmp_path / "a.po", PLURAL + forms, 'msgid ""\nmsgstr "Language: es\\n"\n\n')
    assert [row.values["target"] for row in bilingual(path)] == ["0", "2"]


@pytest.mark.parametrize(
    ("charset", "text"), [("ISO-8859-1", "año"), ("cp1251", "пёс"), ("EUC-JP", "犬"), ("GBK", "狗")]
)
def test_the_header_names_the_encoding(
    tmp_path: Path, bilingual: Read, charset: str, text: str
) -> None:
    header = HEADER.replace("UTF-8", charset)
    path = po(tmp_path / "a.po", f'msgid "a"\nmsgstr "{text}"\n', header, charset)
    assert bilingual(path)[0].values["target"] == text
    pairs = [(b"", f"Content-Type: text/plain; charset={charset}\n".encode())]
    (tmp_path / "a.mo").write_bytes(mo([*pairs, (b"a", text.encode(charset))]))
    assert bilingual(tmp_path / "a.mo")[0].values["target"] == text


def test_an_entry_that_cannot_be_decoded_is_undecodable(tmp_path: Path, bilingual: Read) -> None:
    path = po(tmp_path / "a.po", 'msgid "a"\nmsgstr "b"\n\n' * 9)
    path.write_bytes(path.read_bytes() + b'msgid "c"\nmsgstr "\xe9x"\n')
    assert [row.problem for row in bilingual(path)] == [None] * 9 + ["undecodable"]
    assert bilingual(path)[-1].values["target"] == "\ufffdx"
    assert bilingual(path, encoding="latin-1")[-1].values["target"] == "éx"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_catalogue_in_utf16_needs_the_name_of_its_encoding(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str], encoding: str
) -> None:
    path = po(tmp_path / "a.po", 'msgid "a dog"\nmsgstr "año"\n' * 3, HEADER, encoding)
    assert f"set `encoding: {encoding}`" in refusal(path, bilingual)
    assert bilingual(path, encoding=encoding)[0].values["target"] == "año"


def test_an_unknown_encoding_is_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    path = po(tmp_path / "a.po", 'msgid "a"\nmsgstr "b"\n', HEADER.replace("UTF-8", "klingon"))
    assert "charset=klingon" in refusal(path, bilingual)
    assert len(bilingual(path, encoding="utf-8")) == 1


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("es", "es"),
        ("es_MX", "es"),
        ("es", "es-MX"),
        ("sr@latin", "sr"),
        ("", "es"),
        ("LANG", "es"),
    ],
)
def test_the_language_of_the_header_may_have_a_region(
    tmp_path: Path, bilingual: Read, tag: str, wanted: str
) -> None:
    path = po(tmp_path / "a.po", 'msgid "a"\nmsgstr "b"\n', HEADER.replace(": es", f": {tag}"))
    assert len(bilingual(path, target=wanted)) == 1


@pytest.mark.parametrize(
    ("tag", "wanted"), [("de", "es"), ("pt_PT", "pt-BR"), ("es_ES.UTF-8", "fr")]
)
def test_another_language_in_the_header_is_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str], tag: str, wanted: str
) -> None:
    path = po(tmp_path / "a.po", 'msgid "a"\nmsgstr "b"\n', HEADER.replace(": es", f": {tag}"))
    message = refusal(path, lambda path: bilingual(path, target=wanted))
    assert f"Language: {tag.partition('.')[0]}" in message
    assert "set target_lang" in message
    (tmp_path / "a.mo").write_bytes(mo([(b"", f"Language: {tag}\n".encode()), (b"a", b"b")]))
    refusal(tmp_path / "a.mo", lambda path: bilingual(path, target=wanted))


@pytest.mark.parametrize(
    "damage",
    [
        'msgid "c\nmsgstr "d"\n',
        'msgid "c"\nmsgstr d\n',
        'msgid "c"\nnonsense\nmsgstr "d"\n',
        'msgstr "d"\n',
        'msgid "c"\n\n',
        'msgctxt "x"\nmsgid "c"\n',
        'msgctxt "x"\nmsgstr "c"\n',
        '"stray"\n',
        'msgid "c"\nmsgstr "d" e\n',
        "msgid 'c'\nmsgstr 'd'\n",
    ],
)
def test_a_damaged_entry_is_one_malformed_row(tmp_path: Path, bilingual: Read, damage: str) -> None:
    good = 'msgid "a"\nmsgstr "b"\n\n'
    rows = bilingual(po(tmp_path / "a.po", good * 3 + damage + "\n" + good * 3))
    assert [row.problem for row in rows] == [None] * 3 + ["malformed"] + [None] * 3
    assert rows[3].detail
    assert rows[3].line == 16


def test_many_damaged_entries_are_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    path = po(tmp_path / "a.po", 'msgid "a\nmsgstr "b"\n\n' * 20)
    assert "20 of 20 rows are malformed" in refusal(path, bilingual)


def test_line_separators_inside_a_text_do_not_end_it(tmp_path: Path, bilingual: Read) -> None:
    path = po(tmp_path / "a.po", 'msgid "a\u2028b\x85c\x0cd"\nmsgstr "e"\n')
    assert bilingual(path) == [Row({"source": "a\u2028b\x85c\x0cd", "target": "e"})]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["a.mo", "a.gmo", "a"])
def test_compiled_catalogues_are_read(
    tmp_path: Path, bilingual: Read, order: str, name: str
) -> None:
    header = (MO_HEADER[0], MO_HEADER[1] + b"Plural-Forms: nplurals=2; plural=n!=1;\n")
    pairs = [header, (b"&File", b"&Archivo"), (b"menu\4Open", b"Abrir"), (b"a\0as", b"b\0bs")]
    path = tmp_path / name
    path.write_bytes(mo([*pairs, (b"c", b"")], order))
    assert format_of(path) == "mo"
    rows = bilingual(path)
    assert [tuple(row.values.values()) for row in rows] == [
        ("&File", "&Archivo"),
        ("Open", "Abrir"),
        ("a", "b"),
        ("as", "bs"),
        ("c", ""),
    ]
    assert [row.unit for row in rows] == [None, "menu", None, None, None]
    assert [row.problem for row in rows] == [None] * 4 + ["untranslated"]


def mo_of_the_system(order: str, name: bytes) -> bytes:
    """An MO file with one entry, ``%<name> dogs`` and its translation ``%<name> perros``."""
    header = struct.pack(f"{order}12I", 0x950412DE, 1, 0, 48, 48, 0, 48, 1, 48, 1, 56, 60)
    texts = [b"%", b" dogs\0", b"%", b" perros\0"]
    start_of_texts = 64 + 2 * 20 + len(name) + 1
    content = header + struct.pack(f"{order}2I", len(name) + 1, 104)
    content += struct.pack(f"{order}2I", 64, 84)
    for number in (0, 2):
        first, last = texts[number : number + 2]
        start = start_of_texts + sum(map(len, texts[:number]))
        content += struct.pack(f"{order}5I", start, len(first), 0, len(last), 0xFFFFFFFF)
    return content + name + b"\0" + b"".join(texts)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("name", "written"), [(b"PRIu64", "<PRIu64>"), (b"I", "I")])
def test_strings_that_depend_on_the_system_are_read(
    tmp_path: Path,
    bilingual: Read,
    refusal: Callable[..., str],
    order: str,
    name: bytes,
    written: str,
) -> None:
    path = tmp_path / "a.mo"
    content = mo_of_the_system(order, name)
    path.write_bytes(content)
    assert bilingual(path) == [Row({"source": f"%{written} dogs", "target": f"%{written} perros"})]
    for n_kept in (40, 60, 80, len(content) - 3):
        path.write_bytes(content[:n_kept])
        assert "damaged (" in refusal(path, bilingual)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:10],
        lambda content: content[:24],
        lambda content: content[:60],
        lambda content: content[:-1],
        lambda content: content[:-20],
        lambda content: content[:4] + b"\x00\x00\x09\x00" + content[8:],
        lambda content: content[:8] + b"\xff\xff\xff\x7f" + content[12:],
        lambda content: content[:28] + b"\xff\xff\xff\xff" + content[32:],
        lambda content: content[:28] + b"\x01\x00\x00\x00" + content[32:],
    ],
)
def test_a_damaged_compiled_catalogue_is_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str], damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.mo"
    path.write_bytes(damage(mo([MO_HEADER, (b"a dog", b"un perro"), (b"b", b"c")])))
    assert "damaged (" in refusal(path, bilingual)
