"""Hashes are the same on every machine and in every run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pipeline.storage.hashing import fingerprint_of, hash64, hex_digest, sha256_of_file


def test_hash64_is_blake2b() -> None:
    # Unlike Python's hash(), it is the same in every process.
    digest = hashlib.blake2b("split\x1faño".encode(), digest_size=8).digest()
    assert hash64("split", "año") == int.from_bytes(digest, "big")
    assert 0 <= hash64("") < 2**64


def test_hex_digest_is_blake2b() -> None:
    digest = hashlib.blake2b("0\x1ftrain.tsv:1\x1faño".encode(), digest_size=16)
    assert hex_digest("0", "train.tsv:1", "año") == digest.hexdigest()
    assert hex_digest("") == hashlib.blake2b(b"", digest_size=16).hexdigest()


def test_different_parts_have_different_hashes() -> None:
    for hash_of in (hash64, hex_digest):
        assert (
            len({hash_of("ab"), hash_of("a", "b"), hash_of("a", "", "b"), hash_of("", "ab")}) == 4
        )


def test_sha256_of_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert sha256_of_file(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_fingerprint_depends_on_the_value_and_not_on_the_order_of_keys() -> None:
    canonical = '{"a":[1,2],"b":"é"}'.encode()
    expected = hashlib.sha256(canonical).hexdigest()
    assert fingerprint_of({"b": "é", "a": [1, 2]}) == expected
    other_values: list[Any] = [
        {"b": "é", "a": [2, 1]},
        {"b": "e", "a": [1, 2]},
        {"b": "é", "a": [1, 2], "c": None},
    ]
    assert expected not in map(fingerprint_of, other_values)
