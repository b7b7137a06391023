"""Lists folders on a disk. What cannot be listed is an error, never an empty folder.

``Path.rglob`` and ``Path.glob`` skip a folder that they may not enter, and do not enter symbolic
links.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from lingo_model import InputError


@dataclasses.dataclass
class FolderListing:
    """The files below a folder.

    Attributes:
        files: the status of each file, by relative path.
        skipped_links: the relative paths of links that are not followed, because their target is in
            the listing itself or holds the folder. Each is mapped to its target.
        linked_folders: the targets of the links to folders that were followed.
    """

    files: dict[str, os.stat_result] = dataclasses.field(default_factory=dict)
    skipped_links: dict[str, Path] = dataclasses.field(default_factory=dict)
    linked_folders: list[Path] = dataclasses.field(default_factory=list)


def list_folder(folder: Path, is_wanted: Callable[[str], bool] = lambda _: True) -> FolderListing:
    """List the files below a folder. Links to files and to folders are followed.

    Two links to one folder elsewhere are both followed: each has paths of its own. A link to a
    folder that is listed under its own name anyway is not followed. Neither is a link to a folder
    above it, which would have no end.

    Args:
        folder: the folder; if it is missing or a file, the listing is empty.
        is_wanted: tells from a relative path whether the file or folder is listed. The path of a
            folder ends with a slash. Folders that are not wanted are not entered.

    Raises:
        InputError: a folder cannot be listed, or a link leads nowhere. Names it and the reason.
    """
    listing = _Lister(folder, is_wanted)
    if _status(folder) is not None:
        listing.add_folder(folder, "", ())
    return listing.result


class _Lister:
    def __init__(self, root: Path, is_wanted: Callable[[str], bool]) -> None:
        self._root = Path(os.path.realpath(root))
        self._is_wanted = is_wanted
        self.result = FolderListing()

    def add_folder(self, folder: Path, relative: str, above: tuple[tuple[int, int], ...]) -> None:
        """Add the files below a folder.

        Args:
            folder: the folder.
            relative: its path relative to the root, with a slash at its end; empty for the root.
            above: device and inode of each folder on the way from the root.
        """
        try:
            status = folder.stat()
            with os.scandir(folder) as entries:
                names = sorted((entry.name, _is_folder(entry)) for entry in entries)
        except NotADirectoryError:  # the root is a file
            return
        except OSError as error:
            if is_gone(folder, error):
                return
            raise cannot_read(folder, error) from error
        chain = (*above, (status.st_dev, status.st_ino))
        for name, is_folder in names:
            if self._is_wanted(f"{relative}{name}/" if is_folder else relative + name):
                self._add_entry(folder / name, relative + name, chain)

    def _add_entry(self, path: Path, relative: str, chain: tuple[tuple[int, int], ...]) -> None:
        status = _status(path)
        if status is None:  # deleted since its folder was listed
            return
        if stat.S_ISREG(status.st_mode):
            self.result.files[relative] = status
        elif stat.S_ISDIR(status.st_mode):
            if path.is_symlink():
                target = Path(os.path.realpath(path))
                if (status.st_dev, status.st_ino) in chain or self._is_listed_itself(target):
                    self.result.skipped_links[relative] = target
                    return
                self.result.linked_folders.append(target)
            elif (status.st_dev, status.st_ino) in chain:
                return  # a folder that is mounted below itself
            self.add_folder(path, f"{relative}/", chain)

    def _is_listed_itself(self, target: Path) -> bool:
        """Whether the target of a link is listed under its own name, or holds the root."""
        if self._root.is_relative_to(target):
            return True
        if not target.is_relative_to(self._root):
            return False
        parts = target.relative_to(self._root).parts
        return all(self._is_wanted("/".join(parts[: n + 1]) + "/") for n in range(len(parts)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # the error is raised later, if the entry is wanted
        return False


def matching_paths(folder: Path, pattern: str) -> Iterator[Path]:
    """Files and folders whose relative path matches a pattern.

    Args:
        folder: the folder; may be missing.
        pattern: a relative path in which ``*`` stands for any characters except ``/``.

    Raises:
        InputError: a folder cannot be listed. Names it and the reason.
    """
    first, _, rest = pattern.partition("/")
    if "*" in first:
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
        except NotADirectoryError:
            return
        except OSError as error:
            if is_gone(folder, error):
                return
            raise cannot_read(folder, error) from error
        found = [folder / name for name in names if fnmatch.fnmatchcase(name, first)]
    else:
        found = [folder / first] if _status(folder / first) is not None else []
    for path in found:
        if rest:
            yield from matching_paths(path, rest)
        else:
            yield path


def status_of(path: Path) -> os.stat_result | None:
    """The status of a file or folder, or None if there is none.

    Raises:
        OSError: the file cannot be accessed, a link leads nowhere or in a circle, or a folder above
            the file cannot be entered.
    """
    try:
        return path.stat()
    except OSError as error:
        if is_gone(path, error):
            return None
        raise


def _status(path: Path) -> os.stat_result | None:
    try:
        return status_of(path)
    except OSError as error:
        raise cannot_read(path, error) from error


def is_gone(path: Path, error: OSError) -> bool:
    """Whether an error means that there is no such file. A link whose target is missing exists."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return False
    for existing in (path, *path.parents):
        try:
            is_link = stat.S_ISLNK(existing.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return False
        return existing != path and (not is_link or os.path.exists(existing))  # noqa: PTH110 - no error
    return True


def cannot_read(path: Path, error: OSError) -> InputError:
    if os.path.islink(path):  # noqa: PTH114 - is_symlink() raises if the folder is locked
        return InputError(
            f"{path}: a link to {path.readlink()}, which cannot be read ({error.strerror}); "
            "restore its target or remove the link"
        )
    return InputError(
        f"{path}: cannot be read ({error.strerror}); give access to it, or check its disk"
    )
