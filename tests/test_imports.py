"""Imports go one way, there is no circle, and heavy packages stay in their files."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lingo_model", "pipeline", "flows")

# The parts of pipeline/, from the ground up. A part imports parts of lower floors only.
FLOORS = (
    ("errors",),
    ("languages", "schemas", "settings"),
    ("cluster", "decoding", "formats", "observability", "storage", "training_record"),
    ("dataset", "documents", "lake", "table"),
    ("prepare", "train", "translate", "evaluate"),
    ("models",),
    ("demo",),
    ("cli",),
)
FLOOR_OF = {part: number for number, floor in enumerate(FLOORS) for part in floor}
STAGES = FLOORS[4]
# Training picks its best step by the BLEU that the evaluation reports.
ALLOWED_BETWEEN_STAGES = {("train", "pipeline.evaluate.metrics")}

RAY_FOLDER = "pipeline/cluster/"
RAY_FILES = {
    "pipeline/prepare/ray_tasks.py",
    "pipeline/train/ray_trainer.py",
    "pipeline/translate/actors.py",
}
MODEL_NEEDS = {"torch", "safetensors", "sentencepiece", "numpy"}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and module of each import, those inside functions too.

    ``from a import b`` gives ``a.b``, which may be a module or a name in one.
    """
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def broken_rule(file: str, imported: str) -> str | None:
    package, top = file.partition("/")[0], imported.partition(".")[0]
    if top in PACKAGES:
        if PACKAGES.index(top) > PACKAGES.index(package):
            return "flows may import pipeline, and pipeline lingo_model, but not the other way"
        return broken_floor(file, imported) if package == top == "pipeline" else None
    if top == "prefect" and package != "flows":
        return "Prefect is for flows/ only"
    if top == "ray" and not (file.startswith(RAY_FOLDER) or file in RAY_FILES):
        return f"Ray is for {RAY_FOLDER} and {', '.join(sorted(RAY_FILES))} only"
    if package == "lingo_model" and top not in MODEL_NEEDS | sys.stdlib_module_names:
        return "lingo_model needs only torch, safetensors, sentencepiece and numpy"
    return None


def part_of(path: str) -> str:
    """The part of pipeline/ that a module's dotted name belongs to."""
    return path.split(".")[1]


def broken_floor(file: str, imported: str) -> str | None:
    part = part_of(file.removesuffix(".py").replace("/", "."))
    other = part_of(imported)
    if part == other or part == "__init__":
        return None
    if part not in FLOOR_OF or other not in FLOOR_OF:
        return "a part of pipeline/ that has no floor; add it to FLOORS"
    if part in STAGES and other in STAGES:
        module = ".".join(imported.split(".")[:3])
        return None if (part, module) in ALLOWED_BETWEEN_STAGES else "a stage imports another stage"
    if FLOOR_OF[other] >= FLOOR_OF[part]:
        return "a part may import parts of lower floors only"
    return None


def modules(root: Path) -> dict[str, Path]:
    """Every module of the three packages by its dotted name."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }


def violations(root: Path) -> list[str]:
    broken = []
    for package in PACKAGES:
        assert (root / package).is_dir()
    for path in modules(root).values():
        file = path.relative_to(root).as_posix()
        for line, imported in imports(path):
            if rule := broken_rule(file, imported):
                broken.append(f"{file}:{line}: {imported}: {rule}")
    return broken


def circle(root: Path) -> list[str]:
    """The modules of a circle of imports, or an empty list."""
    paths = modules(root)
    imported_by = {
        name: {
            module
            for _, imported in imports(path)
            for module in (imported, imported.rpartition(".")[0])
            if module in paths and module != name
        }
        for name, path in paths.items()
    }
    # Packages are imported by every module in them; their __init__ files import lazily.
    graph = {n: {m for m in ms if m not in PACKAGES} for n, ms in imported_by.items()}
    finished: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in finished:
            return []
        for other in sorted(graph[name]):
            if ring := visit(other, [*trail, name]):
                return ring
        finished.add(name)
        return []

    for name in graph:
        if ring := visit(name, []):
            return ring
    return []


def test_imports_follow_the_rules() -> None:
    assert violations(ROOT) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(ROOT) == []


def test_every_part_has_a_floor() -> None:
    parts = {
        path.stem
        for path in (ROOT / "pipeline").iterdir()
        if path.name not in ("__init__.py", "__pycache__", "py.typed")
    }
    assert parts == set(FLOOR_OF)


def test_files_that_may_use_ray_use_it() -> None:
    for file in RAY_FILES:
        assert "ray" in {imported.partition(".")[0] for _, imported in imports(ROOT / file)}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the three packages in which a test may plant an import."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.pyc"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "statement", "rule"),
    [
        ("lingo_model/subwords.py", "from pipeline.settings import Settings", "not the other way"),
        ("lingo_model/subwords.py", "import flows.train", "not the other way"),
        ("pipeline/prepare/splitting.py", "from flows import stages", "not the other way"),
        ("pipeline/schemas.py", "def late():\n    import flows.stages as s", "not the other way"),
        ("pipeline/settings.py", "from pipeline.storage.files import write_json", "lower floors"),
        ("pipeline/storage/files.py", "import pipeline.formats.read", "lower floors"),
        ("pipeline/table/table.py", "from pipeline.lake import files", "lower floors"),
        ("pipeline/lake/files.py", "from pipeline.translate import planning", "lower floors"),
        ("pipeline/evaluate/stage.py", "from pipeline.models import registry", "lower floors"),
        ("pipeline/translate/stage.py", "from pipeline.train.export import x", "another stage"),
        ("pipeline/train/stage.py", "from pipeline.evaluate.scores import x", "another stage"),
        ("pipeline/planted/deep.py", "import pipeline.settings", "no floor"),
        ("pipeline/train/stage.py", "from prefect import flow", "Prefect is for flows/ only"),
        ("lingo_model/subwords.py", "import prefect", "Prefect is for flows/ only"),
        ("pipeline/prepare/stage.py", "import json, ray.data", "Ray is for"),
        ("pipeline/translate/stage.py", "import ray", "Ray is for"),
        ("flows/stages.py", "from ray.train import Checkpoint", "Ray is for"),
        ("lingo_model/bundle.py", "import pyarrow as pa", "lingo_model needs only"),
    ],
)
def test_a_planted_import_is_caught(copy: Path, file: str, statement: str, rule: str) -> None:
    planted = copy / file
    planted.parent.mkdir(exist_ok=True)
    before = planted.read_text(encoding="utf-8") if planted.exists() else ""
    planted.write_text(f"{before}\n{statement}\n", encoding="utf-8")
    (caught,) = violations(copy)
    assert caught.startswith(f"{file}:")
    assert rule in caught


def test_a_planted_circle_is_caught(copy: Path) -> None:
    with (copy / "pipeline/storage/hashing.py").open("a", encoding="utf-8") as planted:
        planted.write("\nfrom pipeline.storage.files import write_json\n")
    with (copy / "pipeline/storage/s3.py").open("a", encoding="utf-8") as planted:
        planted.write("\nfrom pipeline.storage import hashing\n")
    ring = circle(copy)
    assert {"pipeline.storage.hashing", "pipeline.storage.files"} <= set(ring)


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("lingo_model/subwords.py", "import numpy as np, math"),
        ("lingo_model/subwords.py", "from .errors import InputError\nimport torch.nn.functional"),
        ("pipeline/train/ray_trainer.py", "from ray.train import Checkpoint"),
        ("pipeline/train/worker.py", "from pipeline.evaluate.metrics import bleu_metric"),
        ("pipeline/cluster/failures.py", "import ray"),
        ("flows/stages.py", "from prefect import flow\nfrom lingo_model import Subwords"),
    ],
)
def test_an_allowed_import_is_let_through(copy: Path, file: str, statement: str) -> None:
    with (copy / file).open("a", encoding="utf-8") as planted:
        planted.write(f"\n{statement}\n")
    assert violations(copy) == []


def imported_packages(statement: str, packages: set[str]) -> str:
    """Which of some packages are imported after a statement, in a process of its own."""
    script = f"import sys\n{statement}\nprint(sorted({packages!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_importing_lingo_model_imports_no_heavy_package() -> None:
    heavy = {"torch", "sentencepiece", "ray", "prefect", "pyarrow", "pandas"}
    assert imported_packages("import lingo_model", heavy) == "[]"


def test_importing_the_settings_imports_no_heavy_package() -> None:
    heavy = {"torch", "ray", "matplotlib", "sacrebleu", "pyarrow", "obstore", "duckdb"}
    assert imported_packages("import pipeline.settings", heavy) == "[]"


@pytest.mark.parametrize("module", ["translate.config", "train.recipe", "prepare.config"])
def test_importing_a_stage_s_settings_imports_no_heavy_package(module: str) -> None:
    heavy = {"torch", "ray", "matplotlib", "sacrebleu", "pyarrow", "duckdb"}
    assert imported_packages(f"import pipeline.{module}", heavy) == "[]"
