"""The files of a dataset, and its manifest.

DATASET/
  pairs/split=train|valid|test/part-00000.parquet     PAIRS
  rejected/part-00000.parquet                         REJECTED
  encoded/split=train|valid|test/part-00000.parquet   ENCODED
  subwords.model                                      one SentencePiece model for both languages
  report.html, report.json                            what was read, repaired, rejected and kept
  manifest.json                                       written last
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pipeline.dataset.splits import Split
from pipeline.settings import Settings
from pipeline.storage.manifests import Manifest

MANIFEST = "manifest.json"
SUBWORDS = "subwords.model"


class InputCounts(Settings):
    """The number of rows of one input: ``n_kept + sum(n_rejected.values()) == n_read``.

    Args:
        name: the file's name, or both names of aligned files, with as many of their folders as tell
            the inputs of the corpus apart.
        split: the split that the corpus description gives, or None.
        n_read: rows read.
        n_kept: rows written to PAIRS.
        n_rejected: rows written to REJECTED, by reason.
        n_repaired: rows whose texts were repaired, by repair. A row can have several.
    """

    name: str
    split: Split | None
    n_read: int
    n_kept: int
    n_rejected: dict[str, int]
    n_repaired: dict[str, int] = Field(default_factory=dict)


class SplitCounts(Settings):
    """The size and the files of one split.

    Args:
        n_pairs: sentence pairs.
        n_encoded: rows of the ENCODED files, which have copies of pairs of inputs with a weight.
            None in datasets of earlier releases, where it is ``n_pairs``.
        n_source_tokens: subwords of all sources, with one eos each.
        n_target_tokens: subwords of all targets, with one eos each.
        pairs_files: paths of the PAIRS files, relative to the dataset.
        encoded_files: paths of the ENCODED files, relative to the dataset.
    """

    n_pairs: int
    n_source_tokens: int
    n_target_tokens: int
    pairs_files: tuple[str, ...]
    encoded_files: tuple[str, ...]
    n_encoded: int | None = None


class ChangedText(Settings):
    """A text that the subword model changes.

    Args:
        text: the text in PAIRS.
        decoded: the text after it is encoded and decoded.
    """

    text: str
    decoded: str


class RoundTripCounts(Settings):
    """How many texts of a split change when the subword model encodes and decodes them.

    Args:
        n_sources_changed: sources that change.
        n_targets_changed: targets that change; no translation can equal them.
        target_example: one of these targets, or None.
    """

    n_sources_changed: int
    n_targets_changed: int
    target_example: ChangedText | None


class TextStatistics(Settings):
    """How the subword model cuts the texts of one side of a split.

    Args:
        n_texts: texts.
        n_words: parts between spaces.
        n_characters: code points, with the spaces.
        n_pieces: subwords, without eos.
        n_unknown: how many of the pieces are ``<unk>``.
    """

    n_texts: int
    n_words: int
    n_characters: int
    n_pieces: int
    n_unknown: int

    @property
    def pieces_per_word(self) -> float:
        """The fertility of the subword model."""
        return self.n_pieces / max(1, self.n_words)

    @property
    def characters_per_piece(self) -> float:
        """How many characters a piece stands for, with the spaces."""
        return self.n_characters / max(1, self.n_pieces)

    @property
    def unknown_rate(self) -> float:
        """The share of the pieces that are ``<unk>``."""
        return self.n_unknown / max(1, self.n_pieces)


class SubwordStatistics(Settings):
    """How the subword model fits the texts.

    Args:
        n_pieces: pieces of the model, without special ones.
        n_used_by_source: how many of these the training sources use.
        n_used_by_target: how many the training targets use.
        n_used_by_both: how many both use.
        source: the sources of each split.
        target: the targets of each split.
    """

    n_pieces: int
    n_used_by_source: int
    n_used_by_target: int
    n_used_by_both: int
    source: dict[Split, TextStatistics]
    target: dict[Split, TextStatistics]


class LeakingPair(Settings):
    """A pair that is close to a pair of another split.

    Args:
        kind: ``exact_source``, ``near_source``, ``exact_target`` or ``near_target``: the first of
            these that holds.
        split: the split of the pair, or the split that it was meant for.
        origin: where the pair comes from, such as ``train.tsv:7``.
        against: the other split.
        of: where the other pair comes from.
        similarity: 1 less the share of words that differ.
    """

    kind: str
    split: Split
    origin: str
    against: Split
    of: str
    similarity: float


class SplitComparison(Settings):
    """How many pairs of one split are close to pairs of another, counted on the written files.

    Args:
        split: the split whose pairs are looked at.
        against: the split that they are compared with. A pair that is close to pairs of both test
            and valid counts as close to test.
        n_pairs: pairs of ``split``.
        n_against: pairs of ``against``.
        n_close: pairs of ``split`` that are close to a pair of ``against``, by kind. Every kind
            that was looked for is in it.
    """

    split: Split
    against: Split
    n_pairs: int
    n_against: int
    n_close: dict[str, int]


class LeakageCertificate(Settings):
    """Evidence that no normalised source is in two splits, counted on the written files.

    Only the first four are in datasets of earlier releases.

    Args:
        method: how two sources are compared.
        n_rejected_as_leak: rows rejected because another split has their source, or a near one.
        n_sources_in_several_splits: always 0; a dataset with more is not written.
        inputs_that_lost_rows: rejected rows of each input that has a given split, for any reason.
        similarity: 1 less the share of words that differ, from which two texts are near; None if
            only equal ones were looked for.
        max_changed_words: most words that differ between near texts.
        min_words: texts of fewer words are never near.
        min_target_words: targets of fewer words are not compared.
        n_removed: the rejected rows by kind; see :class:`LeakingPair`.
        removed: the first of them.
        comparisons: what is left in the written files. Only given validation and test files can
            have pairs that are close to each other, because they lose none.
        left: the first pairs that are left.
    """

    method: str
    n_rejected_as_leak: int
    n_sources_in_several_splits: int
    inputs_that_lost_rows: dict[str, int]
    similarity: float | None = None
    max_changed_words: int | None = None
    min_words: int | None = None
    min_target_words: int | None = None
    n_removed: dict[str, int] = Field(default_factory=dict)
    removed: tuple[LeakingPair, ...] = ()
    comparisons: tuple[SplitComparison, ...] = ()
    left: tuple[LeakingPair, ...] = ()


class DatasetManifest(Manifest):
    """The content of ``manifest.json``.

    Args:
        fingerprint: SHA-256 of ``made_from``.
        made_from: everything that can change the dataset: the digests of the input files, the
            settings and the format version.
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        subwords_sha256: SHA-256 of ``subwords.model``.
        vocab_size: number of pieces of the subword model.
        inputs: the counts of every input, in the order of the corpus description. Datasets of
            earlier releases list them in reading order.
        splits: the counts and files of every split.
        leakage: the leakage certificate.
        round_trips: the texts of each split that the subword model changes. Empty in datasets of
            earlier releases.
        subword_statistics: how the subword model fits the texts. None in datasets of earlier
            releases.
        report: the name of the file with the lengths, languages and examples of each input; see
            :class:`pipeline.dataset.report.DatasetReport`. None in datasets of earlier releases.
        files_sha256: SHA-256 of every other file of the dataset, by relative path. Empty in
            datasets of earlier releases.
    """

    FORMAT_VERSION = 1
    WHAT = "a dataset"
    REMEDY = "make one with `lingo prepare`"

    fingerprint: str
    made_from: dict[str, Any]
    source_lang: str
    target_lang: str
    subwords_sha256: str
    vocab_size: int
    inputs: tuple[InputCounts, ...]
    splits: dict[Split, SplitCounts]
    leakage: LeakageCertificate | None = None
    round_trips: dict[Split, RoundTripCounts] = Field(default_factory=dict)
    subword_statistics: SubwordStatistics | None = None
    report: str | None = None
    files_sha256: dict[str, str] = Field(default_factory=dict)

    @property
    def n_rejected(self) -> dict[str, int]:
        """The number of rejected pairs over all inputs, by reason, sorted by name."""
        totals: dict[str, int] = {}
        for item in self.inputs:
            for reason, n in item.n_rejected.items():
                totals[reason] = totals.get(reason, 0) + n
        return dict(sorted(totals.items()))
