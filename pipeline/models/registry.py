"""Models by name: which there are, and which one is the champion. Files only, no server.

MODELS/NAME/              a bundle
MODELS/champion.json      the name that ``--model champion`` stands for
"""

from __future__ import annotations

import datetime
from pathlib import Path

from lingo_model import BundleManifest, InputError, read_bundle_manifest
from pipeline.evaluate.scores import ScoreReport
from pipeline.storage.files import write_json
from pipeline.storage.manifests import Manifest, utc_now

CHAMPION = "champion"


class Champion(Manifest):
    """The content of ``champion.json``: the model, since when, and the report of its promotion."""

    FORMAT_VERSION = 1
    WHAT = "a champion"
    REMEDY = "promote a model with `lingo models promote`"

    name: str
    model_id: str
    promoted_at: datetime.datetime
    report: str


def list_models(models: Path) -> dict[str, BundleManifest | InputError]:
    """Manifests of all bundles below a folder, by name, or what is wrong with them; folders that
    are no bundle are left out."""
    found: dict[str, BundleManifest | InputError] = {}
    for name in _names(models):
        try:
            found[name] = read_bundle_manifest(models / name)
        except InputError as error:
            found[name] = error
    return found


def champion(models: Path) -> Champion | None:
    """The champion of a folder of models, or None where none was named."""
    file = models / f"{CHAMPION}.json"
    if not file.exists():
        return None
    return Champion.load(file)


def resolve_model(reference: str, models: Path) -> Path:
    """The bundle that a reference means: a folder, a name in ``models``, or ``champion``.

    Raises:
        InputError: no such model, or a champion whose bundle was replaced; names what there is.
    """
    if reference == CHAMPION:
        found = champion(models)
        if found is None:
            raise InputError(
                f"{models}: has no champion yet; name one with `lingo models promote NAME`"
            )
        bundle = read_bundle_manifest(models / found.name)
        if bundle.model_id != found.model_id:
            raise InputError(
                f"{models / found.name}: is model {bundle.model_id}, but {found.model_id} was "
                "promoted; promote it again"
            )
        return models / found.name
    for path in (Path(reference), models / reference):
        if (path / "bundle.json").exists():
            return path
    raise InputError(
        f"model={reference!r}: no bundle there, nor of that name in {models} "
        f"(there: {', '.join(_names(models)) or 'none'})"
    )


def promote(models: Path, name: str, report_file: Path) -> Champion:
    """Make a model the champion, on the evidence of a score report.

    Raises:
        InputError: no such model, no report, or one of another model or another split than test.
    """
    if name not in _names(models):
        raise InputError(
            f"model={name!r}: no bundle of that name in {models} "
            f"(there: {', '.join(_names(models)) or 'none'})"
        )
    bundle = read_bundle_manifest(models / name)
    report = ScoreReport.load(report_file)
    if report.model_id != bundle.model_id:
        raise InputError(
            f"{report_file}: scores model {report.model_id}, but {models / name} is "
            f"{bundle.model_id}; evaluate it first"
        )
    if report.split != "test":
        raise InputError(
            f"{report_file}: scores the {report.split} split, which the model was made with; "
            "evaluate it on the test split"
        )
    found = Champion(
        format_version=Champion.FORMAT_VERSION,
        name=name,
        model_id=bundle.model_id,
        promoted_at=utc_now(),
        report=str(report_file),
    )
    write_json(models / f"{CHAMPION}.json", found.model_dump(mode="json"))
    return found


def _names(models: Path) -> list[str]:
    return sorted(path.parent.name for path in models.glob("[!._]*/bundle.json"))
