"""The decoding engine: source ids in, target ids and log probabilities out.

Sources are encoded in batches of similar length. Greedy search decodes in slots, see
:class:`~lingo_model.decoding.greedy_slots.GreedySlots`. Beam search decodes the living hypotheses
of many sentences as rows of one batch, see :class:`~lingo_model.decoding.beam.Beams`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from lingo_model.decoding.beam import Beams
from lingo_model.decoding.encoded_sources import EncodedSources, check_sources
from lingo_model.decoding.greedy_slots import GreedySlots
from lingo_model.decoding.native_decoder import NativeDecoder
from lingo_model.decoding.precision import DecodePrecision, check_precision
from lingo_model.decoding.search_config import EMPTY_HYPOTHESIS, Hypothesis, SearchConfig
from lingo_model.decoding.step_decoder import DecoderRows, StepDecoder
from lingo_model.decoding.torch_decoder import TorchDecoder
from lingo_model.kernels import library
from lingo_model.network.lstm import SimpleSeq2SeqLSTM

_N_SLOTS_CPU = 512
_N_SLOTS_CUDA = 2048
# A check for ended sentences makes the host wait for a GPU; on a CPU it costs nothing.
_STEPS_BETWEEN_CHECKS_CUDA = 4


class Engine:
    """Translates any number of token id sequences with one replica of a model.

    The result of a sentence does not depend on the other sentences, on their order or on
    ``n_slots``: on the compiled kernels it is the same to the last bit, on torch's operations it
    is the same up to float rounding.

    Args:
        model: in ``eval`` mode. On a CPU with the compiled kernels its weights are packed, and the
            engine does not keep the model.
        precision: ``float32``, ``bfloat16`` or ``int8``; on a GPU ``float32`` or ``bfloat16``.
        n_slots: maximum number of sentences at a time; None for a number that suits the device.

    Raises:
        InputError: the precision is unknown, or this machine does not support it.
    """

    def __init__(
        self,
        model: SimpleSeq2SeqLSTM,
        *,
        precision: DecodePrecision = "float32",
        n_slots: int | None = None,
    ) -> None:
        on_gpu = model.output.weight.device.type == "cuda"
        check_precision(precision, on_gpu=on_gpu)
        self._decoder: StepDecoder[Any]  # a decoder reads only the rows that it made itself
        if on_gpu or precision not in library.native_precisions():
            dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
            self._decoder = TorchDecoder(model, dtype)
        else:
            self._decoder = NativeDecoder(model, precision)
        self.precision = precision
        self._n_slots = n_slots or (_N_SLOTS_CUDA if on_gpu else _N_SLOTS_CPU)
        self._steps_between_checks = _STEPS_BETWEEN_CHECKS_CUDA if on_gpu else 1

    def translate(
        self, sources: Sequence[Sequence[int]], search: SearchConfig | None = None
    ) -> list[Hypothesis]:
        """Find the best translation of each source.

        Args:
            sources: source ids with eos. A source without ids gets an empty translation.
            search: settings of the search; None for the defaults.

        Returns:
            one hypothesis for each source, in the same order.

        Raises:
            InputError: a source is too long, or contains an id outside the vocabulary.
        """
        return [hypotheses[0] for hypotheses in self.n_best(sources, search)]

    def n_best(
        self, sources: Sequence[Sequence[int]], search: SearchConfig | None = None
    ) -> list[list[Hypothesis]]:
        """Find the ``n_best`` translations of each source, best first; see :meth:`translate`."""
        search = search if search is not None else SearchConfig()
        check_sources(sources, self._decoder.src_vocab_size, search)
        results: list[list[Hypothesis]] = [[EMPTY_HYPOTHESIS]] * len(sources)
        has_min_length = bool(search.min_length_ratio or search.min_length_offset)
        run = self._beam if search.beam_size > 1 or has_min_length else self._greedy
        with torch.inference_mode():
            encoded = EncodedSources(self._decoder, sources, search)
            for number, hypotheses in run(encoded, search):
                results[number] = hypotheses
        return results

    def _greedy(
        self, sources: EncodedSources[Any], search: SearchConfig
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield source numbers and translations in the order in which sentences end."""
        slots = GreedySlots(
            self._decoder,
            sources,
            search,
            n_slots=self._n_slots,
            steps_between_checks=self._steps_between_checks,
        )
        for number, hypothesis in slots.run():
            yield number, [hypothesis]

    def _beam(
        self, sources: EncodedSources[Any], search: SearchConfig
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield source numbers and translations in the order in which sentences end."""
        decoder, device = self._decoder, self._decoder.device
        sos_id = decoder.config.sos_idx
        blocked = decoder.blocked(search.blocked_ids(decoder.config))
        beams = Beams(search, decoder.config.eos_idx)
        # One more than the beam size, because a hypothesis below the minimum length cannot end.
        n_candidates = min(search.beam_size + 1, decoder.tgt_vocab_size)
        n_groups = max(1, self._n_slots // search.beam_size)
        rows: DecoderRows | None = None
        last = torch.empty(0, dtype=torch.int32, device=device)
        while True:
            numbers, new_rows = sources.take(n_groups - beams.n_sentences)
            if new_rows is not None:
                rows = rows.joined(new_rows) if rows is not None and beams.n_sentences else new_rows
                beams.add(numbers, [sources.n_tokens(number) for number in numbers])
                sos = torch.full((len(numbers),), sos_id, dtype=torch.int32, device=device)
                last = torch.cat([last, sos])
            if rows is None or not beams.n_sentences:
                return
            tokens, log_probs = decoder.k_best(rows, last, blocked, n_candidates)
            kept, next_tokens, ended = beams.advance(tokens.cpu(), log_probs.cpu())
            rows = rows.select(kept.to(device))
            last = next_tokens.to(torch.int32).to(device)
            yield from ended
