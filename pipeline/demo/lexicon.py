"""The words of the demo grammar, and the rules that inflect them.

The tables hold the base forms and what is irregular. :func:`load_lexicon` returns every word with
all the forms that ``pipeline/demo/grammar.py`` needs.

Run: ``python -c "from pipeline.demo.lexicon import load_lexicon; print(load_lexicon().nouns[0])"``
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import IntEnum

MASCULINE, FEMININE = 0, 1
SINGULAR, PLURAL = 0, 1

# The persons of a conjugation: I, you (tú), he/she/it, we, they.
FIRST, SECOND, THIRD, FIRST_PLURAL, THIRD_PLURAL = range(5)


class Tense(IntEnum):
    """The index of a tense, or of a modal verb with an infinitive, in a verb's forms."""

    PRESENT = 0
    PAST = 1  # simple past = preterite
    FUTURE = 2
    IMPERFECT = 3  # "was buying" = "compraba"
    PERFECT = 4
    WANT = 5
    NEED = 6
    CAN = 7
    MUST = 8


@dataclass(frozen=True, slots=True, eq=False)
class Adjective:
    """An adjective. ``spanish`` is indexed [gender][number]; ``copula`` is "ser" or "estar"."""

    english: str
    spanish: tuple[tuple[str, str], tuple[str, str]]
    copula: str


@dataclass(frozen=True, slots=True, eq=False)
class Noun:
    """A noun.

    Args:
        english: (singular, plural).
        spanish: (singular, plural).
        gender: ``MASCULINE`` or ``FEMININE``.
        group: the group of nouns that it belongs to; a key of ``NOUNS``.
        preposition: the English preposition of a place, for the Spanish "en".
        adjectives: the adjectives that may describe it.
    """

    english: tuple[str, str]
    spanish: tuple[str, str]
    gender: int
    group: str
    preposition: str
    adjectives: tuple[Adjective, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Verb:
    """A conjugated verb.

    Args:
        stem: the English base form with its particle, such as "look for".
        english: forms, indexed [tense][person].
        after_auxiliary: English forms after an auxiliary ("did not BUY"), indexed [tense].
        spanish: forms, indexed [tense][person].
        groups: the groups of nouns that may be its object. For an intransitive verb, its subject.
        tenses: the tenses that it may have.
        is_stative: whether it takes no time phrase and no imperative.
        towards: the English preposition of its goal; "" unless it is a verb of motion.
    """

    stem: str
    english: tuple[tuple[str, ...], ...]
    after_auxiliary: tuple[str, ...]
    spanish: tuple[tuple[str, ...], ...]
    groups: frozenset[str]
    tenses: frozenset[Tense]
    is_stative: bool
    towards: str


@dataclass(frozen=True, slots=True)
class Name:
    """A given name. It is the same in both languages."""

    text: str
    gender: int


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every word of the grammar with all its forms.

    Args:
        nouns: all nouns.
        adjectives: all adjectives.
        transitive: verbs with an object.
        intransitive: verbs without an object.
        like: the verb "like", whose Spanish subject is the liked thing.
        names: given names.
        times: (English, Spanish) time phrases for each tense.
        manners: (English, Spanish) adverbs for any intransitive verb.
        gaits: (English, Spanish) adverbs for verbs of motion.
    """

    nouns: tuple[Noun, ...]
    adjectives: tuple[Adjective, ...]
    transitive: tuple[Verb, ...]
    intransitive: tuple[Verb, ...]
    like: Verb
    names: tuple[Name, ...]
    times: dict[Tense, tuple[tuple[str, str], ...]]
    manners: tuple[tuple[str, str], ...]
    gaits: tuple[tuple[str, str], ...]


# Group of nouns -> "english[/plural] = el|la spanish". The article shows the gender.
# Not included: feminine nouns that begin with a stressed a ("el agua"), and mass nouns.
NOUNS = {
    "person": """
        man/men = el hombre; woman/women = la mujer; boy = el chico; girl = la chica;
        child/children = el niño; baby = el bebé; friend = el amigo; teacher = el profesor;
        doctor = el médico; nurse = la enfermera; student = el estudiante; neighbor = el vecino;
        brother = el hermano; sister = la hermana; soldier = el soldado; farmer = el granjero;
        daughter = la hija; uncle = el tío; aunt = la tía; grandmother = la abuela;
        singer = el cantante; lawyer = el abogado; waiter = el camarero;
        writer = el escritor; actress = la actriz; queen = la reina; king = el rey""",
    "animal": """
        dog = el perro; cat = el gato; horse = el caballo; cow = la vaca; bird = el pájaro;
        rabbit = el conejo; mouse/mice = el ratón; wolf/wolves = el lobo; lion = el león;
        turtle = la tortuga; monkey = el mono""",
    "food": """
        apple = la manzana; orange = la naranja; banana = el plátano;
        peach = el melocotón; strawberry = la fresa; lemon = el limón; onion = la cebolla;
        tomato/tomatoes = el tomate; potato/potatoes = la patata; egg = el huevo;
        cake = el pastel; cookie = la galleta; sandwich = el bocadillo; soup = la sopa""",
    "text": """
        book = el libro; letter = la carta; newspaper = el periódico; magazine = la revista;
        poem = el poema; novel = la novela; story = el cuento; message = el mensaje;
        report = el informe; article = el artículo; note = la nota""",
    "clothes": """
        shirt = la camisa; dress = el vestido; hat = el sombrero; coat = el abrigo;
        shoe = el zapato; jacket = la chaqueta; sock = el calcetín;
        glove = el guante; scarf/scarves = la bufanda; boot = la bota""",
    "small": """
        key = la llave; pencil = el lápiz; pen = el bolígrafo; knife/knives = el cuchillo;
        spoon = la cuchara; fork = el tenedor; photo = la foto; ball = la pelota;
        gift = el regalo; map = el mapa""",
    "device": """
        clock = el reloj; lamp = la lámpara; mirror = el espejo; camera = la cámara;
        phone = el teléfono; doll = la muñeca; toy = el juguete""",
    "linen": "blanket = la manta; pillow = la almohada; towel = la toalla",
    "lidded": """
        box = la caja; bag = la bolsa; bottle = la botella; basket = la cesta;
        suitcase = la maleta""",
    "dish": "glass = el vaso; cup = la taza; plate = el plato",
    "furniture": """
        table = la mesa; chair = la silla; bed = la cama; sofa = el sofá;
        desk = el escritorio; shelf/shelves = el estante""",
    "opening": "door = la puerta; window = la ventana; drawer = el cajón",
    "vehicle": """
        car = el coche; bicycle = la bicicleta; boat = el barco; train = el tren;
        bus = el autobús; truck = el camión""",
    "plant": "tree = el árbol; flower = la flor; rose = la rosa",
    "room": """
        house = la casa; kitchen = la cocina; room = la habitación; office = la oficina;
        shop = la tienda; school = la escuela; church = la iglesia; library = la biblioteca;
        hotel = el hotel; museum = el museo; restaurant = el restaurante;
        theater = el teatro""",
    "place": """
        city = la ciudad; village = el pueblo; park = el parque; garden = el jardín;
        beach = la playa; bridge = el puente; street = la calle; square = la plaza;
        forest = el bosque; island = la isla; castle = el castillo; market = el mercado;
        station = la estación; mountain = la montaña; farm = la granja""",
}

# Nouns of places that take another English preposition than "in".
_ON = "beach bridge island mountain farm"
_AT = "station market"
_GOODS = "clothes small device linen lidded dish furniture vehicle"
_THINGS = f"{_GOODS} text opening plant food"

# (copula, groups of nouns that it describes, "english = masculine[/plural]; ...").
ADJECTIVES = (
    (
        "ser",
        f"{_THINGS} person animal room place",
        "big = grande; small = pequeño; ugly = feo; beautiful = hermoso; strange = extraño",
    ),
    ("ser", "person animal room place vehicle furniture clothes", "old = viejo"),
    ("ser", f"{_GOODS} text opening room", "new = nuevo"),
    ("ser", f"{_GOODS} text food", "cheap = barato; expensive = caro"),
    (
        "ser",
        f"{_GOODS} opening",
        "red = rojo; blue = azul; green = verde; white = blanco; black = negro;"
        "yellow = amarillo; gray = gris; brown = marrón",
    ),
    ("ser", "small device linen lidded furniture", "heavy = pesado; light = ligero"),
    ("ser", "device vehicle furniture room", "modern = moderno"),
    ("ser", "text", "long = largo; short = corto"),
    ("ser", "text room place", "interesting = interesante; boring = aburrido"),
    ("ser", "text", "difficult = difícil; easy = fácil"),
    ("ser", "text device small", "useful = útil"),
    ("ser", "text person room", "important = importante; famous = famoso"),
    (
        "ser",
        "person",
        "young = joven/jóvenes; tall = alto; rich = rico; poor = pobre; kind = amable;"
        "honest = honesto; intelligent = inteligente",
    ),
    ("ser", "person clothes", "elegant = elegante"),
    ("ser", "person animal", "strong = fuerte; lazy = perezoso"),
    ("ser", "animal place", "dangerous = peligroso"),
    ("ser", "animal vehicle", "fast = rápido; slow = lento"),
    ("ser", "food", "delicious = delicioso; sweet = dulce; fresh = fresco"),
    ("ser", "room place", "quiet = tranquilo; noisy = ruidoso"),
    (
        "estar",
        "person animal",
        "tired = cansado; sick = enfermo; happy = contento; sad = triste; lost = perdido",
    ),
    ("estar", "person", "busy = ocupado; angry = enfadado"),
    ("estar", f"{_GOODS} opening room", "clean = limpio; dirty = sucio"),
    ("estar", "opening lidded room", "open = abierto; closed = cerrado"),
    ("estar", "lidded dish room", "full = lleno; empty = vacío"),
    ("estar", "device dish opening furniture", "broken = roto"),
    ("estar", "food dish", "cold = frío; hot = caliente"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Irregular:
    """The Spanish forms of a verb that the rules get wrong, and its use."""

    stressed: str = ""  # stem of the present forms stressed on it: "encuentr"
    first: str = ""  # present of yo: "escojo"
    preterite: str = ""  # all five persons
    imperfect: str = ""  # stem
    participle: str = ""
    is_stative: bool = False
    towards: str = ""


_REGULAR = _Irregular()
_STATIVE = _Irregular(is_stative=True)
_TO = _Irregular(towards="to")


def _stem_change(stressed: str, participle: str = "", *, is_stative: bool = False) -> _Irregular:
    return _Irregular(stressed=stressed, participle=participle, is_stative=is_stative)


_SEE = _Irregular(
    first="veo",
    preterite="vi viste vio vimos vieron",
    imperfect="ve",
    participle="visto",
    is_stative=True,
)

_READ = _Irregular(preterite="leí leíste leyó leímos leyeron", participle="leído")
_SLEEP = _Irregular(stressed="duerm", preterite="dormí dormiste durmió dormimos durmieron")

# "base[/past/participle[/gerund]]", infinitive, groups of its objects, irregular forms.
TRANSITIVE = (
    ("buy/bought/bought", "comprar", f"{_GOODS} text food plant animal", _REGULAR),
    ("sell/sold/sold", "vender", f"{_GOODS} text food plant animal", _REGULAR),
    ("steal/stole/stolen", "robar", "small device vehicle clothes lidded animal", _REGULAR),
    ("look for", "buscar", "animal text clothes small device linen lidded room", _REGULAR),
    ("find/found/found", "encontrar", "animal text clothes small lidded", _stem_change("encuentr")),
    ("lose/lost/lost", "perder", "text clothes small lidded", _stem_change("pierd")),
    ("use", "usar", "small device dish furniture vehicle linen opening", _REGULAR),
    ("keep/kept/kept", "guardar", "small text clothes linen lidded", _REGULAR),
    ("hide/hid/hidden", "esconder", "small text food lidded clothes", _REGULAR),
    ("show/showed/shown", "mostrar", "small text device room place", _stem_change("muestr")),
    ("choose/chose/chosen", "escoger", "clothes food text device", _Irregular(first="escojo")),
    ("return", "devolver", "text clothes small device", _stem_change("devuelv", "devuelto")),
    ("lend/lent/lent", "prestar", "text small device vehicle", _REGULAR),
    ("rent", "alquilar", "vehicle room furniture", _REGULAR),
    ("pay for/paid/paid", "pagar", "food clothes furniture dish", _REGULAR),
    ("carry", "cargar", "lidded furniture device linen food", _REGULAR),
    ("lift", "levantar", "lidded furniture device", _REGULAR),
    ("push", "empujar", "furniture vehicle opening lidded", _REGULAR),
    ("move", "mover", "furniture lidded vehicle plant", _stem_change("muev")),
    ("touch", "tocar", "small device dish plant animal opening", _REGULAR),
    ("throw/threw/thrown", "lanzar", "small dish linen", _REGULAR),
    ("catch/caught/caught", "atrapar", "animal", _REGULAR),
    (
        "break/broke/broken",
        "romper",
        "device dish opening furniture",
        _Irregular(participle="roto"),
    ),
    ("repair", "reparar", "device vehicle opening furniture", _REGULAR),
    ("clean", "limpiar", "room furniture opening dish vehicle clothes", _REGULAR),
    ("wash", "lavar", "clothes dish food vehicle linen opening", _REGULAR),
    ("cover", "cubrir", "furniture dish lidded plant", _Irregular(participle="cubierto")),
    ("fill", "llenar", "lidded dish", _REGULAR),
    ("open", "abrir", "opening lidded room", _Irregular(participle="abierto")),
    ("close", "cerrar", "opening lidded room", _stem_change("cierr")),
    ("paint", "pintar", "furniture opening room vehicle plant animal", _REGULAR),
    ("draw/drew/drawn", "dibujar", "animal plant dish vehicle place", _REGULAR),
    ("design", "diseñar", "clothes room furniture vehicle", _REGULAR),
    ("decorate", "decorar", "room furniture opening", _REGULAR),
    ("wear/wore/worn", "llevar", "clothes", _REGULAR),
    ("fold", "doblar", "clothes linen", _REGULAR),
    ("burn", "quemar", "text clothes food linen", _REGULAR),
    ("eat/ate/eaten", "comer", "food", _REGULAR),
    ("cook", "cocinar", "food", _REGULAR),
    ("prepare", "preparar", "food", _REGULAR),
    ("cut/cut/cut/cutting", "cortar", "food plant", _REGULAR),
    ("try", "probar", "food", _stem_change("prueb")),
    ("share", "compartir", "food text linen", _REGULAR),
    ("offer", "ofrecer", "food furniture dish", _Irregular(first="ofrezco")),
    ("read/read/read", "leer", "text", _READ),
    ("write/wrote/written", "escribir", "text", _Irregular(participle="escrito")),
    ("send/sent/sent", "enviar", "text small lidded clothes", _stem_change("enví")),
    ("receive", "recibir", "text small lidded", _REGULAR),
    ("publish", "publicar", "text", _REGULAR),
    ("copy", "copiar", "text", _REGULAR),
    ("explain", "explicar", "text", _REGULAR),
    ("examine", "examinar", "small device dish plant animal opening", _REGULAR),
    ("check", "revisar", "text vehicle device", _REGULAR),
    ("explore", "explorar", "place room", _REGULAR),
    ("cross", "cruzar", "place", _REGULAR),
    ("recommend", "recomendar", "text room food", _stem_change("recomiend")),
    ("forget/forgot/forgotten/forgetting", "olvidar", "text clothes small", _REGULAR),
    ("remember", "recordar", "person place room text", _stem_change("recuerd", is_stative=True)),
    ("describe", "describir", "person place room animal", _Irregular(participle="descrito")),
    ("see/saw/seen/seeing", "ver", "person animal place vehicle plant", _SEE),
    ("watch", "mirar", "person animal plant", _REGULAR),
    ("visit", "visitar", "person room place", _REGULAR),
    ("admire", "admirar", "person place plant", _REGULAR),
    ("protect", "proteger", "person place plant", _Irregular(first="protejo")),
    ("defend", "defender", "person place", _stem_change("defiend")),
    ("wait for", "esperar", "person vehicle", _REGULAR),
    (
        "understand/understood/understood",
        "entender",
        "text person",
        _stem_change("entiend", is_stative=True),
    ),
    ("help", "ayudar", "person", _REGULAR),
    ("call", "llamar", "person", _REGULAR),
    ("invite", "invitar", "person", _REGULAR),
    ("greet", "saludar", "person", _REGULAR),
    ("hug/hugged/hugged/hugging", "abrazar", "person", _REGULAR),
    ("surprise", "sorprender", "person", _REGULAR),
    ("listen to", "escuchar", "person", _REGULAR),
)

LIKE = (
    "like",
    "gustar",
    "animal food text clothes small device vehicle plant room place",
    _STATIVE,
)

# The same, but with the groups of its subjects.
INTRANSITIVE = (
    ("walk", "caminar", "person animal", _TO),
    ("run/ran/run/running", "correr", "person animal", _TO),
    ("travel", "viajar", "person", _TO),
    ("arrive", "llegar", "person", _Irregular(towards="at")),
    ("swim/swam/swum/swimming", "nadar", "person animal", _REGULAR),
    ("jump", "saltar", "person animal", _REGULAR),
    ("sleep/slept/slept", "dormir", "person animal", _SLEEP),
    ("rest", "descansar", "person animal", _REGULAR),
    ("work", "trabajar", "person", _REGULAR),
    ("study", "estudiar", "person", _REGULAR),
    ("sing/sang/sung", "cantar", "person", _REGULAR),
    ("dance", "bailar", "person", _REGULAR),
    ("cry", "llorar", "person", _REGULAR),
    ("shout", "gritar", "person", _REGULAR),
    ("dream", "soñar", "person animal", _stem_change("sueñ")),
    ("play", "jugar", "person animal", _stem_change("jueg")),
    ("fish", "pescar", "person", _REGULAR),
    ("practice", "practicar", "person", _REGULAR),
    ("pray", "rezar", "person", _REGULAR),
    ("talk", "hablar", "person", _REGULAR),
    ("live", "vivir", "person animal", _STATIVE),
)

# No name ends in s ("Ana's"), and none begins with the sound of i (after "y").
NAMES = {
    FEMININE: "Ana María Lucía Elena Laura Sofía Carmen Marta Paula Clara",
    MASCULINE: "Pablo Diego Miguel Javier Pedro Daniel Hugo Mario Bruno Raúl",
}

# The time phrases of each tense.
_MODAL_TIMES = "today = hoy; now = ahora; tomorrow = mañana"

TIMES = {
    Tense.PRESENT: """
        every day = todos los días; every morning = todas las mañanas;
        every week = todas las semanas; every year = todos los años;
        on Mondays = los lunes; on Sundays = los domingos""",
    Tense.PAST: """
        yesterday = ayer; last night = anoche; last week = la semana pasada;
        last year = el año pasado; two days ago = hace dos días""",
    Tense.FUTURE: """
        tomorrow = mañana; tonight = esta noche; next week = la próxima semana;
        next year = el próximo año; soon = pronto""",
    Tense.IMPERFECT: "yesterday = ayer; that day = ese día; that afternoon = esa tarde",
    Tense.PERFECT: "today = hoy; this week = esta semana; this year = este año",
    **dict.fromkeys((Tense.WANT, Tense.NEED, Tense.CAN, Tense.MUST), _MODAL_TIMES),
}

MANNERS = "a lot = mucho; too much = demasiado"
GAITS = "slowly = lentamente; quickly = rápidamente"  # of verbs of motion

# The English auxiliary in negations and questions, [tense][person].
AUXILIARIES: dict[Tense, tuple[str, ...]] = {
    Tense.PRESENT: ("do", "do", "does", "do", "do"),
    Tense.PAST: ("did",) * 5,
    Tense.FUTURE: ("will",) * 5,
    Tense.IMPERFECT: ("was", "were", "was", "were", "were"),
    Tense.PERFECT: ("have", "have", "has", "have", "have"),
    Tense.WANT: ("do", "do", "does", "do", "do"),
    Tense.NEED: ("do", "do", "does", "do", "do"),
    Tense.CAN: ("can",) * 5,
    Tense.MUST: ("must",) * 5,
}

_MODALS: dict[Tense, tuple[str, str]] = {
    Tense.WANT: ("want to", "quiero quieres quiere queremos quieren"),
    Tense.NEED: ("need to", "necesito necesitas necesita necesitamos necesitan"),
    Tense.CAN: ("", "puedo puedes puede podemos pueden"),
    Tense.MUST: ("", "debo debes debe debemos deben"),
}

# The forms of the copula in its three tenses. Its Spanish past tense is the imperfect.
BE: dict[Tense, tuple[str, ...]] = {
    Tense.PRESENT: ("am", "are", "is", "are", "are"),
    Tense.PAST: ("was", "were", "was", "were", "were"),
    Tense.FUTURE: ("will be",) * 5,
}

COPULAS: dict[str, dict[Tense, tuple[str, ...]]] = {
    "ser": {
        Tense.PRESENT: ("soy", "eres", "es", "somos", "son"),
        Tense.PAST: ("era", "eras", "era", "éramos", "eran"),
        Tense.FUTURE: ("seré", "serás", "será", "seremos", "serán"),
    },
    "estar": {
        Tense.PRESENT: ("estoy", "estás", "está", "estamos", "están"),
        Tense.PAST: ("estaba", "estabas", "estaba", "estábamos", "estaban"),
        Tense.FUTURE: ("estaré", "estarás", "estará", "estaremos", "estarán"),
    },
}

_PRESENT = {"ar": "o as a amos an", "er": "o es e emos en", "ir": "o es e imos en"}

_PRETERITE = {
    "ar": "é aste ó amos aron",
    "er": "í iste ió imos ieron",
    "ir": "í iste ió imos ieron",
}

_IMPERFECT = {
    "ar": "aba abas aba ábamos aban",
    "er": "ía ías ía íamos ían",
    "ir": "ía ías ía íamos ían",
}

_FUTURE = "é ás á emos án"
_HAVE = "he has ha hemos han"
_PARTICIPLE = {"ar": "ado", "er": "ido", "ir": "ido"}
_UNACCENTED = str.maketrans("áéíóú", "aeiou")


def english_s(word: str) -> str:
    """The regular plural of an English noun. A verb's third person is formed in the same way."""
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def spanish_plural(word: str) -> str:
    """The plural of a Spanish noun or adjective: limón, limones; lápiz, lápices."""
    if word.endswith("z"):
        return word[:-1] + "ces"
    if word[-1] in "aeiouáéó":
        return word + "s"
    if word[-1] in "ns":  # the last syllable loses its accent mark: "limón", "limones"
        word = word[:-2] + word[-2].translate(_UNACCENTED) + word[-1]
    return word + "es"


def conjugate(infinitive: str, irregular: _Irregular = _REGULAR) -> dict[Tense, tuple[str, ...]]:
    """Conjugate a Spanish verb.

    Returns:
        the forms of the five persons for each tense.
    """
    stem, ending = infinitive[:-2], infinitive[-2:]
    stressed = irregular.stressed or stem
    present = [
        (stem if person == FIRST_PLURAL else stressed) + suffix
        for person, suffix in enumerate(_PRESENT[ending].split())
    ]
    preterite = [stem + suffix for suffix in _PRETERITE[ending].split()]
    # The spelling changes before é to keep the sound: busqué, pagué, crucé.
    for letter, before_e in (("c", "qu"), ("g", "gu"), ("z", "c")):
        if ending == "ar" and stem.endswith(letter):
            preterite[FIRST] = stem[:-1] + before_e + "é"
    if irregular.first:
        present[FIRST] = irregular.first
    if irregular.preterite:
        preterite = irregular.preterite.split()
    participle = irregular.participle or stem + _PARTICIPLE[ending]
    imperfect = irregular.imperfect or stem
    return {
        Tense.PRESENT: tuple(present),
        Tense.PAST: tuple(preterite),
        Tense.FUTURE: tuple(infinitive + suffix for suffix in _FUTURE.split()),
        Tense.IMPERFECT: tuple(imperfect + suffix for suffix in _IMPERFECT[ending].split()),
        Tense.PERFECT: tuple(f"{have} {participle}" for have in _HAVE.split()),
        **{
            modal: tuple(f"{form} {infinitive}" for form in forms.split())
            for modal, (_, forms) in _MODALS.items()
        },
    }


def _english_parts(entry: str) -> tuple[str, str, str, str, str]:
    """The base, past, participle, -ing form and particle (with a space before it) of a verb."""
    verb, _, particle = entry.partition(" ")
    if "/" in particle:  # "pay for/paid/paid"
        particle, _, forms = particle.partition("/")
        verb = f"{verb}/{forms}"
    base, *irregular = verb.split("/")
    if base.endswith("e"):
        past, gerund = base + "d", base[:-1] + "ing"
    elif base.endswith("y") and base[-2] not in "aeiou":
        past, gerund = base[:-1] + "ied", base + "ing"
    else:
        past, gerund = base + "ed", base + "ing"
    parts = [past, past, gerund]
    parts[: len(irregular)] = irregular
    return base, parts[0], parts[1], parts[2], particle and " " + particle


def _verb(entry: tuple[str, str, str, _Irregular]) -> Verb:
    english, infinitive, groups, irregular = entry
    base, past, participle, gerund, particle = _english_parts(english)
    after_auxiliary = {
        **dict.fromkeys(Tense, base),
        Tense.IMPERFECT: gerund,
        Tense.PERFECT: participle,
        **{modal: f"{words} {base}".lstrip() for modal, (words, _) in _MODALS.items()},
    }

    def affirmative(tense: Tense, person: int) -> str:
        rest = after_auxiliary[tense]
        if tense is Tense.PAST:
            return past + particle
        if AUXILIARIES[tense][0] != "do":
            return f"{AUXILIARIES[tense][person]} {rest}{particle}"
        first, _, others = rest.partition(" ")
        return f"{english_s(first) if person == THIRD else first} {others}".rstrip() + particle

    excluded = {Tense.PAST} if past == base else set()  # "I cut" would have two translations
    if irregular.is_stative:
        excluded.add(Tense.IMPERFECT)  # English has no "was needing"
    forms = conjugate(infinitive, irregular)
    return Verb(
        stem=base + particle,
        english=tuple(tuple(affirmative(tense, person) for person in range(5)) for tense in Tense),
        after_auxiliary=tuple(after_auxiliary[tense] + particle for tense in Tense),
        spanish=tuple(forms[tense] for tense in Tense),
        groups=frozenset(groups.split()),
        tenses=frozenset(set(Tense) - excluded),
        is_stative=irregular.is_stative,
        towards=irregular.towards,
    )


def _entries(table: str) -> tuple[tuple[str, str], ...]:
    pairs = (entry.split(" = ") for entry in table.split(";"))
    return tuple((english.strip(), spanish.strip()) for english, spanish in pairs)


def _adjective(english: str, spanish: str, copula: str) -> Adjective:
    masculine, _, plural = spanish.partition("/")
    feminine = masculine[:-1] + "a" if masculine.endswith("o") else masculine
    forms = tuple((form, plural or spanish_plural(form)) for form in (masculine, feminine))
    return Adjective(english, (forms[0], forms[1]), copula)


def _noun(english: str, spanish: str, group: str, adjectives: tuple[Adjective, ...]) -> Noun:
    singular, _, plural = english.partition("/")
    article, _, word = spanish.partition(" ")
    return Noun(
        english=(singular, plural or english_s(singular)),
        spanish=(word, spanish_plural(word)),
        gender={"el": MASCULINE, "la": FEMININE}[article],
        group=group,
        preposition="on" if singular in _ON.split() else "at" if singular in _AT.split() else "in",
        adjectives=adjectives,
    )


@functools.cache
def load_lexicon() -> Lexicon:
    """Build the lexicon. Later calls return the same object."""
    rows = [
        (_adjective(english, spanish, copula), frozenset(groups.split()))
        for copula, groups, table in ADJECTIVES
        for english, spanish in _entries(table)
    ]
    nouns = tuple(
        _noun(english, spanish, group, tuple(adj for adj, groups in rows if group in groups))
        for group, table in NOUNS.items()
        for english, spanish in _entries(table)
    )
    return Lexicon(
        nouns=nouns,
        adjectives=tuple(adjective for adjective, _ in rows),
        transitive=tuple(_verb(entry) for entry in TRANSITIVE),
        intransitive=tuple(_verb(entry) for entry in INTRANSITIVE),
        like=_verb(LIKE),
        names=tuple(
            Name(name, gender) for gender, names in NAMES.items() for name in names.split()
        ),
        times={tense: _entries(table) for tense, table in TIMES.items()},
        manners=_entries(MANNERS),
        gaits=_entries(GAITS),
    )
