"""A model on the compiled kernels, with packed weights in place of the float32 ones.

Shapes: B sentences of a batch, S source tokens, M rows that are being decoded, H hidden, V target
vocabulary, P panels of 64 outputs. ``stride`` is H rounded up to a multiple of 16.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lingo_model.decoding.native_rows import NativeRows
from lingo_model.kernels import decoding as kernels
from lingo_model.kernels.packed_matrix import PANEL, PackedMatrix, in_panels, padded
from lingo_model.kernels.precision import (
    ACTIVATION_SCALE,
    ACTIVATION_ZERO,
    KERNEL_PRECISIONS,
    KernelPrecision,
)
from lingo_model.network.attention import AdditiveAttention
from lingo_model.network.lstm import SimpleSeq2SeqLSTM

_TOKENS_AT_ONCE = 1024


class _EncoderLayer:
    """The packed weights of one encoder layer, one matrix for each direction."""

    def __init__(self, lstm: nn.LSTM, layer: int, precision: KernelPrecision) -> None:
        suffixes = ["", "_reverse"] if lstm.bidirectional else [""]
        self.matrices = [_lstm_matrix(lstm, f"{layer}{suffix}", precision) for suffix in suffixes]
        self.hidden_dim = lstm.hidden_size


class NativeDecoder:
    """A :class:`~lingo_model.decoding.step_decoder.StepDecoder` on the compiled kernels.

    The result of a row is the same to the last bit whatever the other rows are. The first layer of
    each LSTM reads its input-side gates from a table with one row for each token.

    Args:
        model: its weights are copied into packed form; the model is not kept.
        precision: one of :func:`~lingo_model.kernels.library.native_precisions`.
    """

    def __init__(self, model: SimpleSeq2SeqLSTM, precision: str) -> None:
        config = model.config
        self.config = config
        self.device = torch.device("cpu")
        self.src_vocab_size, self.tgt_vocab_size = model.src_vocab_size, model.tgt_vocab_size
        self._precision = KERNEL_PRECISIONS[precision]
        self._hidden_dim = config.lstm_hidden_dim
        self._stride = padded(self._hidden_dim)
        layers = range(config.lstm_num_layers)
        with torch.inference_mode():
            # The largest matrix first: the others reuse the memory that packing it needed.
            self._output = PackedMatrix(
                self._precision, [model.output.weight], model.output.bias, gates=False
            )
            self._encoder = [_EncoderLayer(model.encoder, i, self._precision) for i in layers]
            suffixes = ["0", "0_reverse"] if config.lstm_bidirectional else ["0"]
            self._source_gates = [
                _gate_table(model.src_embed, model.encoder, suffix, self._precision)
                for suffix in suffixes
            ]
            self._decoder = [_lstm_matrix(model.decoder, str(i), self._precision) for i in layers]
            self._target_gates = _gate_table(model.tgt_embed, model.decoder, "0", self._precision)
            self._has_attention = config.lstm_attention
            self._query = self._key = self._v = self._combine = None
            if config.lstm_attention:
                self._combine = _plain_matrix(
                    self._precision, list(model.attn_combine.weight.chunk(2, dim=1))
                )
                if isinstance(model.attention, AdditiveAttention):
                    self._query = _plain_matrix(self._precision, [model.attention.W_dec.weight])
                    self._key = _plain_matrix(self._precision, [model.attention.W_enc.weight])
                    self._v = model.attention.v.weight.detach().float().flatten().clone()

    def blocked(self, ids: Sequence[int]) -> Tensor:
        """Make the ``blocked`` argument of :meth:`best` and :meth:`k_best`, float32
        ``[P * 64]``."""
        blocked = torch.zeros(padded(self.tgt_vocab_size, PANEL))
        blocked[list(ids)] = -torch.inf
        return blocked

    def encode(self, sources: Sequence[Sequence[int]]) -> NativeRows:
        """Encode sources, longest first, and return the state before the first step."""
        n_rows, n_positions = len(sources), len(sources[0])
        tokens = torch.zeros(n_rows, n_positions, dtype=torch.int32)
        lengths = torch.tensor([len(source) for source in sources], dtype=torch.int32)
        is_token = torch.arange(n_positions) < lengths.unsqueeze(1)
        step = -1 if self.config.lstm_reverse_source else 1
        tokens[is_token] = torch.tensor(
            [token for source in sources for token in source[::step]], dtype=torch.int32
        )
        shape = (n_rows, n_positions, self._stride)
        inputs: Tensor | None = None
        outputs_float: Tensor | None = None
        hidden, cell = [], []
        for number, layer in enumerate(self._encoder):
            outputs = torch.zeros(shape, dtype=self._precision.activation)
            if self._has_attention and number == len(self._encoder) - 1:
                outputs_float = torch.zeros(shape)
            last_cell = torch.zeros(n_rows, self._stride)
            for direction, matrix in enumerate(layer.matrices):
                column = direction * layer.hidden_dim
                direction_cell = torch.zeros(n_rows, self._stride)
                kernels.encode_layer(
                    matrix,
                    lengths,
                    inputs,
                    self._source_gates[direction] if number == 0 else None,
                    tokens,
                    outputs,
                    outputs_float,
                    direction_cell,
                    hidden_dim=layer.hidden_dim,
                    column=column,
                    backward=direction == 1,
                )
                end = column + layer.hidden_dim
                last_cell[:, column:end] = direction_cell[:, : layer.hidden_dim]
            hidden.append(self._last_hidden(outputs, lengths, layer))
            cell.append(last_cell)
            inputs = outputs
        encoder_outputs, keys, owner = self._addresses_of(outputs_float, n_rows, n_positions)
        return NativeRows(hidden, cell, encoder_outputs, keys, lengths, [owner] * n_rows)

    def _last_hidden(self, outputs: Tensor, lengths: Tensor, layer: _EncoderLayer) -> Tensor:
        last = outputs[torch.arange(len(lengths)), lengths.long() - 1]
        if len(layer.matrices) == 2:  # the backward direction ends at the first token
            last[:, layer.hidden_dim :] = outputs[:, 0, layer.hidden_dim :]
        return last

    def _addresses_of(
        self, outputs: Tensor | None, n_rows: int, n_positions: int
    ) -> tuple[Tensor, Tensor, object]:
        """Addresses of each row's outputs and keys, int64 ``[B]`` each, and their owner."""
        if outputs is None:
            zeros = torch.zeros(n_rows, dtype=torch.long)
            return zeros, zeros.clone(), None
        output_addresses = _addresses(outputs)
        if self._key is None:
            return output_addresses, output_addresses.clone(), outputs
        keys = torch.zeros(n_rows * n_positions, self._stride)
        flat = outputs.view(n_rows * n_positions, self._stride)
        kernels.linear(self._key, [self._activations(flat)], outputs_float=keys)
        keys = keys.view(n_rows, n_positions, self._stride)
        return output_addresses, _addresses(keys), (outputs, keys)

    def _activations(self, values: Tensor) -> Tensor:
        """Convert values in (-1, 1) to the type of activations."""
        if self._precision.activation is torch.uint8:
            return ((values * ACTIVATION_SCALE).round() + ACTIVATION_ZERO).to(torch.uint8)
        return values.to(self._precision.activation)

    def best(self, rows: NativeRows, tokens: Tensor, blocked: Tensor) -> tuple[Tensor, Tensor]:
        """Make one step and choose the most probable token of each row.

        See :meth:`StepDecoder.best <lingo_model.decoding.step_decoder.StepDecoder.best>`.
        """
        features = self._step(rows, tokens)
        chosen = torch.empty(len(tokens), dtype=torch.int32)
        log_probs = torch.empty(len(tokens))
        kernels.arg_max(self._output, features, blocked, chosen, log_probs)
        return chosen, log_probs

    def k_best(
        self, rows: NativeRows, tokens: Tensor, blocked: Tensor, k: int
    ) -> tuple[Tensor, Tensor]:
        """Make one step and choose the k most probable tokens of each row, best first.

        See :meth:`StepDecoder.k_best <lingo_model.decoding.step_decoder.StepDecoder.k_best>`.
        """
        features = self._step(rows, tokens)
        logits = torch.empty(len(tokens), padded(self.tgt_vocab_size))
        kernels.linear(self._output, [features], outputs_float=logits)
        return kernels.top_k(logits, self.tgt_vocab_size, blocked, k)

    def _step(self, rows: NativeRows, tokens: Tensor) -> Tensor:
        """Change ``rows`` to the next state and return the output layer's input ``[M, stride]``."""
        inputs: Tensor | None = None
        top_float: Tensor | None = None
        for number, matrix in enumerate(self._decoder):
            outputs = torch.zeros_like(rows.hidden[number])
            if self._has_attention and number == len(self._decoder) - 1:
                top_float = torch.zeros(outputs.shape)
            kernels.decode_layer(
                matrix,
                inputs,
                rows.hidden[number],
                self._target_gates if number == 0 else None,
                tokens,
                outputs,
                top_float,
                rows.cell[number],
                hidden_dim=self._hidden_dim,
            )
            rows.hidden[number] = inputs = outputs
        assert inputs is not None
        if self._combine is None:
            return inputs
        assert top_float is not None
        query = top_float
        if self._query is not None:
            query = torch.zeros_like(top_float)
            kernels.linear(self._query, [inputs], outputs_float=query)
        context = torch.zeros_like(inputs)
        kernels.attend(
            self._precision,
            rows.encoder_outputs,
            rows.keys,
            rows.lengths,
            query,
            self._v,
            context,
            hidden_dim=self._hidden_dim,
        )
        combined = torch.zeros_like(inputs)
        kernels.linear(self._combine, [context, inputs], tanh=True, outputs=combined)
        return combined


def _lstm_matrix(lstm: nn.LSTM, suffix: str, precision: KernelPrecision) -> PackedMatrix:
    """Pack the weights of an LSTM layer; the input side of the first layer is in a gate table."""
    weight_ih, weight_hh, bias = _lstm_weights(lstm, suffix)
    is_first = suffix.startswith("0")
    weights = [weight_hh] if is_first else [weight_ih, weight_hh]
    return PackedMatrix(precision, weights, bias, gates=True)


def _gate_table(
    embedding: nn.Embedding, lstm: nn.LSTM, suffix: str, precision: KernelPrecision
) -> Tensor:
    """Compute the input-side gates of the first layer for every token, ``[V, P * 64]``.

    The table is filled some rows at a time. As one float32 product it would be the largest tensor
    in memory.
    """
    weight_ih, _, bias = _lstm_weights(lstm, suffix)
    weight, start = (in_panels(part, gates=True) for part in (weight_ih, bias.unsqueeze(1)))
    embedded = embedding.weight.float().cpu()
    table = torch.empty(len(embedded), len(weight), dtype=precision.gate_table)
    for first in range(0, len(embedded), _TOKENS_AT_ONCE):
        rows = slice(first, first + _TOKENS_AT_ONCE)
        table[rows] = torch.addmm(start.T, embedded[rows], weight.T)
    return table


def _lstm_weights(lstm: nn.LSTM, suffix: str) -> tuple[Tensor, Tensor, Tensor]:
    """Input weight, recurrent weight and summed bias of a layer, in float32."""
    get = {name: p.detach().float().cpu() for name, p in lstm.named_parameters()}.__getitem__
    bias = get(f"bias_ih_l{suffix}") + get(f"bias_hh_l{suffix}")
    return get(f"weight_ih_l{suffix}"), get(f"weight_hh_l{suffix}"), bias


def _plain_matrix(precision: KernelPrecision, weights: list[Tensor]) -> PackedMatrix:
    return PackedMatrix(precision, weights, torch.zeros(weights[0].size(0)), gates=False)


def _addresses(tensor: Tensor) -> Tensor:
    """Address of each row ``[B]`` of a tensor ``[B, S, stride]``."""
    row_bytes = tensor.stride(0) * tensor.element_size()
    return tensor.data_ptr() + row_bytes * torch.arange(tensor.size(0), dtype=torch.long)
