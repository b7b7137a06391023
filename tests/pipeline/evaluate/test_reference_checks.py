"""Warnings of references in another form than the translations."""

from __future__ import annotations

import pytest

from pipeline.evaluate.reference_checks import reference_warnings

PLAIN = [f"El niño número {n} vio a María, pero no dijo nada." for n in range(30)]
FRENCH = [f"Où est Paul\u202f? demanda Marie numéro {n} : personne ne répond !" for n in range(30)]
JAPANESE = [f"{n}番の少年は何も言いませんでした。" for n in range(30)]


@pytest.mark.parametrize("texts", [PLAIN, FRENCH, JAPANESE, ["", "."] * 20, []])
def test_references_in_the_form_of_the_translations_give_no_warning(texts: list[str]) -> None:
    assert reference_warnings(texts, texts) == []


def tokenised(text: str) -> str:
    return text.replace(",", " ,").replace(".", " .")


def escaped(text: str) -> str:
    return text.replace("ñ", "&apos;").replace("número ", "número @-@ ")


def cut(text: str) -> str:
    return text.replace("niño", "ni@@ ño")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (tokenised, "look tokenised"),
        (escaped, "look escaped"),
        (cut, "look escaped or cut"),
        (str.lower, "look lower-cased"),
    ],
)
def test_references_in_another_form_give_a_warning(change: object, expected: str) -> None:
    assert callable(change)
    changed = list(map(change, PLAIN))
    (warning,) = reference_warnings(PLAIN, changed)
    assert warning.startswith(f"100% of the references {expected}")
    # If the translations have the form too, the references are right.
    assert reference_warnings(changed, changed) == []


def test_a_few_odd_references_give_no_warning() -> None:
    odd = [*map(tokenised, PLAIN[:10]), *PLAIN[10:]]
    assert reference_warnings(PLAIN, odd) == []
