"""The deployments on a real server with a process worker: deploy, schedule, run and cancel."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pipeline.dataset.dataset import open_dataset
from pipeline.train.recipe import TrainConfig

ROOT = Path(__file__).parents[2]
LINGO = ["-c", "from pipeline.cli.app import main; main()"]

_DEADLINE_SECONDS = 120.0  # for steps of a few seconds; the machine may be busy


def wait_for(condition: Callable[[], Any], what: str, seconds: float = _DEADLINE_SECONDS) -> Any:
    """Call ``condition`` until its value is true, and return the value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


class PrefectServer:
    """A Prefect server on loopback and its worker. Each process is ended by its id."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.template_environment = environment | {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        self._home = home
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, command: str, *arguments: str) -> None:
        """Start ``prefect COMMAND start ARGUMENTS``. Its output goes to a file."""
        with (self._home / f"{command}.log").open("wb") as log:
            self._processes[command] = subprocess.Popen(
                [sys.executable, "-m", "prefect", command, "start", *arguments],
                cwd=self._home,
                env=self.template_environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def call(self, *arguments: str) -> str:
        """Run ``python ARGUMENTS`` in the root of the repository; its output. It must succeed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.template_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{self.log('worker')}"
        return done.stdout

    def get(self, path: str) -> Any:
        return self._answer("GET", path)

    def post(self, path: str, **content: Any) -> Any:
        return self._answer("POST", path, json=content)

    def _answer(self, method: str, path: str, **options: Any) -> Any:
        for _ in range(5):
            answer = httpx.request(method, f"{self.url}/{path}", **options)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(1.0)  # SQLite waits for the disk; Prefect's clients retry, too
        return answer.raise_for_status().json()

    def answers(self) -> bool:
        assert self._processes["server"].poll() is None, self.log("server")
        try:
            return httpx.get(f"{self.url}/health").is_success
        except httpx.TransportError:
            return False

    def log(self, command: str) -> str:
        file = self._home / f"{command}.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def worker_family(self) -> list[psutil.Process]:
        """All descendants of the worker process."""
        return psutil.Process(self._processes["worker"].pid).children(recursive=True)

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, prefect_environment: dict[str, str]
) -> Iterator[PrefectServer]:
    """A server that was set up with the commands at the top of ``prefect.yaml``."""
    server = PrefectServer(prefect_environment, tmp_path_factory.mktemp("server"))
    try:
        server.start("server", "--port", str(server.port))
        wait_for(server.answers, "the server answers")
        server.call("-m", "prefect", "work-pool", "create", "local", "--type", "process")
        server.start("worker", "--pool", "local")
        server.call("-m", "prefect", "deploy", "--all", "--no-prompt")
        yield server
    finally:
        server.stop()


def test_the_server_listens_only_on_loopback(server: PrefectServer) -> None:
    # 127.0.0.2 is loopback, too. A server that listens on all addresses answers there.
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        pass
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", server.port), timeout=5):
        pass


def test_flows_run_in_the_deployed_folder(server: PrefectServer) -> None:
    deployments = server.post("deployments/filter")

    assert {d["name"] for d in deployments} == {"default"}
    assert len(deployments) == 5
    step = {"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}
    assert [d["pull_steps"] for d in deployments] == [[step]] * 5


def test_the_scheduler_schedules_nightly_runs(server: PrefectServer) -> None:
    deployment = server.get("deployments/name/nightly/default")
    nightly_filter = {"deployments": {"id": {"any_": [deployment["id"]]}}}

    scheduled = wait_for(
        lambda: server.post("flow_runs/filter", **nightly_filter), "nightly is scheduled"
    )

    assert {run["state_name"] for run in scheduled} == {"Scheduled"}
    assert {run["expected_start_time"][11:16] for run in scheduled} == {"02:00"}
    assert all(run["auto_scheduled"] for run in scheduled)


def test_a_flow_is_run_by_its_name_and_shows_its_artifacts(
    server: PrefectServer, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "dataset"

    printed = server.call(
        *LINGO,
        *("run", "prepare-corpus", "--watch"),
        *(
            "-p",
            f"corpus={os.path.relpath(corpus, ROOT)}",
        ),  # relative to the folder that flows run in
        *("-p", f"output={output}"),
        *("-p", 'config={"subwords": {"vocab_size": 400}}'),
    )

    assert "Completed" in printed
    manifest = open_dataset(output).manifest
    (run,) = server.post(
        "flow_runs/filter", flows={"name": {"any_": ["prepare-corpus"]}}, sort="START_TIME_DESC"
    )
    assert run["state_type"] == "COMPLETED"
    artifacts = server.post("artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}})
    shown = {artifact["key"]: artifact["data"] for artifact in artifacts}
    assert shown["dataset"] == f"[{output}]({output.as_uri()})"
    rows = {row["input"]: row["kept"] for row in json.loads(shown["dataset-rows"])}
    assert rows == {item.name: item.n_kept for item in manifest.inputs}


def test_trainings_queue_and_cancelling_one_ends_its_ray(
    server: PrefectServer, dataset: Path, tmp_path: Path, tiny_recipe: TrainConfig
) -> None:
    endless = tiny_recipe.model_copy(update={"target_tokens_per_step": 200, "max_epochs": 5000})
    deployment = server.get("deployments/name/train-lstm/default")

    def start() -> str:
        run = server.post(
            f"deployments/{deployment['id']}/create_flow_run",
            parameters={
                "dataset": str(dataset),
                "models": str(tmp_path),
                "name": "endless",
                "recipe": endless.model_dump(mode="json"),
                "resources": {"ray_address": "local"},
            },
        )
        return str(run["id"])

    def state(run: str) -> tuple[str, str]:
        answer = server.get(f"flow_runs/{run}")
        return answer["state_type"], answer["state_name"]

    def cancel(run: str) -> None:
        server.post(f"flow_runs/{run}/set_state", state={"type": "CANCELLING"})

    run = start()
    wait_for((tmp_path / "_runs" / "endless" / "checkpoints").exists, "training writes checkpoints")
    descendants = server.worker_family()
    assert "raylet" in {process.name() for process in descendants if process.is_running()}
    second = start()
    queued = ("SCHEDULED", "AwaitingConcurrencySlot")
    wait_for(lambda: state(second) == queued, "the second run waits in the queue")
    cancel(second)

    cancel(run)

    ended = wait_for(
        lambda: ended if (ended := state(run))[0] not in ("RUNNING", "CANCELLING") else None,
        "the run ends",
    )
    assert ended == ("CANCELLED", "Cancelled"), server.log("worker")
    assert state(second) == ("CANCELLED", "Cancelled")
    wait_for(lambda: not any(map(is_alive, descendants)), f"all of {descendants} end")
    assert not (tmp_path / "endless").exists()
    assert list((tmp_path / "_runs" / "endless" / "checkpoints").iterdir())  # to continue from


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
