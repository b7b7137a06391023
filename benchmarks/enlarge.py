"""Copy the training rows of a dataset many times, to measure training on a large dataset.

    python benchmarks/enlarge.py DATASET --copies 345 --output LARGE
    python benchmarks/train.py ../multi30k --dataset LARGE --only "lingo bfloat16 2x1"

The result has only the files that training reads: ENCODED files, PAIRS of validation and test,
subwords and the manifest.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from pipeline.dataset.manifest import MANIFEST, SUBWORDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("dataset", type=Path, help="the dataset that `lingo prepare` made")
    parser.add_argument("--copies", type=int, required=True, help="of the training rows")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    options = parser.parse_args()
    dataset, output, n_copies = options.dataset, options.output, options.copies

    manifest: dict[str, Any] = json.loads((dataset / MANIFEST).read_bytes())
    output.mkdir(parents=True)
    shutil.copy(dataset / SUBWORDS, output)
    for split in ("valid", "test"):
        for part in ("pairs", "encoded"):
            name = f"{part}/split={split}"
            shutil.copytree(dataset / name, output / name)
    train = manifest["splits"]["train"]
    train["encoded_files"] = copy_files(dataset, output, train["encoded_files"], n_copies)
    for count in ("n_pairs", "n_source_tokens", "n_target_tokens"):
        train[count] *= n_copies
    manifest["fingerprint"] += f"-{n_copies}-copies"
    (output / MANIFEST).write_text(json.dumps(manifest, indent=2))
    print(f"{train['n_pairs']:,} training pairs in {len(train['encoded_files']):,} files")


def copy_files(source: Path, target: Path, names: list[str], n_copies: int) -> list[str]:
    """Copy each file ``n_copies`` times to another folder; returns the names of the copies."""
    copies = []
    for number in range(n_copies):
        for name in names:
            copy = Path(name).with_stem(f"{Path(name).stem}-copy-{number:05d}")
            (target / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / copy)
            copies.append(str(copy))
    return copies


if __name__ == "__main__":
    main()
