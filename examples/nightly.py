"""A nightly job: translate what is new in a lake with the champion, and print counts.

Run: ``python examples/nightly.py LAKE TABLE --models models --text-column body``

Exit status: 0 success, 1 the run failed, 2 the input cannot be used, 3 some input was left for a
later run: it changed during the run, or the file is bad.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lingo_model import InputError
from pipeline.errors import RunError
from pipeline.models.registry import resolve_model
from pipeline.storage.location import location
from pipeline.translate.config import TranslateConfig
from pipeline.translate.stage import LakeNotes, translate_table


def main(arguments: list[str] | None = None) -> int:
    """Run the job and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("lake", type=location, help="files to translate, here or on S3")
    parser.add_argument("table", type=location, help="the translation table, here or on S3")
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of models")
    parser.add_argument("--text-column", default="text", help="the column to translate")
    parser.add_argument("--id-column", help="a column that identifies a row")
    options = parser.parse_args(arguments)
    config = TranslateConfig(text_column=options.text_column, id_column=options.id_column)
    try:
        model = resolve_model("champion", options.models)
        lake_notes: list[LakeNotes] = []
        manifest = translate_table(
            options.lake, model, options.table, config, on_notes=lake_notes.append
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except (RunError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for note in lake_notes[0].notes:
        print(note)
    for file in lake_notes[0].set_aside:
        print(f"bad file {file.path}: {file.reason}", file=sys.stderr)
    if manifest is None:
        print("nothing new")
        return 3 if lake_notes[0].set_aside else 0
    print(f"run {manifest.run_id} by {model.name}")
    for name, n_rows in manifest.rows.model_dump().items():
        print(f"{name}: {n_rows:,}")
    for path in sorted({unit.path for unit in manifest.units_deferred}):
        print(f"left for the next run: {path}", file=sys.stderr)
    return 3 if manifest.units_deferred or manifest.set_aside else 0


if __name__ == "__main__":
    sys.exit(main())
