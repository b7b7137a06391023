"""Subwords: special ids, placeholders, round trips, fingerprints and refusals."""

import io
import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from lingo_model import InputError, Subwords
from lingo_model.special_ids import EOS_ID, PAD_ID, SOS_ID, UNK_ID
from lingo_model.subwords import Algorithm


def foreign_model(sentences: list[str], **options: Any) -> bytes:
    """A SentencePiece model that is trained without this project's settings."""
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences),
        model_writer=file,
        vocab_size=64,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return file.getvalue()


# Special ids and placeholders.


def test_special_ids_and_placeholders_have_the_first_fourteen_ids(subwords: Subwords) -> None:
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(subwords.to_bytes())
    assert [processor.IdToPiece(i) for i in range(14)] == [
        *("<pad>", "<unk>", "<sos>", "<eos>"),
        *(f"<ph{i}>" for i in range(10)),
    ]
    assert (PAD_ID, UNK_ID, SOS_ID, EOS_ID) == (0, 1, 2, 3)


@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("text", ["{}", "the {} house", "cat{}dog", "{}.", "{}{} a"])
def test_placeholder_is_one_piece_and_survives(subwords: Subwords, text: str, number: int) -> None:
    filled = text.format(*[f"<ph{number}>"] * 2)
    (ids,) = subwords.encode([filled])
    assert ids.count(4 + number) == text.count("{}")
    assert subwords.decode([ids]) == [filled]


def test_text_that_spells_a_special_piece_is_not_encoded_as_it(subwords: Subwords) -> None:
    (ids,) = subwords.encode(["the <pad> house <sos> and <eos> a cat"])
    assert not {PAD_ID, SOS_ID, EOS_ID} & set(ids)


def test_unknown_characters_become_unk(subwords: Subwords) -> None:
    (ids,) = subwords.encode(["漢"])
    assert UNK_ID in ids


# Encoding and decoding.


def test_encode_and_decode_are_inverse_on_known_text(
    subwords: Subwords, sentences: list[str]
) -> None:
    encoded = subwords.encode(sentences)
    assert subwords.decode(encoded) == sentences
    assert all(14 <= i < subwords.vocab_size for ids in encoded for i in ids)


def test_decode_drops_pad_sos_and_eos(subwords: Subwords) -> None:
    (ids,) = subwords.encode(["the small cat"])
    middle = len(ids) // 2
    with_specials = [SOS_ID, *ids[:middle], PAD_ID, *ids[middle:], EOS_ID, PAD_ID, PAD_ID]
    assert subwords.decode([with_specials]) == ["the small cat"]


def test_rows_of_a_batch_are_independent(subwords: Subwords) -> None:
    texts = ["the house", "", "el gato come pan"]
    assert subwords.encode(texts) == [subwords.encode([text])[0] for text in texts]
    assert subwords.encode(texts)[1] == []
    assert subwords.decode([[], *subwords.encode(["the house"])]) == ["", "the house"]


def test_no_texts_give_no_rows(subwords: Subwords) -> None:
    assert subwords.encode([]) == []


def test_no_rows_give_no_texts(subwords: Subwords) -> None:
    assert subwords.decode([]) == []


# Fingerprints.


def test_same_input_gives_the_same_fingerprint(sentences: list[str], subwords: Subwords) -> None:
    assert Subwords.train(sentences, vocab_size=64).fingerprint == subwords.fingerprint


def test_sentences_may_be_any_iterable(sentences: list[str], subwords: Subwords) -> None:
    def read() -> Iterator[str]:
        yield from sentences

    assert Subwords.train(read(), vocab_size=64).fingerprint == subwords.fingerprint


def test_other_sentences_or_size_give_another_fingerprint(
    sentences: list[str], subwords: Subwords
) -> None:
    other_sentences = Subwords.train(sentences[:200], vocab_size=64)
    other_size = Subwords.train(sentences, vocab_size=54)
    assert len({m.fingerprint for m in (subwords, other_sentences, other_size)}) == 3


# Options of the training.


def test_bpe_gives_other_pieces_than_unigram(sentences: list[str], subwords: Subwords) -> None:
    bpe = Subwords.train(sentences, vocab_size=64, algorithm="bpe")
    assert bpe.encode(sentences) != subwords.encode(sentences)
    assert bpe.decode(bpe.encode(sentences)) == sentences


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_byte_fallback_spells_characters_that_have_no_piece(
    sentences: list[str], algorithm: Algorithm
) -> None:
    odd = ["the 漢字 cat", "😀", "Ω≈ç"]
    without = Subwords.train(sentences, vocab_size=400, algorithm=algorithm)
    with_bytes = Subwords.train(sentences, vocab_size=400, algorithm=algorithm, byte_fallback=True)
    assert all(UNK_ID in ids for ids in without.encode(odd))
    assert not any(UNK_ID in ids for ids in with_bytes.encode(odd))
    assert with_bytes.decode(with_bytes.encode(odd)) == odd
    assert with_bytes.changed(odd) == []


def test_split_digits_makes_each_digit_a_piece() -> None:
    texts = ["in 1984 and 2024", "the 1984 of 2024"] * 30
    lengths = [
        len(
            Subwords.train(texts, vocab_size=60, algorithm="bpe", split_digits=split).encode(
                ["1984"]
            )[0]
        )
        for split in (False, True)
    ]
    assert lengths[0] == 1
    assert lengths[1] == 5  # the space before the number, and four digits


def test_character_coverage_decides_whether_rare_letters_have_pieces() -> None:
    texts = ["aaaa bbbb cccc dddd"] * 300 + ["é"] * 3
    known = [
        UNK_ID
        not in Subwords.train(texts, vocab_size=40, character_coverage=coverage).encode(["é"])[0]
        for coverage in (0.99, 1.0)
    ]
    assert known == [False, True]


@pytest.mark.parametrize("coverage", [0.0, 0.97, 1.01, -1.0])
def test_a_coverage_that_the_trainer_does_not_take_is_refused(coverage: float) -> None:
    with pytest.raises(InputError, match=rf"character_coverage={coverage}: needs 0\.98 to 1"):
        Subwords.train(["a b"], vocab_size=64, character_coverage=coverage)


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(InputError, match="algorithm='wordpiece': needs one of unigram, bpe"):
        Subwords.train(["a b"], vocab_size=64, algorithm="wordpiece")  # type: ignore[arg-type]


# The size of the vocabulary.


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
@pytest.mark.parametrize("n_sentences", [1, 3, 20])
def test_a_small_corpus_gets_the_largest_vocabulary_that_it_can_fill(
    sentences: list[str], n_sentences: int, algorithm: Algorithm
) -> None:
    few = sentences[:n_sentences]
    model = Subwords.train(few, vocab_size=8000, algorithm=algorithm)
    assert 14 < model.vocab_size < 8000
    assert model.decode(model.encode(few)) == few


def many_characters() -> list[str]:
    """Sentences of some 3,000 characters, most of them rare."""
    rng = random.Random(0)
    return [
        "".join(chr(0x4E00 + min(2999, int(rng.expovariate(1 / 400)))) for _ in range(20))
        for _ in range(1500)
    ]


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_remedies_for_more_characters_than_pieces_work(byte_fallback: bool) -> None:
    texts = many_characters()
    with pytest.raises(InputError) as refusal:
        Subwords.train(texts, vocab_size=1900, byte_fallback=byte_fallback)
    message = str(refusal.value)
    assert "increase subwords.vocab_size, or set subwords.character_coverage=" in message
    assert ("subwords.byte_fallback" in message) != byte_fallback
    found = re.search(r"character_coverage=(0\.\d+)", message)
    assert found is not None
    model = Subwords.train(
        texts, vocab_size=1900, byte_fallback=byte_fallback, character_coverage=float(found[1])
    )
    n_unknown = sum(ids.count(UNK_ID) for ids in model.encode(texts))
    assert (n_unknown == 0) == byte_fallback


def test_no_coverage_is_named_if_none_is_enough() -> None:
    with pytest.raises(InputError, match=r"special ids; increase subwords\.vocab_size$"):
        Subwords.train(many_characters(), vocab_size=100)


# Files.


def test_file_round_trip(subwords: Subwords, tmp_path: Path) -> None:
    (tmp_path / "subwords.model").write_bytes(subwords.to_bytes())
    loaded = Subwords.load(tmp_path / "subwords.model")
    assert loaded.fingerprint == subwords.fingerprint
    assert loaded.vocab_size == subwords.vocab_size
    assert loaded.encode(["the cat"]) == subwords.encode(["the cat"])


def refusal_of(file: Path) -> str:
    with pytest.raises(InputError) as refusal:
        Subwords.load(file)
    message = str(refusal.value)
    assert str(file) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(100)], ids=["empty", "text", "zeros"])
def test_garbage_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "subwords.model"
    file.write_bytes(content)
    assert "not a SentencePiece model" in refusal_of(file)


def test_half_a_model_is_refused_by_name(subwords: Subwords, tmp_path: Path) -> None:
    file = tmp_path / "subwords.model"
    file.write_bytes(subwords.to_bytes()[: len(subwords.to_bytes()) // 2])
    assert "not a SentencePiece model" in refusal_of(file)


def test_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    assert "No such file" in refusal_of(tmp_path / "subwords.model")


def test_model_with_other_special_ids_is_refused(sentences: list[str], tmp_path: Path) -> None:
    file = tmp_path / "other.model"
    file.write_bytes(
        foreign_model(sentences)
    )  # SentencePiece's defaults: unk 0, bos 1, eos 2, no pad
    assert "(-1, 0, 1, 2)" in refusal_of(file)


def test_model_with_another_pad_id_is_refused(sentences: list[str], tmp_path: Path) -> None:
    file = tmp_path / "other.model"
    ids = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": 3}
    placeholders = [f"<ph{i}>" for i in range(10)]  # correct ids: 4 to 13
    file.write_bytes(foreign_model(sentences, **ids, user_defined_symbols=placeholders))
    assert "(3, 0, 1, 2)" in refusal_of(file)


def test_model_without_placeholders_is_refused(sentences: list[str], tmp_path: Path) -> None:
    file = tmp_path / "other.model"
    file.write_bytes(foreign_model(sentences, pad_id=0, unk_id=1, bos_id=2, eos_id=3))
    assert "<ph0> to <ph9>" in refusal_of(file)


@pytest.mark.parametrize("vocab_size", [14, 0, -1])
def test_vocabulary_without_room_for_pieces_is_refused(
    sentences: list[str], vocab_size: int
) -> None:
    with pytest.raises(InputError, match=f"^vocab_size={vocab_size}: .* 14 special ids$"):
        Subwords.train(sentences, vocab_size=vocab_size)


def test_vocabulary_smaller_than_the_characters_is_refused(sentences: list[str]) -> None:
    with pytest.raises(InputError) as refusal:
        Subwords.train(sentences, vocab_size=20)
    assert "vocab_size=20" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_no_sentences_are_refused() -> None:
    with pytest.raises(InputError) as refusal:
        Subwords.train([], vocab_size=64)
    assert "\n" not in str(refusal.value)


# Normalisation.

CHINESE = [
    "老师问：“谁带了雨伞？”没有人回答……",
    "我们下午三点（星期五）见面；别迟到！",
    "价格涨了１２％，他只好买了《红楼梦》。",
    "她说：你好，世界！　再见。",
]
FRENCH = [
    "«\u00a0Qui est là\u202f?\u00a0» demande-t-elle\u202f; personne ne répond…",
    "Le prix\u00a0: 10\u202f000\u00a0€, soit ½ de plus qu’à Noël\u202f!",
    "Elle mesure 12\u00a0m², № 3, marque Déposée™.",
]
JAPANESE = ["「明日、東京へ行きますか？」と彼は言った。", "はい！　そうです（たぶん）〜ｶﾅ。"]


@pytest.fixture(scope="module", params=["chinese", "french", "japanese"])
def texts(request: pytest.FixtureRequest) -> list[str]:
    """Sentences with characters that compatibility normalisation would change."""
    return {"chinese": CHINESE, "french": FRENCH, "japanese": JAPANESE}[request.param]


def test_decoding_the_ids_of_a_text_gives_the_text(texts: list[str]) -> None:
    model = Subwords.train(texts * 20, vocab_size=300)
    assert model.normalises_nfc
    assert model.decode(model.encode(texts)) == texts
    assert all(UNK_ID not in ids for ids in model.encode(texts))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_both_normal_forms_have_the_same_ids(form: Any, sentences: list[str]) -> None:
    accented = ["el niño comió", "¿dónde está?", "señora pingüino", "él cantó más"]
    of_form = [unicodedata.normalize(form, text) for text in accented]
    model = Subwords.train([*sentences, *of_form * 20], vocab_size=90)
    assert model.encode(of_form) == model.encode(accented)
    assert model.decode(model.encode(of_form)) == accented


def test_tabs_and_control_codes_are_never_unknown(subwords: Subwords) -> None:
    expected = subwords.encode(["the cat"])[0]
    for text in ("the\tcat", "the\r\ncat", "the  cat ", "the\x00 cat", "\ufeffthe cat"):
        assert subwords.encode([text]) == [expected], text


def test_a_model_of_the_other_rule_keeps_its_ids(texts: list[str]) -> None:
    model = Subwords.train(texts * 20, vocab_size=300, normalisation="nmt_nfkc")
    again = Subwords(model.to_bytes())
    assert not again.normalises_nfc
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model.to_bytes())
    odd = [*texts, "e\u0301", "a\tb", "Ａ™\u00a0", "x\x07", "  "]
    assert again.encode(odd) == processor.Encode(odd)
    assert again.decode(again.encode(texts)) != texts


def test_a_model_made_with_sentencepiece_s_defaults_keeps_its_ids(sentences: list[str]) -> None:
    options = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
    placeholders = [f"<ph{i}>" for i in range(10)]
    content = foreign_model(sentences, **options, user_defined_symbols=placeholders)
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(content)
    odd = ["the\tcat", "ｔｈｅ cat", "the\u00a0cat"]
    assert Subwords(content).encode(odd) == processor.Encode(odd)
    assert not Subwords(content).normalises_nfc


def test_an_unknown_normalisation_is_refused(sentences: list[str]) -> None:
    with pytest.raises(InputError, match="normalisation='nfkc': needs one of nfc, nmt_nfkc"):
        Subwords.train(sentences, vocab_size=64, normalisation="nfkc")  # type: ignore[arg-type]


# Long sentences and messages of the trainer.


@pytest.mark.parametrize("n_long", [4, 400])
def test_letters_of_long_sentences_are_known(sentences: list[str], n_long: int) -> None:
    paragraph = "тысяча один два три четыре пять " * 400  # 23,000 bytes
    others = sentences if n_long == 4 else []
    model = Subwords.train([*others, *[paragraph] * n_long], vocab_size=120)
    assert UNK_ID not in model.encode(["тысяча пять"])[0]


def test_a_long_sentence_without_spaces_is_read_whole(sentences: list[str]) -> None:
    model = Subwords.train([*sentences, "汉" * 3000 + "字" * 3000 + "文" * 3000], vocab_size=90)
    assert UNK_ID not in model.encode(["汉字文"])[0]


def test_a_character_that_the_trainer_reserves_costs_no_sentence() -> None:
    model = Subwords.train(["▅ one", "▅ two▅"] * 30, vocab_size=40)
    assert UNK_ID not in model.encode(["one two"])[0]


@pytest.mark.parametrize("nothing", [[], [""], [" ", "\t", "\x00"]])
def test_no_text_is_refused_by_its_cause(nothing: list[str]) -> None:
    with pytest.raises(InputError, match="no sentence with text"):
        Subwords.train(nothing, vocab_size=64)


def test_the_message_names_the_smallest_size_that_works(sentences: list[str]) -> None:
    with pytest.raises(InputError) as refusal:
        Subwords.train(sentences, vocab_size=20)
    message = str(refusal.value)
    assert "--" not in message
    assert "coverage" not in message
    needed = re.search(r"needs (\d+) or more", message)
    assert needed is not None
    assert Subwords.train(sentences, vocab_size=int(needed[1])).vocab_size <= int(needed[1])
    with pytest.raises(InputError):
        Subwords.train(sentences, vocab_size=int(needed[1]) - 1)
