"""Accelerated training: the same results as torch's layers, and the same weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from lingo_model import SimpleSeq2SeqLSTM, SummedLoss, accelerate_training
from lingo_model.kernels import autograd, library
from lingo_model.kernels.library import native_precisions
from lingo_model.network.loss import OutputCrossEntropy
from lingo_model.network.padded_lstm import PaddedLSTM

pytestmark = pytest.mark.skipif(
    "bfloat16" not in native_precisions(), reason="this processor has no bfloat16 kernels"
)
SOURCE = torch.tensor([[5, 9, 7, 4, 3], [8, 3, 0, 0, 0], [0, 0, 0, 0, 0]])
TARGET_IN = torch.tensor([[2, 5, 6], [2, 7, 0], [2, 4, 4]])
TARGET_OUT = torch.tensor([[5, 6, 3], [7, 3, 0], [4, 4, 3]])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def loss_of(tgt_vocab_size: int = 12, label_smoothing: float = 0.1, **options: Any) -> SummedLoss:
    torch.manual_seed(1)
    options = {"emb_dim": 6, "hidden_dim": 8, "dropout": 0.0, "attention": True} | options
    model = SimpleSeq2SeqLSTM(12, tgt_vocab_size, **options)
    return SummedLoss(model, label_smoothing=label_smoothing)


def accelerated(loss: SummedLoss) -> SummedLoss:
    accelerate_training(loss)
    return loss


def run(loss: SummedLoss) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        value: Tensor = loss(SOURCE, TARGET_IN, TARGET_OUT)
    return value


def is_replaced(loss: SummedLoss) -> dict[str, bool]:
    model = loss.model
    return {
        "encoder": type(model.encoder) is not PaddedLSTM,
        "decoder": type(model.decoder) is not PaddedLSTM,
        "attn_combine": type(model.attn_combine) is not torch.nn.Linear,
        "output": type(loss.output_loss) is not OutputCrossEntropy,
    }


@pytest.fixture
def kernel_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations that run on the kernels, in order."""
    calls: list[str] = []

    def record(name: str) -> None:
        operation = getattr(autograd, name)

        def recording(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return operation(*arguments, **options)

        monkeypatch.setattr(autograd, name, recording)

    for name in ("lstm_layers", "linear", "cross_entropy_sum"):
        record(name)
    return calls


def assert_close(actual: Tensor, expected: Tensor, share: float) -> None:
    """Compare within a share of the largest value, because bfloat16 has eight bits."""
    atol = share * float(expected.detach().abs().max())
    torch.testing.assert_close(actual.float(), expected.float(), rtol=share, atol=atol)


# Results.


@pytest.mark.parametrize("attention", [False, True])
def test_logits_and_gradients_in_bfloat16_are_close_to_float32(attention: bool) -> None:
    loss = loss_of(11, attention=attention, bidirectional=True)
    model = loss.model

    def logits_and_gradients() -> tuple[Tensor, list[Tensor]]:
        logits = model(SOURCE, TARGET_IN).float()
        return logits, list(torch.autograd.grad(logits.square().sum(), list(model.parameters())))

    expected, expected_gradients = logits_and_gradients()
    accelerate_training(loss)
    with torch.autocast("cpu", torch.bfloat16):
        logits, gradients = logits_and_gradients()

    torch.testing.assert_close(logits, expected, rtol=0, atol=0.02)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert_close(gradient, expected_gradient, share=0.05)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("attention", [False, True])
def test_the_summed_loss_and_its_gradients_are_close_to_torchs(
    attention: bool, label_smoothing: float
) -> None:
    torch.manual_seed(5)
    model = SimpleSeq2SeqLSTM(12, 70, emb_dim=6, hidden_dim=8, dropout=0.0, attention=attention)
    loss = SummedLoss(model, label_smoothing=label_smoothing)
    source = torch.tensor([[5, 9, 7, 4, 3], [8, 3, 0, 0, 0]])
    target_in = torch.tensor([[2, 5, 60, 69], [2, 7, 0, 0]])
    target_out = torch.tensor([[5, 60, 69, 3], [7, 3, 0, 0]])

    def loss_and_gradients() -> list[Tensor]:
        value = loss(source, target_in, target_out)
        return [value, *torch.autograd.grad(3.0 * value, list(model.parameters()))]

    expected = loss_and_gradients()
    accelerate_training(loss)
    with torch.autocast("cpu", torch.bfloat16):
        actual = loss_and_gradients()

    assert actual[0].dtype is torch.float32
    for actual_part, expected_part in zip(actual, expected, strict=True):
        assert_close(actual_part, expected_part, share=0.05)


def test_training_uses_the_kernels_for_every_layer(kernel_calls: list[str]) -> None:
    run(accelerated(loss_of())).backward()
    assert kernel_calls == ["lstm_layers", "lstm_layers", "linear", "cross_entropy_sum"]


@pytest.mark.parametrize("mode", ["eval", "no_grad", "inference_mode"])
def test_without_training_torchs_layers_run(mode: str, kernel_calls: list[str]) -> None:
    expected_loss = loss_of().eval()
    loss = accelerated(loss_of())
    if mode == "eval":
        assert torch.equal(run(loss.eval()), run(expected_loss))
    else:
        with getattr(torch, mode)():
            assert torch.equal(run(loss), run(expected_loss))
    assert kernel_calls == []


def test_training_after_an_evaluation_uses_the_kernels_again(kernel_calls: list[str]) -> None:
    loss = accelerated(loss_of())
    expected = run(loss)
    run(loss.eval())
    assert torch.equal(run(loss.train()), expected)
    assert len(kernel_calls) == 8


def test_replaced_layers_keep_their_mode() -> None:
    loss = accelerated(loss_of().eval())
    assert not any(module.training for module in loss.model.modules())


# Weights.


def test_weights_keep_names_values_and_identity() -> None:
    loss = loss_of(bidirectional=True, num_layers=2)
    names, values = list(loss.state_dict()), [v.clone() for v in loss.state_dict().values()]
    parameters = dict(loss.named_parameters())
    accelerate_training(loss)
    assert list(loss.state_dict()) == names
    assert dict(loss.named_parameters()) == parameters  # the same objects
    for value, expected in zip(loss.state_dict().values(), values, strict=True):
        assert torch.equal(value, expected)


def test_replacing_layers_draws_no_random_numbers() -> None:
    loss = loss_of()
    state = torch.get_rng_state()
    accelerate_training(loss)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_optimiser_made_before_updates_the_new_layers() -> None:
    loss = loss_of()
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    before = {name: p.detach().clone() for name, p in loss.named_parameters()}
    accelerate_training(loss)
    run(loss).backward()
    optimizer.step()
    for name, parameter in loss.model.named_parameters():
        assert not torch.equal(parameter, before[f"model.{name}"]), name


def test_a_state_dict_of_an_accelerated_model_loads_into_a_plain_one() -> None:
    loss, plain = accelerated(loss_of()), loss_of()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.uniform_(-1.0, 1.0)
    plain.load_state_dict(loss.state_dict())
    with torch.no_grad():
        assert torch.equal(run(plain), run(loss))
    loss.load_state_dict(loss_of().state_dict())
    with torch.no_grad():
        assert torch.equal(run(loss), run(loss_of()))


def test_a_deep_copy_for_averaged_weights_is_independent(kernel_calls: list[str]) -> None:
    loss = accelerated(loss_of(bidirectional=True, num_layers=2))
    ema_model = copy.deepcopy(loss.model).eval().requires_grad_(False)
    for lstm in (ema_model.encoder, ema_model.decoder):
        lstm.flatten_parameters()
    expected = ema_model(SOURCE, TARGET_IN)
    plain = loss_of(bidirectional=True, num_layers=2).model.eval()
    assert torch.equal(plain(SOURCE, TARGET_IN), expected)
    pointers = {parameter.data_ptr() for parameter in loss.model.parameters()}
    assert pointers.isdisjoint(parameter.data_ptr() for parameter in ema_model.parameters())
    assert kernel_calls == []

    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    run(loss).backward()
    optimizer.step()
    assert torch.equal(ema_model(SOURCE, TARGET_IN), expected)
    torch._foreach_lerp_(list(ema_model.parameters()), [p.detach() for p in loss.parameters()], 1.0)
    assert torch.equal(ema_model(SOURCE, TARGET_IN), loss.model.eval()(SOURCE, TARGET_IN))


def test_a_deep_copy_trains_like_the_original() -> None:
    loss = accelerated(loss_of())
    duplicate = copy.deepcopy(loss)
    assert is_replaced(duplicate) == is_replaced(loss)
    for each in (loss, duplicate):
        run(each).backward()
    for one, two in zip(loss.parameters(), duplicate.parameters(), strict=True):
        assert one is not two
        assert one.grad is not None
        assert two.grad is not None
        assert torch.equal(one.grad, two.grad)


# Conditions.


def test_every_layer_is_replaced() -> None:
    assert all(is_replaced(accelerated(loss_of())).values())


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"emb_dim": 5}, ("encoder", "decoder")),
        ({"hidden_dim": 6, "bidirectional": True}, ("encoder",)),
        ({"hidden_dim": 7}, ("encoder", "decoder", "attn_combine", "output")),
        ({"tgt_vocab_size": 13}, ("output",)),
    ],
    ids=str,
)
def test_layers_with_odd_sizes_are_kept(options: dict[str, Any], kept: tuple[str, ...]) -> None:
    loss = accelerated(loss_of(**options))
    replaced = is_replaced(loss)
    assert {name for name in replaced if not replaced[name]} == set(kept)
    run(loss).backward()  # replaced and kept layers work together


def test_with_two_threads_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not any(is_replaced(accelerated(loss_of())).values())


@pytest.mark.parametrize("precisions", [(), ("float32", "int8")])
def test_without_bfloat16_kernels_nothing_is_replaced(
    precisions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingo_model.kernels.training.native_precisions", lambda: precisions)
    assert library.native_precisions() != precisions
    assert not any(is_replaced(accelerated(loss_of())).values())


def test_off_the_cpu_nothing_is_replaced() -> None:
    assert not any(is_replaced(accelerated(loss_of().to("meta"))).values())
