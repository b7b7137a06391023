"""The decoding engine: token ids in, token ids and log probabilities out, in the input's order.

Sources are encoded in batches of like length. Greedy search decodes in slots: a sentence that ends
leaves its slot to the next one, so no step is spent on finished sentences. Beam search keeps the
living hypotheses of many sentences as rows of one batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lingo_model.decoding.beam import Beams
from lingo_model.decoding.native_decoder import NativeDecoder, NativeRows
from lingo_model.decoding.search_config import (
    EMPTY,
    Hypothesis,
    SearchConfig,
    batches_by_length,
    blocked_ids,
    check_sources,
)
from lingo_model.decoding.torch_decoder import TorchDecoder, TorchRows
from lingo_model.errors import InputError
from lingo_model.kernels.decoding import native_tiers
from lingo_model.network.lstm import SimpleSeq2SeqLSTM

DecodeTier = Literal["exact", "bf16", "int8"]
TIERS: tuple[DecodeTier, ...] = get_args(DecodeTier)

_N_SLOTS_CPU = 512
_N_SLOTS_CUDA = 2048
# Asking a GPU which sentences ended waits for it; a CPU has the answer at hand.
_STEPS_BETWEEN_LOOKS_CUDA = 4


class Engine:
    """Translates any number of token id sequences with one model replica.

    A sentence's result does not depend on the other sentences, on their order or on ``n_slots``:
    with the compiled kernels not by a single bit, on torch's operations by float rounding only.

    Args:
        model: in ``eval`` mode. On the CPU its weights are packed into the tier's precision, and
            the model may be dropped.
        tier: ``exact`` (float32), ``bf16`` or ``int8``; on a GPU ``exact`` or ``bf16``.
        n_slots: sentences decoded at a time; None for a number that suits the device.

    Raises:
        InputError: an unknown tier, or one that this machine cannot run.
    """

    def __init__(
        self, model: SimpleSeq2SeqLSTM, *, tier: DecodeTier = "exact", n_slots: int | None = None
    ) -> None:
        on_gpu = model.output.weight.device.type == "cuda"
        check_tier(tier, on_gpu=on_gpu)
        self._decoder: Any
        if on_gpu or tier not in native_tiers():
            self._decoder = TorchDecoder(model, torch.bfloat16 if tier == "bf16" else torch.float32)
        else:
            self._decoder = NativeDecoder(model, tier)
        self.tier = tier
        self._n_slots = n_slots or (_N_SLOTS_CUDA if on_gpu else _N_SLOTS_CPU)
        self._steps_between_looks = _STEPS_BETWEEN_LOOKS_CUDA if on_gpu else 1

    def translate(
        self, sources: Sequence[Sequence[int]], search: SearchConfig | None = None
    ) -> list[Hypothesis]:
        """The best translation of each source.

        Args:
            sources: source ids with eos. One without ids gets an empty translation that says so.

        Raises:
            InputError: an id outside the vocabulary, or a source that is too long.
        """
        return [hypotheses[0] for hypotheses in self.n_best(sources, search)]

    def n_best(
        self, sources: Sequence[Sequence[int]], search: SearchConfig | None = None
    ) -> list[list[Hypothesis]]:
        """The ``n_best`` translations of each source, best first; see :meth:`translate`."""
        search = search if search is not None else SearchConfig()
        check_sources(sources, self._decoder.src_vocab_size, search)
        results: list[list[Hypothesis]] = [[EMPTY]] * len(sources)
        greedy = search.beam_size == 1 and not (search.min_length_ratio or search.min_length_offset)
        with torch.inference_mode():
            for number, found in (self._greedy if greedy else self._beam)(sources, search):
                results[number] = found
        return results

    def _greedy(
        self, sources: Sequence[Sequence[int]], search: SearchConfig
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Sentence numbers with their translations, as they end."""
        decoder, config, device = self._decoder, self._decoder.config, self._decoder.device
        blocked = decoder.blocked(blocked_ids(config, search))
        encoded = _Encoded(decoder, sources, search)
        numbers, rows = encoded.take(self._n_slots)
        if not numbers:
            return
        n_tokens_most = max(search.max_length(len(source)) for source in sources)
        limits = _limits(numbers, sources, search, device)
        # One place more than any translation takes, for what follows its end.
        tokens = torch.zeros(len(numbers), n_tokens_most + 1, dtype=torch.int32, device=device)
        log_probs = torch.zeros(len(numbers), dtype=torch.float64, device=device)
        lengths = torch.zeros(len(numbers), dtype=torch.long, device=device)
        active = torch.ones(len(numbers), dtype=torch.bool, device=device)
        slots = torch.arange(len(numbers), device=device)
        last = torch.full((len(numbers),), config.sos_idx, dtype=torch.int32, device=device)
        for step in itertools.count(1):
            chosen, step_log_probs = decoder.best(rows, last, blocked)
            last = chosen.to(torch.int32)
            # A slot that ended and has not been looked at yet writes where nobody reads.
            tokens[slots, lengths] = last
            log_probs += torch.where(active, step_log_probs.double(), 0.0)
            lengths += active
            active = active & (last != config.eos_idx) & (lengths < limits)
            if step % self._steps_between_looks:
                continue
            ended = (~active).nonzero().flatten()
            if not len(ended):
                continue
            for slot, ids, length, log_prob in zip(
                ended.tolist(),
                tokens[ended, : int(lengths[ended].max())].tolist(),
                lengths[ended].tolist(),
                log_probs[ended].tolist(),
                strict=True,
            ):
                truncated = ids[length - 1] != config.eos_idx
                yield numbers[slot], [Hypothesis(ids[:length], log_prob, truncated)]
            new_numbers, new_rows = encoded.take(len(ended))
            filled, left = ended[: len(new_numbers)], ended[len(new_numbers) :]
            if new_numbers:
                rows.replace(filled, new_rows)
                for slot, number in zip(filled.tolist(), new_numbers, strict=True):
                    numbers[slot] = number
                limits[filled] = _limits(new_numbers, sources, search, device)
                log_probs[filled], lengths[filled], active[filled] = 0.0, 0, True
                last[filled] = config.sos_idx
            if len(left):
                kept = active.nonzero().flatten()
                if not len(kept):
                    return
                rows = rows.select(kept)
                numbers = [numbers[slot] for slot in kept.tolist()]
                limits, tokens, log_probs = limits[kept], tokens[kept], log_probs[kept]
                lengths, active, last = lengths[kept], active[kept], last[kept]
                slots = slots[: len(kept)]

    def _beam(
        self, sources: Sequence[Sequence[int]], search: SearchConfig
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Sentence numbers with their translations, as they end."""
        decoder, config, device = self._decoder, self._decoder.config, self._decoder.device
        blocked = decoder.blocked(blocked_ids(config, search))
        encoded = _Encoded(decoder, sources, search)
        beams = Beams(search, config.eos_idx)
        # One more than the beam is wide: a sentence that is too short yet may lose its eos.
        n_candidates = min(search.beam_size + 1, decoder.tgt_vocab_size)
        n_groups = max(1, self._n_slots // search.beam_size)
        rows: Any = None
        last = torch.empty(0, dtype=torch.int32, device=device)
        while True:
            numbers, new_rows = encoded.take(n_groups - beams.n_sentences)
            if numbers:
                beams.add(numbers, [len(sources[number]) for number in numbers])
                rows = rows.joined(new_rows) if beams.n_sentences > len(numbers) else new_rows
                sos = torch.full((len(numbers),), config.sos_idx, dtype=torch.int32, device=device)
                last = torch.cat([last, sos])
            if not beams.n_sentences:
                return
            found = decoder.k_best(rows, last, blocked, n_candidates)
            kept, tokens, ended = beams.advance(*(part.cpu() for part in found))
            rows, last = rows.select(kept.to(device)), tokens.to(torch.int32).to(device)
            yield from ended


class _Encoded:
    """Sources, encoded batch by batch as they are asked for, longest first."""

    def __init__(
        self, decoder: Any, sources: Sequence[Sequence[int]], search: SearchConfig
    ) -> None:
        self._decoder = decoder
        self._sources = sources
        self._batches = batches_by_length([len(source) for source in sources], search)
        self._numbers: list[int] = []
        self._rows: NativeRows | TorchRows | None = None
        self._n_taken = 0

    def take(self, n: int) -> tuple[list[int], Any]:
        """Up to ``n`` sentence numbers and their rows; fewer when the sources run out."""
        numbers: list[int] = []
        rows: Any = None
        while len(numbers) < n:
            if self._n_taken == len(self._numbers) and not self._encode_next():
                break
            end = min(self._n_taken + n - len(numbers), len(self._numbers))
            assert self._rows is not None
            part: Any = self._rows.select(
                torch.arange(self._n_taken, end, device=self._decoder.device)
            )
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


def _limits(
    numbers: list[int],
    sources: Sequence[Sequence[int]],
    search: SearchConfig,
    device: torch.device,
) -> Tensor:
    most = [search.max_length(len(sources[number])) for number in numbers]
    return torch.tensor(most, device=device)


def check_tier(tier: str, *, on_gpu: bool = False) -> None:
    """Refuse a tier that is unknown or that this machine cannot run.

    Raises:
        InputError: names the tier and those that run here.
    """
    if tier not in TIERS:
        raise InputError(f"tier={tier!r}: needs one of {', '.join(TIERS)}")
    here = ("exact", "bf16") if on_gpu else ("exact", *(t for t in native_tiers() if t != "exact"))
    if tier not in here:
        why = (
            "a GPU runs it in bf16"
            if on_gpu
            else "its processor lacks the instructions (AVX-512 with BF16 or VNNI), "
            "or the package was installed without a C++ compiler"
        )
        raise InputError(f"tier={tier!r}: this machine runs {', '.join(here)}; {why}")
