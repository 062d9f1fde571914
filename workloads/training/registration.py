"""What a run has recorded in MLflow, looked up by the run's id: the registered version, or the outcome of a back-test.

MLflow has no operation that registers a version only if a run has none. So the attempts of a run take turns, with a lock on the
data share, and each looks first. An attempt that is held up for so long that another one takes its turn may register as well:
then the lowest version counts, and the others are deleted.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient

from workloads.training.run_folder import RunFolder
from workloads.training_run import RUN_TAG

if TYPE_CHECKING:
    from collections.abc import Generator

    from mlflow.entities import Run as MlflowRun
    from mlflow.entities.model_registry import ModelVersion

    from workloads.context import Context

OUTCOME = "modelstack.outcome"
PARENT = "mlflow.parentRunId"
FINISHED = "FINISHED"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered version."""

    version: int
    run: str
    """The id that MLflow has given to its record of the run."""


@dataclass(frozen=True, kw_only=True)
class BackTest:
    """The outcome of a back-test: see `delivery.training.log.BackTestResult`."""

    outcome: str
    version: int
    run: str
    """MLflow's id of the run that trained the version."""
    report: str


@contextlib.contextmanager
def exclusively(context: Context) -> Generator[None]:
    """Waits for other attempts of the same run. Only one of them is in the context at a time."""
    with RunFolder.open(context.folder, context.run).lock("registration"):
        yield


def registered(context: Context) -> Registered | None:
    """Returns the version that the run has registered, or None."""
    versions = _versions(context)
    return Registered(version=int(versions[0].version), run=str(versions[0].run_id)) if versions else None


def register(context: Context, model: str, mlflow_run: str) -> Registered:
    """Registers a logged model, unless another attempt of the run has registered one. Deletes the records of other attempts.

    Args:
        context: the context of the run.
        model: the address of the logged model.
        mlflow_run: MLflow's id of the run that has logged it.
    """
    with exclusively(context):
        if not _versions(context):
            mlflow.register_model(model, context.workload.name, tags={RUN_TAG: context.run.id})
        first, *others = _versions(context)
        client = MlflowClient()
        for version in others:
            client.delete_model_version(context.workload.name, str(version.version))
        for run in _runs(context):
            # A record that is not finished belongs to an attempt that still writes to it. That attempt deletes it here itself.
            is_mine_or_finished = run.info.run_id == mlflow_run or run.info.status == FINISHED
            if run.info.run_id != first.run_id and is_mine_or_finished:
                client.delete_run(run.info.run_id)
    return Registered(version=int(first.version), run=str(first.run_id))


def back_test(context: Context) -> BackTest | None:
    """Returns the outcome that the back-test has logged, or None."""
    for run in _runs(context):
        tags = run.data.tags
        if run.info.status == FINISHED and OUTCOME in tags:
            version = int(tags["modelstack.version"])
            return BackTest(outcome=tags[OUTCOME], version=version, run=tags[PARENT], report=tags["modelstack.report"])
    return None


def log_back_test(context: Context, found: BackTest) -> None:
    """Logs the outcome of a back-test as an MLflow run, which MLflow shows below the run that trained the version."""
    run = context.run
    experiment = MlflowClient().get_run(found.run).info.experiment_id
    tags = {
        RUN_TAG: run.id,
        "modelstack.purpose": run.purpose,
        "modelstack.workload": run.workload,
        "modelstack.version": str(found.version),
        "modelstack.report": found.report,
        "modelstack.revision": run.revision,
        "modelstack.trainer": run.trainer,
        "modelstack.image": run.inputs.image,
        OUTCOME: found.outcome,
        PARENT: found.run,
    }
    with mlflow.start_run(experiment_id=experiment, run_name=f"back-test of version {found.version}", tags=tags):
        pass


def _versions(context: Context) -> list[ModelVersion]:
    """Returns the versions that the run has registered, in ascending order."""
    condition = f"name='{context.workload.name}' and tags.`{RUN_TAG}`='{context.run.id}'"
    return sorted(MlflowClient().search_model_versions(condition), key=lambda version: int(version.version))


def _runs(context: Context) -> list[MlflowRun]:
    """Returns MLflow's records of the run, one per attempt."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name(context.workload.name)
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], f"tags.`{RUN_TAG}`='{context.run.id}'"))
