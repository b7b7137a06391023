"""A built wheel has every module, template and kernel, and works outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("lingo_model", "pipeline", "flows")
BUILD_FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is installed, without its dependencies."""
    root = tmp_path_factory.mktemp("wheel")
    checkout = root / "checkout"
    for name in SOURCES:
        ignored = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, checkout / name)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    pip = [sys.executable, "-m", "pip"]
    wheels = root / "wheels"
    build = [*pip, "wheel", *options, "--no-build-isolation", "--wheel-dir", str(wheels)]
    subprocess.run([*build, str(checkout)], check=True, stdout=subprocess.DEVNULL)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", *options, "--target", str(root / "site"), wheel], check=True)
    return root / "site"


def data_files(root: Path) -> set[str]:
    """Modules, templates and type markers below the packages of a folder."""
    return {
        path.relative_to(root).as_posix()
        for package in SOURCES
        for path in (root / package).rglob("*")
        if path.suffix in (".py", ".html", ".md") or path.name == "py.typed"
    }


def test_the_wheel_has_every_module_and_template(installed: Path) -> None:
    assert data_files(installed) == data_files(ROOT)


@pytest.mark.parametrize("name", ["_kernels", "_words"])
def test_the_wheel_has_the_compiled_parts_if_the_checkout_has_them(
    installed: Path, name: str
) -> None:
    n_built = len(list((ROOT / "lingo_model").glob(f"{name}*.so")))
    assert len(list((installed / "lingo_model").glob(f"{name}*.so"))) == n_built


def test_the_installed_command_works_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    where = [sys.executable, "-c", "import pipeline; print(pipeline.__file__)"]
    seen = subprocess.run(
        where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert seen.stdout.strip() == str(installed / "pipeline" / "__init__.py")

    command = [sys.executable, str(installed / "bin" / "lingo"), "demo", "--only-corpus"]
    done = subprocess.run(
        [*command, "--pairs", "1000"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "dataset: demo/dataset"
    assert (tmp_path / "demo" / "dataset" / "manifest.json").is_file()
