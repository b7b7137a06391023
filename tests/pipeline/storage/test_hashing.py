"""Hashes are the same on every machine and in every run."""

from __future__ import annotations

import hashlib

from pipeline.storage.hashing import hash64, hex_digest


def test_hash64_is_blake2b() -> None:
    # Python's own hash() differs from process to process.
    digest = hashlib.blake2b("split\x1faño".encode(), digest_size=8).digest()
    assert hash64("split", "año") == int.from_bytes(digest, "big")
    assert 0 <= hash64("") < 2**64


def test_hex_digest_is_blake2b() -> None:
    digest = hashlib.blake2b("0\x1ftrain.tsv:1\x1faño".encode(), digest_size=16)
    assert hex_digest("0", "train.tsv:1", "año") == digest.hexdigest()
    assert hex_digest("") == hashlib.blake2b(b"", digest_size=16).hexdigest()


def test_parts_are_kept_apart() -> None:
    for hash_of in (hash64, hex_digest):
        assert (
            len({hash_of("ab"), hash_of("a", "b"), hash_of("a", "", "b"), hash_of("", "ab")}) == 4
        )
