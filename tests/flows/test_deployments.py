"""What ``prefect.yaml`` deploys: each flow, with parameters that fit it and go on from the demo."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.exceptions import ParameterTypeError
from prefect.flows import load_flow_from_entrypoint
from prefect.schedules import Cron
from prefect.utilities.callables import parameter_schema

import flows
from flows.evaluate import evaluate_model
from flows.nightly import nightly
from flows.prepare import prepare_corpus
from flows.train import train_lstm
from flows.translate import translate_corpus
from pipeline.demo import demo
from pipeline.train.recipe import TrainConfig, TrainResources

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())[
    "deployments"
]

# Flow: the settings that the UI shows as a form.
FORMS = {
    "prepare-corpus": {"PrepareConfig"},
    "train-lstm": {"TrainConfig", "Resources"},
    "translate-corpus": {"TranslateConfig", "TranslateResources"},
    "evaluate-model": {"DecodeConfig"},
    "nightly": {"TranslateConfig", "TranslateResources", "TrainConfig"},
}


def all_flows() -> dict[str, Flow[..., Any]]:
    """Every flow of the package, by name."""
    found = {}
    for module in pkgutil.iter_modules(flows.__path__, "flows."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Flow):
                found[value.name] = value
    return found


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    return load_flow_from_entrypoint(str(ROOT / deployment["entrypoint"]))


def parameters_of(flow_name: str) -> dict[str, Any]:
    """A deployment's parameters, validated."""
    (deployment,) = (d for d in DEPLOYMENTS if flow_of(d).name == flow_name)
    return flow_of(deployment).validate_parameters(deployment["parameters"])


def test_every_flow_is_deployed_once() -> None:
    assert sorted(flow_of(d).name for d in DEPLOYMENTS) == sorted(all_flows()) == sorted(FORMS)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["entrypoint"])
def test_a_deployment_binds_to_its_flow(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)

    assert deployment["name"] == "default"
    # `prefect deploy -n FLOW/DEPLOYMENT` looks for the function's name, not for the flow's.
    assert deployment["entrypoint"].endswith(f":{flow.name.replace('-', '_')}")
    assert (
        flow.validate_parameters(deployment["parameters"]).keys() >= deployment["parameters"].keys()
    )


@pytest.mark.ray
def test_the_deployments_go_on_from_what_the_demo_made(
    prefect_harness: None,
    running_ray: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bundle: Path,
) -> None:
    recipes = []

    def train_nothing(
        _dataset: Path, output: Path, recipe: TrainConfig, _on: TrainResources
    ) -> None:
        recipes.append(recipe)
        shutil.copytree(bundle, output)

    for size in ("_N_VALID", "_N_TEST", "_N_LAKE"):
        monkeypatch.setattr(demo, size, 30)
    monkeypatch.setattr(demo, "train_model", train_nothing)
    monkeypatch.setattr(demo, "training_summary", str)
    monkeypatch.chdir(tmp_path)  # parameters are relative to the folder that flows run in
    report = demo.run_demo(Path("demo"), n_pairs=600)
    assert report is not None

    fingerprint = prepare_corpus(**parameters_of("prepare-corpus"))
    run_name = translate_corpus(**parameters_of("translate-corpus"))

    assert fingerprint == report.dataset_fingerprint  # made otherwise, it would be refused
    assert run_name is None  # nothing new
    assert evaluate_model(**parameters_of("evaluate-model")) == report.score("BLEU")
    assert nightly(**parameters_of("nightly")) == report.score("BLEU")
    for name in ("train-lstm", "nightly"):
        assert [parameters_of(name)["recipe"]] == recipes


def test_nightly_alone_has_a_schedule() -> None:
    scheduled = [d for d in DEPLOYMENTS if "schedules" in d]

    (deployment,) = scheduled
    assert flow_of(deployment).name == "nightly"
    (schedule,) = deployment["schedules"]
    assert Cron(schedule["cron"], timezone=schedule["timezone"]).cron == "0 2 * * *"


@pytest.mark.parametrize("name", FORMS)
def test_the_form_of_a_flow_has_its_settings_and_explains_each(name: str) -> None:
    schema = parameter_schema(all_flows()[name])

    shown = {
        p["$ref"].removeprefix("#/definitions/") for p in schema.properties.values() if "$ref" in p
    }
    assert shown == FORMS[name]
    assert shown <= set(schema.definitions)
    for model in shown:
        assert schema.definitions[model]["properties"]
    assert [p for p, shown in schema.properties.items() if not shown.get("description")] == []


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ParameterTypeError, match=r"recipe\.emb_dims"):
        train_lstm.validate_parameters(
            {"dataset": "dataset", "models": "models", "recipe": {"emb_dims": 8}}
        )
