"""Hashes and fingerprints. They are the same on every machine and in every run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

KEY_DIGITS = 24
"""Number of hexadecimal digits of a fingerprint that is used as a key or id."""

# It keeps ("a", "bc") and ("ab", "c") apart.
_UNIT_SEPARATOR = "\x1f"


def hash64(*parts: str) -> int:
    """A 64-bit BLAKE2b hash of some texts, as an integer."""
    digest = hashlib.blake2b(_UNIT_SEPARATOR.join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def hex_digest(*parts: str) -> str:
    """A 128-bit BLAKE2b hash of some texts, as 32 hexadecimal digits."""
    return hashlib.blake2b(_UNIT_SEPARATOR.join(parts).encode(), digest_size=16).hexdigest()


def hash_bytes(text: str, *, n_bytes: int) -> bytes:
    """A BLAKE2b hash of a text, ``n_bytes`` long."""
    return hashlib.blake2b(text.encode(), digest_size=n_bytes).digest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
