"""The LSTM encoder-decoder (Sutskever et al. 2014, "Sequence to Sequence Learning with Neural
Networks", section 2), with attention (Luong et al. 2015, Bahdanau et al. 2015) as an option.

Shapes: B sentences of a batch, S source tokens, T target tokens, E embedding, H hidden,
L layers, V target vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lingo_model.errors import InputError
from lingo_model.kernels import autograd as cpu_training
from lingo_model.network.attention import AdditiveAttention, DotAttention, Memory
from lingo_model.network.config import AttentionType, Config, require_int

LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state, each ``[L, B, H]``."""


class SimpleSeq2SeqLSTM(nn.Module):
    """Encoder and decoder LSTM; the encoder's last state starts the decoder.

    With attention, the decoder's output and a weighted mean of the encoder's outputs give the
    attentional hidden state ``tanh(W [context; output])`` that the output layer reads (Luong et
    al. 2015, equation 5). An argument wins over ``config``, and ``config`` over the defaults of
    :class:`Config`.

    Args:
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and outputs of the last layer.
        emb_dim: E. hidden_dim: H. num_layers: L.
        dropout: probability, applied between LSTM layers (so without effect for one layer).
        pad_idx: id of padding, whose embedding is zero and stays so.
        attention: whether the decoder looks back at the encoder's outputs.
        attn_type: ``dot`` or ``additive``.
        bidirectional: whether half of the encoder's H reads the source from its end; the two
            halves are concatenated.
        tied_embeddings: whether the output layer's weight is the target embedding (Press and Wolf
            2017), which needs E = H. Padding's row then learns too, as an output.
        config: where values that are not given come from; it alone has dropout of embeddings and
            before the output layer, and whether sources are read backwards (Sutskever et al. 2014,
            section 3.3).

    Raises:
        InputError: a value out of range.
    """

    def __init__(
        self,
        src_vocab_size: int,
        tgt_vocab_size: int,
        emb_dim: int | None = None,
        hidden_dim: int | None = None,
        num_layers: int | None = None,
        dropout: float | None = None,
        pad_idx: int | None = None,
        attention: bool | None = None,
        attn_type: AttentionType | None = None,
        bidirectional: bool | None = None,
        tied_embeddings: bool | None = None,
        config: Config | None = None,
    ) -> None:
        super().__init__()
        base = config if config is not None else Config()
        given = {
            "lstm_emb_dim": emb_dim,
            "lstm_hidden_dim": hidden_dim,
            "lstm_num_layers": num_layers,
            "lstm_dropout": dropout,
            "pad_idx": pad_idx,
            "lstm_attention": attention,
            "lstm_attn_type": attn_type,
            "lstm_bidirectional": bidirectional,
            "lstm_tied_embeddings": tied_embeddings,
        }
        overrides = {name: value for name, value in given.items() if value is not None}
        self.config = Config.from_dict(base.to_dict() | overrides)
        for name, size in (
            ("src_vocab_size", src_vocab_size),
            ("tgt_vocab_size", tgt_vocab_size),
        ):
            require_int(name, size, least=1)
            if self.config.pad_idx >= size:
                raise InputError(f"pad_idx={self.config.pad_idx}: needs an id below {name}={size}")
        self.src_vocab_size = src_vocab_size
        self.tgt_vocab_size = tgt_vocab_size

        emb, hidden = self.config.lstm_emb_dim, self.config.lstm_hidden_dim
        layers, pad = self.config.lstm_num_layers, self.config.pad_idx
        between_layers = self.config.lstm_dropout if layers > 1 else 0.0
        both_ways = self.config.lstm_bidirectional
        self.src_embed = nn.Embedding(src_vocab_size, emb, padding_idx=pad)
        self.tgt_embed = nn.Embedding(tgt_vocab_size, emb, padding_idx=pad)
        self.encoder = nn.LSTM(
            emb,
            hidden // 2 if both_ways else hidden,
            layers,
            batch_first=True,
            dropout=between_layers,
            bidirectional=both_ways,
        )
        self.decoder = nn.LSTM(emb, hidden, layers, batch_first=True, dropout=between_layers)
        if self.config.lstm_attention:
            additive = self.config.lstm_attn_type == "additive"
            self.attention = AdditiveAttention(hidden) if additive else DotAttention()
            self.attn_combine = nn.Linear(2 * hidden, hidden, bias=False)
        self.output = nn.Linear(hidden, tgt_vocab_size)
        self.embedding_dropout = nn.Dropout(self.config.lstm_embedding_dropout)
        self.output_dropout = nn.Dropout(self.config.lstm_output_dropout)
        if self.config.lstm_tied_embeddings:
            self.output.weight = self.tgt_embed.weight

    def encode(self, src: Tensor) -> tuple[LSTMState, Memory]:
        """Read the source up to each sentence's last token that is not padding.

        Padding, however much, changes nothing; a row of padding alone gives the zero state.

        Args:
            src: source ids ``[B, S]``, padded at the end.

        Returns:
            the state after the last token, hidden and cell each ``[L, B, H]``, and the memory
            that attention looks back at.
        """
        positions = torch.arange(1, src.size(1) + 1, device=src.device)
        lengths = ((src != self.config.pad_idx) * positions).amax(dim=1)  # [B]
        if self.config.lstm_reverse_source:
            src = src.gather(1, (lengths.unsqueeze(1) - positions) % src.size(1))
        embedded = self.embedding_dropout(self.src_embed(src))  # [B, S, E]
        at_least_one = lengths.clamp(min=1)  # an empty row is reset below
        if self._is_replaced(embedded, self.encoder):
            outputs, state = cpu_training.lstm_layers(self.encoder, embedded, at_least_one, None)
        else:
            packed = pack_padded_sequence(
                embedded, at_least_one.cpu(), batch_first=True, enforce_sorted=False
            )
            packed_outputs, state = self.encoder(packed)
            outputs, _ = pad_packed_sequence(
                packed_outputs, batch_first=True, total_length=src.size(1)
            )  # [B, S, H]
        empty = (lengths == 0).view(1, -1, 1)
        hidden, cell = (self._decoder_state(part).masked_fill(empty, 0.0) for part in state)
        return (hidden, cell), Memory(outputs, positions <= lengths.unsqueeze(1))

    def _decoder_state(self, encoder_state: Tensor) -> Tensor:
        """``[L, B, H]`` of an encoder's state, whose two directions (if any) lie layer by layer."""
        if not self.config.lstm_bidirectional:
            return encoder_state
        forward, backward = encoder_state[0::2], encoder_state[1::2]  # each [L, B, H / 2]
        return torch.cat([forward, backward], dim=2)

    def decode(
        self, tgt: Tensor, state: LSTMState, memory: Memory
    ) -> tuple[Tensor, LSTMState, Tensor | None]:
        """Logits for the token after each target token, and the state after the last.

        Args:
            tgt: target ids ``[B, T]``, beginning with sos (or with any token, going on from
                ``state``).
            state: hidden and cell state, each ``[L, B, H]``. memory: what ``encode`` gave.

        Returns:
            logits ``[B, T, V]``, the state after position T, and attention weights ``[B, T, S]``
            (None without attention).
        """
        hidden, state, weights = self.decode_hidden(tgt, state, memory)
        return self.output(hidden), state, weights

    def decode_hidden(
        self, tgt: Tensor, state: LSTMState, memory: Memory
    ) -> tuple[Tensor, LSTMState, Tensor | None]:
        """As :meth:`decode`, but what the output layer reads, ``[B, T, H]``, instead of logits."""
        embedded = self.embedding_dropout(self.tgt_embed(tgt))  # [B, T, E]
        replaced = self._is_replaced(embedded, self.decoder)
        if replaced:
            outputs, state = cpu_training.lstm_layers(self.decoder, embedded, None, state)
        else:
            outputs, state = self.decoder(embedded, state)  # [B, T, H]
        weights = None
        if self.config.lstm_attention:
            context, weights = self.attention(outputs, memory)
            both = torch.cat([context, outputs], dim=2)
            combined = (
                cpu_training.linear(both, self.attn_combine.weight)
                if replaced
                else self.attn_combine(both)
            )
            outputs = torch.tanh(combined)
        return self.output_dropout(outputs), state, weights

    @staticmethod
    def _is_replaced(embedded: Tensor, lstm: nn.LSTM) -> bool:
        return cpu_training.is_used(embedded, lstm.input_size, lstm.hidden_size)

    def forward(
        self, src: Tensor, tgt: Tensor, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Logits ``[B, T, V]`` for ``src`` ``[B, S]`` and, teacher forced, ``tgt`` ``[B, T]``.

        With ``return_attention`` also the weights ``[B, T, S]``, None without attention.
        """
        logits, _, weights = self.decode(tgt, *self.encode(src))
        return (logits, weights) if return_attention else logits

    def n_parameters(self) -> int:
        """Number of trained weights, for the vocabulary in use."""
        return sum(parameter.numel() for parameter in self.parameters())
