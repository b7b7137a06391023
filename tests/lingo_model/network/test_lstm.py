"""The model: the examples of its document, and independence of padding and batching."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lingo_model import Hypothesis, InputError, ModelConfig, SearchConfig, SimpleSeq2SeqLSTM

GreedySearch = Callable[..., list[Hypothesis]]

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dot": {"attention": True, "attn_type": "dot"},
    "additive": {"attention": True, "attn_type": "additive"},
    "bidirectional": {"bidirectional": True},
    "bidirectional-dot": {"bidirectional": True, "attention": True},
    "reversed-dot": {"config": ModelConfig(lstm_reverse_source=True), "attention": True},
}
each_variant = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())

# Sentences of different lengths with ids 1 and 4 to 11, and eos 3 at the end.
SENTENCES = [[5, 9, 7, 4, 6, 3], [8, 3], [4, 4, 11, 3], [10, 6, 5, 1, 3], [3]]


def tiny_model(seed: int = 0, scale: float = 1.0, **options: Any) -> SimpleSeq2SeqLSTM:
    """A model with V = 12, E = 6, H = 8, L = 2 and weights from ``-scale`` to ``scale``."""
    torch.manual_seed(seed)
    model = SimpleSeq2SeqLSTM(12, 12, emb_dim=6, hidden_dim=8, num_layers=2, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-scale, scale)
    return model.eval()


def padded(sentences: list[list[int]], extra: int = 0) -> Tensor:
    """Ids ``[B, S]``, with ``extra`` columns of padding after the longest sentence."""
    width = max(map(len, sentences)) + extra
    return torch.tensor([s + [0] * (width - len(s)) for s in sentences])


# The examples of the document. If it only names a batch or a size, the test makes one.


def test_document_quick_start() -> None:
    src_batch, tgt_batch = torch.randint(0, 10000, (2, 5)), torch.randint(0, 10000, (2, 7))
    model = SimpleSeq2SeqLSTM(
        src_vocab_size=10000,
        tgt_vocab_size=10000,
        emb_dim=256,
        hidden_dim=512,
        num_layers=2,
    )

    # Training
    logits = model(src_batch, tgt_batch)  # [batch, tgt_len, vocab]
    assert logits.shape == (2, 7, 10000)


def test_document_basic_training() -> None:
    torch.manual_seed(0)
    model = SimpleSeq2SeqLSTM(
        src_vocab_size=10000,
        tgt_vocab_size=10000,
        emb_dim=256,
        hidden_dim=512,
    )

    # Dummy data
    src = torch.randint(0, 10000, (32, 20))  # [batch, src_len]
    tgt = torch.randint(0, 10000, (32, 25))  # [batch, tgt_len]

    # Forward pass
    logits = model(src, tgt[:, :-1])  # [32, 24, 10000]

    # Compute loss
    criterion = torch.nn.CrossEntropyLoss(ignore_index=0)
    loss = criterion(logits.reshape(-1, logits.size(-1)), tgt[:, 1:].reshape(-1))

    assert logits.shape == (32, 24, 10000)
    assert loss.item() == pytest.approx(
        9.2, abs=0.1
    )  # an untrained model is uniform: ln 10000 = 9.21
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_document_with_config() -> None:
    config = ModelConfig(
        lstm_emb_dim=256,
        lstm_hidden_dim=512,
        lstm_num_layers=3,
        lstm_dropout=0.2,
    )

    model = SimpleSeq2SeqLSTM(
        src_vocab_size=10000,
        tgt_vocab_size=10000,
        config=config,
    )
    for lstm in (model.encoder, model.decoder):
        shape = (lstm.input_size, lstm.hidden_size, lstm.num_layers, lstm.dropout)
        assert shape == (256, 512, 3, 0.2)


@pytest.mark.parametrize(
    ("emb_dim", "hidden_dim", "num_layers"),
    [(128, 256, 1), (256, 512, 2), (512, 1024, 4)],
    ids=["small", "medium", "large"],
)
def test_document_model_variants(emb_dim: int, hidden_dim: int, num_layers: int) -> None:
    src_vocab_size, tgt_vocab_size = 20, 30
    model = SimpleSeq2SeqLSTM(
        src_vocab_size,
        tgt_vocab_size,
        emb_dim=emb_dim,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
    )
    src = torch.randint(4, 20, (2, 3))
    assert model(src, torch.randint(4, 30, (2, 4))).shape == (2, 4, 30)
    (hidden, cell), _ = model.encode(src)
    assert hidden.shape == cell.shape == (num_layers, 2, hidden_dim)


def greedy_decode_lstm(model, src, tgt_vocab, max_len=50, device="cpu"):
    """The document's example, line by line."""
    model.eval()
    src = src.to(device).unsqueeze(0)  # Add batch dim

    # Encode
    src_emb = model.src_embed(src)
    _, (h, c) = model.encoder(src_emb)

    # Decode
    ys = [tgt_vocab.sos_idx]

    for _ in range(max_len):
        tgt_tensor = torch.tensor([ys[-1:]], device=device)
        tgt_emb = model.tgt_embed(tgt_tensor)
        output, (h, c) = model.decoder(tgt_emb, (h, c))
        logits = model.output(output)
        next_token = logits[:, -1, :].argmax().item()
        ys.append(next_token)

        if next_token == tgt_vocab.eos_idx:
            break

    return ys


# The example allows pad and sos, but search blocks them. With these seeds the model chooses
# neither, so both must agree. The seeds were found by trial, and the test checks the condition.
GREEDY_SEEDS = [33, 52, 69, 77]


@pytest.mark.parametrize("seed", GREEDY_SEEDS)
@pytest.mark.parametrize("sentence", SENTENCES[:3], ids=str)
def test_document_greedy_decoding_equals_search(
    seed: int, sentence: list[int], greedy_search: GreedySearch
) -> None:
    model = tiny_model(seed, scale=3.0)
    ys = greedy_decode_lstm(model, torch.tensor(sentence), model.config)
    assert not {model.config.pad_idx, model.config.sos_idx} & set(ys[1:])
    search = SearchConfig(max_length_ratio=0.0, max_length_offset=50, allow_unk=True)
    (hypothesis,) = greedy_search(model, [sentence], search)
    assert hypothesis.token_ids == ys[1:]
    assert hypothesis.truncated == (ys[-1] != model.config.eos_idx)


def test_document_steps_give_the_logits_of_forward() -> None:
    model = tiny_model()
    src, tgt = torch.tensor([SENTENCES[0]]), torch.tensor([[2, 7, 5, 11, 4]])
    _, (h, c) = model.encoder(model.src_embed(src))
    steps = []
    for position in range(tgt.size(1)):
        output, (h, c) = model.decoder(model.tgt_embed(tgt[:, position : position + 1]), (h, c))
        steps.append(model.output(output))
    torch.testing.assert_close(torch.cat(steps, dim=1), model(src, tgt), atol=1e-6, rtol=0)


def test_n_parameters_of_the_medium_model_by_hand() -> None:
    # V = 10,000 on both sides, E = 256, H = 512, L = 2. An LSTM layer with input I has four gates
    # of H rows: I + H weights and two biases in each row.
    # embeddings  2 x 10,000 x 256                  =  5,120,000
    # layer 1     4 x 512 x (256 + 512 + 2)         =  1,576,960
    # layer 2     4 x 512 x (512 + 512 + 2)         =  2,101,248
    # encoder and decoder  2 x (1,576,960 + 2,101,248)  =  7,356,416
    # output      512 x 10,000 + 10,000             =  5,130,000
    # sum         5,120,000 + 7,356,416 + 5,130,000 = 17,606,416
    model = SimpleSeq2SeqLSTM(10000, 10000, emb_dim=256, hidden_dim=512, num_layers=2)
    assert model.n_parameters() == 17_606_416


@pytest.mark.parametrize("sizes", [(0, 10), (10, 0), (-1, 10)], ids=str)
def test_vocabulary_size_out_of_range_is_refused_by_name(sizes: tuple[int, int]) -> None:
    name = "src_vocab_size" if sizes[0] < 1 else "tgt_vocab_size"
    with pytest.raises(InputError, match=f"{name}={min(sizes)}"):
        SimpleSeq2SeqLSTM(*sizes, emb_dim=2, hidden_dim=2)


def test_padding_id_outside_the_vocabulary_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="pad_idx=10"):
        SimpleSeq2SeqLSTM(10, 10, emb_dim=2, hidden_dim=2, pad_idx=10)


@pytest.mark.parametrize("attn_type", ["dot", "additive"])
def test_attentional_state_feeds_the_output_layer(attn_type: str) -> None:
    # Luong et al. 2015, equation 5: tanh(W [context; decoder output])
    model = tiny_model(attention=True, attn_type=attn_type)
    src, tgt = padded(SENTENCES), torch.tensor([[2, 7, 5]] * len(SENTENCES))
    state, encoder_outputs = model.encode(src)
    outputs, _ = model.decoder(model.tgt_embed(tgt), state)
    context, expected_weights = model.attention(outputs, encoder_outputs)
    w_context, w_output = model.attn_combine.weight.split(8, dim=1)
    attentional = torch.tanh(context @ w_context.T + outputs @ w_output.T)
    logits, weights = model(src, tgt, return_attention=True)
    torch.testing.assert_close(logits, model.output(attentional), atol=1e-5, rtol=0)
    torch.testing.assert_close(weights, expected_weights, atol=1e-6, rtol=0)


def test_attributes_of_the_model() -> None:
    model = SimpleSeq2SeqLSTM(9, 11, emb_dim=4, hidden_dim=6, num_layers=3, pad_idx=5)
    sizes = (model.src_vocab_size, model.tgt_vocab_size, model.emb_dim, model.hidden_dim)
    assert sizes == (9, 11, 4, 6)
    assert (model.num_layers, model.pad_idx) == (3, 5)


# State dict.

LSTM_LAYER = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
PLAIN_NAMES = {
    "src_embed.weight",
    "tgt_embed.weight",
    *(f"encoder.{name}" for name in LSTM_LAYER),
    *(f"decoder.{name}" for name in LSTM_LAYER),
    "output.weight",
    "output.bias",
}


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, set()),
        ({"attention": True, "attn_type": "dot"}, {"attn_combine.weight"}),
        (
            {"attention": True, "attn_type": "additive"},
            {
                "attn_combine.weight",
                "attention.W_dec.weight",
                "attention.W_enc.weight",
                "attention.v.weight",
            },
        ),
        ({"bidirectional": True}, {f"encoder.{name}_reverse" for name in LSTM_LAYER}),
    ],
    ids=["plain", "dot", "additive", "bidirectional"],
)
def test_state_dict_names(options: dict[str, Any], more: set[str]) -> None:
    model = SimpleSeq2SeqLSTM(9, 9, emb_dim=2, hidden_dim=4, num_layers=1, **options)
    assert set(model.state_dict()) == PLAIN_NAMES | more


def test_bidirectional_encoder_shares_the_hidden_size() -> None:
    model = tiny_model(bidirectional=True)
    assert model.encoder.hidden_size == 4
    assert model.decoder.hidden_size == 8


# Padding and batches.


@each_variant
def test_extra_padding_changes_nothing(options: dict[str, Any]) -> None:
    model = tiny_model(**options)
    tgt = torch.tensor([[2, 7, 5, 11]] * len(SENTENCES))
    logits, weights = model(padded(SENTENCES), tgt, return_attention=True)
    more_logits, more_weights = model(padded(SENTENCES, extra=4), tgt, return_attention=True)
    torch.testing.assert_close(more_logits, logits, atol=1e-6, rtol=0)
    assert (weights is None) == (more_weights is None) == ("attention" not in options)
    if weights is not None:
        torch.testing.assert_close(more_weights[:, :, :-4], weights, atol=1e-6, rtol=0)
        assert (more_weights[:, :, -4:] == 0.0).all()


@each_variant
def test_batch_of_one_equals_a_row_of_a_batch(options: dict[str, Any]) -> None:
    model = tiny_model(**options)
    tgt = torch.tensor([[2, 7, 5], [2, 4, 3], [2, 8, 8], [2, 11, 6], [2, 3, 0]])
    together = model(padded(SENTENCES), tgt)
    for row, sentence in enumerate(SENTENCES):
        alone = model(torch.tensor([sentence]), tgt[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-6, rtol=0)
    # Different rows have different logits.
    assert (together[0, 0] - together[1, 0]).abs().max() > 1e-2


@each_variant
def test_target_steps_one_by_one_equal_teacher_forcing(options: dict[str, Any]) -> None:
    model = tiny_model(**options)
    src, tgt = padded(SENTENCES), torch.tensor([[2, 7, 5, 11]] * len(SENTENCES))
    state, encoder_outputs = model.encode(src)
    steps = []
    for position in range(tgt.size(1)):
        logits, state, _ = model.decode(tgt[:, position : position + 1], state, encoder_outputs)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), model(src, tgt), atol=1e-6, rtol=0)


@each_variant
def test_state_equals_that_of_the_unpadded_sentence(options: dict[str, Any]) -> None:
    model = tiny_model(**options)
    (hidden, cell), encoder_outputs = model.encode(padded(SENTENCES, extra=2))
    for row, sentence in enumerate(SENTENCES):
        read = sentence[::-1] if model.config.lstm_reverse_source else sentence
        outputs, alone = model.encoder(model.src_embed(torch.tensor([read])))
        for actual, expected in zip((hidden, cell), alone, strict=True):
            if options.get("bidirectional"):  # layer by layer: [forward; backward]
                expected = torch.cat([expected[0::2], expected[1::2]], dim=2)
            torch.testing.assert_close(actual[:, row], expected[:, 0], atol=1e-6, rtol=0)
        torch.testing.assert_close(
            encoder_outputs.outputs[row, : len(sentence)], outputs[0], atol=1e-6, rtol=0
        )
        assert encoder_outputs.mask[row].tolist() == [i < len(sentence) for i in range(8)]


@each_variant
def test_row_of_padding_gives_the_zero_state(options: dict[str, Any]) -> None:
    model = tiny_model(**options)
    (hidden, cell), encoder_outputs = model.encode(padded([[], SENTENCES[1]], extra=2))
    for part in (hidden, cell):
        assert part.shape == (2, 2, 8)
        assert (part[:, 0] == 0.0).all()
        assert (part[:, 1] != 0.0).all()
    assert not encoder_outputs.mask[0].any()
    assert model(torch.zeros(1, 3, dtype=torch.long), torch.tensor([[2, 5]])).isfinite().all()


@each_variant
def test_row_of_padding_has_finite_gradients(options: dict[str, Any]) -> None:
    model = tiny_model(**options)
    model(padded([[], SENTENCES[0]]), torch.tensor([[2, 5], [2, 6]])).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_padding_inside_a_sentence_is_read_like_a_token() -> None:
    model = tiny_model()
    src = torch.tensor([[5, 0, 3]])
    (hidden, _), encoder_outputs = model.encode(src)
    _, (expected, _) = model.encoder(model.src_embed(src))
    torch.testing.assert_close(hidden, expected, atol=1e-6, rtol=0)
    assert encoder_outputs.mask.all()


def test_padding_keeps_a_zero_embedding() -> None:
    model = SimpleSeq2SeqLSTM(9, 9, emb_dim=4, hidden_dim=4, num_layers=1, pad_idx=7)
    model(torch.tensor([[5, 7, 4, 7]]), torch.tensor([[2, 7, 5]])).sum().backward()
    for embedding in (model.src_embed, model.tgt_embed):
        assert (embedding.weight[7] == 0.0).all()
        assert (embedding.weight.grad[7] == 0.0).all()
        assert (embedding.weight.grad[5] != 0.0).any()


def test_a_reversed_source_is_read_from_its_last_token() -> None:
    forwards = tiny_model()
    backwards = tiny_model(config=ModelConfig(lstm_reverse_source=True))

    (hidden, cell), _ = backwards.encode(padded([[5, 9, 7, 3], [8, 3]]))

    expected_hidden, expected_cell = forwards.encode(padded([[3, 7, 9, 5], [3, 8]]))[0]
    assert torch.equal(hidden, expected_hidden)
    assert torch.equal(cell, expected_cell)


def test_each_dropout_acts_where_it_should() -> None:
    # With probability 0.5 half of the values become zero, and the others are doubled.
    def model(**dropout: float) -> SimpleSeq2SeqLSTM:
        config = ModelConfig(lstm_dropout=0.0, **dropout)
        return tiny_model(config=config).train()

    source, target = padded([[5, 9, 7, 3]]), torch.tensor([[2, 4, 6]])
    without = model()
    logits = without(source, target)
    assert torch.equal(model()(source, target), logits)

    seen: list[Tensor] = []
    embeddings = model(lstm_embedding_dropout=0.5)
    embeddings.embedding_dropout.register_forward_hook(lambda *call: seen.append(call[2]))
    embeddings(source, target)
    for dropped, full in zip(
        seen, (without.src_embed(source), without.tgt_embed(target)), strict=True
    ):
        kept = dropped != 0
        assert 0 < kept.sum() < kept.numel()
        torch.testing.assert_close(dropped[kept], 2 * full[kept])

    before_output = model(lstm_output_dropout=0.5)
    outputs: list[Tensor] = []
    before_output.output.register_forward_pre_hook(
        lambda _module, inputs: outputs.append(inputs[0])
    )
    before_output(source, target)
    assert 0 < int((outputs[0] == 0).sum()) < outputs[0].numel()
