"""A model on the compiled kernels: packed weights in place of the float ones.

Shapes: B sentences of a batch, S source tokens, M rows that are being decoded, H hidden, V target
vocabulary; ``stride`` is H rounded up to a multiple of 16.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lingo_model.kernels import decoding as kernels
from lingo_model.kernels.decoding import PackedMatrix
from lingo_model.network.attention import AdditiveAttention
from lingo_model.network.lstm import SimpleSeq2SeqLSTM

_TOKENS_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class NativeRows:
    """State of M rows: per layer ``hidden`` and ``cell`` [M, stride], and with attention where
    each row's encoder outputs lie (addresses [M]), how many there are, and who holds them."""

    hidden: list[Tensor]
    cell: list[Tensor]
    memory: Tensor
    keys: Tensor
    lengths: Tensor
    owners: list[object]

    def select(self, rows: Tensor) -> NativeRows:
        """The state of some rows, in that order; a row may come more than once."""
        return NativeRows(
            [part[rows] for part in self.hidden],
            [part[rows] for part in self.cell],
            self.memory[rows],
            self.keys[rows],
            self.lengths[rows],
            [self.owners[row] for row in rows.tolist()],
        )

    def replace(self, rows: Tensor, new: NativeRows) -> None:
        """Put ``new`` into these rows."""
        for part, fresh in zip(self._tensors(), new._tensors(), strict=True):
            part[rows] = fresh
        for row, owner in zip(rows.tolist(), new.owners, strict=True):
            self.owners[row] = owner

    def joined(self, other: NativeRows) -> NativeRows:
        """These rows, then the others."""
        return NativeRows(
            [torch.cat(pair) for pair in zip(self.hidden, other.hidden, strict=True)],
            [torch.cat(pair) for pair in zip(self.cell, other.cell, strict=True)],
            torch.cat([self.memory, other.memory]),
            torch.cat([self.keys, other.keys]),
            torch.cat([self.lengths, other.lengths]),
            [*self.owners, *other.owners],
        )

    def _tensors(self) -> list[Tensor]:
        return [*self.hidden, *self.cell, self.memory, self.keys, self.lengths]


class _EncoderLayer:
    """One encoder layer's directions; the first layer reads a table of gates by token."""

    def __init__(self, lstm: nn.LSTM, layer: int, tier: kernels.Tier) -> None:
        suffixes = ["", "_reverse"] if lstm.bidirectional else [""]
        self.matrices = [_lstm_matrix(lstm, f"{layer}{suffix}", tier) for suffix in suffixes]
        self.hidden_dim = lstm.hidden_size


class NativeDecoder:
    """Encodes sources and makes decoding steps for any number of rows.

    A row's results are the same bits whatever the other rows are.

    Args:
        model: its weights are copied into packed form; it is not kept.
        tier: one of :func:`~lingo_model.kernels.decoding.native_tiers`.
    """

    device = torch.device("cpu")

    def __init__(self, model: SimpleSeq2SeqLSTM, tier: str) -> None:
        config = model.config
        self.config = config
        self.src_vocab_size, self.tgt_vocab_size = model.src_vocab_size, model.tgt_vocab_size
        self._tier = kernels.TIERS[tier]
        self._hidden_dim = config.lstm_hidden_dim
        self._stride = kernels.padded(self._hidden_dim)
        layers = range(config.lstm_num_layers)
        with torch.inference_mode():
            # The largest first: what packing it needs for a moment is then there for the others.
            self._output = PackedMatrix(
                self._tier, [model.output.weight], model.output.bias, gates=False
            )
            self._encoder = [_EncoderLayer(model.encoder, i, self._tier) for i in layers]
            suffixes = ["0", "0_reverse"] if config.lstm_bidirectional else ["0"]
            self._source_gates = [
                _gate_table(model.src_embed, model.encoder, suffix, self._tier)
                for suffix in suffixes
            ]
            self._decoder = [_lstm_matrix(model.decoder, str(i), self._tier) for i in layers]
            self._target_gates = _gate_table(model.tgt_embed, model.decoder, "0", self._tier)
            self._has_attention = config.lstm_attention
            self._query = self._key = self._v = self._combine = None
            if config.lstm_attention:
                self._combine = _plain_matrix(
                    self._tier, list(model.attn_combine.weight.chunk(2, dim=1))
                )
                if isinstance(model.attention, AdditiveAttention):
                    self._query = _plain_matrix(self._tier, [model.attention.W_dec.weight])
                    self._key = _plain_matrix(self._tier, [model.attention.W_enc.weight])
                    self._v = model.attention.v.weight.detach().float().flatten().clone()

    def blocked(self, ids: Sequence[int]) -> Tensor:
        """What :meth:`best` and :meth:`k_best` take so that ``ids`` are not chosen."""
        blocked = torch.zeros(kernels.padded(self.tgt_vocab_size, kernels.PANEL))
        blocked[list(ids)] = -torch.inf
        return blocked

    def encode(self, sources: Sequence[Sequence[int]]) -> NativeRows:
        """State before the first step, one row for each source, longest source first."""
        n_rows, n_positions = len(sources), len(sources[0])
        tokens = torch.zeros(n_rows, n_positions, dtype=torch.int32)
        lengths = torch.tensor([len(source) for source in sources], dtype=torch.int32)
        within = torch.arange(n_positions) < lengths.unsqueeze(1)
        step = -1 if self.config.lstm_reverse_source else 1
        tokens[within] = torch.tensor([i for s in sources for i in s[::step]], dtype=torch.int32)
        shape = (n_rows, n_positions, self._stride)
        inputs: Tensor | None = None
        outputs_float: Tensor | None = None
        hidden, cell = [], []
        for number, layer in enumerate(self._encoder):
            outputs = torch.zeros(shape, dtype=self._tier.activation)
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
        memory, keys, owner = self._memory(outputs_float, n_rows, n_positions)
        return NativeRows(hidden, cell, memory, keys, lengths, [owner] * n_rows)

    def _last_hidden(self, outputs: Tensor, lengths: Tensor, layer: _EncoderLayer) -> Tensor:
        last = outputs[torch.arange(len(lengths)), lengths.long() - 1]
        if len(layer.matrices) == 2:  # the backward direction ends at the first token
            last[:, layer.hidden_dim :] = outputs[:, 0, layer.hidden_dim :]
        return last

    def _memory(
        self, outputs: Tensor | None, n_rows: int, n_positions: int
    ) -> tuple[Tensor, Tensor, object]:
        if outputs is None:
            none = torch.zeros(n_rows, dtype=torch.long)
            return none, none.clone(), None
        memory = _addresses(outputs)
        if self._key is None:
            return memory, memory.clone(), outputs
        keys = torch.zeros(n_rows * n_positions, self._stride)
        flat = outputs.view(n_rows * n_positions, self._stride)
        kernels.linear(self._key, [self._activation(flat)], outputs_float=keys)
        keys = keys.view(n_rows, n_positions, self._stride)
        return memory, _addresses(keys), (outputs, keys)

    def _activation(self, values: Tensor) -> Tensor:
        """Values in (-1, 1) in the tier's type."""
        if self._tier.activation is torch.uint8:
            level = (values * kernels.ACTIVATION_SCALE).round() + kernels.ACTIVATION_ZERO
            return level.to(torch.uint8)
        return values.to(self._tier.activation)

    def best(self, rows: NativeRows, tokens: Tensor, blocked: Tensor) -> tuple[Tensor, Tensor]:
        """One step: the most probable token [M] after ``tokens`` [M] int32, and its log
        probability; ``rows`` go on to the new state."""
        features = self._step(rows, tokens)
        chosen = torch.empty(len(tokens), dtype=torch.int32)
        log_probs = torch.empty(len(tokens))
        kernels.arg_max(self._output, features, blocked, chosen, log_probs)
        return chosen, log_probs

    def k_best(
        self, rows: NativeRows, tokens: Tensor, blocked: Tensor, k: int
    ) -> tuple[Tensor, Tensor]:
        """One step: as :meth:`best`, but the k most probable tokens [M, k]."""
        features = self._step(rows, tokens)
        logits = torch.empty(len(tokens), kernels.padded(self.tgt_vocab_size))
        kernels.linear(self._output, [features], outputs_float=logits)
        return kernels.top_k(logits, self.tgt_vocab_size, blocked, k)

    def _step(self, rows: NativeRows, tokens: Tensor) -> Tensor:
        """What the output layer reads, [M, stride]."""
        inputs: Tensor | None = None
        top: Tensor | None = None
        for number, matrix in enumerate(self._decoder):
            outputs = torch.zeros_like(rows.hidden[number])
            if self._has_attention and number == len(self._decoder) - 1:
                top = torch.zeros(outputs.shape)
            kernels.decode_layer(
                matrix,
                inputs,
                rows.hidden[number],
                self._target_gates if number == 0 else None,
                tokens,
                outputs,
                top,
                rows.cell[number],
                hidden_dim=self._hidden_dim,
            )
            rows.hidden[number] = inputs = outputs
        assert inputs is not None
        if self._combine is None:
            return inputs
        assert top is not None
        query = top
        if self._query is not None:
            query = torch.zeros_like(top)
            kernels.linear(self._query, [inputs], outputs_float=query)
        context = torch.zeros_like(inputs)
        kernels.attend(
            self._tier,
            rows.memory,
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


def _lstm_matrix(lstm: nn.LSTM, suffix: str, tier: kernels.Tier) -> PackedMatrix:
    """An LSTM layer's weights; its first layer's input side lives in the gate table."""
    weight_ih, weight_hh, bias = _lstm_weights(lstm, suffix)
    first = suffix.startswith("0")
    return PackedMatrix(tier, [weight_hh] if first else [weight_ih, weight_hh], bias, gates=True)


def _gate_table(embedding: nn.Embedding, lstm: nn.LSTM, suffix: str, tier: kernels.Tier) -> Tensor:
    """Input side of the first layer's gates for every token of the vocabulary: [V, panels * 64].

    The products of all embeddings with the layer's input weights, made once, some rows at a time:
    in float32 they would be the largest thing in memory."""
    weight_ih, _, bias = _lstm_weights(lstm, suffix)
    weight, start = (kernels.in_panels(part, gates=True) for part in (weight_ih, bias.unsqueeze(1)))
    embedded = embedding.weight.float().cpu()
    table = torch.empty(len(embedded), len(weight), dtype=tier.gate_table)
    for first in range(0, len(embedded), _TOKENS_AT_ONCE):
        rows = slice(first, first + _TOKENS_AT_ONCE)
        table[rows] = torch.addmm(start.T, embedded[rows], weight.T)
    return table


def _lstm_weights(lstm: nn.LSTM, suffix: str) -> tuple[Tensor, Tensor, Tensor]:
    get = {name: p.detach().float().cpu() for name, p in lstm.named_parameters()}.__getitem__
    bias = get(f"bias_ih_l{suffix}") + get(f"bias_hh_l{suffix}")
    return get(f"weight_ih_l{suffix}"), get(f"weight_hh_l{suffix}"), bias


def _plain_matrix(tier: kernels.Tier, weights: list[Tensor]) -> PackedMatrix:
    return PackedMatrix(tier, weights, torch.zeros(weights[0].size(0)), gates=False)


def _addresses(held: Tensor) -> Tensor:
    """Address of each row [B] of ``held`` [B, S, stride]."""
    row_bytes = held.stride(0) * held.element_size()
    return held.data_ptr() + row_bytes * torch.arange(held.size(0), dtype=torch.long)
