"""Translation memory: what segments became, so that equal text is decoded once.

Each unit writes what it decoded beside its rows, in ``_memory/`` of its run. An actor looks there
for text that this run has met in other units, and in the published runs of the same model and
settings for text of other nights. Reads and writes Parquet; holds an index of 16 bytes a segment.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lingo_model.subwords import UNK_ID
from lingo_model.translator import Translation
from pipeline.schemas import MEMORY
from pipeline.storage import Location, files_in, read_parquet, write_parquet

HASH_BYTES = 16

_VALUES = [name for name in MEMORY.names if name not in ("segment_hash", "source")]
# Tables of memory files that are kept after a look into them.
_MAX_CACHE_BYTES = 128 << 20

Index = npt.NDArray[np.uint64]


@dataclasses.dataclass(frozen=True, slots=True)
class Decoded:
    """What the model made of a segment; ``score`` in nats per token. ``recalled`` says that an
    earlier run did."""

    text: str
    score: float
    n_source_tokens: int
    n_target_tokens: int
    n_unknown_tokens: int
    truncated: bool
    recalled: bool = False


def decoded(translation: Translation, source: Sequence[int]) -> Decoded:
    """What is kept of a translation of the token ids ``source``."""
    return Decoded(
        translation.text,
        translation.score,
        translation.n_source_tokens,
        translation.n_target_tokens,
        source.count(UNK_ID),
        translation.truncated,
    )


def segment_hash(masked: str) -> bytes:
    """Key of a segment as the model reads it."""
    return hashlib.blake2b(masked.encode(), digest_size=HASH_BYTES).digest()


def write_memory(path: Location, found: Mapping[str, Decoded]) -> None:
    """Write what a unit decoded, by segment; nothing where it decoded nothing."""
    if not found:
        return
    columns = {
        "segment_hash": [segment_hash(masked) for masked in found],
        "source": list(found),
    } | {name: [getattr(value, name) for value in found.values()] for name in _VALUES}
    write_parquet(path, pa.table(columns, schema=MEMORY))


class SegmentMemory:
    """Finds segments in memory files.

    Args:
        published: ``_memory`` folders of earlier runs, oldest first. own: that of this run, which
            grows while it goes on.
    """

    def __init__(self, published: Iterable[Location], own: Location) -> None:
        self._own = own
        self._files: list[Location] = []
        self._keys = np.empty(0, np.uint64)
        self._places = np.empty(0, np.uint64)  # number of the file, then of the row, 32 bits each
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()
        self._n_cached_bytes = 0
        self._seen: set[str] = set()
        for folder in published:
            self._index(files_in(folder, "part-*.parquet"))
        self._n_published = len(self._files)

    def find(self, segments: Iterable[str]) -> dict[str, Decoded]:
        """Those of ``segments``, as the model reads them, that are known."""
        self._look_for_new()
        if not len(self._keys):
            return {}
        hashes = {segment_hash(masked): masked for masked in segments}
        wanted = _keys_of(b"".join(hashes))
        at = np.searchsorted(self._keys, wanted)
        at[at == len(self._keys)] = 0
        hits = np.flatnonzero(self._keys[at] == wanted)
        masked = list(hashes.values())
        digests = list(hashes)
        found: dict[str, Decoded] = {}
        places = self._places[at[hits]]
        files = places >> np.uint64(32)
        for number in np.unique(files):
            rows = (places & np.uint64(0xFFFFFFFF)).astype(np.int64)
            whole = self._table(int(number))
            # On S3 another process that works on this run may have written the file again, with
            # less in it: what is not at its place is decoded once more.
            mine = (files == number) & (rows < whole.num_rows)
            table = whole.take(rows[mine])
            known = table["segment_hash"].to_pylist()
            values = table.select(_VALUES).to_pylist()
            recalled = int(number) < self._n_published
            for hit, digest, value in zip(hits[mine], known, values, strict=True):
                if digest == digests[hit]:
                    found[masked[hit]] = Decoded(**value, recalled=recalled)
        return found

    def _look_for_new(self) -> None:
        """Take in what other units of this run have written since."""
        if self._own.is_dir():
            files = [file for file in self._own.iterdir() if file.name not in self._seen]
            new = sorted(file for file in files if not file.name.startswith("."))
            self._seen.update(file.name for file in new)
            self._index(new)

    def _index(self, files: Sequence[Location]) -> None:
        keys, places = [self._keys], [self._places]
        for file in files:
            column = read_parquet(file, ["segment_hash"])
            found = _keys_of(b"".join(column["segment_hash"].to_pylist()))
            keys.append(found)
            place = np.uint64(len(self._files) << 32)
            places.append(np.arange(len(found), dtype=np.uint64) + place)
            self._files.append(file)
        if files:
            together = np.concatenate(keys)
            order = np.argsort(together, kind="stable")  # of equal ones, the oldest comes first
            self._keys, self._places = together[order], np.concatenate(places)[order]

    def _table(self, number: int) -> pa.Table:
        if number in self._tables:
            self._tables.move_to_end(number)
            return self._tables[number]
        table = read_parquet(self._files[number], ["segment_hash", *_VALUES])
        self._tables[number] = table
        self._n_cached_bytes += table.nbytes
        while self._n_cached_bytes > _MAX_CACHE_BYTES and len(self._tables) > 1:
            _, dropped = self._tables.popitem(last=False)
            self._n_cached_bytes -= dropped.nbytes
        return table


def _keys_of(hashes: bytes) -> Index:
    """The first eight bytes of each of some hashes that stand end to end."""
    return np.frombuffer(hashes, dtype=">u8")[::2].astype(np.uint64)
