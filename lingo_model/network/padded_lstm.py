"""An LSTM over padded sequences.

Shapes: B sentences, T steps, E input, H hidden, L layers, D directions (1 or 2).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state, each ``[D * L, B, H]``."""


class PaddedLSTM(nn.LSTM):
    """``torch.nn.LSTM`` with ``batch_first=True`` that can stop at the end of each sequence."""

    def forward(  # type: ignore[override]
        self, inputs: Tensor, state: LSTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        """Read the first ``lengths`` steps of each sequence.

        Args:
            inputs: ``[B, T, E]``, padded at the end.
            state: state before the first step; None for zeros.
            lengths: number of steps of each sequence ``[B]``, 1 or more; None to read all T.

        Returns:
            outputs ``[B, T, D * H]``, zero after the end of a sequence, and the state after the
            last step of each sequence.
        """
        if lengths is None:
            outputs, last_state = super().forward(inputs, state)
            return outputs, last_state
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        packed_outputs, last_state = super().forward(packed, state)
        outputs, _ = pad_packed_sequence(
            packed_outputs, batch_first=True, total_length=inputs.size(1)
        )
        return outputs, last_state
