"""Imports go one way, ``flows -> pipeline -> lingo_model``, and heavy packages stay in place."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {  # of this project's own packages
    "lingo_model": {"lingo_model"},
    "pipeline": {"lingo_model", "pipeline"},
    "flows": {"lingo_model", "pipeline", "flows"},
}
RAY_FILES = {
    f"pipeline/{name}.py" for name in ("loopback_group", "ray_session", "train", "translate")
}
MODEL_NEEDS = {"torch", "safetensors", "sentencepiece", "numpy"}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level package of each import, those inside functions too.

    A relative import stays inside its package and cannot break a rule.
    """
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module.partition(".")[0]


def broken_rule(package: str, file: str, imported: str) -> str | None:
    if imported in MAY_IMPORT:
        return None if imported in MAY_IMPORT[package] else "backward import"
    if imported == "prefect" and package != "flows":
        return "Prefect is for flows/ only"
    if imported == "ray" and file not in RAY_FILES:
        return f"Ray is for {', '.join(sorted(RAY_FILES))} only"
    if package == "lingo_model" and imported not in MODEL_NEEDS | sys.stdlib_module_names:
        return "lingo_model needs only torch, safetensors, sentencepiece and numpy"
    return None


def violations(root: Path) -> list[str]:
    found = []
    for package in MAY_IMPORT:
        files = sorted((root / package).rglob("*.py"))
        assert files, f"no modules under {root / package}"
        for path in files:
            file = path.relative_to(root).as_posix()
            for line, imported in imports(path):
                if rule := broken_rule(package, file, imported):
                    found.append(f"{file}:{line}: {imported}: {rule}")
    return found


def test_imports_go_one_way() -> None:
    assert violations(ROOT) == []


def test_files_that_may_use_ray_are_there_and_use_it() -> None:
    for file in RAY_FILES:
        assert "ray" in {imported for _, imported in imports(ROOT / file)}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the three packages in which a test may plant an import."""
    for package in MAY_IMPORT:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.pyc"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "statement", "rule"),
    [
        ("lingo_model/search.py", "from pipeline.settings import Settings", "backward import"),
        ("lingo_model/search.py", "import flows.train", "backward import"),
        ("pipeline/prepare/splitting.py", "from flows import stages", "backward import"),
        (
            "pipeline/prepare/splitting.py",
            "def late():\n    import flows.stages as s",
            "backward import",
        ),
        ("pipeline/train/stage.py", "from prefect import flow", "Prefect is for flows/ only"),
        ("lingo_model/search.py", "import prefect", "Prefect is for flows/ only"),
        ("pipeline/prepare/stage.py", "import json, ray.data", "Ray is for"),
        ("flows/stages.py", "from ray.train import Checkpoint", "Ray is for"),
        ("lingo_model/bundle.py", "import pyarrow as pa", "lingo_model needs only"),
        ("pipeline/planted/deep.py", "import flows", "backward import"),
    ],
)
def test_planted_import_is_caught(copy: Path, file: str, statement: str, rule: str) -> None:
    planted = copy / file
    planted.parent.mkdir(exist_ok=True)
    before = planted.read_text(encoding="utf-8") if planted.exists() else ""
    planted.write_text(f"{before}\n{statement}\n", encoding="utf-8")
    (caught,) = violations(copy)
    assert caught.startswith(f"{file}:")
    assert rule in caught


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("lingo_model/search.py", "from __future__ import annotations\nimport numpy as np, math"),
        ("lingo_model/search.py", "from .config import Config\nimport torch.nn.functional"),
        ("pipeline/train/stage.py", "from ray.train import Checkpoint"),
        ("flows/stages.py", "from prefect import flow\nfrom lingo_model import Subwords"),
    ],
)
def test_allowed_import_is_let_through(copy: Path, file: str, statement: str) -> None:
    with (copy / file).open("a", encoding="utf-8") as planted:
        planted.write(f"\n{statement}\n")
    assert violations(copy) == []


def test_importing_lingo_model_leaves_the_heavy_packages_out() -> None:
    heavy = {"ray", "prefect", "pyarrow", "pandas"}
    script = f"import sys, lingo_model; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
