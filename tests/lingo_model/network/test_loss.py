"""The training loss and word dropout."""

from __future__ import annotations

import pytest
import torch

from lingo_model import ModelConfig, SimpleSeq2SeqLSTM, SummedLoss
from lingo_model.special_ids import N_SPECIAL, UNK_ID

N_PIECES = 40


@pytest.fixture
def model() -> SimpleSeq2SeqLSTM:
    torch.manual_seed(0)
    return SimpleSeq2SeqLSTM(N_PIECES, N_PIECES, emb_dim=8, hidden_dim=8, num_layers=1)


def read_by(
    model: SimpleSeq2SeqLSTM, loss: SummedLoss, source: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The source ids that the encoder reads, and the loss."""
    seen: list[torch.Tensor] = []
    handle = model.src_embed.register_forward_hook(lambda _, ids, __: seen.append(ids[0]))
    target = torch.full((len(source), 3), N_SPECIAL)
    value = loss(source, target, target)
    handle.remove()
    return seen[0], value


def test_word_dropout_replaces_a_share_of_the_words_by_unk(model: SimpleSeq2SeqLSTM) -> None:
    source = torch.randint(N_SPECIAL, N_PIECES, (400, 50))
    loss = SummedLoss(model, word_dropout=0.3).train()
    torch.manual_seed(1)
    seen, _ = read_by(model, loss, source)
    dropped = seen != source
    assert (seen[dropped] == UNK_ID).all()
    # 20,000 draws: four standard deviations are 0.013.
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.013)
    again, _ = read_by(model, loss, source)
    assert not torch.equal(again, seen)  # a new sample each time
    torch.manual_seed(1)
    assert torch.equal(read_by(model, loss, source)[0], seen)  # the seed decides


def test_word_dropout_keeps_special_symbols_and_placeholders(model: SimpleSeq2SeqLSTM) -> None:
    source = torch.arange(N_SPECIAL).repeat(50, 1)
    source[:, 0] = N_SPECIAL  # a row needs a token that is not padding
    seen, _ = read_by(model, SummedLoss(model, word_dropout=0.9).train(), source)
    assert torch.equal(seen[:, 1:], source[:, 1:])
    assert (seen[:, 0] == UNK_ID).any()


def test_word_dropout_is_for_training_only(model: SimpleSeq2SeqLSTM) -> None:
    source = torch.randint(N_SPECIAL, N_PIECES, (4, 9))
    seen, value = read_by(model, SummedLoss(model, word_dropout=0.9).eval(), source)
    assert torch.equal(seen, source)
    assert value.item() == read_by(model, SummedLoss(model).eval(), source)[1].item()


def test_the_loss_is_minus_the_log_probability_of_the_targets() -> None:
    """With output weights of zero the bias decides: probability 2/5 for one id, 1/5 for three."""
    model = SimpleSeq2SeqLSTM(4, 4, config=ModelConfig(lstm_emb_dim=2, lstm_hidden_dim=2))
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.copy_(torch.tensor([1.0, 1.0, 1.0, 2.0]).log())
    target = torch.tensor([[3, 1, 0]])  # the last id is padding
    expected = -(torch.tensor(2 / 5).log() + torch.tensor(1 / 5).log()).item()
    value = SummedLoss(model)(torch.tensor([[1, 3]]), target, target).item()
    assert value == pytest.approx(expected, rel=1e-6)
