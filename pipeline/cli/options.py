"""Arguments and options that several commands share, and their conversion to settings.

An option that is not given leaves its setting unchanged, so each default is written once, beside
its setting. Help texts show this default.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from lingo_model import DecodePrecision, InputError
from pipeline.decoding import DecodeConfig
from pipeline.documents.span_kinds import SPAN_KINDS
from pipeline.settings import load_yaml, parse_settings
from pipeline.storage.location import local_path, location
from pipeline.translate.config import TranslateConfig, TranslateResources

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pipeline.storage.location import Location

MODELS = Path("models")
REPORTS = Path("reports")


def on_this_machine(path: Path | None) -> Path | None:
    """The callback of each option and argument that is a path on this machine.

    Raises:
        InputError: the path was given as a URI.
    """
    return None if path is None else local_path(path)


def default_of(settings: type[BaseModel], field: str) -> str:
    """The default of a setting, for a help text."""
    return str(settings.model_fields[field].default)


def _choices(literal: Any) -> str:
    return "|".join(get_args(literal))


DatasetArgument = Annotated[
    Path,
    typer.Argument(
        help="A dataset, which `lingo prepare` writes.",
        show_default=False,
        callback=on_this_machine,
    ),
]
InputArgument = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="A file or folder, here or on S3 (s3://BUCKET/FOLDER): Parquet, JSON, CSV, TSV or "
        "plain text. Text may be compressed with gzip, zstd, bzip2 or xz.",
    ),
]
TableArgument = Annotated[str, typer.Argument(help="A translation table, here or on S3.")]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", help="The translation table, here or on S3.")
]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="A model's folder or name, or 'champion'.")
]
ModelsOption = Annotated[
    Path, typer.Option("--models", help="Folder of models, by name.", callback=on_this_machine)
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A YAML file with settings. Options win over it; unknown keys are refused.",
        callback=on_this_machine,
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="A Ray cluster; 'auto' finds one that runs on this machine, 'local' starts one. "
        "[default: RAY_ADDRESS, or local]",
    ),
]
ActorsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Model replicas. [default: one per GPU, or one per CPU if there is no GPU]"
    ),
]
TextColumnOption = Annotated[
    str | None,
    typer.Option(
        help=f"The column to translate. [default: {default_of(TranslateConfig, 'text_column')}]"
    ),
]
IdColumnOption = Annotated[
    str | None,
    typer.Option(help="A column that identifies a row. [default: its file and position]"),
]
RenameOption = Annotated[
    list[str] | None,
    typer.Option(metavar="OLD=NEW", help="Rename an input column; may be repeated."),
]
DropOption = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Leave an input column out of the table; may be repeated."),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C",
        help="The only input columns that the table gets, beside the text and id column. "
        "[default: all]",
    ),
]
OnNewModelOption = Annotated[
    str | None,
    typer.Option(
        metavar=_choices(TranslateConfig.model_fields["on_new_model"].annotation),
        help="Rows that another model translated: keep or retranslate them. "
        f"[default: {default_of(TranslateConfig, 'on_new_model')}]",
    ),
]
LakeOption = Annotated[
    str | None,
    typer.Option(
        metavar=_choices(TranslateConfig.model_fields["lake"].annotation),
        help="What a deleted file means. grows: nothing. snapshot: its rows leave `latest`. "
        "moved: like grows, and the lake has a new location. "
        f"[default: {default_of(TranslateConfig, 'lake')}]",
    ),
]
MaxRetractedShareOption = Annotated[
    float | None,
    typer.Option(
        help="Refuse a run that takes a larger share of the table's rows out of `latest`. "
        f"[default: {default_of(TranslateConfig, 'max_retracted_share')}]",
    ),
]
OnBadFileOption = Annotated[
    str | None,
    typer.Option(
        metavar=_choices(TranslateConfig.model_fields["on_bad_file"].annotation),
        help="A file that is damaged, of an unknown format or in another encoding: set it aside "
        "and translate the others, or stop. "
        f"[default: {default_of(TranslateConfig, 'on_bad_file')}]",
    ),
]
SpansOption = Annotated[
    str | None,
    typer.Option(
        metavar="KIND,...",
        help="Text that a translation has as its source has it, or 'none': "
        f"{', '.join(SPAN_KINDS)}. [default: all of them]",
    ),
]
JoinLinesOption = Annotated[
    bool | None,
    typer.Option(
        "--join-lines/--no-join-lines",
        help="Whether a sentence may go on after a single line break within a paragraph. "
        "[default: off]",
        show_default=False,
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print what the run would do, as `lingo table plan` does, and stop."
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help="Translate only the first rows of each file, to a table of its own."),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        metavar=_choices(DecodePrecision),
        help="Numeric precision. bfloat16 and int8 are faster on processors that support them. "
        f"[default: {default_of(DecodeConfig, 'precision')}]",
    ),
]
BeamOption = Annotated[
    int | None,
    typer.Option(
        help="Hypotheses per sentence. 1 is greedy search; 4 or 5 is slower and better. "
        f"[default: {default_of(DecodeConfig, 'beam_size')}]",
    ),
]


def location_of(text: str) -> Location:
    """Convert an argument to a location.

    Raises:
        InputError: a URI with an unknown scheme, or without a bucket.
    """
    return location(text)


def decode_config(precision: str | None, beam_size: int | None) -> DecodeConfig:
    """The decoding settings of the given options.

    Raises:
        InputError: a value is not allowed.
    """
    values = _given({"precision": precision, "beam_size": beam_size})
    return parse_settings(DecodeConfig, values, where="options")


def translate_config(
    config: Path | None,
    *,
    precision: str | None,
    beam_size: int | None,
    rename: list[str] | None = None,
    drop: list[str] | None = None,
    columns: str | None = None,
    spans: str | None = None,
    **options: str | float | None,
) -> TranslateConfig:
    """The settings of a file and of the given options. Options override the file.

    Args:
        config: a YAML file, if there is one.
        precision: the numeric precision; None if the option was not given.
        beam_size: hypotheses per sentence; None if the option was not given.
        rename: pairs of the form ``OLD=NEW``.
        drop: the columns to leave out.
        columns: the columns to keep, separated by commas.
        spans: kinds of spans, separated by commas; ``none`` for no kind.
        options: other settings by name; None for an option that was not given.

    Raises:
        InputError: the file cannot be read, a key is unknown or a value is not allowed.
    """
    overrides = _given(
        options
        | {
            "rename": _renames(rename) if rename else None,
            "drop_columns": drop or None,
            "keep_columns": None if columns is None else _names(columns),
            "spans": None if spans is None else _span_kinds(spans),
            "decode": _given({"precision": precision, "beam_size": beam_size}) or None,
        }
    )
    if config is None:
        return parse_settings(TranslateConfig, overrides, where="options")
    return load_yaml(TranslateConfig, config, overrides)


def translate_resources(actors: int | None, ray_address: str | None) -> TranslateResources:
    """The resources of the given options."""
    return TranslateResources(n_actors=actors, ray_address=ray_address)


def refuse_together(option: str, others: dict[str, object]) -> None:
    """Refuse options that would have no effect beside ``option``.

    Raises:
        InputError: one of them was given. The message names the first.
    """
    for name in _given(others):
        raise InputError(f"{name} cannot be combined with {option}; drop one of them")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _names(columns: str) -> list[str]:
    return [name.strip() for name in columns.split(",") if name.strip()]


def _span_kinds(kinds: str) -> list[str]:
    return [] if kinds == "none" else _names(kinds)


def _renames(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if not all(pair.partition("=")):
            raise InputError(f"--rename {pair!r}: needs OLD=NEW")
    return dict(pair.split("=", 1) for pair in pairs)
