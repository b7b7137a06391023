"""Tasks on Ray give the dataset that processes without Ray give."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray

from lingo_model import InputError
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.errors import RunError
from pipeline.prepare import batches, ray_tasks, stage
from pipeline.prepare.config import CleanConfig, DuplicatesConfig, PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.ray_tasks import run_tasks_on_ray
from pipeline.prepare.stage import prepare_corpus
from pipeline.prepare.tasks import TaskResult, TaskRunner

CONFIG = PrepareConfig(
    subwords=SubwordsConfig(vocab_size=200), duplicates=DuplicatesConfig(near=True)
)


@pytest.fixture
def corpus(tmp_path: Path) -> CorpusDescription:
    """Aligned files and a table."""
    pairs = [(p.source, p.target) for p in generate_pairs(1500, seed=4, split="train")]
    for side, name in enumerate(("a.en", "a.es")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in pairs[:1000]))
    rows = "".join(f"{source}\t{target}\n" for source, target in pairs[800:])
    (tmp_path / "b.tsv").write_text(f"source\ttarget\n{rows}")
    inputs = [
        {"source": tmp_path / "a.en", "target": tmp_path / "a.es"},
        {"path": tmp_path / "b.tsv", "weight": 1.5},
    ]
    return CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    )


def test_a_dataset_made_on_ray_is_the_dataset_made_without(
    tmp_path: Path, corpus: CorpusDescription, running_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_BYTES_PER_PARTITION", 40_000)
    monkeypatch.setattr(batches, "_MAX_SERIAL_BYTES", 10_000)
    monkeypatch.setattr(batches, "CHUNK_ROWS", 400)
    on_ray: list[int] = []
    execute = ray_tasks._RayTaskRunner.execute

    def counted(runner: Any, function: Any, tasks: Any, todo: list[int]) -> Any:
        on_ray.append(len(todo))
        return execute(runner, function, tasks, todo)

    monkeypatch.setattr(ray_tasks._RayTaskRunner, "execute", counted)
    manifest = prepare_corpus(corpus, tmp_path / "ray", CONFIG, ray_address="auto")
    assert max(on_ray) > 2
    assert manifest == prepare_corpus(corpus, tmp_path / "here", CONFIG)
    assert list((tmp_path / "ray").glob(".*")) == []


def test_own_rules_must_be_on_all_nodes_too(tmp_path: Path, corpus: CorpusDescription) -> None:
    (tmp_path / "my_rules.py").write_text("def shouty(texts, settings): ...\n")
    corpus._folder = tmp_path
    config = PrepareConfig(clean=CleanConfig(own_rules=("my_rules:shouty",)))
    paths = stage._read_by_tasks(corpus, config)
    assert [path.name for path in paths] == ["a.en", "a.es", "my_rules.py", "b.tsv"]


def failing(problem: str) -> TaskResult:
    raise {"input": InputError, "disk": OSError, "bug": KeyError}[problem](f"{problem}: it is bad")


def killed_once(marker: Path) -> TaskResult:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"name": marker.name}


def on_ray(results: Path, function: Any, tasks: list[Any], inputs: Any = ()) -> list[TaskResult]:
    def work(runner: TaskRunner) -> list[TaskResult]:
        return runner.run("some", function, tasks)

    return run_tasks_on_ray(work, results, address="auto", inputs=inputs)


def test_a_task_whose_worker_is_killed_runs_again(tmp_path: Path, running_ray: None) -> None:
    markers = [tmp_path / name for name in "abc"]
    results = on_ray(tmp_path / "results", killed_once, markers)
    assert results == [{"name": name} for name in "abc"]
    assert len(list((tmp_path / "results").glob("some-*.json"))) == 3


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        ("input", InputError, "^input: it is bad$"),
        ("disk", OSError, "^disk: it is bad$"),
        ("bug", RunError, "a task failed on the Ray cluster .KeyError: 'bug: it is bad'.; start"),
    ],
)
def test_an_error_of_a_task_keeps_its_kind_and_its_message(
    tmp_path: Path, running_ray: None, problem: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        on_ray(tmp_path / "results", failing, [problem, problem])


def test_a_node_that_does_not_see_a_file_is_named_before_any_work(
    tmp_path: Path, running_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes that see other files than the driver have other folders of the same name."""
    (tmp_path / "x.tsv").write_text("source\ttarget\n")
    address = ray.nodes()[0]["NodeManagerAddress"]
    monkeypatch.setattr(ray_tasks, "_sizes", lambda paths: [(path, 1) for path in paths])
    with pytest.raises(InputError) as error:
        on_ray(tmp_path / "results", killed_once, [], inputs=[tmp_path / "x.tsv"])
    assert str(error.value).startswith(
        f"{tmp_path}/x.tsv: the Ray node {address} does not see this file as it is here"
    )
    monkeypatch.setattr(ray_tasks, "write_bytes", lambda file, content: None)
    with pytest.raises(InputError) as error:
        on_ray(tmp_path / "results", killed_once, [])
    assert f"{tmp_path}/results: the Ray node {address} does not see this folder" in str(
        error.value
    )


def test_workers_cannot_be_counted_on_a_cluster(tmp_path: Path, corpus: CorpusDescription) -> None:
    with pytest.raises(InputError, match="leave n_workers out"):
        prepare_corpus(corpus, tmp_path / "d", CONFIG, n_workers=2, ray_address="auto")
