"""``lingo preview``."""

from __future__ import annotations

from typing import Annotated

import typer

from lingo_model import InputError
from pipeline.cli.options import (
    MODELS,
    BeamOption,
    JoinLinesOption,
    ModelOption,
    ModelsOption,
    PrecisionOption,
    SpansOption,
    TextColumnOption,
    default_of,
    location_of,
    refuse_together,
    translate_config,
)
from pipeline.models.reference import CHAMPION
from pipeline.translate.config import TranslateConfig

_N_ROWS = 10


def preview(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[INPUT]", help="A file or folder, here or on S3.", show_default=False
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(help="A text to translate instead of INPUT.")] = None,
    model: ModelOption = CHAMPION,
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"Rows of each file. [default: {_N_ROWS}]")
    ] = None,
    text_column: TextColumnOption = None,
    precision: PrecisionOption = None,
    beam_size: BeamOption = None,
    spans: SpansOption = None,
    join_lines: JoinLinesOption = None,
    models: ModelsOption = MODELS,
) -> None:
    """Print the translation of a text, or of the first rows of INPUT. Writes nothing."""
    from pipeline.models.registry import resolve_model
    from pipeline.translate.preview import preview_texts, translate_texts

    config = translate_config(
        None, precision=precision, beam_size=beam_size, spans=spans, join_lines=join_lines
    )
    if text is not None:
        refuse_together("--text", {"INPUT": source, "--limit": limit, "--text-column": text_column})
        print(translate_texts(resolve_model(model, models), [text], config)[0].text)
        return
    if source is None:
        raise InputError("missing INPUT, or --text TEXT")
    column = text_column or default_of(TranslateConfig, "text_column")
    texts = preview_texts(location_of(source), column, limit or _N_ROWS)
    translations = translate_texts(resolve_model(model, models), texts, config)
    for original, translated in zip(texts, translations, strict=True):
        score = "passed through" if translated.whole is None else f"{translated.whole.score:.2f}"
        print(f"{original}\n    {translated.text}    ({score})")
