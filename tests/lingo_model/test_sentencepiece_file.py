"""The normalisation rule that a SentencePiece model file holds."""

import io
from typing import Any

import pytest
import sentencepiece

from lingo_model.sentencepiece_file import normalisation_rule, piece_table


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc", "nfkc", "nmt_nfkc_cf"])
def test_the_rule_of_every_kind_of_model(sentences: list[str], model_type: str, rule: str) -> None:
    file = io.BytesIO()
    options: dict[str, Any] = {"vocab_size": 60, "hard_vocab_limit": False, "minloglevel": 2}
    if model_type != "unigram":
        options = {"vocab_size": 40, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences),
        model_writer=file,
        model_type=model_type,
        normalization_rule_name=rule,
        **(options | ({"use_all_vocab": True} if model_type == "char" else {})),
    )
    assert normalisation_rule(file.getvalue()) == rule


def test_a_message_without_a_rule_has_none() -> None:
    assert normalisation_rule(b"") == ""
    # Field 3 with an inner field 2 of two bytes, and field 9 of each fixed width.
    message = b"\x1a\x04\x12\x02ab" + b"\x49" + bytes(8) + b"\x4d" + bytes(4) + b"\x48\x96\x01"
    assert normalisation_rule(message) == ""


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_the_pieces_are_those_of_the_processor(sentences: list[str], model_type: str) -> None:
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences),
        model_writer=file,
        model_type=model_type,
        vocab_size=400,
        hard_vocab_limit=False,
        byte_fallback=True,
        control_symbols=["<c>"],
        user_defined_symbols=["@@"],
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(file.getvalue())
    table = piece_table(file.getvalue())
    ids = [
        i
        for i in range(processor.GetPieceSize())
        if not (processor.IsControl(i) or processor.IsUnknown(i) or processor.IsByte(i))
    ]
    assert list(table.texts) == [processor.IdToPiece(i) for i in ids]
    assert list(table.scores) == [processor.GetScore(i) for i in ids]
    assert [text for text, own in zip(table.texts, table.user_defined, strict=True) if own] == [
        "@@"
    ]
    assert table.algorithm == model_type
    assert table.encodes_words_apart
