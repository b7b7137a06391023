"""Tells whether other settings would change the rows of a file that the table has.

Reads: the manifests of published runs. If these cannot tell, the file.
Writes: nothing.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from lingo_model import BundleManifest
from pipeline.lake.files import InspectedFile
from pipeline.lake.range_reader import RangeReader
from pipeline.schemas import TOO_LONG
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location
from pipeline.table.manifest import schema_of
from pipeline.table.published_files import PublishedFile
from pipeline.translate.config import TranslateConfig
from pipeline.translate.run_config import selection_of, settings_key_of

_COLUMN_SETTINGS = ("rename", "drop_columns", "keep_columns")
_LENGTH_SETTING = "max_source_characters"
# These settings change the rows of some files only. The number of rows of a unit changes none.
_SETTINGS_OF_SOME_FILES = (*_COLUMN_SETTINGS, _LENGTH_SETTING, "rows_per_unit")

_TEXT = pa.field("text", pa.large_string())
_ROWS_PER_RANGE = 10_000


class SettingChanges:
    """Compares the settings of a published file with those of a new run.

    Args:
        published: the file's newest version in the table.
        model: the model that the run uses.
        config: the settings of the run.
    """

    def __init__(
        self, published: PublishedFile, model: BundleManifest, config: TranslateConfig
    ) -> None:
        self._published = published
        self._now = config
        self._then = TranslateConfig.model_validate(published.settings)
        as_then = {name: getattr(self._then, name) for name in _SETTINGS_OF_SOME_FILES}
        key = settings_key_of(config.model_copy(update=as_then), model)
        self._all_files_change = key != published.settings_key

    def may_change_rows(self) -> bool:
        """Whether rows may change, as far as is known without opening the file."""
        return self._all_files_change or self._may_change_columns() or self._may_change_lengths()

    def reason(self, root: Location, inspected: InspectedFile) -> str | None:
        """Why the rows of the file change, or None if they do not.

        Args:
            root: the folder that the file's path is relative to.
            inspected: the file, which has the content that the table has.
        """
        if self._all_files_change:
            return "other settings"
        names = inspected.schema.names
        then, now = selection_of(self._then), selection_of(self._now)
        if then.output_names(names) != now.output_names(names):
            return "other columns"
        if self._may_change_lengths() and self._has_text_between_limits(root, inspected):
            return f"another {_LENGTH_SETTING}"
        return None

    def _may_change_columns(self) -> bool:
        then, now = selection_of(self._then), selection_of(self._now)
        if then == now:
            return False
        if then.keep is not None:  # the run's schema does not have all columns of the file
            return True
        new_names = {*schema_of(self._published.run.schema_base64).names, *then.drop}
        old_names = new_names | {old for old, new in then.rename.items() if new in new_names}
        return any(then.output_name(name) != now.output_name(name) for name in old_names)

    def _may_change_lengths(self) -> bool:
        limits = self._then.max_source_characters, self._now.max_source_characters
        if limits[0] == limits[1]:
            return False
        is_larger = limits[1] > limits[0]
        return not (is_larger and TOO_LONG not in self._published.run.quarantined)

    def _has_text_between_limits(self, root: Location, inspected: InspectedFile) -> bool:
        """Whether a text is too long by one of the two limits only."""
        low, high = sorted((self._then.max_source_characters, self._now.max_source_characters))
        field = _TEXT.with_name(self._now.text_column)
        reader = RangeReader(LocalCopies(root), selection_of(self._now), pa.schema([field]))
        n_rows = sum(unit.n_rows for unit in self._published.units)
        for first_row in range(0, n_rows, _ROWS_PER_RANGE):
            size = min(_ROWS_PER_RANGE, n_rows - first_row)
            rows = reader.read(inspected.file.path, first_row, size)
            lengths = pc.utf8_length(rows.table[field.name]).to_pylist()
            for length, problem in zip(lengths, rows.problems, strict=True):
                if problem is None and length is not None and low < length <= high:
                    return True
        return False
