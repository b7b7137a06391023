"""Every binding refuses a tensor of the wrong type, shape, layout or device, by name."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lingo_model.kernels import decoding, training
from lingo_model.kernels.library import native_precisions
from lingo_model.kernels.packed_matrix import PackedMatrix
from lingo_model.kernels.precision import KERNEL_PRECISIONS

pytestmark = pytest.mark.skipif(
    "bfloat16" not in native_precisions(), reason="this processor has no bfloat16 kernels"
)

FLOAT32 = KERNEL_PRECISIONS["float32"]
# Two rows of H = 6 in a stride of 16, three source tokens, five pieces.
M, S, V, H, STRIDE = 2, 3, 5, 6, 16
Call = Callable[[dict[str, Tensor]], object]


def int32(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int32)


def lstm_matrix(n_inputs: int) -> PackedMatrix:
    weights = [torch.ones(4 * H, H) for _ in range(n_inputs)]
    return PackedMatrix(FLOAT32, weights, torch.zeros(4 * H), gates=True)


def plain_matrix(n_inputs: int) -> PackedMatrix:
    weights = [torch.ones(V, H) for _ in range(n_inputs)]
    return PackedMatrix(FLOAT32, weights, torch.zeros(V), gates=False)


def encode_layer(with_table: bool) -> tuple[Call, dict[str, Tensor]]:
    tensors = {
        "lengths": int32(3, 2),
        "tokens": torch.zeros(M, S, dtype=torch.int32),
        "outputs": torch.zeros(M, S, STRIDE),
        "outputs_float": torch.zeros(M, S, STRIDE),
        "cell": torch.zeros(M, STRIDE),
    }
    tensors |= {"table": torch.zeros(V, 64)} if with_table else {"inputs": torch.ones(M, S, STRIDE)}
    matrix = lstm_matrix(1 if with_table else 2)

    def call(t: dict[str, Tensor]) -> object:
        return decoding.encode_layer(
            matrix,
            t["lengths"],
            t.get("inputs"),
            t.get("table"),
            t["tokens"],
            t["outputs"],
            t["outputs_float"],
            t["cell"],
            hidden_dim=H,
            column=0,
            backward=False,
        )

    return call, tensors


def decode_layer(with_table: bool) -> tuple[Call, dict[str, Tensor]]:
    tensors = {
        "hidden": torch.zeros(M, STRIDE),
        "tokens": int32(0, 1),
        "outputs": torch.zeros(M, STRIDE),
        "outputs_float": torch.zeros(M, STRIDE),
        "cell": torch.zeros(M, STRIDE),
    }
    tensors |= {"table": torch.zeros(V, 64)} if with_table else {"inputs": torch.ones(M, STRIDE)}
    matrix = lstm_matrix(1 if with_table else 2)

    def call(t: dict[str, Tensor]) -> object:
        return decoding.decode_layer(
            matrix,
            t.get("inputs"),
            t["hidden"],
            t.get("table"),
            t["tokens"],
            t["outputs"],
            t["outputs_float"],
            t["cell"],
            hidden_dim=H,
        )

    return call, tensors


def linear() -> tuple[Call, dict[str, Tensor]]:
    matrix = plain_matrix(2)
    tensors = {
        "inputs[0]": torch.ones(M, STRIDE),
        "inputs[1]": torch.ones(M, STRIDE),
        "outputs": torch.zeros(M, V),
        "outputs_float": torch.zeros(M, V),
    }
    return (
        lambda t: decoding.linear(
            matrix,
            [t["inputs[0]"], t["inputs[1]"]],
            outputs=t["outputs"],
            outputs_float=t["outputs_float"],
        ),
        tensors,
    )


def arg_max() -> tuple[Call, dict[str, Tensor]]:
    matrix = plain_matrix(1)
    tensors = {
        "inputs": torch.ones(M, STRIDE),
        "blocked": torch.zeros(64),
        "chosen": int32(0, 0),
        "log_probs": torch.zeros(M),
    }
    return lambda t: decoding.arg_max(matrix, *t.values()), tensors


def attend() -> tuple[Call, dict[str, Tensor]]:
    owner = torch.ones(S, STRIDE)
    addresses = torch.full((M,), owner.data_ptr())
    tensors = {
        "encoder_outputs": addresses,
        "keys": addresses.clone(),
        "lengths": int32(3, 2),
        "query": torch.ones(M, STRIDE),
        "v": torch.ones(H),
        "context": torch.zeros(M, STRIDE),
    }

    def call(t: dict[str, Tensor]) -> object:
        assert len(owner) == S  # the addresses stay valid
        return decoding.attend(FLOAT32, *t.values(), hidden_dim=H)

    return call, tensors


def product(left_is_packed: bool) -> tuple[Call, dict[str, Tensor]]:
    left = torch.ones(M, H).bfloat16()
    tensors = {
        "left": training.pack(left.t().contiguous()) if left_is_packed else left,
        "right": training.pack(torch.ones(H, V)),
        "bias": torch.zeros(V),
    }
    return (
        lambda t: training.product(
            t["left"], t["right"], (M, V, H), bias=t["bias"], left_is_packed=left_is_packed
        ),
        tensors,
    )


def sequences() -> dict[str, Tensor]:
    """Two sequences of 3 and 2 tokens."""
    return {
        "n_rows": torch.tensor([2, 2, 1]),
        "gates": torch.zeros(5, 4 * H),
        "cell": torch.zeros(2 + 5, H),
    }


def lstm_forward() -> tuple[Call, dict[str, Tensor]]:
    packed = training.pack_transposed(torch.ones(4 * H, H), gates=True)
    hidden = torch.zeros(2 + 5, H).bfloat16()
    tensors = {"weight_hh": packed, **sequences(), "hidden": hidden}
    return lambda t: training.lstm_forward(*t.values()), tensors


def lstm_backward() -> tuple[Call, dict[str, Tensor]]:
    d_state = {"d_hidden": torch.ones(5, H).bfloat16(), "d_cell": torch.ones(5, H)}
    tensors = {"weight_hh": training.pack(torch.ones(4 * H, H)), **sequences(), **d_state}
    return lambda t: training.lstm_backward(*t.values()), tensors


def cross_entropy() -> tuple[Call, dict[str, Tensor]]:
    tensors = {"logits": torch.ones(M, V).bfloat16(), "targets": torch.tensor([1, 2])}
    return lambda t: training.cross_entropy(*t.values(), 0.1), tensors


def cross_entropy_backward() -> tuple[Call, dict[str, Tensor]]:
    _, tensors = cross_entropy()
    return (
        lambda t: training.cross_entropy_backward(
            t["logits"], t["targets"], 0.1, 1.0, t["log_sums"]
        ),
        tensors | {"log_sums": torch.ones(M)},
    )


CALLS: dict[str, Callable[[], tuple[Call, dict[str, Tensor]]]] = {
    "encode_layer": lambda: encode_layer(with_table=False),
    "encode_layer with table": lambda: encode_layer(with_table=True),
    "decode_layer": lambda: decode_layer(with_table=False),
    "decode_layer with table": lambda: decode_layer(with_table=True),
    "linear": linear,
    "arg_max": arg_max,
    "attend": attend,
    "top_k": lambda: (
        lambda t: decoding.top_k(t["logits"], V, t["blocked"], 2),
        {"logits": torch.ones(M, STRIDE), "blocked": torch.zeros(V)},
    ),
    "pack": lambda: (lambda t: training.pack(t["matrix"]), {"matrix": torch.ones(H, V)}),
    "pack_transposed": lambda: (
        lambda t: training.pack_transposed(t["matrix"]),
        {"matrix": torch.ones(V, H)},
    ),
    "product": lambda: product(left_is_packed=False),
    "product, left packed": lambda: product(left_is_packed=True),
    "lstm_forward": lstm_forward,
    "lstm_backward": lstm_backward,
    "cross_entropy": cross_entropy,
    "cross_entropy_backward": cross_entropy_backward,
    "column_sums": lambda: (
        lambda t: training.column_sums(t["matrix"]),
        {"matrix": torch.ones(M, V).bfloat16()},
    ),
}


def not_contiguous(tensor: Tensor) -> Tensor:
    """The same values with a gap after each one."""
    gaps = tensor.new_zeros(*tensor.shape[:-1], 2 * tensor.size(-1))
    gaps[..., ::2] = tensor
    return gaps[..., ::2]


FAULTS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "type": (lambda tensor: tensor.to(torch.float64), "its type is torch.float64; needs torch."),
    "dimensions": (lambda tensor: tensor.unsqueeze(0), r"its shape is \[1, .*\]; needs \["),
    "layout": (not_contiguous, r"its strides are \[.*\]; needs a contiguous tensor"),
    "device": (lambda tensor: tensor.to("meta"), "it is on meta; needs a tensor on the CPU"),
}


@pytest.mark.parametrize("name", CALLS)
def test_correct_tensors_are_accepted(name: str) -> None:
    call, tensors = CALLS[name]()
    call(tensors)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_tensor_is_refused_by_name(name: str, fault: str) -> None:
    spoil, message = FAULTS[fault]
    call, tensors = CALLS[name]()
    for argument, tensor in tensors.items():
        pattern = f"^{argument}: {message}".replace("[0]", r"\[0\]").replace("[1]:", r"\[1\]:")
        with pytest.raises(ValueError, match=pattern):
            call(tensors | {argument: spoil(tensor)})


# Any number of rows is allowed: pack, pack_transposed and column_sums have only such a tensor.
WITH_ANY_ROWS = {("encode_layer with table", "table"), ("decode_layer with table", "table")}
WITH_ANY_ROWS |= {("top_k", "logits")}
WITH_SIZES = [name for name in CALLS if name not in ("pack", "pack_transposed", "column_sums")]


@pytest.mark.parametrize("name", WITH_SIZES)
def test_a_tensor_that_is_too_small_is_refused(name: str) -> None:
    call, tensors = CALLS[name]()
    for argument, tensor in tensors.items():
        if (name, argument) not in WITH_ANY_ROWS:
            with pytest.raises(ValueError, match=r"needs "):
                call(tensors | {argument: tensor[:-1].clone()})


@pytest.mark.parametrize(
    ("name", "argument", "width"),
    [
        ("encode_layer with table", "table", 63),
        ("encode_layer", "inputs", H - 1),
        ("linear", "outputs", V - 1),
        ("linear", "outputs_float", V - 1),
        ("arg_max", "inputs", H - 1),
        ("attend", "context", H - 1),
        ("top_k", "logits", V - 1),
    ],
)
def test_rows_that_are_too_narrow_are_refused(name: str, argument: str, width: int) -> None:
    call, tensors = CALLS[name]()
    narrow = tensors[argument][..., :width].contiguous()
    with pytest.raises(ValueError, match=rf"{argument}.* needs .*"):
        call(tensors | {argument: narrow})


def test_an_lstm_layer_needs_inputs_or_a_table() -> None:
    call, tensors = decode_layer(with_table=False)
    with pytest.raises(
        ValueError, match=r"inputs: it is None; the matrix needs a tensor \[2, 16\]"
    ):
        call({name: tensor for name, tensor in tensors.items() if name != "inputs"})
    with pytest.raises(ValueError, match=r"table: it is a tensor .* if and only if inputs is None"):
        call(tensors | {"table": torch.zeros(V, 64)})
    call, tensors = decode_layer(with_table=True)
    with pytest.raises(ValueError, match=r"inputs: it is a tensor .*; the matrix needs None"):
        call(tensors | {"inputs": torch.zeros(M, STRIDE)})


def test_a_step_cannot_overwrite_its_own_state() -> None:
    call, tensors = decode_layer(with_table=False)
    with pytest.raises(ValueError, match="outputs: it shares memory with hidden"):
        call(tensors | {"outputs": tensors["hidden"]})


@pytest.mark.parametrize("matrix", [plain_matrix(1), lstm_matrix(2)], ids=["plain", "hidden dim"])
def test_a_matrix_of_another_layer_is_refused(matrix: PackedMatrix) -> None:
    rows: dict[str, Any] = {name: torch.zeros(M, STRIDE) for name in ("hidden", "outputs", "cell")}
    with pytest.raises(ValueError, match=r"matrix: it has \d+ outputs .*needs the 28 gates of 7"):
        decoding.decode_layer(
            matrix,
            torch.zeros(M, STRIDE),
            rows["hidden"],
            None,
            int32(0, 0),
            rows["outputs"],
            None,
            rows["cell"],
            hidden_dim=H + 1,
        )


def test_a_number_of_inputs_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="inputs: there are 1; the matrix needs 2"):
        decoding.linear(plain_matrix(2), [torch.ones(M, STRIDE)])
    with pytest.raises(ValueError, match="inputs: there is 1; the matrix needs 2"):
        decoding.arg_max(
            plain_matrix(2), torch.ones(M, STRIDE), torch.zeros(64), int32(0, 0), torch.zeros(M)
        )


def test_odd_inner_sizes_are_refused() -> None:
    left, right = torch.ones(2, 3).bfloat16(), training.pack(torch.ones(3, 2))
    with pytest.raises(ValueError, match="K: it is 3; needs an even size"):
        training.product(left, right, (2, 2, 3))
    tensors = {"n_rows": torch.tensor([1]), "gates": torch.zeros(1, 12), "cell": torch.zeros(2, 3)}
    with pytest.raises(ValueError, match="H: it is 3; needs an even size"):
        training.lstm_forward(torch.zeros(1), *tensors.values(), torch.zeros(2, 3))


@pytest.mark.parametrize("n_rows", [[2, 2, 2], [1, 2, 2], []], ids=str)
def test_steps_that_do_not_add_up_are_refused(n_rows: list[int]) -> None:
    call, tensors = lstm_forward()
    with pytest.raises(ValueError, match=r"n_rows: it begins with .* needs 2 and 5, by the shapes"):
        call(tensors | {"n_rows": torch.tensor(n_rows, dtype=torch.int64)})


def test_other_values_out_of_range_are_refused() -> None:
    call, tensors = CALLS["top_k"]()
    with pytest.raises(ValueError, match="k: it is 0; needs 1 or more"):
        decoding.top_k(tensors["logits"], V, tensors["blocked"], 0)
    with pytest.raises(ValueError, match=r"out: it is torch.float64; needs torch.float32 or"):
        training.product(
            torch.ones(2, 2).bfloat16(),
            training.pack(torch.ones(2, 2)),
            (2, 2, 2),
            out=torch.float64,
        )
    with pytest.raises(ValueError, match="matrix: it has 6 rows; needs a multiple of 4"):
        training.pack_transposed(torch.ones(6, 2), gates=True)
    with pytest.raises(ValueError, match="keys: it is None; additive attention needs"):
        decoding.attend(
            FLOAT32,
            torch.zeros(M, dtype=torch.int64),
            None,
            int32(0, 0),
            torch.zeros(M, STRIDE),
            torch.ones(H),
            torch.zeros(M, STRIDE),
            hidden_dim=H,
        )
    call(tensors)
