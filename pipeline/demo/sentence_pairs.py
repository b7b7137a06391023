"""Draws random sentence pairs of the demo grammar. The same seed gives the same pairs.

This module makes the choices and sets how often each is made. The constructions are in
``pipeline/demo/grammar.py``. Some combinations of a verb and an object noun are held out of the
training split, for validation and test.

Run: ``python -m pipeline.demo.sentence_pairs``
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from pipeline.dataset.splits import SPLITS, Split
from pipeline.demo.grammar import (
    ALL_OF_A_KIND,
    BARE,
    CLITICS,
    DEFINITE,
    DETERMINERS,
    INDEFINITE,
    NOTHING,
    PRONOUNS,
    WHO,
    Clause,
    Determiner,
    Phrase,
    as_object,
    asks_likes,
    both,
    contract,
    described,
    is_,
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
    BE,
    COPULAS,
    FIRST,
    FIRST_PLURAL,
    PLURAL,
    SECOND,
    SINGULAR,
    Adjective,
    Noun,
    Tense,
    Verb,
    load_lexicon,
)

_T = TypeVar("_T")
_Owner = TypeVar("_Owner")


class SentencePair(NamedTuple):
    """One sentence in both languages.

    Args:
        source: the English sentence.
        target: the Spanish sentence.
        combination: the sentence's verb and object noun, such as "buy+book", or "" if it has none.
            No sentence has two.
    """

    source: str
    target: str
    combination: str


# The share of combinations that only "valid" has. "test" has as many of its own.
_HELD_OUT_PERCENT = 5

_TENSE_WEIGHTS = {
    Tense.PRESENT: 30,
    Tense.PAST: 25,
    Tense.FUTURE: 14,
    Tense.IMPERFECT: 9,
    Tense.PERFECT: 10,
    Tense.WANT: 4,
    Tense.CAN: 3,
    Tense.MUST: 3,
    Tense.NEED: 2,
}

_LIKE_TENSES = (Tense.PRESENT,) * 5 + (Tense.PAST,) * 2 + (Tense.FUTURE,)
_BE_TENSES = (Tense.PRESENT,) * 5 + (Tense.PAST,) * 3 + (Tense.FUTURE,)

_PLACINGS = (
    Clause("on", "en"),
    Clause("under", "debajo de"),
    Clause("behind", "detrás de"),
    Clause("next to", "al lado de"),
)

_NEAR = Clause("near", "cerca de")
_PORTABLE = {"small", "text", "device", "clothes", "lidded", "dish", "food", "linen"}
_PLACEABLE = {"person", "animal", "vehicle", *_PORTABLE}
_LINKS = (*(Clause(" and", " y"),) * 2, Clause(", but", ", pero"), Clause(", so", ", así que"))


def combination_split(combination: str) -> Split:
    """The split that a combination of verb and object noun, such as "buy+book", belongs to."""
    digest = hashlib.sha256(combination.encode()).digest()
    percent = int.from_bytes(digest[:8], "big") % 100
    if percent < _HELD_OUT_PERCENT:
        return "test"
    return "valid" if percent < 2 * _HELD_OUT_PERCENT else "train"


def _name_combination(verb: Verb, noun: Noun) -> str:
    return f"{verb.stem}+{noun.english[SINGULAR]}"


def _objects(verb: Verb, split: Split) -> tuple[Noun, ...]:
    return tuple(
        noun
        for noun in load_lexicon().nouns
        if noun.group in verb.groups and combination_split(_name_combination(verb, noun)) == split
    )


def _weighted(determiners: Sequence[Determiner]) -> tuple[Determiner, ...]:
    """Each determiner, repeated by its weight."""
    return tuple(
        itertools.chain(*((determiner,) * determiner.weight for determiner in determiners))
    )


def _evened(options: Mapping[_Owner, Sequence[_T]]) -> dict[_Owner, tuple[_T, ...]]:
    """Each owner's options. Options that few owners have are repeated, to be drawn more often."""
    shares: defaultdict[_T, float] = defaultdict(float)
    for owned in options.values():
        for option in owned:
            shares[option] += 1 / len(owned)
    mean = sum(shares.values()) / len(shares)
    n_copies = {
        option: max(1, min(12, round(3 * mean / share))) for option, share in shares.items()
    }
    return {
        owner: tuple(itertools.chain(*((option,) * n_copies[option] for option in owned)))
        for owner, owned in options.items()
    }


class _Sampler:
    """Draws the sentences of one split. Each kind of sentence has a method that draws one."""

    def __init__(self, seed: int, split: Split) -> None:
        lexicon = load_lexicon()
        # A string is hashed with SHA-512, so splits and neighbouring seeds are unrelated.
        self._random = random.Random(f"{split}/{seed}").random
        self._nouns = {
            group: tuple(noun for noun in lexicon.nouns if noun.group == group)
            for group in {noun.group for noun in lexicon.nouns}
        }
        self._people = self._nouns["person"]
        self._places = self._nouns["room"] + self._nouns["place"]
        self._portable = tuple(noun for noun in lexicon.nouns if noun.group in _PORTABLE)
        self._placeable = tuple(noun for noun in lexicon.nouns if noun.group in _PLACEABLE)
        self._names = tuple(name_phrase(name.text, name.gender) for name in lexicon.names)
        self._pronouns = tuple(PRONOUNS.values())
        self._all_nouns = lexicon.nouns
        self._intransitive = lexicon.intransitive
        self._for_people = tuple(verb for verb in lexicon.transitive if "person" in verb.groups)
        self._only_for_people = tuple(v for v in self._for_people if v.groups == {"person"})
        self._never_for_people = tuple(v for v in lexicon.transitive if v not in self._for_people)
        self._tenses = {
            verb: tuple(
                itertools.chain(
                    *((t,) * weight for t, weight in _TENSE_WEIGHTS.items() if t in verb.tenses)
                )
            )
            for verb in lexicon.transitive + lexicon.intransitive
        }
        objects = {verb: _objects(verb, split) for verb in lexicon.transitive}
        self._objects = _evened({verb: nouns for verb, nouns in objects.items() if nouns})
        self._adjectives = _evened({noun: noun.adjectives for noun in lexicon.nouns})
        self._verbs = tuple(self._objects)
        self._times, self._manners = lexicon.times, lexicon.manners
        self._gaits = lexicon.gaits
        self._readers = tuple(
            verb
            for verb in self._verbs
            if any(noun.group == "text" for noun in self._objects[verb])
        )
        self._liked = _objects(lexicon.like, split)
        self._definite = _weighted(DEFINITE)
        self._definite_singular = tuple(d for d in self._definite if d.number == SINGULAR)
        self._indefinite = _weighted(INDEFINITE)
        self._any = _weighted(DETERMINERS)
        self._any_or_bare = _weighted((*DETERMINERS, BARE))
        # Each kind of sentence with its weight. These have a combination.
        kinds: dict[Callable[[], SentencePair], int] = {
            self._transitive: 36,
            self._pronoun_after_antecedent: 10,
            self._likes: 8,
            self._asks: 5,
            self._asks_when: 2,
            self._asks_who: 2,
            self._order: 3,
            self._placeholder_with_combination: 3,
        }
        if split == "train":  # these have none
            kinds |= {
                self._intransitive_clause: 15,
                self._described: 8,
                self._located: 5,
                self._object_pronoun: 5,
                self._asks_where: 2,
                self._placeholder_without_combination: 3,
            }
        self._kinds = tuple(kind for kind, weight in kinds.items() for _ in range(weight))

    def draw(self) -> SentencePair:
        """Draw one sentence of a random kind."""
        return self._pick(self._kinds)()

    # Choices and parts of sentences.

    def _pick(self, options: Sequence[_T]) -> _T:
        return options[int(self._random() * len(options))]

    def _chance(self, share: float) -> bool:
        return self._random() < share

    def _adjective(self, noun: Noun, share: float) -> Adjective | None:
        return self._pick(self._adjectives[noun]) if self._random() < share else None

    def _noun_phrase(
        self, noun: Noun, determiners: Sequence[Determiner], adjective_share: float = 0.3
    ) -> Phrase:
        return noun_phrase(noun, self._pick(determiners), self._adjective(noun, adjective_share))

    def _owned(self, noun: Noun, adjective_share: float) -> Phrase:
        owner = self._pick(self._names)
        if self._chance(0.5):
            owner = self._noun_phrase(self._pick(self._people), self._definite, 0.0)
        number = PLURAL if self._chance(0.3) else SINGULAR
        return owned_phrase(noun, number, owner, self._adjective(noun, adjective_share))

    def _known(self, noun: Noun, adjective_share: float = 0.0) -> Phrase:
        """A definite phrase, for the subject of "be" and the object of "like"."""
        if self._chance(0.15):
            return self._owned(noun, adjective_share)
        return self._noun_phrase(noun, self._definite, adjective_share)

    def _object(self, noun: Noun, *, negated: bool = False) -> Phrase:
        if self._chance(0.08):
            return self._owned(noun, 0.2)
        if negated:
            return self._noun_phrase(noun, self._definite)
        is_human = noun.group == "person"
        return self._noun_phrase(noun, self._any if is_human else self._any_or_bare)

    def _subject(self) -> Phrase:
        kind = self._random()
        if kind < 0.45:
            return self._pick(self._pronouns)
        if kind < 0.7:
            return self._pick(self._names)
        if kind < 0.75:
            return both(*self._two(self._names))
        return self._noun_phrase(self._pick(self._people), self._any, 0.25)

    def _two(self, options: Sequence[_T]) -> tuple[_T, _T]:
        first = int(self._random() * len(options))
        step = 1 + int(self._random() * (len(options) - 1))
        return options[first], options[(first + step) % len(options)]

    def _verb_and_noun(self) -> tuple[Verb, Noun]:
        verb = self._pick(self._verbs)
        return verb, self._pick(self._objects[verb])

    def _tense(self, verb: Verb) -> Tense:
        return self._pick(self._tenses[verb])

    def _tense_to_ask(self, verb: Verb) -> Tense:
        tense = self._tense(verb)
        # "Must you buy it?" sounds annoyed, not curious.
        return Tense.PRESENT if tense is Tense.MUST else tense

    def _with_time(self, clause: Clause, verb: Verb, tense: Tense) -> Clause:
        if verb.is_stative or self._chance(0.6):
            return clause
        english, spanish = self._pick(self._times[tense])
        if self._chance(0.3):
            return Clause(f"{english} {clause.english}", f"{spanish} {clause.spanish}")
        return Clause(f"{clause.english} {english}", f"{clause.spanish} {spanish}")

    def _titled(self, noun: Noun, title: Phrase) -> Phrase:
        phrase, quoted = self._noun_phrase(noun, self._definite_singular, 0.0), f'"{title.english}"'
        return phrase._replace(
            english=f"{phrase.english} {quoted}", spanish=f"{phrase.spanish} {quoted}"
        )

    def _at(self, preposition: Clause, noun: Noun) -> Clause:
        phrase = self._noun_phrase(noun, self._definite_singular, 0.1)
        return Clause(
            f"{preposition.english} {phrase.english}", contract(preposition.spanish, phrase.spanish)
        )

    def _somewhere(self) -> Clause:
        noun = self._pick(self._places)
        return self._at(_NEAR if self._chance(0.3) else Clause(noun.preposition, "en"), noun)

    # Kinds of sentences with a combination.

    def _transitive(self, subject: Phrase | None = None) -> SentencePair:
        verb, noun = self._verb_and_noun()
        tense, negated = self._tense(verb), self._chance(0.15)
        clause = statement(
            subject or self._subject(),
            verb,
            tense,
            negated=negated,
            rest=as_object(self._object(noun, negated=negated)),
        )
        return _told(self._with_time(clause, verb, tense), _name_combination(verb, noun))

    def _pronoun_after_antecedent(self) -> SentencePair:
        verb, noun = self._verb_and_noun()
        antecedent = self._known(noun)
        first = described(antecedent, self._pick(self._adjectives[noun]), Tense.PRESENT)
        link = self._pick(_LINKS)
        then = statement(
            self._subject(),
            verb,
            self._tense(verb),
            negated=self._chance(0.15),
            clitic=pronoun_for(antecedent),
        )
        clause = Clause(
            f"{first.english}{link.english} {then.english}",
            f"{first.spanish}{link.spanish} {then.spanish}",
        )
        return _told(clause, _name_combination(verb, noun))

    def _likes(self, subject: Phrase | None = None) -> SentencePair:
        noun = self._pick(self._liked)
        liked = self._known(noun, 0.3)
        if self._chance(0.4):
            liked = noun_phrase(noun, ALL_OF_A_KIND, self._adjective(noun, 0.3))
        subject = subject or self._subject()
        combination = _name_combination(load_lexicon().like, noun)
        if self._chance(0.15):
            return _asked(asks_likes(subject, liked), combination)
        tense = self._pick(_LIKE_TENSES)
        return _told(likes(subject, tense, liked, negated=self._chance(0.2)), combination)

    def _asks(self) -> SentencePair:
        return self._asks_when(NOTHING)

    def _asks_when(self, asked: Clause | None = None) -> SentencePair:
        verb, noun = self._verb_and_noun()
        tense = self._tense_to_ask(verb)
        if asked is None:
            asked = self._pick((Clause("when", "cuándo"), Clause("why", "por qué")))
            if tense not in (Tense.PAST, Tense.FUTURE):  # no "when have you bought it"
                tense = Tense.PRESENT
        rest = as_object(self._object(noun))
        clause = question(self._subject(), verb, tense, rest=rest, asked=asked)
        return _asked(clause, _name_combination(verb, noun))

    def _asks_who(self) -> SentencePair:
        verb, noun = self._verb_and_noun()
        rest = as_object(self._object(noun))
        clause = statement(WHO, verb, self._tense_to_ask(verb), rest=rest)
        return _asked(clause, _name_combination(verb, noun))

    def _order(self) -> SentencePair:
        verb, noun = self._verb_and_noun()
        while verb.is_stative:
            verb, noun = self._verb_and_noun()
        polite = self._chance(0.4)
        clause = order(verb, as_object(self._object(noun)), polite=polite)
        combination = _name_combination(verb, noun)
        return _told(clause, combination) if polite else _ordered(clause, combination)

    def _placeholder_with_combination(self) -> SentencePair:
        first, second = self._two(_PLACEHOLDERS)
        kind = self._random()
        if kind < 0.35:
            return self._transitive(first)
        if kind < 0.5:
            return self._transitive(both(first, second))
        if kind < 0.65 or not self._readers:
            return self._likes(first)
        verb = self._pick(self._readers)
        noun = self._pick([n for n in self._objects[verb] if n.group == "text"])
        tense = self._tense(verb)
        rest = as_object(self._titled(noun, first))
        clause = statement(self._subject(), verb, tense, rest=rest)
        return _told(self._with_time(clause, verb, tense), _name_combination(verb, noun))

    # Kinds of sentences without a combination.

    def _intransitive_clause(self, subject: Phrase | None = None) -> SentencePair:
        verb = self._pick(self._intransitive)
        if subject is None:
            subject = self._subject()
            if "animal" in verb.groups and self._chance(0.3):
                animal = self._pick(self._nouns["animal"])
                subject = self._noun_phrase(animal, self._any, 0.2)
        tense = self._tense(verb)
        rest = NOTHING
        if verb.towards:  # no place, because "arrive at" would have two translations
            rest = Clause(*self._pick(self._gaits))
            if self._chance(0.6):
                rest = self._at(Clause(verb.towards, "a"), self._pick(self._places))
        elif verb.is_stative or self._chance(0.5):
            rest = self._somewhere()
        elif self._chance(0.4):
            rest = Clause(*self._pick(self._manners))
        clause = statement(subject, verb, tense, negated=self._chance(0.15), rest=rest)
        return _told(self._with_time(clause, verb, tense))

    def _described(self) -> SentencePair:
        noun = self._pick(self._all_nouns)
        subject = self._known(noun)
        if noun.group == "person" and self._chance(0.7):
            subject = self._pick(self._pronouns if self._chance(0.5) else self._names)
        adjective, tense = self._pick(self._adjectives[noun]), self._pick(_BE_TENSES)
        return _told(described(subject, adjective, tense, negated=self._chance(0.15)))

    def _located(self) -> SentencePair:
        if self._chance(0.4):
            noun = self._pick(self._portable)
            where = self._at(self._pick(_PLACINGS), self._pick(self._nouns["furniture"]))
        else:
            noun, where = self._pick(self._placeable), self._somewhere()
        tense = self._pick((Tense.PRESENT, Tense.PRESENT, Tense.PAST))
        if self._chance(0.6):
            return _told(is_(self._known(noun, 0.15), "estar", tense, where))
        phrase = self._noun_phrase(noun, self._indefinite, 0.2)
        be, hay = BE[tense][phrase.person], {Tense.PRESENT: "hay", Tense.PAST: "había"}[tense]
        english = f"there {be} {phrase.english} {where.english}"
        return _told(Clause(english, f"{hay} {phrase.spanish} {where.spanish}"))

    def _object_pronoun(self) -> SentencePair:
        verb, subject = self._pick(self._for_people), self._subject()
        english = self._pick(tuple(CLITICS))
        same_persons: set[int] = set()
        if english in ("me", "us"):
            same_persons = {FIRST, FIRST_PLURAL}
        elif english == "you":
            same_persons = {SECOND}
        while subject.person in same_persons:  # no "I see me"
            subject = self._subject()
        tense = self._tense(verb)
        clitic = Clause(english, CLITICS[english])
        clause = statement(subject, verb, tense, negated=self._chance(0.2), clitic=clitic)
        return _told(self._with_time(clause, verb, tense))

    def _asks_where(self) -> SentencePair:
        subject = self._known(self._pick(self._all_nouns), 0.15)
        tense = self._pick((Tense.PRESENT, Tense.PRESENT, Tense.PAST))
        be, estar = BE[tense][subject.person], COPULAS["estar"][tense][subject.person]
        clause = Clause(f"where {be} {subject.english}", f"dónde {estar} {subject.spanish}")
        return _asked(clause)

    def _placeholder_without_combination(self) -> SentencePair:
        first, second = self._two(_PLACEHOLDERS)
        kind = self._random()
        if kind < 0.2:
            return self._intransitive_clause(first)
        if kind < 0.3:
            return self._intransitive_clause(both(first, second))
        if kind < 0.5:
            noun = self._pick(self._all_nouns)
            owned = owned_phrase(noun, SINGULAR, first)
            adjective, tense = self._pick(self._adjectives[noun]), self._pick(_BE_TENSES)
            return _told(described(owned, adjective, tense))
        if kind < 0.65:
            noun = self._pick(self._nouns["text"])
            adjective = self._pick(self._adjectives[noun])
            return _told(described(self._titled(noun, first), adjective, Tense.PRESENT))
        subject = second if kind < 0.8 else self._subject()
        is_human = self._chance(0.5)
        verb = self._pick(self._only_for_people if is_human else self._never_for_people)
        tense = self._tense(verb)
        rest = as_object(first._replace(is_human=is_human))
        clause = statement(subject, verb, tense, negated=self._chance(0.15), rest=rest)
        return _told(self._with_time(clause, verb, tense))


_PLACEHOLDERS = tuple(name_phrase(f"<ph{digit}>") for digit in range(10))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _told(clause: Clause, combination: str = "") -> SentencePair:
    return SentencePair(f"{_capital(clause.english)}.", f"{_capital(clause.spanish)}.", combination)


def _asked(clause: Clause, combination: str = "") -> SentencePair:
    return SentencePair(
        f"{_capital(clause.english)}?", f"¿{_capital(clause.spanish)}?", combination
    )


def _ordered(clause: Clause, combination: str) -> SentencePair:
    return SentencePair(
        f"{_capital(clause.english)}!", f"¡{_capital(clause.spanish)}!", combination
    )


def generate_pairs(n_pairs: int, *, seed: int, split: Split = "train") -> Iterator[SentencePair]:
    """Draw ``n_pairs`` random sentence pairs, as a stream.

    The same seed gives the same pairs, and a longer stream starts with the pairs of a shorter one.
    Pairs may repeat, as in any corpus. Training pairs never have a held-out combination of verb and
    object noun; each pair of "valid" or "test" has one that is held out for that split. About 5 %
    of the pairs have one or two of the placeholders ``<ph0>`` to ``<ph9>``, the same on both sides.

    Args:
        n_pairs: the number of pairs.
        seed: the seed of all choices.
        split: the split that the pairs are for.

    Raises:
        ValueError: ``n_pairs`` is negative, or there is no such split.
    """
    if n_pairs < 0:
        raise ValueError(f"n_pairs={n_pairs}: must be 0 or more")
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: must be one of {', '.join(SPLITS)}")
    sampler = _Sampler(seed, split)
    return (sampler.draw() for _ in range(n_pairs))


if __name__ == "__main__":
    for pair in generate_pairs(20, seed=1):
        print(f"{pair.source}\n    {pair.target}")
