"""Every rule is in docs/cleaning-rules.md, and every example there does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.registry import RULES, check, details
from pipeline.prepare.rules.repairs import REPAIRS, repaired
from pipeline.prepare.texts import PairTexts, TextColumn

PAGE = (Path(__file__).parents[4] / "docs" / "cleaning-rules.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`$(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|x([0-9a-f]{2})|([tn]))")


def decoded(cell: str) -> str:
    """The text of a cell: without its backquotes, with characters for escapes."""

    def character(match: re.Match[str]) -> str:
        return {"t": "\t", "n": "\n"}.get(match[3]) or chr(int(match[1] or match[2], 16))

    assert cell.startswith("`") and cell.endswith("`"), cell
    return ESCAPE.sub(character, cell[1:-1])


def rows_of(section: str) -> list[list[str]]:
    """The cells of the table of a section, without its head."""
    lines = [line.strip("| ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines[2:]]


def settings_of(section: str) -> dict[str, Any]:
    """The settings of the examples of a section."""
    match = re.search(r"^Examples with `(\{.*\})`:$", section, re.MULTILINE)
    values = yaml.safe_load(match[1]) if match else {}
    assert isinstance(values, dict)
    return values


def pairs(source: str, target: str, languages: str = "en de") -> PairTexts:
    """One pair."""
    source_lang, target_lang = languages.split()
    return PairTexts(
        source=TextColumn.of([source]),
        target=TextColumn.of([target]),
        source_lang=source_lang,
        target_lang=target_lang,
    )


REPAIR_NAMES = [name for name in (repair.name for repair in REPAIRS) if name != "surrounding_space"]
REPAIR_EXAMPLES = [(name, *row) for name in REPAIR_NAMES for row in rows_of(SECTIONS[name])]
CHECK_EXAMPLES = [(rule.name, *row) for rule in RULES for row in rows_of(SECTIONS[rule.name])]


def test_the_page_has_all_rules_in_their_order() -> None:
    assert list(SECTIONS) == REPAIR_NAMES + [rule.name for rule in RULES]


def test_the_page_has_all_settings() -> None:
    assert set(CleanConfig.model_fields) <= set(re.findall(r"`(\w+)`", PAGE))


@pytest.mark.parametrize(("field", "default"), re.findall(r"`(\w+)` \((\d[\d.]*)\)", PAGE))
def test_the_defaults_on_the_page_are_those_of_the_settings(field: str, default: str) -> None:
    assert str(getattr(CleanConfig(), field)) == default


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_check_has_an_example_that_is_dropped_and_one_that_stays(rule: Any) -> None:
    results = {row[0].split(" ")[0] for row in rows_of(SECTIONS[rule.name])}
    assert results == {"dropped", "stays"}


@pytest.mark.parametrize(("name", "before", "after"), REPAIR_EXAMPLES)
def test_the_examples_of_repairs(name: str, before: str, after: str) -> None:
    texts, changed = repaired(pairs(decoded(before), "x"), CleanConfig())
    assert ascii(texts.source.text(0)) == ascii(decoded(after))
    assert changed[name].tolist() == [before != after]


@pytest.mark.parametrize(("name", "result", "source", "target"), CHECK_EXAMPLES)
def test_the_examples_of_checks(name: str, result: str, source: str, target: str) -> None:
    config = CleanConfig.model_validate(settings_of(SECTIONS[name]))
    languages = re.search(r"\((.*)\)", result)
    texts = pairs(decoded(source), decoded(target), *([languages[1]] if languages else []))
    verdicts = check(texts, config)
    reason = verdicts.reasons[verdicts.first[0]] if not verdicts.kept[0] else None
    assert reason == (name if result.startswith("dropped") else None)
    assert (details(texts, verdicts, [0], config) == [None]) == (reason is None)


def test_the_own_rule_of_the_page(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    settings = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None and settings is not None
    (tmp_path / "my_rules.py").write_text(code[1], encoding="utf-8")
    config = CleanConfig.model_validate(yaml.safe_load(settings[1])["clean"])
    for source, expected in (("STOP IT NOW", "too_shouty"), ("Stop it now", None), ("1", None)):
        verdicts = check(pairs(source, "1" if source == "1" else "Halt"), config, folder=tmp_path)
        reason = verdicts.reasons[verdicts.first[0]] if not verdicts.kept[0] else None
        assert reason == expected
