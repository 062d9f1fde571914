"""Runs of `tuna` as processes: one per step, repeated, killed, and two at the same time; and what is checked before them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import panels
import pytest

from common import paths
from workloads.context import Context, TrainingError
from workloads.training import preconditions, registration
from workloads.training_run import RUN_TAG
from workloads.tuna.workload import TUNA

STEPS = [step.name for step in TUNA.steps]


class Share:
    """A data share and an MLflow store in a folder, and processes that run `tuna` on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.uri = folder, (folder / "mlruns").as_uri()
        self.client = mlflow.MlflowClient(self.uri)
        self.client.create_experiment("tuna")

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        environment = {
            "MODELSTACK_SOURCE": str(panels.published()),
            "MODELSTACK_DATA": str(self.folder),
            "MODELSTACK_CODE_REVISION": "1234567",
            "MODELSTACK_CODE_DIGEST": "sha256:" + "c" * 64,
            "MODELSTACK_REVISION": "7654321",  # what an older command sets: the commit of its checkout
            "MODELSTACK_TRAINER": "t@example.com",
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "PYTHONPATH": str(paths.CHECKOUT),
        }
        command = [sys.executable, "-m", "workloads.run", "tuna", *words]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=os.environ | environment | variables, **output)

    def run(self, *words: str, **variables: str) -> tuple[int, str, str]:
        process = self.start(*words, **variables)
        out, err = process.communicate(timeout=200)
        return process.returncode, out, err

    def step(self, run: str, step: str) -> list[dict]:
        status, out, err = self.run("--run", run, "--step", step)
        assert status == 0, err
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    @property
    def versions(self) -> list:
        return self.client.search_model_versions("name='tuna'")

    @property
    def records(self) -> list:
        return self.client.search_runs([self.client.get_experiment_by_name("tuna").experiment_id])

    def context(self, run: str, **changes) -> Context:
        share = self.folder / "tuna"
        folder = share / "runs" / run
        folder.mkdir(parents=True, exist_ok=True)
        identity = panels.run_of(TUNA, run, **changes)
        context = Context(workload=TUNA, run=identity, source=panels.published(), share=share, folder=folder)
        return replace(context, emit=lambda *_, **__: None)


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Share:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    share = Share(tmp_path)
    mlflow.set_tracking_uri(share.uri)
    return share


def test_each_step_may_be_a_process_of_its_own_and_be_repeated(share: Share):
    for step in STEPS:
        share.step("r1", step)
    (version,) = share.versions
    tags = share.client.get_run(version.run_id).data.tags
    assert (version.tags[RUN_TAG], tags[RUN_TAG]) == ("r1", "r1")
    assert (tags["modelstack.revision"], tags["modelstack.code"]) == ("1234567", "sha256:" + "c" * 64)
    model = share.folder / "tuna/runs/r1/steps/train/model.joblib"
    before = model.stat().st_mtime_ns
    assert [event["state"] for event in share.step("r1", "train")] == ["started", "done"]
    assert model.stat().st_mtime_ns == before, "later steps have used these files"
    *_, registered, _ = share.step("r1", "log")
    assert (registered["event"], registered["version"], registered["run"]) == ("registered", 1, version.run_id)
    assert (len(share.versions), len(share.records)) == (1, 1), "a repeated step registers nothing"


def test_a_step_before_the_ones_it_needs_names_them(share: Share):
    status, _, err = share.run("--run", "r1", "--step", "train")
    assert status == 1
    assert err.splitlines()[-1] == (
        "failed: requests.parquet is missing in the folder of run r1: run the steps before this one first (source, features)"
    )


def test_a_killed_run_continues_and_two_that_overlap_register_one_version(share: Share):
    killed = share.start("--run", "r1")
    assert killed.stdout is not None
    for line in killed.stdout:
        if '"train"' in line:
            break
    killed.kill()
    killed.communicate()
    processes = [share.start("--run", "r1") for _ in range(2)]
    outputs = [process.communicate(timeout=250) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    (version,) = share.versions
    for out, _ in outputs:
        (registered,) = [json.loads(line) for line in out.splitlines() if '"registered"' in line]
        assert (registered["version"], registered["run"]) == (1, version.run_id), "both say the same"
    (record,) = share.records
    assert (record.info.run_id, record.info.status) == (version.run_id, "FINISHED")
    assert sorted(file.name for file in (share.folder / "tuna/runs/r1/steps").iterdir()) == sorted(STEPS)


def logged(share: Share, run: str) -> tuple[str, str]:
    """Logs a model as an attempt of a run does, and returns its address and MLflow's id of the record."""
    experiment = share.client.get_experiment_by_name("tuna").experiment_id
    with mlflow.start_run(experiment_id=experiment, tags={RUN_TAG: run}) as active:
        model = mlflow.initialize_logged_model(name="model-onnx", source_run_id=active.info.run_id)
        mlflow.finalize_logged_model(model.model_id, "READY")
    return f"models:/{model.model_id}", active.info.run_id


def test_only_the_first_attempt_registers_and_the_record_of_the_second_is_deleted(share: Share):
    context = share.context("r1")
    assert registration.registered(context) is None
    attempts = [logged(share, "r1") for _ in range(2)]
    first, second = (registration.register(context, *attempt) for attempt in attempts)
    assert first == second == registration.registered(context)
    assert (first.version, first.run) == (1, attempts[0][1])
    assert [record.info.run_id for record in share.records] == [first.run]


def test_if_two_attempts_have_registered_the_first_version_counts(share: Share, monkeypatch):
    context = share.context("r1")
    registration.register(context, *logged(share, "r1"))
    late, late_run = logged(share, "r1")
    mlflow.register_model(late, "tuna", tags={RUN_TAG: "r1"})  # held up for so long that it has lost its turn
    assert registration.register(context, late, late_run).version == 1
    assert [int(version.version) for version in share.versions] == [1]


def test_the_version_of_another_run_does_not_count(share: Share):
    registration.register(share.context("r1"), *logged(share, "r1"))
    assert registration.registered(share.context("r2")) is None
    assert registration.register(share.context("r2"), *logged(share, "r2")).version == 2


def test_a_back_test_leaves_a_record_under_its_own_id(share: Share):
    share.run("--run", "r1")
    for _ in range(2):
        status, out, err = share.run("--run", "b1", "--version", "1")
        assert status == 0, err
        assert '"outcome": "confirmed"' in out
    (version,) = share.versions
    (record,) = [record for record in share.records if record.data.tags[RUN_TAG] == "b1"]
    tags = record.data.tags
    assert (tags["modelstack.outcome"], tags["modelstack.version"]) == ("confirmed", "1")
    assert tags["mlflow.parentRunId"] == version.run_id
    assert tags["modelstack.report"] == share.client.get_run(version.run_id).data.tags["modelstack.report"]


def test_a_deleted_experiment_is_refused_before_the_first_step(share: Share):
    experiment = share.client.get_experiment_by_name("tuna").experiment_id
    share.client.delete_experiment(experiment)
    status, out, err = share.run("--run", "r1")
    assert status == 1
    assert f"mlflow experiments restore --experiment-id {experiment}" in err
    assert out == "", "no step has started"
    share.client.restore_experiment(experiment)
    preconditions.check(share.context("r1"))


def test_missing_rights_are_refused_before_the_first_step(share: Share, monkeypatch):
    def refused(*_args):
        raise mlflow.MlflowException("API request failed with error code 403. Response body: 'Permission denied'")

    for method in ("set_experiment_tag", "set_registered_model_tag"):
        with monkeypatch.context() as patch:
            share.client.search_registered_models() or share.client.create_registered_model("tuna")
            patch.setattr(mlflow.MlflowClient, method, refused)
            with pytest.raises(TrainingError, match=r"register versions of the workload: .*403.* Check the account's rights"):
                preconditions.check(share.context("r1"))


def test_a_full_data_share_is_refused_before_the_first_step(share: Share, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**8))
    with pytest.raises(TrainingError, match=r"has 95 MiB left, and a run needs 512 MiB: enlarge it \(modelstack:training"):
        preconditions.check(share.context("r1"))


def test_a_check_that_passes_leaves_nothing_in_the_folder_and_creates_the_experiment(share: Share):
    context = share.context("r1")
    context = replace(context, workload=TUNA.model_copy(update={"name": "new"}))
    preconditions.check(context)
    assert list(context.folder.iterdir()) == []
    assert share.client.get_experiment_by_name("new").lifecycle_stage == "active"


def test_two_processes_of_a_run_may_check_the_share_at_the_same_time(share: Share, monkeypatch):
    write = Path.write_bytes

    def write_and_lose(path: Path, content: bytes) -> int:
        written = write(path, content)
        path.unlink()  # as the other process does
        return written

    monkeypatch.setattr(Path, "write_bytes", write_and_lose)
    preconditions.check(share.context("r1"))


def test_two_first_runs_may_create_the_experiment_at_the_same_time(share: Share, monkeypatch):
    found = iter([None])
    look_up = mlflow.MlflowClient.get_experiment_by_name
    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", lambda *args: next(found, look_up(*args)))
    preconditions.check(share.context("r1"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run", "Nightly"], "found 'Nightly'. An id has lower-case letters"),
        (["--run", "../r1"], "found '../r1'"),
        (["--step", "optimise"], "tuna has no step optimise: there are source, features, train, backtest, log"),
        (["--chunk", "1/2"], "tuna has no scenarios, so its steps run in one chunk: found 1/2"),
    ],
)
def test_wrong_values_are_refused_with_the_reason(share: Share, words, message):
    status, out, err = share.run(*words)
    assert (status, out) == (1, "")
    assert message in err.splitlines()[-1]
