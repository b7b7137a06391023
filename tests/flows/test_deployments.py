"""``prefect.yaml`` deploys each flow, with parameters that fit the flow and the demo's results."""

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
from prefect.utilities.schema_tools.validation import is_valid_schema, validate

import flows
from flows.evaluate import evaluate_model
from flows.nightly import nightly
from flows.prepare import prepare_corpus
from flows.train import train_lstm
from flows.translate import translate_corpus
from pipeline.demo import tour
from pipeline.train.recipe import PRESETS, TrainConfig, TrainResources

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())[
    "deployments"
]

# The settings that the UI shows as a form, by flow.
FORMS = {
    "prepare-corpus": {"PrepareConfig"},
    "train-lstm": {"TrainConfig", "TrainResources"},
    "translate-corpus": {"TranslateConfig", "TranslateResources"},
    "evaluate-model": {"DecodeConfig"},
    "nightly": {"TranslateConfig", "TranslateResources", "TrainConfig"},
}


def all_flows() -> dict[str, Flow[..., Any]]:
    """Every flow of the package, by name."""
    flows_by_name = {}
    for module in pkgutil.iter_modules(flows.__path__, "flows."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Flow):
                flows_by_name[value.name] = value
    return flows_by_name


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    return load_flow_from_entrypoint(str(ROOT / deployment["entrypoint"]))


def parameters_of(flow_name: str) -> dict[str, Any]:
    """The validated parameters of a flow's deployment."""
    (deployment,) = (d for d in DEPLOYMENTS if flow_of(d).name == flow_name)
    return flow_of(deployment).validate_parameters(deployment["parameters"])


def test_every_flow_is_deployed_once() -> None:
    assert sorted(flow_of(d).name for d in DEPLOYMENTS) == sorted(all_flows()) == sorted(FORMS)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["entrypoint"])
def test_a_deployment_binds_to_its_flow(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)

    assert deployment["name"] == "default"
    # `prefect deploy -n FLOW/DEPLOYMENT` looks up the function's name, not the flow's.
    assert deployment["entrypoint"].endswith(f":{flow.name.replace('-', '_')}")
    assert (
        flow.validate_parameters(deployment["parameters"]).keys() >= deployment["parameters"].keys()
    )


@pytest.mark.ray
def test_the_deployments_use_the_results_of_the_demo(
    prefect_harness: None,
    running_ray: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bundle: Path,
) -> None:
    recipes = []

    def copy_the_tiny_bundle(
        _dataset: Path, output: Path, recipe: TrainConfig, _resources: TrainResources
    ) -> None:
        recipes.append(recipe)
        shutil.copytree(bundle, output)

    for size in ("_N_VALID", "_N_TEST", "_N_LAKE"):
        monkeypatch.setattr(tour, size, 30)
    monkeypatch.setattr(tour, "train_model", copy_the_tiny_bundle)
    monkeypatch.setattr(tour, "training_summary", str)
    monkeypatch.chdir(tmp_path)  # the parameters are paths relative to the flows' folder
    report = tour.run_demo(Path("demo"), n_pairs=600)
    assert report is not None

    fingerprint = prepare_corpus(**parameters_of("prepare-corpus"))
    run_name = translate_corpus(**parameters_of("translate-corpus"))

    assert fingerprint == report.dataset_fingerprint  # another configuration would be refused
    assert run_name is None  # nothing new
    assert evaluate_model(**parameters_of("evaluate-model")) == report.score("BLEU")
    assert nightly(**parameters_of("nightly")) == report.score("BLEU")
    for name in ("train-lstm", "nightly"):
        assert [parameters_of(name)["recipe"]] == recipes


def test_only_nightly_has_a_schedule() -> None:
    scheduled = [d for d in DEPLOYMENTS if "schedules" in d]

    (deployment,) = scheduled
    assert flow_of(deployment).name == "nightly"
    (schedule,) = deployment["schedules"]
    assert Cron(schedule["cron"], timezone=schedule["timezone"]).cron == "0 2 * * *"


@pytest.mark.parametrize("name", FORMS)
def test_the_form_of_a_flow_shows_its_settings_with_descriptions(name: str) -> None:
    schema = parameter_schema(all_flows()[name])

    references = [
        choice["$ref"]
        for parameter in schema.properties.values()
        for choice in parameter.get("anyOf", [parameter])
        if "$ref" in choice
    ]
    forms = {reference.removeprefix("#/definitions/") for reference in references}
    assert forms == FORMS[name]
    for form in forms:
        assert schema.definitions[form]["properties"]
    assert [p for p, value in schema.properties.items() if not value.get("description")] == []


@pytest.mark.parametrize("flow", [train_lstm, nightly], ids=lambda flow: flow.name)
def test_a_recipe_is_given_by_the_name_of_a_preset_or_by_settings(flow: Flow[..., Any]) -> None:
    (deployment,) = (d for d in DEPLOYMENTS if flow_of(d).name == flow.name)
    schema = parameter_schema(flow).model_dump()

    def recipe_of(value: Any) -> Any:
        parameters = deployment["parameters"] | {"recipe": value}
        is_valid_schema(schema)  # raises if not
        assert validate(parameters, schema) == []  # as the server does before it starts a run
        return flow.validate_parameters(parameters)["recipe"]

    assert recipe_of("quick") == PRESETS["quick"]
    settings = {"emb_dim": 8, "hidden_dim": 16}
    assert recipe_of(settings) == TrainConfig(emb_dim=8, hidden_dim=16)
    assert validate(deployment["parameters"] | {"recipe": "huge"}, schema) != []


def test_an_unknown_preset_is_refused_with_the_known_names() -> None:
    with pytest.raises(ParameterTypeError, match=r"preset='huge': .* demo, .*production"):
        train_lstm.validate_parameters({"dataset": "dataset", "models": "models", "recipe": "huge"})


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ParameterTypeError, match=r"recipe\.emb_dims"):
        train_lstm.validate_parameters(
            {"dataset": "dataset", "models": "models", "recipe": {"emb_dims": 8}}
        )
