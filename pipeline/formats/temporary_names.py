"""The names of files that are not finished, or that belong to a program and not to the data."""

from __future__ import annotations

import re

_ENDINGS = (
    # unfinished files of writers, and of copying and downloading programs
    *(".tmp", ".temp", ".part", ".partial", ".filepart", ".inprogress", ".in-progress"),
    *(".incomplete", ".crdownload", ".download", ".opdownload", ".aria2", ".!ut", ".!qb"),
    *("._copying_", ".icloud"),
    # backups of editors, and of patch and merge programs
    *("~", ".bak", ".backup", ".old", ".orig", ".rej", ".swp", ".swo", ".swn", ".crswap"),
    # locks
    *(".lock", ".lck"),
)
_BEGINNINGS = ("~$", ".~", "._", ".goutputstream-", ".nfs", ".fuse_hidden")
_SYSTEM_NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", "icon\r", "sthumbs.dat"}
_PATTERN = re.compile(
    r"#.*#"  # Emacs
    r"|\..*\.sw[a-z]"  # Vim
    r"|.*\.te?mp[-._]?[0-9]+"  # writers that add a process number
    r"|.*\.sb-[0-9a-f]{8}-\w{6}",  # macOS
    re.DOTALL,
)


def is_temporary_name(name: str) -> bool:
    """Whether a file's name is that of a temporary, partial, backup, lock or system file.

    Args:
        name: the name without its folder. Case does not matter.
    """
    lower = name.lower()
    return (
        lower in _SYSTEM_NAMES
        or lower.endswith(_ENDINGS)
        or lower.startswith(_BEGINNINGS)
        or _PATTERN.fullmatch(lower) is not None
    )
