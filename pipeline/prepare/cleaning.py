"""The cleaning rules: which pairs are rejected, and for what reason."""

from __future__ import annotations

from lingo_model import InputError
from lingo_model.unicode_text import has_visible_character, nfc
from pipeline.dataset.splits import Split
from pipeline.formats.rows import UNDECODABLE
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.pairs import RawPair

# SentencePiece reads this character as a space, so a text of nothing else has no subwords.
_SPACE_MARK = "\u2581"


def cleaned_texts(pair: RawPair) -> tuple[str, str]:
    """Source and target in Unicode NFC, without surrounding white space. A missing side is empty.

    In NFC, letters with accents have one form. Pairs that differ only in the form are therefore
    duplicates, and references have the form that translations have.
    """
    return nfc((pair.source or "").strip()), nfc((pair.target or "").strip())


def reason_to_reject(
    pair: RawPair, config: CleanConfig, given_split: Split | None = None
) -> str | None:
    """The reason why a pair is rejected, or None if it is kept.

    The pairs of a given validation or test file are all kept, because scores on a part of a test
    set do not compare with published ones.

    Reasons, in the order in which they are checked:
        - ``undecodable``: the row has bytes that are not UTF-8.
        - ``malformed``: the row breaks the rules of its format, or a side is not text.
        - ``empty``: a side is missing, or has no visible character.
        - ``too_long``: a side has more than ``max_characters``.
        - ``ratio``: one side is more than ``max_length_ratio`` times as long as the other.

    Args:
        pair: the pair as it was read.
        config: the limits.
        given_split: the split that the corpus description gives for the input.

    Raises:
        InputError: a row of a given validation or test file cannot be read.
    """
    if given_split in ("valid", "test"):
        _check_readable(pair, given_split)
        return None
    if pair.problem is not None:
        return pair.problem
    source, target = cleaned_texts(pair)
    if _is_empty(source) or _is_empty(target):
        return "empty"
    shorter, longer = sorted((len(source), len(target)))
    if config.max_characters is not None and longer > config.max_characters:
        return "too_long"
    limit = config.max_length_ratio
    if limit is not None and longer >= config.ratio_min_characters and longer > limit * shorter:
        return "ratio"
    return None


def _is_empty(text: str) -> bool:
    return not has_visible_character(text.replace(_SPACE_MARK, " "))


def _check_readable(pair: RawPair, split: str) -> None:
    if pair.problem is not None:
        line = "" if pair.line is None else f" (line {pair.line} of the file)"
        detail = "" if pair.detail is None else f" ({pair.detail})"
        mend = "mend the row"
        if pair.problem == UNDECODABLE:
            mend = "convert the file to UTF-8, for example with `iconv -t UTF-8`"
        raise InputError(
            f"{pair.origin}{line}: the row is {pair.problem}{detail}, and a given {split} file is "
            f"used whole; {mend}, or take the row out of the file"
        )
