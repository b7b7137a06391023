"""A corpus that is encoded by its words has the ids that SentencePiece gives each text."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import random
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

from lingo_model import Subwords, word_encoder
from lingo_model.special_ids import EOS_ID
from lingo_model.word_encoder import EncodedTexts, Utf8Texts, WordEncoder

needs_library = pytest.mark.skipif(
    word_encoder._library() is None, reason="lingo_model/native/words.cpp is not built"
)
MULTI30K = Path(__file__).parents[3] / "shared" / "corpora" / "multi30k"


def test_the_library_is_present_if_compiled_parts_are_required() -> None:
    """Some tests are skipped without the library. This one fails if CI requires it."""
    if os.environ.get("LINGO_REQUIRE_KERNELS") == "1":
        assert word_encoder._library() is not None, "run `python setup.py build_ext --inplace`"


ODD_TEXTS = [
    "",
    " ",
    "   ",
    "  the  house ",
    "the house",
    "<ph0>",
    "the<ph1>house <ph12> <ph <unk> <s> </s> <pad>",
    "000 0000 00000 10,000 zzz haaaaa ...... !!!!!",
    "the\tcat\nsat\x00\x07",
    "e\u0301 caf\u0065\u0301 \u0301",
    "\ufeffＡ™½\u00a0€\u3000、",
    "漢字 かな 한국어 \u1112\u1161\u11ab हिन्दी",
    "a\u2581b \u2581 c",
    "😀👩\u200d👩\u200d👧 \U000e0041\U0010ffff",
    "x" * 249,
    "x" * 250,
    "x" * 251,
    "é" * 125 + "é" * 3000,
    "the cat " * 400,
    "\u2028\u2029\x85\x1c",
]


def words_of(rng: random.Random, n: int) -> list[str]:
    """Words of few letters, so that many segmentations have nearly the same score."""
    alphabets = ["abc", "01", "aé", "xyzäß", "漢字語", "the", ".!", "кот"]
    return [
        "".join(rng.choices(rng.choice(alphabets), k=rng.choice([1, 2, 3, 5, 9, 20])))
        for _ in range(n)
    ]


def generated_texts(seed: int, n: int) -> list[str]:
    rng = random.Random(seed)
    words = words_of(rng, n)
    spaces = [" ", " ", " ", "  ", "\u00a0", "\t", "\u3000", ""]
    texts = []
    for _ in range(n):
        chosen = rng.choices(words, k=rng.choice([0, 1, 5, 12, 200]))
        text = "".join(word + rng.choice(spaces) for word in chosen)
        # One text in four has any characters at all.
        codes = [c for c in (rng.randrange(0x3000) for _ in range(9)) if not 0xD800 <= c < 0xE000]
        texts.append(text + "".join(map(chr, codes)) if rng.random() < 0.25 else text)
    return texts


OPTIONS: dict[str, dict[str, Any]] = {
    "unigram": {},
    "bpe": {"algorithm": "bpe"},
    "unigram with bytes": {"byte_fallback": True, "vocab_size": 700},
    "bpe with bytes and digits": {
        "algorithm": "bpe",
        "byte_fallback": True,
        "split_digits": True,
        "vocab_size": 700,
    },
    "nmt_nfkc": {"normalisation": "nmt_nfkc"},
}


@pytest.fixture(scope="module", params=OPTIONS.values(), ids=OPTIONS.keys())
def model(request: pytest.FixtureRequest, sentences: list[str]) -> Subwords:
    """A model that was trained on sentences and on generated texts."""
    rng = random.Random(1)
    texts = [*sentences, *(" ".join(words_of(rng, 10)) for _ in range(300))]
    return Subwords.train(texts, **({"vocab_size": 400} | request.param))


def rows_of(encoded: EncodedTexts) -> list[list[int]]:
    ends = np.cumsum(encoded.lengths)
    assert len(encoded.ids) == (ends[-1] if len(ends) else 0)
    return [
        encoded.ids[end - n : end].tolist() for end, n in zip(ends, encoded.lengths, strict=True)
    ]


def check_equal(model: Subwords, texts: list[str], encoder: WordEncoder | None = None) -> None:
    encoded = (encoder or WordEncoder(model)).encode(texts)
    for text, ids, expected in zip(texts, rows_of(encoded), model.encode(texts), strict=True):
        assert ids == expected, text
    # No text that is said to be spelled changes.
    spelled = [
        text for text, is_spelled in zip(texts, encoded.is_spelled, strict=True) if is_spelled
    ]
    assert model.changed(spelled) == []


def test_odd_texts_have_the_same_ids(model: Subwords) -> None:
    check_equal(model, ODD_TEXTS)
    for text in ODD_TEXTS:
        check_equal(model, [text])


@pytest.mark.parametrize("seed", [2, 3])
def test_generated_texts_have_the_same_ids(model: Subwords, seed: int) -> None:
    check_equal(model, generated_texts(seed, 400))


def test_known_text_is_said_to_be_spelled(subwords: Subwords, sentences: list[str]) -> None:
    assert WordEncoder(subwords).encode(sentences).is_spelled.all()
    assert not WordEncoder(subwords).encode(["漢", "a\u2581b", "\ufeffthe"]).is_spelled.any()


@needs_library
def test_near_ties_are_left_to_sentencepiece() -> None:
    rng = random.Random(2)
    words = [
        "".join(rng.choices("abcdefgh", k=rng.choice([1, 2, 3, 4])))
        + "z" * rng.choice([0, 2, 3, 5])
        for _ in range(300)
    ]
    texts = [" ".join(rng.choices(words, k=60)) for _ in range(200)]
    n_that_differ = 0
    for vocab_size in (100, 250):
        model = Subwords.train(texts, vocab_size=vocab_size)
        ids_of = dict(zip(words, model.encode(words), strict=True))
        n_that_differ += sum(
            ids != [i for word in text.split() for i in ids_of[word]]
            for text, ids in zip(texts, model.encode(texts), strict=True)
        )
        check_equal(model, texts)
    assert n_that_differ > 0  # the sum before a word decides how it is cut


def test_the_end_id_follows_every_text(model: Subwords) -> None:
    encoded = WordEncoder(model).encode(ODD_TEXTS, end_id=EOS_ID)
    assert rows_of(encoded) == [[*ids, EOS_ID] for ids in model.encode(ODD_TEXTS)]


def test_no_texts_give_no_ids(model: Subwords) -> None:
    encoded = WordEncoder(model).encode([], end_id=EOS_ID)
    assert [len(part) for part in encoded] == [0, 0, 0]


def test_texts_may_be_a_part_of_an_array(subwords: Subwords) -> None:
    whole = Utf8Texts.of(["the cat", "漢", "", "a dog", "é"])
    part = Utf8Texts(whole.data, whole.offsets[1:5])
    expected = subwords.encode(["漢", "", "a dog"])
    assert rows_of(WordEncoder(subwords).encode(part)) == expected


def test_batches_are_independent(model: Subwords) -> None:
    encoder = WordEncoder(model)
    for seed in range(5):
        check_equal(model, generated_texts(seed, 60), encoder)


@needs_library
@pytest.mark.parametrize("limit", ["_MAX_WORDS", "_MAX_WORD_BYTES"])
def test_words_are_forgotten_when_there_are_too_many(
    subwords: Subwords, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    encoder = WordEncoder(subwords)
    assert encoder._words is not None
    known = [encoder._words.n_words]
    monkeypatch.setattr(word_encoder, limit, 100)
    for number in range(6):
        check_equal(subwords, words_of(random.Random(number), 60), encoder)
        known.append(encoder._words.n_words)
    assert max(known) <= 100 + 60
    assert known != sorted(known)


@needs_library
def test_an_interrupted_batch_leaves_no_word_without_ids(
    subwords: Subwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(texts: list[str]) -> list[list[int]]:
        raise KeyboardInterrupt

    encoder = WordEncoder(subwords)
    with monkeypatch.context() as patch:
        patch.setattr(subwords, "encode_read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            encoder.encode(["the cat", "a dog"])
    check_equal(subwords, ["the cat", "a dog"], encoder)


def test_without_the_library_ids_are_the_same(
    model: Subwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_encoder, "_library", lambda: None)
    encoder = WordEncoder(model)
    assert not encoder.is_compiled
    check_equal(model, ODD_TEXTS, encoder)
    assert rows_of(encoder.encode(["a", ""], end_id=EOS_ID))[1] == [EOS_ID]


def foreign(sentences: list[str], **options: Any) -> Subwords:
    """A model with our special ids, but otherwise with options that this project does not use."""
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences),
        model_writer=file,
        vocab_size=120,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3},
        **{"user_defined_symbols": [*(f"<ph{i}>" for i in range(10)), *options.pop("symbols", [])]},
        **options,
    )
    return Subwords(file.getvalue())


FOREIGN: dict[str, tuple[dict[str, Any], bool]] = {
    "pieces with spaces within": ({"split_by_whitespace": False}, False),
    "space after a word": ({"treat_whitespace_as_suffix": True}, False),
    "runs of spaces": ({"remove_extra_whitespaces": False}, False),
    "no space before the first word": ({"add_dummy_prefix": False}, False),
    "lower case": ({"normalization_rule_name": "nmt_nfkc_cf"}, False),
    "characters": ({"model_type": "char"}, False),
    "symbol with a space": ({"symbols": ["the cat"]}, False),
    "other symbols": ({"symbols": ["cat", "@@"]}, True),
    "nfkc": ({"normalization_rule_name": "nfkc"}, True),
}


@needs_library
@pytest.mark.parametrize(("options", "by_words"), FOREIGN.values(), ids=FOREIGN.keys())
def test_models_that_others_trained_keep_their_ids(
    sentences: list[str], options: dict[str, Any], by_words: bool
) -> None:
    model = foreign(sentences, **options)
    encoder = WordEncoder(model)
    assert encoder.is_compiled == by_words
    check_equal(model, [*ODD_TEXTS, *sentences[:100], "THE CAT the cat@@cat ﬁ"], encoder)


@needs_library
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_marks_and_unknown_relatives_are_read_first(form: Any) -> None:
    texts = ["हिन्दी में लिखा", "tiếng Việt ở đây", "العَرَبِيَّة", "ไทยน้ำ", "ｆｕｌｌ wide"]
    model = Subwords.train([*texts * 20, "full"], vocab_size=150)
    check_equal(model, [unicodedata.normalize(form, text) for text in texts])


@pytest.mark.skipif(not MULTI30K.is_dir(), reason="the Multi30k corpus is not beside the checkout")
def test_sentences_of_a_real_corpus_have_the_same_ids() -> None:
    texts = list(
        itertools.chain.from_iterable(
            gzip.decompress((MULTI30K / f"val.{language}.gz").read_bytes()).decode().splitlines()
            for language in ("en", "cs")
        )
    )
    check_equal(Subwords.train(texts, vocab_size=1500), texts)
