"""What all tasks of one run of ``prepare`` share: the corpus, the settings and the folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.input_names import NamedInput, NamedPart
from pipeline.prepare.spill import KEPT_COLUMNS
from pipeline.prepare.splitting import SplitRule
from pipeline.prepare.texts import mix64
from pipeline.schemas import PAIRS, REJECTED

PLACE = pa.schema([pa.field("rank", pa.int32()), pa.field("number", pa.int64())])
"""The place of a row: the rank of its part in the order of reading, and its number in the part."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of ``prepare``.

    Args:
        dataset: the folder where the dataset is written before it is published.
        work: the folder of the files between the passes.
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        parts: the parts of all inputs, in the order of reading, each with its input.
        config: the settings.
        extra: the columns of the inputs besides source and target.
        n_partitions: the number of partitions of the training pairs.
        split_rule: how pairs are assigned to splits.
        rules_folder: the folder of the modules of own rules, or None.
    """

    dataset: Path
    work: Path
    source_lang: str
    target_lang: str
    parts: tuple[tuple[NamedInput, NamedPart], ...]
    config: PrepareConfig
    extra: pa.Schema
    n_partitions: int
    split_rule: SplitRule
    rules_folder: Path | None = None

    @property
    def kept_schema(self) -> pa.Schema:
        """The schema of spilled rows."""
        return pa.schema([*KEPT_COLUMNS, *self.extra])

    @property
    def pairs_schema(self) -> pa.Schema:
        """The schema of PAIRS."""
        return pa.schema([*PAIRS, *self.extra])

    @property
    def rejected_schema(self) -> pa.Schema:
        """The schema of rejected rows before they are sorted: REJECTED after the place."""
        return pa.schema([*PLACE, *REJECTED])

    @property
    def held_out_partition(self) -> int:
        """The partition of validation and test pairs. It follows those of the training pairs."""
        return self.n_partitions

    @property
    def has_distant_duplicates(self) -> bool:
        """Whether a pair can repeat one of another partition, which has another source."""
        return self.config.duplicates.near or self.config.duplicates.by == "target"

    def inputs_of_ranks(self) -> npt.NDArray[np.int64]:
        """The number of the input of each part."""
        return np.array([named.number for named, _ in self.parts], np.int64)

    def pairs_folder(self, split: Split) -> Path:
        """The folder of a split's PAIRS."""
        return self.dataset / "pairs" / f"split={split}"

    def origins(self, rank: pa.Array, number: pa.Array) -> pa.Array:
        """The origin of each row, such as ``train.tsv:7``."""
        names = pa.array([part.origin for _, part in self.parts])
        return pc.binary_join_element_wise(names.take(rank), pc.cast(number, pa.string()), ":")

    def origins_of(self, kept: pa.Table) -> pa.Array:
        """The origin of each spilled row."""
        return self.origins(kept["rank"].combine_chunks(), kept["number"].combine_chunks())

    def pairs_of(self, kept: pa.Table) -> pa.Table:
        """Spilled rows as PAIRS."""
        rank, number = kept["rank"].combine_chunks(), kept["number"].combine_chunks()
        keys = kept["duplicate_key"]
        columns = {
            "pair_id": _pair_ids(rank.to_numpy(), number.to_numpy(), keys.to_numpy()),
            "source": kept["source"].cast(pa.string()),
            "target": kept["target"].cast(pa.string()),
            "origin": self.origins(rank, number),
        }
        columns |= {name: kept[name] for name in self.extra.names}
        return pa.table(columns, schema=self.pairs_schema)

    def rejected_of(
        self, kept: pa.Table, reasons: Sequence[str], details: Sequence[str | None]
    ) -> pa.Table:
        """Spilled rows that are rejected after all, with a reason and a detail for each."""
        rank, number = kept["rank"].combine_chunks(), kept["number"].combine_chunks()
        line = kept["line"].combine_chunks()
        columns = {
            "rank": rank,
            "number": number,
            "origin": self.origins(rank, number),
            "split": pa.array(SPLITS).take(kept["split"].combine_chunks()),
            "reason": pa.array(reasons, pa.string()),
            "source": kept["source"].cast(pa.string()),
            "target": kept["target"].cast(pa.string()),
            "detail": pa.array(details, pa.string()),
            "line": pc.if_else(pc.equal(line, 0), None, line),
            "text": pa.nulls(len(kept), pa.string()),
        }
        return pa.table(columns, schema=self.rejected_schema)


def _pair_ids(
    rank: npt.NDArray[np.int32], number: npt.NDArray[np.int64], key: npt.NDArray[np.uint64]
) -> pa.StringArray:
    """Ids of 32 hexadecimal digits that depend on the texts, and on the place, which is unique."""
    place = (rank.astype(np.uint64) << np.uint64(40)) + number.astype(np.uint64)
    second = mix64(place)  # one to one, so no two are equal
    first = mix64(key ^ second)
    raw = np.stack([first, second], axis=1).astype(">u8").view(np.uint8).reshape(-1, 16)
    return pa.StringArray.from_buffers(
        len(raw),
        pa.py_buffer(np.arange(0, 32 * len(raw) + 1, 32, dtype=np.int32)),
        pa.py_buffer(_HEX_DIGITS[raw].tobytes()),
    )


_HEX_DIGITS = np.array([list(f"{value:02x}".encode()) for value in range(256)], np.uint8)
