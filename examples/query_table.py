"""Read the latest rows of a translation table with DuckDB, pyarrow, pandas or Polars.

A table has every version of every row. The latest version of a row is the one of the highest run,
unless a later run has a tombstone for the row. ``lingo sql`` has these rows as the view ``latest``.

Run: ``python examples/query_table.py TABLE --with polars --limit 5``

None of the readers needs Lingo.
"""

from __future__ import annotations

import argparse
import glob
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds

ROWS = "data/*/*/*.parquet"
TOMBSTONES = "data/*/*/_tombstones/*.parquet"


# DuckDB and Polars take every key=value folder of a path for a column, also those above the table.
# So they do not look at the folders here; the name of the run is taken from the file names.
RUN_OF_ROWS = "run=([^/]+)/[^/]+$"
RUN_OF_TOMBSTONES = "run=([^/]+)/_tombstones/[^/]+$"


def with_duckdb(table: Path) -> pd.DataFrame:
    """The latest rows, by SQL."""
    run_number = "CAST(split_part(run, '-', 1) AS BIGINT)"
    return duckdb.execute(
        f"""
        WITH translations AS (
            SELECT * EXCLUDE (run_file), regexp_extract(run_file, $run_of_rows, 1) AS run,
                {run_number} AS run_number
            FROM read_parquet($rows, union_by_name = true, hive_partitioning = false,
                              filename = 'run_file')
        ),
        tombstones AS (
            SELECT row_id, regexp_extract(run_file, $run_of_tombstones, 1) AS run,
                {run_number} AS run_number
            FROM read_parquet($tombstones, hive_partitioning = false, filename = 'run_file')
        ),
        void AS (SELECT row_id, max(run_number) AS run_number FROM tombstones GROUP BY row_id)
        SELECT * EXCLUDE (run_number) FROM translations
        ANTI JOIN void ON void.row_id = translations.row_id
            AND void.run_number > translations.run_number
        QUALIFY row_number() OVER (PARTITION BY row_id ORDER BY run_number DESC) = 1
        """,
        {
            "rows": _pattern(table, ROWS),
            "tombstones": _pattern(table, TOMBSTONES),
            "run_of_rows": RUN_OF_ROWS,
            "run_of_tombstones": RUN_OF_TOMBSTONES,
        },
    ).df()


def with_polars(table: Path) -> pd.DataFrame:
    """The latest rows, by lazy frames."""
    run_number = pl.col("run").str.split("-").list.first().cast(pl.Int64)
    rows = _scanned(table, ROWS, RUN_OF_ROWS).with_columns(number=run_number)
    tombstones = (
        _scanned(table, TOMBSTONES, RUN_OF_TOMBSTONES)
        .group_by("row_id")
        .agg(voided_by=run_number.max())
    )
    return (
        rows.sort("number")
        .unique("row_id", keep="last")
        .join(tombstones, on="row_id", how="left")
        .filter(pl.col("voided_by").is_null() | (pl.col("voided_by") <= pl.col("number")))
        .drop("number", "voided_by")
        .collect()
        .to_pandas()
    )


def _scanned(table: Path, files: str, run: str) -> pl.LazyFrame:
    scanned = pl.scan_parquet(
        _pattern(table, files), hive_partitioning=False, include_file_paths="run_file"
    )
    return scanned.with_columns(run=pl.col("run_file").str.extract(run)).drop("run_file")


def _pattern(table: Path, files: str) -> str:
    return f"{glob.escape(str(table.absolute()))}/{files}"


def with_pandas(table: Path) -> pd.DataFrame:
    """The latest rows, by data frames."""
    return _latest(pd.read_parquet(table / "data"), pd.concat(map(_tombstones, _files(table))))


def with_pyarrow(table: Path) -> pd.DataFrame:
    """The latest rows; pyarrow reads only the columns that are needed."""
    columns = ["row_id", "translation", "score", "status", "run"]
    rows = ds.dataset(table / "data", partitioning=_PARTITIONS).to_table(columns=columns)
    files = [str(file) for file in _files(table)]
    tombstones = ds.dataset(
        files, partitioning=_PARTITIONS, partition_base_dir=str(table / "data")
    ).to_table(columns=["row_id", "run"])
    return _latest(rows.to_pandas(), tombstones.to_pandas())


_PARTITIONS = ds.partitioning(
    pa.schema([("run_date", pa.string()), ("run", pa.string())]), flavor="hive"
)


def _files(table: Path) -> list[Path]:
    return sorted(table.glob(TOMBSTONES))


def _tombstones(file: Path) -> pd.DataFrame:
    """The tombstones of one run. The folder above has its name."""
    run = file.parent.parent.name.removeprefix("run=")
    return pd.read_parquet(file, partitioning=None).assign(run=run)


def _latest(rows: pd.DataFrame, tombstones: pd.DataFrame) -> pd.DataFrame:
    number = _run_numbers(rows)
    newest = rows.assign(number=number).sort_values("number").drop_duplicates("row_id", keep="last")
    voided_by = _run_numbers(tombstones).groupby(tombstones["row_id"]).max()
    is_void = newest["row_id"].map(voided_by) > newest["number"]
    return newest[~is_void].drop(columns="number")


def _run_numbers(rows: pd.DataFrame) -> pd.Series:
    return rows["run"].astype(str).str.split("-").str[0].astype(int)


READERS = {
    "duckdb": with_duckdb,
    "pandas": with_pandas,
    "polars": with_polars,
    "pyarrow": with_pyarrow,
}


def main(arguments: list[str] | None = None) -> None:
    """Print the latest rows of a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("table", type=Path, help="a translation table on this machine")
    parser.add_argument("--with", dest="reader", choices=READERS, default="duckdb")
    parser.add_argument("--limit", type=int, default=10, help="rows to print (default 10)")
    options = parser.parse_args(arguments)
    rows = READERS[options.reader](options.table)
    print(f"{len(rows):,} rows")
    print(rows[["row_id", "status", "score", "translation"]].head(options.limit).to_string())


if __name__ == "__main__":
    main()
