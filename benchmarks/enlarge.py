"""A dataset with its training pairs many times over, to see what a large one costs.

    python benchmarks/enlarge.py DATASET --copies 345 --output LARGE
    python benchmarks/train.py ../multi30k --dataset LARGE --only "lingo bfloat16 2x1"

Only what training reads is written: encoded shards, validation pairs, subwords and the manifest.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("dataset", type=Path, help="what `lingo prepare` wrote")
    parser.add_argument("--copies", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    options = parser.parse_args()
    manifest: dict[str, Any] = json.loads((options.dataset / "manifest.json").read_bytes())
    options.output.mkdir(parents=True)
    shutil.copy(options.dataset / "subwords.model", options.output)
    for split in ("valid", "test"):
        for part in ("pairs", "encoded"):
            name = f"{part}/split={split}"
            shutil.copytree(options.dataset / name, options.output / name)
    train = manifest["splits"]["train"]
    files = []
    for number in range(options.copies):
        for name in train["encoded_files"]:
            path = Path(name).with_stem(f"{Path(name).stem}-copy-{number:05d}")
            (options.output / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(options.dataset / name, options.output / path)
            files.append(str(path))
    for count in ("n_pairs", "n_source_tokens", "n_target_tokens"):
        train[count] *= options.copies
    train["encoded_files"] = files
    manifest["fingerprint"] += f"-{options.copies}-copies"
    (options.output / "manifest.json").write_text(json.dumps(manifest, indent=2))
    print(f"{train['n_pairs']:,} training pairs in {len(files):,} files")


if __name__ == "__main__":
    main()
