"""Advice on the cleaning rules: what each would drop, and thresholds that suit the corpus.

Reads: the files that a corpus description names.
Writes: nothing.
Run: ``lingo prepare corpus.yaml --advise``
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from pipeline.prepare.advice_examples import Example
from pipeline.prepare.batches import chunks_of, read_batches
from pipeline.prepare.characters import Property
from pipeline.prepare.config import CleanConfig, CrossEntropyConfig, PrepareConfig
from pipeline.prepare.corpus import CorpusDescription, effective_clean
from pipeline.prepare.input_checks import check_inputs
from pipeline.prepare.input_names import NamedInput, named_inputs
from pipeline.prepare.raw_rows import RawBatch
from pipeline.prepare.report_samples import LowestHashes, place_hashes
from pipeline.prepare.rules.cross_entropy import check_models
from pipeline.prepare.rules.lengths import widths_of
from pipeline.prepare.rules.registry import Verdicts, check, details
from pipeline.prepare.rules.repairs import repaired
from pipeline.prepare.score_advice import ScoreAdvice, score_advice
from pipeline.prepare.texts import Counts, Mask, PairTexts, TextColumn

DEFAULT_SAMPLE = 20_000
"""Rows of each input that are looked at."""

# With fewer rows, the 99.9th percentile is the longest row or the one before it.
_MIN_ROWS = 1000
_PERCENTILE = 99.9
# Between the percentile and the threshold, so that a threshold is not at the tail's first row.
_MARGIN = 1.1
_MIN_PROPOSED_CHARACTERS, _MIN_PROPOSED_WORD, _MIN_PROPOSED_RATIO = 50, 30, 1.5
# A rule that is off is proposed if it drops a smaller share of the rows.
_MAX_SHARE_OF_OPTIONAL_RULE = 0.005
_OPTIONAL = {
    "brackets": "match_brackets",
    "quotes": "match_quotes",
    "end_punctuation": "match_end_punctuation",
}
_N_EXAMPLES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class RuleAdvice:
    """What a rule drops from the sample.

    Args:
        name: the rule.
        n_now: the rows that it drops with the present settings; None if it is off.
        n_proposed: the rows that it drops with the proposed settings; None if it is off.
        examples: some of the rows that it drops with the proposed settings.
    """

    name: str
    n_now: int | None
    n_proposed: int | None
    examples: tuple[Example, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class InputAdvice:
    """What all rules but ``cross_entropy`` together drop from the sample of one input.

    Args:
        name: the input.
        n_rows: the rows of the sample, without those that cannot be read.
        n_dropped_now: the rows that are dropped with the present settings.
        n_dropped_proposed: the rows that are dropped with the proposed settings.
    """

    name: str
    n_rows: int
    n_dropped_now: int
    n_dropped_proposed: int


@dataclasses.dataclass(frozen=True, slots=True)
class Advice:
    """The result of :func:`advise`.

    Args:
        inputs: the inputs that are cleaned.
        n_repaired: how many rows of the sample each repair changes.
        rules: what each rule drops.
        proposed: the settings that differ from the present ones.
        scores: for each input with the rule ``cross_entropy``, how its scores are distributed.
    """

    inputs: tuple[InputAdvice, ...]
    n_repaired: dict[str, int]
    rules: tuple[RuleAdvice, ...]
    proposed: dict[str, Any]
    scores: tuple[ScoreAdvice, ...] = ()

    @property
    def n_rows(self) -> int:
        """The rows of the whole sample."""
        return sum(item.n_rows for item in self.inputs)


@dataclasses.dataclass(frozen=True, slots=True)
class _Sample:
    """Some rows of an input, evenly through it."""

    named: NamedInput
    origins: list[str]
    texts: PairTexts

    def settings(self, config: CleanConfig) -> CleanConfig:
        """The settings for this input, without ``cross_entropy``, which is slow."""
        clean = effective_clean(self.named.item, PrepareConfig(clean=config))
        return clean.model_copy(update={"cross_entropy": CrossEntropyConfig()})

    def scores(self, kept: Mask, config: CleanConfig, folder: Path | None) -> ScoreAdvice | None:
        """How the scores of the rows that the other rules keep are distributed.

        Returns:
            None if no row is kept or the rule is off.
        """
        rule = effective_clean(self.named.item, PrepareConfig(clean=config)).cross_entropy
        check_models(rule, folder, self.texts.source_lang, self.texts.target_lang)
        origins = [origin for origin, is_kept in zip(self.origins, kept, strict=True) if is_kept]
        return score_advice(self.named.name, origins, self.texts.take(kept), rule, folder)


def advise(
    corpus: CorpusDescription,
    config: PrepareConfig = PrepareConfig(),
    *,
    n_rows: int = DEFAULT_SAMPLE,
) -> Advice:
    """Find out what the cleaning rules drop from a sample, and propose thresholds.

    Inputs that are given for validation or test are left out, because no rule drops their rows.

    Args:
        corpus: the languages and the inputs, with absolute paths.
        config: the present settings. Those of an input replace them for its rows.
        n_rows: rows of each input to look at, at most.

    Raises:
        InputError: an input cannot be read, an own rule cannot be loaded or fails, or a model of
            ``cross_entropy`` cannot be used.
    """
    check_inputs(corpus)
    cleaned = [
        named for named in named_inputs(corpus.inputs) if named.item.split not in ("valid", "test")
    ]
    samples = [_sample(named, corpus, n_rows) for named in cleaned]
    n_repaired: dict[str, int] = {}
    for number, sample in enumerate(samples):
        texts, repairs = repaired(sample.texts, sample.settings(config.clean))
        samples[number] = dataclasses.replace(sample, texts=texts)
        for name, rows in repairs.items():
            n_repaired[name] = n_repaired.get(name, 0) + int(np.count_nonzero(rows))
    folder = corpus.folder
    proposed = _proposed(samples, config.clean, folder)
    settings = config.clean, config.clean.model_copy(update=proposed)
    verdicts = [_verdicts(samples, values, folder) for values in settings]
    scores = [
        sample.scores(verdict.kept, config.clean, folder)
        for sample, verdict in zip(samples, verdicts[0], strict=True)
    ]
    return Advice(
        inputs=tuple(
            InputAdvice(
                sample.named.name,
                len(sample.texts),
                *(int(np.count_nonzero(~of_input[number].kept)) for of_input in verdicts),
            )
            for number, sample in enumerate(samples)
        ),
        n_repaired=n_repaired,
        rules=_rules(samples, verdicts[0], verdicts[1], settings[1], folder),
        proposed=proposed,
        scores=tuple(item for item in scores if item is not None),
    )


def _sample(named: NamedInput, corpus: CorpusDescription, n_rows: int) -> _Sample:
    """``n_rows`` rows of an input at most, chosen by hash and in the order of the input.

    Not every n-th row: an input can have a period, such as a source sentence for each line of six
    languages.
    """
    chosen = LowestHashes(n_rows)
    for rank, part in enumerate(named.parts):
        for chunk in chunks_of(named, part, rank):
            for batch in read_batches(chunk, pa.schema([])):
                _offer(chosen, rank, part.origin, batch)
    rows = sorted(item[1:] for item in chosen.items)
    texts = PairTexts(
        source=TextColumn.of(row[3] for row in rows),
        target=TextColumn.of(row[4] for row in rows),
        source_lang=corpus.source_lang,
        target_lang=corpus.target_lang,
    )
    return _Sample(named, [row[2] for row in rows], texts)


def _offer(chosen: LowestHashes, rank: int, origin: str, batch: RawBatch) -> None:
    """Offer the rows of a batch that can be read."""
    readable = np.ones(len(batch), np.bool_)
    readable[list(batch.problems)] = False
    rows = np.flatnonzero(readable)
    numbers = batch.numbers[rows]

    def item(position: int) -> list[Any]:
        row, number = int(rows[position]), int(numbers[position])
        texts = batch.source.text(row), batch.target.text(row)
        return [rank, number, f"{origin}:{number}", *texts]

    chosen.add(place_hashes(np.full(len(rows), rank, np.int32), numbers), item)


def _proposed(samples: list[_Sample], config: CleanConfig, folder: Path | None) -> dict[str, Any]:
    """The settings to change."""
    proposed: dict[str, Any] = {}
    n_rows = sum(len(sample.texts) for sample in samples)
    if n_rows < _MIN_ROWS:
        return proposed
    all_rules = config.model_copy(update=dict.fromkeys(_OPTIONAL.values(), True))
    verdicts = _verdicts(samples, all_rules, folder)
    good = [
        sample.texts.take(_good(verdict)) for sample, verdict in zip(samples, verdicts, strict=True)
    ]
    lengths = np.concatenate([np.maximum(*_lengths(texts)) for texts in good])
    if len(lengths) < _MIN_ROWS:
        return proposed
    limit = math.ceil(_tail(lengths) / 10) * 10
    proposed["max_characters"] = max(limit, _MIN_PROPOSED_CHARACTERS)
    words = np.concatenate([_longest_words(texts) for texts in good])
    proposed["max_word_characters"] = max(math.ceil(_tail(words)), _MIN_PROPOSED_WORD)
    ratios = np.concatenate([_ratios(texts, config) for texts in good])
    if len(ratios) >= _MIN_ROWS:
        proposed["max_length_ratio"] = max(math.ceil(_tail(ratios) * 10) / 10, _MIN_PROPOSED_RATIO)
    for name, setting in _OPTIONAL.items():
        n_dropped = sum(_n_true(verdict, name) for verdict in verdicts)
        if n_dropped < _MAX_SHARE_OF_OPTIONAL_RULE * n_rows:
            proposed[setting] = True
    return {
        key: value for key, value in proposed.items() if _is_stricter(getattr(config, key), value)
    }


def _verdicts(samples: list[_Sample], config: CleanConfig, folder: Path | None) -> list[Verdicts]:
    return [
        check(sample.texts, sample.settings(config), folder=folder, all_masks=True)
        for sample in samples
    ]


def _is_stricter(present: Any, proposed: Any) -> bool:
    if isinstance(proposed, bool):
        return proposed is not present
    return present is None or bool(proposed < present)


def _good(verdicts: Verdicts) -> Mask:
    """The pairs that no rule about the content rejects, whatever their lengths."""
    optional = {*_OPTIONAL, "too_long", "long_word"}
    good = np.ones(len(verdicts.first), np.bool_)
    for name, mask in (verdicts.masks or {}).items():
        if name not in optional:
            good &= ~mask
    return good


def _n_true(verdicts: Verdicts, name: str) -> int:
    return int(np.count_nonzero((verdicts.masks or {})[name]))


def _tail(values: npt.NDArray[Any]) -> float:
    """Where the tail of a distribution begins, with a margin."""
    return float(np.percentile(values, _PERCENTILE)) * _MARGIN


def _lengths(texts: PairTexts) -> tuple[Counts, Counts]:
    return texts.source.n_characters, texts.target.n_characters


def _ratios(texts: PairTexts, config: CleanConfig) -> npt.NDArray[np.float64]:
    """The length ratios of the pairs whose ratio is checked."""
    source, target = widths_of(texts.source), widths_of(texts.target)
    longer, shorter = np.maximum(source, target), np.minimum(source, target)
    is_checked = (np.maximum(*_lengths(texts)) >= config.ratio_min_characters) & (shorter > 0)
    ratios: npt.NDArray[np.float64] = longer[is_checked] / shorter[is_checked]
    return ratios


def _longest_words(texts: PairTexts) -> npt.NDArray[np.int64]:
    """The length of the longest word of each pair; see the rule ``long_word``."""
    longest = np.zeros(len(texts), np.int64)
    for column in (texts.source, texts.target):
        words = column.runs(column.are(Property.WORD) & ~column.are(Property.NO_SPACES))
        np.maximum.at(longest, words.rows, words.lengths)
    return longest


def _rules(
    samples: list[_Sample],
    now: list[Verdicts],
    proposed: list[Verdicts],
    config: CleanConfig,
    folder: Path | None,
) -> tuple[RuleAdvice, ...]:
    rules: list[RuleAdvice] = []
    names = dict.fromkeys(name for of_input in now for name in of_input.reasons)
    for name in names:
        examples: list[Example] = []
        for sample, verdicts in zip(samples, proposed, strict=True):
            if name not in verdicts.reasons:
                continue
            rows = np.flatnonzero(verdicts.first == verdicts.reasons.index(name))
            numbers = rows[: _N_EXAMPLES - len(examples)].tolist()
            settings = sample.settings(config)
            texts = details(sample.texts, verdicts, numbers, settings, folder=folder)
            for row, detail in zip(numbers, texts, strict=True):
                pair = sample.texts.source.text(row), sample.texts.target.text(row)
                examples.append(Example(sample.origins[row], *pair, detail or ""))
        rules.append(
            RuleAdvice(name, _n_first(now, name), _n_first(proposed, name), tuple(examples))
        )
    return tuple(rules)


def _n_first(verdicts: list[Verdicts], name: str) -> int | None:
    """The rows whose reason is a rule; None if the rule is off."""
    if not any(name in (of_input.masks or {}) for of_input in verdicts):
        return None
    return sum(
        int(np.count_nonzero(of_input.first == of_input.reasons.index(name)))
        for of_input in verdicts
        if name in of_input.reasons
    )


def advice_lines(advice: Advice) -> Iterator[str]:
    """The advice as lines of text. The last ones are settings to paste into prepare.yaml."""
    for item in advice.inputs:
        yield (
            f"{item.name}: {item.n_rows:,} rows looked at; drops {item.n_dropped_now:,} now, "
            f"{item.n_dropped_proposed:,} with the proposed settings"
        )
    if not advice.n_rows:
        yield "no input has a row that is cleaned"
        return
    for name, n_rows in advice.n_repaired.items():
        if n_rows:
            yield f"repair {name}: {_share(n_rows, advice.n_rows)}"
    for rule in advice.rules:
        if not rule.n_now and not rule.n_proposed:
            continue
        yield (
            f"rule {rule.name}: drops {_of(rule.n_now, advice.n_rows)} now, "
            f"{_of(rule.n_proposed, advice.n_rows)} with the proposed settings"
        )
        for example in rule.examples:
            yield from example.lines()
    for scores in advice.scores:
        yield from scores.lines()
    if advice.n_rows < _MIN_ROWS:
        yield f"note: thresholds are proposed from {_MIN_ROWS:,} rows on"
    if not advice.proposed:
        yield "no change of the settings is proposed"
        return
    yield "# prepare.yaml"
    yield yaml.safe_dump({"clean": advice.proposed}, sort_keys=False).rstrip()


def _of(n: int | None, n_rows: int) -> str:
    return "nothing (it is off)" if n is None else _share(n, n_rows)


def _share(n: int, n_rows: int) -> str:
    return f"{n:,} rows ({n / n_rows:.2%})"
