"""Translation memory: earlier translations of segments, so that equal text is decoded once.

Each unit writes the segments that it decoded to ``_memory/`` of its run. An actor looks segments up
there and in published runs with the same model and decoding settings.

Memory per actor: 16 bytes for each published segment, a cache of published tables, and the most
recent segments of this run.

Reads: ``_memory/part-*.parquet`` of published runs and of this run.
Writes: ``_memory/part-<unit>.parquet``.
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
"""Length of a segment's hash. Its first 8 bytes are the segment's key in the index."""

# The size of the cache of published tables.
_MAX_CACHE_BYTES = 64 << 20

# The size of the run's own segments that are kept, about 300,000 sentences.
_MAX_RECENT_BYTES = 40 << 20
# The tables of this many files are merged into one block, so that a lookup searches few blocks.
_FILES_PER_BLOCK = 16

_Keys = npt.NDArray[np.uint64]


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


# The columns of MEMORY that are fields of Decoded, in the order of the fields.
_VALUE_COLUMNS = [field.name for field in dataclasses.fields(Decoded) if field.name in MEMORY.names]


def segment_hash(model_input: str) -> bytes:
    """The key of a segment in the translation memory."""
    return hash_bytes(model_input, n_bytes=HASH_BYTES)


def write_memory(path: Location, segments: Mapping[str, Decoded]) -> None:
    """Write the segments that a unit decoded. Writes no file if there are none.

    Args:
        path: the file to write.
        segments: the decoded segments by model input.
    """
    if not segments:
        return
    columns = {
        "segment_hash": [segment_hash(model_input) for model_input in segments],
        "source": list(segments),
    } | {name: [getattr(decoded, name) for decoded in segments.values()] for name in _VALUE_COLUMNS}
    write_parquet(path, pa.table(columns, schema=MEMORY))


class TranslationMemory:
    """Finds the translations of segments.

    Args:
        published: ``_memory`` folders of earlier runs, oldest first. All their segments are found.
        own: the ``_memory`` folder of this run, to which units add files. Only the most recent
            segments are found.
    """

    def __init__(self, published: Iterable[Location], own: Location) -> None:
        self._published = _Published(
            [file for folder in published for file in files_in(folder, "part-*.parquet")]
        )
        self._recent = _Recent(own)

    def find(self, segments: Iterable[str]) -> dict[str, Decoded]:
        """Look segments up.

        Args:
            segments: model inputs of segments.

        Returns:
            the known segments with their translations, by model input. Of several translations,
            the oldest published one is returned.
        """
        self._recent.add_new_files()
        memories = [memory for memory in (self._published, self._recent) if len(memory)]
        if not memories:
            return {}
        model_inputs = {segment_hash(model_input): model_input for model_input in segments}
        known: dict[bytes, Decoded] = {}
        for memory in memories:
            known |= memory.find([digest for digest in model_inputs if digest not in known])
        return {
            model_inputs[digest]: decoded
            for digest, decoded in known.items()
            if digest in model_inputs
        }


class _Published:
    """An index of all segments that earlier runs decoded, and a cache of their tables."""

    def __init__(self, files: Sequence[Location]) -> None:
        self._files = files
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()
        self._n_cached_bytes = 0
        keys, positions = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for number, file in enumerate(files):
            column = read_parquet(file, ["segment_hash"])
            file_keys = _keys_of(column["segment_hash"].to_pylist())
            keys.append(file_keys)
            positions.append(np.arange(len(file_keys), dtype=np.uint64) + np.uint64(number << 32))
        all_keys = np.concatenate(keys)
        order = np.argsort(all_keys, kind="stable")  # of equal keys, the oldest comes first
        self._keys = all_keys[order]
        # The number of the file in the upper 32 bits, the row in the lower ones.
        self._positions = np.concatenate(positions)[order]

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Decoded]:
        """The known segments by hash. May include other segments with one of the same keys."""
        positions = self._positions[_matches(self._keys, np.sort(_keys_of(digests)))]
        files = positions >> np.uint64(32)
        rows = (positions & np.uint64(0xFFFFFFFF)).astype(np.int64)
        known: dict[bytes, Decoded] = {}
        for number in np.unique(files):
            table = self._table(int(number)).take(rows[files == number])
            known |= _decoded_by_hash(table, recalled=True)
        return known

    def _table(self, number: int) -> pa.Table:
        if number in self._tables:
            self._tables.move_to_end(number)
            return self._tables[number]
        table = read_parquet(self._files[number], ["segment_hash", *_VALUE_COLUMNS])
        self._tables[number] = table
        self._n_cached_bytes += table.nbytes
        while self._n_cached_bytes > _MAX_CACHE_BYTES and len(self._tables) > 1:
            _, dropped = self._tables.popitem(last=False)
            self._n_cached_bytes -= dropped.nbytes
        return table


class _Recent:
    """The most recent segments of one run, in blocks of tables that are kept in memory.

    If the blocks get too large, the oldest is dropped, so that memory does not grow with the run.
    """

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._seen: set[str] = set()
        self._blocks: deque[tuple[_Keys, pa.Table]] = deque()
        self._n_small = 0  # how many of the newest blocks hold one file each

    def __len__(self) -> int:
        return len(self._blocks)

    def add_new_files(self) -> None:
        """Add the files that units have written since the last call."""
        if not self._folder.is_dir():
            return
        files = [file for file in self._folder.iterdir() if file.name not in self._seen]
        for file in sorted(file for file in files if not file.name.startswith(".")):
            self._seen.add(file.name)
            self._add(read_parquet(file, ["segment_hash", *_VALUE_COLUMNS]))

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Decoded]:
        """The known segments by hash. May include other segments with one of the same keys."""
        known: dict[bytes, Decoded] = {}
        wanted_keys = np.sort(_keys_of(digests))  # sorted keys make the search cache-friendly
        for keys, table in self._blocks:
            rows = _matches(keys, wanted_keys)
            if len(rows):
                known = _decoded_by_hash(table.take(rows), recalled=False) | known
        return known

    def _add(self, table: pa.Table) -> None:
        self._blocks.append(_block_of(table))
        self._n_small += 1
        if self._n_small == _FILES_PER_BLOCK:
            small = [self._blocks.pop()[1] for _ in range(min(self._n_small, len(self._blocks)))]
            self._blocks.append(_block_of(pa.concat_tables(reversed(small))))
            self._n_small = 0
        while len(self._blocks) > 1 and sum(t.nbytes for _, t in self._blocks) > _MAX_RECENT_BYTES:
            self._blocks.popleft()


def _block_of(table: pa.Table) -> tuple[_Keys, pa.Table]:
    """The sorted keys of a table, and the table in their order."""
    keys = _keys_of(table["segment_hash"].to_pylist())
    order = np.argsort(keys, kind="stable")
    return keys[order], table.take(order).combine_chunks()


def _matches(keys: _Keys, wanted: _Keys) -> npt.NDArray[np.int64]:
    """Indices into the sorted, non-empty ``keys`` at which a wanted key was found."""
    indices = np.searchsorted(keys, wanted)
    indices[indices == len(keys)] = 0
    matches: npt.NDArray[np.int64] = indices[keys[indices] == wanted]
    return matches


def _decoded_by_hash(table: pa.Table, *, recalled: bool) -> dict[bytes, Decoded]:
    columns = [table[name].to_pylist() for name in _VALUE_COLUMNS]
    values = zip(*columns, [recalled] * len(table), strict=True)
    return dict(
        zip(table["segment_hash"].to_pylist(), itertools.starmap(Decoded, values), strict=True)
    )


def _keys_of(hashes: Iterable[bytes]) -> _Keys:
    """The first 8 bytes of each hash, as integers."""
    return np.frombuffer(b"".join(hashes), dtype=">u8")[::2].astype(np.uint64)
