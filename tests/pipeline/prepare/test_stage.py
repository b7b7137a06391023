"""The dataset that ``prepare`` writes: no row is lost, and every table has its schema."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from lingo_model.special_ids import EOS_ID
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.splits import SPLITS
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.config import CleanConfig, PrepareConfig, SplitConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus
from pipeline.schemas import ENCODED, PAIRS, REJECTED

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))


TRAINING_PAIRS = [(p.source, p.target) for p in generate_pairs(100, seed=2, split="train")]


def describe(*inputs: dict[str, Any], **changed: Any) -> CorpusDescription:
    """A description of English to Spanish."""
    values = {"source_lang": "en", "target_lang": "es", "inputs": list(inputs)} | changed
    return CorpusDescription.model_validate(values)


def write_tsv(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A table of pairs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["source\ttarget", *("\t".join(pair) for pair in pairs)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return path


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Rows of a folder of Parquet files, in order."""
    files = sorted(folder.glob("*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def test_every_row_is_kept_or_rejected_with_a_reason(messy: Any) -> None:
    places = ("detail", "line", "text")
    rejected = rows_of(messy.output / "rejected")
    assert [{k: v for k, v in row.items() if k not in places} for row in rejected] == [
        row for rows in messy.rejected.values() for row in rows
    ]
    for split in SPLITS:
        rows = rows_of(messy.output / "pairs" / f"split={split}")
        assert [row["origin"] for row in rows] == messy.kept[split]


def test_counts_of_each_input_add_up(messy: Any) -> None:
    n_read = {"test.tsv": 22, "valid.tsv": 22, "more.en+more.es": 30, "train.tsv": 111}
    assert {item.name: item.n_read for item in messy.manifest.inputs} == n_read
    for item in messy.manifest.inputs:
        assert item.n_kept + sum(item.n_rejected.values()) == item.n_read
        assert item.n_rejected == Counter(row["reason"] for row in messy.rejected[item.name])
    assert messy.manifest.n_rejected == {
        "duplicate": 2,
        "empty": 3,
        "leak": 4,
        "malformed": 2,
        "ratio": 1,
        "too_long": 1,
        "undecodable": 1,
    }
    assert list(messy.manifest.n_rejected) == sorted(messy.manifest.n_rejected)
    assert {s: c.n_pairs for s, c in messy.manifest.splits.items()} == {
        split: len(origins) for split, origins in messy.kept.items()
    }


def test_pairs_are_stripped_and_keep_their_other_columns(messy: Any) -> None:
    rows = {row["origin"]: row for row in rows_of(messy.output / "pairs" / "split=train")}
    assert rows["train.tsv:2"] | {"pair_id": ""} == {
        "pair_id": "",
        "source": TRAINING_PAIRS[1][0],
        "target": TRAINING_PAIRS[1][1],
        "origin": "train.tsv:2",
        "domain": "grammar",
    }
    assert rows["more.en:1"]["domain"] is None


def test_every_table_has_its_schema(messy: Any) -> None:
    pairs = pa.schema([*PAIRS, pa.field("domain", pa.string())])
    for split in SPLITS:
        for kind, schema in (("pairs", pairs), ("encoded", ENCODED)):
            files = sorted((messy.output / kind / f"split={split}").iterdir())
            assert [file.name for file in files] == ["part-00000.parquet"]
            assert pq.read_schema(files[0]).equals(schema)
    (file,) = (messy.output / "rejected").iterdir()
    assert pq.read_schema(file).equals(REJECTED)


def test_a_folder_reads_as_one_table(messy: Any) -> None:
    table = pq.read_table(messy.output / "pairs")  # hive partitions, as any other tool sees them
    assert table.num_rows == sum(map(len, messy.kept.values()))
    assert set(table["split"].to_pylist()) == set(SPLITS)


def test_pairs_and_encoded_rows_have_equal_ids(messy: Any) -> None:
    everything: list[str] = []
    for split in SPLITS:
        ids = [row["pair_id"] for row in rows_of(messy.output / "pairs" / f"split={split}")]
        encoded = [row["pair_id"] for row in rows_of(messy.output / "encoded" / f"split={split}")]
        assert sorted(encoded) == sorted(ids)
        everything += ids
    assert len(set(everything)) == len(everything)


def test_the_manifest_names_exactly_the_existing_files(messy: Any) -> None:
    named = [
        name
        for counts in messy.manifest.splits.values()
        for name in (*counts.pairs_files, *counts.encoded_files)
    ]
    others = ["manifest.json", "subwords.model", "rejected/part-00000.parquet"]
    others += ["report.html", "report.json"]
    existing = [str(f.relative_to(messy.output)) for f in messy.output.rglob("*") if f.is_file()]
    assert sorted([*named, *others]) == sorted(existing)


def test_the_manifest_on_disk_is_the_one_returned(messy: Any) -> None:
    opened = open_dataset(messy.output)
    manifest = opened.manifest
    assert manifest == messy.manifest
    assert (manifest.source_lang, manifest.target_lang) == ("en", "es")
    assert manifest.vocab_size == opened.subwords().vocab_size <= 120


def test_ids_of_inputs_with_the_same_name_and_content_are_unique(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_tsv(tmp_path / folder / "test.tsv", [("same", "mismo"), ("same", "mismo")])
    write_tsv(tmp_path / "train.tsv", TRAINING_PAIRS)
    corpus = describe(
        {"path": tmp_path / "a/test.tsv", "split": "test"},
        {"path": tmp_path / "b/test.tsv", "split": "test"},
        {"path": tmp_path / "train.tsv"},
    )
    manifest = prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    rows = rows_of(tmp_path / "dataset/pairs/split=test")
    assert [row["origin"] for row in rows] == [
        f"{folder}/test.tsv:{row}" for folder in ("a", "b") for row in (1, 2)
    ]
    assert len({row["pair_id"] for row in rows}) == 4
    assert manifest.leakage is not None
    assert manifest.leakage.inputs_that_lost_rows == {}


def test_unusual_characters_are_kept(tmp_path: Path) -> None:
    """If no repair is on, only NUL characters make a row useless."""
    odd = [
        {"source": "two\nlines", "target": "dos\r\nlíneas"},
        {"source": "bell\x07character", "target": "tab\tulador"},
        {"source": "line\u2028separator <ph0>", "target": "línea 😀 <ph0>"},
        {"source": "two  spaces", "target": "dos\u00a0espacios &amp; \u200bmás"},
    ]
    nul = {"source": "nul\x00byte", "target": "byte nulo"}
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in [nul, *odd]))
    write_tsv(tmp_path / "train.tsv", TRAINING_PAIRS)
    corpus = describe({"path": tmp_path / "train.tsv"}, {"path": path, "split": "train"})
    as_it_is = CleanConfig(
        repair_entities=False,
        repair_encoding=False,
        repair_invisible=False,
        repair_spaces=False,
    )
    config = CONFIG.model_copy(
        update={"split": SplitConfig(valid_share=0, test_share=0), "clean": as_it_is}
    )
    manifest = prepare_corpus(corpus, tmp_path / "dataset", config)
    rows = rows_of(tmp_path / "dataset/pairs/split=train")
    assert [{"source": r["source"], "target": r["target"]} for r in rows[-4:]] == odd
    assert manifest.splits["train"].n_pairs == 104
    assert manifest.n_rejected == {"undecodable": 1}


def test_white_space_is_repaired_unless_it_is_switched_off(tmp_path: Path) -> None:
    spaced = [{"source": "two\nlines", "target": "dos\r\n  líneas\u00a0"}]
    path = tmp_path / "spaced.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in spaced))
    write_tsv(tmp_path / "train.tsv", TRAINING_PAIRS)
    corpus = describe({"path": path, "split": "train"}, {"path": tmp_path / "train.tsv"})
    manifest = prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    rows = rows_of(tmp_path / "dataset/pairs/split=train")
    (row,) = [row for row in rows if row["origin"] == "spaced.jsonl:1"]
    assert (row["source"], row["target"]) == ("two lines", "dos líneas")
    assert sum(manifest.inputs[0].n_repaired.values()) == 1
    assert sum(manifest.inputs[1].n_repaired.values()) == 0


def test_json_keys_do_not_clash_with_columns_of_other_files(tmp_path: Path) -> None:
    pq.write_table(
        pa.table(
            {
                "source": [p[0] for p in TRAINING_PAIRS],
                "target": [p[1] for p in TRAINING_PAIRS],
                "year": list(range(100)),
                "tag": pa.array(["a", "b"] * 50).dictionary_encode(),
            }
        ),
        tmp_path / "x.parquet",
    )
    path = tmp_path / "x.jsonl"
    path.write_text('{"source": "good day", "target": "buen día", "year": "n/a", "origin": 5}\n')
    corpus = describe({"path": tmp_path / "x.parquet"}, {"path": path, "split": "train"})
    prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    rows = [r for split in SPLITS for r in rows_of(tmp_path / f"dataset/pairs/split={split}")]
    assert {row["origin"]: (row["year"], row["tag"]) for row in rows} == {
        f"x.parquet:{n}": (n - 1, "ab"[(n - 1) % 2]) for n in range(1, 101)
    } | {"x.jsonl:1": (None, None)}


def test_given_files_are_kept_whole(tmp_path: Path) -> None:
    odd = [("", "vacía"), ("a" * 1500, "b" * 1500), ("short", "larga " * 30), ("\u200b", "?")]
    write_tsv(tmp_path / "test.tsv", [*odd, ("fine", "bien")])
    write_tsv(tmp_path / "valid.tsv", [*odd[::-1], ("good", "bueno")])
    write_tsv(tmp_path / "train.tsv", [*TRAINING_PAIRS, *odd])
    corpus = describe(
        *({"path": tmp_path / f"{split}.tsv", "split": split} for split in SPLITS),
    )
    manifest = prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    counts = {item.name: item for item in manifest.inputs}
    assert counts["test.tsv"].n_rejected == {}
    assert counts["train.tsv"].n_rejected["empty"] == 2
    assert manifest.splits["test"].n_pairs == 5
    # The encoded sides of an empty text hold eos only.
    opened = open_dataset(tmp_path / "dataset")
    assert opened.encoded("test")["source_ids"].to_pylist()[0] == [EOS_ID]
    assert opened.encoded("test")["n_source_tokens"].to_pylist()[0] == 1


def test_a_row_of_a_test_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_bytes(b"source\ttarget\ngood\tbueno\nbad caf\xe9\tmalo\n")
    write_tsv(tmp_path / "train.tsv", TRAINING_PAIRS)
    corpus = describe(
        {"path": tmp_path / "test.tsv", "split": "test"}, {"path": tmp_path / "train.tsv"}
    )
    with pytest.raises(InputError, match=r"test\.tsv:.*undecodable.*iconv"):
        prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    assert not (tmp_path / "dataset").exists()


def test_text_is_written_in_nfc_and_duplicates_in_another_form_are_found(tmp_path: Path) -> None:
    accented = [(f"café number {n}", f"niño número {n}") for n in range(5)]
    decomposed = [
        (unicodedata.normalize("NFD", source), unicodedata.normalize("NFD", target))
        for source, target in accented
    ]
    spaced = [(source.replace(" ", "  "), target) for source, target in accented]
    write_tsv(tmp_path / "train.tsv", [*TRAINING_PAIRS, *decomposed, *accented, *spaced])
    write_tsv(tmp_path / "test.tsv", [("über alles gut", "todo está bién".replace("é", "e\u0301"))])
    corpus = describe(
        {"path": tmp_path / "train.tsv"}, {"path": tmp_path / "test.tsv", "split": "test"}
    )
    manifest = prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    assert manifest.n_rejected["duplicate"] == 10
    for split in SPLITS:
        for row in rows_of(tmp_path / f"dataset/pairs/split={split}"):
            for side in ("source", "target"):
                assert unicodedata.is_normalized("NFC", row[side])


@pytest.mark.parametrize("closing", ['He said "go" twice.,Dijo.', 'He said go",Dijo.', None])
def test_a_stray_quotation_mark_in_csv_rejects_one_line(
    tmp_path: Path, closing: str | None
) -> None:
    lines = [f"The dog {n} runs.,El perro {n} corre." for n in range(300)]
    lines[100] = '"Stop here,Para aqui.'
    if closing is not None:
        lines[250] = closing
    path = tmp_path / "train.csv"
    path.write_text("".join(f"{line}\n" for line in ["source,target", *lines]))
    # The sentences differ in one word, so sampled ones would be leaks.
    config = CONFIG.model_copy(update={"split": SplitConfig(valid_share=0, test_share=0)})
    manifest = prepare_corpus(describe({"path": path}), tmp_path / "dataset", config)
    (counts,) = manifest.inputs
    assert (counts.n_read, counts.n_kept, counts.n_rejected) == (300, 299, {"malformed": 1})
    (rejected,) = rows_of(tmp_path / "dataset/rejected")
    assert (rejected["line"], rejected["text"]) == (102, '"Stop here,Para aqui.')
    assert "quotation mark" in rejected["detail"]
