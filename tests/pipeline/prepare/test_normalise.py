"""The normalised form of a sentence."""

from __future__ import annotations

import pytest

from tests.pipeline.prepare.normalised import normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "helloworld"),
        ("  hello\tWORLD ", "helloworld"),
        ("hello-world", "helloworld"),
        ("helloworld", "helloworld"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("cafe\u0301", "café"),
        ("ﬁne", "fine"),
        ("ＡＢＣ１", "abc1"),
        ("¿Qué?", "qué"),
        ("x\u2028y", "xy"),
        ("1,000.5", "10005"),
        ("...", "..."),
        ("?!", "?!"),
        ("😀", "😀"),
        ("e-mail", "email"),
        ("Don't", "dont"),
        ("我们 下午 见面。", "我们下午见面"),
        ("？ !", "?!"),
        ("exam\u00adple", "example"),
        ("zero\u200bwidth \ufeffbom", "zerowidthbom"),
        ("می\u200cخواهم", "میخواهم"),
        ("\u202bשלום\u202c", "שלום"),
        ("❤\ufe0f", "❤"),
        ("...\u200b", "..."),
        ("\u200b", ""),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(normalise(text)) == expected


def test_vowel_signs_distinguish_sentences() -> None:
    assert normalise("राम का घर") != normalise("राम की घर")
