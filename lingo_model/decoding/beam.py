"""Beam search over many sentences at once: which hypotheses live, which are finished.

Knows nothing of models: it takes the most probable tokens of each living hypothesis and says
which rows go on with which token.

Shapes: G sentences, K beam size, C candidates of a hypothesis, T target positions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lingo_model.decoding.search_config import Hypothesis, SearchConfig


class Beams:
    """The beams of some sentences.

    A finished hypothesis leaves the beam, which narrows by one (Sutskever et al. 2014, section
    3.2), so a beam of one is greedy search. Hypotheses are ranked by log probability divided by
    ``((5 + length) / 6) ** alpha`` (Wu et al. 2016, section 7, equation 14, without coverage). A
    sentence ends when no living hypothesis can still enter its ``n_best``.
    """

    def __init__(self, search: SearchConfig, eos_id: int) -> None:
        self._search = search
        self._eos_id = eos_id
        self._k = search.beam_size
        self._sentences: list[int] = []
        self._finished: list[list[Hypothesis]] = []
        # All of them [G, ...]; a place without a living hypothesis has log probability -inf.
        self._log_probs = torch.empty(0, self._k, dtype=torch.float64)
        self._tokens = torch.empty(0, self._k, 0, dtype=torch.long)
        self._lengths = torch.empty(0, dtype=torch.long)
        self._most, self._least = self._lengths.clone(), self._lengths.clone()

    @property
    def n_sentences(self) -> int:
        """How many sentences are being decoded."""
        return len(self._sentences)

    def add(self, sentences: list[int], n_source_tokens: list[int]) -> None:
        """Begin some sentences, by their numbers: one living hypothesis each."""
        n = len(sentences)
        self._sentences += sentences
        self._finished += [[] for _ in sentences]
        start = torch.full((n, self._k), -torch.inf, dtype=torch.float64)
        start[:, 0] = 0.0
        empty = torch.zeros(n, self._k, self._tokens.size(2), dtype=torch.long)
        most = torch.tensor([self._search.max_length(length) for length in n_source_tokens])
        least = torch.tensor([self._search.min_length(length) for length in n_source_tokens])
        self._log_probs = torch.cat([self._log_probs, start])
        self._tokens = torch.cat([self._tokens, empty])
        self._lengths = torch.cat([self._lengths, torch.zeros(n, dtype=torch.long)])
        self._most = torch.cat([self._most, most])
        self._least = torch.cat([self._least, least])

    def advance(
        self, tokens: Tensor, log_probs: Tensor
    ) -> tuple[Tensor, Tensor, list[tuple[int, list[Hypothesis]]]]:
        """Make one step.

        Args:
            tokens, log_probs: [R, C], the best next tokens of each living hypothesis, in the order
                of their rows.

        Returns:
            of each hypothesis that lives on, the row it comes from and its last token, each [R'],
            and the sentences that ended, by number, each with its hypotheses, best first.
        """
        alive = self._log_probs > -torch.inf  # [G, K]
        n_groups, n_candidates = len(alive), tokens.size(1)
        row_of = (alive.flatten().cumsum(0) - 1).view_as(alive)
        candidates = torch.full((n_groups, self._k, n_candidates), -torch.inf, dtype=torch.float64)
        candidates[alive] = log_probs.double()
        next_tokens = torch.zeros(n_groups, self._k, n_candidates, dtype=torch.long)
        next_tokens[alive] = tokens.long()
        too_short = (self._lengths + 1 < self._least).view(-1, 1, 1)
        candidates.masked_fill_(too_short & (next_tokens == self._eos_id), -torch.inf)
        candidates += self._log_probs.unsqueeze(2)

        n_places = torch.tensor([self._k - len(found) for found in self._finished])
        chosen_log_probs, chosen = candidates.view(n_groups, -1).topk(self._k, dim=1)
        beyond = torch.arange(self._k) >= n_places.unsqueeze(1)
        chosen_log_probs = chosen_log_probs.masked_fill(beyond, -torch.inf)  # [G, K]
        parents = chosen // n_candidates
        last = next_tokens.view(n_groups, -1).gather(1, chosen)
        self._append(parents, last)
        self._log_probs = chosen_log_probs
        self._finish(last)

        ended, kept = self._take_ended()
        going = self._log_probs > -torch.inf
        # Rows of the step that was made: parents of sentences that still live.
        rows = row_of[kept].gather(1, parents[kept])[going]
        return rows, last[kept][going], ended

    def _append(self, parents: Tensor, last: Tensor) -> None:
        position = int(self._lengths.max()) if len(self._lengths) else 0
        if position >= self._tokens.size(2):
            more = torch.zeros(*self._tokens.shape[:2], max(16, position), dtype=torch.long)
            self._tokens = torch.cat([self._tokens, more], dim=2)
        index = parents.unsqueeze(2).expand(-1, -1, self._tokens.size(2))
        self._tokens = self._tokens.gather(1, index)
        where = self._lengths.view(-1, 1, 1).expand(-1, self._k, 1)
        self._tokens.scatter_(2, where, last.unsqueeze(2))
        self._lengths = self._lengths + 1

    def _finish(self, last: Tensor) -> None:
        """Move ended hypotheses out of the beams."""
        alive = self._log_probs > -torch.inf
        ended = alive & (last == self._eos_id)
        cut = alive & ~ended & (self._lengths >= self._most).unsqueeze(1)
        for group, place in (ended | cut).nonzero().tolist():
            ids = self._tokens[group, place, : self._lengths[group]].tolist()
            log_prob = float(self._log_probs[group, place])
            truncated = ids[-1] != self._eos_id
            self._finished[group].append(Hypothesis(ids, log_prob, truncated))
        self._log_probs = self._log_probs.masked_fill(ended | cut, -torch.inf)

    def _take_ended(self) -> tuple[list[tuple[int, list[Hypothesis]]], Tensor]:
        """Sentences in which nothing can improve any more, and a mask [G] of the others."""
        best_alive = self._log_probs.amax(dim=1)  # [G]
        # A log probability only falls, and the longest hypothesis has the mildest divisor.
        bound = best_alive / self._search.length_norm(self._most)
        worst = torch.full_like(bound, -torch.inf)
        for group, found in enumerate(self._finished):
            if len(found) >= self._search.n_best:
                scores = sorted((self._search.rank(h) for h in found), reverse=True)
                worst[group] = scores[self._search.n_best - 1]
        going = (best_alive > -torch.inf) & (bound > worst)
        ended = []
        for group in (~going).nonzero().flatten().tolist():
            ranked = sorted(self._finished[group], key=self._search.rank, reverse=True)
            ended.append((self._sentences[group], ranked[: self._search.n_best]))
        if ended:
            kept = going.nonzero().flatten().tolist()
            self._sentences = [self._sentences[group] for group in kept]
            self._finished = [self._finished[group] for group in kept]
            self._log_probs, self._tokens = self._log_probs[going], self._tokens[going]
            self._lengths = self._lengths[going]
            self._most, self._least = self._most[going], self._least[going]
        return ended, going
