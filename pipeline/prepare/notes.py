"""What a user should know about a dataset that ``prepare`` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len

from pipeline.dataset.manifest import DatasetManifest, InputCounts, SubwordStatistics
from pipeline.dataset.splits import SPLITS
from pipeline.prepare.languages import notes_of_languages
from pipeline.prepare.rules.cross_entropy import CROSS_ENTROPY
from pipeline.prepare.splitting import LEAK

_EXAMPLE_CHARACTERS = 40
_MAX_UNKNOWN_RATE = 0.001
_MIN_SHARE_OF_PIECES = 1 / 3
_MAX_SHARE_OF_REASON = 2 / 5
_MIN_NOTED_ROWS = 10
_CHECK_LANGUAGES = (
    "check source_lang and target_lang of the corpus description, and that source and target are "
    "not swapped"
)
_REMEDIES = {
    "wrong_language": _CHECK_LANGUAGES,
    "wrong_script": _CHECK_LANGUAGES,
    "copy": "check that the targets are translated",
    LEAK: "check that the training data does not hold the validation or test data",
    CROSS_ENTROPY: "models of another subject also drop good pairs, so look at the rejected rows, "
    "or raise clean.cross_entropy.max_score",
}
_MAX_REASONS = 3
_MAX_NAME_CHARACTERS = 40


def notes_of(manifest: DatasetManifest) -> list[str]:
    """A sentence for each check that was not made, and for what limits what a model can learn."""
    notes = []
    config = manifest.made_from.get("config", {})
    if config.get("clean", {}).get("language", {}).get("enabled"):
        notes += notes_of_languages(manifest.source_lang, manifest.target_lang)
    for item in manifest.inputs:
        notes += _notes_of_rejections(item)
    wanted = config.get("subwords", {}).get("vocab_size")
    if wanted is not None and manifest.vocab_size < wanted:
        notes.append(
            f"the subword model has {manifest.vocab_size:,} pieces, not the {wanted:,} of "
            "subwords.vocab_size; the training pairs do not have more"
        )
    for split in SPLITS:
        counts = manifest.round_trips.get(split)
        if counts is None or counts.target_example is None:
            continue
        before, after = _where_they_differ(
            counts.target_example.text, counts.target_example.decoded
        )
        notes.append(
            f"{counts.n_targets_changed:,} of {manifest.splits[split].n_pairs:,} {split} targets "
            "do not survive the subword model, so no translation can equal them "
            f"({before} becomes {after})"
        )
    if manifest.subword_statistics is not None:
        notes += _notes_of_statistics(manifest.subword_statistics)
    return notes


def _notes_of_rejections(item: InputCounts) -> Iterator[str]:
    """The reasons that take so much of an input that something else may be wrong with it."""
    for reason, n_rejected in item.n_rejected.items():
        if n_rejected >= _MIN_NOTED_ROWS and n_rejected > _MAX_SHARE_OF_REASON * item.n_read:
            remedy = _REMEDIES.get(reason, "look at the rejected rows, and at the rule's settings")
            yield f"{item.name}: {reason} drops {n_rejected:,} of {item.n_read:,} rows; {remedy}"


def _notes_of_statistics(statistics: SubwordStatistics) -> Iterator[str]:
    for side, by_split in (("sources", statistics.source), ("targets", statistics.target)):
        for split, counts in by_split.items():
            if counts.unknown_rate > _MAX_UNKNOWN_RATE:
                yield (
                    f"{counts.unknown_rate:.2%} of the pieces of the {split} {side} are <unk>, "
                    "which stands for characters that the subword model does not know; set "
                    "subwords.byte_fallback, or a larger subwords.vocab_size"
                )
    used = {"sources": statistics.n_used_by_source, "targets": statistics.n_used_by_target}
    n_used_by_any = sum(used.values()) - statistics.n_used_by_both
    for side, n_used in used.items():
        if n_used < _MIN_SHARE_OF_PIECES * n_used_by_any:
            yield (
                f"the training {side} use {n_used:,} of the {n_used_by_any:,} pieces that occur, "
                "so the other side has most of the vocabulary; check the languages, or set a "
                "larger subwords.vocab_size"
            )


def subword_table(statistics: SubwordStatistics) -> list[str]:
    """How the subword model fits each side, as the lines of a table for a terminal."""
    header = ("subwords", "pieces a word", "characters a piece", "unknown", "pieces used")
    rows = [header]
    for side, by_split, n_used in (
        ("source", statistics.source, statistics.n_used_by_source),
        ("target", statistics.target, statistics.n_used_by_target),
    ):
        train = by_split["train"]
        unknown = ", ".join(
            f"{split} {by_split[split].unknown_rate:.2%}"
            for split in SPLITS
            if by_split[split].n_texts
        )
        share = f"{n_used:,} of {statistics.n_pieces:,}"
        rows.append(
            (
                side,
                f"{train.pieces_per_word:.2f}",
                f"{train.characters_per_piece:.2f}",
                unknown,
                share,
            )
        )
    rows.append(("both", "", "", "", f"{statistics.n_used_by_both:,}"))
    return _aligned(rows)


def input_table(manifest: DatasetManifest) -> list[str]:
    """What became of the rows of each input, as the lines of a table for a terminal."""
    rows: list[tuple[str, ...]] = [
        ("input", "read", "kept", "rejected", "repairs", "most frequent reasons")
    ]
    for item in manifest.inputs:
        numbers = (item.n_read, item.n_kept, item.n_read - item.n_kept)
        rows.append(_input_row(item.name, numbers, item.n_rejected, item.n_repaired))
    if len(manifest.inputs) > 1:
        n_repaired: Counter[str] = Counter()
        for item in manifest.inputs:
            n_repaired.update(item.n_repaired)
        n_read, n_kept = (
            sum(getattr(item, name) for item in manifest.inputs) for name in ("n_read", "n_kept")
        )
        numbers = (n_read, n_kept, n_read - n_kept)
        rows.append(_input_row("all inputs", numbers, manifest.n_rejected, n_repaired))
    return _aligned(rows)


def _input_row(
    name: str,
    numbers: tuple[int, int, int],
    n_rejected: Mapping[str, int],
    n_repaired: Mapping[str, int],
) -> tuple[str, ...]:
    printable = "".join(c if c.isprintable() else "\ufffd" for c in name)
    if len(printable) > _MAX_NAME_CHARACTERS:
        printable = printable[: _MAX_NAME_CHARACTERS - 1] + "…"
    counts = [f"{number:,}" for number in (*numbers, sum(n_repaired.values()))]
    return (printable, *counts, _largest(n_rejected))


def split_table(manifest: DatasetManifest) -> list[str]:
    """The size of each split, as the lines of a table for a terminal."""
    rows: list[tuple[str, ...]] = [("split", "pairs", "source tokens", "target tokens")]
    for split in SPLITS:
        counts = manifest.splits[split]
        numbers = (counts.n_pairs, counts.n_source_tokens, counts.n_target_tokens)
        rows.append((split, *(f"{number:,}" for number in numbers)))
    return _aligned(rows)


def _largest(counts: Mapping[str, int]) -> str:
    """The largest counts by name, such as ``12 ratio, 3 empty, 4 others``."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{n:,} {name}" for name, n in ordered[:_MAX_REASONS]]
    n_others = sum(n for _, n in ordered[_MAX_REASONS:])
    return ", ".join([*named, f"{n_others:,} others"] if n_others else named)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose columns are aligned, also if letters are two columns wide."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _where_they_differ(text: str, other: str) -> tuple[str, str]:
    """The parts of two texts around their first difference, in quotation marks."""
    shorter = min(len(text), len(other))
    n_equal = next((i for i in range(shorter) if text[i] != other[i]), shorter)
    start = max(0, n_equal - _EXAMPLE_CHARACTERS // 2)
    return _quoted(text, start), _quoted(other, start)


def _quoted(text: str, start: int) -> str:
    """Some characters of a text, with invisible ones as escapes."""
    end = start + _EXAMPLE_CHARACTERS
    quoted = repr(text[start:end])
    return f"{'...' if start else ''}{quoted}{'...' if end < len(text) else ''}"
