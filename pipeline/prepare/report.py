"""Renders the report of a dataset as one self-contained HTML page, and as Markdown.

Reads: the manifest, and the content of ``report.json``.
Writes: nothing; returns text.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from pipeline.dataset.manifest import DatasetManifest, LeakageCertificate
from pipeline.dataset.report import (
    LENGTH_EDGES,
    RATIO_EDGES,
    DatasetReport,
    Distribution,
    InputReport,
    RepairExample,
)
from pipeline.dataset.splits import SPLITS
from pipeline.observability.pages import html_page, markdown_page
from pipeline.prepare.notes import notes_of
from pipeline.prepare.partitions import NEAR_DUPLICATE
from pipeline.prepare.report_data import UNKNOWN, added
from pipeline.prepare.report_words import LEAK_WORDS, REASON_WORDS, REPAIR_WORDS
from pipeline.prepare.splitting import DUPLICATE

_MAX_OPEN_INPUTS = 3
_MAX_LANGUAGES = 8
_MAX_ROUNDED_SHARE = 0.1
_QUERY = (
    "SELECT origin, source, target, detail FROM read_parquet('rejected/*.parquet', "
    "hive_partitioning = false) WHERE reason = '{reason}'"
)

# --- Texts ---

# Zero width joiners are letters of Persian and Hindi, and parts of emoji.
_PLAIN_FORMAT_CHARACTERS = "\u200c\u200d"
_HIDDEN_CATEGORIES = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
_TOKENS = {
    "numbers": re.compile(r"\d+(?:[.,:/]\d+)*"),
    "urls": re.compile(r"(?:https?://|www\.)[^\s<>\"]+"),
    "emails": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "placeholders": re.compile(r"%\(?[\w.]*\)?[a-zA-Z%]|\$?\{+[^{}]*\}+|<[^<>]*>|\$\w+|%[\w-]+%"),
    "tags": re.compile(r"<[^<>]*>"),
    "brackets": re.compile(r"[\[\](){}]"),
}
"""What is marked in the examples of a reason if only one side has it."""


def shown(text: str, *, is_changed: bool = False) -> Markup:
    """A text as HTML in which invisible characters are visible.

    Args:
        text: the text.
        is_changed: whether the text is a difference, in which spaces and joiners are shown, too.
    """
    return Markup().join(_shown_character(character, is_changed) for character in text)


def _shown_character(character: str, is_changed: bool) -> Markup:
    is_hidden = unicodedata.category(character) in _HIDDEN_CATEGORIES
    if not is_changed:
        is_hidden = is_hidden and character not in _PLAIN_FORMAT_CHARACTERS
    elif character == " ":
        return Markup('<span class="ctl" dir="ltr" title="space">·</span>')
    else:
        is_hidden = is_hidden or character.isspace() or unicodedata.combining(character) > 0
    if not is_hidden:
        return escape(character)
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, code)
    return Markup('<span class="ctl" dir="ltr" title="{}">{}</span>').format(name, code)


def marked_sides(reason: str, source: str | None, target: str | None) -> tuple[Markup, Markup]:
    """Both sides of a rejected row, with what only one of them has marked."""
    pattern = _TOKENS.get(reason)
    if pattern is None or source is None or target is None:
        return shown(source or ""), shown(target or "")
    left, right = Counter(pattern.findall(source)), Counter(pattern.findall(target))
    return _marked(source, pattern, left - right), _marked(target, pattern, right - left)


def _marked(text: str, pattern: re.Pattern[str], surplus: Counter[str]) -> Markup:
    parts: list[Markup] = []
    end = 0
    for match in pattern.finditer(text):
        parts.append(shown(text[end : match.start()]))
        inside = shown(match[0])
        is_surplus = surplus[match[0]] > 0
        parts.append(Markup("<mark>{}</mark>").format(inside) if is_surplus else inside)
        end = match.end()
    return Markup().join([*parts, shown(text[end:])])


def compared(example: RepairExample) -> tuple[Markup, Markup]:
    """A text before and after its repair, with the differences marked."""
    before, after = example.before, example.after
    old: list[Markup] = []
    new: list[Markup] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, i, j, k, n in matcher.get_opcodes():
        if kind == "equal":
            old.append(shown(before[i:j]))
            new.append(shown(after[k:n]))
            continue
        if j > i:
            old.append(Markup("<del>{}</del>").format(shown(before[i:j], is_changed=True)))
        if n > k:
            new.append(Markup("<ins>{}</ins>").format(shown(after[k:n], is_changed=True)))
    return Markup().join(old), Markup().join(new)


# --- Figures ---

_WIDTH, _HEIGHT, _FOOT, _HEAD = 320, 150, 18, 6
_MAX_TICKS = 7


def _used(counts: Sequence[Sequence[int]]) -> range:
    """The bins from the first to the last that some pair is in."""
    used = [n for n, column in enumerate(zip(*counts, strict=True)) if any(column)]
    return range(used[0], used[-1] + 1) if used else range(0)


def _bin_name(edges: Sequence[float], position: int) -> str:
    start = f"{edges[position]:g}"
    if position + 1 == len(edges):
        return f"{start} or more"
    end = edges[position + 1]
    if isinstance(end, int):
        return start if end - edges[position] == 1 else f"{start} to {end - 1}"
    return f"{start} to {end:g}"


def _tick(edge: float) -> str:
    """The label of an edge. Two digits of a ratio are enough."""
    return f"{edge}" if isinstance(edge, int) else f"{edge:.2g}"


def histogram(series: Sequence[tuple[str, Distribution]], edges: Sequence[float]) -> Markup:
    """Bars of one or two distributions beside each other, as inline SVG of page colours.

    Args:
        series: what each distribution counts, such as ``sources``, and the distribution.
        edges: where the bins begin.
    """
    bins = _used([item.counts for _, item in series])
    highest = max((max(item.counts) for _, item in series), default=0) or 1
    slot = _WIDTH / max(1, len(bins))
    width = 0.84 * slot / len(series)
    base = _HEIGHT - _FOOT
    bars: list[Markup] = []
    for number, (label, item) in enumerate(series):
        for column, position in enumerate(bins):
            n = item.counts[position]
            if not n:
                continue
            height = max(1.0, (base - _HEAD) * n / highest)
            bars.append(
                Markup(
                    '<rect class="s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                    "<title>{}: {:,} {}</title></rect>"
                ).format(
                    *(number, slot * column + 0.08 * slot + number * width, base - height),
                    *(width, height, _bin_name(edges, position), n, label),
                )
            )
    step = -(-len(bins) // _MAX_TICKS) or 1
    ticks = [
        Markup('<text x="{:.1f}" y="{}">{}</text>').format(
            slot * column, _HEIGHT - 4, _tick(edges[position])
        )
        for column, position in enumerate(bins)
        if column % step == 0
    ]
    labels = " and ".join(label for label, _ in series)
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="Histogram of {}">'
        '<line x1="0" x2="{}" y1="{}" y2="{}"/>{}{}</svg>'
    ).format(_WIDTH, _HEIGHT, labels, _WIDTH, base, base, Markup().join(bars), Markup().join(ticks))


def sparkline(distribution: Distribution, label: str) -> Markup:
    """A small histogram for a cell of a table."""
    bins = _used([distribution.counts])
    highest = max(distribution.counts) or 1
    path = "".join(
        f"M{4 * column} 20v-{max(1, round(20 * distribution.counts[position] / highest))}h3v"
        f"{max(1, round(20 * distribution.counts[position] / highest))}z"
        for column, position in enumerate(bins)
        if distribution.counts[position]
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {} 20" width="{}" height="20" role="img" '
        'aria-label="Histogram of {}"><path d="{}"/></svg>'
    ).format(4 * len(bins), 4 * len(bins), label, path)


# --- Words ---


def percent(part: float, whole: float) -> str:
    """A share of a whole, such as ``3.2 %``."""
    if not whole:
        return "0 %"
    share = 100 * part / whole
    if 0 < share < _MAX_ROUNDED_SHARE:
        return "< 0.1 %"
    return f"{share:.1f} %" if share < 100 or part == whole else f"{share:.0f} %"


def leak_sentences(certificate: LeakageCertificate) -> list[str]:
    """What was looked for, and what was removed, in words."""
    sentences = [
        f"{certificate.n_sources_in_several_splits} sources are in several splits, counted on the "
        f"written files. Two sources are equal if they have equal {certificate.method}."
    ]
    if certificate.similarity is not None:
        sentences.append(
            f"Near pairs were looked for: texts of {certificate.min_words} words or more of which "
            f"at most {certificate.max_changed_words} differs, at a similarity of "
            f"{certificate.similarity:.2f} or more."
        )
    else:
        sentences.append("Near pairs were not looked for: leaks.near is off.")
    if certificate.min_target_words is not None:
        sentences.append(
            f"Targets were compared if they have {certificate.min_target_words} words or more."
        )
    sentences.append(f"{certificate.n_rejected_as_leak:,} pairs were removed.")
    sentences += [
        f"The input {name} has a given split and lost {n:,} rows, for any reason."
        for name, n in certificate.inputs_that_lost_rows.items()
    ]
    return sentences


def _language_rows(item: InputReport) -> list[tuple[str, list[tuple[str, int, str]]]]:
    """For each side, the languages with their numbers and shares. Rare ones are together."""
    if item.languages is None:
        return []
    rows = []
    for side, counts in (("source", item.languages.source), ("target", item.languages.target)):
        judged = sum(n for language, n in counts.items() if language != UNKNOWN)
        known = [(language, n) for language, n in counts.items() if language != UNKNOWN]
        shown_languages = known[:_MAX_LANGUAGES]
        rest = sum(n for _, n in known[_MAX_LANGUAGES:])
        if rest:
            shown_languages.append(("others", rest))
        rows.append((side, [(language, n, percent(n, judged)) for language, n in shown_languages]))
    return rows


def _reasons(manifest: DatasetManifest) -> list[tuple[str, int]]:
    """The reasons, the most frequent first."""
    return sorted(manifest.n_rejected.items(), key=lambda item: (-item[1], item[0]))


def _plots(report: DatasetReport) -> list[tuple[str, Markup, str]]:
    """Title, figure and caption of each plot over all inputs."""
    lengths = [item.lengths for item in report.inputs if item.lengths is not None]
    if not lengths:
        return []
    plots = []
    for title, unit in (("Characters", "characters"), ("Words", "words")):
        sides = [
            (f"{side}s", added([getattr(item, f"{side}_{unit}") for item in lengths]))
            for side in ("source", "target")
        ]
        figure = histogram(sides, LENGTH_EDGES)
        means = ", ".join(f"{label} {item.mean:,.1f}" for label, item in sides)
        longest = ", ".join(f"{label} {item.longest:,.0f}" for label, item in sides)
        plots.append((title, figure, f"mean: {means}; longest: {longest}"))
    ratio = added([item.ratio for item in lengths])
    figure = histogram([("pairs", ratio)], RATIO_EDGES)
    caption = f"mean: {ratio.mean:.2f}; largest: {ratio.longest:,.1f}"
    return [*plots, ("Characters of the target over those of the source", figure, caption)]


def _values(manifest: DatasetManifest, report: DatasetReport) -> dict[str, Any]:
    """What both templates show."""
    reasons = _reasons(manifest)
    return {
        "manifest": manifest,
        "report": report,
        "reasons": reasons,
        "n_read": sum(item.n_read for item in manifest.inputs),
        "n_kept": sum(item.n_kept for item in manifest.inputs),
        "n_rejected": sum(n for _, n in reasons),
        "splits": SPLITS,
        "notes": notes_of(manifest),
        "leaks": [] if manifest.leakage is None else leak_sentences(manifest.leakage),
        "percent": percent,
    }


def html_report(manifest: DatasetManifest, report: DatasetReport) -> str:
    """The report as one HTML page that loads nothing. All text is escaped.

    It depends on the two arguments only, so equal runs give equal pages.

    Args:
        manifest: the manifest, perhaps without digests of files.
        report: the content of ``report.json``.
    """
    repairs = sorted({name for item in manifest.inputs for name in item.n_repaired})
    totals = Counter[str]()
    for item in manifest.inputs:
        totals.update(item.n_repaired)
    return html_page("dataset.html").render(
        **_values(manifest, report),
        repairs=repairs,
        repair_totals=totals,
        reason_words=REASON_WORDS,
        repair_words=REPAIR_WORDS,
        leak_words=LEAK_WORDS,
        plots=_plots(report),
        are_open=len(report.inputs) <= _MAX_OPEN_INPUTS,
        query=_QUERY.format(reason=(_reasons(manifest) or [("ratio", 0)])[0][0]),
        duplicate_reasons=(DUPLICATE, NEAR_DUPLICATE),
        unknown=UNKNOWN,
        shown=shown,
        marked_sides=marked_sides,
        compared=compared,
        sparkline=sparkline,
        language_rows=_language_rows,
    )


def markdown_report(manifest: DatasetManifest, report: DatasetReport) -> str:
    """The report in Markdown, without examples. Text from the data is escaped."""
    return markdown_page("dataset.md").render(**_values(manifest, report))
