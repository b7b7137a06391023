"""Hyperparameters of the LSTM model. Each default is written here and nowhere else."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from lingo_model.errors import InputError

AttentionType = Literal["dot", "additive"]
ATTENTION_TYPES: tuple[AttentionType, ...] = get_args(AttentionType)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and special ids of a :class:`~lingo_model.network.lstm.SimpleSeq2SeqLSTM`.

    The defaults of the special ids are those of every subword model of this project, see
    ``lingo_model/special_ids.py``.

    Attributes:
        lstm_emb_dim: size of an embedding.
        lstm_hidden_dim: size of the hidden state.
        lstm_num_layers: number of LSTM layers in the encoder and in the decoder.
        lstm_dropout: probability of dropout between LSTM layers.
        lstm_attention: whether the decoder attends to the encoder's outputs.
        lstm_attn_type: ``dot`` or ``additive``.
        lstm_bidirectional: whether the encoder reads the source in both directions.
        lstm_tied_embeddings: whether the output layer and the target embedding share weights.
        lstm_embedding_dropout: probability of dropout on embeddings.
        lstm_output_dropout: probability of dropout before the output layer.
        lstm_reverse_source: whether the encoder reads the source from its last token.
        pad_idx: id of padding.
        unk_idx: id of an unknown token.
        sos_idx: id of the start of a sentence.
        eos_idx: id of the end of a sentence.

    Raises:
        InputError: a value is out of range; the message names it and the allowed values.
    """

    lstm_emb_dim: int = 256
    lstm_hidden_dim: int = 512
    lstm_num_layers: int = 2
    lstm_dropout: float = 0.1
    lstm_attention: bool = False
    lstm_attn_type: AttentionType = "dot"
    lstm_bidirectional: bool = False
    lstm_tied_embeddings: bool = False
    lstm_embedding_dropout: float = 0.0
    lstm_output_dropout: float = 0.0
    lstm_reverse_source: bool = False
    pad_idx: int = 0
    unk_idx: int = 1
    sos_idx: int = 2
    eos_idx: int = 3

    def __post_init__(self) -> None:
        for name, minimum in (
            ("lstm_emb_dim", 1),
            ("lstm_hidden_dim", 1),
            ("lstm_num_layers", 1),
            ("pad_idx", 0),
            ("unk_idx", 0),
            ("sos_idx", 0),
            ("eos_idx", 0),
        ):
            require_int(name, getattr(self, name), minimum)
        for name in (
            "lstm_attention",
            "lstm_bidirectional",
            "lstm_tied_embeddings",
            "lstm_reverse_source",
        ):
            if not isinstance(value := getattr(self, name), bool):
                raise InputError(f"{name}={value!r}: needs true or false")
        for name in ("lstm_dropout", "lstm_embedding_dropout", "lstm_output_dropout"):
            dropout = getattr(self, name)
            is_number = isinstance(dropout, int | float) and not isinstance(dropout, bool)
            if not (is_number and 0.0 <= dropout < 1.0):
                raise InputError(f"{name}={dropout!r}: needs 0 or more and less than 1")
        if self.lstm_attn_type not in ATTENTION_TYPES:
            raise InputError(
                f"lstm_attn_type={self.lstm_attn_type!r}: needs one of {', '.join(ATTENTION_TYPES)}"
            )
        if self.lstm_bidirectional and self.lstm_hidden_dim % 2:
            raise InputError(
                f"lstm_hidden_dim={self.lstm_hidden_dim}: needs an even number, because a "
                "bidirectional encoder uses half of it for each direction"
            )
        if self.lstm_tied_embeddings and self.lstm_emb_dim != self.lstm_hidden_dim:
            raise InputError(
                f"lstm_tied_embeddings=True: needs equal lstm_emb_dim and lstm_hidden_dim, not "
                f"{self.lstm_emb_dim} and {self.lstm_hidden_dim}"
            )
        ids = (self.pad_idx, self.unk_idx, self.sos_idx, self.eos_idx)
        if len(set(ids)) != len(ids):
            raise InputError(f"pad_idx, unk_idx, sos_idx, eos_idx={ids}: need four different ids")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build a configuration from a mapping.

        Raises:
            InputError: a key is unknown, or a value is out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise InputError(
                f"model config has unknown key {unknown[0]!r}: known are {', '.join(sorted(known))}"
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Every setting as a plain value, for a manifest."""
        return dataclasses.asdict(self)


def require_int(name: str, value: object, minimum: int, maximum: int | None = None) -> None:
    """Refuse a value that is not a whole number from ``minimum`` to ``maximum``.

    Raises:
        InputError: names the setting and its value.
    """
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < minimum
        or (maximum is not None and value > maximum)
    ):
        allowed = f"of {minimum} or more" if maximum is None else f"from {minimum} to {maximum}"
        raise InputError(f"{name}={value!r}: needs a whole number {allowed}")
