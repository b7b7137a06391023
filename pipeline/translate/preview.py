"""Translates a few texts in this process, exactly as a table would hold them.

Reads: the first rows of the input files.
Writes: nothing.
Run: ``lingo preview INPUT`` or ``lingo preview --text TEXT``.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from lingo_model import InputError, load_bundle
from pipeline.documents.document_translator import DocumentTranslator, TranslatedText
from pipeline.formats.describe import describe_columns
from pipeline.formats.encoding import repaired_text
from pipeline.formats.read import iter_rows
from pipeline.lake.files import input_files
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location
from pipeline.translate.config import TranslateConfig


def translate_texts(
    model: Path, texts: list[str], config: TranslateConfig = TranslateConfig()
) -> list[TranslatedText]:
    """Translate texts of any length, in order.

    Args:
        model: a model bundle.
        texts: the texts.
        config: the settings that change a translation.

    Raises:
        InputError: a text is not UTF-8, or this machine does not support the precision.
    """
    for text in texts:
        if repaired_text(text) is not None:
            raise InputError(f"text {text!r}: is not UTF-8; convert it")
    bundle = load_bundle(model)
    documents = DocumentTranslator(
        config.decode.translator(bundle),
        language=bundle.manifest.source_lang,
        max_segment_tokens=config.max_segment_tokens,
        spans=config.spans,
        join_lines=config.join_lines,
    )
    return documents.translate(texts)[0]


def preview_texts(source: Location, text_column: str, limit: int) -> list[str]:
    """The texts in the first rows of each file. Rows without text are left out.

    Args:
        source: a file or folder, here or on S3.
        text_column: the column of the texts.
        limit: how many rows of each file are read.

    Raises:
        InputError: a file cannot be read or has no such column.
        OSError: S3 refuses or does not answer.
    """
    texts: list[str] = []
    lake = input_files(source)
    root = lake.root
    copies = LocalCopies(root)
    for relative in lake.stamps:
        with copies.opened(relative) as path:
            schema = describe_columns(path).schema
            rows = list(itertools.islice(iter_rows(path), limit))
        if schema is not None:
            names = schema.names
        else:  # JSONL: the keys of the rows, if there are any
            names = list(dict.fromkeys(key for row in rows for key in row.values)) or [text_column]
        if text_column not in names:
            raise InputError(
                f"{root / relative}: has no column {text_column!r}; its columns are "
                f"{', '.join(names)}; set --text-column"
            )
        values = [row.values.get(text_column) for row in rows]
        texts += [value for value in values if isinstance(value, str) and value]
    return texts
