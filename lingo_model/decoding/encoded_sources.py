"""Sources of a search: checked, batched by length, and encoded when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic

import torch

from lingo_model.decoding.search_config import SearchConfig
from lingo_model.decoding.step_decoder import Rows, StepDecoder
from lingo_model.errors import InputError


def check_sources(
    sources: Sequence[Sequence[int]], src_vocab_size: int, search: SearchConfig
) -> None:
    """Refuse sources that the model cannot read.

    Raises:
        InputError: a source is too long, or contains an id outside the vocabulary.
    """
    for row, source in enumerate(sources):
        if len(source) > search.max_source_tokens:
            raise InputError(
                f"source {row} has {len(source)} tokens: max_source_tokens="
                f"{search.max_source_tokens}; split the source or raise max_source_tokens"
            )
        if source and not 0 <= min(source) <= max(source) < src_vocab_size:
            unknown_id = next(i for i in source if not 0 <= i < src_vocab_size)
            raise InputError(
                f"source {row} has token id {unknown_id}: the model's vocabulary has ids 0 to "
                f"{src_vocab_size - 1}; encode it with the model's own subwords"
            )


def batches_by_length(lengths: list[int], search: SearchConfig) -> Iterator[list[int]]:
    """Group sources of similar length into batches, and skip empty sources.

    The longest sources come first, so that a lack of memory shows at once.

    Args:
        lengths: number of tokens of each source.
        search: its ``max_source_tokens_per_batch`` limits a batch, padding included.

    Yields:
        the numbers of a batch's sources, longest first.
    """
    batch: list[int] = []
    for row in sorted((i for i, n in enumerate(lengths) if n), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > search.max_source_tokens_per_batch:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


class EncodedSources(Generic[Rows]):
    """Encodes sources batch by batch, longest first, as the search takes them.

    Args:
        decoder: encodes the sources.
        sources: source ids with eos.
        search: limits the size of a batch.
    """

    def __init__(
        self, decoder: StepDecoder[Rows], sources: Sequence[Sequence[int]], search: SearchConfig
    ) -> None:
        self._decoder = decoder
        self._sources = sources
        self._batches = batches_by_length([len(source) for source in sources], search)
        self._numbers: list[int] = []
        self._rows: Rows | None = None
        self._n_taken = 0

    @property
    def max_n_tokens(self) -> int:
        """Length of the longest source."""
        return max(map(len, self._sources), default=0)

    def n_tokens(self, number: int) -> int:
        """Length of a source."""
        return len(self._sources[number])

    def take(self, n: int) -> tuple[list[int], Rows | None]:
        """Take the next sources.

        Args:
            n: maximum number of sources.

        Returns:
            their numbers and their rows; fewer than ``n`` if no more are left, and None for rows
            if there are none.
        """
        numbers: list[int] = []
        rows: Rows | None = None
        while len(numbers) < n:
            if self._n_taken == len(self._numbers) and not self._encode_next():
                break
            end = min(self._n_taken + n - len(numbers), len(self._numbers))
            assert self._rows is not None
            part = self._rows.select(torch.arange(self._n_taken, end, device=self._decoder.device))
            rows = part if rows is None else rows.joined(part)
            numbers += self._numbers[self._n_taken : end]
            self._n_taken = end
        return numbers, rows

    def _encode_next(self) -> bool:
        batch = next(self._batches, None)
        if batch is None:
            return False
        self._numbers, self._n_taken = batch, 0
        self._rows = self._decoder.encode([self._sources[number] for number in batch])
        return True
