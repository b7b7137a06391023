"""The files of one input: lists, globs and folders become parts with one or two files each.

Reads: the names in folders, on this machine and on S3.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from lingo_model import InputError
from pipeline.formats.temporary_names import is_temporary_name
from pipeline.storage.backend import backend_of
from pipeline.storage.disk_listing import FolderListing, cannot_read, list_folder, status_of
from pipeline.storage.file_version import FileStamp
from pipeline.storage.location import Location, location
from pipeline.storage.s3 import SCHEME, S3Path

_WILDCARD = re.compile(r"[*?\[]")
_SKIPPED = "names that begin with '.' or '_' and temporary files are skipped"
_NO_MATCH = "the pattern matches no file"
_GLOB_HINT = "* and ? stand for a part of one name, ** for any folders"
_PATH_HINT = "check the path"
_MAX_NAMED_FILES = 3
_ROLE_WORDS = ("source", "src", "target", "tgt", "trg", "ref")


@dataclasses.dataclass(frozen=True, slots=True)
class InputPart:
    """One table, or two aligned text files.

    Args:
        source: a text file with a source sentence on each line. None for a table.
        target: a text file whose lines translate those of ``source``. None for a table.
        path: a table. None for aligned text.
    """

    source: Path | None = None
    target: Path | None = None
    path: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, the source side first."""
        return tuple(path for path in (self.source, self.target, self.path) if path is not None)


def _as_paths(value: Any) -> tuple[Location, ...]:
    """One path or a list of paths, as a description gives them."""
    entries = list(value) if isinstance(value, list | tuple) else [value]
    if not entries:
        raise ValueError("is an empty list; needs one path or more")
    wrong = [entry for entry in entries if not isinstance(entry, str | Path | S3Path)]
    if wrong:
        raise ValueError(
            f"{wrong[0]!r} is not a path; put it in quotes if it is the name of a file"
        )
    return tuple(map(_location, entries))


def _location(entry: str | Location) -> Location:
    if isinstance(entry, str) and "://" in entry and not entry.startswith(SCHEME):
        raise ValueError("needs a path of this machine, or s3://BUCKET/KEY")
    try:
        return location(entry)
    except InputError as error:
        raise ValueError(str(error)) from error


Locations = Annotated[tuple[Location, ...], BeforeValidator(_as_paths)]
"""The type of a setting that holds one path or more, on this machine or on S3. It is given as one
or as a list."""

CopyOf = Callable[[S3Path, FileStamp], Path]
"""Gives the path on this machine where a file on S3 is copied to."""


def no_copies(file: S3Path, _stamp: FileStamp | None = None) -> Path:
    """The place of the copy of a file for those who read corpora of this machine only.

    Raises:
        InputError: always.
    """
    raise InputError(f"{file}: is on S3; open the corpus with open_corpus, which copies its files")


def found_files(
    entries: Iterable[Location], folder: Path, copy_of: CopyOf = no_copies
) -> tuple[Path, ...]:
    """The files that the paths of a description mean, sorted by name, each of them once.

    Args:
        entries: files, folders, and globs in which ``*`` and ``?`` stand for characters of one
            name, and ``**`` for any number of folders.
        folder: relative paths are relative to it.
        copy_of: gives the paths of files on S3.

    Returns:
        absolute paths if ``folder`` is one. A path without a wildcard that does not exist is among
        them: opening it gives a better error.

    Raises:
        InputError: a glob matches no file, a folder has no file, or a folder cannot be listed.
        OSError: S3 refuses or does not answer.
    """
    files: set[Path] = set()
    for entry in entries:
        if isinstance(entry, S3Path):
            files.update(copy_of(file, stamp) for file, stamp in _files_on_s3(entry))
        else:
            files.update(_files_of(entry, folder))
    return tuple(sorted(files, key=lambda file: file.parts))


def _files_on_s3(entry: S3Path) -> list[tuple[S3Path, FileStamp]]:
    _check_key(entry)
    stamp = entry.stamp() if entry.key else None
    if stamp is not None:
        return [(entry, stamp)]
    parts = tuple(entry.key.split("/"))
    n_literal = next((n for n, part in enumerate(parts) if _WILDCARD.search(part)), None)
    if n_literal is None:
        base = entry
        files = backend_of(base).list_files(base, _is_data_path).files
        names = list(files)
    else:
        base, pattern = S3Path(entry.bucket, "/".join(parts[:n_literal])), parts[n_literal:]
        files = (
            backend_of(base)
            .list_files(base, lambda relative: _leads_to_match(tuple(relative.split("/")), pattern))
            .files
        )
        names = _matching_names(files, pattern)
    if not names:
        what = "no such file, and no folder with a file" if n_literal is None else _NO_MATCH
        raise InputError(f"{entry}: {what} ({_SKIPPED}); {_GLOB_HINT if n_literal else _PATH_HINT}")
    found = [(base / name, files[name]) for name in names]
    for file, _ in found:
        _check_key(file)
    return found


def _check_key(file: S3Path) -> None:
    """Refuse a key that is no path, because the file is copied to a path of that name."""
    if file.key and {"", ".", ".."} & set(file.key.split("/")):
        raise InputError(
            f"{file}: a part of the key is empty, '.' or '..', so it is no path of a disk; give "
            "the file another key"
        )


def _is_data_path(relative: str) -> bool:
    return all(map(_is_data, relative.split("/")))


def _files_of(entry: Path, folder: Path) -> list[Path]:
    path = folder / entry
    try:
        status = status_of(path)
    except OSError as error:
        raise cannot_read(path, error) from error
    if status is not None and stat.S_ISDIR(status.st_mode):
        return _files_of_folder(path)
    if status is None and (hint := _not_expanded(str(entry))):
        raise InputError(f"{entry}: {hint}")
    is_glob = status is None and _WILDCARD.search(str(entry)) is not None
    return _files_of_glob(entry, folder) if is_glob else [path]


def _not_expanded(entry: str) -> str | None:
    """What a shell would expand in a path that does not exist, and what to write instead."""
    if entry.startswith("~"):
        return "~ does not stand for a home folder here; give the whole path"
    if "{" in entry and "}" in entry:
        return "braces do not stand for several names; give a list of paths"
    return None


def _files_of_folder(path: Path) -> list[Path]:
    listing = list_folder(path, lambda relative: _is_data(relative.rstrip("/").rpartition("/")[2]))
    if not listing.files:
        raise InputError(
            f"{path}: the folder has no file to read ({_SKIPPED}{_loops(path, listing)}); "
            "give another folder, or the files themselves"
        )
    return [path / relative for relative in listing.files]


def _files_of_glob(entry: Path, folder: Path) -> list[Path]:
    n_literal = next(n for n, part in enumerate(entry.parts) if _WILDCARD.search(part))
    base = folder.joinpath(*entry.parts[:n_literal])
    pattern = entry.parts[n_literal:]

    def is_wanted(relative: str) -> bool:
        parts = tuple(relative.rstrip("/").split("/"))
        return _leads_to_match(parts, pattern)

    listing = list_folder(base, is_wanted)
    files = _matching_names(listing.files, pattern)
    if not files:
        raise InputError(
            f"{folder / entry}: {_NO_MATCH} ({_SKIPPED}{_loops(base, listing)}); {_GLOB_HINT}"
        )
    return [base / name for name in files]


def _matching_names(names: Iterable[str], pattern: tuple[str, ...]) -> list[str]:
    """The relative paths that match a pattern of files, or one of folders."""
    parts_of = {name: tuple(name.split("/")) for name in names}
    matching = [name for name, parts in parts_of.items() if _matches(parts, pattern)]
    if matching:
        return matching
    # The pattern may be one of folders, such as those that Spark writes.
    return [name for name, parts in parts_of.items() if _is_below_match(parts, pattern)]


def _loops(base: Path, listing: FolderListing) -> str:
    """Which links of a folder are not followed."""
    links = [f"{base / link} to {target}" for link, target in listing.skipped_links.items()]
    return f"; a link that leads back is not followed: {links[0]}" if links else ""


def _is_data(name: str) -> bool:
    """Whether a file or folder holds data, by its name. ``_SUCCESS`` and ``.a.crc`` do not."""
    is_partition = "=" in name  # Spark's key=value folders, also if the key begins with a "_"
    is_hidden = name.startswith(".") or (name.startswith("_") and not is_partition)
    return not is_hidden and not is_temporary_name(name)


def _name_matches(name: str, pattern: str) -> bool:
    """Whether a wildcard matches a name. Those without data match only if they are meant."""
    if not fnmatch.fnmatchcase(name, pattern):
        return False
    is_meant = pattern[0] == name[0] or is_temporary_name(pattern)
    return is_meant or _is_data(name)


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the names of a relative path match the names of a pattern."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if _matches(parts, pattern[1:]):
            return True
        return bool(parts) and _is_data(parts[0]) and _matches(parts[1:], pattern)
    return bool(parts) and _name_matches(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _is_below_match(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path is below a folder that matches."""
    return any(
        _matches(parts[:n], pattern) and all(map(_is_data, parts[n:])) for n in range(1, len(parts))
    )


def _leads_to_match(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path matches, is above a path that could match, or is below one that matches."""
    if not parts:
        return True
    if not pattern:
        return all(map(_is_data, parts))
    if pattern[0] == "**":
        if _leads_to_match(parts, pattern[1:]):
            return True
        return _is_data(parts[0]) and _leads_to_match(parts[1:], pattern)
    return _name_matches(parts[0], pattern[0]) and _leads_to_match(parts[1:], pattern[1:])


def written_as(entries: Sequence[Location]) -> str:
    """The paths of a description, as a name for reports. Those of other folders are cut."""
    names = [_relative_part(entry) for entry in entries]
    n_more = len(names) - _MAX_NAMED_FILES
    return ",".join(names[:_MAX_NAMED_FILES]) + (f" and {n_more} more" if n_more > 0 else "")


def _relative_part(entry: Location) -> str:
    """A relative path as it is. Of an absolute one, the name, or the part with wildcards."""
    if isinstance(entry, S3Path):
        entry = Path("/", entry.bucket, entry.key)
    if not entry.is_absolute():
        return entry.as_posix()
    wild = [n for n, part in enumerate(entry.parts) if _WILDCARD.search(part)]
    return Path(*entry.parts[wild[0] if wild else -1 :]).as_posix()


def aligned_files(
    sources: Sequence[Path], targets: Sequence[Path], langs: tuple[str | None, str | None]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Order the files of both sides so that those at one position belong together.

    One file on each side may have any names. The names of more files must be equal apart from the
    language, such as ``a.en.gz`` and ``a.de.gz``, or ``en/a.txt`` and ``de/a.txt``.

    Args:
        sources: the files with the sources.
        targets: the files with the targets.
        langs: the language tags of source and target. None if they are not known.

    Raises:
        InputError: a file has no partner. Names it.
    """
    if len(sources) == len(targets) == 1:
        return tuple(sources), tuple(targets)
    source_code, target_code = ([lang] if lang else [] for lang in langs)
    either = _without_all([*source_code, *target_code, *_ROLE_WORDS])
    for without_code in (
        (_without_last(source_code), _without_last(target_code)),
        (either, either),
    ):
        source_of = _by_key(sources, without_code[0])
        target_of = _by_key(targets, without_code[1])
        is_unique = len(source_of) == len(sources) and len(target_of) == len(targets)
        if is_unique and source_of.keys() == target_of.keys():
            return tuple(source_of.values()), tuple(target_of[key] for key in source_of)
    raise InputError(_without_partner(sources, targets, source_code, target_code))


def _by_key(files: Sequence[Path], without_code: Callable[[str], str]) -> dict[str, Path]:
    """Each file by its path below the folder that all of them share, without the language."""
    shared = _shared_folder(files)
    return {without_code(file.relative_to(shared).as_posix()): file for file in files}


def _shared_folder(files: Sequence[Path]) -> Path:
    first, *others = files
    return next(
        folder for folder in first.parents if all(file.is_relative_to(folder) for file in others)
    )


def _code_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Finds words in a file name that are separated by something else than letters and digits."""
    tags = [tag for word in words for tag in (word, re.split("[-_]", word)[0])]
    codes = "|".join(re.sub("[-_]", "[-_]", tag) for tag in dict.fromkeys(tags))
    return re.compile(rf"(?<![^\W_])(?:{codes})(?![^\W_])", re.IGNORECASE)


def _without_last(code: Sequence[str]) -> Callable[[str], str]:
    pattern = _code_pattern(code)

    def without(name: str) -> str:
        matches = list(pattern.finditer(name))
        return name[: matches[-1].start()] + name[matches[-1].end() :] if matches else name

    return without


def _without_all(words: Iterable[str]) -> Callable[[str], str]:
    pattern = _code_pattern(words)
    return lambda name: pattern.sub("", name)


def _without_partner(
    sources: Sequence[Path],
    targets: Sequence[Path],
    source_code: Sequence[str],
    target_code: Sequence[str],
) -> str:
    source_of = _by_key(sources, _without_last(source_code))
    target_of = _by_key(targets, _without_last(target_code))
    lonely = [
        *(file for key, file in source_of.items() if key not in target_of),
        *(file for key, file in target_of.items() if key not in source_of),
    ] or [*sources, *targets]
    named = ", ".join(map(str, lonely[:_MAX_NAMED_FILES]))
    n_more = len(lonely) - _MAX_NAMED_FILES
    verb = "has" if len(lonely) == 1 else "have"
    return (
        f"{named}{f' and {n_more} more' if n_more > 0 else ''} {verb} no partner: 'source' has "
        f"{len(sources)} files and 'target' has {len(targets)}, and their names must be equal "
        f"apart from the languages ({', '.join([*source_code, *target_code])}); add the missing "
        "files, or give each pair of files as an input of its own"
    )
