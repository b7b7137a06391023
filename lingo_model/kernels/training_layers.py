"""Layers that train in bfloat16 on the compiled kernels, in place of torch's layers.

Each layer uses the kernels in ``train`` mode with gradients, and torch's own operations otherwise.
In float32, and with more than one thread, torch's own operations are faster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lingo_model.kernels import autograd
from lingo_model.kernels.training import fits
from lingo_model.network.loss import OutputCrossEntropy, SummedLoss
from lingo_model.network.padded_lstm import LSTMState, PaddedLSTM


def accelerate_training(loss: SummedLoss) -> None:
    """Replace layers of a model and its loss by layers on the compiled kernels.

    Call it once, before training in bfloat16, and run the forward pass under bfloat16 autocast. The
    function does nothing where the kernels cannot be used: on a GPU, on a processor without
    bfloat16 instructions, or with more than one torch thread. Of the encoder, the decoder, the
    attention's linear layer and the output layer, it replaces those whose inner sizes are even.

    The new layers share the weights of the old ones: names in the state dict and references to
    parameters, such as an optimiser's, stay valid. Hooks on the replaced modules are lost.

    Args:
        loss: the loss and, in it, the model; changed in place.
    """
    model = loss.model
    if model.output.weight.device.type != "cpu" or torch.get_num_threads() != 1:
        return
    if fits(model.encoder.input_size, model.encoder.hidden_size):
        model.encoder = _AcceleratedLSTM.sharing_weights_of(model.encoder)
    if fits(model.decoder.input_size, model.decoder.hidden_size):
        model.decoder = _AcceleratedLSTM.sharing_weights_of(model.decoder)
    if model.config.lstm_attention and fits(*model.attn_combine.weight.shape):
        model.attn_combine = _AcceleratedLinear.sharing_weights_of(model.attn_combine)
    if fits(*model.output.weight.shape):
        loss.output_loss = _AcceleratedCrossEntropy(
            loss.output_loss.pad_idx, loss.output_loss.label_smoothing
        )


class _AcceleratedLSTM(PaddedLSTM):
    """A :class:`~lingo_model.network.padded_lstm.PaddedLSTM` that trains on the kernels."""

    @classmethod
    def sharing_weights_of(cls, lstm: PaddedLSTM) -> _AcceleratedLSTM:
        """Make a layer with the settings and the parameters of another one."""
        layer = cls(
            lstm.input_size,
            lstm.hidden_size,
            lstm.num_layers,
            batch_first=True,
            dropout=lstm.dropout,
            bidirectional=lstm.bidirectional,
            device="meta",  # neither memory nor random numbers: the parameters are replaced
        )
        for name, parameter in lstm.named_parameters():
            setattr(layer, name, parameter)
        return layer.train(lstm.training)

    def forward(  # type: ignore[override]
        self, inputs: Tensor, state: LSTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        """See :meth:`PaddedLSTM.forward`; outputs are bfloat16 in training."""
        if self.training and inputs.requires_grad:
            return autograd.lstm_layers(self, inputs, lengths, state)
        return super().forward(inputs, state, lengths)


class _AcceleratedLinear(nn.Linear):
    """A linear layer without bias that trains on the kernels."""

    @classmethod
    def sharing_weights_of(cls, linear: nn.Linear) -> _AcceleratedLinear:
        """Make a layer with the settings and the weight of another one."""
        layer = cls(linear.in_features, linear.out_features, bias=False, device="meta")
        layer.weight = linear.weight
        return layer.train(linear.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute ``[..., M]`` from ``[..., K]``; bfloat16 in training."""
        if self.training and inputs.requires_grad:
            return autograd.linear(inputs, self.weight)
        return super().forward(inputs)


class _AcceleratedCrossEntropy(OutputCrossEntropy):
    """An :class:`~lingo_model.network.loss.OutputCrossEntropy` that trains on the kernels."""

    def forward(self, hidden: Tensor, output: nn.Linear, targets: Tensor) -> Tensor:
        """See :meth:`OutputCrossEntropy.forward`."""
        if not (self.training and hidden.requires_grad):
            return super().forward(hidden, output, targets)
        is_token = targets != self.pad_idx
        return autograd.cross_entropy_sum(
            hidden[is_token],
            output.weight,
            output.bias,
            targets[is_token],
            label_smoothing=self.label_smoothing,
        )
