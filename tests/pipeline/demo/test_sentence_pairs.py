"""Random sentence pairs: well formed, one translation for each, and the same for the same seed."""

from __future__ import annotations

import itertools
import re
import sys
import tracemalloc
from collections import Counter

import pytest

from pipeline.dataset.splits import Split
from pipeline.demo.lexicon import (
    load_lexicon,
)
from pipeline.demo.sentence_pairs import (
    generate_pairs,
)

LEXICON = load_lexicon()


SPLITS: tuple[Split, ...] = ("train", "valid", "test")


PLACEHOLDER = re.compile(r"<ph\d>")


# One drawn sentence for each construction. Each translation was checked by hand.
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("I like cats.", "Me gustan los gatos."),
        ("Do you like cats?", "¿Te gustan los gatos?"),
        ("She is tired.", "Ella está cansada."),
        ("They helped us.", "Ellos nos ayudaron."),
        ("Where is the key?", "¿Dónde está la llave?"),
        ("Who bought the bus?", "¿Quién compró el autobús?"),
        ("Why did you decorate the windows?", "¿Por qué decoraste las ventanas?"),
        ("Open the doors!", "¡Abre las puertas!"),
        ("Please help the brother.", "Ayuda al hermano, por favor."),
        ("I arrived at the library.", "Llegué a la biblioteca."),
        ("She walks to the village.", "Ella camina al pueblo."),
        ("The girl is near the park.", "La chica está cerca del parque."),
        ("There is a map under the sofa.", "Hay un mapa debajo del sofá."),
        ("Yesterday I helped the aunt.", "Ayer ayudé a la tía."),
        ("The poem is easy and I read it.", "El poema es fácil y lo leo."),
        ("The bags are red and I send them.", "Las bolsas son rojas y las envío."),
        (
            "The friend is elegant, but she did not invite him.",
            "El amigo es elegante, pero ella no lo invitó.",
        ),
        (
            "The soups are cold, so she has eaten them.",
            "Las sopas están frías, así que ella las ha comido.",
        ),
        ("<ph3> helps <ph6>.", "<ph3> ayuda a <ph6>."),
        ("She bought <ph3>.", "Ella compró <ph3>."),
        ("<ph9>'s book is cheap.", "El libro de <ph9> es barato."),
        ('The letter "<ph1>" is long.', 'La carta "<ph1>" es larga.'),
    ],
)
def test_drawn_sentences_have_the_expected_translation(
    source: str, target: str, drawn: dict[str, str]
) -> None:
    assert source in drawn, "no longer drawn; choose another sentence of this kind"
    assert drawn[source] == target


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    """English to Spanish of many pairs of every split. Fails if a sentence has two translations."""
    translations: dict[str, str] = {}
    for split in SPLITS:
        n_pairs = 500_000 if split == "train" else 100_000
        for pair in generate_pairs(n_pairs, seed=11, split=split):
            assert translations.setdefault(pair.source, pair.target) == pair.target
    return translations


def test_each_english_sentence_has_one_translation(drawn: dict[str, str]) -> None:
    assert len(drawn) > 200_000


def test_sentences_are_well_formed(drawn: dict[str, str]) -> None:
    for source, target in itertools.islice(drawn.items(), 300_000):
        assert (source[-1], target[-1]) in {(".", "."), ("?", "?"), ("!", "!")}
        assert target.startswith("¿") == source.endswith("?")
        assert target.startswith("¡") == source.endswith("!")
        assert source[0].isupper() or source.startswith("<ph")
        assert target.lstrip("¿¡")[0].isupper() or target.startswith("<ph")
        for text in (source, target):
            assert "  " not in text
            assert text == text.strip()
        assert not re.search(r"\b(a|de) el\b", target, re.IGNORECASE), target
        assert not re.search(r"\ba (?!useful)[aeiou]|\ban (?!honest)[^aeiou]", source.lower()), (
            source
        )


def test_sentences_are_short() -> None:
    lengths = Counter(len(pair.source.split()) for pair in generate_pairs(20_000, seed=2))
    assert max(lengths) <= 16
    assert sum(lengths[n] for n in range(4, 12)) > 0.9 * 20_000


def test_placeholders_are_the_same_on_both_sides() -> None:
    n_with, n_with_two = 0, 0
    for pair in generate_pairs(50_000, seed=3):
        left, right = PLACEHOLDER.findall(pair.source), PLACEHOLDER.findall(pair.target)
        assert sorted(left) == sorted(right)
        assert len(set(left)) == len(left) <= 2
        assert pair.source.count("<") == len(left)
        n_with += bool(left)
        n_with_two += len(left) == 2
    assert 0.04 < n_with / 50_000 < 0.07
    assert n_with_two > 0


def test_every_stem_occurs_often_enough_to_be_learned() -> None:
    counts = Counter(
        word for pair in generate_pairs(20_000, seed=8) for word in re.findall(r"\w+", pair.source)
    )
    for noun in LEXICON.nouns:
        assert sum(counts[form] for form in noun.english) > 60, noun.english
    for adjective in LEXICON.adjectives:
        assert counts[adjective.english] > 60, adjective.english


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_seed_gives_the_same_pairs_for_any_number(split: Split) -> None:
    short = list(generate_pairs(500, seed=9, split=split))
    assert short == list(itertools.islice(generate_pairs(2_000, seed=9, split=split), 500))
    assert short != list(generate_pairs(500, seed=10, split=split))
    assert len(short) == 500


def test_first_pairs_stay_the_same() -> None:
    """Golden pairs: a difference means that datasets made by older versions differ."""
    assert [pair[:2] for pair in generate_pairs(3, seed=1)] == [
        (
            "Does a student like Carmen's bridge?",
            "¿A un estudiante le gusta el puente de Carmen?",
        ),
        ("María fished a lot last week.", "María pescó mucho la semana pasada."),
        (
            "Every morning she chooses his red phone.",
            "Todas las mañanas ella escoge su teléfono rojo.",
        ),
    ]


def test_few_pairs_repeat() -> None:
    assert len({pair.source for pair in generate_pairs(200_000, seed=12)}) > 190_000


def test_memory_does_not_grow_with_the_number_of_pairs() -> None:
    pairs = generate_pairs(10**12, seed=13)
    next(pairs)
    tracemalloc.start()
    for _ in itertools.islice(pairs, 20_000):
        pass
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 200_000


def test_a_pair_takes_few_function_calls() -> None:
    """Counts calls, because a time would depend on the machine. About 65 calls make a pair."""
    pairs = generate_pairs(2_001, seed=14)
    next(pairs)
    n_calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal n_calls
        n_calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        for _ in pairs:
            pass
    finally:
        sys.setprofile(None)
    assert 2_000 < n_calls < 100 * 2_000


def test_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"n_pairs=-1: must be 0 or more"):
        generate_pairs(-1, seed=1)
    with pytest.raises(ValueError, match=r"split='dev': must be one of train, valid, test"):
        generate_pairs(1, seed=1, split="dev")  # type: ignore[arg-type]
    assert list(generate_pairs(0, seed=1)) == []
