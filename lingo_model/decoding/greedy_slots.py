"""Greedy search in slots: a sentence that ends leaves its slot to the next one.

No step is spent on sentences that have ended, and the batch stays full while sources are left.

Shapes: N slots.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Generic

import torch
from torch import Tensor

from lingo_model.decoding.encoded_sources import EncodedSources
from lingo_model.decoding.search_config import Hypothesis, SearchConfig
from lingo_model.decoding.step_decoder import Rows, StepDecoder


class GreedySlots(Generic[Rows]):
    """The sentences that are being decoded, one in each slot.

    Args:
        decoder: makes the steps.
        sources: the sentences to decode.
        search: length limits and blocked ids.
        n_slots: maximum number of sentences at a time.
        steps_between_checks: number of steps after which ended sentences are looked for.
    """

    def __init__(
        self,
        decoder: StepDecoder[Rows],
        sources: EncodedSources[Rows],
        search: SearchConfig,
        *,
        n_slots: int,
        steps_between_checks: int,
    ) -> None:
        self._decoder = decoder
        self._sources = sources
        self._search = search
        self._steps_between_checks = steps_between_checks
        self._sos_id, self._eos_id = decoder.config.sos_idx, decoder.config.eos_idx
        self._blocked = decoder.blocked(search.blocked_ids(decoder.config))
        self._numbers, self._rows = sources.take(n_slots)
        n, device = len(self._numbers), decoder.device
        max_length = search.max_length(sources.max_n_tokens)
        self._max_lengths = self._max_lengths_of(self._numbers)
        # One column more than the longest translation: see `_step`.
        self._tokens = torch.zeros(n, max_length + 1, dtype=torch.int32, device=device)
        self._log_probs = torch.zeros(n, dtype=torch.float64, device=device)
        self._lengths = torch.zeros(n, dtype=torch.long, device=device)
        self._active = torch.ones(n, dtype=torch.bool, device=device)
        self._slots = torch.arange(n, device=device)
        self._last = torch.full((n,), self._sos_id, dtype=torch.int32, device=device)

    def run(self) -> Iterator[tuple[int, Hypothesis]]:
        """Decode all sources.

        Yields:
            the number of a source and its translation, in the order in which sentences end.
        """
        if not self._numbers:
            return
        for step in itertools.count(1):
            self._step()
            if step % self._steps_between_checks:
                continue
            ended = (~self._active).nonzero().flatten()
            if not len(ended):
                continue
            yield from self._translations(ended)
            n_refilled = self._refill(ended)
            if n_refilled < len(ended):
                self._drop_inactive()
                if not self._numbers:
                    return

    def _step(self) -> None:
        assert self._rows is not None
        chosen, step_log_probs = self._decoder.best(self._rows, self._last, self._blocked)
        self._last = chosen.to(torch.int32)
        # A sentence that has ended writes after its end until the next check.
        self._tokens[self._slots, self._lengths] = self._last
        self._log_probs += torch.where(self._active, step_log_probs.double(), 0.0)
        self._lengths += self._active
        self._active = (
            self._active & (self._last != self._eos_id) & (self._lengths < self._max_lengths)
        )

    def _translations(self, ended: Tensor) -> Iterator[tuple[int, Hypothesis]]:
        lengths = self._lengths[ended]
        for slot, ids, length, log_prob in zip(
            ended.tolist(),
            self._tokens[ended, : int(lengths.max())].tolist(),
            lengths.tolist(),
            self._log_probs[ended].tolist(),
            strict=True,
        ):
            truncated = ids[length - 1] != self._eos_id
            yield self._numbers[slot], Hypothesis(ids[:length], log_prob, truncated)

    def _refill(self, ended: Tensor) -> int:
        """Put the next sources into slots whose sentences have ended.

        Returns:
            the number of slots that were filled.
        """
        numbers, rows = self._sources.take(len(ended))
        if rows is None:
            return 0
        assert self._rows is not None
        filled = ended[: len(numbers)]
        self._rows.replace(filled, rows)
        for slot, number in zip(filled.tolist(), numbers, strict=True):
            self._numbers[slot] = number
        self._max_lengths[filled] = self._max_lengths_of(numbers)
        self._log_probs[filled], self._lengths[filled], self._active[filled] = 0.0, 0, True
        self._last[filled] = self._sos_id
        return len(numbers)

    def _drop_inactive(self) -> None:
        kept = self._active.nonzero().flatten()
        self._numbers = [self._numbers[slot] for slot in kept.tolist()]
        if not self._numbers:
            return
        assert self._rows is not None
        self._rows = self._rows.select(kept)
        self._max_lengths, self._tokens = self._max_lengths[kept], self._tokens[kept]
        self._log_probs, self._lengths = self._log_probs[kept], self._lengths[kept]
        self._active, self._last = self._active[kept], self._last[kept]
        self._slots = self._slots[: len(kept)]

    def _max_lengths_of(self, numbers: list[int]) -> Tensor:
        lengths = [self._search.max_length(self._sources.n_tokens(number)) for number in numbers]
        return torch.tensor(lengths, device=self._decoder.device)
