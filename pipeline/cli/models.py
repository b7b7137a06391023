"""``lingo models``: list, show, import, promote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import MODELS, ModelsOption, on_this_machine

app = typer.Typer(help="List, show, import and promote models.", no_args_is_help=True)


@app.command("list")
def list_(models: ModelsOption = MODELS) -> None:
    """List the models and mark the champion."""
    from pipeline.models.registry import list_models, read_champion

    champion = read_champion(models)
    bundles = list_models(models)
    for name, manifest in bundles.items():
        if isinstance(manifest, Exception):
            print(f"{name}  cannot be used: {manifest}")
            continue
        mark = "  champion" if champion is not None and champion.name == name else ""
        print(f"{name}  {manifest.source_lang}-{manifest.target_lang}  {manifest.model_id}{mark}")
    if not bundles:
        print(f"no models in {models}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A model's folder or name, or 'champion'.")],
    models: ModelsOption = MODELS,
) -> None:
    """Show a model's manifest and how it was trained."""
    import dataclasses

    from lingo_model import load_bundle, read_bundle_manifest
    from pipeline.models.registry import resolve_model
    from pipeline.train.export import training_summary

    path = resolve_model(name, models)
    manifest = read_bundle_manifest(path)
    print(f"model: {path}\nmodel_id: {manifest.model_id}")
    for key, value in dataclasses.asdict(manifest).items():
        print(f"{key}: {value}")
    print(f"parameters: {load_bundle(path).model.n_parameters():,}")
    print(f"training: {training_summary(path)}")


@app.command("import")
def import_(
    weights: Annotated[
        Path,
        typer.Argument(
            help="A state dict saved by torch.save, such as TorchLingo's.", callback=on_this_machine
        ),
    ],
    subwords: Annotated[
        Path,
        typer.Option(
            help="The SentencePiece model that it was trained with, made by `lingo prepare`.",
            callback=on_this_machine,
        ),
    ],
    source_lang: Annotated[
        str, typer.Option(help="The language that it translates from, such as en.")
    ],
    target_lang: Annotated[
        str, typer.Option(help="The language that it translates to, such as de.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the new model, such as models/en-de.",
            callback=on_this_machine,
        ),
    ],
) -> None:
    """Convert weights that TorchLingo trained to a model. Their shapes tell the architecture."""
    from lingo_model.state_dict_import import import_state_dict

    manifest = import_state_dict(
        weights, subwords, output, source_lang=source_lang, target_lang=target_lang
    )
    print(f"model: {output} ({manifest.model_id})")


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    report: Annotated[
        Path, typer.Option(help="The report.json of its evaluation.", callback=on_this_machine)
    ],
    models: ModelsOption = MODELS,
) -> None:
    """Make a model the champion. Its score report is the evidence."""
    from pipeline.models import registry

    champion = registry.promote(models, name, report)
    print(f"champion: {champion.name} ({champion.model_id})")
