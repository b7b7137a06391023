"""The rule about how well two models find that the sides of a pair fit together.

It is the dual conditional cross-entropy filter of Junczys-Dowmunt 2018, "Dual conditional
cross-entropy filtering of noisy parallel corpora", section 3.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from lingo_model import BundleManifest, InputError, read_bundle_manifest
from pipeline.languages import primary_language
from pipeline.prepare.config import CleanConfig, CrossEntropyConfig
from pipeline.prepare.rules.rule import Rule
from pipeline.prepare.texts import Mask, PairTexts

if TYPE_CHECKING:
    from lingo_model import Scorer

_Floats: TypeAlias = "npt.NDArray[np.float64]"

CROSS_ENTROPY = "cross_entropy"
"""The reason of the rule."""

# Attention takes memory for each pair of a source token and a target token.
_MAX_CHARACTERS = 4096


class ScoringModels:
    """A model from the source language to the target language, and one of the opposite direction.

    Args:
        forward: tells how probable targets are, given the sources.
        backward: tells how probable sources are, given the targets.
    """

    def __init__(self, forward: Scorer, backward: Scorer) -> None:
        self._forward = forward
        self._backward = backward
        self._last: dict[tuple[str, str], tuple[float, float]] = {}

    def entropies(self, texts: PairTexts) -> tuple[_Floats, _Floats]:
        """The cross-entropies of some pairs.

        Args:
            texts: N pairs.

        Returns:
            that of the targets given the sources, and that of the sources given the targets, in
            nats a token, each ``[N]``. They are 0 for pairs with a side that is too long to judge.
        """
        longest = np.maximum(texts.source.n_characters, texts.target.n_characters)
        rows = np.flatnonzero(longest <= _MAX_CHARACTERS)
        short = texts.take(longest <= _MAX_CHARACTERS)
        pairs = list(zip(short.source.to_list(), short.target.to_list(), strict=True))
        values = self._of_pairs(pairs)
        self._last = dict(zip(pairs, values, strict=True))
        entropies = np.zeros((2, len(texts)))
        entropies[:, rows] = np.array(values).reshape(-1, 2).T
        return entropies[0], entropies[1]

    def entropies_of(self, source: str, target: str) -> tuple[float, float]:
        """The cross-entropies of one pair. Those of the last pairs are not computed again."""
        pair = source, target
        return self._last[pair] if pair in self._last else self._of_pairs([pair])[0]

    def _of_pairs(self, pairs: list[tuple[str, str]]) -> list[tuple[float, float]]:
        sources, targets = [source for source, _ in pairs], [target for _, target in pairs]
        with _one_thread():
            forward = self._forward.cross_entropy(sources, targets)
            backward = self._backward.cross_entropy(targets, sources)
        return list(zip(forward, backward, strict=True))


def dual_score(forward: _Floats, backward: _Floats) -> _Floats:
    """How little the sides of pairs fit together, 0 or more.

    The score is ``|forward - backward| + (forward + backward) / 2``. It is low if both models find
    a pair probable, and about equally so. The adequacy of the paper (equation 1) is
    ``exp(-score)``.

    Args:
        forward: the cross-entropy of each target given its source ``[N]``, in nats a token.
        backward: that of each source given its target ``[N]``.
    """
    return np.abs(forward - backward) + (forward + backward) / 2


def describe(forward: float, backward: float) -> str:
    """The score of a pair and its parts, such as ``1.84 (forward 1.10, backward 1.62)``."""
    [score] = dual_score(np.array([forward]), np.array([backward]))
    return f"{score:.2f} (forward {forward:.2f}, backward {backward:.2f})"


def check_models(
    config: CrossEntropyConfig, folder: Path | None, source_lang: str, target_lang: str
) -> None:
    """Check that both models exist and translate in the right directions. Reads no weights.

    Args:
        config: the settings.
        folder: relative paths begin there; None for the current folder.
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.

    Raises:
        InputError: a path is no bundle, or a model translates between other languages.
    """
    for key, path in _paths(config, folder).items():
        given = (source_lang, target_lang)
        needed = given if key == "forward" else given[::-1]
        manifest = _manifest(key, path)
        languages = manifest.source_lang, manifest.target_lang
        if not _are_same(languages, needed):
            swapped = "; 'forward' and 'backward' may be swapped"
            raise InputError(
                f"clean.cross_entropy.{key}: {path} translates {'-'.join(languages)}; needs a "
                f"model for {'-'.join(needed)}"
                f"{swapped if _are_same(languages, needed[::-1]) else ''}"
            )


def model_ids(config: CrossEntropyConfig, folder: Path | None) -> dict[str, str]:
    """What identifies the models, by key of the settings; empty if the rule is off.

    Raises:
        InputError: a path is no bundle.
    """
    return {key: _manifest(key, path).model_id for key, path in _paths(config, folder).items()}


def scoring_models(config: CrossEntropyConfig, folder: Path | None) -> ScoringModels:
    """Load the models of the settings, unless this process has loaded them before.

    Raises:
        InputError: a path is no bundle, or one of its files is damaged.
    """
    forward, backward = _paths(config, folder).values()
    return _loaded(forward, backward, tuple(model_ids(config, folder).values()))


def cross_entropy_rules(config: CleanConfig, folder: Path | None) -> tuple[Rule, ...]:
    """The rule, if the settings name its models.

    Args:
        config: the settings.
        folder: the folder of the corpus description, where relative paths of models begin.
    """
    if not config.cross_entropy.is_on:
        return ()

    def rejects(texts: PairTexts, config: CleanConfig) -> Mask:
        settings = config.cross_entropy
        check_models(settings, folder, texts.source_lang, texts.target_lang)
        scores = dual_score(*scoring_models(settings, folder).entropies(texts))
        rows: Mask = scores > settings.max_score
        return rows

    def detail(source: str, target: str, config: CleanConfig) -> str:
        models = scoring_models(config.cross_entropy, folder)
        return describe(*models.entropies_of(source, target))

    return (
        Rule(
            CROSS_ENTROPY,
            rejects,
            lambda config: config.cross_entropy.is_on,
            detail,
            is_slow=True,
        ),
    )


def _paths(config: CrossEntropyConfig, folder: Path | None) -> dict[str, Path]:
    """The folders of both bundles by key of the settings; empty if the rule is off."""
    if config.forward is None or config.backward is None:
        return {}
    start = Path() if folder is None else folder
    return {"forward": start / config.forward, "backward": start / config.backward}


def _manifest(key: str, path: Path) -> BundleManifest:
    try:
        return read_bundle_manifest(path)
    except InputError as error:
        raise InputError(f"clean.cross_entropy.{key}: {error}") from error


def _are_same(languages: tuple[str, str], others: tuple[str, str]) -> bool:
    """Whether two pairs of language tags mean the same languages, regions and scripts aside."""
    return list(map(primary_language, languages)) == list(map(primary_language, others))


@functools.lru_cache(maxsize=2)
def _loaded(forward: Path, backward: Path, ids: tuple[str, ...]) -> ScoringModels:
    """The models of two bundles. ``ids`` tells a bundle from an earlier one of the same path."""
    from lingo_model import Scorer, load_bundle  # imports torch, which takes a second

    return ScoringModels(Scorer(load_bundle(forward)), Scorer(load_bundle(backward)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have torch use one thread, so that sums have the same order in every process."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
