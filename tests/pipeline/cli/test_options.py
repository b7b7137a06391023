"""Options, and the settings that they become."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.options import translate_config
from pipeline.documents.span_kinds import SPAN_KINDS


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--precision", "fp4", "precision='fp4': Input should be 'float32', 'bfloat16' or 'int8'"),
        ("--beam-size", "0", "beam_size=0: Input should be greater than or equal to 1"),
    ],
)
def test_decoding_options_are_checked(
    lingo: Callable[..., Any], models: Path, option: str, value: str, message: str
) -> None:
    done = lingo("preview", "--text", "x", "--model", models / "tiny", option, value)
    assert done.status == 2
    assert message in done.err


def test_a_recipe_is_a_preset_or_a_file(lingo: Callable[..., Any], tmp_path: Path) -> None:
    command = ("train", tmp_path, "--output", tmp_path / "model", "--config", tmp_path / "r.yaml")

    done = lingo(*command, "--preset", "quick")

    assert done.status == 2
    assert "--preset cannot be combined with --config; drop one of them" in done.err


def test_options_override_the_config(
    lingo: Callable[..., Any], lake: Path, models: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("text_column: nothing\nrows_per_unit: 1\ndecode: {beam_size: 2}\n")
    command = ("table", "plan", lake, "--output", tmp_path / "table", "--model", models / "tiny")
    refused = lingo(*command, "--config", config)
    assert "has no column 'nothing'" in refused.err

    done = lingo(*command, "--config", config, "--text-column", "body", "--each-unit")

    assert (done.status, done.err) == (0, "")
    assert len(re.findall("^translate [0-9a-f]{24} ", done.out, re.MULTILINE)) == 4
    wrong = lingo(*command, "--config", config, "--text-column", "body", "--beam-size", "0")
    assert "decode.beam_size=0: Input should be greater than or equal to 1" in wrong.err


def test_columns_are_dropped_or_kept(
    lingo: Callable[..., Any], lake: Path, models: Path, tmp_path: Path
) -> None:
    command = ("table", "plan", lake, "-o", tmp_path / "table", "--model", models / "tiny")
    plan = (*command, "--text-column", "body")

    unknown = lingo(*plan, "--drop", "bodi")
    kept = lingo(*plan, "--columns", "body, nothing")
    text = lingo(*plan, "--drop", "body")

    assert (unknown.status, kept.status, text.status) == (2, 2, 2)
    assert "drop_columns: no file has a column 'bodi'; did you mean 'body'?" in unknown.err
    assert "keep_columns: no file has a column 'nothing'; the columns are " in kept.err
    assert "'body' is the text_column, which cannot be dropped" in text.err
    assert lingo(*plan, "--columns", "body").status == 0


def test_options_of_columns_become_settings() -> None:
    settings = translate_config(
        None, precision=None, beam_size=None, drop=["a", "b,c"], columns=" d, e,"
    )
    assert (settings.drop_columns, settings.keep_columns) == (("a", "b,c"), ("d", "e"))


def test_nested_options_keep_the_other_settings_of_the_config(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("decode: {beam_size: 2, length_penalty_alpha: 0.5}\n")

    settings = translate_config(config, precision=None, beam_size=3)

    assert settings.decode.beam_size == 3
    assert settings.decode.length_penalty_alpha == 0.5


def test_kinds_of_spans_are_separated_by_commas(tmp_path: Path) -> None:
    def spans(option: str | None, config: Path | None = None) -> tuple[str, ...]:
        return translate_config(config, precision=None, beam_size=None, spans=option).spans

    config = tmp_path / "config.yaml"
    config.write_text("spans: [emoji]\n")

    assert spans("numbers, handles") == ("numbers", "handles")
    assert spans("none", config) == ()
    assert spans(None, config) == ("emoji",)
    assert spans(None) == SPAN_KINDS


def test_an_unknown_kind_of_span_is_refused(
    lingo: Callable[..., Any], models: Path, tmp_path: Path
) -> None:
    done = lingo("preview", "--text", "x", "--model", models / "tiny", "--spans", "numbers,urls")
    assert done.status == 2
    assert "spans.1='urls': Input should be 'numbers', 'emoji'" in done.err


def test_a_preview_joins_the_lines_of_a_paragraph(lingo: Callable[..., Any], models: Path) -> None:
    command = ("preview", "--text", "The dog\nplays 5.", "--model", models / "tiny")
    apart = lingo(*command, "--spans", "none")
    joined = lingo(*command, "--spans", "none", "--join-lines")
    kept = lingo(*command)
    assert (apart.out.count("\n"), joined.out.count("\n")) == (2, 1)
    assert "5" in kept.out
