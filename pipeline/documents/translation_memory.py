"""Translation memory: what segments became, so that equal text is decoded once.

Each unit writes what it decoded beside its rows, in ``_memory/`` of its run. An actor looks there
for text that this run has met in other units, and in the published runs of the same model and
settings for text of other nights. Reads and writes Parquet; holds an index of 16 bytes a segment
for what was published, and the run's newest segments whole.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lingo_model.decoding.translator import Translation
from lingo_model.special_ids import UNK_ID
from pipeline.schemas import MEMORY
from pipeline.storage.files import files_in, read_parquet, write_parquet
from pipeline.storage.hashing import hash_bytes
from pipeline.storage.location import Location

HASH_BYTES = 16

# Tables of published memory files that are kept after a look into them.
_MAX_CACHE_BYTES = 64 << 20

# Of what the run decoded: some 300,000 sentences.
_MAX_RECENT_BYTES = 40 << 20
_FILES_PER_BLOCK = 16
Index = npt.NDArray[np.uint64]


@dataclasses.dataclass(frozen=True, slots=True)
class Decoded:
    """A segment as the model translated it.

    Attributes:
        text: the translation.
        score: mean log probability of a target token, in nats.
        n_source_tokens: subwords of the source, the end of the segment included.
        n_target_tokens: subwords of the translation, the end of the segment included.
        n_unknown_tokens: subwords of the source that the model does not know.
        truncated: whether the length limit cut the translation off.
        recalled: whether an earlier run decoded the segment.
    """

    text: str
    score: float
    n_source_tokens: int
    n_target_tokens: int
    n_unknown_tokens: int
    truncated: bool
    recalled: bool = False

    @classmethod
    def from_translation(cls, translation: Translation, source: Sequence[int]) -> Decoded:
        """The result of decoding the token ids ``source``."""
        return cls(
            translation.text,
            translation.score,
            translation.n_source_tokens,
            translation.n_target_tokens,
            source.count(UNK_ID),
            translation.truncated,
        )


_VALUES = [field.name for field in dataclasses.fields(Decoded) if field.name in MEMORY.names]


def segment_hash(model_input: str) -> bytes:
    """The key of a segment in the translation memory."""
    return hash_bytes(model_input, n_bytes=HASH_BYTES)


def write_memory(path: Location, segments: Mapping[str, Decoded]) -> None:
    """Write the segments that a unit decoded, by model input. Writes no file if there is none."""
    if not segments:
        return
    columns = {
        "segment_hash": [segment_hash(model_input) for model_input in segments],
        "source": list(segments),
    } | {name: [getattr(decoded, name) for decoded in segments.values()] for name in _VALUES}
    write_parquet(path, pa.table(columns, schema=MEMORY))


class TranslationMemory:
    """Finds segments in memory files.

    Args:
        published: ``_memory`` folders of earlier runs, oldest first; whatever is in them is found.
        own: that of this run, which grows while it goes on; what it decoded lately is found.
    """

    def __init__(self, published: Iterable[Location], own: Location) -> None:
        self._published = _Published(
            [file for folder in published for file in files_in(folder, "part-*.parquet")]
        )
        self._recent = _Recent(own)

    def find(self, segments: Iterable[str]) -> dict[str, Decoded]:
        """Those of ``segments``, as the model reads them, that are known."""
        self._recent.look_for_new()
        sources = [source for source in (self._published, self._recent) if len(source)]
        if not sources:
            return {}
        hashes = {segment_hash(model_input): model_input for model_input in segments}
        found: dict[bytes, Decoded] = {}
        for source in sources:
            found |= source.find([digest for digest in hashes if digest not in found])
        return {hashes[digest]: value for digest, value in found.items() if digest in hashes}


class _Published:
    """An index of all that earlier runs decoded, and some of their tables."""

    def __init__(self, files: Sequence[Location]) -> None:
        self._files = files
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()
        self._n_cached_bytes = 0
        keys, places = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for number, file in enumerate(files):
            column = read_parquet(file, ["segment_hash"])
            found = _keys_of(column["segment_hash"].to_pylist())
            keys.append(found)
            places.append(np.arange(len(found), dtype=np.uint64) + np.uint64(number << 32))
        together = np.concatenate(keys)
        order = np.argsort(together, kind="stable")  # of equal ones, the oldest comes first
        self._keys = together[order]
        self._places = np.concatenate(places)[order]  # file, then row in it, 32 bits each

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Decoded]:
        """What is known of some segments, and of others whose short key is the same, by hash."""
        places = self._places[_matches(self._keys, np.sort(_keys_of(digests)))]
        files, rows = places >> np.uint64(32), (places & np.uint64(0xFFFFFFFF)).astype(np.int64)
        found: dict[bytes, Decoded] = {}
        for number in np.unique(files):
            table = self._table(int(number)).take(rows[files == number])
            found |= _values_of(table, recalled=True)
        return found

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


class _Recent:
    """What the units of one run decoded lately, all of it in memory, in blocks; the oldest block is
    forgotten when they are too large together, so that memory does not grow with the run."""

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._seen: set[str] = set()
        self._blocks: deque[tuple[Index, pa.Table]] = deque()
        self._n_small = 0  # of the newest blocks: of one file each

    def __len__(self) -> int:
        return len(self._blocks)

    def look_for_new(self) -> None:
        """Take in what units have written since."""
        if not self._folder.is_dir():
            return
        files = [file for file in self._folder.iterdir() if file.name not in self._seen]
        for file in sorted(file for file in files if not file.name.startswith(".")):
            self._seen.add(file.name)
            self._add(read_parquet(file, ["segment_hash", *_VALUES]))

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Decoded]:
        """What is known of some segments, and of others whose short key is the same, by hash."""
        found: dict[bytes, Decoded] = {}
        short = np.sort(_keys_of(digests))  # neighbours are looked for one after the other
        for keys, table in self._blocks:
            rows = _matches(keys, short)
            if len(rows):
                found = _values_of(table.take(rows), recalled=False) | found
        return found

    def _add(self, table: pa.Table) -> None:
        self._blocks.append(_block_of(table))
        self._n_small += 1
        if self._n_small == _FILES_PER_BLOCK:
            small = [self._blocks.pop()[1] for _ in range(min(self._n_small, len(self._blocks)))]
            self._blocks.append(_block_of(pa.concat_tables(reversed(small))))
            self._n_small = 0
        while len(self._blocks) > 1 and sum(t.nbytes for _, t in self._blocks) > _MAX_RECENT_BYTES:
            self._blocks.popleft()


def _block_of(table: pa.Table) -> tuple[Index, pa.Table]:
    """A table in the order of its keys, and those."""
    keys = _keys_of(table["segment_hash"].to_pylist())
    order = np.argsort(keys, kind="stable")
    return keys[order], table.take(order).combine_chunks()


def _matches(keys: Index, wanted: Index) -> npt.NDArray[np.int64]:
    """Where in sorted ``keys``, which are some, the wanted ones are: a place for each that is."""
    at = np.searchsorted(keys, wanted)
    at[at == len(keys)] = 0
    found: npt.NDArray[np.int64] = at[keys[at] == wanted]
    return found


def _values_of(table: pa.Table, *, recalled: bool) -> dict[bytes, Decoded]:
    columns = [table[name].to_pylist() for name in _VALUES]  # in the order of the fields
    values = zip(*columns, [recalled] * len(table), strict=True)
    return dict(
        zip(table["segment_hash"].to_pylist(), itertools.starmap(Decoded, values), strict=True)
    )


def _keys_of(hashes: Iterable[bytes]) -> Index:
    """The first eight bytes of each of some hashes."""
    return np.frombuffer(b"".join(hashes), dtype=">u8")[::2].astype(np.uint64)
