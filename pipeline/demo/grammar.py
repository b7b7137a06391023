"""A small synchronous grammar that builds English sentences with their Spanish translations.

Each function builds both sides of a phrase or sentence from the same choices. So tests, the demo
and the benchmarks have as much parallel text as they need, and nothing to download. The words and
their forms are in ``pipeline/demo/lexicon.py``; ``pipeline/demo/sentence_pairs.py`` makes the
choices at random.

Each English sentence has exactly one translation. If English leaves a choice open, the grammar
always makes the same one: "you" is "tú", "friend" is "amigo", "they" is "ellos", and the speaker
is masculine.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.demo.lexicon import (
    AUXILIARIES,
    BE,
    COPULAS,
    FEMININE,
    FIRST,
    FIRST_PLURAL,
    MASCULINE,
    PLURAL,
    SECOND,
    SINGULAR,
    THIRD,
    THIRD_PLURAL,
    Adjective,
    Noun,
    Tense,
    Verb,
    load_lexicon,
)


class Clause(NamedTuple):
    """Some words in both languages, without a capital letter or a full stop."""

    english: str
    spanish: str


NOTHING = Clause("", "")


class Phrase(NamedTuple):
    """A subject or an object. ``spanish`` is "" for a pronoun that Spanish omits."""

    english: str
    spanish: str
    gender: int
    number: int
    person: int
    is_human: bool = True


class Determiner(NamedTuple):
    """An article or another determiner.

    ``spanish`` is (masculine, feminine). ``weight`` is its frequency relative to the others.
    """

    english: str
    number: int
    spanish: tuple[str, str]
    is_definite: bool
    weight: int


PRONOUNS = {
    "I": Phrase("I", "", MASCULINE, SINGULAR, FIRST),
    "you": Phrase("you", "", MASCULINE, SINGULAR, SECOND),
    "he": Phrase("he", "él", MASCULINE, SINGULAR, THIRD),
    "she": Phrase("she", "ella", FEMININE, SINGULAR, THIRD),
    "we": Phrase("we", "", MASCULINE, PLURAL, FIRST_PLURAL),
    "they": Phrase("they", "ellos", MASCULINE, PLURAL, THIRD_PLURAL),
}

WHO = Phrase("who", "quién", MASCULINE, SINGULAR, THIRD)
CLITICS = {"me": "me", "you": "te", "him": "lo", "her": "la", "us": "nos", "them": "los"}
_EXPERIENCER_CLITICS = ("me", "te", "le", "nos", "les")
_ARTICLES = (("el", "los"), ("la", "las"))
_ACCUSATIVES = (("lo", "los"), ("la", "las"))

DETERMINERS = (
    Determiner("the", SINGULAR, ("el", "la"), True, 18),
    Determiner("the", PLURAL, ("los", "las"), True, 10),
    Determiner("this", SINGULAR, ("este", "esta"), True, 4),
    Determiner("these", PLURAL, ("estos", "estas"), True, 3),
    Determiner("that", SINGULAR, ("ese", "esa"), True, 4),
    Determiner("those", PLURAL, ("esos", "esas"), True, 3),
    *(
        Determiner(english, number, forms[number], True, 2)
        for english, forms in {
            "my": (("mi", "mi"), ("mis", "mis")),
            "your": (("tu", "tu"), ("tus", "tus")),
            "his": (("su", "su"), ("sus", "sus")),
            "her": (("su", "su"), ("sus", "sus")),
            "our": (("nuestro", "nuestra"), ("nuestros", "nuestras")),
            "their": (("su", "su"), ("sus", "sus")),
        }.items()
        for number in (SINGULAR, PLURAL)
    ),
    Determiner("a", SINGULAR, ("un", "una"), False, 12),
    Determiner("some", PLURAL, ("unos", "unas"), False, 3),
    Determiner("many", PLURAL, ("muchos", "muchas"), False, 3),
    Determiner("two", PLURAL, ("dos", "dos"), False, 2),
    Determiner("three", PLURAL, ("tres", "tres"), False, 2),
    Determiner("five", PLURAL, ("cinco", "cinco"), False, 2),
    Determiner("ten", PLURAL, ("diez", "diez"), False, 2),
)

BARE = Determiner("", PLURAL, ("", ""), False, 4)
ALL_OF_A_KIND = Determiner("", PLURAL, ("los", "las"), True, 1)  # "I like cats"
DEFINITE = tuple(determiner for determiner in DETERMINERS if determiner.is_definite)
INDEFINITE = tuple(determiner for determiner in DETERMINERS if not determiner.is_definite)


# Constructions: pure functions of the choices that make a sentence.


def contract(preposition: str, spanish: str) -> str:
    """A Spanish preposition before some words. Contracts a + el = al and de + el = del."""
    if spanish.startswith("el ") and preposition.endswith(("a", "de")):
        return f"{preposition}l {spanish[3:]}"
    return f"{preposition} {spanish}"


def _join(*words: str) -> str:
    return " ".join([word for word in words if word])


def _indefinite_article(next_word: str) -> str:
    # The sound decides, not the spelling: "a useful map", "an honest man".
    return "an" if (next_word[0] in "aeiou") != (next_word in ("useful", "honest")) else "a"


def noun_phrase(noun: Noun, determiner: Determiner, adjective: Adjective | None = None) -> Phrase:
    """A determiner, an optional adjective and a noun, which agree in gender and number."""
    number, gender = determiner.number, noun.gender
    english, spanish = noun.english[number], noun.spanish[number]
    if adjective is not None:
        english = f"{adjective.english} {english}"
        spanish = f"{spanish} {adjective.spanish[gender][number]}"
    if determiner.english:
        article = determiner.english
        if article == "a":
            article = _indefinite_article(english.partition(" ")[0])
        english = f"{article} {english}"
    if determiner.spanish[gender]:
        spanish = f"{determiner.spanish[gender]} {spanish}"
    return Phrase(
        english, spanish, gender, number, THIRD + 2 * number, is_human=noun.group == "person"
    )


def owned_phrase(
    noun: Noun, number: int, owner: Phrase, adjective: Adjective | None = None
) -> Phrase:
    """A noun with its owner: "the boy's red car" = "el coche rojo del chico"."""
    genitive = "'" if owner.number == PLURAL and owner.english.endswith("s") else "'s"
    english = _join(
        owner.english + genitive, adjective.english if adjective else "", noun.english[number]
    )
    spanish = _join(
        _ARTICLES[noun.gender][number],
        noun.spanish[number],
        adjective.spanish[noun.gender][number] if adjective else "",
        contract("de", owner.spanish),
    )
    return Phrase(
        english, spanish, noun.gender, number, THIRD + 2 * number, is_human=noun.group == "person"
    )


def name_phrase(text: str, gender: int = MASCULINE) -> Phrase:
    """A phrase that is the same in both languages: a name or a placeholder."""
    return Phrase(text, text, gender, SINGULAR, THIRD)


def both(first: Phrase, second: Phrase) -> Phrase:
    """Two names as one plural subject. It is feminine only if both names are."""
    return Phrase(
        f"{first.english} and {second.english}",
        f"{first.spanish} y {second.spanish}",
        first.gender & second.gender,
        PLURAL,
        THIRD_PLURAL,
    )


def as_object(phrase: Phrase) -> Clause:
    """The phrase as a direct object. A human one takes the personal "a" in Spanish."""
    spanish = contract("a", phrase.spanish) if phrase.is_human else phrase.spanish
    return Clause(phrase.english, spanish)


def pronoun_for(phrase: Phrase) -> Clause:
    """The object pronoun of an antecedent: "it" = "lo" or "la", "them" = "los" or "las"."""
    if phrase.number == PLURAL:
        english = "them"
    elif phrase.is_human:
        english = ("him", "her")[phrase.gender]
    else:
        english = "it"
    return Clause(english, _ACCUSATIVES[phrase.gender][phrase.number])


def statement(
    subject: Phrase,
    verb: Verb,
    tense: Tense,
    *,
    negated: bool = False,
    rest: Clause = NOTHING,
    clitic: Clause = NOTHING,
) -> Clause:
    """A statement: subject, verb and ``rest``.

    ``clitic`` is an object pronoun. Spanish puts it before the verb, English after it.
    """
    if negated:
        auxiliary = AUXILIARIES[tense][subject.person]
        # English writes "cannot" as one word.
        auxiliary += "not" if tense is Tense.CAN else " not"
        predicate = f"{auxiliary} {verb.after_auxiliary[tense]}"
    else:
        predicate = verb.english[tense][subject.person]
    return Clause(
        _join(subject.english, predicate, clitic.english, rest.english),
        _join(
            subject.spanish,
            "no" if negated else "",
            clitic.spanish,
            verb.spanish[tense][subject.person],
            rest.spanish,
        ),
    )


def question(
    subject: Phrase,
    verb: Verb,
    tense: Tense,
    *,
    rest: Clause = NOTHING,
    asked: Clause = NOTHING,
) -> Clause:
    """A question, with the subject after the verb. ``asked`` is a question word such as "when"."""
    return Clause(
        _join(
            asked.english,
            AUXILIARIES[tense][subject.person],
            subject.english,
            verb.after_auxiliary[tense],
            rest.english,
        ),
        _join(asked.spanish, verb.spanish[tense][subject.person], subject.spanish, rest.spanish),
    )


def _experiencer(subject: Phrase) -> str:
    return contract("a", subject.spanish) if subject.spanish else ""


def likes(subject: Phrase, tense: Tense, liked: Phrase, *, negated: bool = False) -> Clause:
    """ "She likes cats" = "A ella le gustan los gatos". The Spanish verb agrees with the cats."""
    like = load_lexicon().like
    english = statement(subject, like, tense, negated=negated).english
    return Clause(
        f"{english} {liked.english}",
        _join(
            _experiencer(subject),
            "no" if negated else "",
            _EXPERIENCER_CLITICS[subject.person],
            like.spanish[tense][liked.person],
            liked.spanish,
        ),
    )


def asks_likes(subject: Phrase, liked: Phrase) -> Clause:
    """The same as a question: "do you like cats" = "te gustan los gatos"."""
    like = load_lexicon().like
    asked = question(subject, like, Tense.PRESENT, rest=Clause(liked.english, ""))
    return Clause(asked.english, likes(subject, Tense.PRESENT, liked).spanish)


def is_(
    subject: Phrase, copula: str, tense: Tense, complement: Clause, *, negated: bool = False
) -> Clause:
    """Subject, a form of "be", and complement. The Spanish past tense is the imperfect.

    ``copula`` is "ser" or "estar".
    """
    be = BE[tense][subject.person]
    if negated:
        be = "will not be" if tense is Tense.FUTURE else f"{be} not"
    return Clause(
        f"{subject.english} {be} {complement.english}",
        _join(
            subject.spanish,
            "no" if negated else "",
            COPULAS[copula][tense][subject.person],
            complement.spanish,
        ),
    )


def described(
    subject: Phrase, adjective: Adjective, tense: Tense, *, negated: bool = False
) -> Clause:
    """ "The house is clean" = "la casa está limpia". The adjective decides on ser or estar."""
    complement = Clause(adjective.english, adjective.spanish[subject.gender][subject.number])
    return is_(subject, adjective.copula, tense, complement, negated=negated)


def order(verb: Verb, rest: Clause, *, polite: bool = False) -> Clause:
    """An order: "open the door" = "abre la puerta"."""
    english = f"{verb.stem} {rest.english}"
    spanish = f"{verb.spanish[Tense.PRESENT][THIRD]} {rest.spanish}"
    return (
        Clause(f"please {english}", f"{spanish}, por favor") if polite else Clause(english, spanish)
    )
