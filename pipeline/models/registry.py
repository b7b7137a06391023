"""Find models by name, and promote one of them to champion. Plain files, no server.

MODELS/NAME/              a bundle
MODELS/champion.json      the model that ``--model champion`` stands for
"""

from __future__ import annotations

import datetime
from pathlib import Path

from pydantic import Field

from lingo_model import BundleManifest, InputError, read_bundle_manifest
from lingo_model.bundle_manifest import MANIFEST_FILE
from pipeline.dataset.splits import TEST_SPLIT
from pipeline.evaluate.scores import ScoreReport
from pipeline.models.reference import CHAMPION
from pipeline.storage.files import write_json
from pipeline.storage.manifests import Manifest, utc_now


class Champion(Manifest):
    """The promoted model. The content of ``champion.json``."""

    FORMAT_VERSION = 1
    WHAT = "a champion"
    REMEDY = "promote a model with `lingo models promote`"

    name: str = Field(description="folder of the model in MODELS")
    model_id: str
    promoted_at: datetime.datetime
    report: str = Field(description="the score report that the promotion is based on")


def list_models(models: Path) -> dict[str, BundleManifest | InputError]:
    """The manifest of each bundle in a folder, by name, or the error of a damaged bundle.

    Folders without a ``bundle.json`` and names that begin with ``.`` or ``_`` are skipped.
    """
    manifests: dict[str, BundleManifest | InputError] = {}
    for name in _model_names(models):
        try:
            manifests[name] = read_bundle_manifest(models / name)
        except InputError as error:
            manifests[name] = error
    return manifests


def read_champion(models: Path) -> Champion | None:
    """The champion of a folder of models, or None if no model was promoted.

    Raises:
        InputError: ``champion.json`` is damaged or of another release.
    """
    file = _champion_file(models)
    return Champion.load(file) if file.exists() else None


def resolve_model(reference: str, models: Path) -> Path:
    """The folder of the bundle that a reference names.

    Args:
        reference: the path of a bundle, a name in ``models``, or ``champion``.
        models: folder of models.

    Raises:
        InputError: no such model, no champion, or the champion's bundle was replaced after its
            promotion.
    """
    if reference == CHAMPION:
        return _champion_bundle(models)
    for path in (Path(reference), models / reference):
        if (path / MANIFEST_FILE).exists():
            return path
    raise InputError(
        f"model={reference!r}: neither a bundle folder nor a model in {models} "
        f"({_available(models)}); choose one of these or train a model"
    )


def promote(models: Path, name: str, report_file: Path) -> Champion:
    """Make a model the champion on the basis of its score report on the test split.

    Args:
        models: folder of models.
        name: the model's name in that folder.
        report_file: the ``report.json`` of an evaluation of this model.

    Raises:
        InputError: no such model, no such report, or the report scores another model or a split
            other than ``test``.
    """
    if name not in _model_names(models):
        raise InputError(
            f"model={name!r}: not a model in {models} ({_available(models)}); choose one of these"
        )
    bundle = read_bundle_manifest(models / name)
    report = ScoreReport.load(report_file)
    if report.model_id != bundle.model_id:
        raise InputError(
            f"{report_file}: the report scores model {report.model_id}, but {models / name} is "
            f"model {bundle.model_id}; evaluate it first"
        )
    if report.split != TEST_SPLIT:
        raise InputError(
            f"{report_file}: the report scores the {report.split} split, which training used; "
            "evaluate the model on the test split"
        )
    champion = Champion(
        format_version=Champion.FORMAT_VERSION,
        name=name,
        model_id=bundle.model_id,
        promoted_at=utc_now(),
        report=str(report_file),
    )
    write_json(_champion_file(models), champion.model_dump(mode="json"))
    return champion


def _champion_file(models: Path) -> Path:
    return models / f"{CHAMPION}.json"


def _champion_bundle(models: Path) -> Path:
    champion = read_champion(models)
    if champion is None:
        raise InputError(
            f"{models}: no model is promoted; promote one with `lingo models promote NAME`"
        )
    folder = models / champion.name
    bundle = read_bundle_manifest(folder)
    if bundle.model_id != champion.model_id:
        raise InputError(
            f"{folder}: is model {bundle.model_id}, but model {champion.model_id} was promoted; "
            "promote it again"
        )
    return folder


def _model_names(models: Path) -> list[str]:
    return sorted(path.parent.name for path in models.glob(f"[!._]*/{MANIFEST_FILE}"))


def _available(models: Path) -> str:
    return f"available: {', '.join(_model_names(models)) or 'none'}"
