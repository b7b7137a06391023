"""ModelConfig: where a value comes from, and which values are refused."""

import math
from typing import Any

import pytest

from lingo_model import InputError, ModelConfig, SimpleSeq2SeqLSTM

# Argument of the model, field of ModelConfig, default, value in the config, value as argument.
# The values include 0, 0.0 and False: an argument counts although Python treats it as false.
SOURCES = [
    ("emb_dim", "lstm_emb_dim", 256, 6, 4),
    ("hidden_dim", "lstm_hidden_dim", 512, 6, 4),
    ("num_layers", "lstm_num_layers", 2, 3, 1),
    ("dropout", "lstm_dropout", 0.1, 0.2, 0.0),
    ("pad_idx", "pad_idx", 0, 5, 0),
    ("attention", "lstm_attention", False, True, False),
    ("attn_type", "lstm_attn_type", "dot", "additive", "dot"),
    ("bidirectional", "lstm_bidirectional", False, True, False),
]
each_source = pytest.mark.parametrize(
    ("argument", "field", "default", "configured", "given"), SOURCES, ids=[s[0] for s in SOURCES]
)


@each_source
def test_default_without_argument_and_config(
    argument: str, field: str, default: Any, configured: Any, given: Any
) -> None:
    assert getattr(SimpleSeq2SeqLSTM(10, 10).config, field) == default


@each_source
def test_config_wins_over_default(
    argument: str, field: str, default: Any, configured: Any, given: Any
) -> None:
    model = SimpleSeq2SeqLSTM(10, 10, config=ModelConfig(**{field: configured}))
    assert getattr(model.config, field) == configured


@each_source
def test_argument_wins_over_config(
    argument: str, field: str, default: Any, configured: Any, given: Any
) -> None:
    config = ModelConfig(**{field: configured})
    model = SimpleSeq2SeqLSTM(10, 10, **{argument: given}, config=config)
    assert getattr(model.config, field) == given
    assert getattr(config, field) == configured  # the caller's config is unchanged


def test_layers_use_the_resulting_values() -> None:
    config = ModelConfig(lstm_emb_dim=6, lstm_hidden_dim=8, lstm_num_layers=3, lstm_dropout=0.2)
    model = SimpleSeq2SeqLSTM(10, 12, emb_dim=4, pad_idx=5, config=config)
    for embedding, rows in ((model.src_embed, 10), (model.tgt_embed, 12)):
        assert tuple(embedding.weight.shape) == (rows, 4)
        assert embedding.padding_idx == 5
    for lstm in (model.encoder, model.decoder):
        shape = (lstm.input_size, lstm.hidden_size, lstm.num_layers, lstm.dropout)
        assert shape == (4, 8, 3, 0.2)
    assert tuple(model.output.weight.shape) == (12, 8)


def test_dropout_is_between_layers_only() -> None:
    model = SimpleSeq2SeqLSTM(10, 10, emb_dim=4, hidden_dim=4, num_layers=1, dropout=0.5)
    assert model.config.lstm_dropout == 0.5
    assert model.encoder.dropout == model.decoder.dropout == 0.0


def test_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"unknown key 'lstm_hiden_dim'.*lstm_hidden_dim"):
        ModelConfig.from_dict({"lstm_hiden_dim": 8})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lstm_emb_dim", 0),
        ("lstm_emb_dim", 8.5),
        ("lstm_hidden_dim", -1),
        ("lstm_hidden_dim", True),
        ("lstm_num_layers", 0),
        ("lstm_num_layers", "2"),
        ("lstm_dropout", -0.1),
        ("lstm_dropout", 1.0),
        ("lstm_dropout", math.nan),
        ("lstm_attn_type", "luong"),
        ("pad_idx", -1),
        ("pad_idx", 3),  # the id of eos
    ],
)
def test_value_out_of_range_is_refused_by_name_and_value(field: str, value: object) -> None:
    with pytest.raises(InputError) as refusal:
        ModelConfig.from_dict({field: value})
    message = str(refusal.value)
    assert field in message
    assert repr(value) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("field", "value"), [("lstm_dropout", "0.1"), ("lstm_attention", "yes"), ("pad_idx", 0.5)]
)
def test_value_of_another_type_is_refused_by_name_and_value(field: str, value: object) -> None:
    with pytest.raises(InputError) as refusal:
        ModelConfig.from_dict({field: value})
    assert field in str(refusal.value)
    assert repr(value) in str(refusal.value)


def test_odd_hidden_dim_is_refused_only_if_bidirectional() -> None:
    assert ModelConfig(lstm_hidden_dim=5).lstm_hidden_dim == 5
    with pytest.raises(InputError, match="lstm_hidden_dim=5: needs an even number"):
        ModelConfig(lstm_hidden_dim=5, lstm_bidirectional=True)


def test_argument_out_of_range_is_refused_like_the_config() -> None:
    with pytest.raises(InputError, match="lstm_num_layers=0"):
        SimpleSeq2SeqLSTM(10, 10, num_layers=0)


def test_to_dict_and_from_dict_are_inverse() -> None:
    config = ModelConfig(lstm_emb_dim=7, lstm_dropout=0.0, lstm_attention=True, pad_idx=9)
    assert ModelConfig.from_dict(config.to_dict()) == config
