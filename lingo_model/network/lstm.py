"""The LSTM encoder-decoder (Sutskever et al. 2014, "Sequence to Sequence Learning with Neural
Networks", section 2), optionally with attention (Luong et al. 2015, Bahdanau et al. 2015).

Shapes: B sentences of a batch, S source tokens, T target tokens, E embedding, H hidden,
L layers, V target vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lingo_model.errors import InputError
from lingo_model.network.attention import AdditiveAttention, DotAttention, EncoderOutputs
from lingo_model.network.config import AttentionType, ModelConfig, require_int
from lingo_model.network.padded_lstm import LSTMState, PaddedLSTM


class SimpleSeq2SeqLSTM(nn.Module):
    """Encoder LSTM and decoder LSTM; the encoder's last state is the decoder's first state.

    With attention, the output layer reads the attentional hidden state
    ``tanh(W [context; output])`` (Luong et al. 2015, equation 5).

    The constructor takes the arguments of TorchLingo's class of the same name, and
    ``bidirectional`` and ``tied_embeddings`` in addition; the names of the weights are TorchLingo's
    too. An argument overrides the same setting of ``config``.

    Args:
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and outputs of the last layer.
        emb_dim: size of an embedding, E.
        hidden_dim: size of the hidden state, H.
        num_layers: number of LSTM layers, L.
        dropout: probability of dropout between LSTM layers; it has no effect for one layer.
        pad_idx: id of padding; its embedding is zero and stays zero.
        attention: whether the decoder attends to the encoder's outputs.
        attn_type: ``dot`` or ``additive``.
        bidirectional: whether the encoder reads in both directions, with H / 2 units for each;
            the outputs of the two directions are concatenated.
        tied_embeddings: whether the output layer's weight is the target embedding (Press and Wolf
            2017). This needs E = H, and the embedding of padding is then trained as an output.
        config: values of the arguments that are not given, and the settings without an argument.

    Raises:
        InputError: a value is out of range.
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
        config: ModelConfig | None = None,
    ) -> None:
        super().__init__()
        base = config if config is not None else ModelConfig()
        arguments = {
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
        overrides = {name: value for name, value in arguments.items() if value is not None}
        self.config = ModelConfig.from_dict(base.to_dict() | overrides)
        for name, size in (
            ("src_vocab_size", src_vocab_size),
            ("tgt_vocab_size", tgt_vocab_size),
        ):
            require_int(name, size, minimum=1)
            if self.config.pad_idx >= size:
                raise InputError(f"pad_idx={self.config.pad_idx}: needs an id below {name}={size}")
        self._build_layers(src_vocab_size, tgt_vocab_size)

    def _build_layers(self, src_vocab_size: int, tgt_vocab_size: int) -> None:
        emb, hidden, pad = self.emb_dim, self.hidden_dim, self.pad_idx
        layers = self.num_layers
        dropout = self.config.lstm_dropout if layers > 1 else 0.0
        bidirectional = self.config.lstm_bidirectional
        self.src_embed = nn.Embedding(src_vocab_size, emb, padding_idx=pad)
        self.tgt_embed = nn.Embedding(tgt_vocab_size, emb, padding_idx=pad)
        self.encoder = PaddedLSTM(
            emb,
            hidden // 2 if bidirectional else hidden,
            layers,
            batch_first=True,
            dropout=dropout,
            bidirectional=bidirectional,
        )
        self.decoder = PaddedLSTM(emb, hidden, layers, batch_first=True, dropout=dropout)
        if self.config.lstm_attention:
            additive = self.config.lstm_attn_type == "additive"
            self.attention = AdditiveAttention(hidden) if additive else DotAttention()
            self.attn_combine = nn.Linear(2 * hidden, hidden, bias=False)
        self.output = nn.Linear(hidden, tgt_vocab_size)
        self.embedding_dropout = nn.Dropout(self.config.lstm_embedding_dropout)
        self.output_dropout = nn.Dropout(self.config.lstm_output_dropout)
        if self.config.lstm_tied_embeddings:
            self.output.weight = self.tgt_embed.weight

    @property
    def src_vocab_size(self) -> int:
        """Number of source pieces."""
        return self.src_embed.num_embeddings

    @property
    def tgt_vocab_size(self) -> int:
        """Number of target pieces, V."""
        return self.tgt_embed.num_embeddings

    @property
    def emb_dim(self) -> int:
        """Size of an embedding, E."""
        return self.config.lstm_emb_dim

    @property
    def hidden_dim(self) -> int:
        """Size of the decoder's hidden state, H."""
        return self.config.lstm_hidden_dim

    @property
    def num_layers(self) -> int:
        """Number of LSTM layers in the encoder and in the decoder, L."""
        return self.config.lstm_num_layers

    @property
    def pad_idx(self) -> int:
        """Id of padding."""
        return self.config.pad_idx

    def encode(self, src: Tensor) -> tuple[LSTMState, EncoderOutputs]:
        """Read each source up to its last token that is not padding.

        The amount of padding does not change the result. A row that is all padding gives the zero
        state.

        Args:
            src: source ids ``[B, S]``, padded at the end.

        Returns:
            the state after the last token, hidden and cell each ``[L, B, H]``, and the outputs
            that the decoder attends to.
        """
        positions = torch.arange(1, src.size(1) + 1, device=src.device)
        lengths = ((src != self.pad_idx) * positions).amax(dim=1)  # [B]
        if self.config.lstm_reverse_source:
            src = src.gather(1, (lengths.unsqueeze(1) - positions) % src.size(1))
        embedded = self.embedding_dropout(self.src_embed(src))  # [B, S, E]
        # An LSTM needs at least one step. The state of an empty row is reset below.
        outputs, state = self.encoder(embedded, None, lengths.clamp(min=1))  # [B, S, H]
        empty = (lengths == 0).view(1, -1, 1)
        hidden, cell = (self._decoder_state(part).masked_fill(empty, 0.0) for part in state)
        return (hidden, cell), EncoderOutputs(outputs, positions <= lengths.unsqueeze(1))

    def _decoder_state(self, encoder_state: Tensor) -> Tensor:
        """Join the two directions of a bidirectional encoder's state, layer by layer.

        Returns:
            ``[L, B, H]``.
        """
        if not self.config.lstm_bidirectional:
            return encoder_state
        forward, backward = encoder_state[0::2], encoder_state[1::2]  # each [L, B, H / 2]
        return torch.cat([forward, backward], dim=2)

    def decode(
        self, tgt: Tensor, state: LSTMState, encoder_outputs: EncoderOutputs
    ) -> tuple[Tensor, LSTMState, Tensor | None]:
        """Compute logits for the token after each target token.

        Args:
            tgt: target ids ``[B, T]``. The first is sos, or any token if decoding continues from
                ``state``.
            state: hidden and cell state, each ``[L, B, H]``.
            encoder_outputs: the second result of :meth:`encode`.

        Returns:
            logits ``[B, T, V]``, the state after the last token, and attention weights
            ``[B, T, S]`` (None without attention).
        """
        hidden, state, weights = self.decode_hidden(tgt, state, encoder_outputs)
        return self.output(hidden), state, weights

    def decode_hidden(
        self, tgt: Tensor, state: LSTMState, encoder_outputs: EncoderOutputs
    ) -> tuple[Tensor, LSTMState, Tensor | None]:
        """Like :meth:`decode`, but return the output layer's input ``[B, T, H]``, not logits."""
        embedded = self.embedding_dropout(self.tgt_embed(tgt))  # [B, T, E]
        outputs, state = self.decoder(embedded, state)  # [B, T, H]
        weights = None
        if self.config.lstm_attention:
            context, weights = self.attention(outputs, encoder_outputs)
            outputs = torch.tanh(self.attn_combine(torch.cat([context, outputs], dim=2)))
        return self.output_dropout(outputs), state, weights

    def forward(
        self, src: Tensor, tgt: Tensor, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Compute logits ``[B, T, V]`` with teacher forcing.

        Args:
            src: source ids ``[B, S]``.
            tgt: target ids ``[B, T]``, beginning with sos.
            return_attention: whether to return the attention weights ``[B, T, S]`` too (None
                without attention).
        """
        logits, _, weights = self.decode(tgt, *self.encode(src))
        return (logits, weights) if return_attention else logits

    def n_parameters(self) -> int:
        """Number of trained weights."""
        return sum(parameter.numel() for parameter in self.parameters())
