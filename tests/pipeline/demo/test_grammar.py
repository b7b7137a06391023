"""The constructions of the demo grammar: English and correct Spanish."""

from __future__ import annotations

import pytest

from pipeline.demo.grammar import (
    BARE,
    DETERMINERS,
    PRONOUNS,
    Clause,
    Determiner,
    Phrase,
    as_object,
    asks_likes,
    both,
    contract,
    described,
    likes,
    name_phrase,
    noun_phrase,
    order,
    owned_phrase,
    pronoun_for,
    question,
    statement,
)
from pipeline.demo.lexicon import (
    FEMININE,
    PLURAL,
    SINGULAR,
    Tense,
    load_lexicon,
)

LEXICON = load_lexicon()


NOUNS = {noun.english[SINGULAR]: noun for noun in LEXICON.nouns}


ADJECTIVES = {adjective.english: adjective for adjective in LEXICON.adjectives}


VERBS = {verb.stem: verb for verb in (*LEXICON.transitive, *LEXICON.intransitive)}


ANA = name_phrase("Ana", FEMININE)


def determiner(english: str, number: int) -> Determiner:
    (match,) = (d for d in DETERMINERS if (d.english, d.number) == (english, number))
    return match


def phrase(text: str, number: int = SINGULAR) -> Phrase:
    """ "the red house" with a singular or plural noun, from the words' English base forms."""
    first, *adjectives, noun = text.split()
    adjective = ADJECTIVES[adjectives[0]] if adjectives else None
    return noun_phrase(NOUNS[noun], determiner(first, number), adjective)


def subject(text: str) -> Phrase:
    return PRONOUNS[text] if text in PRONOUNS else name_phrase(text)


@pytest.mark.parametrize(
    ("text", "number", "english", "spanish"),
    [
        ("the red house", SINGULAR, "the red house", "la casa roja"),
        ("the red house", PLURAL, "the red houses", "las casas rojas"),
        ("a old man", SINGULAR, "an old man", "un hombre viejo"),
        ("many old man", PLURAL, "many old men", "muchos hombres viejos"),
        ("a honest woman", SINGULAR, "an honest woman", "una mujer honesta"),
        ("a useful map", SINGULAR, "a useful map", "un mapa útil"),
        ("a apple", SINGULAR, "an apple", "una manzana"),
        ("these brown pencil", PLURAL, "these brown pencils", "estos lápices marrones"),
        ("that gray knife", SINGULAR, "that gray knife", "ese cuchillo gris"),
        ("our young actress", PLURAL, "our young actresses", "nuestras actrices jóvenes"),
        ("our easy poem", SINGULAR, "our easy poem", "nuestro poema fácil"),
        ("my station", PLURAL, "my stations", "mis estaciones"),
        ("two child", PLURAL, "two children", "dos niños"),
        ("some blue bus", PLURAL, "some blue buses", "unos autobuses azules"),
    ],
)
def test_noun_phrase_agrees(text: str, number: int, english: str, spanish: str) -> None:
    made = phrase(text, number)
    assert (made.english, made.spanish) == (english, spanish)


def test_bare_plural_has_no_article() -> None:
    made = noun_phrase(NOUNS["key"], BARE, ADJECTIVES["new"])
    assert (made.english, made.spanish) == ("new keys", "llaves nuevas")


@pytest.mark.parametrize(
    ("who", "verb", "tense", "negated", "what", "english", "spanish"),
    [
        ("I", "look for", Tense.PAST, False, "the key", "I looked for the key", "busqué la llave"),
        ("she", "carry", Tense.PRESENT, False, "a box", "she carries a box", "ella carga una caja"),
        ("we", "cut", Tense.FUTURE, False, "this cake", "we will cut this cake",
         "cortaremos este pastel"),
        ("they", "cut", Tense.IMPERFECT, False, "the rose", "they were cutting the rose",
         "ellos cortaban la rosa"),
        ("he", "break", Tense.PERFECT, True, "that cup", "he has not broken that cup",
         "él no ha roto esa taza"),
        ("you", "pay for", Tense.PAST, True, "the soup", "you did not pay for the soup",
         "no pagaste la sopa"),
        ("Ana", "read", Tense.WANT, False, "your book", "Ana wants to read your book",
         "Ana quiere leer tu libro"),
        ("Ana", "read", Tense.WANT, True, "your book", "Ana does not want to read your book",
         "Ana no quiere leer tu libro"),
        ("we", "open", Tense.CAN, True, "the door", "we cannot open the door",
         "no podemos abrir la puerta"),
        ("I", "hug", Tense.IMPERFECT, False, "my sister", "I was hugging my sister",
         "abrazaba a mi hermana"),
        ("I", "help", Tense.PAST, False, "the doctor", "I helped the doctor", "ayudé al médico"),
        ("I", "help", Tense.PAST, False, "the nurse", "I helped the nurse",
         "ayudé a la enfermera"),
        ("he", "see", Tense.PAST, False, "the dog", "he saw the dog", "él vio el perro"),
        ("<ph3>", "call", Tense.PRESENT, False, "a woman", "<ph3> calls a woman",
         "<ph3> llama a una mujer"),
    ],
)  # fmt: skip
def test_statement(
    who: str, verb: str, tense: Tense, negated: bool, what: str, english: str, spanish: str
) -> None:
    rest = as_object(phrase(what))
    made = statement(subject(who), VERBS[verb], tense, negated=negated, rest=rest)
    assert made == (english, spanish)


def test_prepositions_contract_with_el_only() -> None:
    assert contract("a", "el parque") == "al parque"
    assert contract("de", "el parque") == "del parque"
    assert contract("cerca de", "el parque") == "cerca del parque"
    assert contract("en", "el parque") == "en el parque"
    assert contract("a", "la casa") == "a la casa"
    assert contract("a", "él") == "a él"
    assert contract("a", "ellos") == "a ellos"


@pytest.mark.parametrize(
    ("noun", "number", "owner", "english", "spanish"),
    [
        ("car", SINGULAR, phrase("the boy"), "the boy's red car", "el coche rojo del chico"),
        ("shirt", PLURAL, phrase("the boy", PLURAL), "the boys' red shirts",
         "las camisas rojas de los chicos"),
        ("shirt", SINGULAR, phrase("the child", PLURAL), "the children's red shirt",
         "la camisa roja de los niños"),
        ("bag", SINGULAR, name_phrase("<ph1>"), "<ph1>'s red bag", "la bolsa roja de <ph1>"),
    ],
)  # fmt: skip
def test_genitive(noun: str, number: int, owner: Phrase, english: str, spanish: str) -> None:
    made = owned_phrase(NOUNS[noun], number, owner, ADJECTIVES["red"])
    assert (made.english, made.spanish) == (english, spanish)


@pytest.mark.parametrize(
    ("antecedent", "pronoun"),
    [
        (phrase("the book"), ("it", "lo")),
        (phrase("the house"), ("it", "la")),
        (phrase("the book", PLURAL), ("them", "los")),
        (phrase("the house", PLURAL), ("them", "las")),
        (phrase("the man"), ("him", "lo")),
        (phrase("the woman"), ("her", "la")),
        (phrase("the woman", PLURAL), ("them", "las")),
    ],
)
def test_object_pronoun_agrees_with_antecedent(
    antecedent: Phrase, pronoun: tuple[str, str]
) -> None:
    assert pronoun_for(antecedent) == pronoun


def test_object_pronoun_stands_before_the_whole_spanish_verb() -> None:
    clitic = pronoun_for(phrase("the door", PLURAL))
    for tense, negated, english, spanish in [
        (Tense.PRESENT, False, "I open them", "las abro"),
        (Tense.PERFECT, True, "I have not opened them", "no las he abierto"),
        (Tense.CAN, False, "I can open them", "las puedo abrir"),
    ]:
        made = statement(PRONOUNS["I"], VERBS["open"], tense, negated=negated, clitic=clitic)
        assert made == (english, spanish)


@pytest.mark.parametrize(
    ("who", "tense", "negated", "liked", "english", "spanish"),
    [
        (PRONOUNS["I"], Tense.PRESENT, False, phrase("the cat", PLURAL), "I like the cats",
         "me gustan los gatos"),
        (PRONOUNS["she"], Tense.PRESENT, False, phrase("the red house"), "she likes the red house",
         "a ella le gusta la casa roja"),
        (PRONOUNS["they"], Tense.PAST, True, phrase("this soup"), "they did not like this soup",
         "a ellos no les gustó esta sopa"),
        (phrase("the boy"), Tense.PAST, False, phrase("my photo", PLURAL),
         "the boy liked my photos", "al chico le gustaron mis fotos"),
        (both(ANA, name_phrase("Hugo")), Tense.FUTURE, False, phrase("the beach"),
         "Ana and Hugo will like the beach", "a Ana y Hugo les gustará la playa"),
        (PRONOUNS["we"], Tense.PRESENT, True, phrase("the museum"), "we do not like the museum",
         "no nos gusta el museo"),
    ],
)  # fmt: skip
def test_likes_agrees_with_the_liked_thing(
    who: Phrase, tense: Tense, negated: bool, liked: Phrase, english: str, spanish: str
) -> None:
    assert likes(who, tense, liked, negated=negated) == (english, spanish)


def test_questions_and_orders() -> None:
    book = as_object(phrase("the book"))
    assert question(ANA, VERBS["buy"], Tense.PAST, rest=book) == (
        "did Ana buy the book",
        "compró Ana el libro",
    )
    assert question(
        PRONOUNS["you"], VERBS["buy"], Tense.PERFECT, rest=book, asked=Clause("why", "por qué")
    ) == ("why have you bought the book", "por qué has comprado el libro")
    assert asks_likes(PRONOUNS["you"], phrase("the dog", PLURAL)) == (
        "do you like the dogs",
        "te gustan los perros",
    )
    assert order(VERBS["close"], as_object(phrase("the window"))) == (
        "close the window",
        "cierra la ventana",
    )
    assert order(VERBS["help"], as_object(phrase("the king")), polite=True) == (
        "please help the king",
        "ayuda al rey, por favor",
    )


def test_the_adjective_decides_on_ser_or_estar() -> None:
    house, men = phrase("the house"), phrase("the man", PLURAL)
    for who, adjective, tense, english, spanish in [
        (house, "modern", Tense.PRESENT, "the house is modern", "la casa es moderna"),
        (house, "dirty", Tense.PAST, "the house was dirty", "la casa estaba sucia"),
        (men, "tired", Tense.FUTURE, "the men will be tired", "los hombres estarán cansados"),
        (ANA, "tall", Tense.PAST, "Ana was tall", "Ana era alta"),
        (PRONOUNS["we"], "happy", Tense.PRESENT, "we are happy", "estamos contentos"),
    ]:
        assert described(who, ADJECTIVES[adjective], tense) == (english, spanish)
    assert described(house, ADJECTIVES["open"], Tense.FUTURE, negated=True) == (
        "the house will not be open",
        "la casa no estará abierta",
    )
