"""Variables, markup and addresses are found whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents.spans import find_spans


def spans(text: str) -> list[str]:
    """The spans of a text."""
    return [text[start:stop] for start, stop in find_spans(text)]


@pytest.mark.parametrize(
    "url",
    [
        "https://en.example.org/wiki/Dog_(animal)",
        "https://x.org/a_(b)_c",
        "https://x.org/a_(b)/(c)?d=[e]&amp;f=1#g",
        "http://[::1]:8080/",
        "www.example.com",
        "https://x.org/{id}/edit?n=%20",
        "https://x.org/?q=$a~b*c",
        "ftp://user:secret@x.org:21/a,b",
        "mailto:me@x.org?subject=a",
        "tel:+1-555-0199",
        "data:image/png;base64,iVBORw0KGgo=",
    ],
)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("See ", " and go."),
        ("See ", ", please."),
        ("(See ", "), then"),
        ("(", ")."),
        ("[", "]!"),
        ("«", "»…"),
        ("'", "'?"),
        ("&lt;", "&gt;."),
        ("", ""),
        ("参照（", "）。"),
        ("见", "。"),
    ],
)
def test_an_address_is_found_without_the_punctuation_after_it(
    before: str, url: str, after: str
) -> None:
    assert url in spans(f"{before}{url}{after}")


@pytest.mark.parametrize("text", ["https:// x", "x://...", "www. x", "and/or 3:2", "note: text"])
def test_what_is_no_address_is_no_span(text: str) -> None:
    assert spans(text) == []


@pytest.mark.parametrize(
    "variable",
    [
        *("{name}", "${name}", "%{name}", "#{name}", "{0}", "{0,number}", "{0,date,short}"),
        *("{{x}}", "{{ x | upper }}", "{{{ x }}}", "${{ x }}", "[[x]]", "{x:>{width}.{n}}"),
        *("%s", "%1$s", "%(x)s", "%<x>05.2f", "%-10s", "%lu", "%.*f", "%1", "%L2", "%n", "%@"),
        *("%%", "%Y", "%USER%", "$t(key)", "$(x)", "$t(a.b, {})"),
        *("<%= x > 1 %>", "<%\nx\n%>", "{% tag %}", "{% tag {a} %}", "{# {a}\n b #}"),
        *("<?php echo '>'; ?>", "<!-- a > b\n{c} -->", "<![CDATA[ <b> ]] > ]]>", "<!DOCTYPE html>"),
        *('<a title="a > b">', "<a\n href='>'\n>", "<b>", "</b>", "<br/>", "<x-y:z a=1 />"),
        *("<a title=it's>", "&nbsp;", "&#39;", "&#x1F600;", "<https://x.org/a>", "<me@x.org>"),
        *("<script>if (a < b) { c(); }</script>", "<code>a <b>c</b></code>", "<PRE>a\nb</pre>"),
        *('<span translate="no">Dog</span>', '<i class="x notranslate">Dog</i>', "[^1]"),
        *("`x = 1`", "``a`b``", "```\na {b}\n```", "~~~~py\n~~~\n~~~~", "```js\n`\n```"),
        *("me@x.org", "andré.x+y@exämple.co.uk", "＜ph0＞", "<ph7>"),
        '{"a": {"b": "c"}}',
    ],
)
def test_a_variable_or_markup_is_one_span(variable: str) -> None:
    assert spans(variable) == [variable]
    assert variable in spans(f"The dog\n{variable}\nplays.")


@pytest.mark.parametrize(
    "message",
    [
        "{count, plural, one {# dog} other {# dogs}}",
        "{ n ,plural, =0 {none} one {# dog} other {# dogs in {place}} }",
        "{n, selectordinal, one {#st} two {#nd} other {#th}}",
        "{g, select, female {{n, plural, one {her dog} other {her dogs}}} other {their dogs}}",
        "{n, plural,\n  one {it''s '{' one}\n  other {don't '}' # more}\n}",
        "{0, choice, 0#none|1#one {x}|1<many}",
    ],
)
def test_a_message_is_one_span(message: str) -> None:
    assert spans(message) == [message]
    assert spans(f"You have {message}, {{name}}.") == [message, "{name}"]


def test_an_open_message_is_no_span() -> None:
    assert spans("{n, plural, one {# dog} other {# dogs}") == ["{# dog}", "{# dogs}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[The dog](https://x.org/a_(b)) plays", ["[", "](https://x.org/a_(b))"]),
        ('![A dog](a.png "The dog")', ["![", '](a.png "The dog")']),
        ("[a [b] c](<x y>)", ["[", "](<x y>)"]),
        ("[![a](b)](c)", ["[", "![", "](b)", "](c)"]),
        ("[a] (b) [c](d e)", []),
        ("it`s a dog`s `life", []),
        ("使用`ls`命令", ["`ls`"]),
        ("$5(approx)", []),
        ("AT&T; R&D; a; b", []),
        ("it`s\na `dog", []),
        ("<!-- open <b>", ["<b>"]),
        ("<script> open", ["<script>"]),
        ("```\nopen", ["```"]),
        ("1 < 2 > 1 <- x", []),
        ("100% sure, 5 % off, 20%discount", []),
        ("$5 and $ x", []),
    ],
)
def test_links_and_open_constructs(text: str, expected: list[str]) -> None:
    assert spans(text) == expected


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *("<!--", "-->", "<a ", '"', "'", ">", "{", "}", "{n, plural, ", "{%", "%}", "`", "``"),
            *("\n", "[", "](", ")", "https://", "a", ".", " ", "<script>", "</script>", "&amp;"),
            *("```\n", "@"),
        ]
    ),
    max_size=25,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(FRAGMENTS)
def test_spans_are_in_order_and_do_not_overlap(text: str) -> None:
    edges = [edge for span in find_spans(text) for edge in span]
    assert edges == sorted(edges)
    assert all(start < stop for start, stop in find_spans(text))
    assert not edges or (edges[0] >= 0 and edges[-1] <= len(text))
