"""Beam search over many sentences at once: which hypotheses live and which have ended.

This module knows nothing about models. It reads the most probable tokens of each living hypothesis
and says which rows continue with which token.

Shapes: G sentences, K beam size, C candidates of a hypothesis, T target positions, R rows (living
hypotheses).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lingo_model.decoding.search_config import Hypothesis, SearchConfig

_MIN_NEW_POSITIONS = 16


class Beams:
    """The beams of the sentences that are being decoded.

    A hypothesis that ends leaves the beam, which is then narrower by one (Sutskever et al. 2014,
    section 3.2). A beam of size 1 is therefore greedy search. Hypotheses are ranked by log
    probability divided by ``((5 + length) / 6) ** alpha`` (Wu et al. 2016, section 7, equation 14,
    without coverage). A sentence ends when no living hypothesis can still enter its ``n_best``.

    Args:
        search: beam size, length limits and ranking.
        eos_id: id of the end of a sentence.
    """

    def __init__(self, search: SearchConfig, eos_id: int) -> None:
        self._search = search
        self._eos_id = eos_id
        self._k = search.beam_size
        self._sentences: list[int] = []
        self._ended: list[list[Hypothesis]] = []
        # Tensors [G, ...]. An entry [g, k] without a living hypothesis has log probability -inf.
        self._log_probs = torch.empty(0, self._k, dtype=torch.float64)
        self._tokens = torch.empty(0, self._k, 0, dtype=torch.long)
        self._lengths = torch.empty(0, dtype=torch.long)
        self._max_lengths = self._lengths.clone()
        self._min_lengths = self._lengths.clone()

    @property
    def n_sentences(self) -> int:
        """Number of sentences that are being decoded."""
        return len(self._sentences)

    def add(self, sentences: list[int], n_source_tokens: list[int]) -> None:
        """Start sentences, each with one empty hypothesis.

        Args:
            sentences: numbers that identify the sentences.
            n_source_tokens: their source lengths.
        """
        n = len(sentences)
        self._sentences += sentences
        self._ended += [[] for _ in sentences]
        start = torch.full((n, self._k), -torch.inf, dtype=torch.float64)
        start[:, 0] = 0.0
        empty = torch.zeros(n, self._k, self._tokens.size(2), dtype=torch.long)
        max_lengths = torch.tensor([self._search.max_length(length) for length in n_source_tokens])
        min_lengths = torch.tensor([self._search.min_length(length) for length in n_source_tokens])
        self._log_probs = torch.cat([self._log_probs, start])
        self._tokens = torch.cat([self._tokens, empty])
        self._lengths = torch.cat([self._lengths, torch.zeros(n, dtype=torch.long)])
        self._max_lengths = torch.cat([self._max_lengths, max_lengths])
        self._min_lengths = torch.cat([self._min_lengths, min_lengths])

    def advance(
        self, tokens: Tensor, log_probs: Tensor
    ) -> tuple[Tensor, Tensor, list[tuple[int, list[Hypothesis]]]]:
        """Extend the living hypotheses by one token.

        Args:
            tokens: the best next tokens of each living hypothesis ``[R, C]``, in row order.
            log_probs: their log probabilities ``[R, C]``.

        Returns:
            for each hypothesis that still lives, the row that it extends and its new token (each
            ``[R']``), and the sentences that ended, each with its hypotheses, best first.
        """
        alive = self._log_probs > -torch.inf  # [G, K]
        n_groups, n_candidates = len(alive), tokens.size(1)
        row_of = (alive.flatten().cumsum(0) - 1).view_as(alive)
        candidates = torch.full((n_groups, self._k, n_candidates), -torch.inf, dtype=torch.float64)
        candidates[alive] = log_probs.double()
        next_tokens = torch.zeros(n_groups, self._k, n_candidates, dtype=torch.long)
        next_tokens[alive] = tokens.long()
        too_short = (self._lengths + 1 < self._min_lengths).view(-1, 1, 1)
        candidates.masked_fill_(too_short & (next_tokens == self._eos_id), -torch.inf)
        candidates += self._log_probs.unsqueeze(2)

        widths = torch.tensor([self._k - len(hypotheses) for hypotheses in self._ended])
        chosen_log_probs, chosen = candidates.view(n_groups, -1).topk(self._k, dim=1)
        beyond_width = torch.arange(self._k) >= widths.unsqueeze(1)
        chosen_log_probs = chosen_log_probs.masked_fill(beyond_width, -torch.inf)  # [G, K]
        parents = chosen // n_candidates
        last = next_tokens.view(n_groups, -1).gather(1, chosen)
        self._append(parents, last)
        self._log_probs = chosen_log_probs
        self._end_hypotheses(last)

        ended, kept = self._end_sentences()
        alive = self._log_probs > -torch.inf
        rows = row_of[kept].gather(1, parents[kept])[alive]
        return rows, last[kept][alive], ended

    def _append(self, parents: Tensor, last: Tensor) -> None:
        position = int(self._lengths.max()) if len(self._lengths) else 0
        if position >= self._tokens.size(2):
            n_new = max(_MIN_NEW_POSITIONS, position)
            new_positions = torch.zeros(*self._tokens.shape[:2], n_new, dtype=torch.long)
            self._tokens = torch.cat([self._tokens, new_positions], dim=2)
        index = parents.unsqueeze(2).expand(-1, -1, self._tokens.size(2))
        self._tokens = self._tokens.gather(1, index)
        positions = self._lengths.view(-1, 1, 1).expand(-1, self._k, 1)
        self._tokens.scatter_(2, positions, last.unsqueeze(2))
        self._lengths = self._lengths + 1

    def _end_hypotheses(self, last: Tensor) -> None:
        """Move hypotheses that ended, by eos or by length, out of the beams."""
        alive = self._log_probs > -torch.inf
        by_eos = alive & (last == self._eos_id)
        by_length = alive & ~by_eos & (self._lengths >= self._max_lengths).unsqueeze(1)
        for group, index in (by_eos | by_length).nonzero().tolist():
            ids = self._tokens[group, index, : self._lengths[group]].tolist()
            log_prob = float(self._log_probs[group, index])
            truncated = ids[-1] != self._eos_id
            self._ended[group].append(Hypothesis(ids, log_prob, truncated))
        self._log_probs = self._log_probs.masked_fill(by_eos | by_length, -torch.inf)

    def _end_sentences(self) -> tuple[list[tuple[int, list[Hypothesis]]], Tensor]:
        """Remove the sentences whose ``n_best`` can no longer change.

        Returns:
            these sentences with their hypotheses, and a mask ``[G]`` of the other sentences.
        """
        best_alive = self._log_probs.amax(dim=1)  # [G]
        # An upper bound: a log probability only falls, and the longest hypothesis has the largest
        # divisor.
        bound = best_alive / self._search.length_norm(self._max_lengths)
        worst_kept = torch.full_like(bound, -torch.inf)
        for group, hypotheses in enumerate(self._ended):
            if len(hypotheses) >= self._search.n_best:
                scores = sorted((self._search.rank(h) for h in hypotheses), reverse=True)
                worst_kept[group] = scores[self._search.n_best - 1]
        kept = (best_alive > -torch.inf) & (bound > worst_kept)
        ended = []
        for group in (~kept).nonzero().flatten().tolist():
            ranked = sorted(self._ended[group], key=self._search.rank, reverse=True)
            ended.append((self._sentences[group], ranked[: self._search.n_best]))
        if ended:
            groups = kept.nonzero().flatten().tolist()
            self._sentences = [self._sentences[group] for group in groups]
            self._ended = [self._ended[group] for group in groups]
            self._log_probs, self._tokens = self._log_probs[kept], self._tokens[kept]
            self._lengths = self._lengths[kept]
            self._max_lengths = self._max_lengths[kept]
            self._min_lengths = self._min_lengths[kept]
        return ended, kept
